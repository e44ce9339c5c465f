//! The test's own program once more, as a process that writes to the same vault and may be killed.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::databases::Site;

use super::Keyed;

/// Where the process is told what to write to: place, key file, password file, and a word.
const TOLD: &str = "SIDETONE_TEST_VAULT";
/// What its lines begin with, apart from those of the test's harness, which does not always end its own.
const MARK: &str = "told: ";

/// Starts the ignored test `name` of this program as a process of its own, for `keyed` and with a `word`.
pub(crate) fn start(name: &str, keyed: &Keyed, word: &str) -> Child {
    let password_file = keyed.site.password_file.as_ref().map(|file| file.display().to_string());
    let told = [
        keyed.site.url.clone(),
        keyed.key_file.display().to_string(),
        password_file.unwrap_or_default(),
        word.to_owned(),
    ];
    Command::new(std::env::current_exe().expect("a test"))
        .args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"])
        .env(TOLD, told.join("\n"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a test can be run again")
}

/// In such a process: what it writes to, and the word. Nothing where somebody runs all ignored tests.
pub(crate) fn told() -> Option<(Keyed, String)> {
    let told = std::env::var(TOLD).ok()?;
    let words: Vec<_> = told.split('\n').collect();
    let [url, key_file, password_file, word] = words[..] else { panic!("{told}") };
    let password_file = (!password_file.is_empty()).then(|| PathBuf::from(password_file));
    let folder = tempfile::tempdir().expect("a folder");
    let site = Site { name: "the process", url: url.to_owned(), password_file, folder };
    Some((Keyed { site, key_file: key_file.into() }, word.to_owned()))
}

/// Tells who started it, at once and in one piece.
pub(crate) fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(format!("{MARK}{line}\n").as_bytes()).and_then(|()| out.flush());
}

/// What a line of such a process tells, if it does.
pub(crate) fn heard(line: &str) -> Option<&str> {
    line.split_once(MARK).map(|(_, told)| told)
}
