//! Who may call us: peers by network, transport and certificate; all others are strangers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::{IpNet, Ipv6Net};

use crate::sip::info::InfoProfile;
use crate::sip::transport::{Source, Transport};

/// Messages that a stranger may send at once, and in each second after that. An ordinary telephone
/// that is set up wrongly stays below; a scanner does not.
const BURST: f64 = 20.0;
const PER_SECOND: f64 = 2.0;
/// Strangers that are remembered at a time; a flood from more addresses shares one allowance.
const STRANGERS: usize = 4_096;

/// Addresses that begin alike, such as `192.0.2.0/24`.
pub type Network = IpNet;

/// One kind of peer. A message belongs to the first that it fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// For log lines.
    pub name: String,
    /// Where it sends from; none means anywhere.
    pub networks: Vec<Network>,
    /// What it sends over; none means any transport.
    pub transports: Vec<Transport>,
    /// A DNS name that its TLS client certificate must bear.
    pub certificate: Option<String>,
    /// Whether its INVITEs are challenged.
    pub digest: bool,
    /// How it takes verdicts.
    pub info: InfoProfile,
    /// Whether it may have calls recorded here (SIPREC), each as one call with a leg for each stream.
    pub records: bool,
}

/// What strangers get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strangers {
    /// Nothing at all: a scanner does not learn that somebody is here.
    #[default]
    Silence,
    /// 403, as long as they do not ask often.
    Refusal,
}

/// The list of peers, and what strangers have used up.
#[derive(Clone, Debug)]
pub struct Access {
    peers: Vec<Peer>,
    strangers: Strangers,
    allowances: BTreeMap<IpAddr, Allowance>,
    /// When those who have all of their allowance back were last forgotten.
    swept: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Allowance {
    left: f64,
    since: Instant,
}

impl Peer {
    /// Anybody, over anything, unasked.
    pub fn anybody(info: InfoProfile) -> Self {
        let (networks, transports) = (Vec::new(), Vec::new());
        let name = "anybody".to_owned();
        let (certificate, digest, records) = (None, false, true);
        Self { name, networks, transports, certificate, digest, info, records }
    }

    fn fits(&self, source: &Source) -> bool {
        let address = source.hop.address.ip().to_canonical();
        let named = |wanted: &String| source.names.iter().any(|n| n.eq_ignore_ascii_case(wanted));
        (self.networks.is_empty() || self.networks.iter().any(|net| net.contains(&address)))
            && (self.transports.is_empty() || self.transports.contains(&source.hop.transport))
            && self.certificate.as_ref().is_none_or(named)
    }
}

impl Access {
    /// `peers` in order of trial.
    pub fn new(peers: Vec<Peer>, strangers: Strangers) -> Self {
        Self { peers, strangers, allowances: BTreeMap::new(), swept: None }
    }

    /// No strangers: whoever calls is welcome.
    pub fn open() -> Self {
        Self::new(vec![Peer::anybody(InfoProfile::default())], Strangers::default())
    }

    /// The peer that sent a message from `source`; `None` for a stranger.
    pub fn peer(&self, source: &Source) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.fits(source))
    }

    /// Other peers from now on; what strangers have used up stays used up.
    pub fn replace_peers(&mut self, peers: Vec<Peer>) {
        self.peers = peers;
    }

    /// In order of trial.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// Whether strangers are told that they are.
    pub fn refuses(&self) -> bool {
        self.strangers == Strangers::Refusal
    }

    /// Uses up one of the messages that a stranger, or one who fails to log in, may send from
    /// `address`; `false` when there is none left.
    pub fn spend(&mut self, now: Instant, address: IpAddr) -> bool {
        let key = self.allowance_key(now, address);
        let fresh = Allowance { left: BURST, since: now };
        let allowance = self.allowances.entry(key).or_insert(fresh);
        allowance.refill(now);
        let enough = allowance.left >= 1.0;
        allowance.left -= if enough { 1.0 } else { 0.0 };
        enough
    }

    /// Gives one back: the message turned out to be one that we wait for.
    pub fn give_back(&mut self, now: Instant, address: IpAddr) {
        let key = self.allowance_key(now, address);
        if let Some(allowance) = self.allowances.get_mut(&key) {
            allowance.left = (allowance.left + 1.0).min(BURST);
        }
    }

    /// A home has a whole /64 of IPv6 to send from. In a full table all newcomers are one.
    fn allowance_key(&mut self, now: Instant, address: IpAddr) -> IpAddr {
        let key = match address.to_canonical() {
            IpAddr::V6(six) => {
                IpAddr::V6(Ipv6Net::new(six, 64).expect("64 bits are fewer than 128").network())
            }
            four @ IpAddr::V4(_) => four,
        };
        if self.allowances.len() < STRANGERS || self.allowances.contains_key(&key) {
            return key;
        }
        // A full table is looked through once a second, so that a flood stays cheap.
        if self.swept.is_none_or(|swept| swept + Duration::from_secs(1) <= now) {
            self.swept = Some(now);
            self.allowances.retain(|_, allowance| {
                allowance.refill(now);
                allowance.left < BURST
            });
        }
        match self.allowances.len() < STRANGERS {
            true => key,
            false => *self.allowances.keys().next().expect("a full table is not empty"),
        }
    }
}

impl Allowance {
    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since).max(Duration::ZERO);
        self.left = (self.left + passed.as_secs_f64() * PER_SECOND).min(BURST);
        self.since = now;
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn source(address: &str, transport: Transport, names: &[&str]) -> Source {
        let mut source = Source::udp(address.parse().expect("an address"));
        source.hop.transport = transport;
        source.names = names.iter().map(|&name| name.to_owned()).collect::<Arc<[_]>>();
        source
    }

    fn named(name: &str, networks: &[&str]) -> Peer {
        let networks = networks.iter().map(|net| net.parse().expect("a network")).collect();
        Peer { name: name.into(), networks, ..Peer::anybody(InfoProfile::None) }
    }

    #[test]
    fn the_first_that_fits_by_network_transport_and_certificate_is_the_peer() {
        let tls = Peer { transports: vec![Transport::Tls], ..named("tls", &["10.0.0.0/8"]) };
        let proven = Peer { certificate: Some("pbx.example".into()), ..named("proven", &[]) };
        let access = Access::new(
            vec![tls, named("lan", &["10.1.0.0/16", "2001:db8::/32"]), proven],
            Strangers::Silence,
        );
        let found = |address, transport, names: &[&str]| {
            access.peer(&source(address, transport, names)).map(|peer| peer.name.clone())
        };
        assert_eq!(found("10.1.0.1:5060", Transport::Tls, &[]).as_deref(), Some("tls"));
        assert_eq!(found("10.1.0.1:5060", Transport::Udp, &[]).as_deref(), Some("lan"));
        assert_eq!(found("[2001:db8::1]:9", Transport::Tcp, &[]).as_deref(), Some("lan"));
        assert_eq!(found("[::ffff:10.1.0.1]:9", Transport::Tcp, &[]).as_deref(), Some("lan"));
        assert_eq!(found("10.2.0.1:5060", Transport::Udp, &[]), None);
        let names = &["other.example", "PBX.example"];
        assert_eq!(found("8.8.8.8:1", Transport::Tls, names).as_deref(), Some("proven"));
    }

    #[test]
    fn a_stranger_runs_out_of_messages_and_gets_more_with_time() {
        let (mut access, start) = (Access::open(), Instant::now());
        let address = IpAddr::from([192, 0, 2, 1]);
        let spent = (0..100).filter(|_| access.spend(start, address)).count();
        assert_eq!(spent, BURST as usize);
        assert!(access.spend(start, IpAddr::from([192, 0, 2, 2])), "another has its own");
        assert!(access.spend(start + Duration::from_secs(1), address));
        access.give_back(start, address);
        assert!(access.spend(start, address));
    }

    #[test]
    fn the_table_is_bounded_and_a_64_is_one_stranger() {
        let (mut access, start) = (Access::open(), Instant::now());
        for n in 0..3 * STRANGERS as u32 {
            access.spend(start, IpAddr::from(n.to_be_bytes()));
        }
        assert!(access.allowances.len() <= STRANGERS);
        let later = start + Duration::from_secs(60);
        let six = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n]);
        let spent = (0..100).filter(|n| access.spend(later, six(*n))).count();
        assert_eq!(spent, BURST as usize);
    }
}
