//! What a registrar grants: the lifetime of a binding, and when to ask anew (RFC 3261 §10.2.4).

use std::time::Duration;

use crate::sip::headers::{Headers, parameter, split};
use crate::sip::name_addr::NameAddr;
use crate::sip::uri::UriParts;
use crate::sip::via::DEFAULT_PORT;

/// Time for one REGISTER to fail (timer F, 32 s) before the binding lapses.
const MARGIN: Duration = Duration::from_secs(35);
/// A lifetime to which [`MARGIN`] does not apply: it would leave nothing of it.
const SHORT: Duration = Duration::from_secs(70);

/// The leading number of a field: `120 (in a meeting);duration=60` is 120.
pub(super) fn seconds(headers: &Headers, name: &str) -> Option<Duration> {
    let value = headers.get(name)?;
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    value[..end].parse().ok().map(Duration::from_secs)
}

/// Lifetime of our binding by a success (§10.2.4): the parameter of our Contact goes before Expires.
pub(super) fn granted(headers: &Headers, our_contacts: &[String]) -> Option<Duration> {
    let ours = |uri: &str| {
        let uri = UriParts::parse(uri);
        our_contacts.iter().any(|our| match (UriParts::parse(our), &uri) {
            (Some(our), Some(uri)) => our.is_same_place(uri, DEFAULT_PORT),
            (_, _) => false,
        })
    };
    let contacts: Vec<_> = headers
        .list("Contact")
        .filter_map(|element| Some((NameAddr::parse(element)?.uri, split(element, ';'))))
        .collect();
    let our = contacts.iter().find(|(uri, _)| ours(uri)).or(match contacts.as_slice() {
        // Asterisk with `rewrite_contact` puts the address that it sees in place of ours.
        [only] => Some(only),
        _ => None,
    });
    let expires = our.and_then(|(_, parts)| parameter(&parts[1..], "expires"));
    let expires = expires.and_then(|expires| expires.parse().ok()).map(Duration::from_secs);
    expires.or_else(|| seconds(headers, "Expires"))
}

/// When a binding of that lifetime is to be refreshed: by lot, so that many accounts do not come
/// together, and a second at least, for who grants less is not to be asked without end.
pub(super) fn refresh_after(granted: Duration, random: &mut fastrand::Rng) -> Duration {
    let mut wait = granted.mul_f64(0.5 + 0.25 * random.f64());
    if granted > SHORT {
        wait = wait.min(granted - MARGIN);
    }
    wait.max(Duration::from_secs(1))
}
