//! A site whose live page is on, and who may sign in to it.
#![allow(dead_code, reason = "every test takes what it needs of this")]

use crate::appliance::{Appliance, Site, token};
use crate::http::{Answer, ask};

/// Every role, with a token for it.
pub(crate) const TOKENS: [(&str, &str); 5] = [
    ("viewer", "sdt_a-viewer-of-a-site-for-tests"),
    ("operator", "sdt_an-operator-of-a-site-for-tests"),
    ("privacy", "sdt_a-privacy-officer-of-a-site-for-tests"),
    ("auditor", "sdt_an-auditor-of-a-site-for-tests"),
    ("admin", "sdt_an-admin-of-a-site-for-tests"),
];

/// The token for `role`.
pub(crate) fn token_for(role: &str) -> &'static str {
    TOKENS.iter().find(|(of, _)| *of == role).expect("a role").1
}

/// Writes the tokens of all roles but `without`.
pub(crate) fn write_tokens(site: &Site, without: &str) {
    let all = TOKENS.iter().filter(|(role, _)| *role != without);
    let all: String = all.map(|(role, secret)| token(role, role, secret)).collect();
    site.write("tokens.toml", all);
}

/// Turns the page on, under this policy.
pub(crate) fn turn_on(site: &Site, policy: &str) {
    let off = "not be reachable.\nenabled = false";
    let config = site.open_api();
    assert!(config.contains(off), "the configuration has {off}");
    site.write("sidetone.toml", config.replace(off, "not be reachable.\nenabled = true"));
    site.write("policy.toml", policy);
    write_tokens(site, "nobody");
}

/// The headers of a request as our own page makes them.
pub(crate) fn from_here(appliance: &Appliance, more: &str) -> String {
    let http = appliance.http;
    format!("Host: {http}\r\nOrigin: http://{http}\r\n{more}")
}

/// Signs in with `secret`.
pub(crate) fn sign_in(appliance: &Appliance, secret: &str, more: &str) -> Answer {
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let headers = from_here(appliance, &format!("{form}{more}"));
    ask(appliance.http, "POST /login", &headers, &format!("token={secret}"))
}

/// The cookie that came with an answer, as it is sent back.
pub(crate) fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie").unwrap_or_else(|| panic!("a cookie: {answer:?}"));
    format!("Cookie: {}\r\n", set.split(';').next().expect("a pair"))
}
