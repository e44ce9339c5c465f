//! The appliance itself, where it runs: what it says on `/ready`.

use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use ureq::Agent;
use ureq::tls::TlsConfig;

use crate::cli::doctor::finding::Finding;
use crate::config::http::Http;

/// How long it may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether an appliance runs on this configuration.
#[derive(Debug)]
pub(super) enum Running {
    /// It says that it can take calls.
    Ready(String),
    /// It runs, and says why it takes none.
    NotReady(String),
    /// Something answers there that is none.
    Another,
    /// Nobody answers.
    No,
}

impl Running {
    pub(super) fn is_there(&self) -> bool {
        matches!(self, Self::Ready(_) | Self::NotReady(_))
    }

    pub(super) fn finding(&self) -> Finding {
        let part = "appliance";
        match self {
            Self::Ready(said) => Finding::ok(part, format!("it runs: {said}")),
            Self::NotReady(said) => {
                let remedy = "journalctl -u sidetone -n 50 says more";
                Finding::problem(part, format!("it runs, and says: {said}"), remedy)
            }
            Self::Another => {
                let remedy = "ss -ltnp shows who that is; one of the two needs another port";
                Finding::problem(part, "something else answers on http.listen", remedy)
            }
            Self::No => Finding::unknown(part, "it does not run", "systemctl start sidetone"),
        }
    }
}

/// Asks `/live` and `/ready` where this configuration has them.
pub(super) fn look(http: &Http) -> Running {
    let mut address = http.listen;
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    if address.port() == 0 || TcpStream::connect_timeout(&address, PATIENCE).is_err() {
        return Running::No;
    }
    let scheme = if http.tls.is_some() { "https" } else { "http" };
    let provider = Arc::new(ring::default_provider());
    // Our own certificate is for our name, and we ask by address: nothing secret is said.
    let tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
    let tls = tls.disable_verification(true).build();
    let agent = Agent::config_builder().http_status_as_error(false).tls_config(tls);
    let agent: Agent = agent.proxy(None).timeout_global(Some(PATIENCE)).build().new_agent();
    let get = |path: &str| {
        let mut answer = agent.get(format!("{scheme}://{address}{path}")).call().ok()?;
        let body = answer.body_mut().read_to_string().ok()?;
        let words: Vec<_> = body.split_whitespace().collect();
        Some((answer.status().as_u16(), words.join(" ")))
    };
    match (get("/live"), get("/ready")) {
        (Some(_), Some((200, said))) if said.starts_with("ready") => Running::Ready(said),
        (Some(_), Some((503, said))) if said.starts_with("not ready") => Running::NotReady(said),
        _ => Running::Another,
    }
}
