//! Where a request goes: from a URI to addresses (RFC 3263), with every DNS query left to the owner.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::sip::dns::{Naptr, Query, Records, Srv};
use crate::sip::transport::Transport;
use crate::sip::uri::UriParts;

/// Targets of one URI; whoever has failed at so many is down.
const MAX_TARGETS: usize = 8;
/// Addresses of one host that count: a long list must not hide the hosts behind it.
const MAX_ADDRESSES: usize = 4;
/// Hosts that SRV records name. With one NAPTR and three SRV queries that makes twelve at most.
const MAX_HOSTS: usize = 8;
/// Records of one answer that are looked at.
const MAX_RECORDS: usize = 64;

/// Finds the targets of one URI: ask what [`Self::poll_query`] says, hand in each answer.
#[derive(Clone, Debug)]
pub struct Locator {
    state: State,
    /// Host of the URI: what a TLS certificate has to bear (RFC 5922 §7.2).
    name: Arc<str>,
    secure: bool,
    /// In the order of our preference.
    supported: Vec<Transport>,
    /// What is tried where DNS has no preference.
    usual: Transport,
}

#[derive(Clone, Debug)]
enum State {
    /// Which transports does the domain prefer?
    Naptr,
    /// Which hosts serve it? The first waits for its answer.
    Srv {
        services: VecDeque<Service>,
        hosts: Vec<Host>,
        declined: bool,
    },
    /// At which addresses? The first without any waits for its answer.
    Address {
        hosts: Vec<Host>,
    },
    Located {
        targets: Vec<Target>,
    },
}

#[derive(Clone, Debug)]
struct Service {
    transport: Transport,
    name: String,
}

#[derive(Clone, Debug)]
struct Host {
    transport: Transport,
    name: String,
    port: u16,
    /// `None` until asked for.
    addresses: Option<Vec<IpAddr>>,
}

/// One place to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// How.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
    /// The name that a TLS server has to prove; `None` without TLS, and where the URI has an address.
    pub name: Option<Arc<str>>,
}

/// A URI that leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// No `sip:` or `sips:` URI, or one without a valid host.
    #[error("no SIP URI (RFC 3261 19.1.1)")]
    NotSip,
    /// It asks for a transport that we do not have.
    #[error("no transport of ours serves this URI (RFC 3263 4.1)")]
    Transport,
}

impl Locator {
    /// Begins with `uri`. `supported` are our transports in the order of preference; `sips` leaves
    /// TLS only. `maddr` is not followed: it would let a stranger aim our requests.
    pub fn new(uri: &str, supported: &[Transport]) -> Result<Self, LocationError> {
        let uri = UriParts::parse(uri).ok_or(LocationError::NotSip)?;
        let has = |transport: &Transport| supported.contains(transport);
        let wanted = match uri.parameter("transport").filter(|name| !name.is_empty()) {
            None => None,
            Some(name) => match (Transport::read(name), uri.secure) {
                (Some(Transport::Udp), true) | (None, _) => return Err(LocationError::Transport),
                // `sips` with `transport=tcp` is TLS over TCP (RFC 3261 §19.1.2).
                (Some(Transport::Tcp | Transport::Tls), true) => Some(Transport::Tls),
                (Some(transport), false) => Some(transport),
            },
        };
        let usual = match (wanted, uri.secure) {
            (Some(transport), _) => Some(transport).filter(has),
            (None, true) => Some(Transport::Tls).filter(has),
            // TLS at last, for those who have nothing else: better than no trial.
            (None, false) => [Transport::Udp, Transport::Tcp, Transport::Tls].into_iter().find(has),
        };
        let usual = usual.ok_or(LocationError::Transport)?;
        let host = |addresses| Host {
            transport: usual,
            name: uri.host.to_owned(),
            port: uri.port.unwrap_or(usual.default_port()),
            addresses,
        };
        let state = match (uri.address(), uri.port, wanted) {
            (Some(address), _, _) => State::Address { hosts: vec![host(Some(vec![address]))] },
            // §4.2: a port leaves nothing for SRV to say.
            (None, Some(_), _) => State::Address { hosts: vec![host(None)] },
            (None, None, Some(transport)) => srv([Service::of(transport, uri.host)].into()),
            (None, None, None) => State::Naptr,
        };
        let mut locator = Self {
            state,
            name: uri.host.into(),
            secure: uri.secure,
            supported: supported.to_vec(),
            usual,
        };
        locator.conclude();
        Ok(locator)
    }

    /// The query that waits for its answer; `None` when the targets are known. Says the same
    /// until the answer comes.
    pub fn poll_query(&self) -> Option<Query> {
        match &self.state {
            State::Naptr => Some(Query::Naptr(self.name.to_string())),
            State::Srv { services, .. } => {
                services.front().map(|service| Query::Srv(service.name.clone()))
            }
            State::Address { hosts } => unresolved(hosts).map(Query::Address),
            State::Located { .. } => None,
        }
    }

    /// The answer to that query. Records of another kind are as good as none.
    pub fn handle_answer(&mut self, records: Records, random: &mut fastrand::Rng) {
        match &mut self.state {
            State::Naptr => {
                let records = match records {
                    Records::Naptr(records) => records,
                    Records::Srv(_) | Records::Address(_) | Records::Failed => Vec::new(),
                };
                self.state = srv(self.services(records));
            }
            State::Srv { services, hosts, declined } => {
                let records = match records {
                    Records::Srv(records) => records,
                    Records::Naptr(_) | Records::Address(_) | Records::Failed => Vec::new(),
                };
                if let Some(Service { transport, .. }) = services.pop_front() {
                    for Srv { port, target, .. } in in_order_of_trial(records, random) {
                        match target.trim_end_matches('.') {
                            "" => *declined = true,
                            name => hosts.push(Host::new(transport, name, port)),
                        }
                    }
                    hosts.truncate(MAX_HOSTS);
                }
            }
            State::Address { hosts } => {
                let mut addresses = match records {
                    Records::Address(addresses) => addresses,
                    Records::Naptr(_) | Records::Srv(_) | Records::Failed => Vec::new(),
                };
                addresses.truncate(MAX_ADDRESSES);
                // One host may serve several transports: one query answers for all.
                let asked = unresolved(hosts);
                for host in hosts.iter_mut().filter(|host| Some(&host.name) == asked.as_ref()) {
                    host.addresses = Some(addresses.clone());
                }
            }
            State::Located { .. } => {}
        }
        self.conclude();
    }

    /// Where to send, in the order of trial; empty while a query waits, and when DNS knows nothing.
    pub fn targets(&self) -> &[Target] {
        match &self.state {
            State::Naptr | State::Srv { .. } | State::Address { .. } => &[],
            State::Located { targets } => targets,
        }
    }

    /// Leaves states that wait for nothing.
    fn conclude(&mut self) {
        if let State::Srv { services, hosts, declined } = &mut self.state
            && services.is_empty()
        {
            let mut hosts = std::mem::take(hosts);
            if hosts.is_empty() && !*declined {
                // No SRV records: the name itself, at the usual port (§4.2).
                let port = self.usual.default_port();
                hosts.push(Host::new(self.usual, &self.name, port));
            }
            self.state = State::Address { hosts };
        }
        if let State::Address { hosts } = &self.state
            && unresolved(hosts).is_none()
        {
            let by_name = self.name.parse::<IpAddr>().is_err();
            let mut targets: Vec<Target> = Vec::new();
            for host in hosts {
                let name = (by_name && host.transport == Transport::Tls).then(|| self.name.clone());
                for address in host.addresses.iter().flatten() {
                    let (transport, name) = (host.transport, name.clone());
                    let address = SocketAddr::new(*address, host.port);
                    let target = Target { transport, address, name };
                    if targets.len() < MAX_TARGETS && !targets.contains(&target) {
                        targets.push(target);
                    }
                }
            }
            self.state = State::Located { targets };
        }
    }

    /// The SRV queries to make: those that NAPTR records prefer, else one for each transport.
    fn services(&self, mut records: Vec<Naptr>) -> VecDeque<Service> {
        records.truncate(MAX_RECORDS);
        records.sort_by_key(|record| (record.order, record.preference));
        let mut services: VecDeque<Service> = VecDeque::new();
        for record in records.iter().filter(|record| record.flags.eq_ignore_ascii_case("s")) {
            let replacement = record.replacement.trim_end_matches('.');
            // One query for each transport: the best it has.
            if let Some(transport) = self.transport_of(&record.service)
                && !replacement.is_empty()
                && services.iter().all(|service| service.transport != transport)
            {
                services.push_back(Service { transport, name: replacement.to_owned() });
            }
        }
        if services.is_empty() {
            for transport in self.usable() {
                if services.iter().all(|service| service.transport != transport) {
                    services.push_back(Service::of(transport, &self.name));
                }
            }
        }
        services
    }

    fn transport_of(&self, service: &str) -> Option<Transport> {
        let known = [
            ("SIP+D2U", Transport::Udp),
            ("SIP+D2T", Transport::Tcp),
            ("SIPS+D2T", Transport::Tls),
        ];
        let (_, transport) =
            known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(service))?;
        self.usable().any(|usable| usable == transport).then_some(transport)
    }

    fn usable(&self) -> impl Iterator<Item = Transport> {
        let secure = self.secure;
        self.supported.iter().copied().filter(move |t| !secure || *t == Transport::Tls)
    }
}

impl Service {
    fn of(transport: Transport, domain: &str) -> Self {
        let prefix = match transport {
            Transport::Udp => "_sip._udp",
            Transport::Tcp => "_sip._tcp",
            Transport::Tls => "_sips._tcp",
        };
        Self { transport, name: format!("{prefix}.{domain}") }
    }
}

impl Host {
    /// Some zones name an address in an SRV record, against RFC 2782: it needs no query.
    fn new(transport: Transport, name: &str, port: u16) -> Self {
        let addresses = name.parse().ok().map(|address| vec![address]);
        Self { transport, name: name.to_owned(), port, addresses }
    }
}

fn srv(services: VecDeque<Service>) -> State {
    State::Srv { services, hosts: Vec::new(), declined: false }
}

fn unresolved(hosts: &[Host]) -> Option<String> {
    hosts.iter().find(|host| host.addresses.is_none()).map(|host| host.name.clone())
}

/// By priority, and by lot with the weights among those of one priority (RFC 2782).
fn in_order_of_trial(mut records: Vec<Srv>, random: &mut fastrand::Rng) -> Vec<Srv> {
    records.truncate(MAX_RECORDS);
    // Those without weight first: the lot 0 has to be able to fall on them.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let priority = first.priority;
        let rivals = records.iter().take_while(|record| record.priority == priority);
        let total: u32 = rivals.map(|record| u32::from(record.weight)).sum();
        let lot = random.u32(..=total);
        let mut sum = 0;
        let chosen = records.iter().position(|record| {
            sum += u32::from(record.weight);
            sum >= lot
        });
        ordered.push(records.remove(chosen.expect("the sum of all weights reaches every lot")));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use Transport::{Tcp, Tls, Udp};

    const ALL: [Transport; 3] = [Udp, Tcp, Tls];

    fn naptr(order: u16, preference: u16, service: &str, replacement: &str) -> Naptr {
        let (service, replacement) = (service.to_owned(), replacement.to_owned());
        Naptr { order, preference, flags: "s".into(), service, replacement }
    }

    fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Srv {
        Srv { priority, weight, port, target: target.into() }
    }

    fn zone(query: &Query) -> Records {
        match query {
            Query::Naptr(name) if name == "example.com" => Records::Naptr(vec![
                naptr(100, 50, "SIP+D2U", "_sip._udp.example.com"),
                naptr(50, 50, "SIPS+D2T", "_sips._tcp.example.com."),
                naptr(90, 50, "SIP+D2T", "_sip._tcp.example.com"),
                naptr(10, 10, "SIP+D2S", "_sip._sctp.example.com"),
                naptr(10, 10, "E2U+sip", "other.example.com"),
            ]),
            Query::Srv(name) if name == "_sip._udp.example.com" => Records::Srv(vec![
                srv(2, 0, 5060, "b.example.com."),
                srv(1, 0, 5080, "a.example.com"),
            ]),
            Query::Srv(name) if name == "_sip._tcp.example.com" => {
                Records::Srv(vec![srv(1, 0, 5080, "a.example.com")])
            }
            Query::Srv(name) if name == "_sips._tcp.example.com" => {
                Records::Srv(vec![srv(1, 0, 5061, "a.example.com")])
            }
            Query::Srv(name) if name.ends_with("closed.example") => {
                Records::Srv(vec![srv(0, 0, 0, ".")])
            }
            Query::Address(name) => match name.as_str() {
                "a.example.com" => Records::Address(vec!["192.0.2.1".parse().expect("an address")]),
                "b.example.com" => {
                    Records::Address(vec!["2001:db8::2".parse().expect("an address")])
                }
                "plain.example" => Records::Address(vec!["192.0.2.9".parse().expect("an address")]),
                _ => Records::Failed,
            },
            Query::Naptr(_) | Query::Srv(_) => Records::Failed,
        }
    }

    /// Queries in order, and targets.
    fn located(uri: &str, supported: &[Transport]) -> (Vec<String>, Vec<String>) {
        let mut locator = Locator::new(uri, supported).expect("a URI that leads somewhere");
        let mut random = fastrand::Rng::with_seed(1);
        let mut queries = Vec::new();
        while let Some(query) = locator.poll_query() {
            assert_eq!(locator.targets(), []);
            locator.handle_answer(zone(&query), &mut random);
            queries.push(match query {
                Query::Naptr(name) | Query::Srv(name) | Query::Address(name) => name,
            });
        }
        let shown = |target: &Target| {
            let name = target.name.as_ref().map_or(String::new(), |name| format!(" {name}"));
            format!("{} {}{name}", target.transport.as_str(), target.address)
        };
        (queries, locator.targets().iter().map(shown).collect())
    }

    #[test]
    fn an_address_needs_no_query() {
        let none: Vec<String> = Vec::new();
        let targets = |uri| {
            let (queries, targets) = located(uri, &ALL);
            assert_eq!(queries, none, "{uri}");
            targets
        };
        assert_eq!(targets("sip:a@192.0.2.1"), ["UDP 192.0.2.1:5060"]);
        assert_eq!(targets("sip:a@[2001:db8::1]:5070;transport=tcp"), ["TCP [2001:db8::1]:5070"]);
        assert_eq!(targets("sips:a@192.0.2.1"), ["TLS 192.0.2.1:5061"]);
        assert_eq!(targets("sip:a@192.0.2.1;transport=TLS"), ["TLS 192.0.2.1:5061"]);
        assert_eq!(targets("sip:192.0.2.1;maddr=192.0.2.66"), ["UDP 192.0.2.1:5060"]);
        assert_eq!(located("sip:192.0.2.1", &[Tcp]).1, ["TCP 192.0.2.1:5060"]);
    }

    #[test]
    fn a_port_leaves_only_the_address_to_ask_for() {
        let (queries, targets) = located("sip:a.example.com:5090", &ALL);
        assert_eq!(
            (queries, targets),
            (vec!["a.example.com".into()], vec!["UDP 192.0.2.1:5090".into()])
        );
        let (_, targets) = located("sips:a.example.com:5090", &ALL);
        assert_eq!(targets, ["TLS 192.0.2.1:5090 a.example.com"]);
    }

    #[test]
    fn a_transport_leaves_its_own_service_to_ask_for() {
        let (queries, targets) = located("sip:example.com;transport=udp", &ALL);
        assert_eq!(queries, ["_sip._udp.example.com", "a.example.com", "b.example.com"]);
        assert_eq!(targets, ["UDP 192.0.2.1:5080", "UDP [2001:db8::2]:5060"]);
        let (queries, targets) = located("sip:plain.example;transport=tls", &ALL);
        assert_eq!(queries, ["_sips._tcp.plain.example", "plain.example"]);
        assert_eq!(targets, ["TLS 192.0.2.9:5061 plain.example"]);
    }

    #[test]
    fn the_domain_says_which_transport_it_prefers_and_each_host_is_asked_for_once() {
        let (queries, targets) = located("sip:example.com", &ALL);
        assert_eq!(
            queries,
            [
                "example.com",
                "_sips._tcp.example.com",
                "_sip._tcp.example.com",
                "_sip._udp.example.com",
                "a.example.com",
                "b.example.com"
            ]
        );
        assert_eq!(
            targets,
            [
                "TLS 192.0.2.1:5061 example.com",
                "TCP 192.0.2.1:5080",
                "UDP 192.0.2.1:5080",
                "UDP [2001:db8::2]:5060"
            ]
        );
        let (_, targets) = located("sip:example.com", &[Udp]);
        assert_eq!(targets, ["UDP 192.0.2.1:5080", "UDP [2001:db8::2]:5060"]);
        let (_, targets) = located("sips:example.com", &ALL);
        assert_eq!(targets, ["TLS 192.0.2.1:5061 example.com"]);
    }

    #[test]
    fn without_records_the_name_itself_is_tried() {
        let (queries, targets) = located("sip:plain.example", &[Tcp, Udp]);
        assert_eq!(
            queries,
            [
                "plain.example",
                "_sip._tcp.plain.example",
                "_sip._udp.plain.example",
                "plain.example"
            ]
        );
        assert_eq!(targets, ["UDP 192.0.2.9:5060"]);
        assert_eq!(located("sip:plain.example", &[Tcp]).1, ["TCP 192.0.2.9:5060"]);
        let (queries, targets) = located("sips:plain.example", &ALL);
        assert_eq!(queries, ["plain.example", "_sips._tcp.plain.example", "plain.example"]);
        assert_eq!(targets, ["TLS 192.0.2.9:5061 plain.example"]);
    }

    #[test]
    fn a_domain_may_say_that_it_has_no_service_and_a_name_may_lead_nowhere() {
        let (queries, targets) = located("sip:closed.example;transport=udp", &ALL);
        assert_eq!((queries.len(), targets.len()), (1, 0));
        let (queries, targets) = located("sip:nowhere.example", &ALL);
        assert_eq!((queries.len(), targets.len()), (5, 0));
    }

    #[test]
    fn what_we_cannot_serve_is_refused() {
        let error = |uri, supported: &[Transport]| Locator::new(uri, supported).err();
        assert_eq!(error("tel:+1", &ALL), Some(LocationError::NotSip));
        assert_eq!(error("sip:", &ALL), Some(LocationError::NotSip));
        for uri in ["sip:h;transport=sctp", "sips:h;transport=udp", "sip:h;transport=tls", "sips:h"]
        {
            assert_eq!(error(uri, &[Udp, Tcp]), Some(LocationError::Transport), "{uri}");
        }
        assert_eq!(error("sip:192.0.2.1", &[]), Some(LocationError::Transport));
    }

    #[test]
    fn weights_share_the_first_trials_out() {
        let records =
            vec![srv(1, 0, 1, "z"), srv(1, 10, 1, "a"), srv(1, 30, 1, "b"), srv(0, 0, 1, "c")];
        let mut random = fastrand::Rng::with_seed(1);
        let mut first = std::collections::BTreeMap::new();
        for _ in 0..4_000 {
            let ordered = in_order_of_trial(records.clone(), &mut random);
            assert_eq!((ordered.len(), ordered[0].target.as_str()), (4, "c"));
            *first.entry(ordered[1].target.clone()).or_insert(0) += 1;
        }
        // 1, 10 and 30 of 41.
        let near = |name, expected: i32| i32::abs(first[name] - expected) < expected / 3;
        assert!(near("z", 98) && near("a", 976) && near("b", 2_927), "{first:?}");
    }

    #[test]
    fn the_longest_answers_make_twelve_queries_and_eight_targets() {
        let mut locator = Locator::new("sip:example.com", &ALL).expect("a URI");
        let mut random = fastrand::Rng::with_seed(1);
        let mut queries = 0_u32;
        while let Some(query) = locator.poll_query() {
            queries += 1;
            assert!(queries <= 12);
            locator.handle_answer(
                match query {
                    Query::Naptr(_) => Records::Naptr(
                        (0..99)
                            .map(|i| {
                                naptr(
                                    i,
                                    0,
                                    ["SIP+D2U", "SIP+D2T", "SIPS+D2T"][i as usize % 3],
                                    "example.com",
                                )
                            })
                            .collect(),
                    ),
                    Query::Srv(name) => Records::Srv(
                        (0..999).map(|i| srv(i, u16::MAX, i, &format!("{i}.{name}"))).collect(),
                    ),
                    Query::Address(_) => Records::Address(
                        (0..999)
                            .map(|i| IpAddr::from((queries * 1_000 + i).to_be_bytes()))
                            .collect(),
                    ),
                },
                &mut random,
            );
        }
        assert_eq!((queries, locator.targets().len()), (12, 8));
        // The second host has its turn, however many addresses the first has.
        let ports: Vec<_> = locator.targets().iter().map(|target| target.address.port()).collect();
        assert_eq!((ports[0], ports[3], ports[4], ports[7]), (0, 0, 1, 1));
    }
}
