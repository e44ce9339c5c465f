//! An audit record as a line of JSON: what is shown, handed out, and verified away from the database.

use std::io::{BufRead, ErrorKind};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::vault::chain::{Digest, Draft, Fault, Head, Kind, Record, Verification};
use crate::vault::pseudonym::Pseudonym;

/// One record: every field that its digest is over, and the digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(title = "Record")]
pub struct TrailLine {
    /// Its number, from 1, without a gap.
    #[schema(example = 4711)]
    pub sequence: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What it is about.
    #[schema(value_type = String, example = "consent")]
    kind: Kind,
    /// Who did it: `peer:NAME`, `token:NAME`, `user:NAME`, `sidetone`.
    #[schema(example = "token:dpo")]
    actor: String,
    /// Of whom, by pseudonym.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    person: Option<Pseudonym>,
    /// In which conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conversation: Option<String>,
    /// The rest: JSON, as text, since the digest is over these very bytes.
    #[schema(example = "{\"hold\":\"case 4711\"}")]
    detail: String,
    /// Digest of the record before, 64 hexadecimal digits.
    #[schema(value_type = String)]
    previous: Digest,
    /// Its own digest.
    #[schema(value_type = String)]
    digest: Digest,
}

/// What reading a whole trail comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The end of it, as far as it is whole.
    pub head: Head,
    /// The first thing that is wrong: a line that is no record, or a fault of the chain.
    pub fault: Option<String>,
}

impl TrailLine {
    /// The line of `record`.
    pub fn of(record: &Record) -> Self {
        let Draft { at, kind, actor, person, conversation, detail } = record.draft.clone();
        Self {
            sequence: record.sequence,
            at,
            kind,
            actor,
            person,
            conversation,
            detail,
            previous: record.previous,
            digest: record.digest,
        }
    }

    fn into_record(self) -> Record {
        let Self { sequence, at, kind, actor, person, conversation, detail, previous, digest } =
            self;
        let draft = Draft { at, kind, actor, person, conversation, detail };
        Record { sequence, draft, previous, digest }
    }
}

/// Verifies a trail that was handed out as lines, from its first record on, against ends that were noted elsewhere.
/// `progress` is told the number of each thousandth record.
pub fn verify(
    lines: impl BufRead,
    anchors: Vec<Head>,
    mut progress: impl FnMut(u64),
) -> std::io::Result<Read> {
    let (mut verification, mut head) = (Verification::new(anchors), Head::EMPTY);
    for (number, line) in (1_u64..).zip(lines.lines()) {
        let line = match line {
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                let fault = Some(format!("line {number} is not text"));
                return Ok(Read { head, fault });
            }
            line => line?,
        };
        let record = match serde_json::from_str::<TrailLine>(&line) {
            Ok(line) => line.into_record(),
            Err(error) => {
                let fault = Some(format!("line {number} is no record: {error}"));
                return Ok(Read { head, fault });
            }
        };
        if let Err(fault) = verification.check(&record) {
            return Ok(Read { head, fault: Some(fault.to_string()) });
        }
        head = record.head();
        if head.sequence % 1_000 == 0 {
            progress(head.sequence);
        }
    }
    let fault = verification.finish().err().as_ref().map(Fault::to_string);
    Ok(Read { head, fault })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail() -> Vec<String> {
        let mut head = Head::EMPTY;
        let line = |n: i64| {
            let record = head.record(Draft {
                at: Timestamp::from_millisecond(n * 1_001).expect("a time"),
                kind: Kind::Consent,
                actor: "user:test".to_owned(),
                person: Some(Pseudonym::known(format!("p-{n}"))),
                conversation: None,
                detail: format!("{{ \"n\": {n} }}"),
            });
            head = record.head();
            serde_json::to_string(&TrailLine::of(&record)).expect("text")
        };
        (1..=4).map(line).collect()
    }

    fn fault(lines: &[String], anchors: Vec<Head>) -> (u64, Option<String>) {
        let read = verify(lines.join("\n").as_bytes(), anchors, |_| {}).expect("memory reads");
        (read.head.sequence, read.fault)
    }

    #[test]
    fn what_was_handed_out_can_be_verified_by_whoever_has_it() {
        let lines = trail();
        assert_eq!(fault(&lines, Vec::new()), (4, None));
        let changed: Vec<_> = lines.iter().map(|line| line.replace("p-3", "p-9")).collect();
        assert_eq!(fault(&changed, Vec::new()), (2, Some("record 3 was changed".to_owned())));
        let cut = [&lines[..1], &lines[2..]].concat();
        assert_eq!(fault(&cut, Vec::new()), (1, Some("records 2 to 2 are missing".to_owned())));
        let anchor = Head { sequence: 4, digest: Digest::NONE };
        let (_, rewritten) = fault(&lines, vec![anchor]);
        assert!(rewritten.is_some_and(|fault| fault.contains("was rewritten")));
        let (_, shorter) = fault(&lines[..3], vec![anchor]);
        assert!(shorter.is_some_and(|fault| fault.contains("its end is missing")));
        let mut half = lines.clone();
        half[2].truncate(40);
        let (read, said) = fault(&half, Vec::new());
        assert!(said.is_some_and(|said| said.starts_with("line 3 is no record")) && read == 2);
    }
}
