//! How fast the sender's clock runs against ours.

use std::time::Duration;

/// Length of a window. Its fastest packet is taken: what is left of the network's jitter in it.
const WINDOW: Duration = Duration::from_secs(10);
/// Time between the first and the newest window below which nothing is told: 60 s, in which 5 ms of
/// jitter that are left are 80 ppm.
const LEAST: Duration = Duration::from_secs(60);

/// Compares the times of arrival with the sender's timestamps.
///
/// Nothing hangs on it but what is told: without a play-out clock the stream's time is the sender's,
/// and a drift makes the buffer neither fuller nor emptier.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClockDrift {
    first: Option<Fastest>,
    newest: Option<Fastest>,
    /// The window that is open, and when it began.
    open: Option<(Duration, Fastest)>,
}

/// The packet with the least time on the way, by the difference of both clocks.
#[derive(Clone, Copy, Debug)]
struct Fastest {
    arrived: Duration,
    transit_ns: i64,
}

impl ClockDrift {
    /// A packet that was sent at `sent` by its timestamp arrived at `arrived` by our clock; each
    /// counts from anywhere.
    pub fn record(&mut self, arrived: Duration, sent: Duration) {
        let transit_ns = nanos(arrived).wrapping_sub(nanos(sent));
        let packet = Fastest { arrived, transit_ns };
        match &mut self.open {
            Some((began, fastest)) if arrived.saturating_sub(*began) < WINDOW => {
                if transit_ns < fastest.transit_ns {
                    *fastest = packet;
                }
            }
            open => {
                if let Some((_, fastest)) = open.replace((arrived, packet)) {
                    self.newest = Some(fastest);
                    self.first.get_or_insert(fastest);
                }
            }
        }
    }

    /// Parts per million by which the sender's clock is slower than ours; `None` in the first minute.
    pub fn ppm(&self) -> Option<f64> {
        let (first, newest) = (self.first?, self.newest?);
        let between = newest.arrived.saturating_sub(first.arrived);
        let grown = newest.transit_ns.wrapping_sub(first.transit_ns) as f64;
        (between >= LEAST).then(|| grown * 1e6 / between.as_nanos() as f64)
    }
}

fn nanos(time: Duration) -> i64 {
    time.as_nanos() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of a clock that is `ppm` slow after so many seconds, with jitter of 0-40 ms.
    fn told(ppm: f64, seconds: u32) -> Option<f64> {
        let mut drift = ClockDrift::default();
        for n in 0..seconds * 50 {
            let sent = Duration::from_millis(20) * n;
            let jitter = Duration::from_micros(u64::from(n.wrapping_mul(2_654_435_761) % 40_000));
            drift.record(sent.mul_f64(1.0 + ppm / 1e6) + jitter, sent);
        }
        drift.ppm()
    }

    #[test]
    fn a_slow_and_a_fast_clock_are_told_through_jitter() {
        for ppm in [-200.0, 0.0, 35.0] {
            let told = told(ppm, 600).expect("ten minutes");
            assert!((told - ppm).abs() < 5.0, "{told} for {ppm}");
        }
    }

    #[test]
    fn nothing_is_told_in_the_first_minute() {
        assert_eq!(told(50.0, 60), None);
        assert_eq!(ClockDrift::default().ppm(), None);
    }
}
