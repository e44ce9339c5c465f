//! SIPp by a scenario of ours, from loopback and in a site's folder, where its logs are.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::installed;
use crate::appliance::Site;

/// Whether it can be run; says so if not.
pub(crate) fn is_there() -> bool {
    installed("sipp", "sip-tester")
}

/// The scenario in the file `scenario`, played to `target`; gives up after `longest_s`. One call, unless an argument more
/// says otherwise.
pub(crate) fn scenario(site: &Site, scenario: &Path, target: &str, longest_s: u32) -> Command {
    let mut command = Command::new("sipp");
    command
        .arg("-sf")
        .arg(std::path::absolute(scenario).expect("a working directory"))
        .args([target, "-i", "127.0.0.1", "-mi", "127.0.0.1", "-m", "1"])
        .args(["-timeout", &longest_s.to_string(), "-timeout_error", "-nostdin"])
        .args(["-trace_err", "-error_file", "sipp_errors.log"])
        .args(["-trace_msg", "-message_file", "sipp_messages.log"])
        .current_dir(site.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// What it found wrong, and all messages.
pub(crate) fn logs(site: &Site) -> String {
    let read = |name: &str| fs::read_to_string(site.path(name)).unwrap_or_default();
    ["sipp_errors.log", "sipp_messages.log"].map(read).join("\n")
}
