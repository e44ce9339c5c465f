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

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// 22, of Debian sid.
    Current,
    /// 16, of bullseye: as old as there still are many.
    Sixteen,
}

impl Release {
    /// Debian's name of the suite.
    fn suite(self) -> &'static str {
        match self {
            Self::Current => "sid",
            Self::Sixteen => "bullseye",
        }
    }

    /// Where it is unpacked; kept between runs.
    fn place(self) -> &'static str {
        match self {
            Self::Current => "target/asterisk/tree",
            Self::Sixteen => "target/asterisk/tree16",
        }
    }

    /// Its modules, its loader and the folders of its libraries, from the tree's root.
    fn files(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Self::Current => (
                "usr/lib/x86_64-linux-gnu/asterisk/modules",
                "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
                &["usr/lib/x86_64-linux-gnu"],
            ),
            Self::Sixteen => (
                "usr/lib/asterisk/modules",
                "lib/x86_64-linux-gnu/ld-2.31.so",
                &["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/lib"],
            ),
        }
    }
}

/// Password of every endpoint of `pjsip.conf`.
pub(crate) const PASSWORD: &str = "regpw";

/// A running Asterisk.
#[derive(Debug)]
pub(crate) struct Asterisk {
    folder: TempDir,
    release: Release,
    tree: PathBuf,
    /// Where it answers SIP over UDP and TCP.
    pub(crate) port: u16,
    process: Running,
}

impl Asterisk {
    /// Starts one whose extension `narrator` plays `speech`, µ-law at 8 kHz; says so if there is
    /// none to start. `transports` is appended to the transports of `pjsip.conf`.
    pub(crate) fn start(speech: &[u8], transports: &str) -> Option<Self> {
        let port = free_port();
        let files = ["asterisk", "extensions", "logger", "modules", "pjsip", "rtp"].map(|name| {
            let name = format!("{name}.conf");
            let file = Path::new("tests/pbx/asterisk/etc").join(&name);
            let text = fs::read_to_string(file).expect("tests run at the package root");
            (name, text.replace("@PORT@", &port.to_string()).replace("@TRANSPORTS@", transports))
        });
        let speech = ("narrator.ulaw".to_owned(), speech.to_vec());
        Self::start_with(Release::Current, port, &files, &[speech])
    }

    /// Starts the `release` with these files in its folder, of which those of `texts` may name the folder as
    /// @FOLDER@, and what was unpacked as @TREE@ and @MODULES@; says so if there is none to start. `port` is where it
    /// answers SIP by them.
    pub(crate) fn start_with(
        release: Release,
        port: u16,
        texts: &[(String, String)],
        others: &[(String, Vec<u8>)],
    ) -> Option<Self> {
        let tree = tree(release)?;
        let folder = tempfile::tempdir().expect("a folder");
        let place = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let modules = place(&tree.join(release.files().0));
        for (name, text) in texts {
            let text = text
                .replace("@FOLDER@", &place(folder.path()))
                .replace("@MODULES@", &modules)
                .replace("@TREE@", &place(&tree));
            fs::write(folder.path().join(name), text).expect("writable");
        }
        for (name, bytes) in others {
            fs::write(folder.path().join(name), bytes).expect("writable");
        }
        let process = Running::start(command(release, &tree, folder.path()).arg("-f"));
        let asterisk = Self { folder, release, tree, port, process };
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
        self.process =
            Running::start(command(self.release, &self.tree, self.folder.path()).arg("-f"));
        self.wait_until_ready();
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Calls an endpoint's binding and lets it hear the extension `narrator`.
    pub(crate) fn call(&self, endpoint: &str) {
        self.cli(&format!("channel originate PJSIP/{endpoint} extension narrator@from-sidecar"));
    }

    /// What its command line answers; not more often than it is sensible to ask.
    pub(crate) fn cli(&self, line: &str) -> String {
        thread::sleep(Duration::from_millis(100));
        let mut command = command(self.release, &self.tree, self.folder.path());
        let output = command.args(["-rx", line]).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A script that is to it what `asterisk` is to one that is installed.
    pub(crate) fn script(&self) -> String {
        let command = command(self.release, &self.tree, self.folder.path());
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<_> = words.map(|word| format!("'{}'", word.display())).collect();
        format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "))
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
fn tree(release: Release) -> Option<PathBuf> {
    let tree = std::path::absolute(release.place()).expect("a working directory");
    if !cfg!(target_arch = "x86_64") {
        skip("Asterisk is fetched for x86_64 alone");
        return None;
    }
    let fetched =
        Command::new("tests/pbx/asterisk/fetch.sh").arg(&tree).arg(release.suite()).output();
    let fetched = fetched.expect("tests run at the package root");
    if !fetched.status.success() {
        let said = String::from_utf8_lossy(&fetched.stderr);
        skip(&format!("no Asterisk can be fetched: {}", said.trim().replace('\n', "; ")));
        return None;
    }
    Some(tree)
}

/// Asterisk by the loader and libraries that came with it.
fn command(release: Release, tree: &Path, folder: &Path) -> Command {
    let (_, loader, libraries) = release.files();
    let libraries: Vec<_> = libraries.iter().map(|folder| tree.join(folder)).collect();
    let mut command = Command::new(tree.join(loader));
    // Without --inhibit-cache this system's libraries would be found beside them.
    command.args(["--inhibit-cache", "--library-path"]);
    command.arg(std::env::join_paths(libraries).expect("no colon in them"));
    command.arg(tree.join("usr/sbin/asterisk")).arg("-C").arg(folder.join("asterisk.conf"));
    command
}
