//! `sidetone token`: a new token for the API.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::{Outcome, Refusal, println};
use crate::runtime::http::role::Role;
use crate::runtime::http::tokens::{self, Token, TokensError};

/// Arguments of `sidetone token`.
#[derive(Debug, Args)]
#[command(
    after_help = "The token is shown this once: the file of http.tokens_file holds its SHA-256 alone. `systemctl reload \
    sidetone` has the file\nread again; the service's user has to be able to read it, and nobody else to write it.\n\n\
    Roles:\n  \
    viewer    looks at calls\n  \
    operator  places and ends calls, pauses legs, enrols, has the policy read again; and looks at calls\n  \
    privacy   sees, exports and erases what is held of a person, keeps consents\n  \
    auditor   reads the audit trail\n  \
    admin     everything\n\n\
    Examples:\n  \
    sidetone token --name dialler --role operator\n  \
    sidetone token --name dpo --role privacy --expires 2027-01-01 --into /etc/sidetone/tokens.toml > dpo.token"
)]
pub struct Arguments {
    /// Who bears it: log lines and the audit trail name the bearer so.
    #[arg(long, value_parser = tokens::name)]
    name: String,
    /// What it is for: viewer, operator, privacy, auditor or admin.
    #[arg(long)]
    role: Role,
    /// Until when it is good: a date (its first moment in UTC), or a time with its offset.
    #[arg(long, value_name = "DATE", value_parser = tokens::expiry)]
    expires: Option<Timestamp>,
    /// Put its lines at the end of this file, which is made with mode 0600 where there is none, instead of showing them.
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
    /// One JSON document.
    #[arg(long)]
    json: bool,
}

/// Makes a token, and shows it.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let (token, secret) = Token::make(&arguments.name, arguments.role, arguments.expires)?;
    if token.expires.is_some_and(|expires| expires <= Timestamp::now()) {
        return Err("--expires must be in the future".into());
    }
    if let Some(file) = &arguments.into {
        add(file, &token)?;
    }
    if arguments.json {
        let sha256 = hex::encode(token.sha256);
        let (name, role, expires) = (&*token.name, token.role.as_str(), token.expires);
        println!(
            "{}",
            json!({ "token": secret, "name": name, "role": role, "sha256": sha256, "expires": expires })
        );
        return Ok(Outcome::Done);
    }
    println!("{secret}");
    if arguments.into.is_none() {
        println!("\n{}", token.to_toml().trim_end());
    }
    Ok(Outcome::Done)
}

/// Adds `token` to those in `file`, which has to be good as it is.
fn add(file: &Path, token: &Token) -> Result<(), Refusal> {
    let before = match tokens::read(file) {
        Ok(before) => before,
        Err(TokensError::Unreadable { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            Vec::new()
        }
        Err(TokensError::Empty { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    if before.iter().any(|other| other.name == token.name) {
        return Err(format!(
            "{} has a token of the name {:?} already",
            file.display(),
            &*token.name
        )
        .into());
    }
    let cannot = |error: io::Error| format!("cannot write {}: {error}", file.display());
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(file);
    let mut opened: File = opened.map_err(cannot)?;
    let lines = format!("\n{}", token.to_toml());
    let lines = if before.is_empty() { lines.trim_start() } else { &lines };
    opened.write_all(lines.as_bytes()).and_then(|()| opened.sync_all()).map_err(cannot)?;
    Ok(())
}
