//! Room on the disks that are written to.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::cli::doctor::finding::Finding;
use crate::cli::person::database_file;
use crate::config::Config;

/// Less than this is warned of: the vault of a large site in a year (3 KB a person and 300 B a record), MiB.
const LITTLE_MIB: u64 = 1024;
/// With less than this SQLite's log and one export may not find room, MiB.
const NONE_MIB: u64 = 100;

pub(super) fn look(config: &Config) -> Vec<Finding> {
    let database = database_file(&config.store);
    let files = [database.as_deref(), Some(config.store.anchor_file.as_path())];
    let folders = files.into_iter().flatten().filter_map(Path::parent).map(Path::to_owned);
    let mut folders: Vec<PathBuf> = folders.chain(config.rules.events_folder.clone()).collect();
    folders.dedup();
    let mut seen = Vec::new();
    let mut findings = Vec::new();
    for folder in folders {
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        // Two folders on one file system have one room.
        match folder.metadata().map(|found| found.dev()) {
            Ok(device) if seen.contains(&device) => {}
            Ok(device) => {
                seen.push(device);
                findings.push(judge(&folder, free_mib(&folder)));
            }
            Err(error) => {
                let found = format!("{}: {error}", folder.display());
                let remedy =
                    format!("install -d -m 700 -o sidetone -g sidetone {}", folder.display());
                findings.push(Finding::problem("disk", found, remedy));
            }
        }
    }
    findings
}

/// MiB that a user who is not root may still write there.
fn free_mib(folder: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize) >> 20)
}

fn judge(folder: &Path, free: io::Result<u64>) -> Finding {
    let folder = folder.display();
    match free {
        Ok(free) if free < NONE_MIB => {
            let found =
                format!("{folder}: {free} MiB are free: the vault cannot be written for long");
            Finding::problem("disk", found, "make room now, or move store.database")
        }
        Ok(free) if free < LITTLE_MIB => {
            Finding::warning("disk", format!("{folder}: {free} MiB are free"), "make room")
        }
        Ok(free) => Finding::ok("disk", format!("{folder}: {free} MiB are free")),
        Err(error) => {
            Finding::unknown("disk", format!("{folder}: {error}"), format!("df -h {folder}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::State;

    #[test]
    fn little_room_is_warned_of_and_none_is_a_problem() {
        let state = |free| judge(Path::new("/var/lib/sidetone"), Ok(free)).state;
        assert_eq!(state(LITTLE_MIB), State::Ok);
        assert_eq!(state(LITTLE_MIB - 1), State::Warning);
        assert_eq!(state(NONE_MIB - 1), State::Problem);
        assert!(free_mib(Path::new("/")).expect("a root") > 0);
    }
}
