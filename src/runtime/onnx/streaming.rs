//! Streaming models in the file layout of sherpa-onnx: a transducer's `encoder.onnx`, `decoder.onnx` and `joiner.onnx`, or
//! a CTC model's one `model.onnx`.
//!
//! Inputs and outputs go by their order, as in the package: first the features or what comes of them, then the states.

pub mod encoder;
pub mod layout;
pub mod metadata;

use std::path::PathBuf;

use ort::session::Session;
use ort::session::SessionInputValue;
use ort::value::{Tensor, ValueType};

use crate::keyword::streaming::model::{Chunk, StreamingModel, Transducer};
use crate::runtime::onnx::streaming::encoder::{Encoder, State, end, numbers};
use crate::runtime::onnx::streaming::layout::{Layout, LayoutError};
use crate::runtime::onnx::streaming::metadata::{Metadata, MetadataError, number};
use crate::runtime::onnx::{OnnxError, Runtime};

/// Why a folder's model cannot be used, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum StreamingError {
    /// Its files are not there.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// ONNX Runtime would not have them.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// What it says of itself is not enough, or not true.
    #[error("{}: {error}", .file.display())]
    Metadata {
        /// Which file.
        file: PathBuf,
        /// What was wanted and found.
        error: MetadataError,
    },
}

/// Either kind.
#[derive(Debug)]
pub enum StreamingOnnx {
    /// Three graphs.
    Transducer(Box<StreamingTransducer>),
    /// One graph.
    Ctc(StreamingCtc),
}

/// A transducer.
#[derive(Debug)]
pub struct StreamingTransducer {
    encoder: Encoder,
    decoder: Graph,
    joiner: Graph,
    /// Pieces that the next one depends on.
    context: usize,
    vocabulary: usize,
}

/// A CTC model.
#[derive(Debug)]
pub struct StreamingCtc {
    encoder: Encoder,
    vocabulary: usize,
}

/// A graph without states.
#[derive(Debug)]
struct Graph {
    session: Session,
    inputs: Vec<String>,
    output: String,
}

impl StreamingOnnx {
    /// Loads what lies in `layout`.
    pub fn load(runtime: &Runtime, layout: &Layout) -> Result<Self, StreamingError> {
        Ok(match layout {
            Layout::Transducer { encoder, decoder, joiner, .. } => {
                let told = |session: &Session, key| -> Result<usize, MetadataError> {
                    let metadata = session.metadata().map_err(|_| MetadataError::None)?;
                    number(&|key| metadata.custom(key), key)
                };
                let encoder = Encoder::load(runtime, encoder)?;
                let session = runtime.session(decoder)?;
                let of_decoder = |error| StreamingError::Metadata { file: decoder.clone(), error };
                let context = told(&session, "context_size").map_err(of_decoder)?;
                let vocabulary = told(&session, "vocab_size").map_err(of_decoder)?;
                let decoder = Graph::new(session, 1).map_err(of_decoder)?;
                let session = runtime.session(joiner)?;
                let joiner = Graph::new(session, 2)
                    .map_err(|error| StreamingError::Metadata { file: joiner.clone(), error })?;
                Self::Transducer(Box::new(StreamingTransducer {
                    encoder,
                    decoder,
                    joiner,
                    context,
                    vocabulary,
                }))
            }
            Layout::Ctc { model, .. } => {
                let encoder = Encoder::load(runtime, model)?;
                let of_model = |error| StreamingError::Metadata { file: model.clone(), error };
                let vocabulary = encoder.columns().ok_or(MetadataError::Columns);
                Self::Ctc(StreamingCtc { vocabulary: vocabulary.map_err(of_model)?, encoder })
            }
        })
    }

    /// Word pieces that it tells apart.
    pub fn vocabulary(&self) -> usize {
        match self {
            Self::Transducer(model) => model.vocabulary,
            Self::Ctc(model) => model.vocabulary,
        }
    }
}

impl Graph {
    fn new(session: Session, inputs: usize) -> Result<Self, MetadataError> {
        let found = session.inputs().len();
        if found != inputs {
            return Err(MetadataError::Inputs { wanted: inputs, found });
        }
        let names = session.inputs().iter().map(|input| input.name().to_owned()).collect();
        let output = session.outputs().first().ok_or(MetadataError::Columns)?.name().to_owned();
        Ok(Self { session, inputs: names, output })
    }

    /// The numbers of its output, and how many lie in a row of it.
    fn run<const N: usize>(
        &mut self,
        tensors: [SessionInputValue<'_>; N],
        rows: usize,
    ) -> Result<Vec<f32>, OnnxError> {
        let named = self.inputs.iter().map(|name| name.as_str().into());
        let inputs: Vec<(std::borrow::Cow<'_, str>, _)> = named.zip(tensors).collect();
        let outputs = self.session.run(inputs)?;
        let value = outputs.get(&self.output);
        let value = value.ok_or_else(|| OnnxError::NoOutput(self.output.clone()))?;
        let (_, numbers) = numbers(value, &self.output)?;
        if numbers.len() % rows != 0 {
            return Err(end(&self.output, format!("has {} numbers in {rows} rows", numbers.len())));
        }
        Ok(numbers)
    }
}

impl StreamingModel for StreamingTransducer {
    type Error = OnnxError;
    type State = State;

    fn chunk(&self) -> Chunk {
        self.encoder.chunk(self.vocabulary)
    }

    fn begin(&self) -> Result<State, OnnxError> {
        self.encoder.begin()
    }

    fn encode(&mut self, features: &[f32], state: &mut State) -> Result<Vec<Vec<f32>>, OnnxError> {
        self.encoder.run(features, state)
    }
}

impl Transducer for StreamingTransducer {
    fn context(&self) -> usize {
        self.context
    }

    fn predict(&mut self, pieces: &[i64]) -> Result<Vec<f32>, OnnxError> {
        let pieces = Tensor::from_array(([1, pieces.len()], pieces.to_vec()))?;
        self.decoder.run([pieces.into()], 1)
    }

    fn join(&mut self, row: &[f32], predictions: &[&[f32]]) -> Result<Vec<f32>, OnnxError> {
        let paths = predictions.len();
        let rows = Tensor::from_array(([paths, row.len()], row.repeat(paths)))?;
        let together = predictions.concat();
        let width = together.len() / paths;
        let predictions = Tensor::from_array(([paths, width], together))?;
        let logits = self.joiner.run([rows.into(), predictions.into()], paths)?;
        if logits.len() != paths * self.vocabulary {
            let found =
                format!("has {} numbers a row, not {}", logits.len() / paths, self.vocabulary);
            return Err(end(&self.joiner.output, found));
        }
        Ok(logits)
    }
}

impl StreamingModel for StreamingCtc {
    type Error = OnnxError;
    type State = State;

    fn chunk(&self) -> Chunk {
        self.encoder.chunk(self.vocabulary)
    }

    fn begin(&self) -> Result<State, OnnxError> {
        self.encoder.begin()
    }

    fn encode(&mut self, features: &[f32], state: &mut State) -> Result<Vec<Vec<f32>>, OnnxError> {
        self.encoder.run(features, state)
    }
}

/// The last dimension of the session's first output, where the graph has one.
fn last_size(session: &Session) -> Option<usize> {
    match session.outputs().first()?.dtype() {
        ValueType::Tensor { shape, .. } => usize::try_from(*shape.last()?).ok(),
        _ => None,
    }
}

/// Its metadata.
fn metadata_of(session: &Session) -> Result<Metadata, MetadataError> {
    let metadata = session.metadata().map_err(|_| MetadataError::None)?;
    Metadata::read(&|key| metadata.custom(key))
}
