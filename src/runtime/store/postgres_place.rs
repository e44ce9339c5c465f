//! Which PostgreSQL server holds the vault, and how a connection to it is protected (libpq's URLs, RFC 3986).

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use postgres::Config;
use postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::runtime::notify::tls_client;
use crate::runtime::sip_settings::secret;
use crate::runtime::store::database::DatabaseError;

/// A server of this site that does not answer in this time is away; libpq's smallest value is 2 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the kernel waits for a server to confirm what was sent, and, where nothing is sent, how long until it asks
/// and how often: a server whose power failed is noticed within 10 s either way.
const SILENCE: Duration = Duration::from_secs(10);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(4);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_RETRIES: u32 = 3;
/// How every session is set. A statement of the vault takes milliseconds: one that takes half a minute hangs. Writers
/// queue for one lock, as they do in SQLite, and as long (10 s). Who holds it and says nothing, because its machine is
/// gone, loses it after as long.
const SESSION: &str = "-c statement_timeout=30s -c lock_timeout=10s \
    -c idle_in_transaction_session_timeout=10s -c client_min_messages=warning";
/// Whom we trust to have issued a server's certificate, unless `sslrootcert` says so.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A server, and all that a connection to it needs.
#[derive(Clone)]
pub struct PostgresPlace {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    password_file: Option<PathBuf>,
    description: String,
}

impl PostgresPlace {
    /// Reads a URL of libpq's form. `sslmode` is `verify-full` unless it says otherwise, and may be `disable` towards
    /// this machine alone, where it is the default; `sslrootcert` names the file of authorities.
    pub fn parse(url: &str, password_file: Option<&Path>) -> Result<Self, DatabaseError> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let unusable = |why: String| DatabaseError::Unusable {
            database: "the PostgreSQL server of store.database".to_owned(),
            why,
        };
        let (mut mode, mut authorities, mut others) = (None, None, Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = || percent_decode_str(value).decode_utf8_lossy().into_owned();
            match name {
                "sslmode" => mode = Some(value()),
                "sslrootcert" => authorities = Some(PathBuf::from(value())),
                _ => others.push(parameter),
            }
        }
        let rest = format!("{place}?{}", others.join("&"));
        let mut config = Config::from_str(&rest).map_err(|error| {
            let why = std::error::Error::source(&error).map(ToString::to_string);
            unusable(format!(
                "its URL cannot be read: {}",
                why.unwrap_or_else(|| error.to_string())
            ))
        })?;
        if config.get_password().is_some() {
            return Err(unusable(
                "its URL holds a password, wanted store.password_file to name a file with it"
                    .to_owned(),
            ));
        }
        let description = described(&config);
        let unusable = |why| DatabaseError::Unusable { database: description.clone(), why };
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(unusable("its URL names no host".to_owned()));
        }
        let local = is_local(&config);
        let tls = match mode.as_deref() {
            Some("disable" | "allow" | "prefer") if !local => {
                return Err(unusable(format!(
                    "sslmode={} leaves voiceprints unprotected on the way to another machine, wanted \
                     sslmode=verify-full",
                    mode.unwrap_or_default()
                )));
            }
            None if local => None,
            Some("disable" | "allow" | "prefer") => None,
            // A certificate that nobody checks protects from nobody: `require` is no weaker here.
            None | Some("require" | "verify-ca" | "verify-full") => {
                let file = authorities.unwrap_or_else(|| AUTHORITIES.into());
                let trusting = tls_client::trusting(&file, "store.database (sslrootcert)");
                let trusting = trusting.map_err(|error| unusable(error.to_string()))?;
                Some(MakeRustlsConnect::new((*trusting).clone()))
            }
            Some(odd) => {
                return Err(unusable(format!(
                    "sslmode={odd} is not known, wanted disable or verify-full"
                )));
            }
        };
        let session = match config.get_options() {
            Some(options) => format!("{SESSION} {options}"),
            None => SESSION.to_owned(),
        };
        if config.get_application_name().is_none() {
            config.application_name("sidetone");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_hosts().len() > 1 {
            // Of several, the one that takes changes.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        config
            .options(&session)
            .ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable })
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES);
        let password_file = password_file.map(Path::to_owned);
        Ok(Self { config, tls, password_file, description })
    }

    /// How to connect now: the password is read anew, so that it may be changed beneath a running service.
    pub(super) fn config(&self) -> Result<Config, DatabaseError> {
        let mut config = self.config.clone();
        if let Some(file) = &self.password_file {
            let password =
                secret(file, "store.password_file").map_err(|error| DatabaseError::Unusable {
                    database: self.description.clone(),
                    why: error.to_string(),
                })?;
            config.password(password);
        }
        Ok(config)
    }

    /// How the connection is encrypted, if it is.
    pub(super) fn tls(&self) -> Option<MakeRustlsConnect> {
        self.tls.clone()
    }

    /// The server and the database, for messages.
    pub(super) fn describe(&self) -> &str {
        &self.description
    }
}

impl fmt::Debug for PostgresPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresPlace").field(&self.description).finish()
    }
}

fn is_local(config: &Config) -> bool {
    let name = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
    };
    // Where both are given, the address is what is connected to.
    match config.get_hostaddrs() {
        [] => config.get_hosts().iter().all(name),
        addresses => addresses.iter().all(IpAddr::is_loopback),
    }
}

fn described(config: &Config) -> String {
    let names: Vec<String> = match config.get_hosts() {
        [] => config.get_hostaddrs().iter().map(ToString::to_string).collect(),
        hosts => hosts
            .iter()
            .map(|host| match host {
                Host::Tcp(name) => name.clone(),
                Host::Unix(folder) => folder.display().to_string(),
            })
            .collect(),
    };
    let port = config.get_ports().first().map_or(5432, |port| *port);
    let name = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("the PostgreSQL database {name} at {} port {port}", names.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        PostgresPlace::parse(url, None).expect_err("a URL that is refused").to_string()
    }

    #[test]
    fn nothing_goes_to_another_machine_unencrypted() {
        for mode in ["disable", "allow", "prefer"] {
            let said = refused(&format!("postgres://sidetone@db.example/vault?sslmode={mode}"));
            assert!(
                said.contains(&format!("sslmode={mode} leaves voiceprints unprotected")),
                "{said}"
            );
        }
        // Its name is a name, its address is where the bytes go.
        let said = refused("postgres://u@localhost/v?hostaddr=192.0.2.1&sslmode=disable");
        assert!(said.contains("leaves voiceprints unprotected"), "{said}");
        let default = "postgres://u@db.example/v?sslrootcert=/nowhere.pem";
        assert!(refused(default).contains("/nowhere.pem"), "it would check the certificate");
        for local in ["127.0.0.1", "localhost", "[::1]", "%2Frun%2Fpostgresql"] {
            let place = PostgresPlace::parse(&format!("postgres://u@{local}/v"), None);
            assert!(place.expect("a place").tls.is_none(), "{local}");
        }
    }

    #[test]
    fn what_a_url_should_not_hold_is_refused_without_being_repeated() {
        let said = refused("postgres://sidetone:hunter2@localhost/vault");
        assert!(said.contains("wanted store.password_file"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
        let said = refused("postgres://sidetone@localhost/vault?sslmode=maybe");
        assert!(said.contains("sslmode=maybe is not known"), "{said}");
        let said = refused("postgres://sidetone@localhost/vault?colour=red");
        assert!(said.contains("its URL cannot be read") && said.contains("colour"), "{said}");
        assert!(refused("postgres:///vault").contains("names no host"));
    }

    #[test]
    fn a_place_is_described_by_database_host_and_port() {
        let place = PostgresPlace::parse("postgres://u@127.0.0.1:5433/vault", None).expect("good");
        assert_eq!(place.describe(), "the PostgreSQL database vault at 127.0.0.1 port 5433");
    }
}
