//! ONNX Runtime: the models of the other wings, run. The only file that names `ort`.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use ort::environment::Environment;
use ort::memory::Allocator;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionInputValue};
use ort::value::{DynValue, Tensor};

use crate::audio::mel::{BINS, FilterBank};
use crate::keyword::acoustic_model::{AcousticModel, BEGIN, FRAME_SAMPLES, Query, TokenId};
use crate::speaker::embedder::Embedder;

/// Moonshine tiny-en's decoder: layers, heads and numbers per head.
const LAYERS: usize = 6;
const HEADS: usize = 8;
const HEAD_SIZE: usize = 36;

/// Why a model could not be had or run, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The shared library is missing, or is not ONNX Runtime.
    #[error("ONNX Runtime cannot be loaded from {}: {reason}", path.display())]
    Library {
        /// The file that was wanted.
        path: PathBuf,
        /// What the loader says.
        reason: String,
    },
    /// A model file is missing, or is none.
    #[error("model {} cannot be loaded: {reason}", path.display())]
    Model {
        /// The file that was wanted.
        path: PathBuf,
        /// What ONNX Runtime says.
        reason: String,
    },
    /// A run failed.
    #[error("a model run failed: {0}")]
    Run(#[from] ort::Error),
    /// The model answers otherwise than its card says.
    #[error("the model has no output {0}")]
    NoOutput(String),
    /// The windows of one batch are of several lengths.
    #[error("a window of {found} samples in a batch of windows of {wanted}")]
    Window {
        /// Samples of the first.
        wanted: usize,
        /// Samples of another.
        found: usize,
    },
}

/// The loaded library. A process has one, to be cloned; every model of it keeps it alive.
#[derive(Clone, Debug)]
pub struct Runtime {
    environment: Environment,
}

impl Runtime {
    /// Loads `libonnxruntime.so` from exactly `library`; its telemetry stays off.
    ///
    /// Once a process: ONNX Runtime's environment cannot be made a second time, so a second call is
    /// refused.
    pub fn load(library: &Path) -> Result<Self, OnnxError> {
        let refuse = |reason: String| OnnxError::Library {
            path: library.to_owned(),
            reason: one_sentence(&reason),
        };
        if !library.is_file() {
            return Err(refuse("there is no such file".to_owned()));
        }
        let environment = ort::init_from(library)
            .map_err(|error| refuse(error.to_string()))?
            .with_telemetry(false)
            .build()
            .map_err(|error| refuse(error.to_string()))?;
        Ok(Self { environment })
    }

    /// A session for one inference thread: it computes on its caller's thread and never spins.
    fn session(&self, model: &Path) -> Result<Session, OnnxError> {
        let refuse = |reason: String| OnnxError::Model {
            path: model.to_owned(),
            reason: one_sentence(&reason),
        };
        if !model.is_file() {
            return Err(refuse("there is no such file".to_owned()));
        }
        // A failed builder hands itself back and is not `Send`, so only its words go on.
        let build = || -> ort::Result<Session> {
            Session::builder(&self.environment)?
                .with_intra_threads(1)?
                .with_inter_threads(1)?
                .with_intra_op_spinning(false)?
                .with_inter_op_spinning(false)?
                .commit_from_file(model)
        };
        build().map_err(|error| refuse(error.to_string()))
    }
}

/// The loader's messages span lines; ours are one sentence.
fn one_sentence(reason: &str) -> String {
    reason.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// WeSpeaker ResNet34: `fbank` [batch, frames, 80] and `weights` [batch, frames] to `embedding`
/// [batch, 256].
#[derive(Debug)]
pub struct SpeakerModel {
    filter_bank: FilterBank,
    session: Session,
}

impl SpeakerModel {
    /// Loads the model.
    pub fn load(runtime: &Runtime, model: &Path) -> Result<Self, OnnxError> {
        Ok(Self { filter_bank: FilterBank::new(), session: runtime.session(model)? })
    }
}

impl Embedder for SpeakerModel {
    type Error = OnnxError;

    fn embed(&mut self, windows: &[&[f32]]) -> Result<Vec<Vec<f32>>, OnnxError> {
        let Some(wanted) = windows.first().map(|window| window.len()) else {
            return Ok(Vec::new());
        };
        let (mut frames, mut energies) = (0, Vec::new());
        for window in windows {
            if window.len() != wanted {
                return Err(OnnxError::Window { wanted, found: window.len() });
            }
            let mut fbank = self.filter_bank.compute(window);
            fbank.subtract_mean();
            frames = fbank.frames;
            energies.append(&mut fbank.energies);
        }
        let batch = windows.len();
        let outputs = self.session.run(ort::inputs! {
            "fbank" => Tensor::from_array(([batch, frames, BINS], energies))?,
            // 1 keeps a frame; the window holds speech only.
            "weights" => Tensor::from_array(([batch, frames], vec![1.0_f32; batch * frames]))?,
        })?;
        let embedding =
            outputs.get("embedding").ok_or_else(|| OnnxError::NoOutput("embedding".into()))?;
        let numbers = embedding.try_extract_tensor::<f32>()?.1;
        Ok(numbers.chunks_exact((numbers.len() / batch).max(1)).map(<[f32]>::to_vec).collect())
    }
}

/// Moonshine tiny-en: an encoder, and a decoder whose one graph has a branch with memory and one
/// without.
pub struct MoonshineModel {
    encoder: Session,
    decoder: Session,
    names: Names,
    /// A question leaves the memory alone, so it does not even take it out.
    only_logits: RunOptions<HasSelectedOutputs>,
}

/// A segment as the decoder hears it.
#[derive(Debug)]
pub struct Heard {
    /// f32 [1, frames, 288].
    hidden: DynValue,
    /// Every frame may be attended to; see [`mask`].
    mask: Tensor<i64>,
    frames: usize,
}

/// The decoder's memory, left where ONNX Runtime put it.
#[derive(Debug)]
pub struct Memory {
    /// Keys and values of the tokens so far, f32 [1, 8, tokens, 36], by layer.
    tokens: Vec<DynValue>,
    /// Keys and values of the audio, f32 [1, 8, frames, 36], by layer. Only the first run's count.
    audio: Vec<DynValue>,
    length: usize,
}

/// Names of the decoder's 24 memory tensors, spelled once; keys and values of all layers.
#[derive(Debug)]
struct Names {
    past_tokens: Vec<String>,
    past_audio: Vec<String>,
    present_tokens: Vec<String>,
    present_audio: Vec<String>,
}

impl Names {
    fn new() -> Self {
        let spell = |tense: &str, part: &str| {
            let layers = (0..LAYERS).map(|layer| format!("{tense}.{layer}.{part}"));
            layers.flat_map(|name| ["key", "value"].map(|what| format!("{name}.{what}"))).collect()
        };
        Self {
            past_tokens: spell("past_key_values", "decoder"),
            past_audio: spell("past_key_values", "encoder"),
            present_tokens: spell("present", "decoder"),
            present_audio: spell("present", "encoder"),
        }
    }
}

impl std::fmt::Debug for MoonshineModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MoonshineModel").finish_non_exhaustive()
    }
}

impl MoonshineModel {
    /// Loads `encoder_model.ort` and `decoder_model_merged.ort`.
    pub fn load(runtime: &Runtime, encoder: &Path, decoder: &Path) -> Result<Self, OnnxError> {
        Ok(Self {
            encoder: runtime.session(encoder)?,
            decoder: runtime.session(decoder)?,
            names: Names::new(),
            only_logits: RunOptions::new()?
                .with_outputs(OutputSelector::no_default().with("logits")),
        })
    }
}

/// Which frames may be attended to. The graph wants this at the rate of samples and looks at every
/// 384th only; a mask at frame rate, as its dimension is named, fails.
fn mask(frames: usize, heard: &std::ops::Range<usize>) -> Result<Tensor<i64>, OnnxError> {
    let mut mask = vec![0_i64; frames * FRAME_SAMPLES];
    for frame in heard.clone() {
        mask[frame * FRAME_SAMPLES] = 1;
    }
    Ok(Tensor::from_array(([1, mask.len()], mask))?)
}

/// Token ids as the graph takes them, i64 [1, tokens].
fn ids(tokens: &[TokenId]) -> Result<Tensor<i64>, OnnxError> {
    let ids: Vec<i64> = tokens.iter().copied().map(i64::from).collect();
    Ok(Tensor::from_array(([1, ids.len()], ids))?)
}

/// The first `length` entries of a memory tensor, f32 [1, 8, entries, 36].
fn shortened(entries: &DynValue, length: usize) -> Result<DynValue, OnnxError> {
    let shape = [1, HEADS, length, HEAD_SIZE];
    if length == 0 {
        // An array of no numbers has no address to be taken from.
        return Ok(Tensor::<f32>::new(&Allocator::default(), shape)?.into_dyn());
    }
    let (_, numbers) = entries.try_extract_tensor::<f32>()?;
    let per_head = numbers.len() / HEADS;
    let mut kept = Vec::with_capacity(HEADS * length * HEAD_SIZE);
    for head in numbers.chunks_exact(per_head) {
        kept.extend_from_slice(&head[..length * HEAD_SIZE]);
    }
    Ok(Tensor::from_array((shape, kept))?.into_dyn())
}

type Inputs<'a> = Vec<(Cow<'a, str>, SessionInputValue<'a>)>;

/// What every run of the decoder takes beside its memory.
fn inputs<'a>(
    hidden: &'a DynValue,
    mask: &'a Tensor<i64>,
    tokens: &[TokenId],
    with_memory: bool,
) -> Result<Inputs<'a>, OnnxError> {
    Ok(vec![
        ("input_ids".into(), ids(tokens)?.into()),
        ("encoder_hidden_states".into(), hidden.into()),
        ("encoder_attention_mask".into(), mask.into()),
        ("use_cache_branch".into(), Tensor::from_array(([1], vec![with_memory]))?.into()),
    ])
}

/// Adds a memory to `inputs`, without copying it.
fn remember<'a>(
    inputs: &mut Inputs<'a>,
    names: &'a [String],
    tensors: impl IntoIterator<Item = &'a DynValue>,
) {
    inputs.extend(names.iter().zip(tensors).map(|(n, t)| (Cow::from(n.as_str()), t.into())));
}

impl AcousticModel for MoonshineModel {
    type Error = OnnxError;
    type Audio = Heard;
    type Cache = Memory;

    fn encode(&mut self, samples: &[f32]) -> Result<Heard, OnnxError> {
        let shape = [1, samples.len()];
        let mut outputs = self.encoder.run(ort::inputs! {
            "input_values" => Tensor::from_array((shape, samples.to_vec()))?,
            "attention_mask" => Tensor::from_array((shape, vec![1_i64; samples.len()]))?,
        })?;
        let hidden = take(&mut outputs, "last_hidden_state")?;
        let frames = hidden.try_extract_tensor::<f32>()?.0.get(1).copied().unwrap_or_default();
        let frames = usize::try_from(frames).unwrap_or_default();
        Ok(Heard { hidden, mask: mask(frames, &(0..frames))?, frames })
    }

    fn frames(&self, audio: &Heard) -> usize {
        audio.frames
    }

    fn first(&mut self, audio: &Heard, see: &mut dyn FnMut(&[f32])) -> Result<Memory, OnnxError> {
        let Self { decoder, names, .. } = self;
        let nothing = Tensor::<f32>::new(&Allocator::default(), [1, HEADS, 0, HEAD_SIZE])?;
        let nothing = nothing.into_dyn();
        let mut inputs = inputs(&audio.hidden, &audio.mask, &[BEGIN], false)?;
        remember(&mut inputs, &names.past_tokens, std::iter::repeat(&nothing));
        remember(&mut inputs, &names.past_audio, std::iter::repeat(&nothing));
        let mut outputs = decoder.run(inputs)?;
        see(logits(&outputs)?.1);
        let mut take_all = |names: &[String]| -> Result<Vec<DynValue>, OnnxError> {
            names.iter().map(|name| take(&mut outputs, name)).collect()
        };
        let tokens = take_all(&names.present_tokens)?;
        Ok(Memory { tokens, audio: take_all(&names.present_audio)?, length: 1 })
    }

    fn step(
        &mut self,
        audio: &Heard,
        cache: Memory,
        token: TokenId,
        see: &mut dyn FnMut(&[f32]),
    ) -> Result<Memory, OnnxError> {
        let Self { decoder, names, .. } = self;
        let mut inputs = inputs(&audio.hidden, &audio.mask, &[token], true)?;
        remember(&mut inputs, &names.past_tokens, &cache.tokens);
        remember(&mut inputs, &names.past_audio, &cache.audio);
        let mut outputs = decoder.run(inputs)?;
        see(logits(&outputs)?.1);
        let present = names.present_tokens.iter().map(|name| take(&mut outputs, name));
        let tokens = present.collect::<Result<_, _>>()?;
        drop(outputs);
        Ok(Memory { tokens, audio: cache.audio, length: cache.length + 1 })
    }

    fn score(
        &mut self,
        audio: &Heard,
        cache: &Memory,
        query: &Query<'_>,
        see: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), OnnxError> {
        let Self { decoder, names, only_logits, .. } = self;
        let covered = if query.heard == (0..audio.frames) {
            None
        } else {
            Some(mask(audio.frames, &query.heard)?)
        };
        let cut = if query.history == cache.length {
            None
        } else {
            let cut = cache.tokens.iter().map(|entries| shortened(entries, query.history));
            Some(cut.collect::<Result<Vec<_>, _>>()?)
        };
        let mask = covered.as_ref().unwrap_or(&audio.mask);
        let mut inputs = inputs(&audio.hidden, mask, query.tokens, true)?;
        remember(&mut inputs, &names.past_tokens, cut.as_ref().unwrap_or(&cache.tokens));
        remember(&mut inputs, &names.past_audio, &cache.audio);
        let outputs = decoder.run_with_options(inputs, only_logits)?;
        let (vocabulary, logits) = logits(&outputs)?;
        for (place, logits) in logits.chunks_exact(vocabulary).enumerate() {
            see(place, logits);
        }
        Ok(())
    }
}

/// The size of the vocabulary, and the logits [tokens, vocabulary].
fn logits<'a>(
    outputs: &'a ort::session::SessionOutputs<'_>,
) -> Result<(usize, &'a [f32]), OnnxError> {
    let missing = || OnnxError::NoOutput("logits".into());
    let (shape, logits) = outputs.get("logits").ok_or_else(missing)?.try_extract_tensor::<f32>()?;
    let vocabulary = shape.last().and_then(|&size| usize::try_from(size).ok()).unwrap_or_default();
    if vocabulary == 0 {
        return Err(missing());
    }
    Ok((vocabulary, logits))
}

fn take(outputs: &mut ort::session::SessionOutputs<'_>, name: &str) -> Result<DynValue, OnnxError> {
    outputs.remove(name).ok_or_else(|| OnnxError::NoOutput(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_one_sentence() {
        let error = Runtime::load(Path::new("nowhere/libonnxruntime.so")).expect_err("no library");
        assert_eq!(
            error.to_string(),
            "ONNX Runtime cannot be loaded from nowhere/libonnxruntime.so: there is no such file"
        );
    }

    #[test]
    fn a_file_that_is_no_library_is_one_sentence() {
        let error = Runtime::load(Path::new("Cargo.toml")).expect_err("no library").to_string();
        assert!(error.starts_with("ONNX Runtime cannot be loaded from Cargo.toml: "), "{error}");
        assert_eq!(error.lines().count(), 1);
    }

    #[test]
    fn a_model_may_move_to_its_inference_thread() {
        fn assert_send<T: Send>() {}
        assert_send::<SpeakerModel>();
        assert_send::<MoonshineModel>();
    }
}
