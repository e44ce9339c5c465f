//! The audit trail's chain: each record carries the hash of the one before, so that nothing in it can be changed,
//! removed or moved without being noticed.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::vault::pseudonym::Pseudonym;

/// What is hashed first: another layout has another.
const LAYOUT: &str = "sidetone audit record 1";

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The appliance began its work.
    Start,
    /// It ended it.
    Stop,
    /// A consent changed, or a change was refused.
    Consent,
    /// A voiceprint was made, or something gathered for one.
    Enrolment,
    /// A call moved a voiceprint, or that was taken back.
    Adaptation,
    /// What was decided about an identity.
    Decision,
    /// A voice resembled a known one.
    Watchlist,
    /// What became of a rule, or that a phrase was heard.
    Rule,
    /// A leg was paused, or went on.
    Pause,
    /// Somebody looked at what is kept of a person.
    Access,
    /// It was handed out.
    Export,
    /// It was erased.
    Erasure,
    /// A hold forbids to erase it, or does so no more.
    Hold,
    /// An administrator used or changed a master key.
    Key,
    /// A configuration or policy came into force.
    Configuration,
    /// Models came into use.
    Model,
    /// Records that were to be written were lost: how many, and since when.
    Lost,
}

/// A record before it has its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// When it happened; milliseconds count.
    pub at: Timestamp,
    /// What it is about.
    pub kind: Kind,
    /// Who did it: `peer:NAME`, `token:NAME`, `user:NAME`, `sidetone`.
    pub actor: String,
    /// Of whom.
    pub person: Option<Pseudonym>,
    /// In which conversation.
    pub conversation: Option<String>,
    /// The rest, as JSON. Never audio, a voice, or words around a hit.
    pub detail: String,
}

/// A record in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number, from 1, without a gap.
    pub sequence: u64,
    /// What it says.
    pub draft: Draft,
    /// Digest of the record before.
    pub previous: Digest,
    /// Its own.
    pub digest: Digest,
}

/// The end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the last record; 0 of an empty chain.
    pub sequence: u64,
    /// Its digest.
    pub digest: Digest,
}

/// What is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Numbers are missing.
    #[error("records {from} to {to} are missing")]
    Missing {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// A number that was there already, or is too small.
    #[error("record {sequence} is out of order")]
    OutOfOrder {
        /// Which.
        sequence: u64,
    },
    /// Its content does not have its digest.
    #[error("record {sequence} was changed")]
    Changed {
        /// Which.
        sequence: u64,
    },
    /// It does not follow the one before it.
    #[error(
        "record {sequence} does not follow the one before it: one of them was changed or put in its place"
    )]
    NotLinked {
        /// Which.
        sequence: u64,
    },
    /// Less is there than was anchored.
    #[error("the trail ends with record {found}, but {anchored} was anchored: its end is missing")]
    Cut {
        /// The last record.
        found: u64,
        /// The last that was anchored.
        anchored: u64,
    },
    /// A record has another digest than was anchored: the trail was written anew.
    #[error("record {sequence} is another than the one that was anchored: the trail was rewritten")]
    Rewritten {
        /// Which.
        sequence: u64,
    },
}

/// Follows a chain record by record.
#[derive(Clone, Debug)]
pub struct Verification {
    head: Head,
    anchors: Vec<Head>,
}

impl Digest {
    /// What is "before" the first record.
    pub const NONE: Self = Self([0; 32]);

    /// One that a database holds; `None` if it is of another length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its first 48 bits: a Prometheus sample holds 53 exactly.
    pub fn beginning(&self) -> u64 {
        self.0[..6].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Digest {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, hex::FromHexError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Start,
        Self::Stop,
        Self::Consent,
        Self::Enrolment,
        Self::Adaptation,
        Self::Decision,
        Self::Watchlist,
        Self::Rule,
        Self::Pause,
        Self::Access,
        Self::Export,
        Self::Erasure,
        Self::Hold,
        Self::Key,
        Self::Configuration,
        Self::Model,
        Self::Lost,
    ];

    /// The word in databases and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Consent => "consent",
            Self::Enrolment => "enrolment",
            Self::Adaptation => "adaptation",
            Self::Decision => "decision",
            Self::Watchlist => "watchlist",
            Self::Rule => "rule",
            Self::Pause => "pause",
            Self::Access => "access",
            Self::Export => "export",
            Self::Erasure => "erasure",
            Self::Hold => "hold",
            Self::Key => "key",
            Self::Configuration => "configuration",
            Self::Model => "model",
            Self::Lost => "lost",
        }
    }

    /// The kind of a word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl Head {
    /// Of a chain without a record.
    pub const EMPTY: Self = Self { sequence: 0, digest: Digest::NONE };

    /// The record that follows, saying `draft`.
    pub fn record(&self, mut draft: Draft) -> Record {
        // The database keeps milliseconds.
        let ms = draft.at.as_millisecond();
        draft.at = Timestamp::from_millisecond(ms).expect("it was a time before it was rounded");
        let (sequence, previous) = (self.sequence + 1, self.digest);
        Record { sequence, digest: digest(sequence, previous, &draft), draft, previous }
    }
}

impl Record {
    /// The end of the chain that it is the last of.
    pub fn head(&self) -> Head {
        Head { sequence: self.sequence, digest: self.digest }
    }
}

impl Verification {
    /// From the beginning; `anchors` are ends that were written down elsewhere.
    pub fn new(mut anchors: Vec<Head>) -> Self {
        anchors.sort_by_key(|anchor| anchor.sequence);
        Self { head: Head::EMPTY, anchors }
    }

    /// Takes the next record.
    pub fn check(&mut self, record: &Record) -> Result<(), Fault> {
        let (sequence, wanted) = (record.sequence, self.head.sequence + 1);
        if sequence < wanted {
            return Err(Fault::OutOfOrder { sequence });
        }
        if sequence > wanted {
            return Err(Fault::Missing { from: wanted, to: sequence - 1 });
        }
        if digest(sequence, record.previous, &record.draft) != record.digest {
            return Err(Fault::Changed { sequence });
        }
        if record.previous != self.head.digest {
            return Err(Fault::NotLinked { sequence });
        }
        let is_other =
            |anchor: &Head| anchor.sequence == sequence && anchor.digest != record.digest;
        if self.anchors.iter().any(is_other) {
            return Err(Fault::Rewritten { sequence });
        }
        self.head = record.head();
        Ok(())
    }

    /// There is no further record: the end of the chain.
    pub fn finish(self) -> Result<Head, Fault> {
        let (found, last) = (self.head.sequence, self.anchors.last());
        match last.map(|anchor| anchor.sequence).filter(|&anchored| anchored > found) {
            Some(anchored) => Err(Fault::Cut { found, anchored }),
            None => Ok(self.head),
        }
    }
}

/// Every field with its length before it: no two records have the same bytes.
fn digest(sequence: u64, previous: Digest, draft: &Draft) -> Digest {
    let mut hash = Sha256::new_with_prefix(LAYOUT);
    hash.update(previous.0);
    hash.update(sequence.to_be_bytes());
    hash.update(draft.at.as_millisecond().to_be_bytes());
    let person = draft.person.as_ref().map(Pseudonym::as_str);
    let fields = [
        Some(draft.kind.as_str()),
        Some(&draft.actor),
        person,
        draft.conversation.as_deref(),
        Some(&draft.detail),
    ];
    for field in fields {
        let length = field.map_or(u64::MAX, |field| field.len() as u64);
        hash.update(length.to_be_bytes());
        hash.update(field.unwrap_or_default());
    }
    Digest(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(n: i64) -> Draft {
        Draft {
            at: Timestamp::from_microsecond(n * 1_000_001).expect("a time"),
            kind: Kind::Decision,
            actor: "sidetone".to_owned(),
            person: Some(Pseudonym::known(format!("person-{n}"))),
            conversation: None,
            detail: format!("{{\"n\":{n}}}"),
        }
    }

    fn chain(length: i64) -> Vec<Record> {
        let mut head = Head::EMPTY;
        let record = |n| {
            let record = head.record(draft(n));
            head = record.head();
            record
        };
        (1..=length).map(record).collect()
    }

    fn verify(records: &[Record], anchors: &[Head]) -> Result<Head, Fault> {
        let mut verification = Verification::new(anchors.to_vec());
        for record in records {
            verification.check(record)?;
        }
        verification.finish()
    }

    #[test]
    fn a_chain_that_nobody_touched_is_whole() {
        let chain = chain(5);
        assert_eq!(verify(&chain, &[chain[2].head()]), Ok(chain[4].head()));
        assert_eq!(verify(&[], &[]), Ok(Head::EMPTY));
    }

    #[test]
    fn every_field_counts() {
        let changes: [fn(&mut Record); 8] = [
            |r| r.draft.at = Timestamp::from_second(99).expect("a time"),
            |r| r.draft.kind = Kind::Rule,
            |r| r.draft.actor = "user:eve".to_owned(),
            |r| r.draft.person = None,
            |r| r.draft.person = Some(Pseudonym::known("person-9".to_owned())),
            |r| r.draft.conversation = Some(String::new()),
            |r| r.draft.detail.push(' '),
            |r| r.previous = Digest([1; 32]),
        ];
        for (n, change) in changes.iter().enumerate() {
            let mut chain = chain(5);
            change(&mut chain[2]);
            assert_eq!(verify(&chain, &[]), Err(Fault::Changed { sequence: 3 }), "change {n}");
        }
    }

    #[test]
    fn removal_and_reordering_are_noticed() {
        let whole = chain(5);
        let without = [&whole[..1], &whole[3..]].concat();
        assert_eq!(verify(&without, &[]), Err(Fault::Missing { from: 2, to: 3 }));
        let mut turned = whole.clone();
        turned.swap(1, 2);
        assert_eq!(verify(&turned, &[]), Err(Fault::Missing { from: 2, to: 2 }));
        // With their numbers changed as well.
        (turned[1].sequence, turned[2].sequence) = (2, 3);
        assert_eq!(verify(&turned, &[]), Err(Fault::Changed { sequence: 2 }));
        let twice = [&whole[..2], &whole[1..]].concat();
        assert_eq!(verify(&twice, &[]), Err(Fault::OutOfOrder { sequence: 2 }));
    }

    #[test]
    fn a_trail_that_was_computed_anew_does_not_meet_its_anchor() {
        let (whole, mut head) = (chain(5), Head::EMPTY);
        let mut forged = Vec::new();
        for n in [1, 9, 3, 4, 5] {
            let record = head.record(draft(n));
            head = record.head();
            forged.push(record);
        }
        assert_eq!(verify(&forged, &[]), Ok(head), "it is whole in itself");
        assert_eq!(verify(&forged, &[whole[3].head()]), Err(Fault::Rewritten { sequence: 4 }));
        let cut = verify(&whole[..3], &[whole[4].head()]);
        assert_eq!(cut, Err(Fault::Cut { found: 3, anchored: 5 }));
        // Grafted on: the tail of another chain.
        let grafted = [&whole[..2], &forged[2..]].concat();
        assert_eq!(verify(&grafted, &[]), Err(Fault::NotLinked { sequence: 3 }));
    }

    #[test]
    fn a_digest_is_text_in_files_and_a_number_in_metrics() {
        let digest = chain(1)[0].digest;
        let text = serde_json::to_string(&digest).expect("text");
        assert_eq!(serde_json::from_str::<Digest>(&text).expect("a digest"), digest);
        assert_eq!(format!("{:012x}", digest.beginning()), digest.to_string()[..12]);
        assert!(Kind::ALL.iter().all(|&kind| Kind::named(kind.as_str()) == Some(kind)));
    }
}
