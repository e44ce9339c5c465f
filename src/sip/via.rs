//! The topmost Via: where an answer goes (RFC 3261 §18.2, RFC 3581).

use std::net::SocketAddr;

use crate::sip::headers::{is_token, parameter, split};

/// Transaction identifiers of RFC 3261 elements begin with this (§8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";
/// Port of SIP over UDP where none is written (§18.2.2).
pub const DEFAULT_PORT: u16 = 5060;

/// One Via element, as far as an endpoint needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// `UDP` and the like, as written.
    pub transport: String,
    /// `host` or `host:port` as the sender wrote it; part of the transaction's identity (§17.2.3).
    pub sent_by: String,
    /// Port of `sent_by`, if written.
    pub port: Option<u16>,
    /// The transaction identifier. `None` for RFC 2543 senders: absent, without the cookie, or the
    /// cookie alone (RFC 4475 §3.2.1).
    pub branch: Option<String>,
    /// Whether the sender asks to be answered where it sent from (RFC 3581 §4).
    pub rport: bool,
}

impl Via {
    /// Reads one element; `None` when protocol, host, port or a parameter is no such thing.
    pub fn parse(element: &str) -> Option<Self> {
        let parts = split(element, ';');
        let (protocol, parameters) = parts.split_first()?;
        // Blanks are allowed around each slash and the colon: `SIP / 2.0 / UDP  host : 5060`.
        let mut fields = protocol.splitn(3, '/').map(str::trim);
        // A request of another version wants its 505, so the version here may be any.
        if !fields.next()?.eq_ignore_ascii_case("SIP") || !is_token(fields.next()?) {
            return None;
        }
        let (transport, sent_by) = fields.next()?.split_once([' ', '\t'])?;
        let sent_by: String = sent_by.chars().filter(|c| !c.is_whitespace()).collect();
        let (host, port) = match sent_by.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            Some(_) | None => (sent_by.as_str(), None),
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
        let well_formed = is_token(transport)
            && !host.is_empty()
            && host.chars().all(is_host)
            && parameters.iter().all(|p| is_token(p.split('=').next().unwrap_or("").trim()));
        let branch = parameter(parameters, "branch")
            .filter(|branch| branch.len() > MAGIC_COOKIE.len() && has_cookie(branch));
        well_formed.then(|| Self {
            transport: transport.to_owned(),
            port,
            branch: branch.map(str::to_owned),
            rport: parameter(parameters, "rport").is_some(),
            sent_by: sent_by.to_ascii_lowercase(),
        })
    }

    /// Where the answer to a request goes that came from `source`.
    ///
    /// `maddr` is not followed: it would let a stranger aim our answers at somebody else.
    pub fn reply_to(&self, source: SocketAddr) -> SocketAddr {
        match self.rport {
            true => source,
            false => SocketAddr::new(source.ip(), self.port.unwrap_or(DEFAULT_PORT)),
        }
    }
}

/// `element` with `received` and `rport` filled in from `source` (RFC 3581 §4); any the sender wrote
/// itself are replaced.
pub fn stamped(element: &str, source: SocketAddr) -> String {
    let name = |part: &str| part.split('=').next().unwrap_or("").trim().to_ascii_lowercase();
    let parts = split(element, ';');
    let asks_rport = parts.iter().any(|part| name(part) == "rport");
    let mut stamped = parts
        .into_iter()
        .filter(|part| !["rport", "received"].contains(&name(part).as_str()))
        .collect::<Vec<_>>()
        .join(";");
    stamped.push_str(&format!(";received={}", source.ip()));
    if asks_rport {
        stamped.push_str(&format!(";rport={}", source.port()));
    }
    stamped
}

fn has_cookie(branch: &str) -> bool {
    branch.get(..MAGIC_COOKIE.len()).is_some_and(|start| start.eq_ignore_ascii_case(MAGIC_COOKIE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> SocketAddr {
        "192.0.2.9:40000".parse().expect("an address")
    }

    #[test]
    fn blanks_and_ipv6_read_as_written_without_them() {
        let spaced =
            Via::parse("SIP  / 2.0  / UDP  192.0.2.2 : 5070 ;branch = z9hG4bK39").expect("a Via");
        assert_eq!((spaced.sent_by.as_str(), spaced.port), ("192.0.2.2:5070", Some(5070)));
        assert_eq!(spaced.branch.as_deref(), Some("z9hG4bK39"));
        let six = Via::parse("SIP/2.0/UDP [2001:db8::9];branch=z9hG4bKa").expect("a Via");
        assert_eq!((six.sent_by.as_str(), six.port), ("[2001:db8::9]", None));
    }

    #[test]
    fn an_old_or_empty_branch_is_none() {
        for branch in ["", ";branch=1", ";branch=z9hG4bK"] {
            let via = Via::parse(&format!("SIP/2.0/UDP h{branch}")).expect("a Via");
            assert_eq!(via.branch, None);
        }
    }

    #[test]
    fn extra_separators_and_wrong_ports_are_refused() {
        for wrong in ["SIP/2.0/UDP h;;", "SIP/2.0/UDP h:99999", "SIP//UDP h", "SIP/2.0/UDP", "x"] {
            assert_eq!(Via::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_answer_goes_to_the_source_port_only_when_asked() {
        let plain = Via::parse("SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKa").expect("a Via");
        assert_eq!(plain.reply_to(source()), "192.0.2.9:5070".parse().expect("an address"));
        let asked = Via::parse("SIP/2.0/UDP 10.0.0.1:5070;rport;branch=z9hG4bKa").expect("a Via");
        assert_eq!(asked.reply_to(source()), source());
        assert_eq!(
            stamped("SIP/2.0/UDP 10.0.0.1:5070;rport;received=6.6.6.6;branch=z9hG4bKa", source()),
            "SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKa;received=192.0.2.9;rport=40000"
        );
    }
}
