//! The recipes for FreeSWITCH: that they are XML, say what sidetone reads, and work where a FreeSWITCH is installed (in PATH,
//! in /usr/local/freeswitch/bin, or where SIDETONE_FREESWITCH says).
//!
//! No package of it exists, so the last of these tests mostly says that there is none, and passes.
#![expect(clippy::disallowed_methods, reason = "a test reads the disk and the environment")]

mod appliance;
mod recipe;
mod store;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use appliance::{Appliance, SUBJECT, Site, wait_for};
use recipe::configured;
use sidetone::call::facts::Facts;
use sidetone::config::Config;
use sidetone::config::notify::Notify;
use sidetone::runtime::caller::{CallPlan, place};
use sidetone::sip::headers::Headers;
use store::{skip, store};

const RECIPES: &str = "config/pbx/freeswitch";
/// What of them FreeSWITCH's own parser reads.
const XML: [&str; 6] = [
    "sip_profiles/sidetone.xml",
    "dialplan/default/00_sidetone.xml",
    "dialplan/sidetone.xml",
    "directory/default/sidetone.xml",
    "autoload_configs/event_socket.conf.xml",
    "autoload_configs/lua.conf.xml",
];

fn recipe(name: &str) -> String {
    fs::read_to_string(Path::new(RECIPES).join(name)).expect("tests run at the package root")
}

#[test]
fn every_recipe_is_well_formed_and_told_of_in_the_readme() {
    let readme = recipe("README.md");
    for name in XML {
        let file = Path::new(RECIPES).join(name);
        let read = "import sys, xml.dom.minidom as m; m.parse(sys.argv[1])";
        match Command::new("python3").args(["-c", read]).arg(&file).output() {
            Ok(done) => {
                let said = String::from_utf8_lossy(&done.stderr);
                assert!(done.status.success(), "{name}: {said}");
            }
            Err(_) => skip("no python3 to read XML with"),
        }
        assert!(readme.contains(&format!("`{name}`")), "{name} is in the README");
    }
}

#[test]
fn sidetone_reads_every_header_that_the_dialplan_writes() {
    let dialplan = recipe("dialplan/default/00_sidetone.xml");
    let written = dialplan.split("sip_h_X-Sidetone-").skip(1);
    let names: Vec<_> = written.filter_map(|rest| rest.split('=').next()).collect();
    assert!(names.len() >= 12, "three taps and a conference: {names:?}");
    let none = Facts::read(&Headers::default(), "call").expect("no headers are fine");
    for name in names {
        let mut headers = Headers::default();
        let value = if name == "Party" { "mixed" } else { "x-1" };
        headers.push(&format!("X-Sidetone-{name}"), value);
        assert_ne!(Facts::read(&headers, "call").as_ref(), Ok(&none), "X-Sidetone-{name}");
    }
}

#[test]
fn sidetone_s_side_is_a_configuration_that_takes_verdicts_unasked_and_sends_silence() {
    let config = configured(include_str!("../config/sidetone.toml"), &recipe("sidetone.toml"));
    let config = Config::parse(Path::new("/etc/sidetone/sidetone.toml"), &config).expect("good");
    let [peer] = &config.sip.peers[..] else { panic!("one peer") };
    assert!(peer.send_silence, "a tap may have no pace of its own");
    assert_eq!(peer.profile(), sidetone::sip::info::InfoProfile::LegacyJson);
    assert_eq!(config.notify.esls[0].user.as_deref(), Some("sidetone@default"));
    assert!(recipe("directory/default/sidetone.xml").contains("<user id=\"sidetone\">"));
}

#[test]
fn every_key_of_the_event_socket_stands_in_the_shipped_configuration() {
    let shipped = include_str!("../config/sidetone.toml");
    let from = shipped.find("# [[notify.esl]]").expect("its table");
    let table = shipped[from..].lines().map_while(|line| line.strip_prefix("# "));
    let is_key = |line: &&str| line.starts_with("[[") || line.contains(" = ");
    let table: Vec<_> = table.filter(is_key).collect();
    let config = format!("{shipped}\n{}\n", table.join("\n"));
    let config = Config::parse(Path::new("/etc/sidetone/sidetone.toml"), &config).expect("good");
    let esl = &config.notify.esls[0];
    assert_eq!(esl.password_file, Path::new("/etc/sidetone/freeswitch.password"));
    let least = "[[esl]]\nname = 'a'\naddress = '127.0.0.1:1'\npassword_file = 'p'";
    let least: Notify = toml::from_str(least).expect("good");
    let least = &least.esls[0];
    assert_eq!((esl.variables, esl.personal), (least.variables, least.personal));
    assert_eq!(esl.kinds, least.kinds, "what is left out is what the file says of it");
    assert_eq!(table.len(), 1 + 7, "{table:?}");
}

#[test]
fn an_installed_freeswitch_taps_a_call_by_the_recipe_and_is_told_who_speaks() {
    let Some(program) = installed() else {
        return skip("no FreeSWITCH is installed, and no package of it exists");
    };
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.enroll();
    site.write("freeswitch.password", "change-me-too");
    let [socket, profile, phone] = [(); 3].map(|()| free_port());
    let text = configured(&site.config(), &recipe("sidetone.toml"));
    site.write("sidetone.toml", text.replace("127.0.0.1:8021", &format!("127.0.0.1:{socket}")));
    let appliance = Appliance::start(&site);
    let ports = [
        ("127.0.0.1:5090", appliance.sip.to_string()),
        ("\"5085\"", format!("\"{profile}\"")),
        ("\"8021\"", format!("\"{socket}\"")),
    ];
    for name in XML {
        let text = ports.iter().fold(recipe(name), |text, (from, to)| text.replace(from, to));
        let file = site.path("conf").join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("writable");
        fs::write(file, text).expect("writable");
    }
    let frame = include_str!("pbx/freeswitch.xml").replace("@PHONE@", &phone.to_string());
    fs::write(site.path("conf/freeswitch.xml"), frame).expect("writable");
    let _running = Running::start(&program, &site);
    appliance.wait_for_metric("sidetone_notify_up{receiver=\"freeswitch\"}", 1.0);
    let target = SocketAddr::from(([127, 0, 0, 1], phone));
    let (headers, audio) = (Vec::new(), site.narrator());
    let afterwards = Duration::from_secs(1);
    let plan = CallPlan { target, headers, audio, afterwards, pace: 1.0, backlog: None };
    let call = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(place(plan)).expect("a call")
    });
    appliance.wait_for_metric("sidetone_calls_active", 2.0);
    let accepted = wait_for("the verdict", || {
        appliance.verdicts().into_iter().find(|verdict| verdict["decision"] == "accepted")
    });
    assert_eq!((&accepted["subject"], &accepted["party"]), (&SUBJECT.into(), &"caller".into()));
    appliance.wait_for_metric(
        "sidetone_notify_total{receiver=\"freeswitch\",result=\"delivered\"}",
        1.0,
    );
    call.join().expect("it was placed");
    appliance.wait_for_metric("sidetone_calls_active", 0.0);
    assert_eq!(appliance.stop().status.code(), Some(0));
}

/// The program, if it is there.
fn installed() -> Option<PathBuf> {
    let named = std::env::var_os("SIDETONE_FREESWITCH").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/local/freeswitch/bin".into()]);
    let found = folders.map(|folder| folder.join("freeswitch"));
    named.into_iter().chain(found).find(|file| file.is_file())
}

fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("an address").port()
}

/// A FreeSWITCH in the foreground, ended with the test.
struct Running(Child);

impl Running {
    fn start(program: &Path, site: &Site) -> Self {
        let mut command = Command::new(program);
        command.args(["-nf", "-nc", "-nonat", "-nonatmap"]);
        for name in ["conf", "log", "db", "run"] {
            fs::create_dir_all(site.path(name)).expect("writable");
            command.arg(format!("-{name}")).arg(site.path(name));
        }
        command.arg("-scripts").arg(fs::canonicalize(RECIPES).expect("a folder").join("scripts"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("it runs"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
