//! All that is held of one person, as one document: what they may ask for (GDPR Art. 15, 20).

use serde::Serialize;
use serde_json::{Value, json};

use crate::consent::consents::Consents;
use crate::runtime::store::audit_trail::Wanted;
use crate::runtime::store::persons::{Act, Person};
use crate::runtime::store::trail_line::TrailLine;
use crate::runtime::store::vault::{Subject, Vault, VaultError};
use crate::speaker::gathering::Gathering;
use crate::speaker::voiceprint::Voiceprint;
use crate::vault::chain::{Draft, Kind};
use crate::vault::pseudonym::Pseudonym;

/// Records that are read at once.
const PAGE: u32 = 1_000;

/// What is held of one person. There is nothing else: no audio, no words.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    /// Layout of this document.
    pub version: u32,
    /// What the PBX calls them.
    pub subject: String,
    /// In what capacity.
    pub role: String,
    /// What audit records call them.
    pub pseudonym: Pseudonym,
    /// Since when something is kept of them, when they were last heard, what forbids to erase it; `None` where nothing
    /// is kept but consents and records.
    pub person: Option<Person>,
    /// The voiceprint; the voice itself as base64 of 32-bit numbers, little endian, with the model's name beside it.
    pub voiceprint: Option<Voiceprint>,
    /// What was gathered for one.
    pub gathering: Option<Gathering>,
    /// What they agreed to, as it stands.
    pub consents: Consents,
    /// Every audit record about them, the oldest first: how their consents came about, too.
    pub records: Vec<TrailLine>,
}

impl Held {
    /// Whether anything is held at all.
    pub fn any(&self) -> bool {
        self.person.is_some() || !self.records.is_empty() || self.consents != Consents::default()
    }

    /// The document; the voice itself only with `embeddings`.
    pub fn document(&self, embeddings: bool) -> Value {
        let mut document = json!(self);
        if !embeddings {
            strip(&mut document);
        }
        document
    }
}

impl Vault {
    /// All that is held of `subject`.
    pub fn held(&mut self, subject: &Subject) -> Result<Held, VaultError> {
        let pseudonym = self.pseudonym(subject);
        let voice = self.voice(subject)?;
        let mut wanted = Wanted { person: Some(pseudonym.clone()), ..Wanted::default() };
        let mut records = Vec::new();
        loop {
            let page = self.records(&wanted, PAGE)?;
            let Some(last) = page.last() else { break };
            wanted.after = last.sequence;
            records.extend(page.iter().map(TrailLine::of));
        }
        Ok(Held {
            version: 1,
            subject: subject.name.clone(),
            role: subject.role.to_string(),
            person: self.person(subject)?,
            voiceprint: voice.voiceprint,
            gathering: voice.gathering,
            consents: self.consents(subject)?,
            records,
            pseudonym,
        })
    }

    /// Notes that somebody looked at what is held of `subject` (`Kind::Access`), or was handed it (`Kind::Export`).
    pub fn note_use(
        &mut self,
        subject: &Subject,
        kind: Kind,
        act: &Act<'_>,
        what: &str,
    ) -> Result<(), VaultError> {
        let person = self.pseudonym(subject);
        self.note(kind, Some(&person), act, &json!({ "what": what }))
    }

    /// Notes what was done about `person`, or about several where none is named. Whoever hands something out notes it
    /// before: what cannot be recorded is not handed out.
    pub fn note(
        &mut self,
        kind: Kind,
        person: Option<&Pseudonym>,
        act: &Act<'_>,
        detail: &Value,
    ) -> Result<(), VaultError> {
        let record = Draft {
            at: act.at,
            kind,
            actor: act.by.to_owned(),
            person: person.cloned(),
            conversation: act.conversation.map(str::to_owned),
            detail: detail.to_string(),
        };
        self.append(&[record]).map(drop)
    }
}

/// Takes every embedding out, by the names of the fields that hold one.
pub fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for field in ["embedding", "enrolled", "calls"] {
                fields.remove(field);
            }
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speaker::adaptation::{Settings, Step};
    use crate::speaker::embedding::Embedding;

    #[test]
    fn no_voice_is_left_in_what_is_shown() {
        let embedding = || Embedding::from_raw(vec![0.0, 1.0, 0.0]).expect("a direction");
        let when = jiff::Timestamp::UNIX_EPOCH;
        let made = ("m@1", embedding());
        let mut voiceprint = Voiceprint::of_embedding("alice", "c-1", when, 12.0, made);
        let voices = vec![("m@1".to_owned(), embedding())];
        let step = Step { voices, net_speech_s: 60.0, llr: 12.0 };
        assert!(voiceprint.adapt(&step, Settings::default(), when));
        let held = Held {
            version: 1,
            subject: "alice".to_owned(),
            role: "caller".to_owned(),
            pseudonym: Pseudonym::known("p".to_owned()),
            person: None,
            voiceprint: Some(voiceprint),
            gathering: None,
            consents: Consents::default(),
            records: Vec::new(),
        };
        let voice = serde_json::to_string(&embedding()).expect("text");
        let with = held.document(true).to_string();
        assert_eq!(with.matches(&voice).count(), 4, "now, twice in the drift, and before: {with}");
        let without = held.document(false).to_string();
        assert!(!without.contains(&voice) && without.contains("weight"), "{without}");
    }
}
