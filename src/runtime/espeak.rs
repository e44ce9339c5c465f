//! espeak-ng, a program of its own where it is installed: how words are said, for languages of which there is no lexicon.

use std::io::{ErrorKind, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::keyword::language::Language;

/// The program, found on the path.
const PROGRAM: &str = "espeak-ng";
/// 5 s: it takes some 20 ms, and a start-up does not wait longer for what hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a pronunciation was not had.
#[derive(Debug, thiserror::Error)]
pub enum EspeakError {
    /// Not on the path.
    #[error("{program} is not installed")]
    Missing {
        /// Its name.
        program: String,
    },
    /// It could not be started, read or understood.
    #[error("{program}: {reason}")]
    Failed {
        /// Its name.
        program: String,
        /// What the system, or the program, said.
        reason: String,
    },
}

/// `text` as the language's voice would say it: IPA, a space between phones and two between words.
pub fn ipa(language: Language, text: &str) -> Result<String, EspeakError> {
    let arguments = ["-q", "--ipa", "--sep= ", "-v", language.as_str(), "--", text];
    said_by(PROGRAM, &arguments, PATIENCE)
}

/// What `program` writes, at most `patience` long.
fn said_by(program: &str, arguments: &[&str], patience: Duration) -> Result<String, EspeakError> {
    let name = || program.to_owned();
    let failed = |reason: String| EspeakError::Failed { program: name(), reason };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => EspeakError::Missing { program: name() },
            _ => failed(error.to_string()),
        })?;
    let (done, told) = mpsc::channel();
    let mut output = child.stdout.take().expect("its output was asked for");
    let reading = thread::spawn(move || {
        let mut text = String::new();
        let read = output.read_to_string(&mut text);
        // Nobody listens any more once the patience is over.
        let _ = done.send(read.map(|_| text));
    });
    let told = told.recv_timeout(patience);
    if told.is_err() {
        // It may have ended by itself in between.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    let text = told.map_err(|_| failed(format!("said nothing within {} s", patience.as_secs())))?;
    let _ = reading.join();
    let text = text.map_err(|error| failed(error.to_string()))?;
    if status.success() { Ok(text) } else { Err(failed(format!("ended with {status}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(program: &str, arguments: &[&str], patience: Duration) -> String {
        said_by(program, arguments, patience).expect_err("nothing is said").to_string()
    }

    #[test]
    fn what_is_not_installed_is_said_to_be() {
        let missing = sentence("no-such-espeak", &[], PATIENCE);
        assert_eq!(missing, "no-such-espeak is not installed");
    }

    #[test]
    fn what_hangs_is_ended() {
        let hangs = sentence("sleep", &["600"], Duration::from_millis(10));
        assert_eq!(hangs, "sleep: said nothing within 0 s");
    }

    #[test]
    fn what_fails_is_said_to() {
        let fails = sentence("false", &[], PATIENCE);
        assert!(fails.starts_with("false: ended with exit status: 1"), "{fails}");
    }

    #[test]
    fn what_is_said_is_told() {
        let said = said_by("echo", &["v ɪ l"], PATIENCE).expect("echo speaks");
        assert_eq!(said, "v ɪ l\n");
    }
}
