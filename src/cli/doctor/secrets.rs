//! Files with secrets: whether others can read them, and whether the service can.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cli::doctor::finding::Finding;
use crate::config::Config;
use crate::runtime::http::tokens::Tokens;

/// Whom the unit runs the appliance as.
const SERVICE_USER: &str = "sidetone";
/// Read, write or run by everybody.
const EVERYBODY: u32 = 0o007;

pub(super) fn look(config: &Config) -> Vec<Finding> {
    let service = Account::of(SERVICE_USER);
    let mut findings = Vec::new();
    let mut good = 0;
    for (key, file) in files(config) {
        match judge(key, file, service.as_ref()) {
            None => good += 1,
            Some(finding) => findings.push(finding),
        }
    }
    if let Some(Err(error)) = config.http.tokens_file.as_deref().map(Tokens::open) {
        findings.push(Finding::problem("tokens", error.to_string(), "sidetone token --help"));
    }
    if good > 0 && findings.is_empty() {
        let files = if good == 1 { "file" } else { "files" };
        findings.push(Finding::ok("secrets", format!("{good} {files}, closed to others")));
    }
    findings
}

/// Every file with a password or a private key, with the key that names it. The vault's own key has a look to itself.
fn files(config: &Config) -> impl Iterator<Item = (&'static str, &Path)> {
    let sip = &config.sip;
    let users = sip.users.iter().map(|user| ("sip.user.password_file", &user.password_file));
    let accounts = sip
        .accounts
        .iter()
        .filter_map(|account| Some(("sip.account.password_file", account.password_file.as_ref()?)));
    let tls = sip.tls.iter().map(|tls| ("sip.tls.key", &tls.key));
    let http = config.http.tls.iter().map(|tls| ("http.tls.key", &tls.key));
    let store = config.store.password_file.iter().map(|file| ("store.password_file", file));
    let notify = &config.notify;
    let webhooks =
        notify.webhooks.iter().map(|one| ("notify.webhook.secret_file", &one.secret_file));
    let ami = notify.managers.iter().map(|one| ("notify.ami.password_file", &one.password_file));
    let ari =
        notify.applications.iter().map(|one| ("notify.ari.password_file", &one.password_file));
    let esl = notify.esls.iter().map(|one| ("notify.esl.password_file", &one.password_file));
    let all = users.chain(accounts).chain(tls).chain(http).chain(store);
    all.chain(webhooks).chain(ami).chain(ari).chain(esl).map(|(key, file)| (key, file.as_path()))
}

/// What is wrong with the file that `key` names.
fn judge(key: &str, file: &Path, service: Option<&Account>) -> Option<Finding> {
    let shown = file.display();
    let found = match file.metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let found = format!("{key}: {shown}: {error}");
            return Some(Finding::unknown("secrets", found, "run this as root"));
        }
        Err(error) => {
            let found = format!("{key}: {shown}: {error}");
            let remedy = format!("put the file there, or mend {key}");
            return Some(Finding::problem("secrets", found, remedy));
        }
    };
    let mode = found.mode() & 0o7777;
    if mode & EVERYBODY != 0 {
        let found = format!("{key}: {shown} has mode {mode:04o}: everybody here can read it");
        return Some(Finding::problem("secrets", found, format!("chmod o= {shown}")));
    }
    let service = service.filter(|service| !service.reads(found.uid(), found.gid(), mode))?;
    let found = format!("{key}: the service's user {} cannot read {shown}", service.name);
    Some(Finding::problem(
        "secrets",
        found,
        format!("chgrp {SERVICE_USER} {shown} && chmod 640 {shown}"),
    ))
}

/// A user of this machine.
#[derive(Debug)]
struct Account {
    name: &'static str,
    user: u32,
    groups: Vec<u32>,
}

impl Account {
    /// As the system knows it, by whatever names its users (files, LDAP); nothing where there is none of that name.
    fn of(name: &'static str) -> Option<Self> {
        let ask = |option: &str| {
            let answer =
                Command::new("id").args([option, name]).stdin(Stdio::null()).output().ok()?;
            answer.status.success().then(|| String::from_utf8_lossy(&answer.stdout).into_owned())
        };
        let user = ask("-u")?.trim().parse().ok()?;
        let groups = ask("-G")?.split_whitespace().filter_map(|id| id.parse().ok()).collect();
        Some(Self { name, user, groups })
    }

    fn reads(&self, owner: u32, group: u32, mode: u32) -> bool {
        if self.user == owner {
            mode & 0o400 != 0
        } else if self.groups.contains(&group) {
            mode & 0o040 != 0
        } else {
            mode & 0o004 != 0
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::cli::doctor::finding::State;

    #[test]
    fn a_secret_is_for_the_service_and_for_nobody_else() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let owner = file.path().metadata().expect("our file").uid();
        let group = file.path().metadata().expect("our file").gid();
        let judged = |mode: u32, service: Option<&Account>| {
            fs::set_permissions(file.path(), Permissions::from_mode(mode)).expect("our file");
            judge("sip.tls.key", file.path(), service).map(|finding| finding.state)
        };
        assert_eq!(judged(0o600, None), None);
        assert_eq!(judged(0o644, None), Some(State::Problem));
        let service = Account { name: "sidetone", user: owner + 1, groups: vec![group] };
        assert_eq!(judged(0o640, Some(&service)), None);
        assert_eq!(judged(0o600, Some(&service)), Some(State::Problem));
        let stranger = Account { groups: vec![group + 1], ..service };
        assert_eq!(judged(0o640, Some(&stranger)), Some(State::Problem));
        let itself = Account { user: owner, ..stranger };
        assert_eq!(judged(0o400, Some(&itself)), None);
        let gone = judge("sip.tls.key", Path::new("/nonexistent"), None).expect("a finding");
        assert_eq!(gone.state, State::Problem);
    }
}
