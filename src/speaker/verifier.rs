//! Is this the claimed speaker, and does it stay so? Wald's sequential test, then Page's CUSUM.

use std::time::Duration;

use serde::Deserialize;

use crate::speaker::calibration::{Calibration, ErrorRate};

/// Alarm threshold of the CUSUM, nats.
///
/// 12: no false alarm in 0.4 h of genuine mu-law speech at a median delay of 3.8 s, where 8 gave 7
/// per hour on band-limited lines (180 takeover calls, ten readers).
const CUSUM_ALARM: f64 = 12.0;
/// Largest step of the CUSUM either way, nats: three windows at least make an alarm.
const CUSUM_STEP: f64 = 4.0;
/// Hop between windows while a decision is near.
const HOP_NEAR: Duration = Duration::from_secs(1);
/// Hop between windows while nothing is in doubt: the windows then do not overlap.
const HOP_FAR: Duration = Duration::from_secs(3);

/// Error rates that the decision keeps to.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How often an impostor may be accepted.
    pub false_accept: ErrorRate,
    /// How often the true speaker may be rejected.
    pub false_reject: ErrorRate,
}

/// What has been decided about the claimed identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Too little evidence either way.
    Undecided,
    /// The caller is the claimed speaker.
    Accepted,
    /// The caller is somebody else. Final for this call.
    Rejected,
    /// The caller was the claimed speaker, and no longer is. Final for this call.
    Changed,
}

/// Decides from one window after another.
#[derive(Clone, Debug)]
pub struct Verifier {
    calibration: Calibration,
    /// Wald's bounds on the summed evidence, nats.
    accept_at: f64,
    reject_at: f64,
    state: State,
    /// The newest window's evidence, nats.
    newest: f64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Evidence summed so far, nats.
    Undecided { sum: f64, windows: u32 },
    /// Evidence at acceptance and the CUSUM of the evidence against since.
    Accepted { sum: f64, against: f64 },
    /// Evidence at rejection.
    Rejected { sum: f64 },
    /// CUSUM at the alarm.
    Changed { against: f64 },
}

impl Verifier {
    /// A verifier that has heard nothing.
    pub fn new(calibration: Calibration, settings: Settings) -> Self {
        let (alpha, beta) =
            (settings.false_accept.probability(), settings.false_reject.probability());
        Self {
            calibration,
            accept_at: ((1.0 - beta) / alpha).ln(),
            reject_at: (beta / (1.0 - alpha)).ln(),
            state: State::Undecided { sum: 0.0, windows: 0 },
            newest: 0.0,
        }
    }

    /// Takes one window's `cosine` against the voiceprint; returns the decision as it now stands.
    ///
    /// `fresh` is the share (0 to 1) of the window's speech that no earlier window held: while
    /// undecided, a window adds its evidence in that share, so that speech in two overlapping
    /// windows is not counted twice. The CUSUM was measured on overlapping windows and takes
    /// their evidence whole.
    pub fn observe(&mut self, cosine: f32, fresh: f64) -> Decision {
        let llr = self.calibration.llr(cosine);
        self.newest = llr;
        self.state = match self.state {
            State::Undecided { sum, windows } => {
                let sum = sum + llr * if windows == 0 { 1.0 } else { fresh.clamp(0.0, 1.0) };
                if sum >= self.accept_at {
                    State::Accepted { sum, against: 0.0 }
                } else if sum <= self.reject_at {
                    State::Rejected { sum }
                } else {
                    State::Undecided { sum, windows: windows + 1 }
                }
            }
            State::Accepted { sum, against } => {
                let against = (against + (-llr).clamp(-CUSUM_STEP, CUSUM_STEP)).max(0.0);
                if against >= CUSUM_ALARM {
                    State::Changed { against }
                } else {
                    State::Accepted { sum, against }
                }
            }
            decided @ (State::Rejected { .. } | State::Changed { .. }) => decided,
        };
        self.decision()
    }

    /// The decision as it stands.
    pub fn decision(&self) -> Decision {
        match self.state {
            State::Undecided { .. } => Decision::Undecided,
            State::Accepted { .. } => Decision::Accepted,
            State::Rejected { .. } => Decision::Rejected,
            State::Changed { .. } => Decision::Changed,
        }
    }

    /// Log-likelihood ratio (nats) behind the decision: the sum that accepted or rejected, or the
    /// evidence against at the change, negative.
    pub fn llr(&self) -> f64 {
        match self.state {
            State::Undecided { sum, .. }
            | State::Accepted { sum, .. }
            | State::Rejected { sum } => sum,
            State::Changed { against } => -against,
        }
    }

    /// Evidence of the newest window alone, nats; 0 before the first.
    pub fn newest_llr(&self) -> f64 {
        self.newest
    }

    /// How much new speech the next window should wait for; `None` once nothing can change any
    /// more, so that no embedding is computed without a purpose.
    pub fn hop(&self) -> Option<Duration> {
        match self.state {
            State::Undecided { .. } => Some(HOP_NEAR),
            // A window that reassures less than it could is the first sign of a change: with a
            // takeover 0.9 s old the evidence is still positive, but no longer at its cap.
            State::Accepted { against, .. }
                if against > 0.0 || self.newest < self.calibration.cap() =>
            {
                Some(HOP_NEAR)
            }
            State::Accepted { .. } => Some(HOP_FAR),
            State::Rejected { .. } | State::Changed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAME: f32 = 0.78;
    const OTHER: f32 = 0.15;
    const THIRD: f64 = 1.0 / 3.0;

    fn verifier() -> Verifier {
        let settings = Settings {
            false_accept: ErrorRate::one_in(1000).expect("a rate"),
            false_reject: ErrorRate::one_in(50).expect("a rate"),
        };
        Verifier::new(Calibration::RESNET34_3S, settings)
    }

    #[test]
    fn no_single_window_accepts_at_one_in_a_thousand() {
        let mut verifier = verifier();
        assert_eq!(verifier.observe(1.0, 1.0), Decision::Undecided);
        assert_eq!(verifier.observe(SAME, THIRD), Decision::Accepted);
        assert!((verifier.llr() - (6.5 + 6.5 / 3.0)).abs() < 1e-9);
    }

    #[test]
    fn speech_heard_twice_counts_once() {
        let mut verifier = verifier();
        verifier.observe(SAME, 1.0);
        for _ in 0..100 {
            assert_eq!(verifier.observe(SAME, 0.0), Decision::Undecided);
        }
    }

    #[test]
    fn an_impostor_is_rejected_and_stays_so() {
        let mut verifier = verifier();
        assert_eq!(verifier.observe(OTHER, 1.0), Decision::Rejected);
        assert_eq!(verifier.observe(1.0, 1.0), Decision::Rejected);
        assert_eq!(verifier.hop(), None);
    }

    #[test]
    fn a_takeover_raises_the_alarm_at_the_third_bad_window() {
        let mut verifier = verifier();
        verifier.observe(SAME, 1.0);
        verifier.observe(SAME, 1.0);
        assert_eq!(verifier.hop(), Some(HOP_FAR));
        assert_eq!(verifier.observe(OTHER, 1.0), Decision::Accepted);
        assert_eq!(verifier.hop(), Some(HOP_NEAR));
        assert_eq!(verifier.observe(OTHER, THIRD), Decision::Accepted);
        assert_eq!(verifier.observe(OTHER, THIRD), Decision::Changed);
        assert!(verifier.llr() <= -CUSUM_ALARM);
    }

    #[test]
    fn two_bad_windows_are_forgiven() {
        let mut verifier = verifier();
        verifier.observe(SAME, 1.0);
        verifier.observe(SAME, 1.0);
        for _ in 0..50 {
            verifier.observe(OTHER, 1.0);
            verifier.observe(OTHER, 1.0);
            verifier.observe(SAME, 1.0);
            assert_eq!(verifier.observe(SAME, 1.0), Decision::Accepted);
        }
    }

    #[test]
    fn a_doubtful_window_brings_the_next_one_sooner() {
        let mut verifier = verifier();
        verifier.observe(SAME, 1.0);
        verifier.observe(SAME, 1.0);
        verifier.observe(0.62, 1.0);
        assert_eq!(verifier.decision(), Decision::Accepted);
        assert_eq!(verifier.hop(), Some(HOP_NEAR));
    }
}
