//! The parts of a SIP URI that tell where a request goes (RFC 3261 §19.1.1).

use std::net::IpAddr;

use crate::sip::headers::parameter;

/// A `sip:` or `sips:` URI, cut but not unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriParts<'a> {
    /// Whether the scheme is `sips`: TLS on every hop.
    pub secure: bool,
    /// User part, with the password where one is written.
    pub user: Option<&'a str>,
    /// Name or address; an IPv6 address without its brackets.
    pub host: &'a str,
    /// Only if written.
    pub port: Option<u16>,
    parameters: Vec<&'a str>,
}

impl<'a> UriParts<'a> {
    /// Reads `uri`; `None` for other schemes and for what has no valid host or port.
    pub fn parse(uri: &'a str) -> Option<Self> {
        let (scheme, rest) = uri.split_once(':')?;
        let secure = scheme.eq_ignore_ascii_case("sips");
        if !secure && !scheme.eq_ignore_ascii_case("sip") {
            return None;
        }
        // The user part may hold `;`, `?` and `:`, so it is cut off before anything is looked for.
        let (user, rest) = match rest.split_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let rest = rest.split_once('?').map_or(rest, |(rest, _headers)| rest);
        let mut parts = rest.split(';');
        let host_port = parts.next()?;
        let (host, port) = match host_port.strip_prefix('[') {
            Some(bracketed) => {
                let (host, port) = bracketed.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                match port {
                    "" => (host, None),
                    port => (host, Some(port.strip_prefix(':')?)),
                }
            }
            None => match host_port.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (host_port, None),
            },
        };
        let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
        let port = match port {
            // `+5060` is a number to Rust and none to SIP.
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => Some(port.parse().ok()?),
            Some(_) => return None,
            None => None,
        };
        (!host.is_empty() && host.bytes().all(is_host)).then(|| Self {
            secure,
            user,
            host,
            port,
            parameters: parts.collect(),
        })
    }

    /// The address, where the host is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The value of a URI parameter; empty when it stands without `=`.
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        parameter(&self.parameters, name)
    }

    /// Whether both name the same user at the same place; parameters do not count, and a port that
    /// is not written counts as `default_port`. Not the equality of §19.1.4: that is for registrars.
    pub fn is_same_place(&self, other: &UriParts<'_>, default_port: u16) -> bool {
        let same_host = match (self.address(), other.address()) {
            // An IPv6 address may be written in many ways.
            (Some(one), Some(another)) => one == another,
            (_, _) => self.host.eq_ignore_ascii_case(other.host),
        };
        self.user == other.user
            && same_host
            && self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
    }
}

/// `uri` without its user part: the domain, as a registrar is addressed (§10.2).
pub fn without_user(uri: &str) -> String {
    match (uri.split_once(':'), uri.split_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}:{host}"),
        (_, _) => uri.to_owned(),
    }
}

/// `uri` up to its parameters and header fields.
pub fn without_parameters(uri: &str) -> &str {
    let host = uri.find('@').map_or(0, |at| at + 1);
    let end = uri[host..].find([';', '?']).map_or(uri.len(), |at| host + at);
    &uri[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str) -> (Option<&str>, &str, Option<u16>) {
        let parts = UriParts::parse(uri).expect("a URI");
        (parts.user, parts.host, parts.port)
    }

    #[test]
    fn user_host_and_port_are_told_apart() {
        assert_eq!(parts("sip:example.com"), (None, "example.com", None));
        assert_eq!(parts("SIP:a@example.com:5070"), (Some("a"), "example.com", Some(5070)));
        assert_eq!(parts("sip:a@[2001:db8::1]:5070;ob"), (Some("a"), "2001:db8::1", Some(5070)));
        assert_eq!(parts("sips:[2001:db8::1]"), (None, "2001:db8::1", None));
        assert!(UriParts::parse("sips:h").expect("a URI").secure);
        let six = UriParts::parse("sip:[2001:db8:0::1]").expect("a URI");
        assert_eq!(six.address(), "2001:db8::1".parse().ok());
    }

    #[test]
    fn a_user_part_may_hold_what_separates_elsewhere() {
        let odd =
            "sip:user;par=u%40example.net?x:pw@h:5070;transport=tcp?Route=%3Csip:x;transport=udp";
        assert_eq!(parts(odd), (Some("user;par=u%40example.net?x:pw"), "h", Some(5070)));
        let odd = UriParts::parse(odd).expect("a URI");
        assert_eq!(odd.parameter("Transport"), Some("tcp"));
        assert_eq!(odd.parameter("par"), None);
    }

    #[test]
    fn what_has_no_host_or_a_wrong_port_is_no_uri() {
        for wrong in [
            "tel:+1",
            "sip:",
            "sip:a@",
            "sip:a@:5060",
            "sip:h:",
            "sip:h:99999",
            "sip:h:+5",
            "sip:h:x",
            "sip:[2001:db8::1",
            "sip:[x]",
            "sip:[::1]5060",
            "sip:a b",
            "example.com",
            "sip:2001:db8::1",
        ] {
            let read = UriParts::parse(wrong);
            assert!(read.is_none(), "{wrong}: {read:?}");
        }
    }

    #[test]
    fn parameters_and_users_are_cut_where_they_begin() {
        assert_eq!(without_parameters("sip:a;b@h:1;lr?x"), "sip:a;b@h:1");
        assert_eq!(without_parameters("sip:h"), "sip:h");
        assert_eq!(without_user("sip:a;b@h:1;lr"), "sip:h:1;lr");
        assert_eq!(without_user("sips:h"), "sips:h");
    }

    #[test]
    fn a_place_is_the_same_in_any_spelling() {
        let same = |a, b| {
            let (a, b) = (UriParts::parse(a).expect("a URI"), UriParts::parse(b).expect("a URI"));
            a.is_same_place(&b, 5060)
        };
        assert!(same("sip:a@H.example:5060", "sip:a@h.Example;transport=udp"));
        assert!(same("sip:a@[2001:db8:0::1]", "sip:a@[2001:db8::1]:5060"));
        assert!(!same("sip:a@h", "sip:A@h"));
        assert!(!same("sip:a@h", "sip:a@h:5061"));
    }
}
