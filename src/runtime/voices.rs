//! The embedders that compare voices, loaded.

use crate::consent::permit::{Permit, Processing};
use crate::speaker::embedder::{Embedder, Purpose};
use crate::speaker::embedding::Embedding;

/// One that decides and, where there is one, one that watches.
#[derive(Debug)]
pub struct Voices<E> {
    /// That which decides.
    pub decide: E,
    /// That which watches.
    pub watch: Option<E>,
}

impl<E: Embedder> Voices<E> {
    /// The embedding of 16 kHz speech by the embedder for `role`, which there is leave for; the error is the model's own
    /// sentence.
    pub fn embed<P: Processing>(
        &mut self,
        _leave: &Permit<P>,
        role: Purpose,
        samples: &[f32],
    ) -> Result<Embedding, String> {
        let model = match role {
            Purpose::Decide => &mut self.decide,
            Purpose::Watch => self.watch.as_mut().ok_or("there is no embedder that watches")?,
        };
        let raw = model.embed(&[samples]).map_err(|error| error.to_string())?.pop();
        raw.and_then(Embedding::from_raw).ok_or_else(|| "the embedding has no direction".to_owned())
    }
}
