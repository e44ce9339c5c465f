//! `[[notify.esl]]`: a FreeSWITCH that is told by its event socket.

use std::path::PathBuf;

use serde::Deserialize;

use crate::config::notify::{Kind, Told, is_loopback};
use crate::config::sip::Senseless;

/// `[[notify.esl]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Esl {
    /// See [`Told::name`].
    pub name: String,
    /// `host:port` of its event socket; on this machine, since it knows no encryption.
    pub address: String,
    /// `user@domain` of its directory; without it the password is the event socket's own.
    pub user: Option<String>,
    /// File whose first line is the password.
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

impl Esl {
    /// What it is told of.
    pub fn told(&self) -> Told {
        Told { name: self.name.clone(), kinds: self.kinds.clone(), personal: self.personal }
    }

    /// Whether its values make sense.
    pub(super) fn validate(&self) -> Result<(), Senseless> {
        let wrong = |wanted| Err(("notify.esl.address", wanted, format!("{:?}", self.address)));
        let port = |port: &str| port.parse().is_ok_and(|port: u16| port > 0);
        match self.address.rsplit_once(':').filter(|(_, text)| port(text)) {
            None => return wrong("must be host:port, such as 127.0.0.1:8021"),
            Some((host, _)) if !is_loopback(host) => {
                return wrong("must be this machine, where a tunnel may end");
            }
            Some(_) => {}
        }
        // FreeSWITCH splits what is behind `userauth` at these, and a command at its line's end.
        let named = |user: &String| {
            let parts: Vec<_> = user.split('@').collect();
            let word = |part: &&str| {
                !part.is_empty()
                    && !part.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control())
            };
            parts.len() == 2 && parts.iter().all(word)
        };
        match &self.user {
            Some(user) if !named(user) => {
                let wanted = "must be user@domain of FreeSWITCH's directory";
                Err(("notify.esl.user", wanted, format!("{user:?}")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn esl(text: &str) -> Result<Esl, String> {
        let esl: Esl = toml::from_str(text).map_err(|error| error.to_string())?;
        let told = |(key, wanted, found)| format!("{key} {wanted}, found {found}");
        esl.validate().map_err(told)?;
        Ok(esl)
    }

    const GOOD: &str = "name = 'fs'\naddress = '127.0.0.1:8021'\npassword_file = 'p'\n";

    #[test]
    fn an_address_has_a_port_and_a_user_a_domain() {
        assert!(esl(GOOD).is_ok() && esl(&GOOD.replace("127.0.0.1", "[::1]")).is_ok());
        assert!(esl(&format!("{GOOD}user = 'sidetone@default'")).is_ok());
        for (from, to, wanted) in [
            ("127.0.0.1:8021", "127.0.0.1", "notify.esl.address must be host:port"),
            ("127.0.0.1:8021", "127.0.0.1:0", "notify.esl.address must be host:port"),
            ("127.0.0.1:8021", ":8021", "notify.esl.address must be this machine"),
            ("127.0.0.1:8021", "192.0.2.1:8021", "notify.esl.address must be this machine"),
            ("name", "user = 'me'\nname", "notify.esl.user must be user@domain"),
            ("name", "user = 'a@b:c'\nname", "notify.esl.user must be user@domain"),
            ("name", "pass = 'a'\nname", "unknown field `pass`"),
        ] {
            let error = esl(&GOOD.replacen(from, to, 1)).expect_err(to);
            assert!(error.contains(wanted), "{error}");
        }
    }
}
