//! A real Asterisk of our own: fetched once, configured by `tests/pbx/asterisk/etc`, on free ports.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::{Running, free_port};
use crate::appliance::wait_for;
use crate::store::skip;

/// Where it is unpacked; kept between runs.
const TREE: &str = "target/asterisk/tree";
/// Password of every endpoint of `pjsip.conf`.
pub(crate) const PASSWORD: &str = "regpw";

/// A running Asterisk.
#[derive(Debug)]
pub(crate) struct Asterisk {
    folder: TempDir,
    tree: PathBuf,
    /// Where it answers SIP over UDP and TCP.
    pub(crate) port: u16,
    process: Running,
}

impl Asterisk {
    /// Starts one whose extension `narrator` plays `speech`, µ-law at 8 kHz; says so if there is
    /// none to start. `transports` is appended to the transports of `pjsip.conf`.
    pub(crate) fn start(speech: &[u8], transports: &str) -> Option<Self> {
        let tree = tree()?;
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let place = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        for name in ["asterisk", "extensions", "logger", "modules", "pjsip", "rtp"] {
            let file = Path::new("tests/pbx/asterisk/etc").join(format!("{name}.conf"));
            let text = fs::read_to_string(file).expect("tests run at the package root");
            let text = text
                .replace("@FOLDER@", &place(folder.path()))
                .replace("@TREE@", &place(&tree))
                .replace("@PORT@", &port.to_string())
                .replace("@TRANSPORTS@", transports);
            fs::write(folder.path().join(format!("{name}.conf")), text).expect("writable");
        }
        fs::write(folder.path().join("narrator.ulaw"), speech).expect("writable");
        let process = Running::start(command(&tree, folder.path()).arg("-f"));
        let asterisk = Self { folder, tree, port, process };
        asterisk.wait_until_ready();
        Some(asterisk)
    }

    /// Kills it, as a power cut would, with all that it knew of bindings.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
        for name in ["astdb.sqlite3", "full", "asterisk.ctl"] {
            let _ = fs::remove_file(self.folder.path().join(name));
        }
    }

    /// Starts it again where it was.
    pub(crate) fn start_again(&mut self) {
        self.process = Running::start(command(&self.tree, self.folder.path()).arg("-f"));
        self.wait_until_ready();
    }

    /// Calls an endpoint's binding and lets it hear the extension `narrator`.
    pub(crate) fn call(&self, endpoint: &str) {
        self.cli(&format!("channel originate PJSIP/{endpoint} extension narrator@from-sidecar"));
    }

    /// What its command line answers; not more often than it is sensible to ask.
    pub(crate) fn cli(&self, line: &str) -> String {
        thread::sleep(Duration::from_millis(100));
        let mut command = command(&self.tree, self.folder.path());
        let output = command.args(["-rx", line]).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Its log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("full")).unwrap_or_default()
    }

    /// Whether `endpoint` has a binding that answers OPTIONS.
    pub(crate) fn reaches(&self, endpoint: &str) -> bool {
        let start = format!("Contact:  {endpoint}/");
        self.cli("pjsip show contacts")
            .lines()
            .any(|line| line.trim().starts_with(&start) && line.contains(" Avail "))
    }

    fn wait_until_ready(&self) {
        wait_for("Asterisk", || {
            self.cli("core waitfullybooted").contains("fully booted").then_some(())
        });
    }
}

/// The unpacked tree; says so if there is none to be had.
fn tree() -> Option<PathBuf> {
    let tree = std::path::absolute(TREE).expect("a working directory");
    if !cfg!(target_arch = "x86_64") {
        skip("Asterisk is fetched for x86_64 alone");
        return None;
    }
    let fetched = Command::new("tests/pbx/asterisk/fetch.sh").arg(&tree).output();
    let fetched = fetched.expect("tests run at the package root");
    if !fetched.status.success() {
        let said = String::from_utf8_lossy(&fetched.stderr);
        skip(&format!("no Asterisk can be fetched: {}", said.trim().replace('\n', "; ")));
        return None;
    }
    Some(tree)
}

/// Asterisk by the loader and libraries that came with it.
fn command(tree: &Path, folder: &Path) -> Command {
    let libraries = tree.join("usr/lib/x86_64-linux-gnu");
    let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
    // Without --inhibit-cache this system's libraries would be found beside them.
    command.args(["--inhibit-cache", "--library-path"]).arg(&libraries);
    command.arg(tree.join("usr/sbin/asterisk")).arg("-C").arg(folder.join("asterisk.conf"));
    command
}
