//! The tokens that requests may bear (RFC 6750): a file with the name, the role and the hash of each.

use std::fmt::{self, Write as _};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use toml::value::Datetime;

use crate::config::{self, ConfigError};
use crate::runtime::http::role::Role;

/// What every token begins with, so that who scans repositories and logs for secrets knows one.
const PREFIX: &str = "sdt_";
/// Randomness of a token, bytes.
const RANDOM: usize = 32;
/// Longest name of a token, bytes: it is in log lines and in the audit trail.
const LONGEST_NAME: usize = 64;
/// Whoever may write the file makes themselves an administrator.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// What is known of one token. The token itself is nowhere.
///
/// Its plain SHA-256 is enough: what slow, salted hashes protect are passwords that people choose. 256 random bits are
/// found by no search, and no two tokens are equal.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Who bears it; the actor in the audit trail.
    pub name: Arc<str>,
    /// What for.
    pub role: Role,
    /// SHA-256 of the token as it is sent.
    pub sha256: [u8; 32],
    /// From when on it is good for nothing.
    pub expires: Option<Timestamp>,
}

/// The file's tokens; read again while requests come.
#[derive(Debug)]
pub struct Tokens {
    file: PathBuf,
    known: RwLock<Arc<[Token]>>,
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBearer {
    /// Nobody knows it.
    Wrong,
    /// It was good once.
    Expired,
}

/// Why the file's tokens cannot be used: one sentence that names the file.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// It could not be read.
    #[error("cannot read the tokens in {} (http.tokens_file): {error}", .file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Others than its owner can make themselves tokens.
    #[error("{} (http.tokens_file) must be writable by its owner alone, found mode {mode:04o}", .file.display())]
    Writable {
        /// Which.
        file: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is no TOML, or has other keys.
    #[error(transparent)]
    Malformed(#[from] ConfigError),
    /// One of the tokens is none.
    #[error("{}{place}: {why}", .file.display())]
    Entry {
        /// Which file.
        file: PathBuf,
        /// `, line 4 ([[token]])`.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody could ask for anything.
    #[error("{} (http.tokens_file) must hold at least one [[token]], found none: `sidetone token` makes one", .file.display())]
    Empty {
        /// Which.
        file: PathBuf,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[serde(default, rename = "token")]
    tokens: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    role: Role,
    sha256: String,
    expires: Option<Datetime>,
}

impl Tokens {
    /// Reads the tokens in `file`.
    pub fn open(file: &Path) -> Result<Self, TokensError> {
        let known = RwLock::new(read(file)?.into());
        Ok(Self { file: file.to_owned(), known })
    }

    /// Reads the file again; its tokens of before stay where it is of no use. Returns whether they were others.
    pub fn reload(&self) -> Result<bool, TokensError> {
        let read: Arc<[Token]> = read(&self.file)?.into();
        let mut known = self.known.write().expect("nothing panics while it holds this lock");
        let changed = *known != read;
        *known = read;
        Ok(changed)
    }

    /// Whose token `secret` is. It is compared with every one that there is, each in constant time, so that how long it
    /// takes tells nothing.
    pub fn bearer(&self, secret: &[u8], now: Timestamp) -> Result<Token, NoBearer> {
        let known =
            Arc::clone(&self.known.read().expect("nothing panics while it holds this lock"));
        let given = Sha256::digest(secret);
        let mut found = None;
        for token in known.iter() {
            if bool::from(token.sha256.ct_eq(&given)) {
                found = Some(token);
            }
        }
        match found {
            None => Err(NoBearer::Wrong),
            Some(Token { expires: Some(expires), .. }) if *expires <= now => Err(NoBearer::Expired),
            Some(token) => Ok(token.clone()),
        }
    }

    /// The token of that hash, while it stands in the file and is good for something.
    pub fn standing(&self, sha256: &[u8; 32], now: Timestamp) -> Option<Token> {
        let known = self.known.read().expect("nothing panics while it holds this lock");
        let token = known.iter().find(|token| token.sha256 == *sha256)?;
        token.expires.is_none_or(|expires| now < expires).then(|| token.clone())
    }
}

impl Token {
    /// A new one, and the secret that its bearer sends.
    pub fn make(
        name: &str,
        role: Role,
        expires: Option<Timestamp>,
    ) -> Result<(Self, String), getrandom::Error> {
        let mut random = [0; RANDOM];
        getrandom::fill(&mut random)?;
        let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        let sha256 = Sha256::digest(&secret).into();
        Ok((Self { name: name.into(), role, sha256, expires }, secret))
    }

    /// Its bearer, as the audit trail names who did something.
    pub fn actor(&self) -> String {
        format!("token:{}", self.name)
    }

    /// Its lines for the file.
    pub fn to_toml(&self) -> String {
        let Self { name, role, sha256, expires } = self;
        let hash = hex::encode(sha256);
        let mut lines =
            format!("[[token]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{hash}\"\n");
        if let Some(expires) = expires {
            writeln!(lines, "expires = {expires}").expect("a string takes everything");
        }
        lines
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// The tokens that stand in `file`, which others must not be able to write.
pub fn read(file: &Path) -> Result<Vec<Token>, TokensError> {
    let unreadable = |error| TokensError::Unreadable { file: file.to_owned(), error };
    let mode = std::fs::metadata(file).map_err(unreadable)?.mode() & 0o7777;
    if mode & WRITABLE_BY_OTHERS != 0 {
        return Err(TokensError::Writable { file: file.to_owned(), mode });
    }
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    parse(file, &text)
}

fn parse(file: &Path, text: &str) -> Result<Vec<Token>, TokensError> {
    let listed: Listed =
        toml::from_str(text).map_err(|error| config::malformed(file, text, &error))?;
    let mut tokens: Vec<Token> = Vec::new();
    for (nth, entry) in listed.tokens.iter().enumerate() {
        let token = entry.read().and_then(|token| {
            let same = |other: &&Token| other.name == token.name || other.sha256 == token.sha256;
            match tokens.iter().find(same) {
                Some(other) if other.name == token.name => {
                    Err(format!("two tokens have the name {:?}", entry.name))
                }
                Some(other) => Err(format!("{:?} has the token of {:?}", entry.name, &*other.name)),
                None => Ok(token),
            }
        });
        let place = || config::place_of(text, "token", Some(nth));
        tokens.push(token.map_err(|why| TokensError::Entry {
            file: file.to_owned(),
            place: place(),
            why,
        })?);
    }
    match tokens.is_empty() {
        true => Err(TokensError::Empty { file: file.to_owned() }),
        false => Ok(tokens),
    }
}

impl Entry {
    fn read(&self) -> Result<Token, String> {
        let name = name(&self.name)?;
        let mut sha256 = [0; 32];
        hex::decode_to_slice(&self.sha256, &mut sha256).map_err(|_| {
            format!(
                "sha256 must be the 64 hexadecimal digits of a token's SHA-256, found {:?}",
                self.sha256
            )
        })?;
        let expires = self.expires.map(|expires| expiry(&expires.to_string())).transpose()?;
        Ok(Token { name: name.into(), role: self.role, sha256, expires })
    }
}

/// A name that a token can have.
pub fn name(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    match (1..=LONGEST_NAME).contains(&text.len()) && text.chars().all(good) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "a token's name must be 1 to {LONGEST_NAME} letters, digits, or . _ - @, found {text:?}"
        )),
    }
}

/// The moment that a date, or a time with its offset, means: a date is good until its first moment in UTC.
pub fn expiry(text: &str) -> Result<Timestamp, String> {
    let of_date = || TimeZone::UTC.to_timestamp(text.parse::<Date>().ok()?.at(0, 0, 0, 0)).ok();
    let moment = text.parse().ok().or_else(of_date);
    moment.ok_or_else(|| {
        format!("expires must be a date or a time with its offset, such as 2027-01-01T00:00:00Z, found {text}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "tokens.toml";

    fn said(text: &str) -> String {
        parse(Path::new(FILE), text).expect_err(text).to_string()
    }

    #[test]
    fn what_is_written_is_what_is_read_and_only_the_secret_opens_it() {
        let expires = Some("2027-01-01T00:00:00Z".parse().expect("a time"));
        let (first, secret) = Token::make("first", Role::Viewer, expires).expect("randomness");
        let (second, _) = Token::make("second@desk-1", Role::Admin, None).expect("randomness");
        assert!(secret.starts_with(PREFIX) && secret.len() == PREFIX.len() + 43, "{secret}");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(FILE);
        let written = first.to_toml() + &second.to_toml();
        assert!(!written.contains(&secret));
        std::fs::write(&file, written).expect("a writable folder");
        let tokens = Tokens::open(&file).expect("what was written");
        let (before, after) = ("2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z");
        let asked = |secret: &str, now: &str| {
            let bearer = tokens.bearer(secret.as_bytes(), now.parse().expect("a time"));
            bearer.map(|token| token.name)
        };
        assert_eq!(asked(&secret, before), Ok("first".into()));
        assert_eq!(asked(&secret, after), Err(NoBearer::Expired));
        for wrong in ["", "first", &secret[1..], &hex::encode(first.sha256), &format!("{secret} ")]
        {
            assert_eq!(asked(wrong, before), Err(NoBearer::Wrong), "{wrong}");
        }
        assert!(!format!("{tokens:?}").contains("sha256"));
    }

    #[test]
    fn a_file_that_is_of_no_use_says_why_and_the_tokens_of_before_stay() {
        let hash = "ab".repeat(32);
        let entry = |name: &str, more: &str| {
            format!("[[token]]\nname = \"{name}\"\nrole = \"viewer\"\nsha256 = \"{hash}\"\n{more}")
        };
        let place = "tokens.toml, line 1 ([[token]]): ";
        let twice = entry("a", "") + &entry("a", "");
        let other = entry("a", "") + &entry("b", "");
        let short = entry("a", "").replace(&hash, "abcd");
        for (text, wanted) in [
            (
                String::new(),
                "tokens.toml (http.tokens_file) must hold at least one [[token]], found none"
                    .to_owned(),
            ),
            (entry("", ""), format!("{place}a token's name must be 1 to 64 letters")),
            (entry("a b", ""), format!("{place}a token's name must be 1 to 64 letters")),
            (short, format!("{place}sha256 must be the 64 hexadecimal digits")),
            (
                entry("a", "expires = 12:30:00\n"),
                format!("{place}expires must be a date or a time with its offset"),
            ),
            (twice, "tokens.toml, line 5 ([[token]]): two tokens have the name \"a\"".to_owned()),
            (other, "tokens.toml, line 5 ([[token]]): \"b\" has the token of \"a\"".to_owned()),
            (
                entry("a", "").replace("viewer", "root"),
                "tokens.toml, line 3 (role = \"root\"): ".to_owned(),
            ),
            (
                entry("a", "secret = 1\n"),
                "tokens.toml, line 5 (secret = 1): unknown field".to_owned(),
            ),
        ] {
            let said = said(&text);
            assert!(said.starts_with(&wanted), "{said}: {wanted}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(FILE);
        std::fs::write(&file, entry("a", "expires = 2030-01-01\n")).expect("a writable folder");
        let tokens = Tokens::open(&file).expect("good");
        std::fs::write(&file, entry("b", "") + "nonsense").expect("a writable folder");
        assert!(tokens.reload().is_err());
        assert_eq!(&*tokens.known.read().expect("no panic")[0].name, "a");
        std::fs::write(&file, entry("b", "")).expect("a writable folder");
        assert_eq!(tokens.reload().ok(), Some(true));
        assert_eq!(tokens.reload().ok(), Some(false));
        assert_eq!(&*tokens.known.read().expect("no panic")[0].name, "b");
        rustix::fs::chmod(&file, 0o622.into()).expect("our file");
        let said = tokens.reload().expect_err("anybody may write it").to_string();
        assert!(said.ends_with("must be writable by its owner alone, found mode 0622"), "{said}");
    }
}
