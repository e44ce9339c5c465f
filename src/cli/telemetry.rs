//! ONNX Runtime's telemetry, which stays off in whatever `sidetone` runs.
//!
//! Microsoft's builds (found in 1.32.0) write an id of the machine and an event into `~/.cache/Microsoft/DeveloperTools` as
//! soon as they are loaded, to send them to `mobile.events.data.microsoft.com`: before the API can be asked to leave it.
//! Their environment variable alone is read early enough, and a program cannot alter its own environment safely, so it
//! begins anew with it: the same process, with the same files and arguments.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::cli::Refusal;

/// What ONNX Runtime looks at before anything else.
const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// Comes back where the variable is set, which the unit, the image and Cargo's own configuration do beforehand.
pub fn refuse() -> Result<(), Refusal> {
    if env::var_os(VARIABLE).is_some_and(|value| value == "1") {
        return Ok(());
    }
    let program = env::current_exe().map_err(|error| format!("cannot find itself: {error}"))?;
    let mut arguments = env::args_os();
    let mut again = Command::new(&program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    let error = again.args(arguments).env(VARIABLE, "1").exec();
    Err(format!("cannot begin again with {VARIABLE}=1: {}: {error}", program.display()).into())
}
