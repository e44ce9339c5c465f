//! What is asked of the DNS on behalf of a URI, and what it answers (RFC 3263 §4).

use std::net::IpAddr;

/// One DNS query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// NAPTR records of a domain.
    Naptr(String),
    /// SRV records of a service.
    Srv(String),
    /// A and AAAA records of a host.
    Address(String),
}

/// What DNS answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// In any order.
    Naptr(Vec<Naptr>),
    /// In any order.
    Srv(Vec<Srv>),
    /// In the order of trial.
    Address(Vec<IpAddr>),
    /// No such name, no answer, or an error: as good as no records.
    Failed,
}

/// One NAPTR record (RFC 3403 §4.1), as far as SIP uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// Lowest first.
    pub order: u16,
    /// Lowest first, among those of one order.
    pub preference: u16,
    /// `s`: the replacement has SRV records.
    pub flags: String,
    /// Such as `SIP+D2U`.
    pub service: String,
    /// Where to look on.
    pub replacement: String,
}

/// One SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lowest first.
    pub priority: u16,
    /// Share of the first trials, among those of one priority.
    pub weight: u16,
    /// Port of the service.
    pub port: u16,
    /// Host; a lone dot says that there is no such service.
    pub target: String,
}
