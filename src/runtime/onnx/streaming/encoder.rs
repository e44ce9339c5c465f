//! An encoder with its states, whatever they are called.

use std::borrow::Cow;
use std::path::Path;

use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Tensor, TensorElementType, ValueType};

use crate::audio::fbank::K2;
use crate::keyword::streaming::model::Chunk;
use crate::runtime::onnx::streaming::metadata::{Metadata, MetadataError, StateShape};
use crate::runtime::onnx::streaming::{StreamingError, last_size, metadata_of};
use crate::runtime::onnx::{OnnxError, Runtime, spelt};

/// What an encoder remembers of one stream, left where ONNX Runtime put it.
#[derive(Debug)]
pub struct State(Vec<DynValue>);

/// The graph, and what it says of itself.
#[derive(Debug)]
pub struct Encoder {
    session: Session,
    metadata: Metadata,
    /// Names of the features and the states.
    inputs: Vec<String>,
    /// Names of the rows and the next states.
    outputs: Vec<String>,
}

impl Encoder {
    /// Loads `file`, and holds its graph against its metadata.
    pub fn load(runtime: &Runtime, file: &Path) -> Result<Self, StreamingError> {
        let session = runtime.session(file)?;
        let metadata = metadata_of(&session).and_then(|metadata| {
            checked(&session, &metadata)?;
            Ok(metadata)
        });
        let metadata =
            metadata.map_err(|error| StreamingError::Metadata { file: file.to_owned(), error })?;
        let inputs = session.inputs().iter().map(|input| input.name().to_owned()).collect();
        let outputs = session.outputs().iter().map(|output| output.name().to_owned()).collect();
        Ok(Self { session, metadata, inputs, outputs })
    }

    /// How it takes its features.
    pub fn chunk(&self, vocabulary: usize) -> Chunk {
        Chunk { frames: self.metadata.frames, shift: self.metadata.shift, vocabulary }
    }

    /// Numbers in each of its rows, where the graph says so.
    pub fn columns(&self) -> Option<usize> {
        last_size(&self.session)
    }

    /// What it remembers of nothing: zeros.
    pub fn begin(&self) -> Result<State, OnnxError> {
        let zeros = |shape: &StateShape| -> Result<DynValue, OnnxError> {
            Ok(match shape {
                StateShape::Floats(shape) => {
                    let zeros = vec![0.0_f32; shape.iter().product()];
                    Tensor::from_array((shape.clone(), zeros))?.into_dyn()
                }
                StateShape::Integers(shape) => {
                    let zeros = vec![0_i64; shape.iter().product()];
                    Tensor::from_array((shape.clone(), zeros))?.into_dyn()
                }
            })
        };
        Ok(State(self.metadata.states.iter().map(zeros).collect::<Result<_, _>>()?))
    }

    /// One chunk of features to its rows, and the state on to the next.
    pub fn run(&mut self, features: &[f32], state: &mut State) -> Result<Vec<Vec<f32>>, OnnxError> {
        let shape = [1, self.metadata.frames, K2.bands];
        let features = Tensor::from_array((shape, features.to_vec()))?;
        let tensors = std::iter::once(SessionInputValue::from(features))
            .chain(state.0.iter().map(SessionInputValue::from));
        let names = self.inputs.iter().map(|name| Cow::from(name.as_str()));
        let inputs: Vec<_> = names.zip(tensors).collect();
        let mut outputs = self.session.run(inputs)?;
        let mut values = self
            .outputs
            .iter()
            .map(|name| outputs.remove(name).ok_or_else(|| OnnxError::NoOutput(name.clone())));
        let rows = values.next().ok_or_else(|| OnnxError::NoOutput("encoder_out".to_owned()))??;
        let next = values.collect::<Result<Vec<_>, _>>()?;
        let (columns, numbers) = numbers(&rows, &self.outputs[0])?;
        let rows = numbers.chunks_exact(columns).map(<[f32]>::to_vec).collect();
        state.0 = next;
        Ok(rows)
    }
}

/// The last dimension of `value`, and all its numbers.
pub(super) fn numbers(value: &DynValue, name: &str) -> Result<(usize, Vec<f32>), OnnxError> {
    let (shape, numbers) = value.try_extract_tensor::<f32>()?;
    if let Some(number) = numbers.iter().find(|number| number.is_nan()) {
        return Err(end(name, format!("holds {number}")));
    }
    let columns = shape.last().and_then(|&size| usize::try_from(size).ok()).filter(|&n| n > 0);
    let columns = columns.ok_or_else(|| end(name, format!("has shape {}", spelt(shape))))?;
    Ok((columns, numbers.to_vec()))
}

/// What is wrong with an output.
pub(super) fn end(name: &str, reason: String) -> OnnxError {
    OnnxError::Output { model: "the streaming model".to_owned(), output: name.to_owned(), reason }
}

/// Whether the graph takes what its metadata says.
fn checked(session: &Session, metadata: &Metadata) -> Result<(), MetadataError> {
    let (inputs, wanted) = (session.inputs(), 1 + metadata.states.len());
    if inputs.len() != wanted || session.outputs().len() != wanted {
        let found = inputs.len().min(session.outputs().len());
        return Err(MetadataError::Inputs { wanted, found });
    }
    let features = StateShape::Floats(vec![1, metadata.frames, K2.bands]);
    for (input, wanted) in inputs.iter().zip(std::iter::once(&features).chain(&metadata.states)) {
        let (element, sizes) = match wanted {
            StateShape::Floats(sizes) => (TensorElementType::Float32, sizes),
            StateShape::Integers(sizes) => (TensorElementType::Int64, sizes),
        };
        let ValueType::Tensor { ty, shape, .. } = input.dtype() else {
            return Err(MetadataError::Kind { found: input.dtype().to_string() });
        };
        // Below 0: of any size, as the number of streams is.
        let fits = |(has, size): (&i64, &usize)| *has < 0 || usize::try_from(*has) == Ok(*size);
        let alike =
            *ty == element && shape.len() == sizes.len() && shape.iter().zip(sizes).all(fits);
        if !alike {
            let sizes: Vec<i64> = sizes.iter().map(|&size| size as i64).collect();
            return Err(MetadataError::State {
                input: input.name().to_owned(),
                wanted: format!("{element} {}", spelt(&sizes)),
                found: format!("{ty} {}", spelt(shape)),
            });
        }
    }
    Ok(())
}
