//! Moonshine tiny-en, the keyword model: speech to word pieces.

use std::borrow::Cow;
use std::path::Path;

use ort::memory::Allocator;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionInputValue};
use ort::value::{DynValue, Tensor};

use crate::keyword::acoustic_model::{AcousticModel, BEGIN, FRAME_SAMPLES, Query, TokenId};
use crate::keyword::language::Language;
use crate::keyword::phones::{PhoneScores, SYMBOLS};
use crate::runtime::onnx::{OnnxError, Runtime, spelt};

/// Moonshine tiny-en's decoder: layers, heads and numbers per head.
const LAYERS: usize = 6;
const HEADS: usize = 8;
const HEAD_SIZE: usize = 36;

/// Moonshine tiny-en: an encoder, and a decoder whose one graph has a branch with memory and one
/// without.
pub struct MoonshineModel {
    encoder: Session,
    decoder: Session,
    /// The phone head on the encoder's output.
    head: Session,
    /// The same of other languages.
    other_heads: Vec<(Language, Session)>,
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
    /// Loads `encoder_model.ort`, `decoder_model_merged.ort` and the phone head's graph.
    pub fn load(
        runtime: &Runtime,
        encoder: &Path,
        decoder: &Path,
        head: &Path,
    ) -> Result<Self, OnnxError> {
        Ok(Self {
            encoder: runtime.session(encoder)?,
            decoder: runtime.session(decoder)?,
            head: runtime.session(head)?,
            other_heads: Vec::new(),
            names: Names::new(),
            only_logits: RunOptions::new()?
                .with_outputs(OutputSelector::no_default().with("logits")),
        })
    }

    /// The same with a phone head of `language` besides.
    pub fn with_head(
        mut self,
        runtime: &Runtime,
        language: Language,
        head: &Path,
    ) -> Result<Self, OnnxError> {
        self.other_heads.push((language, runtime.session(head)?));
        Ok(self)
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

/// What a phone head hears in a segment.
fn hear(head: &mut Session, audio: &Heard) -> Result<PhoneScores, OnnxError> {
    let outputs = head.run(ort::inputs! { "feat" => &audio.hidden })?;
    let missing = || OnnxError::NoOutput("logp".into());
    let output = outputs.get("logp").ok_or_else(missing)?;
    let (shape, numbers) = output.try_extract_tensor::<f32>()?;
    let refuse = |reason: String| OnnxError::Output {
        model: "phone-head".to_owned(),
        output: "logp".to_owned(),
        reason,
    };
    if numbers.len() != audio.frames * SYMBOLS.len() {
        let wanted = [1, audio.frames as i64, SYMBOLS.len() as i64];
        return Err(refuse(format!("has shape {}, not {}", spelt(shape), spelt(&wanted))));
    }
    if let Some(number) = numbers.iter().find(|number| number.is_nan()) {
        return Err(refuse(format!("holds {number}")));
    }
    Ok(PhoneScores { log_p: numbers.to_vec() })
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

    fn phones(&mut self, audio: &Heard) -> Result<Option<PhoneScores>, OnnxError> {
        hear(&mut self.head, audio).map(Some)
    }

    fn phones_in(
        &mut self,
        language: Language,
        audio: &Heard,
    ) -> Result<Option<PhoneScores>, OnnxError> {
        let head = self.other_heads.iter_mut().find(|(known, _)| *known == language);
        head.map(|(_, head)| hear(head, audio)).transpose()
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
