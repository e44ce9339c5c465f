//! Who is to be imported: a list or a folder, read whole before anybody is heard.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, Trim};
use jiff::Timestamp;

use crate::cli::enroll::digest;
use crate::cli::person::asked;
use crate::cli::voiceprint::import::report::Why;
use crate::cli::{Refusal, moment, subject};
use crate::consent::reference::ConsentReference;
use crate::consent::role::Role;
use crate::consent::scope::Scopes;
use crate::runtime::store::vault::Subject;

/// What a list may say of somebody.
const COLUMNS: [&str; 6] = ["subject", "file", "consent", "scopes", "expires", "role"];
/// How recordings' files end.
const RECORDINGS: [&str; 4] = ["wav", "flac", "ogg", "opus"];
/// Where a folder says what its subjects agreed to.
const CONSENTS: &str = "consents.csv";

/// Somebody who is to be enrolled.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Who.
    pub subject: Subject,
    /// Their recordings.
    pub files: Vec<PathBuf>,
    /// SHA-256 of each, in the order of the files; of what is there twice once.
    pub digests: Vec<String>,
    /// What they agreed to, or why they cannot be enrolled.
    pub agreement: Result<Agreement, Why>,
}

/// What somebody agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// What shows it.
    pub reference: ConsentReference,
    /// To what.
    pub scopes: Scopes,
    /// Until when, if not for good.
    pub expires: Option<Timestamp>,
}

/// What holds where a list says nothing.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// To what they agreed.
    pub scopes: Scopes,
    /// Until when.
    pub expires: Option<Timestamp>,
    /// As what they are known.
    pub role: Role,
}

/// A line of a list.
struct Line {
    subject: String,
    file: Option<PathBuf>,
    role: Role,
    agreement: Result<Agreement, Why>,
}

/// Everybody in a list, in its order.
pub fn of_csv(file: &Path, defaults: &Defaults) -> Result<Vec<Candidate>, Refusal> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let (mut candidates, mut places) = (Vec::<Candidate>::new(), HashMap::new());
    for line in lines(file, &["subject", "file", "consent"], defaults)? {
        let subject = Subject::new(line.role, &line.subject);
        let recording = folder.join(line.file.unwrap_or_default());
        let place = *places.entry(subject.clone()).or_insert(candidates.len());
        match candidates.get_mut(place) {
            None => candidates.push(Candidate {
                subject,
                files: vec![recording],
                digests: Vec::new(),
                agreement: line.agreement,
            }),
            Some(known) => {
                known.files.push(recording);
                if known.agreement.is_ok() && known.agreement != line.agreement {
                    let why = "its rows name different consents, scopes or days".to_owned();
                    known.agreement = line.agreement.and(Err(Why::new("differing_consent", why)));
                }
            }
        }
    }
    Ok(candidates)
}

/// Everybody in a folder, by name.
pub fn of_folder(
    folder: &Path,
    prefix: Option<&str>,
    defaults: &Defaults,
) -> Result<Vec<Candidate>, Refusal> {
    let mut agreements = HashMap::new();
    if prefix.is_none() {
        for line in lines(&folder.join(CONSENTS), &["subject", "consent"], defaults)? {
            let said = (line.role, line.agreement);
            match agreements.get_mut(&line.subject) {
                None => {
                    agreements.insert(line.subject, said);
                }
                Some(known) if *known == said => {}
                Some(known) => {
                    let why = format!("{CONSENTS} names different consents, scopes or days");
                    known.1 = Err(Why::new("differing_consent", why));
                }
            }
        }
    }
    let mut candidates = Vec::new();
    for path in listing(folder)? {
        let files = if path.is_dir() {
            listing(&path)?.into_iter().filter(|file| is_recording(file)).collect()
        } else if is_recording(&path) {
            vec![path.clone()]
        } else {
            continue;
        };
        let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
        let name = name.unwrap_or_default().to_string_lossy().into_owned();
        let (role, agreement) =
            match prefix {
                Some(prefix) => {
                    let agreement = reference(&format!("{prefix}{name}")).map(|reference| {
                        Agreement { reference, scopes: defaults.scopes, expires: defaults.expires }
                    });
                    (defaults.role, agreement)
                }
                None => agreements.remove(&name).unwrap_or_else(|| {
                    let why = format!("{CONSENTS} has no line of this subject");
                    (defaults.role, Err(Why::new("no_consent", why)))
                }),
            };
        let subject = Subject::new(role, &name);
        candidates.push(Candidate { subject, files, digests: Vec::new(), agreement });
    }
    Ok(candidates)
}

/// The same with what their recordings are known by; a recording of two persons is of neither. `progress` is told how
/// many persons are done.
pub fn with_digests(
    mut candidates: Vec<Candidate>,
    mut progress: impl FnMut(u64),
) -> Vec<Candidate> {
    let mut owners: HashMap<String, usize> = HashMap::new();
    for place in 0..candidates.len() {
        if candidates[place].agreement.is_ok() {
            match digests(&candidates[place].files) {
                Ok((files, digests)) => {
                    for digest in &digests {
                        let owner = *owners.entry(digest.clone()).or_insert(place);
                        if owner != place {
                            let one = candidates[owner].subject.to_string();
                            let other = candidates[place].subject.to_string();
                            candidates[owner].agreement = Err(same_recording(&other));
                            candidates[place].agreement = Err(same_recording(&one));
                        }
                    }
                    (candidates[place].files, candidates[place].digests) = (files, digests);
                }
                Err(why) => candidates[place].agreement = Err(why),
            }
        }
        progress(place as u64 + 1);
    }
    candidates
}

fn same_recording(other: &str) -> Why {
    Why::new("same_recording", format!("one of its recordings is of {other}, too"))
}

/// Files and digests, each recording once.
fn digests(files: &[PathBuf]) -> Result<(Vec<PathBuf>, Vec<String>), Why> {
    if files.is_empty() {
        return Err(Why::new("unreadable", "there is no recording".to_owned()));
    }
    let (mut kept, mut known) = (Vec::new(), Vec::new());
    for file in files {
        let digest = digest(file).map_err(|error| Why::new("unreadable", error))?;
        if !known.contains(&digest) {
            kept.push(file.clone());
            known.push(digest);
        }
    }
    Ok((kept, known))
}

/// The lines of a list that has to have the `needed` columns.
fn lines(file: &Path, needed: &[&str], defaults: &Defaults) -> Result<Vec<Line>, Refusal> {
    let unreadable = |error: csv::Error| format!("cannot read {}: {error}", file.display());
    let mut reader = ReaderBuilder::new()
        .trim(Trim::All)
        .comment(Some(b'#'))
        .from_path(file)
        .map_err(unreadable)?;
    let headers = reader.headers().map_err(unreadable)?.clone();
    if let Some(odd) = headers.iter().find(|column| !COLUMNS.contains(column)) {
        let known = COLUMNS.join(", ");
        return Err(format!("{} has a column {odd:?}, known are {known}", file.display()).into());
    }
    if let Some(missing) = needed.iter().find(|&&column| !headers.iter().any(|h| h == column)) {
        return Err(format!("{} has no column {missing:?}", file.display()).into());
    }
    let mut lines = Vec::new();
    for (number, record) in (2..).zip(reader.records()) {
        let record = record.map_err(unreadable)?;
        let row = record.position().map_or(number, csv::Position::line);
        let value = |column: &str| {
            let place = headers.iter().position(|header| header == column)?;
            record.get(place).filter(|text| !text.is_empty())
        };
        let name = subject(value("subject").unwrap_or_default());
        let name = name.map_err(|error| format!("{}, line {row}: {error}", file.display()))?;
        let role = value("role").map_or(Ok(defaults.role), asked);
        let said = |why: String| format!("line {row}: {why}");
        let agreement = agreement(&value, defaults)
            .map_err(|why| Why::new(why.code, said(why.sentence)))
            .and_then(|agreement| match &role {
                Ok(_) => Ok(agreement),
                Err(why) => Err(Why::new("bad_row", said(why.clone()))),
            });
        lines.push(Line {
            subject: name,
            file: value("file").map(PathBuf::from),
            role: role.unwrap_or(defaults.role),
            agreement,
        });
    }
    Ok(lines)
}

fn agreement<'a>(
    value: &impl Fn(&str) -> Option<&'a str>,
    defaults: &Defaults,
) -> Result<Agreement, Why> {
    let bad = |why: String| Why::new("bad_row", why);
    let scopes = value("scopes").map_or(Ok(defaults.scopes), str::parse);
    let expires =
        value("expires").map_or(Ok(defaults.expires), |text| moment::until(text).map(Some));
    Ok(Agreement {
        reference: reference(value("consent").unwrap_or_default())?,
        scopes: scopes
            .map_err(|error: crate::consent::scope::ScopesError| bad(error.to_string()))?,
        expires: expires.map_err(bad)?,
    })
}

fn reference(text: &str) -> Result<ConsentReference, Why> {
    ConsentReference::new(text).map_err(|error| Why::new("no_consent", error.to_string()))
}

fn listing(folder: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let unreadable = |error| format!("cannot list {}: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

fn is_recording(file: &Path) -> bool {
    let ending = file.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| RECORDINGS.contains(&ending.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Defaults {
        let scopes = "verify enrol".parse().expect("scopes");
        Defaults { scopes, expires: None, role: Role::Caller }
    }

    fn said(candidate: &Candidate) -> String {
        match &candidate.agreement {
            Ok(agreement) => format!("{} {}", agreement.reference, agreement.scopes),
            Err(why) => format!("{}: {}", why.code, why.sentence),
        }
    }

    #[test]
    fn rows_of_one_subject_are_one_person_and_have_to_agree() {
        let folder = tempfile::tempdir().expect("a folder");
        let list = folder.path().join("list.csv");
        let text = "subject,file,consent,scopes,expires,role\n\
            alice,a1.wav,c-1,,,\nbob,b.wav,c-2,verify enrol adapt,2099-01-01,\nalice,a2.wav,c-1,,,\n\
            alice,a3.wav,c-9,,,agent\ncarol,c1.wav,c-3,,,\ncarol,c2.wav,c-4,,,\n\
            dora,d.wav,two words,,,\nemil,e.wav,c-5,sing,,\nfrida,f.wav,c-6,,someday,\n\
            gerd,g.wav,c-7,,,boss\n";
        fs::write(&list, text).expect("a list");
        let candidates = of_csv(&list, &defaults()).expect("a list");
        let names: Vec<_> = candidates.iter().map(|c| c.subject.name.as_str()).collect();
        assert_eq!(names, ["alice", "bob", "alice", "carol", "dora", "emil", "frida", "gerd"]);
        assert_eq!(candidates[0].files, ["a1.wav", "a2.wav"].map(|f| folder.path().join(f)));
        assert_eq!(said(&candidates[0]), "c-1 verify enrol");
        assert_eq!(said(&candidates[1]), "c-2 verify enrol adapt");
        assert_eq!(
            (candidates[2].subject.role, said(&candidates[2])),
            (Role::Agent, "c-9 verify enrol".into())
        );
        assert!(said(&candidates[3]).starts_with("differing_consent: its rows"));
        assert!(said(&candidates[4]).starts_with("no_consent: line 8: the consent reference"));
        assert!(said(&candidates[5]).starts_with("bad_row: line 9: a scope is verify"));
        assert!(said(&candidates[6]).starts_with("bad_row: line 10: \"someday\" is no date"));
        assert!(said(&candidates[7]).starts_with("bad_row: line 11: a role is caller or agent"));
    }

    #[test]
    fn a_list_whose_columns_are_others_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let list = folder.path().join("list.csv");
        fs::write(&list, "subject,file\nalice,a.wav\n").expect("a list");
        let refused = of_csv(&list, &defaults()).expect_err("no consents").to_string();
        assert!(refused.ends_with("has no column \"consent\""), "{refused}");
        fs::write(&list, "subject,file,consent,note\nalice,a.wav,c-1,x\n").expect("a list");
        let refused = of_csv(&list, &defaults()).expect_err("a note").to_string();
        assert!(refused.contains("has a column \"note\""), "{refused}");
    }

    #[test]
    fn a_folder_has_a_file_or_a_folder_for_each_and_says_what_they_agreed_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        put("alice/1.wav", "one");
        put("alice/2.FLAC", "two");
        put("alice/notes.txt", "no recording");
        put("alice/copy.wav", "one");
        put("bob.ogg", "three");
        put("carol.wav", "three");
        put("dora.wav", "four");
        put("consents.csv", "subject,consent\nalice,c-1\nbob,c-2\ncarol,c-3\n");
        let candidates = of_folder(folder.path(), None, &defaults()).expect("a folder");
        let mut seen = 0;
        let candidates = with_digests(candidates, |done| seen = done);
        assert_eq!((candidates.len(), seen), (4, 4));
        assert_eq!(
            (candidates[0].files.len(), candidates[0].digests.len()),
            (2, 2),
            "one is a copy"
        );
        assert_eq!(said(&candidates[0]), "c-1 verify enrol");
        assert_eq!(said(&candidates[1]), "same_recording: one of its recordings is of carol, too");
        assert_eq!(said(&candidates[2]), "same_recording: one of its recordings is of bob, too");
        assert!(said(&candidates[3]).starts_with("no_consent: consents.csv has no line"));
        let prefixed = of_folder(folder.path(), Some("k/"), &defaults()).expect("a folder");
        assert_eq!(said(&prefixed[3]), "k/dora verify enrol");
    }
}
