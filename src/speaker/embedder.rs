//! What the speaker wing asks of a voice model; `runtime/onnx.rs` answers it.

/// Turns a window of speech into a point whose direction tells the voice.
pub trait Embedder {
    /// Why a run failed. The window is dropped and counted; the call goes on.
    type Error: std::error::Error + Send + Sync + 'static;

    /// `fbank`: mean-subtracted log-mel energies, row-major [frames, 80].
    /// Returns the raw (not normalised) embedding.
    fn embed(&mut self, fbank: &[f32], frames: usize) -> Result<Vec<f32>, Self::Error>;
}
