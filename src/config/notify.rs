//! `[notify]` and its tables: who is told of verdicts beside the dialogs.

pub mod esl;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::config::notify::esl::Esl;
use crate::config::sip::{SYSTEM_AUTHORITIES, Senseless};
use crate::policy::place::Place;
use crate::policy::rule::Policy;
use crate::policy::verdict::Finding;

/// `[notify]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Notify {
    /// Verdicts that wait for one receiver at most.
    pub waiting: usize,
    /// Seconds after which one that waits is given up.
    pub keep_s: u64,
    /// Longest wait between two tries, seconds, unless the receiver asks for more.
    pub retry_longest_s: u64,
    /// Seconds that a receiver may take for one answer.
    pub timeout_s: u64,
    /// Seconds after which nothing is done any more about a verdict.
    pub act_within_s: u64,
    /// Who is told by HTTPS.
    #[serde(rename = "webhook")]
    pub webhooks: Vec<Webhook>,
    /// Who is told by Asterisk's manager interface.
    #[serde(rename = "ami")]
    pub managers: Vec<Ami>,
    /// Who is told by Asterisk's REST interface.
    #[serde(rename = "ari")]
    pub applications: Vec<Ari>,
    /// Which FreeSWITCH is told.
    #[serde(rename = "esl")]
    pub esls: Vec<Esl>,
}

impl Default for Notify {
    fn default() -> Self {
        Self {
            waiting: 1000,
            keep_s: 3600,
            retry_longest_s: 30,
            timeout_s: 5,
            act_within_s: 30,
            webhooks: Vec::new(),
            managers: Vec::new(),
            applications: Vec::new(),
            esls: Vec::new(),
        }
    }
}

/// Why an action of a policy is done by nobody: one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DoerError {
    /// No such receiver.
    #[error(
        "{place}: the action {action:?} is by {by:?}, which is the name of no [[notify.*]] in sidetone.toml"
    )]
    Nobody {
        /// Where it stands.
        place: Place,
        /// Its id.
        action: String,
        /// Who was to do it.
        by: String,
    },
    /// A receiver that can do nothing.
    #[error(
        "{place}: the action {action:?} is by {by:?}, a webhook, which is told of verdicts and does nothing else"
    )]
    TellsOnly {
        /// Where it stands.
        place: Place,
        /// Its id.
        action: String,
        /// Who was to do it.
        by: String,
    },
}

/// What every receiver's table says: its name and what it is told of.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its name in metrics and log lines.
    pub name: String,
    /// Kinds of verdicts that it is told of.
    pub kinds: Vec<Kind>,
    /// Whether it may know which personal phrases were said.
    pub personal: bool,
}

/// A kind of verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// [`Finding::Speaker`].
    Speaker,
    /// [`Finding::Watchlist`].
    Watchlist,
    /// [`Finding::Keyword`].
    Keyword,
    /// [`Finding::Line`].
    Line,
    /// [`Finding::Enrollment`].
    Enrollment,
    /// [`Finding::Rule`].
    Rule,
    /// [`Finding::Pause`].
    Pause,
}

impl Kind {
    /// Whether `finding` is of this kind.
    pub fn is_of(self, finding: &Finding) -> bool {
        let kind = match finding {
            Finding::Speaker { .. } => Self::Speaker,
            Finding::Watchlist { .. } => Self::Watchlist,
            Finding::Keyword { .. } => Self::Keyword,
            Finding::Line { .. } => Self::Line,
            Finding::Enrollment { .. } => Self::Enrollment,
            Finding::Rule { .. } => Self::Rule,
            Finding::Pause { .. } => Self::Pause,
        };
        self == kind
    }

    /// All but those about lines, which are figures for who runs the network.
    pub fn usual() -> Vec<Self> {
        vec![
            Self::Speaker,
            Self::Watchlist,
            Self::Keyword,
            Self::Enrollment,
            Self::Rule,
            Self::Pause,
        ]
    }
}

/// `[[notify.webhook]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// See [`Told::name`].
    pub name: String,
    /// Where it is told; `http://` only on this machine.
    pub url: String,
    /// File whose first line is the secret that what is told is signed with, as `whsec_` and base64.
    pub secret_file: PathBuf,
    /// What it knows us by: the `source` of the events.
    #[serde(default = "source")]
    pub source: String,
    /// PEM file with the authorities that we trust.
    #[serde(default = "authorities")]
    pub authorities: PathBuf,
    /// See [`Told::kinds`].
    #[serde(default = "Kind::usual")]
    pub kinds: Vec<Kind>,
    /// See [`Told::personal`].
    #[serde(default)]
    pub personal: bool,
}

fn source() -> String {
    "urn:sidetone".to_owned()
}

fn authorities() -> PathBuf {
    PathBuf::from(SYSTEM_AUTHORITIES)
}

impl Webhook {
    /// What it is told of.
    pub fn told(&self) -> Told {
        Told { name: self.name.clone(), kinds: self.kinds.clone(), personal: self.personal }
    }

    fn validate(&self) -> Result<(), Senseless> {
        guarded_url("notify.webhook.url", &self.url)?;
        match self.source.is_empty() || self.source.chars().any(char::is_whitespace) {
            true => Err(("notify.webhook.source", "must be a URI", format!("{:?}", self.source))),
            false => Ok(()),
        }
    }
}

/// `[[notify.ami]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ami {
    /// See [`Told::name`].
    pub name: String,
    /// Host and port.
    pub address: String,
    /// Whether it is spoken to over TLS; wanted for all but this machine.
    #[serde(default)]
    pub tls: bool,
    /// PEM file with the authorities that we trust.
    #[serde(default = "authorities")]
    pub authorities: PathBuf,
    /// Its section in manager.conf.
    pub user: String,
    /// File whose first line is its password.
    pub password_file: PathBuf,
    /// Whether variables of the party's channel are set as well.
    #[serde(default)]
    pub variables: bool,
    /// See [`Told::kinds`].
    #[serde(default = "Kind::usual")]
    pub kinds: Vec<Kind>,
    /// See [`Told::personal`].
    #[serde(default)]
    pub personal: bool,
}

impl Ami {
    /// What it is told of.
    pub fn told(&self) -> Told {
        Told { name: self.name.clone(), kinds: self.kinds.clone(), personal: self.personal }
    }

    fn validate(&self) -> Result<(), Senseless> {
        let wrong = |wanted| Err(("notify.ami.address", wanted, format!("{:?}", self.address)));
        let Some((host, port)) = self.address.rsplit_once(':') else {
            return wrong("must be host:port");
        };
        if host.is_empty() || !port.parse().is_ok_and(|port: u16| port > 0) {
            return wrong("must be host:port");
        }
        match self.tls || is_loopback(host) {
            true => Ok(()),
            false => wrong("must be this machine, or have tls = true beside it"),
        }
    }
}

/// `[[notify.ari]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ari {
    /// See [`Told::name`].
    pub name: String,
    /// Root of the interface, such as `http://127.0.0.1:8088/ari`; `http://` only on this machine.
    pub url: String,
    /// PEM file with the authorities that we trust.
    #[serde(default = "authorities")]
    pub authorities: PathBuf,
    /// Its section in ari.conf.
    pub user: String,
    /// File whose first line is its password.
    pub password_file: PathBuf,
    /// The application that gets the events.
    pub application: String,
    /// Whether variables of the party's channel are set as well.
    #[serde(default)]
    pub variables: bool,
    /// See [`Told::kinds`].
    #[serde(default = "Kind::usual")]
    pub kinds: Vec<Kind>,
    /// See [`Told::personal`].
    #[serde(default)]
    pub personal: bool,
}

impl Ari {
    /// What it is told of.
    pub fn told(&self) -> Told {
        Told { name: self.name.clone(), kinds: self.kinds.clone(), personal: self.personal }
    }

    fn validate(&self) -> Result<(), Senseless> {
        guarded_url("notify.ari.url", &self.url)?;
        match self.application.is_empty() {
            true => Err(("notify.ari.application", "must name one", "\"\"".to_owned())),
            false => Ok(()),
        }
    }
}

impl Notify {
    /// Whether its values make sense: the key, what was wanted and what was found of the first that does not.
    pub(super) fn validate(&self) -> Result<(), Senseless> {
        let within = |key, wanted, value: u64, least, most| match (least..=most).contains(&value) {
            true => Ok(()),
            false => Err((key, wanted, value.to_string())),
        };
        within("notify.waiting", "must be 1 to 10000", self.waiting as u64, 1, 10_000)?;
        within("notify.keep_s", "must be 1 to 86400", self.keep_s, 1, 86_400)?;
        let longest = self.retry_longest_s;
        within("notify.retry_longest_s", "must be 1 to 3600", longest, 1, 3_600)?;
        within("notify.timeout_s", "must be 1 to 20", self.timeout_s, 1, 20)?;
        within("notify.act_within_s", "must be 1 to 3600", self.act_within_s, 1, 3_600)?;
        self.webhooks.iter().try_for_each(Webhook::validate)?;
        self.managers.iter().try_for_each(Ami::validate)?;
        self.applications.iter().try_for_each(Ari::validate)?;
        self.esls.iter().try_for_each(Esl::validate)?;
        let mut names = BTreeSet::new();
        for told in self.told() {
            let word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if told.name.is_empty() || !told.name.chars().all(word) {
                let wanted = "must be letters, digits, - _ and .";
                return Err(("notify.*.name", wanted, format!("{:?}", told.name)));
            }
            if told.kinds.is_empty() {
                let found = format!("[] of {:?}", told.name);
                return Err(("notify.*.kinds", "must name a kind of verdict", found));
            }
            if !names.insert(told.name.clone()) {
                let wanted = "must be one receiver's alone";
                return Err(("notify.*.name", wanted, format!("{:?} twice", told.name)));
            }
        }
        Ok(())
    }

    /// What every receiver is told of.
    fn told(&self) -> Vec<Told> {
        let webhooks = self.webhooks.iter().map(Webhook::told);
        let managers = self.managers.iter().map(Ami::told);
        let applications = self.applications.iter().map(Ari::told);
        let esls = self.esls.iter().map(Esl::told);
        webhooks.chain(managers).chain(applications).chain(esls).collect()
    }

    /// Whether somebody does every action of `policy`.
    pub fn check_doers(&self, policy: &Policy) -> Result<(), DoerError> {
        let can_act: Vec<String> = (self.managers.iter().map(|ami| ami.name.clone()))
            .chain(self.applications.iter().map(|ari| ari.name.clone()))
            .chain(self.esls.iter().map(|esl| esl.name.clone()))
            .collect();
        for action in &policy.actions {
            let Some(by) = action.by.as_ref().filter(|by| !can_act.contains(by)) else { continue };
            let (place, action, by) = (action.place.clone(), action.id.clone(), by.clone());
            return Err(if self.told().iter().any(|told| told.name == by) {
                DoerError::TellsOnly { place, action, by }
            } else {
                DoerError::Nobody { place, action, by }
            });
        }
        Ok(())
    }

    /// Every file that it names.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let webhooks = self.webhooks.iter_mut();
        let webhooks = webhooks.flat_map(|one| [&mut one.secret_file, &mut one.authorities]);
        let managers = self.managers.iter_mut();
        let managers = managers.flat_map(|one| [&mut one.password_file, &mut one.authorities]);
        let applications = self.applications.iter_mut();
        let applications =
            applications.flat_map(|one| [&mut one.password_file, &mut one.authorities]);
        let esls = self.esls.iter_mut().map(|one| &mut one.password_file);
        webhooks.chain(managers).chain(applications).chain(esls)
    }

    /// See [`Self::timeout_s`].
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }
}

/// Passwords, signatures and what was said travel over TLS, unless they do not leave this machine.
fn guarded_url(key: &'static str, url: &str) -> Result<(), Senseless> {
    let wrong = |wanted| Err((key, wanted, format!("{url:?}")));
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
    let host = host.map_or(authority, |(host, _)| host);
    match scheme {
        _ if host.is_empty() || authority.contains('@') => {
            wrong("must be a URL such as https://host/path")
        }
        "https" => Ok(()),
        "http" if is_loopback(host) => Ok(()),
        _ => wrong("must be https://, or http:// to this machine"),
    }
}

fn is_loopback(host: &str) -> bool {
    ["localhost", "[::1]"].contains(&host)
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notify(text: &str) -> Result<Notify, String> {
        let notify: Notify = toml::from_str(text).map_err(|error| error.to_string())?;
        notify
            .validate()
            .map_err(|(key, wanted, found)| format!("{key} {wanted}, found {found}"))?;
        Ok(notify)
    }

    const WEBHOOK: &str =
        "[[webhook]]\nname = 'crm'\nurl = 'https://crm.example.org/in'\nsecret_file = 's'\n";

    #[test]
    fn a_receiver_is_told_of_all_but_lines_and_no_personal_phrase_unless_it_says_so() {
        let told = notify(WEBHOOK).expect("good").told();
        assert_eq!((told.len(), told[0].personal), (1, false));
        assert!(!told[0].kinds.contains(&Kind::Line) && told[0].kinds.contains(&Kind::Rule));
        let told = notify(&format!("{WEBHOOK}kinds = ['line']\npersonal = true")).expect("good");
        assert_eq!(told.told()[0].kinds, [Kind::Line]);
    }

    #[test]
    fn an_action_is_done_by_a_receiver_that_can_and_by_no_webhook() {
        let receivers = notify(&format!(
            "{WEBHOOK}[[ami]]\nname = 'a'\naddress = '127.0.0.1:1'\nuser = 'u'\npassword_file = 'p'\n\
            [[ari]]\nname = 'r'\nurl = 'https://h'\nuser = 'u'\npassword_file = 'p'\napplication = 'x'\n\
            [[esl]]\nname = 'e'\naddress = '127.0.0.1:1'\npassword_file = 'p'\n"
        ));
        let receivers = receivers.expect("good");
        let by = |name: &str| {
            let policy: Policy = toml::from_str(&format!(
                "name = 'p'\nversion = '1'\n[[action]]\nid = 'x'\nspeaker = ['rejected']\nby = '{name}'\n\
                do = ['hang_up_call']\n"
            ))
            .expect("a policy");
            receivers.check_doers(&policy).map_err(|error| error.to_string())
        };
        assert_eq!(["a", "r", "e"].map(by), [Ok(()), Ok(()), Ok(())]);
        let told = by("crm").expect_err("a webhook does nothing");
        assert!(
            told.ends_with("a webhook, which is told of verdicts and does nothing else"),
            "{told}"
        );
        assert!(by("b").expect_err("nobody").contains("the name of no [[notify.*]]"));
    }

    #[test]
    fn what_makes_no_sense_is_told_by_key_wanted_and_found() {
        for (text, wanted) in [
            ("waiting = 0".to_owned(), "notify.waiting must be 1 to 10000, found 0"),
            ("timeout_s = 21".to_owned(), "notify.timeout_s must be 1 to 20, found 21"),
            (WEBHOOK.repeat(2), "notify.*.name must be one receiver's alone, found \"crm\" twice"),
            (
                WEBHOOK.replace("'crm'", "'c r m'"),
                "notify.*.name must be letters, digits, - _ and ., found \"c r m\"",
            ),
            (
                format!("{WEBHOOK}kinds = []"),
                "notify.*.kinds must name a kind of verdict, found [] of \"crm\"",
            ),
            (
                WEBHOOK.replace("https", "http"),
                "notify.webhook.url must be https://, or http:// to this machine, found \"http://crm.example.org/in\"",
            ),
            (
                WEBHOOK.replace("https://", "https://me:pw@"),
                "notify.webhook.url must be a URL such as https://host/path, found \"https://me:pw@crm.example.org/in\"",
            ),
        ] {
            assert_eq!(notify(&text).map(|_| ()).expect_err(&text), wanted);
        }
        for (url, good) in [
            ("http://127.0.0.1:8080/x", true),
            ("http://[::1]:8080/x", true),
            ("http://localhost/x", true),
            ("http://127.evil.example.org/x", false),
            ("ftp://127.0.0.1/x", false),
            ("https:///x", false),
            ("crm", false),
        ] {
            assert_eq!(guarded_url("notify.webhook.url", url).is_ok(), good, "{url}");
        }
    }

    /// The tables of the shipped file, as whoever uncomments them has them.
    fn shipped() -> String {
        let file = include_str!("../../config/sidetone.toml");
        let from = file.find("\n[notify]\n").expect("a table") + 1;
        let to = from + file[from..].find("\n[store]\n").expect("the next");
        let is_code = |line: &&str| line.starts_with("[[") || line.contains(" = ");
        let lines = file[from..to].lines().map(|line| line.trim_start_matches("# "));
        let code =
            lines.filter(is_code).filter(|line| !line.contains(". ") && !line.ends_with('.'));
        code.map(|line| format!("{}\n", line.replace("[[notify.", "[["))).collect()
    }

    #[test]
    fn what_the_shipped_file_says_of_receivers_is_what_they_are_without_it() {
        let told = notify(&shipped()).expect("the shipped tables are good");
        let usual = Notify::default();
        let numbers = |n: &Notify| {
            [n.waiting as u64, n.keep_s, n.retry_longest_s, n.timeout_s, n.act_within_s]
        };
        assert_eq!(numbers(&told), numbers(&usual));
        let bare = "[[webhook]]\nname = 'w'\nurl = 'https://h'\nsecret_file = 's'\n\
            [[ami]]\nname = 'a'\naddress = '127.0.0.1:1'\nuser = 'u'\npassword_file = 'p'\n\
            [[ari]]\nname = 'r'\nurl = 'https://h'\nuser = 'u'\npassword_file = 'p'\napplication = 'x'\n\
            [[esl]]\nname = 'e'\naddress = '127.0.0.1:1'\npassword_file = 'p'\n";
        let bare = notify(bare).expect("the rest has defaults");
        let rest = |n: &Notify| {
            let (webhook, ami, ari) = (&n.webhooks[0], &n.managers[0], &n.applications[0]);
            let authorities = [&webhook.authorities, &ami.authorities, &ari.authorities];
            let choices = [ami.tls, ami.variables, ari.variables, n.esls[0].variables];
            let told: Vec<_> = n.told().into_iter().map(|t| (t.kinds, t.personal)).collect();
            (webhook.source.clone(), authorities.map(Clone::clone), choices, told)
        };
        assert_eq!(rest(&told), rest(&bare));
    }

    #[test]
    fn a_manager_elsewhere_is_spoken_to_over_tls() {
        let ami = |address: &str, more: &str| {
            notify(&format!(
                "[[ami]]\nname = 'a'\naddress = '{address}'\nuser = 'u'\npassword_file = 'p'\n{more}"
            ))
        };
        assert!(ami("127.0.0.1:5038", "").is_ok() && ami("pbx:5039", "tls = true").is_ok());
        assert_eq!(
            ami("pbx:5038", "").expect_err("plain"),
            "notify.ami.address must be this machine, or have tls = true beside it, found \"pbx:5038\""
        );
        for address in ["pbx", ":5038", "pbx:0", "pbx:x"] {
            let wanted = format!("notify.ami.address must be host:port, found {address:?}");
            assert_eq!(ami(address, "tls = true").expect_err(address), wanted);
        }
    }
}
