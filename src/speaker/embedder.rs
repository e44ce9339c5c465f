//! What the speaker wing asks of a voice model; `runtime/onnx.rs` answers it.

/// Turns windows of speech into points whose directions tell the voices.
///
/// It takes samples: what is computed from them first, a spectrum or nothing, belongs to the model.
pub trait Embedder {
    /// Why a run failed. The windows are dropped and counted; the call goes on.
    type Error: std::error::Error + Send + Sync + 'static;

    /// `windows`: speech, 16 kHz, full scale -1 to 1, all of one length.
    /// Returns the raw (not normalised) embedding of each, in order.
    fn embed(&mut self, windows: &[&[f32]]) -> Result<Vec<Vec<f32>>, Self::Error>;
}
