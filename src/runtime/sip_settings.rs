//! The endpoint's settings out of the configuration, with the passwords read from their files.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{self, Config};
use crate::runtime::admission::Admission;
use crate::sip::access::{Access, Strangers};
use crate::sip::account::Account;
use crate::sip::digest::Credentials;
use crate::sip::settings::Settings;
use crate::sip::transport::Local;
use crate::sip::uri::UriParts;

/// A password or token that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the secret in {} ({key}): {why}", .file.display())]
pub struct SecretError {
    file: PathBuf,
    key: &'static str,
    why: String,
}

/// Reads everything that `config` says about SIP; `bound` are the addresses that its sockets really
/// have, in order, where they are bound already.
pub fn read(config: &Config, bound: &[SocketAddr]) -> Result<Settings, SecretError> {
    let sip = &config.sip;
    let locals = sip.listen.iter().enumerate().map(|(n, listen)| {
        let address = bound.get(n).copied().unwrap_or(listen.address);
        let ip = sip.advertise.unwrap_or(address.ip());
        Local { transport: listen.transport, address: SocketAddr::new(ip, address.port()) }
    });
    let admission = Admission::read(sip)?;
    let strangers = match sip.strangers {
        config::sip::Strangers::Ignore => Strangers::Silence,
        config::sip::Strangers::Refuse => Strangers::Refusal,
    };
    let accounts = sip.accounts.iter().map(account);
    let mut settings = Settings::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    settings.locals = locals.collect();
    settings.access = Access::new(admission.peers(), strangers);
    settings.users = admission.users().to_vec();
    settings.realm.clone_from(&sip.realm);
    settings.accounts = accounts.collect::<Result<_, _>>()?;
    settings.session_expires = sip.session_expires_s;
    settings.max_calls = sip.max_calls;
    Ok(settings)
}

/// The first line of `file`, which the configuration's `key` names.
pub fn secret(file: &Path, key: &'static str) -> Result<String, SecretError> {
    let failed = |why: String| SecretError { file: file.to_owned(), key, why };
    let text =
        std::fs::read_to_string(file).map_err(|error: io::Error| failed(error.to_string()))?;
    let line = text.lines().next().unwrap_or_default();
    match line.is_empty() {
        true => Err(failed("its first line is empty".to_owned())),
        false => Ok(line.to_owned()),
    }
}

fn account(account: &config::sip::Account) -> Result<Account, SecretError> {
    let own = UriParts::parse(&account.address).and_then(|uri| uri.user).unwrap_or_default();
    let user = account.user.as_deref().unwrap_or(own);
    let file = account.password_file.as_ref();
    let password = file.map(|file| secret(file, "sip.account.password_file")).transpose()?;
    Ok(Account {
        name: account.name.clone(),
        registrar: account.registrar.clone(),
        aor: account.address.clone(),
        contact_user: own.to_owned(),
        credentials: password.map(|password| Credentials::new(user, password)),
        expires: Duration::from_secs(u64::from(account.expires_s)),
        registers: account.register,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../config/sidetone.toml");

    #[test]
    fn a_peer_may_have_calls_recorded_here_unless_it_says_otherwise() {
        let records = |text: &str| {
            let config = Config::parse(Path::new("sidetone.toml"), text).expect("good");
            read(&config, &[]).expect("no secrets").access.peers()[0].records
        };
        assert!(records(SHIPPED));
        let without = SHIPPED.replacen("# siprec = true", "siprec = false", 1);
        assert!(!records(&without));
    }
}
