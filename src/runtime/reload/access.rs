//! Who may call, read again: `[[sip.peer]]` and `[[sip.user]]` of the configuration file. Whatever else differs there takes
//! a restart, and is named.

use toml::{Table, Value};

use crate::config::{Config, ConfigError, Written};
use crate::runtime::admission::Admission;
use crate::runtime::sip_settings::SecretError;

/// What a reload takes over, as [`differing`] names it.
const TAKEN: [&str; 2] = ["sip.peer", "sip.user"];

/// Why those who might call before still may, and nobody else: one sentence.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The configuration cannot be read, or makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A password is missing.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// The configuration file, and what of it is in force.
#[derive(Debug)]
pub struct AccessFile {
    /// What everything else was made from.
    started_with: Written,
    in_force: Admission,
}

/// What the file says now.
#[derive(Debug)]
pub struct AccessRead {
    /// Who may call, where that is not as before.
    pub news: Option<Admission>,
    /// The keys whose change takes a restart, such as `rtp.threads`.
    pub after_restart: Vec<String>,
}

impl AccessFile {
    /// Of a `config` that came from a file; reads the passwords and blocks.
    pub fn new(config: &Config) -> Option<Result<Self, SecretError>> {
        let started_with = config.written.clone()?;
        Some(Admission::read(&config.sip).map(|in_force| Self { started_with, in_force }))
    }

    /// Reads the file and the passwords; blocks.
    pub fn read(&self) -> Result<AccessRead, AccessError> {
        let Written { file, text: before } = &self.started_with;
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigError::Unreadable { file: file.clone(), error })?;
        let config = Config::parse(file, &text)?;
        let admission = Admission::read(&config.sip)?;
        let same = Config::parse(file, before).is_ok_and(|old| rest(old) == rest(config));
        // The same may be written in two ways.
        let after_restart = if same { Vec::new() } else { differing(before, &text) };
        let news = (admission != self.in_force).then_some(admission);
        Ok(AccessRead { news, after_restart })
    }

    /// What was read is in force.
    pub fn note(&mut self, admission: Admission) {
        self.in_force = admission;
    }
}

/// All that a reload does not take over, in a form that shows every key, also one that is added later.
fn rest(mut config: Config) -> String {
    config.sip.peers.clear();
    config.sip.users.clear();
    config.written = None;
    format!("{config:?}")
}

/// The keys that two texts give other values, or one of them none, without [`TAKEN`].
fn differing(before: &str, now: &str) -> Vec<String> {
    let table = |text: &str| text.parse::<Table>().unwrap_or_default();
    let mut keys = Vec::new();
    compare("", &table(before), &table(now), &mut keys);
    keys
}

fn compare(above: &str, before: &Table, now: &Table, keys: &mut Vec<String>) {
    let mut names: Vec<_> = before.keys().chain(now.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let key = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        match (before.get(name), now.get(name)) {
            _ if TAKEN.contains(&key.as_str()) => {}
            (Some(Value::Table(before)), Some(Value::Table(now))) => {
                compare(&key, before, now, keys);
            }
            (before, now) if before == now => {}
            _ => keys.push(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SHIPPED: &str = include_str!("../../../config/sidetone.toml");

    /// What is read once the file that began as `SHIPPED` has become `text`.
    fn read(text: &str) -> Result<AccessRead, AccessError> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("sidetone.toml");
        let config = Config::parse(&file, SHIPPED).expect("it is shipped");
        let access = AccessFile::new(&config).expect("it has a file").expect("no passwords");
        std::fs::write(&file, text).expect("a writable folder");
        access.read()
    }

    #[test]
    fn peers_are_taken_and_every_other_key_is_named() {
        let unchanged = read(SHIPPED).expect("good");
        assert!(unchanged.news.is_none() && unchanged.after_restart.is_empty());
        let more = format!("{SHIPPED}\n# Why not.\n");
        let text = more.replace("name = \"pbx\"", "name = \"other\"");
        let text = text.replacen("threads = 1", "threads = 2", 1).replacen(
            "max_calls = 100",
            "max_calls = 50",
            1,
        );
        let text = text.replacen("# drain_s = 0", "drain_s = 1", 1);
        let taken = read(&text).expect("good");
        let peers = taken.news.expect("another peer");
        assert_eq!(peers.tables()[0].name, "other");
        assert_eq!(taken.after_restart, ["rtp.threads", "sip.drain_s", "sip.max_calls"]);
    }

    #[test]
    fn the_same_said_otherwise_takes_no_restart() {
        let text = SHIPPED.replacen("# codec_order = \"offer\"", "codec_order = \"offer\"", 1);
        assert_ne!(text, SHIPPED);
        assert!(read(&text).expect("good").after_restart.is_empty());
    }

    #[test]
    fn a_file_of_no_use_is_refused_with_the_sentence_of_a_check() {
        let text = SHIPPED.replacen("info = \"rfc6086\"", "info = \"rfc\"", 1);
        let said = read(&text).expect_err("no such form").to_string();
        assert!(said.contains("sidetone.toml, line ") && said.contains("`rfc`"), "{said}");
        let user = "[[sip.user]]\nname = \"pbx\"\npassword_file = \"nowhere\"\n";
        let said = read(&format!("{SHIPPED}\n{user}")).expect_err("no file").to_string();
        assert!(said.contains("nowhere (sip.user.password_file)"), "{said}");
        let gone = Config::parse(Path::new("/nowhere/sidetone.toml"), SHIPPED).expect("good");
        let gone = AccessFile::new(&gone).expect("it has a file").expect("no passwords");
        let said = gone.read().expect_err("no file").to_string();
        assert!(said.starts_with("cannot read /nowhere/sidetone.toml: "), "{said}");
    }
}
