//! Is this the claimed speaker, and does it stay so? A sequential test, then Page's CUSUM.

use std::time::Duration;

use serde::Deserialize;

use crate::speaker::calibration::{Calibration, Comparison, ErrorRate};
use crate::speaker::ledger::Ledger;

/// Least net speech before somebody is rejected. 5 s: an excited caller's single sentence may look
/// like somebody else's (see [`Calibration`]).
const LEAST_TO_REJECT: Duration = Duration::from_secs(5);
/// Net speech after which an open question is told as such.
const PATIENCE: Duration = Duration::from_secs(30);
/// Net speech between two looks of the strong embedder at a question that stays open.
const OPEN_EVERY: Duration = Duration::from_secs(3);
/// Alarm threshold of the CUSUM, nats.
///
/// With steps to 6 and the evidence of [`Calibration::steady`]: of 80 takeovers between five readers, mu-law,
/// half are found in 2.9 s of net speech, 97.5 % in 5 s; in their 5 minutes of genuine speech the CUSUM never
/// left 0. At 12 and steps to 5 half took 3.6 s.
const ALARM: f64 = 9.0;
/// CUSUM from which an accepted caller is suspect, and below which not any more, nats.
const SUSPECT: f64 = 5.0;
const CALM: f64 = 2.0;
/// Whole windows' worth of speech without a doubt that takes a change back: 4.5 s in all.
const RETURN_WINDOWS: f64 = 1.5;
/// Largest step of the CUSUM, nats: towards an alarm, and back.
const STEP_AGAINST: f64 = 6.0;
const STEP_FOR: f64 = 4.0;
/// Evidence of the cheap embedder below which the strong one is asked, nats.
const DOUBTFUL: f64 = 2.0;

/// What the decision keeps to.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How often an impostor may be accepted.
    pub false_accept: ErrorRate,
    /// How often the true speaker may be rejected.
    pub false_reject: ErrorRate,
    /// How often a claim is false, before anything is heard.
    pub prior: ErrorRate,
    /// Net speech between two looks of the strong embedder at an accepted caller, seconds.
    pub decide_every_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        let one_in = |n| ErrorRate::one_in(n).expect("a rate within bounds");
        Self {
            false_accept: one_in(1000),
            false_reject: one_in(50),
            prior: one_in(50),
            decide_every_s: 20,
        }
    }
}

impl Settings {
    /// The same error rates for a claim that is tested on `voices` voices: each has its share of the false accepts
    /// (Bonferroni).
    #[must_use]
    pub fn among(self, voices: u32) -> Self {
        Self { false_accept: self.false_accept.shared_by(voices), ..self }
    }
}

/// Where the question stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Too little evidence either way, so far.
    Collecting,
    /// The caller is the claimed speaker.
    Accepted,
    /// The caller was accepted, and of late sounds like somebody else.
    Suspect,
    /// The caller was the claimed speaker, and no longer is; until the claimed voice is back.
    Changed,
    /// The caller is somebody else. Final for this call.
    Rejected,
    /// The evidence says neither; see [`Verifier::reason`]. More speech may still decide it.
    Inconclusive,
}

/// Why the evidence says neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Too much noise, or too much that was lost.
    PoorLine,
    /// The voice is neither like nor unlike enough.
    Ambiguous,
}

/// Decides from one comparison after another.
#[derive(Clone, Debug)]
pub struct Verifier {
    calibration: Calibration,
    settings: Settings,
    /// Wald's bounds on the evidence, nats.
    accept_at: f64,
    reject_at: f64,
    state: State,
    /// When the state was entered, in stream time.
    since: Duration,
    /// The newest comparison's evidence, nats.
    newest: f64,
    /// Net speech at the newest comparison by the strong embedder.
    looked: Duration,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Collecting(Ledger),
    Inconclusive(Ledger, Reason),
    /// Evidence at acceptance, and the CUSUM of the evidence against since.
    Accepted {
        llr: f64,
        against: f64,
    },
    Suspect {
        llr: f64,
        against: f64,
    },
    /// The CUSUM at the alarm, and what has been heard since of the claimed voice.
    Changed {
        against: f64,
        ledger: Ledger,
    },
    Rejected {
        llr: f64,
    },
}

impl Verifier {
    /// A verifier that has heard nothing.
    pub fn new(calibration: Calibration, settings: Settings) -> Self {
        let (alpha, beta) =
            (settings.false_accept.probability(), settings.false_reject.probability());
        Self {
            calibration,
            settings,
            accept_at: ((1.0 - beta) / alpha).ln(),
            reject_at: (beta / (1.0 - alpha)).ln(),
            state: State::Collecting(Ledger::default()),
            since: Duration::ZERO,
            newest: 0.0,
            looked: Duration::ZERO,
        }
    }

    /// Takes one comparison, at `at` in stream time; returns the decision as it now stands.
    pub fn observe(&mut self, comparison: &Comparison, at: Duration) -> Decision {
        if comparison.likeness.decide.is_some() {
            self.looked = comparison.net_speech;
        }
        let before = self.decision();
        self.state = match self.state {
            State::Collecting(ledger) | State::Inconclusive(ledger, _) => {
                self.collect(ledger, comparison)
            }
            State::Accepted { llr, against } => self.follow(llr, against, false, comparison),
            State::Suspect { llr, against } => self.follow(llr, against, true, comparison),
            State::Changed { against, ledger } => self.return_to(against, ledger, comparison),
            decided @ State::Rejected { .. } => decided,
        };
        if self.decision() != before {
            self.since = at;
        }
        self.decision()
    }

    fn collect(&mut self, mut ledger: Ledger, comparison: &Comparison) -> State {
        if !comparison.conditions.are_fit() {
            ledger.spoilt += comparison.fresh;
        } else if let Some(evidence) = self.calibration.decisive(comparison) {
            self.newest = evidence.llr;
            ledger.windows += comparison.fresh;
            ledger.evidence += evidence.llr * comparison.fresh;
            ledger.doubt += evidence.doubt * comparison.fresh;
        }
        let llr = ledger.llr();
        if ledger.windows > 0.0 && llr >= self.accept_at {
            return State::Accepted { llr, against: 0.0 };
        }
        let doubt = ledger.doubt();
        if comparison.net_speech >= LEAST_TO_REJECT && doubt <= self.reject_at {
            return State::Rejected { llr: doubt };
        }
        if comparison.net_speech < PATIENCE {
            return State::Collecting(ledger);
        }
        let poor = ledger.spoilt > ledger.windows;
        State::Inconclusive(ledger, if poor { Reason::PoorLine } else { Reason::Ambiguous })
    }

    fn follow(&mut self, llr: f64, before: f64, suspect: bool, comparison: &Comparison) -> State {
        let Some(evidence) = self.calibration.steady(comparison) else {
            return if suspect {
                State::Suspect { llr, against: before }
            } else {
                State::Accepted { llr, against: before }
            };
        };
        self.newest = evidence;
        let against = (before + (-evidence).clamp(-STEP_FOR, STEP_AGAINST)).max(0.0);
        if against >= ALARM {
            State::Changed { against, ledger: Ledger::default() }
        } else if against >= SUSPECT || (suspect && against > CALM) {
            State::Suspect { llr, against }
        } else {
            State::Accepted { llr, against }
        }
    }

    /// After a change only speech without a single doubt counts, and more of it than at first: a caller who
    /// raged and calmed down is himself again, and so is one who took the telephone back.
    fn return_to(&mut self, against: f64, ledger: Ledger, comparison: &Comparison) -> State {
        let Some(evidence) = self.calibration.decisive(comparison) else {
            return State::Changed { against, ledger };
        };
        self.newest = evidence.llr;
        if evidence.llr <= 0.0 {
            return State::Changed { against, ledger: Ledger::default() };
        }
        let ledger = Ledger {
            windows: ledger.windows + comparison.fresh,
            evidence: ledger.evidence + evidence.llr * comparison.fresh,
            ..ledger
        };
        let llr = ledger.llr();
        if ledger.windows >= RETURN_WINDOWS && llr >= self.accept_at {
            State::Accepted { llr, against: 0.0 }
        } else {
            State::Changed { against, ledger }
        }
    }

    /// Whether the strong embedder is to look at the window that ends at `net_speech`, of which the
    /// cheap one made `comparison`.
    pub fn wants_decision(&self, comparison: &Comparison) -> bool {
        let since = comparison.net_speech.saturating_sub(self.looked);
        match self.state {
            State::Collecting(_) => true,
            State::Inconclusive(..) => since >= OPEN_EVERY,
            State::Changed { .. } => {
                since >= OPEN_EVERY
                    || self.calibration.llr(comparison).is_some_and(|llr| llr > DOUBTFUL)
            }
            State::Accepted { against, .. } => {
                against > 0.0
                    || since.as_secs() >= u64::from(self.settings.decide_every_s)
                    || self.calibration.llr(comparison).is_none_or(|llr| llr < DOUBTFUL)
            }
            State::Suspect { .. } => true,
            State::Rejected { .. } => false,
        }
    }

    /// The decision as it stands.
    pub fn decision(&self) -> Decision {
        match self.state {
            State::Collecting(_) => Decision::Collecting,
            State::Inconclusive(..) => Decision::Inconclusive,
            State::Accepted { .. } => Decision::Accepted,
            State::Suspect { .. } => Decision::Suspect,
            State::Changed { .. } => Decision::Changed,
            State::Rejected { .. } => Decision::Rejected,
        }
    }

    /// Since when it stands, in stream time.
    pub fn since(&self) -> Duration {
        self.since
    }

    /// Why it is inconclusive, where it is.
    pub fn reason(&self) -> Option<Reason> {
        match self.state {
            State::Inconclusive(_, reason) => Some(reason),
            State::Collecting(_)
            | State::Accepted { .. }
            | State::Suspect { .. }
            | State::Changed { .. }
            | State::Rejected { .. } => None,
        }
    }

    /// Log-likelihood ratio (nats) behind the decision: that which accepted or rejected, or the
    /// evidence against since, negative.
    pub fn llr(&self) -> f64 {
        match self.state {
            State::Collecting(ledger) | State::Inconclusive(ledger, _) => ledger.llr(),
            State::Accepted { llr, .. } | State::Rejected { llr } => llr,
            State::Suspect { against, .. } | State::Changed { against, .. } => -against,
        }
    }

    /// Probability (0 to 1) that the claim is true, with the prior and all that was heard.
    pub fn probability(&self) -> f64 {
        let against = self.settings.prior.probability();
        let odds = ((1.0 - against) / against).ln() + self.llr();
        1.0 / (1.0 + (-odds).exp())
    }

    /// Evidence of the newest comparison alone, nats; 0 before the first.
    pub fn newest_llr(&self) -> f64 {
        self.newest
    }

    /// Whether nothing can change any more, so that nothing more is to be embedded.
    pub fn is_final(&self) -> bool {
        matches!(self.state, State::Rejected { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::speech_windows::{STEP, WINDOW};
    use crate::speaker::calibration::{Conditions, Likeness};

    const SAME: (f32, f32) = (0.75, 0.88);
    const OTHER: (f32, f32) = (0.10, 0.62);
    /// As far from the one as from the other.
    const DOUBTFUL_VOICE: (f32, f32) = (0.50, 0.80);

    /// A caller of whom one comparison comes after the other, a step apart.
    struct Caller {
        verifier: Verifier,
        steps: u32,
        range_db: f64,
    }

    impl Caller {
        fn new() -> Self {
            let verifier = Verifier::new(Calibration::RESNET34_GE2E, Settings::default());
            Self { verifier, steps: 0, range_db: 28.0 }
        }

        fn net_speech(&self) -> Duration {
            WINDOW + STEP * self.steps.saturating_sub(1)
        }

        fn hear(&mut self, (decide, watch): (f32, f32), by_both: bool, fresh: bool) -> Decision {
            self.steps += 1;
            let first = self.steps == 1;
            let share = if first { 1.0 } else { STEP.as_secs_f64() / WINDOW.as_secs_f64() };
            let comparison = Comparison {
                likeness: Likeness { decide: by_both.then_some(decide), watch: Some(watch) },
                conditions: Conditions { range_db: self.range_db, upper_db: -6.0, concealed: 0.0 },
                net_speech: self.net_speech(),
                fresh: if fresh { share } else { 0.0 },
            };
            self.verifier.observe(&comparison, self.net_speech())
        }

        fn speaks(&mut self, voice: (f32, f32)) -> Decision {
            self.hear(voice, true, true)
        }

        fn accepted() -> Self {
            let mut caller = Self::new();
            while caller.speaks(SAME) != Decision::Accepted {}
            caller
        }
    }

    #[test]
    fn a_clear_voice_is_accepted_at_its_first_whole_window() {
        let mut caller = Caller::new();
        assert_eq!(caller.speaks(SAME), Decision::Accepted);
        assert!(caller.verifier.llr() >= 6.9 && caller.verifier.llr() <= 9.0);
        assert!(caller.verifier.probability() > 0.999);
    }

    #[test]
    fn the_bound_moves_with_the_error_rate() {
        let strict = Settings {
            false_accept: ErrorRate::one_in(1_000_000).expect("a rate"),
            ..Settings::default()
        };
        let mut caller = Caller::new();
        caller.verifier = Verifier::new(Calibration::RESNET34_GE2E, strict);
        for _ in 0..100 {
            assert_ne!(caller.speaks(SAME), Decision::Accepted, "no speech is worth that much");
        }
        assert_eq!(caller.verifier.decision(), Decision::Inconclusive);
    }

    #[test]
    fn a_voice_that_is_alike_without_being_the_same_is_not_accepted_by_talking_on() {
        // One window of it says 5.4 nats, which four hundred do not make 6.9.
        let mut caller = Caller::new();
        for _ in 0..400 {
            assert_ne!(caller.speaks((0.56, 0.922)), Decision::Accepted);
        }
        let llr = caller.verifier.llr();
        assert!(llr > 4.0 && llr < 6.9, "{llr}");
    }

    #[test]
    fn speech_heard_twice_counts_once() {
        let mut once = Caller::new();
        once.speaks((0.5, 0.9));
        let llr = once.verifier.llr();
        for _ in 0..20 {
            once.hear((0.5, 0.9), true, false);
        }
        assert!((once.verifier.llr() - llr).abs() < 1e-9);
    }

    #[test]
    fn an_impostor_is_rejected_not_before_five_seconds_and_stays_so() {
        let mut caller = Caller::new();
        while caller.verifier.decision() == Decision::Collecting {
            caller.speaks((-0.02, 0.55));
        }
        assert_eq!(caller.verifier.decision(), Decision::Rejected);
        assert!(caller.net_speech() >= LEAST_TO_REJECT && caller.net_speech().as_secs() < 8);
        assert_eq!(caller.verifier.since(), caller.net_speech());
        assert_eq!(caller.speaks(SAME), Decision::Rejected);
        assert!(caller.verifier.is_final());
    }

    #[test]
    fn who_may_be_the_true_speaker_in_a_rage_is_not_rejected_but_left_open() {
        let mut caller = Caller::new();
        for _ in 0..60 {
            assert_ne!(caller.speaks((0.3, 0.72)), Decision::Rejected);
        }
        assert_eq!(caller.verifier.decision(), Decision::Inconclusive);
        assert_eq!(caller.verifier.reason(), Some(Reason::Ambiguous));
        assert_eq!(caller.speaks((0.3, 0.72)), Decision::Inconclusive, "and nothing is final");
    }

    #[test]
    fn a_poor_line_is_named_as_what_it_is() {
        let mut caller = Caller::new();
        caller.range_db = 4.0;
        for _ in 0..60 {
            caller.speaks(SAME);
        }
        assert_eq!(caller.verifier.decision(), Decision::Inconclusive);
        assert_eq!(caller.verifier.reason(), Some(Reason::PoorLine));
        caller.range_db = 28.0;
        let mut more = 0;
        while caller.speaks(SAME) != Decision::Accepted {
            more += 1;
            assert!(more < 10, "a line may become good");
        }
    }

    #[test]
    fn a_takeover_goes_by_suspicion_to_the_alarm() {
        let mut caller = Caller::accepted();
        assert_eq!(caller.speaks(OTHER), Decision::Suspect);
        let since = caller.verifier.since();
        assert_eq!(caller.speaks(OTHER), Decision::Changed);
        assert!(since < caller.verifier.since());
        assert!(caller.verifier.llr() <= -ALARM);
        assert_eq!(caller.speaks(SAME), Decision::Changed);
    }

    #[test]
    fn the_claimed_voice_is_accepted_again_when_it_is_back_for_good() {
        let mut caller = Caller::accepted();
        while caller.speaks(OTHER) != Decision::Changed {}
        for _ in 0..40 {
            assert_eq!(caller.speaks(OTHER), Decision::Changed);
            assert_eq!(caller.speaks(SAME), Decision::Changed, "one good window is none");
        }
        let mut good = 0;
        while caller.speaks(SAME) != Decision::Accepted {
            good += 1;
            assert!(good < 10);
        }
        assert!(good >= 5, "{good}");
        assert!(caller.verifier.llr() >= 6.9);
    }

    #[test]
    fn suspicion_holds_until_the_voice_is_itself_again() {
        let mut caller = Caller::accepted();
        assert_eq!(caller.speaks(OTHER), Decision::Suspect);
        // Half-way between two people says little; below where suspicion began is not yet calm.
        assert_eq!(caller.speaks(DOUBTFUL_VOICE), Decision::Suspect);
        assert_eq!(caller.speaks(SAME), Decision::Suspect);
        assert_eq!(caller.speaks(SAME), Decision::Accepted);
    }

    #[test]
    fn one_bad_window_is_forgiven() {
        let mut caller = Caller::accepted();
        for _ in 0..50 {
            caller.speaks(OTHER);
            caller.speaks(SAME);
            caller.speaks(SAME);
            assert_eq!(caller.verifier.decision(), Decision::Accepted);
        }
    }

    #[test]
    fn the_strong_embedder_is_asked_where_a_decision_is_near_and_once_in_a_while() {
        let compared = |net_s: u64, watch: f32| Comparison {
            likeness: Likeness { decide: None, watch: Some(watch) },
            conditions: Conditions { range_db: 28.0, upper_db: -6.0, concealed: 0.0 },
            net_speech: Duration::from_secs(net_s),
            fresh: 0.0,
        };
        let caller = Caller::new();
        assert!(caller.verifier.wants_decision(&compared(3, 0.9)), "nothing is decided");
        let mut caller = Caller::accepted();
        assert!(!caller.verifier.wants_decision(&compared(10, 0.9)));
        assert!(caller.verifier.wants_decision(&compared(10, 0.7)), "it sounds like another");
        assert!(caller.verifier.wants_decision(&compared(23, 0.9)), "twenty seconds have gone by");
        caller.speaks(OTHER);
        assert!(caller.verifier.wants_decision(&compared(10, 0.9)), "something was amiss");
    }

    #[test]
    fn a_bound_for_several_voices_asks_for_more_evidence_from_each() {
        let (one, four) = (Settings::default(), Settings::default().among(4));
        let bound = |settings| Verifier::new(Calibration::RESNET34_GE2E, settings).accept_at;
        assert!((bound(four) - bound(one) - 4.0_f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn settings_are_read_as_they_are_written() {
        let settings: Settings = toml::from_str("false_accept = '1 in 500'").expect("settings");
        assert_eq!(settings.false_accept.to_string(), "1 in 500");
        assert_eq!(settings.decide_every_s, 20);
        assert!(toml::from_str::<Settings>("false_acept = '1 in 500'").is_err());
    }
}
