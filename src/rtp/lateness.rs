//! How late packets come that others overtook, and so how long a gap is worth waiting for.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Width of a step of the distribution.
const STEP: Duration = Duration::from_millis(10);
/// Share of an earlier packet's weight that is left after one more. 0.9993 forgets half of it in
/// 1,000 packets, 20 s of the usual 20 ms: longer than a burst, shorter than a call.
const KEPT: f64 = 0.9993;
/// Share of all packets that may come later than the wait: below what concealment and coverage
/// notice, above what one odd packet in 20 s adds.
const TOLERATED: f64 = 0.002;
/// Packets' worth of doubt about a new network: as many are taken to come [`Settings::first`] late.
/// 5 are forgotten after 25 s.
const DOUBT: f64 = 5.0;
/// Gaps that are remembered at a time; one more forgets the oldest.
const GAPS: usize = 64;

/// How long a gap may be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// At least so long: what comes by then is played on any network.
    pub least: Duration,
    /// For so long until the network is known.
    pub first: Duration,
    /// At most so long.
    pub most: Duration,
}

impl Default for Settings {
    /// 60 ms: two packets of the usual 20 ms may overtake a third. 100 ms: what a mobile network
    /// or a Wi-Fi does without a word. 400 ms: a satellite or a congested uplink; what is later
    /// still is seldom alone, and the verdict on what did come should not wait.
    fn default() -> Self {
        Self {
            least: Duration::from_millis(60),
            first: Duration::from_millis(100),
            most: Duration::from_millis(400),
        }
    }
}

/// The distribution of lateness in one stream: the time from the first packet that overtook another
/// to the one overtaken, 0 for those in order.
///
/// It compares neighbours, so neither the senders' clock nor a route that becomes longer moves it.
#[derive(Debug)]
pub struct Lateness {
    settings: Settings,
    /// Weight of the packets by their lateness, in steps; the last step holds all beyond it.
    weights: Vec<f64>,
    /// Numbers that were jumped over, and when.
    gaps: VecDeque<(Range<u64>, Instant)>,
    highest: Option<u64>,
    wait: Duration,
}

impl Lateness {
    /// Nothing known yet of the network.
    pub fn new(settings: Settings) -> Self {
        let steps = steps(settings.most) + 1;
        let mut weights = vec![0.0; steps];
        weights[steps_within(settings.first, steps)] = DOUBT;
        let wait = settings.first.clamp(settings.least, settings.most);
        Self { settings, weights, gaps: VecDeque::with_capacity(GAPS), highest: None, wait }
    }

    /// A packet arrived; each number once.
    pub fn record(&mut self, now: Instant, sequence: u64) {
        let lateness = match self.highest {
            Some(highest) if sequence <= highest => {
                let gap = self.gaps.iter().find(|(numbers, _)| numbers.contains(&sequence));
                let Some((_, since)) = gap else { return };
                now.saturating_duration_since(*since)
            }
            highest => {
                let next = highest.map_or(sequence, |highest| highest + 1);
                if next < sequence {
                    if self.gaps.len() == GAPS {
                        self.gaps.pop_front();
                    }
                    self.gaps.push_back((next..sequence, now));
                }
                self.highest = Some(sequence);
                Duration::ZERO
            }
        };
        self.weigh(lateness);
    }

    /// Another stream begins: its numbers are others, its network the same.
    pub fn restart(&mut self) {
        self.gaps.clear();
        self.highest = None;
    }

    /// How long a gap is worth waiting for, from the first proof of it on.
    pub fn wait(&self) -> Duration {
        self.wait
    }

    fn weigh(&mut self, lateness: Duration) {
        self.weights.iter_mut().for_each(|weight| *weight *= KEPT);
        let steps = self.weights.len();
        self.weights[steps_within(lateness, steps)] += 1.0;
        let mut tolerated = self.weights.iter().sum::<f64>() * TOLERATED;
        let beyond = |weight: &f64| {
            tolerated -= weight;
            tolerated < 0.0
        };
        let last = self.weights.iter().rposition(beyond).unwrap_or(0);
        let wait = STEP * u32::try_from(last).expect("there are few steps");
        self.wait = wait.clamp(self.settings.least, self.settings.most);
    }
}

/// Steps that hold `time`, the last of them in part.
fn steps(time: Duration) -> usize {
    time.as_nanos().div_ceil(STEP.as_nanos()) as usize
}

/// The place of `time` among `steps`.
fn steps_within(time: Duration, count: usize) -> usize {
    steps(time).min(count - 1)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;

    struct Bench {
        start: Instant,
        lateness: Lateness,
        next: u64,
    }

    impl Bench {
        fn new() -> Self {
            let lateness = Lateness::new(Settings::default());
            Self { start: Instant::now(), lateness, next: 0 }
        }

        /// `packets` of 20 ms, of which every fiftieth comes `late` after its time.
        fn run(&mut self, packets: u64, late: Duration) -> Duration {
            let mut arrivals: Vec<(Duration, u64)> = (self.next..self.next + packets)
                .map(|n| {
                    let late = if n % 50 == 7 { late } else { Duration::ZERO };
                    (Duration::from_millis(20) * n as u32 + late, n)
                })
                .collect();
            arrivals.sort();
            for (at, n) in arrivals {
                self.lateness.record(self.start + at, n);
            }
            self.next += packets;
            self.lateness.wait()
        }
    }

    fn millis(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_unknown_network_is_given_its_first_wait_and_a_good_one_the_least() {
        let mut bench = Bench::new();
        assert_eq!(bench.lateness.wait(), millis(100));
        assert_eq!(bench.run(500, Duration::ZERO), millis(100), "still in doubt");
        assert_eq!(bench.run(2_000, Duration::ZERO), millis(60));
    }

    #[test]
    fn it_grows_with_what_comes_late_and_shrinks_again() {
        let mut bench = Bench::new();
        // Overtaken for the first time 20 ms after its own.
        assert_eq!(bench.run(500, millis(190)), millis(170));
        assert_eq!(bench.run(500, millis(390)), millis(370));
        assert_eq!(bench.run(6_000, Duration::ZERO), millis(60));
    }

    #[test]
    fn it_never_exceeds_the_most() {
        assert_eq!(Bench::new().run(1_000, Duration::from_secs(3)), millis(400));
    }

    #[test]
    fn one_odd_packet_changes_nothing_on_a_network_that_is_known() {
        let mut bench = Bench::new();
        bench.run(4_000, Duration::ZERO);
        bench.lateness.record(bench.start + millis(80_000), 4_001);
        bench.lateness.record(bench.start + millis(80_300), 4_000);
        assert_eq!(bench.lateness.wait(), millis(60));
    }

    #[test]
    fn a_network_of_losses_is_no_late_one() {
        let mut bench = Bench::new();
        for n in (0..5_000).filter(|n| n % 10 != 3) {
            bench.lateness.record(bench.start + millis(20 * n), n);
        }
        assert_eq!(bench.lateness.wait(), millis(60));
        assert!(bench.lateness.gaps.len() <= GAPS);
    }
}
