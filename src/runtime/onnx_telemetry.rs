//! Keeps ONNX Runtime from reporting to its maker.
//!
//! From 1.29 on its library for Linux, as it comes from the Python package index, writes an id of the machine and events
//! to `~/.cache`, and sends them. What its interface offers comes too late: one event is made while the environment
//! is. Only the process's own environment, as it is when the library is initialised, forbids all of it.

use std::env;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Set to `1` it forbids everything: no sender, no event, no id, no file.
pub const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// Whether this process's environment forbids it.
pub fn is_off() -> bool {
    env::var_os(VARIABLE).is_some_and(|value| value == "1")
}

/// Has the process run with it forbidden: where it is not, this process becomes the same one again, with the same id,
/// arguments and open sockets. Returns at once where it is, and an error where that cannot be.
pub fn switch_off() -> io::Result<()> {
    if is_off() {
        return Ok(());
    }
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_else(|| "sidetone".into());
    Err(Command::new(env::current_exe()?).arg0(name).args(arguments).env(VARIABLE, "1").exec())
}
