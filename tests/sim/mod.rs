//! Two endpoints, a network that loses, doubles and reorders, and a clock that only tests move.
#![allow(dead_code, reason = "each test file needs its own part")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sidetone::sip::client_call::Placing;
use sidetone::sip::client_transactions::Way;
use sidetone::sip::endpoint::Endpoint;
use sidetone::sip::event::{CallKey, End, Event, Output};
use sidetone::sip::info::Notice;
use sidetone::sip::settings::Settings;
use sidetone::sip::transport::{Hop, Source};

/// Which end of the wire.
pub(crate) const CALLER: usize = 0;
pub(crate) const SIDECAR: usize = 1;

/// What happens to a datagram, given its number since the start and its text.
pub(crate) type Fate = Box<dyn FnMut(usize, &str) -> bool>;

/// One thing seen: when, at which end, what.
pub(crate) type Seen = (Duration, usize, CallKey, Event);

pub(crate) struct World {
    pub(crate) ends: [Endpoint; 2],
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    /// Every event in order.
    pub(crate) seen: Vec<Seen>,
    /// Every datagram sent, as `seconds from start-line`.
    pub(crate) transcript: Vec<String>,
    /// Whether a datagram is lost for a reason of the test.
    pub(crate) lost: Fate,
    /// Share of datagrams lost and doubled by chance, 0-1.
    pub(crate) loss: f64,
    pub(crate) doubled: f64,
    /// Longest delay; with more than the gap between two datagrams they change places.
    pub(crate) jitter: Duration,
    random: fastrand::Rng,
    wire: BTreeMap<(Instant, usize), (usize, Vec<u8>)>,
    sent: usize,
}

pub(crate) fn address(end: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1 + end as u8], 5060))
}

/// A call to the sidecar, without a word about what is wanted of it.
pub(crate) fn to_sidecar() -> Placing {
    let way = Some(Way::Hop(Hop::udp(address(SIDECAR))));
    Placing { way, ..Placing::new("sip:sidetone@192.0.2.2") }
}

/// A notice about `subject` that says `json`.
pub(crate) fn about(subject: &str, json: &[u8]) -> Notice {
    let (subject, outcome) = (subject.to_owned(), "accepted".to_owned());
    Notice { subject, outcome, json: json.to_vec(), headers: Vec::new() }
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    pub(crate) fn new(seed: u64) -> Self {
        let start = Instant::now();
        let mut caller = Settings::new(address(CALLER));
        caller.recv_info = vec!["sidetone".to_owned()];
        let sidecar = Settings::new(address(SIDECAR));
        Self::with(seed, start, caller, sidecar)
    }

    pub(crate) fn with(seed: u64, start: Instant, caller: Settings, sidecar: Settings) -> Self {
        Self {
            ends: [Endpoint::new(caller, seed), Endpoint::new(sidecar, seed ^ 0xabcd)],
            start,
            now: start,
            seen: Vec::new(),
            transcript: Vec::new(),
            lost: Box::new(|_, _| false),
            loss: 0.0,
            doubled: 0.0,
            jitter: Duration::from_millis(20),
            random: fastrand::Rng::with_seed(seed),
            wire: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Calls the sidecar with `offer`.
    pub(crate) fn call(&mut self, offer: Option<&str>) -> CallKey {
        let offer = offer.map(str::to_owned);
        self.ends[CALLER].invite(self.now, Placing { offer, ..to_sidecar() })
    }

    /// Moves the world until `until` or until nothing is left to happen, letting `react` answer
    /// each event at once.
    pub(crate) fn run(&mut self, until: Duration, mut react: impl FnMut(&mut Self, &Seen)) {
        loop {
            self.drain(&mut react);
            let timers = self.ends.iter().filter_map(Endpoint::poll_timeout).min();
            let arrival = self.wire.keys().next().map(|(at, _)| *at);
            let Some(next) = timers.into_iter().chain(arrival).min() else { break };
            if next > self.start + until {
                break;
            }
            assert!(next >= self.now, "a deadline lies in the past");
            self.now = next;
            if arrival == Some(next) {
                let (_, (to, bytes)) = self.wire.pop_first().expect("it has just been seen");
                self.ends[to].handle_message(self.now, &Source::udp(address(1 - to)), &bytes);
            } else {
                self.ends.iter_mut().for_each(|end| end.handle_timeout(next));
            }
        }
        self.now = self.now.max(self.start + until);
    }

    /// As [`Self::run`], with nobody reacting.
    pub(crate) fn idle(&mut self, until: Duration) {
        self.run(until, |_, _| {});
    }

    /// Events at one end, without their times.
    pub(crate) fn events(&self, end: usize) -> Vec<&Event> {
        self.seen.iter().filter(|seen| seen.1 == end).map(|seen| &seen.3).collect()
    }

    /// How the calls of one end ended.
    pub(crate) fn ends_of(&self, end: usize) -> Vec<&End> {
        let end_of = |event: &'_ Event| matches!(event, Event::Ended(_));
        let ended = self.events(end).into_iter().filter(|event| end_of(event));
        ended
            .map(|event| if let Event::Ended(end) = event { end } else { unreachable!() })
            .collect()
    }

    /// How often `start` began a datagram.
    pub(crate) fn count(&self, start: &str) -> usize {
        self.transcript.iter().filter(|line| line.contains(start)).count()
    }

    /// Whether both ends have forgotten everything.
    pub(crate) fn is_clean(&self) -> bool {
        let clean = |end: &Endpoint| {
            let stats = end.stats();
            (stats.calls_alive, stats.transactions_alive) == (0, 0) && end.poll_timeout().is_none()
        };
        self.ends.iter().all(clean)
    }

    fn drain(&mut self, react: &mut impl FnMut(&mut Self, &Seen)) {
        let mut quiet = false;
        while !quiet {
            quiet = true;
            for end in [CALLER, SIDECAR] {
                while let Some(output) = self.ends[end].poll_output() {
                    quiet = false;
                    match output {
                        Output::Transmit { hop, bytes } => {
                            assert_eq!(hop.address, address(1 - end));
                            self.send(1 - end, &bytes);
                        }
                        Output::Event { call, event } => {
                            let seen = (self.now - self.start, end, call, event);
                            self.seen.push(seen.clone());
                            react(self, &seen);
                        }
                        other => panic!("nothing is looked up or kept out here: {other:?}"),
                    }
                }
            }
        }
    }

    fn send(&mut self, to: usize, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let line = text.lines().next().unwrap_or_default();
        let age = (self.now - self.start).as_millis();
        self.transcript.push(format!("{age} to {to}: {line}"));
        let number = self.sent;
        self.sent += 1;
        if (self.lost)(number, &text) || self.random.f64() < self.loss {
            return;
        }
        let copies = if self.random.f64() < self.doubled { 2 } else { 1 };
        for copy in 0..copies {
            let jitter = self.random.u64(0..=self.jitter.as_micros() as u64);
            let at = self.now + Duration::from_millis(5) + Duration::from_micros(jitter);
            self.wire.insert((at, 2 * number + copy), (to, bytes.to_vec()));
        }
    }
}
