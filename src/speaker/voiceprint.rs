//! What is kept of a voice: the reference that a caller is compared with.

use serde::{Deserialize, Serialize};

use crate::speaker::embedding::Embedding;

/// One person's enrolled voice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voiceprint {
    /// Whose voice, in the PBX's own terms (`X-Sidetone-Subject`).
    pub subject: String,
    /// Reference of the consent under which it was made (GDPR Art. 9 (2) (a)).
    pub consent: String,
    /// Model that made it, as in the manifest: `name@version`. Scores of another are meaningless.
    pub model: String,
    /// When it was made.
    pub created: jiff::Timestamp,
    /// Speech that it was made from, seconds.
    pub net_speech_s: f64,
    /// Mean direction of the windows' embeddings.
    #[serde(with = "coordinates")]
    pub embedding: Embedding,
}

mod coordinates {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::speaker::embedding::Embedding;

    pub(super) fn serialize<S: Serializer>(
        e: &Embedding,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        e.as_slice().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Embedding, D::Error> {
        Embedding::from_raw(Vec::deserialize(deserializer)?)
            .ok_or_else(|| serde::de::Error::custom("the embedding has no direction"))
    }
}
