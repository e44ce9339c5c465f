//! Those whom we speak with: PBXs by OPTIONS, receivers of verdicts by whether they take a connection.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ureq::http::Uri;

use crate::cli::doctor::finding::Finding;
use crate::config::Config;
use crate::runtime::options_probe::{Answered, Asker};
use crate::runtime::transport::resolver::Resolver;
use crate::runtime::transport::tls::Tls;

/// How long a receiver may take to take a connection.
const PATIENCE: Duration = Duration::from_secs(3);
/// A Date has whole seconds, and an answer takes a while.
const SKEW: SignedDuration = SignedDuration::from_secs(5);

pub(super) async fn look(config: &Config, named: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let sip = &config.sip;
    let registrars = sip.accounts.iter().map(|account| account.registrar.clone());
    let messages = sip.peers.iter().filter_map(|peer| peer.message_to.clone());
    let mut uris: Vec<String> = named.iter().cloned().chain(registrars).chain(messages).collect();
    uris.sort();
    uris.dedup();
    if uris.is_empty() {
        let found = "no account and no peer says where one is: none was asked";
        findings.push(Finding::unknown("PBX", found, "sidetone doctor --pbx sip:ADDRESS"));
    }
    let resolver = match sip.name_servers.as_slice() {
        [] => Resolver::from_system().unwrap_or_else(|_| Resolver::with_servers(&[])),
        servers => Resolver::with_servers(servers),
    };
    // Why it is of no use is said where certificates are looked at.
    let tls = sip.tls.as_ref().and_then(|tls| Tls::load(tls).ok());
    let asker = Asker { listen: &sip.listen, tls, resolver };
    for uri in uris {
        let found = match asker.ask(&uri).await {
            Ok(answered) => judge(&uri, &answered, Timestamp::now()),
            Err(error) => {
                let remedy = "is it running, does it listen there, does a firewall or its access list turn us away?";
                Finding::problem("PBX", format!("{uri}: {error}"), remedy)
            }
        };
        findings.push(found);
    }
    findings.extend(receivers(config).into_iter().map(|(key, name, place)| {
        let found = format!("{name} ({key}) takes connections on {place}");
        match connects(&place) {
            Ok(()) => Finding::ok("receiver", found),
            Err(error) => {
                let found = format!("{name} ({key}): {place}: {error}");
                let remedy =
                    format!("start it, or mend {key}; verdicts for it wait up to notify.keep_s");
                Finding::warning("receiver", found, remedy)
            }
        }
    }));
    findings
}

fn judge(uri: &str, answered: &Answered, now: Timestamp) -> Finding {
    let skew = answered.date.map(|date| now.duration_since(date));
    match skew.filter(|skew| skew.abs() > SKEW) {
        None => Finding::ok("PBX", format!("{uri}: {answered}")),
        Some(skew) => {
            let (seconds, way) =
                (skew.abs().as_secs(), if skew.is_positive() { "behind" } else { "ahead of" });
            let found = format!("{uri}: {answered}; its clock is {seconds} s {way} ours");
            Finding::warning(
                "PBX",
                found,
                "synchronise both clocks: records of one call should agree",
            )
        }
    }
}

/// Who is told of verdicts: key, name, host and port.
fn receivers(config: &Config) -> Vec<(&'static str, String, String)> {
    let notify = &config.notify;
    let of_url = |url: &str| {
        let uri: Option<Uri> = url.parse().ok();
        let uri = uri.as_ref();
        let host = uri.and_then(Uri::host).unwrap_or(url);
        let usual = if url.starts_with("https") { 443 } else { 80 };
        format!("{host}:{}", uri.and_then(Uri::port_u16).unwrap_or(usual))
    };
    let webhooks = notify.webhooks.iter();
    let webhooks = webhooks.map(|one| ("notify.webhook", one.name.clone(), of_url(&one.url)));
    let ami =
        notify.managers.iter().map(|one| ("notify.ami", one.name.clone(), one.address.clone()));
    let ari =
        notify.applications.iter().map(|one| ("notify.ari", one.name.clone(), of_url(&one.url)));
    let esl = notify.esls.iter().map(|one| ("notify.esl", one.name.clone(), one.address.clone()));
    webhooks.chain(ami).chain(ari).chain(esl).collect()
}

fn connects(place: &str) -> Result<(), String> {
    let addresses = place.to_socket_addrs().map_err(|error| error.to_string())?;
    let mut why = "its name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Ok(()),
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::State;
    use crate::sip::transport::Transport;

    #[test]
    fn a_pbx_with_another_time_is_warned_of() {
        let now: Timestamp = "2026-11-27T12:00:00Z".parse().expect("a time");
        let state = |date: Option<Timestamp>| {
            let answered = Answered {
                status: 200,
                reason: "OK".to_owned(),
                transport: Transport::Udp,
                address: ([192, 0, 2, 20], 5060).into(),
                after: Duration::from_millis(3),
                date,
            };
            judge("sip:192.0.2.20", &answered, now).state
        };
        assert_eq!(state(None), State::Ok);
        assert_eq!(state(Some(now - SignedDuration::from_secs(4))), State::Ok);
        assert_eq!(state(Some(now - SignedDuration::from_secs(60))), State::Warning);
        assert_eq!(state(Some(now + SignedDuration::from_secs(60))), State::Warning);
    }
}
