//! What systemd is given: the unit, the user and the folders, judged by systemd's own programs.
//!
//! Without them (Debian: systemd) the tests say so and pass. None needs systemd as the first process.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::store;

/// The most exposure that the unit may have, of 10: rtpengine's has 2.0, Asterisk's 9.0.
const MOST_EXPOSURE: f64 = 1.5;

/// What `program` says with `arguments`, and whether it was content; `None` where it is not installed.
fn said(program: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        store::skip(&format!("{program} is not installed (Debian: systemd)"));
        return None;
    };
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Some((output.status.success(), said.into_owned()))
}

/// The unit that is shipped, started from the binary that was built, with these of its drop-ins, in `folder`.
fn unit(folder: &Path, drop_ins: &[&str]) -> String {
    let text = std::fs::read_to_string("systemd/sidetone.service").expect("it is shipped");
    let (installed, built) = ("/usr/bin/sidetone", env!("CARGO_BIN_EXE_sidetone"));
    assert!(text.contains(installed));
    let unit = folder.join("sidetone.service");
    std::fs::write(&unit, text.replace(installed, built)).expect("a writable folder");
    for name in drop_ins {
        let beside = folder.join("sidetone.service.d");
        std::fs::create_dir_all(&beside).expect("a writable folder");
        std::fs::copy(Path::new("systemd").join(name), beside.join(name)).expect("it is shipped");
    }
    unit.display().to_string()
}

/// The figure at the end of what `systemd-analyze security` says.
fn exposure(said: &str) -> f64 {
    let line = said.lines().find(|line| line.contains("Overall exposure level")).expect("a sum");
    let figure = line.split(": ").nth(1).and_then(|rest| rest.split(' ').next());
    figure.and_then(|figure| figure.parse().ok()).expect("a number")
}

#[test]
fn the_unit_exposes_little() {
    let judged = ["security", "--offline=true", "--no-pager", "systemd/sidetone.service"];
    let Some((_, said)) = said("systemd-analyze", &judged) else { return };
    let exposure = exposure(&said);
    assert!(exposure <= MOST_EXPOSURE, "{exposure}: {said}");
}

#[test]
fn systemd_understands_the_unit_its_sockets_and_its_drop_ins_without_a_word() {
    let folder = tempfile::tempdir().expect("a folder");
    let service = unit(folder.path(), &["credentials.conf", "priority.conf"]);
    let socket = folder.path().join("sidetone.socket");
    std::fs::copy("systemd/sidetone.socket", &socket).expect("it is shipped");
    let socket = socket.display().to_string();
    // The manual page is packaged, and not here.
    let verify = ["verify", "--man=no", "--recursive-errors=no", &service, &socket];
    let Some((content, said)) = said("systemd-analyze", &verify) else { return };
    assert!(content && said.is_empty(), "{said}");
}

#[test]
fn the_socket_unit_names_what_the_shipped_configuration_listens_on() {
    let socket = std::fs::read_to_string("systemd/sidetone.socket").expect("it is shipped");
    let named = |key: &str| -> Vec<String> {
        let values = socket.lines().filter_map(|line| line.strip_prefix(key));
        values.map(str::to_owned).collect()
    };
    let file = Path::new("config/sidetone.toml");
    let text = std::fs::read_to_string(file).expect("it is shipped");
    let config = sidetone::config::Config::parse(file, &text).expect("it is good");
    let sip = config.sip.listen.iter().map(ToString::to_string);
    let (udp, mut streams): (Vec<_>, Vec<_>) = sip.partition(|listen| listen.starts_with("udp:"));
    streams.push(format!("tcp:{}", config.http.listen));
    let bare = |listen: &[String]| -> Vec<String> {
        listen.iter().filter_map(|text| text.split_once(':')).map(|(_, a)| a.to_owned()).collect()
    };
    assert_eq!(named("ListenDatagram="), bare(&udp));
    assert_eq!(named("ListenStream="), bare(&streams));
}

#[test]
fn the_user_and_its_folders_are_made_as_shipped() {
    let tree = tempfile::tempdir().expect("a folder");
    let place = |path: &str| tree.path().join(path);
    for (shipped, installed) in [
        ("systemd/sidetone.sysusers", "usr/lib/sysusers.d"),
        ("systemd/sidetone.tmpfiles", "usr/lib/tmpfiles.d"),
    ] {
        std::fs::create_dir_all(place(installed)).expect("a writable folder");
        std::fs::copy(shipped, place(installed).join("sidetone.conf")).expect("it is shipped");
    }
    std::fs::create_dir(place("etc")).expect("a writable folder");
    let root = format!("--root={}", tree.path().display());
    let Some((content, told)) = said("systemd-sysusers", &[&root, "sidetone.conf"]) else { return };
    if !content && told.contains("Permission denied") {
        return store::skip("a tree of users and folders is made by root alone");
    }
    assert!(content, "{told}");
    let passwd = std::fs::read_to_string(place("etc/passwd")).expect("it was made");
    let user = passwd.lines().find(|line| line.starts_with("sidetone:")).expect("the user");
    let fields: Vec<_> = user.split(':').collect();
    assert_eq!(fields[5..], ["/var/lib/sidetone", "/usr/sbin/nologin"], "{user}");
    let id: u32 = fields[2].parse().expect("a number");
    assert!((1..1000).contains(&id), "of the system, not a person's: {id}");
    let Some((content, told)) = said("systemd-tmpfiles", &[&root, "--create", "sidetone.conf"])
    else {
        return;
    };
    assert!(content, "{told}");
    let found = |path: &str| {
        let folder = std::fs::metadata(place(path)).expect("it was made");
        (folder.uid() == id, folder.mode() & 0o7777)
    };
    assert_eq!(found("etc/sidetone"), (false, 0o750));
    assert_eq!(found("var/lib/sidetone"), (true, 0o700));
}
