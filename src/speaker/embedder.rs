//! What the speaker wing asks of a voice model; `runtime/onnx.rs` answers it.

/// Turns windows of speech into points whose directions tell the voice.
pub trait Embedder {
    /// Why a run failed. Its windows are dropped and counted; the call goes on.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The raw (not normalised) embeddings of `windows`: equally long stretches of 16 kHz samples
    /// in [-1, 1] at telephone bandwidth. The front-end is the model's own affair.
    fn embed(&mut self, windows: &[&[f32]]) -> Result<Vec<Vec<f32>>, Self::Error>;
}

/// What an embedder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The better and dearer one, over whole windows: speaks where a decision is near.
    Decide,
    /// The cheap one, over slices: hears everything.
    Watch,
}

impl Purpose {
    /// The manifest's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::Watch => "watch",
        }
    }

    /// The name of the thread that its model has.
    pub fn thread(self) -> &'static str {
        match self {
            Self::Decide => "speaker-model",
            Self::Watch => "watch-model",
        }
    }
}

/// Names of the embedders in use, `name@version`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Embedders {
    /// That which decides.
    pub decide: String,
    /// That which watches, if there is one.
    pub watch: Option<String>,
}

impl std::fmt::Display for Embedders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.decide)?;
        self.watch.iter().try_for_each(|watch| write!(f, " {watch}"))
    }
}
