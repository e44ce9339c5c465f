//! pyannote's turn segmentation in ONNX: who of up to three people speaks when in 10 s.

use std::path::Path;

use ort::session::Session;
use ort::value::Tensor;

use crate::audio::turns::{CHUNK_SAMPLES, COLUMNS, ROWS, Row, TurnModel};
use crate::runtime::models::Model;
use crate::runtime::onnx::speaker_model::same;
use crate::runtime::onnx::{OnnxError, Runtime, spelt};

/// The segmentation model.
#[derive(Debug)]
pub struct SegmentationModel {
    name: String,
    session: Session,
    input: String,
    output: String,
}

impl SegmentationModel {
    /// Loads the first file of the card `model` from `store`; its input and output must be the card's, and
    /// must take a chunk and give rows for it.
    pub fn load(runtime: &Runtime, store: &Path, model: &Model) -> Result<Self, OnnxError> {
        let file = &model.files[0];
        let path = store.join(&file.path);
        let session = runtime.session(&path)?;
        let checked = || -> Result<(String, String), String> {
            let inputs = same(session.inputs(), &file.inputs, "input")?;
            let outputs = same(session.outputs(), &file.outputs, "output")?;
            let ([input], [output]) = (&inputs[..], &outputs[..]) else {
                return Err("one input and one output were wanted".to_owned());
            };
            for (end, wanted) in [(input, [1, CHUNK_SAMPLES]), (output, [ROWS, COLUMNS])] {
                end.fits(&wanted).map_err(|(found, wanted)| {
                    format!("{} is {found}, and {wanted} was wanted", end.name)
                })?;
            }
            Ok((input.name.clone(), output.name.clone()))
        };
        let (input, output) =
            checked().map_err(|reason| OnnxError::Card { path: path.clone(), reason })?;
        Ok(Self { name: model.name.clone(), session, input, output })
    }
}

impl TurnModel for SegmentationModel {
    type Error = OnnxError;

    fn turns(&mut self, chunk: &[f32]) -> Result<Vec<Row>, OnnxError> {
        if chunk.len() != CHUNK_SAMPLES {
            return Err(OnnxError::Window { wanted: CHUNK_SAMPLES, found: chunk.len() });
        }
        let samples = Tensor::from_array(([1, 1, CHUNK_SAMPLES], chunk.to_vec()))?;
        let outputs = self.session.run(ort::inputs! { self.input.as_str() => samples })?;
        let missing = || OnnxError::NoOutput(self.output.clone());
        let output = outputs.get(&self.output).ok_or_else(missing)?;
        let (shape, numbers) = output.try_extract_tensor::<f32>()?;
        let refuse = |reason: String| OnnxError::Output {
            model: self.name.clone(),
            output: self.output.clone(),
            reason,
        };
        let (rows, rest) = numbers.as_chunks::<COLUMNS>();
        if rows.len() != ROWS || !rest.is_empty() {
            return Err(refuse(format!("has shape {}, not [1, {ROWS}, {COLUMNS}]", spelt(shape))));
        }
        // The graph decides by itself who speaks: anything but 0 and 1 is another model's answer.
        if let Some(number) = numbers.iter().find(|number| ![0.0, 1.0].contains(*number)) {
            return Err(refuse(format!("holds {number}, where 0 and 1 were wanted")));
        }
        Ok(rows.iter().map(|row| row.map(|talks| talks == 1.0)).collect())
    }
}
