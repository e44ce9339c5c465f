//! A voiceprint as the bytes of a file. Format 2 has a reference a model; format 1 had one alone.

use serde::{Deserialize, Serialize};

use crate::speaker::embedding::Embedding;
use crate::speaker::voiceprint::Voiceprint;

/// The format that is written.
const FORMAT: u64 = 2;

/// Why bytes are no voiceprint.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Not JSON, or not as its format wants it.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Of a later version of ours, or of nobody's.
    #[error("its format is {0}, wanted 1 or {FORMAT}")]
    Unknown(String),
}

#[derive(Serialize)]
struct Written<'a> {
    format: u64,
    #[serde(flatten)]
    voiceprint: &'a Voiceprint,
}

/// Format 1: no `format`, one model, nothing known of the windows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    subject: String,
    consent: String,
    model: String,
    created: jiff::Timestamp,
    net_speech_s: f64,
    embedding: Vec<f32>,
}

/// The bytes of a file that keeps `voiceprint`.
pub fn write(voiceprint: &Voiceprint) -> Vec<u8> {
    serde_json::to_vec(&Written { format: FORMAT, voiceprint })
        .expect("numbers and strings always serialise")
}

/// The voiceprint in the bytes of a file, of either format.
pub fn read(bytes: &[u8]) -> Result<Voiceprint, FormatError> {
    let mut json: serde_json::Value = serde_json::from_slice(bytes)?;
    let format = json.as_object_mut().and_then(|object| object.remove("format"));
    match format {
        None => Ok(serde_json::from_value::<First>(json)?.into_second()?),
        Some(format) if format.as_u64() == Some(FORMAT) => Ok(serde_json::from_value(json)?),
        Some(other) => Err(FormatError::Unknown(other.to_string())),
    }
}

impl First {
    fn into_second(self) -> Result<Voiceprint, serde_json::Error> {
        let embedding = Embedding::from_raw(self.embedding)
            .ok_or_else(|| serde::de::Error::custom("the embedding has no direction"))?;
        let Self { subject, consent, model, created, net_speech_s, .. } = self;
        let made = (model.as_str(), embedding);
        Ok(Voiceprint::of_embedding(&subject, &consent, created, net_speech_s, made))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = r#"{"subject":"alice","consent":"c-1","model":"m@1",
        "created":"1970-01-01T00:00:00Z","net_speech_s":12.5,"embedding":[3.0,4.0]}"#;

    #[test]
    fn a_file_of_the_first_format_is_read_and_written_in_the_second() {
        let voiceprint = read(FIRST.as_bytes()).expect("a voiceprint");
        let reference = voiceprint.reference("m@1").expect("of its model");
        assert_eq!(reference.embedding.as_slice(), [0.6, 0.8]);
        assert_eq!(voiceprint.reference("m@2"), None);
        let written = write(&voiceprint);
        assert!(String::from_utf8_lossy(&written).starts_with(r#"{"format":2,"subject":"alice""#));
        assert_eq!(read(&written).expect("what was written"), voiceprint);
    }

    #[test]
    fn an_embedding_comes_back_to_the_bit() {
        let mut voiceprint = read(FIRST.as_bytes()).expect("a voiceprint");
        let odd = Embedding::from_raw(vec![0.1, -1e-7, 3.3e-3]).expect("a direction");
        voiceprint.references[0].embedding = odd.clone();
        let back = read(&write(&voiceprint)).expect("what was written");
        assert_eq!(back.references[0].embedding.as_slice(), odd.as_slice());
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        let later = FIRST.replacen('{', "{\"format\":3,", 1);
        let error = read(later.as_bytes()).expect_err("of the future");
        assert_eq!(error.to_string(), "its format is 3, wanted 1 or 2");
        let more = FIRST.replacen('{', "{\"voice\":1,", 1);
        let error = read(more.as_bytes()).expect_err("one key too many");
        assert!(error.to_string().contains("unknown field `voice`"), "{error}");
        let second = String::from_utf8(write(&read(FIRST.as_bytes()).expect("one"))).expect("JSON");
        let error = read(second.replacen("\"sessions\"", "\"sitting\"", 1).as_bytes());
        assert!(error.expect_err("no such key").to_string().contains("`sitting`"));
    }
}
