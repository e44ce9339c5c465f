//! The models of one store, proven and named: what `serve`, `enroll` and `demo` start from.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{self, keyword::Engine};
use crate::keyword::example_decision::ExampleDecision;
use crate::keyword::language::Language;
use crate::keyword::lexicon::{Lexicon, LexiconError, phones_named};
use crate::keyword::phrase::{Phrase, PhraseError};
use crate::keyword::spotter::{self, Spotter};
use crate::keyword::tokenizer::{Tokenizer, TokenizerError};
use crate::policy::judge::Models;
use crate::policy::phrase_check::{CommonWord, Facts};
use crate::policy::place::Place;
use crate::policy::rule::Policy;
use crate::runtime::embedder_card::EmbedderCard;
use crate::runtime::example_file::{Ear, ExampleFile, ExampleFileError};
use crate::runtime::models::{Manifest, Model, ModelFile, Role, Status};
use crate::runtime::onnx::moonshine::MoonshineModel;
use crate::runtime::onnx::segmentation_model::SegmentationModel;
use crate::runtime::onnx::speaker_model::SpeakerModel;
use crate::runtime::onnx::{OnnxError, Runtime};
use crate::runtime::phrase_thresholds::{ThresholdError, thresholds};
use crate::runtime::pronouncing::{PronouncingError, Pronunciations};
use crate::runtime::sherpa::{self, SherpaError};
use crate::runtime::voices::Voices;
use crate::speaker::embedder::{Embedders, Purpose};

/// The files that hear phrases by example.
const ENCODER: &str = "moonshine-tiny-en/encoder_model.ort";
const HEAD: &str = "phone-head/phone_head.onnx";

/// The manifest that this binary was built with.
pub const MANIFEST: &str = include_str!("../../models/manifest.toml");

/// A store whose every file is the one that the manifest names.
#[derive(Clone, Debug)]
pub struct Installed {
    store: PathBuf,
    /// The library that runs the models; a process loads it once.
    runtime: Runtime,
    models: Models,
    manifest: Manifest,
    /// The speaker model that decides, and the one that watches.
    strong: Model,
    watch: Model,
}

/// Why models cannot be used: one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum InstalledError {
    /// Not fetched yet, or elsewhere.
    #[error("{} is missing from {}: run `sidetone models fetch`", .file.display(), .store.display())]
    Missing {
        /// Which file.
        file: PathBuf,
        /// Where it should be.
        store: PathBuf,
    },
    /// Another file, or a damaged one.
    #[error(
        "{} has sha256 {found}, wanted {expected}: run `sidetone models fetch`",
        .file.display()
    )]
    WrongHash {
        /// Which file, with its store.
        file: PathBuf,
        /// Its digest.
        found: String,
        /// The manifest's digest.
        expected: String,
    },
    /// The system refused.
    #[error("cannot read {}: {reason}", .file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The configuration names a speaker model that there is not.
    #[error("models.{key} is {name:?}, and the manifest's speaker models are {}", known.join(", "))]
    NoEmbedder {
        /// The key of the configuration.
        key: &'static str,
        /// Its value.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// ONNX Runtime would not have it.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The dictionary is not understood.
    #[error("the dictionary: {0}")]
    Lexicon(#[from] LexiconError),
    /// The tokenizer's file is not understood.
    #[error("the keyword model's tokenizer: {0}")]
    Tokenizer(#[from] TokenizerError),
    /// The engine "sherpa" cannot be had.
    #[error(transparent)]
    Sherpa(#[from] SherpaError),
    /// A phrase that the spotter cannot look for.
    #[error("{place}: phrase {id:?}: {error}")]
    Phrase {
        /// Where it stands.
        place: Place,
        /// Its id in the policy.
        id: String,
        /// What is wrong with it.
        error: PhraseError,
    },
    /// A phrase that nobody can say, or that is too short for its language.
    #[error("{place}: phrase {id:?}: {error}")]
    Pronouncing {
        /// Where it stands.
        place: Place,
        /// Its id in the policy.
        id: String,
        /// What is wrong with it.
        error: PronouncingError,
    },
    /// A phrase whose examples cannot be used.
    #[error("{place}: phrase {id:?}: {error}")]
    Examples {
        /// Where it stands.
        place: Place,
        /// Its id in the policy.
        id: String,
        /// What is wrong with them.
        error: ExampleFileError,
    },
    /// A phrase that would be found too often.
    #[error(transparent)]
    Threshold(#[from] Box<ThresholdError>),
}

impl Installed {
    /// Hashes every file of `store` that the manifest names, and loads ONNX Runtime: `library`
    /// (`ORT_DYLIB_PATH`) or else the store's own. Once a process.
    pub fn open(store: &Path, library: Option<PathBuf>) -> Result<Self, InstalledError> {
        let manifest = Manifest::parse(MANIFEST).expect("the shipped manifest was tested");
        for (file, status) in manifest.verify(store) {
            match status {
                Status::Ok => {}
                Status::Missing => {
                    return Err(InstalledError::Missing { file, store: store.to_owned() });
                }
                Status::WrongHash { expected, found } => {
                    return Err(InstalledError::WrongHash {
                        file: store.join(file),
                        found,
                        expected,
                    });
                }
                Status::Unreadable { reason } => {
                    return Err(InstalledError::Unreadable { file: store.join(file), reason });
                }
            }
        }
        let of = |purpose| {
            let model = manifest.embedder(purpose).expect("the shipped manifest has both");
            model.clone()
        };
        let (strong, watch) = (of(Purpose::Decide), of(Purpose::Watch));
        let of = |role| manifest.model(role).expect("the shipped manifest has one");
        let keyword = [Role::AcousticModel, Role::PhoneHead, Role::GermanPhoneHead];
        let keyword = keyword.map(|role| of(role).versioned_name()).join(" ");
        Ok(Self {
            runtime: Runtime::load(
                &library.unwrap_or_else(|| store.join("onnxruntime/libonnxruntime.so")),
            )?,
            store: store.to_owned(),
            models: Models {
                speaker: Embedders {
                    decide: strong.versioned_name(),
                    watch: Some(watch.versioned_name()),
                },
                keyword,
            },
            strong,
            watch,
            manifest,
        })
    }

    /// The same, with the speaker models that the configuration names.
    pub fn choose(mut self, names: &config::Models) -> Result<Self, InstalledError> {
        if let Some(name) = &names.decide {
            self.strong = self.named("decide", name)?;
            self.models.speaker.decide = self.strong.versioned_name();
        }
        if let Some(name) = &names.watch {
            self.watch = self.named("watch", name)?;
            self.models.speaker.watch = Some(self.watch.versioned_name());
        }
        Ok(self)
    }

    /// The same, with the keyword model that the configuration names in place of the store's.
    pub fn choose_engine(
        mut self,
        config: &config::keyword::Keyword,
    ) -> Result<Self, InstalledError> {
        if config.engine == Engine::Sherpa {
            let config = config.sherpa.as_ref().ok_or(SherpaError::NoFolder)?;
            self.models.keyword = sherpa::versioned_name(config)?;
        }
        Ok(self)
    }

    /// The library that runs the models.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn named(&self, key: &'static str, name: &str) -> Result<Model, InstalledError> {
        let mut all = self.manifest.embedders().map(|(model, _)| model);
        all.find(|model| model.name == name).cloned().ok_or_else(|| InstalledError::NoEmbedder {
            key,
            name: name.to_owned(),
            known: self.manifest.embedders().map(|(model, _)| model.name.clone()).collect(),
        })
    }

    /// The models' names, `name@version`.
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// A recording of the store.
    pub fn recording(&self, file: &str) -> PathBuf {
        self.store.join("recordings").join(file)
    }

    /// Loads the speaker models.
    pub fn voices(&self) -> Result<Voices<SpeakerModel>, InstalledError> {
        let load = |model| SpeakerModel::load(&self.runtime, &self.store, model);
        Ok(Voices { decide: load(&self.strong)?, watch: Some(load(&self.watch)?) })
    }

    /// Loads the model that tells who speaks when on a leg that several share.
    pub fn turns(&self) -> Result<SegmentationModel, InstalledError> {
        Ok(SegmentationModel::load(&self.runtime, &self.store, self.segmentation())?)
    }

    /// What the manifest says of it.
    pub fn segmentation(&self) -> &Model {
        self.manifest.model(Role::Segmentation).expect("the shipped manifest has one")
    }

    /// The card of the speaker model for `purpose`, and its `name@version`.
    pub fn embedder(&self, purpose: Purpose) -> (&EmbedderCard, String) {
        let model = match purpose {
            Purpose::Decide => &self.strong,
            Purpose::Watch => &self.watch,
        };
        (model.embedder.as_ref().expect("only an embedder is chosen"), model.versioned_name())
    }

    /// Loads the keyword model.
    pub fn moonshine(&self) -> Result<MoonshineModel, InstalledError> {
        let model = MoonshineModel::load(&self.runtime, &self.store)?;
        let german = self.store.join("phone-head-de/phone_head_de.onnx");
        Ok(model.with_head(&self.runtime, Language::German, &german)?)
    }

    /// A spotter that listens for the phrases of `policy`.
    pub fn spotter(&self, policy: &Policy, threshold: f32) -> Result<Arc<Spotter>, InstalledError> {
        let spotter = self.listening(policy, (threshold, None), true)?;
        let of_cards = policy.pauses.iter().filter(|pause| pause.cards);
        let languages: HashSet<Language> =
            of_cards.map(|pause| pause.language.unwrap_or_default()).collect();
        let own = thresholds(policy, &spotter, threshold)?;
        let own = own.into_iter().map(Some);
        Ok(Arc::new(spotter.with_thresholds(own).with_digits(languages)))
    }

    /// The same with one threshold for all phrases; without `phones` as if nothing were known of how anything is said.
    pub fn spotter_for_evaluation(
        &self,
        policy: &Policy,
        threshold: f32,
        phones: bool,
    ) -> Result<Spotter, InstalledError> {
        self.listening(policy, (threshold, Some(threshold)), phones)
    }

    /// A spotter with these thresholds for all phrases that the decoder, and that phones alone decide.
    fn listening(
        &self,
        policy: &Policy,
        (threshold, by_phones): (f32, Option<f32>),
        phones: bool,
    ) -> Result<Spotter, InstalledError> {
        let tokenizer = Arc::new(self.tokenizer()?);
        let phrase = |watched: &crate::policy::rule::WatchedPhrase| {
            Phrase::new(&watched.text).map_err(|error| InstalledError::Phrase {
                place: watched.place.clone(),
                id: watched.id.clone(),
                error,
            })
        };
        let phrases: Vec<Phrase> = policy.phrases.iter().map(phrase).collect::<Result<_, _>>()?;
        let lexicon = if phones { self.lexicon(policy, &phrases)? } else { Lexicon::default() };
        let Pronunciations { own, decisions } =
            Pronunciations::of(policy, by_phones).map_err(|(nth, error)| {
                let phrase = &policy.phrases[nth];
                let (place, id) = (phrase.place.clone(), phrase.id.clone());
                InstalledError::Pronouncing { place, id, error }
            })?;
        let own = if phones { own } else { Vec::new() };
        let spotter = Spotter::new(tokenizer, phrases, &lexicon, spotter::Settings { threshold });
        let spotter = spotter.with_pronunciations(own).with_phones_alone(decisions);
        Ok(spotter.with_examples(self.by_example(policy, by_phones)?))
    }

    /// What decides the phrases of `policy` that are known by example, by their places; by one `threshold` for all, or
    /// by their own.
    fn by_example(
        &self,
        policy: &Policy,
        threshold: Option<f32>,
    ) -> Result<Vec<(usize, ExampleDecision)>, InstalledError> {
        let ear = self.ear();
        let mut decisions = Vec::new();
        for (nth, phrase) in policy.phrases.iter().enumerate() {
            let Some(file) = &phrase.examples else { continue };
            let decision = ExampleFile::decision(file, &phrase.id, &ear, threshold);
            let decision = decision.map_err(|error| {
                let (place, id) = (phrase.place.clone(), phrase.id.clone());
                InstalledError::Examples { place, id, error }
            })?;
            decisions.push((nth, decision));
        }
        Ok(decisions)
    }

    /// What hears phrases by example.
    pub fn ear(&self) -> Ear {
        let digest = |role, path| {
            let model = self.manifest.model(role).expect("the manifest has one");
            let is_it = |file: &&ModelFile| file.path.ends_with(path);
            let file = model.files.iter().find(is_it).expect("the manifest was tested");
            file.sha256().expect("the manifest was tested").to_owned()
        };
        let (encoder, head) = (digest(Role::AcousticModel, ENCODER), digest(Role::PhoneHead, HEAD));
        Ear { encoder_sha256: encoder, phone_head_sha256: head }
    }

    /// How the words of `phrases` are said: as the policy says, else as the dictionary does.
    fn lexicon(&self, policy: &Policy, phrases: &[Phrase]) -> Result<Lexicon, InstalledError> {
        let mut lexicon = Lexicon::of_phrases(&self.dictionary()?, phrases)?;
        for (word, ways) in &policy.pronunciations {
            let ways = ways.iter().filter_map(|way| phones_named(way).ok()).collect();
            lexicon = lexicon.with(word, ways);
        }
        Ok(lexicon)
    }

    /// Words that people often say, most frequent first, at most `most`, each said as usual: those of the keyword model's
    /// vocabulary that the dictionary has.
    pub fn common_words(&self, most: usize) -> Result<Vec<CommonWord>, InstalledError> {
        let words: Vec<String> = self.tokenizer()?.frequent_words().take(2 * most).collect();
        let lexicon = Lexicon::parse(&self.dictionary()?, &words.iter().cloned().collect())?;
        let said = words.into_iter().filter_map(|word| {
            let way = lexicon.pronunciations(&word)?.into_iter().next()?;
            Some((word, way))
        });
        Ok(said.take(most).collect())
    }

    fn tokenizer(&self) -> Result<Tokenizer, InstalledError> {
        let file = self.store.join("moonshine-tiny-en/tokenizer.bin");
        let bytes = fs::read(&file)
            .map_err(|error| InstalledError::Unreadable { file, reason: error.to_string() })?;
        Ok(Tokenizer::parse(&bytes)?)
    }

    /// What `spotter` makes of the phrases of `policy`, which are its own.
    pub fn phrase_facts(
        &self,
        policy: &Policy,
        spotter: &Spotter,
    ) -> Result<Vec<Facts>, InstalledError> {
        let lexicon = self.lexicon(policy, spotter.phrases())?;
        let facts = |(place, phrase): (usize, &Phrase)| {
            let ways = spotter.ways_of(place).to_vec();
            let missing = if ways.is_empty() { lexicon.missing(phrase) } else { Vec::new() };
            let (shape, threshold) = (spotter.shape_of(place), spotter.threshold_of(place));
            Facts { phrase: phrase.clone(), ways, missing, shape, threshold }
        };
        Ok(spotter.phrases().iter().enumerate().map(facts).collect())
    }

    /// The dictionary's text.
    fn dictionary(&self) -> Result<String, InstalledError> {
        let file = self.store.join("cmudict/cmudict.dict");
        fs::read_to_string(&file)
            .map_err(|error| InstalledError::Unreadable { file, reason: error.to_string() })
    }
}
