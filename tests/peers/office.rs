//! A small office: an Asterisk that loads `config/pbx/asterisk`, a sidetone configured by the same folder, and two
//! telephones. Of the recipes nothing is changed but ports and paths.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::asterisk::{Asterisk, Release};
use super::baresip::{self, Keys, Phone};
use super::{Running, free_port};
use crate::appliance::{Appliance, RATE, SUBJECT, Site, wait_for, write_wav};
use crate::store::{skip, store};

/// The recipes.
const RECIPES: &str = "config/pbx/asterisk";
/// What of Asterisk is not in them.
const BARE: &str = "tests/pbx/asterisk/office";

/// Name of a second of silence.
const QUIET: &str = "quiet";
/// Length of a call that nobody ends, seconds: above what any test waits.
const CALL_S: usize = 120;

/// How an office differs from the recipes as they stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) release: Release,
    /// The file that has sidetone's endpoint, without its ending.
    pub(crate) endpoint: &'a str,
    /// What sidetone's configuration says in place of what the recipe does.
    pub(crate) sidetone: &'a [(&'a str, &'a str)],
    /// What Asterisk's say, whichever of them.
    pub(crate) asterisk: &'a [(&'a str, &'a str)],
    /// What phrases and rules there are.
    pub(crate) policy: &'a str,
}

impl Plan<'_> {
    /// The recipes as they stand, with these phrases and rules.
    pub(crate) fn new(policy: &str) -> Plan<'_> {
        let (release, endpoint) = (Release::Current, "pjsip_sidetone");
        Plan { release, endpoint, sidetone: &[], asterisk: &[], policy }
    }
}

/// All of it at work.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) site: Site,
    pub(crate) appliance: Appliance,
    pub(crate) asterisk: Asterisk,
    /// Where Asterisk answers AMI, and ARI.
    pub(crate) manager: SocketAddr,
    pub(crate) ari: SocketAddr,
    /// Where the agent's telephone is called.
    agent: u16,
}

impl Office {
    /// Opens one; says so if something is missing. The narrator is enrolled, and his is the caller's number.
    pub(crate) fn open(plan: &Plan<'_>) -> Option<Self> {
        let store = store()?;
        if !baresip::is_there() {
            return None;
        }
        if !cfg!(target_arch = "x86_64") {
            skip("Asterisk is fetched for x86_64 alone");
            return None;
        }
        let site = Site::new(&store);
        Self::open_at(site, plan)
    }

    /// The same at a site that was prepared.
    pub(crate) fn open_at(site: Site, plan: &Plan<'_>) -> Option<Self> {
        let (port, agent) = (free_port(), free_port());
        let [manager, ari] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        site.write("policy.toml", plan.policy);
        let peer = recipe("sidetone_peer.toml");
        let text =
            plan.sidetone.iter().fold(with_peer(&site.config(), &peer), |text, (from, to)| {
                assert!(text.contains(from), "sidetone's configuration has {from}");
                text.replace(from, to)
            });
        let own = [(5060, port), (5038, manager.port()), (8088, ari.port())];
        let text = own.iter().fold(text, |text, (from, to)| {
            text.replace(&format!("127.0.0.1:{from}"), &format!("127.0.0.1:{to}"))
        });
        site.write("sidetone.toml", text);
        site.enroll();
        let appliance = Appliance::start(&site);
        let ports = [
            ("127.0.0.1:5090", appliance.sip.to_string()),
            ("127.0.0.1:5091", appliance.tls.unwrap_or(appliance.sip).to_string()),
            ("127.0.0.1:5061", format!("127.0.0.1:{}", free_port())),
            ("port = 5038", format!("port = {}", manager.port())),
            ("bindport = 8088", format!("bindport = {}", ari.port())),
            ("/etc/asterisk/keys/", site.path("").display().to_string()),
            ("@PORT@", port.to_string()),
            ("@AGENT@", agent.to_string()),
            ("@SUBJECT@", SUBJECT.to_owned()),
            ("@ENDPOINT@", plan.endpoint.to_owned()),
        ];
        let mut files = files(&ports);
        for (from, to) in plan.asterisk {
            let is_there = files.iter().any(|(_, text)| text.contains(from));
            assert!(is_there, "the recipes have {from}");
            files.iter_mut().for_each(|(_, text)| *text = text.replace(from, to));
        }
        // What is said to callers: a second of silence, in the place of recordings that no test has.
        for said in ["vm-password", "sidetone-consent"] {
            let quiet = format!(",@FOLDER@/{QUIET},");
            let said = format!(",{said},");
            files.iter_mut().for_each(|(_, text)| *text = text.replace(&said, &quiet));
        }
        let quiet = (format!("{QUIET}.ulaw"), vec![0xff; RATE as usize]);
        let asterisk = Asterisk::start_with(plan.release, port, &files, &[quiet])?;
        Some(Self { site, appliance, asterisk, manager, ari, agent })
    }

    /// The agent's telephone, which answers and plays `recording`.
    pub(crate) fn agent(&self, recording: &Path) -> Running {
        self.telephone("agent", "nobody", recording).answer(&self.site.path(""), self.agent)
    }

    /// The caller dials `extension` and plays `recording`.
    pub(crate) fn call(&self, extension: &str, recording: &Path) -> Running {
        self.telephone("caller", extension, recording).call(&self.site.path(""))
    }

    /// The same by a telephone whose keys can be pressed.
    pub(crate) fn call_with_keys(&self, extension: &str, recording: &Path) -> (Running, Keys) {
        let folder = self.site.path("");
        self.telephone("caller", extension, recording).call_with_keys(&folder)
    }

    fn telephone<'a>(&self, name: &'a str, user: &'a str, recording: &'a Path) -> Phone<'a> {
        let target = SocketAddr::from(([127, 0, 0, 1], self.asterisk.port));
        let (transport, codec) = ("udp", "PCMU/8000/1");
        let (encryption, certificate) = (None, None);
        Phone { name, user, target, transport, codec, encryption, recording, certificate }
    }

    /// A recording of the store as a WAV at 8 kHz that a telephone plays.
    pub(crate) fn recording(&self, name: &str) -> PathBuf {
        self.played(name, self.site.recording(name))
    }

    /// The rest of what the narrator reads, which is not enrolled.
    pub(crate) fn narrator(&self) -> PathBuf {
        self.played("narrator", self.site.narrator())
    }

    /// Nobody.
    pub(crate) fn silence(&self) -> PathBuf {
        self.played("silence", Vec::new())
    }

    fn played(&self, name: &str, mut audio: Vec<f32>) -> PathBuf {
        // baresip hangs up when its recording is over.
        audio.resize(CALL_S * RATE as usize, 0.0);
        let file = self.site.path(&format!("{name}-8k.wav"));
        write_wav(&file, &audio);
        file
    }

    /// The verdicts of `kind` so far.
    pub(crate) fn told(&self, kind: &str) -> Vec<Value> {
        let verdicts = self.appliance.verdicts();
        verdicts.into_iter().filter(|verdict| verdict["kind"] == kind).collect()
    }

    /// Waits for the first verdict of `kind`.
    pub(crate) fn first(&self, kind: &str) -> Value {
        wait_for(kind, || self.told(kind).into_iter().next())
    }

    /// Waits until no channel is left in Asterisk and no call at sidetone.
    pub(crate) fn wait_until_empty(&self) {
        wait_for("Asterisk's end of all calls", || {
            self.asterisk.cli("core show channels").contains("0 active channels").then_some(())
        });
        self.appliance.wait_for_metric("sidetone_calls_active", 0.0);
    }
}

impl Drop for Office {
    /// Tells what both sides logged, where the test failed.
    #[expect(clippy::print_stderr, reason = "a failed test says why")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.asterisk.log();
            // Asking its command line is an event, too.
            let lines: Vec<_> = log.lines().filter(|line| !line.contains("UNIX conn")).collect();
            eprintln!("sidetone: {:#?}\nAsterisk: {lines:#?}", self.appliance.log());
        }
    }
}

/// The shipped configuration with the recipe's peer in place of its own.
fn with_peer(shipped: &str, peer: &str) -> String {
    let from = shipped.find("[[sip.peer]]\n").expect("a peer is shipped");
    let rest = shipped[from..].find("\n\n").expect("a table ends") + from;
    [&shipped[..from], peer, &shipped[rest..]].concat()
}

/// The files of Asterisk's folder, the recipes among them, with this in place of that.
pub(crate) fn files(instead: &[(&str, String)]) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in [BARE, RECIPES] {
        for file in fs::read_dir(folder).expect("tests run at the package root") {
            let name = file.expect("an entry").file_name().into_string().expect("UTF-8");
            if !name.ends_with(".conf") {
                continue;
            }
            let text = fs::read_to_string(Path::new(folder).join(&name)).expect("readable");
            let text = instead.iter().fold(text, |text, (from, to)| text.replace(from, to));
            files.push((name, text));
        }
    }
    files
}

/// A file of the recipes.
pub(crate) fn recipe(name: &str) -> String {
    fs::read_to_string(Path::new(RECIPES).join(name)).expect("tests run at the package root")
}
