//! A real Kamailio of our own: fetched once, with `config/pbx/kamailio` and nothing else, on a free port.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{Running, free_port};
use crate::store::skip;

/// Where it is unpacked; kept between runs.
const TREE: &str = "target/kamailio/tree";
/// The recipe.
const RECIPE: &str = "config/pbx/kamailio";

/// A running Kamailio.
#[derive(Debug)]
pub(crate) struct Kamailio {
    _folder: TempDir,
    /// Where it answers SIP over UDP.
    pub(crate) address: SocketAddr,
    _process: Running,
}

impl Kamailio {
    /// Starts one in front of both sidetones; says so if there is none to start.
    pub(crate) fn start(sidetones: [SocketAddr; 2]) -> Option<Self> {
        let tree = std::path::absolute(TREE).expect("a working directory");
        let fetched = Command::new("tests/pbx/kamailio/fetch.sh").arg(&tree).output();
        let fetched = fetched.expect("tests run at the package root");
        if !fetched.status.success() {
            let said = String::from_utf8_lossy(&fetched.stderr);
            skip(&format!("no Kamailio can be fetched: {}", said.trim().replace('\n', "; ")));
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let place = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let port = free_port();
        let own = [
            ("/etc/kamailio", place(folder.path())),
            ("127.0.0.1:5090", sidetones[0].to_string()),
            ("127.0.0.1:5092", sidetones[1].to_string()),
            ("@FOLDER@", place(folder.path())),
            ("@TREE@", place(&tree)),
            ("@PORT@", port.to_string()),
        ];
        let bare = Path::new("tests/pbx/kamailio/kamailio.cfg").to_owned();
        let recipe = |name| Path::new(RECIPE).join(name);
        for file in [bare, recipe("kamailio_sidetone.cfg"), recipe("dispatcher.list")] {
            let text = fs::read_to_string(&file).expect("tests run at the package root");
            let text = own.iter().fold(text, |text, (from, to)| text.replace(from, to));
            let name = file.file_name().expect("a file");
            fs::write(folder.path().join(name), text).expect("writable");
        }
        let checked = command(&tree, folder.path()).arg("-c").output().expect("it runs");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        let process = Running::start(command(&tree, folder.path()).args(["-DD", "-E"]));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Some(Self { _folder: folder, address, _process: process })
    }
}

fn command(tree: &Path, folder: &Path) -> Command {
    let mut command = Command::new(tree.join("usr/sbin/kamailio"));
    let libraries = tree.join("usr/lib/x86_64-linux-gnu/kamailio");
    command.env("LD_LIBRARY_PATH", libraries).arg("-f").arg(folder.join("kamailio.cfg"));
    command.args(["-Y"]).arg(folder).args(["-m", "32", "-M", "4"]);
    command
}
