//! Moonshine tiny-en, the keyword model: speech to word pieces.

use std::ops::Range;
use std::path::Path;

use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionOutputs};
use ort::value::{DynValue, Tensor};

use crate::keyword::acoustic_model::{AcousticModel, Lane, Query, TokenId};
use crate::keyword::language::Language;
use crate::keyword::phones::{PhoneScores, SYMBOLS};
use crate::runtime::onnx::decoder_lanes::{DecoderLanes, LAYERS};
use crate::runtime::onnx::{OnnxError, Runtime, spelt};

/// Segments that are decoded together: a step of one takes 1.1 ms, of eight 3.8, of sixteen 6.5 (one core of an
/// AMD EPYC with AVX-512); each holds 2.8 MB.
pub const LANES: usize = 8;
/// Room of a lane: the longest segment has 165 frames, and 26 tokens. It is the same for all, because sums of another
/// length would be rounded otherwise.
const FRAMES: usize = 168;
const TOKENS: usize = 32;
/// What may not be attended to.
const HIDDEN: f32 = -1e30;

/// Moonshine tiny-en: an encoder, the phone head on its output, and the decoder in the form that
/// `models/moonshine.py` gives it.
pub struct MoonshineModel {
    encoder: Session,
    head: Session,
    /// The same of other languages.
    other_heads: Vec<(Language, Session)>,
    /// What the decoder attends to of a segment.
    audio: Session,
    steps: Session,
    lanes: DecoderLanes,
    /// Outputs of `audio` and of `steps`: keys and values by layer.
    heard: Vec<String>,
    new: Vec<String>,
    /// A question leaves the memory alone, so it does not even take it out.
    only_probabilities: RunOptions<HasSelectedOutputs>,
}

/// A segment as the decoder hears it.
#[derive(Debug)]
pub struct Heard {
    /// f32 [1, frames, 288].
    hidden: DynValue,
    frames: usize,
}

impl std::fmt::Debug for MoonshineModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MoonshineModel").finish_non_exhaustive()
    }
}

impl MoonshineModel {
    /// Loads the four graphs from the models' `store`.
    pub fn load(runtime: &Runtime, store: &Path) -> Result<Self, OnnxError> {
        let graph = |file: &str| runtime.session(&store.join(file));
        let names = |part: &str| -> Vec<String> {
            let name = |layer| ["key", "value"].map(|what| format!("{part}.{layer}.{what}"));
            (0..LAYERS).flat_map(name).collect()
        };
        Ok(Self {
            encoder: graph("moonshine-tiny-en/encoder_model.ort")?,
            head: graph("phone-head/phone_head.onnx")?,
            other_heads: Vec::new(),
            audio: graph("moonshine-tiny-en/decoder_audio.onnx")?,
            steps: graph("moonshine-tiny-en/decoder_steps.onnx")?,
            lanes: DecoderLanes::new(LANES, FRAMES, TOKENS),
            heard: names("cross"),
            new: names("new"),
            only_probabilities: RunOptions::new()?
                .with_outputs(OutputSelector::no_default().with("logp")),
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

/// What may be attended to, f32 of the graph's shape.
fn mask(shape: [usize; 4], numbers: Vec<f32>) -> Result<Tensor<f32>, OnnxError> {
    Ok(Tensor::from_array((shape, numbers))?)
}

/// i64 [rows, tokens].
fn whole(rows: usize, numbers: Vec<i64>) -> Result<Tensor<i64>, OnnxError> {
    Ok(Tensor::from_array(([rows, numbers.len() / rows], numbers))?)
}

/// The entries that count, of so many.
fn open(entries: Range<usize>, of: usize) -> impl Iterator<Item = f32> {
    (0..of).map(move |entry| if entries.contains(&entry) { 0.0 } else { HIDDEN })
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

    fn encode(&mut self, samples: &[f32]) -> Result<Heard, OnnxError> {
        let shape = [1, samples.len()];
        let mut outputs = self.encoder.run(ort::inputs! {
            "input_values" => Tensor::from_array((shape, samples.to_vec()))?,
            "attention_mask" => Tensor::from_array((shape, vec![1_i64; samples.len()]))?,
        })?;
        let hidden = take(&mut outputs, "last_hidden_state")?;
        let frames = hidden.try_extract_tensor::<f32>()?.0.get(1).copied().unwrap_or_default();
        let frames = usize::try_from(frames).unwrap_or_default();
        Ok(Heard { hidden, frames })
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

    fn lanes(&self) -> usize {
        self.lanes.lanes()
    }

    fn open(&mut self, audio: &Heard) -> Result<Lane, OnnxError> {
        let mut outputs = self.audio.run(ort::inputs! { "hidden" => &audio.hidden })?;
        let heard = self.heard.iter().map(|name| take(&mut outputs, name));
        let heard = heard.collect::<Result<Vec<_>, _>>()?;
        self.lanes.open(audio.frames, &heard)
    }

    fn step(
        &mut self,
        fed: &[(Lane, TokenId)],
        see: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), OnnxError> {
        let Self { lanes, steps, new, .. } = self;
        lanes.gather(fed.iter().map(|(lane, _)| *lane));
        let (rows, (room, frames)) = (fed.len(), lanes.room());
        let (mut positions, mut remembered, mut heard) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..rows {
            let (tokens, own) = lanes.length(row);
            positions.push(tokens as i64);
            remembered.extend(open(0..tokens, room).chain([0.0]));
            heard.extend(open(0..own, frames));
        }
        let mut inputs = lanes.inputs(0, rows)?;
        let ids = fed.iter().map(|(_, token)| i64::from(*token)).collect();
        inputs.push(("ids", whole(rows, ids)?.into()));
        inputs.push(("positions", whole(rows, positions)?.into()));
        inputs.push(("mask", mask([rows, 1, 1, room + 1], remembered)?.into()));
        inputs.push(("heard", mask([rows, 1, 1, frames], heard)?.into()));
        let mut outputs = steps.run(inputs)?;
        let fresh = new.iter().map(|name| take(&mut outputs, name));
        let fresh = fresh.collect::<Result<Vec<_>, _>>()?;
        let (vocabulary, log_p) = probabilities(&outputs)?;
        for (row, log_p) in log_p.chunks_exact(vocabulary).enumerate() {
            see(row, log_p);
        }
        drop(outputs);
        lanes.remember(rows, &fresh)
    }

    fn score(
        &mut self,
        lane: Lane,
        heard: Range<usize>,
        queries: &[Query<'_>],
        see: &mut dyn FnMut(usize, usize, &[f32]),
    ) -> Result<(), OnnxError> {
        let Self { lanes, steps, only_probabilities, .. } = self;
        let (row, (room, frames)) = (lanes.row(lane), lanes.room());
        let total: usize = queries.iter().map(|query| query.tokens.len()).sum();
        let (mut ids, mut positions) = (Vec::new(), Vec::new());
        let (mut places, mut remembered) = (Vec::new(), Vec::new());
        for (number, query) in queries.iter().enumerate() {
            let first = ids.len();
            for (place, token) in query.tokens.iter().enumerate() {
                ids.push(i64::from(*token));
                positions.push((query.history + place) as i64);
                places.push((number, place));
                // Each token knows the history of its own query, and what was fed of it so far.
                let own = open(first..first + place + 1, total);
                remembered.extend(open(0..query.history, room).chain(own));
            }
        }
        let mut inputs = lanes.inputs(row, 1)?;
        inputs.push(("ids", whole(1, ids)?.into()));
        inputs.push(("positions", whole(1, positions)?.into()));
        inputs.push(("mask", mask([1, 1, total, room + total], remembered)?.into()));
        inputs.push(("heard", mask([1, 1, 1, frames], open(heard, frames).collect())?.into()));
        let outputs = steps.run_with_options(inputs, only_probabilities)?;
        let (vocabulary, log_p) = probabilities(&outputs)?;
        for ((query, place), log_p) in places.into_iter().zip(log_p.chunks_exact(vocabulary)) {
            see(query, place, log_p);
        }
        Ok(())
    }

    fn close(&mut self, lane: Lane) {
        self.lanes.close(lane);
    }
}

/// The size of the vocabulary, and the natural logs of its probabilities [tokens, vocabulary].
fn probabilities<'a>(outputs: &'a SessionOutputs<'_>) -> Result<(usize, &'a [f32]), OnnxError> {
    let missing = || OnnxError::NoOutput("logp".into());
    let (shape, log_p) = outputs.get("logp").ok_or_else(missing)?.try_extract_tensor::<f32>()?;
    let vocabulary = shape.last().and_then(|&size| usize::try_from(size).ok()).unwrap_or_default();
    if vocabulary == 0 {
        return Err(missing());
    }
    Ok((vocabulary, log_p))
}

fn take(outputs: &mut SessionOutputs<'_>, name: &str) -> Result<DynValue, OnnxError> {
    outputs.remove(name).ok_or_else(|| OnnxError::NoOutput(name.to_owned()))
}
