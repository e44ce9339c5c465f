//! Losses as bursts and gaps between them (RFC 3611 §4.7.2), for a peer that asks for such reports.

use std::time::Duration;

/// Packets received in a row that end a burst (§4.7.2: the recommended Gmin).
pub const GMIN: u8 = 16;

/// Follows one party's packets in the order of play-out and counts the transitions of a Markov model
/// of four states, from which bursts and gaps follow (§4.7.2, appendix A.2).
#[derive(Clone, Copy, Debug, Default)]
pub struct LossPattern {
    /// Received in a row since the last loss.
    run: u64,
    /// Losses of the burst that may be going on.
    losses_in_burst: u64,
    /// Transitions, by the states' numbers: 1 received in a gap, 2 received in a burst, 3 lost in a
    /// burst, 4 lost alone in a gap.
    received_in_gap: u64,
    lost_alone: u64,
    gap_to_burst: u64,
    received_in_burst: u64,
    received_to_lost: u64,
    lost_to_lost: u64,
}

/// Densities as shares from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BurstsAndGaps {
    /// Share of the packets lost within bursts.
    pub burst_density: f64,
    /// Mean length of a burst.
    pub burst: Duration,
    /// Share of the packets lost within gaps.
    pub gap_density: f64,
    /// Mean length of the time between bursts.
    pub gap: Duration,
}

/// What a report on the quality of a call says of our side of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VoipMetrics {
    /// Share (0 to 1) of the packets that never came.
    pub loss: f64,
    /// Share (0 to 1) of the packets that came too late.
    pub discarded: f64,
    /// How the losses, late ones included, lie.
    pub pattern: BurstsAndGaps,
    /// Level of the speech, dB relative to full scale; `None` before any.
    pub speech_dbfs: Option<f64>,
    /// Level of the pauses, dB relative to full scale.
    pub noise_dbfs: Option<f64>,
    /// How long a gap is waited for now, and at most.
    pub wait: Duration,
    /// See `wait`.
    pub longest_wait: Duration,
}

impl LossPattern {
    /// The next packet was played.
    pub fn received(&mut self) {
        self.run += 1;
    }

    /// The next packet was not.
    pub fn lost(&mut self) {
        if self.run >= u64::from(GMIN) {
            // What the losses before this gap were is known now that they are over.
            match self.losses_in_burst {
                0 => {}
                1 => self.lost_alone += 1,
                _ => self.gap_to_burst += 1,
            }
            self.losses_in_burst = 1;
            self.received_in_gap += self.run;
        } else {
            self.losses_in_burst += 1;
            if self.run == 0 {
                self.lost_to_lost += 1;
            } else {
                self.received_to_lost += 1;
                self.received_in_burst += self.run - 1;
            }
        }
        self.run = 0;
    }

    /// Bursts and gaps so far, for packets of `each`.
    pub fn bursts_and_gaps(&self, each: Duration) -> BurstsAndGaps {
        // What has been received since the last loss belongs to a gap once there is enough of it.
        let open = if self.run >= u64::from(GMIN) { self.run } else { 0 };
        let in_gaps = self.received_in_gap + open + self.lost_alone;
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        let bursts = self.gap_to_burst;
        let to_lost = share(self.received_to_lost, self.received_in_burst + self.received_to_lost);
        let to_received =
            share(self.received_to_lost, bursts + self.received_to_lost + self.lost_to_lost);
        let in_bursts =
            self.received_in_burst + 2 * self.received_to_lost + self.lost_to_lost + 2 * bursts;
        let gap_density = share(self.lost_alone, in_gaps);
        if bursts == 0 {
            let gap = each.mul_f64(in_gaps as f64);
            return BurstsAndGaps { gap_density, gap, ..BurstsAndGaps::default() };
        }
        // A burst of losses alone has no way back to a packet received.
        let burst_density =
            if to_lost + to_received > 0.0 { to_lost / (to_lost + to_received) } else { 1.0 };
        BurstsAndGaps {
            burst_density,
            burst: each.mul_f64(share(in_bursts, bursts)),
            gap_density,
            gap: each.mul_f64(share(in_gaps, bursts)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACH: Duration = Duration::from_millis(20);

    /// `x` is lost, everything else received.
    fn pattern(text: &str) -> BurstsAndGaps {
        let mut pattern = LossPattern::default();
        for packet in text.chars() {
            if packet == 'x' { pattern.lost() } else { pattern.received() }
        }
        pattern.bursts_and_gaps(EACH)
    }

    fn quiet(packets: usize) -> String {
        ".".repeat(packets)
    }

    #[test]
    fn without_a_loss_all_is_one_gap() {
        let found = pattern(&quiet(1_000));
        assert_eq!(found, BurstsAndGaps { gap: EACH * 1_000, ..BurstsAndGaps::default() });
    }

    #[test]
    fn single_losses_far_apart_lie_in_the_gap() {
        let found = pattern(&format!("{}x", quiet(99)).repeat(50));
        assert_eq!(found.burst_density, 0.0);
        assert!((found.gap_density - 0.01).abs() < 0.001, "{found:?}");
    }

    #[test]
    fn losses_in_a_row_are_a_burst() {
        let found = pattern(&format!("{}xxxxx", quiet(95)).repeat(50));
        assert!(found.burst_density > 0.9, "{found:?}");
        assert!(found.gap_density < 0.001, "{found:?}");
        assert!(found.burst.abs_diff(EACH * 6) <= EACH, "{found:?}");
        assert!(found.gap.abs_diff(EACH * 95) <= EACH * 2, "{found:?}");
    }

    #[test]
    fn a_burst_may_have_packets_in_it() {
        let found = pattern(&format!("{}x.x.x.x.x", quiet(91)).repeat(50));
        assert!((0.4..0.7).contains(&found.burst_density), "{found:?}");
    }
}
