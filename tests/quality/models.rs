//! The real models, which remember what they have heard: many networks leave a call as it was.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use sidetone::consent::permit::Verification;
use sidetone::consent::reference::ConsentReference;
use sidetone::keyword::lexicon::Lexicon;
use sidetone::keyword::phrase::Phrase;
use sidetone::keyword::spotter::{Hit, Settings, Spotter};
use sidetone::keyword::tokenizer::Tokenizer;
use sidetone::runtime::answered_for::answered_for;
use sidetone::runtime::installed::MANIFEST;
use sidetone::runtime::models::Manifest;
use sidetone::runtime::onnx::Runtime;
use sidetone::runtime::onnx::moonshine::MoonshineModel;
use sidetone::runtime::onnx::speaker_model::SpeakerModel;
use sidetone::runtime::voices::Voices;
use sidetone::speaker::embedder::{Embedders, Purpose};
use sidetone::speaker::embedding::Embedding;

use super::speech::PHRASES;

/// Name and version of the voice model, as far as it matters here.
pub(crate) const MODEL: &str = "m@1";

/// The strong embedder alone: what is measured is what a line costs its likeness.
pub(crate) fn embedders() -> Embedders {
    Embedders { decide: MODEL.to_owned(), watch: None }
}

/// Both models of one thread.
pub(crate) struct Models {
    pub(crate) speaker: Voices<SpeakerModel>,
    keyword: MoonshineModel,
    spotter: Arc<Spotter>,
    voices: HashMap<u64, Embedding>,
    phrases: HashMap<u64, Vec<Hit>>,
}

/// A process has one.
pub(crate) fn runtime(store: &Path) -> Runtime {
    Runtime::load(&store.join("onnxruntime/libonnxruntime.so")).expect("the library")
}

impl Models {
    #[expect(clippy::disallowed_methods, reason = "a measurement reads its models from disk")]
    pub(crate) fn load(runtime: &Runtime, store: &Path) -> Self {
        let tokens = store.join("moonshine-tiny-en/tokenizer.bin");
        let tokens = std::fs::read(tokens).expect("the vocabulary");
        let tokenizer = Arc::new(Tokenizer::parse(&tokens).expect("a sound vocabulary"));
        let phrases = PHRASES.map(|text| Phrase::new(text).expect("a phrase")).to_vec();
        let said = std::fs::read_to_string(store.join("cmudict/cmudict.dict")).expect("the words");
        let lexicon = Lexicon::of_phrases(&said, &phrases).expect("a dictionary");
        let manifest = Manifest::parse(MANIFEST).expect("a sound manifest");
        let speaker = manifest.embedder(Purpose::Decide).expect("a speaker model");
        Self {
            speaker: Voices {
                decide: SpeakerModel::load(runtime, store, speaker).expect("the model"),
                watch: None,
            },
            keyword: MoonshineModel::load(runtime, store).expect("the model"),
            spotter: Arc::new(Spotter::new(tokenizer, phrases, &lexicon, Settings::default())),
            voices: HashMap::new(),
            phrases: HashMap::new(),
        }
    }

    pub(crate) fn embed(&mut self, samples: &[f32]) -> Embedding {
        let readers = ConsentReference::new("readers").expect("a reference");
        let leave = answered_for::<Verification>(&readers);
        let Self { speaker, voices, .. } = self;
        let voice = voices
            .entry(digest(samples))
            .or_insert_with(|| speaker.embed(&leave, Purpose::Decide, samples).expect("a run"));
        voice.clone()
    }

    pub(crate) fn spot(&mut self, samples: &[f32]) -> Vec<Hit> {
        let Self { keyword, spotter, phrases, .. } = self;
        let hits = phrases
            .entry(digest(samples))
            .or_insert_with(|| spotter.spot(keyword, samples).expect("a run").hits);
        hits.clone()
    }
}

fn digest(samples: &[f32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    samples.iter().for_each(|sample| sample.to_bits().hash(&mut hasher));
    hasher.finish()
}
