//! ONNX Runtime: the models of the other wings, run. Only this file and its folder name `ort`.

pub mod decoder_lanes;
pub mod moonshine;
pub mod segmentation_model;
pub mod speaker_model;
pub mod streaming;

use std::path::{Path, PathBuf};

use ort::environment::Environment;
use ort::session::Session;

use crate::runtime::onnx_telemetry;

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
    /// The graph is not the one that its card describes.
    #[error("model {} is not as its card says: {reason}", path.display())]
    Card {
        /// The graph's file.
        path: PathBuf,
        /// What is different, found and wanted.
        reason: String,
    },
    /// The windows of one batch are of several lengths, or of one that the model cannot take.
    #[error("a window of {found} samples, where {wanted} were wanted")]
    Window {
        /// Samples that were wanted.
        wanted: usize,
        /// Samples that came.
        found: usize,
    },
    /// A run gave other numbers than the card promises.
    #[error("the output {output} of {model} {reason}")]
    Output {
        /// The model's name.
        model: String,
        /// The output's name in the graph.
        output: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The loaded library. A process has one, to be cloned; every model of it keeps it alive.
#[derive(Clone, Debug)]
pub struct Runtime {
    environment: Environment,
}

impl Runtime {
    /// Loads `libonnxruntime.so` from exactly `library`, and only where the environment keeps it from reporting to its maker.
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
        if !onnx_telemetry::is_off() {
            let wanted = onnx_telemetry::VARIABLE;
            return Err(refuse(format!(
                "the environment must have {wanted}=1, or it reports to its maker"
            )));
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

/// A shape as people write it; a dimension of any size is `any`.
fn spelt(shape: &[i64]) -> String {
    let sizes =
        shape.iter().map(|size| if *size < 0 { "any".to_owned() } else { size.to_string() });
    format!("[{}]", sizes.collect::<Vec<_>>().join(", "))
}

/// The loader's messages span lines; ours are one sentence.
fn one_sentence(reason: &str) -> String {
    reason.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::moonshine::MoonshineModel;
    use super::segmentation_model::SegmentationModel;
    use super::speaker_model::SpeakerModel;
    use super::streaming::StreamingOnnx;
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
        assert_send::<SegmentationModel>();
        assert_send::<StreamingOnnx>();
    }
}
