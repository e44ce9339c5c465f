//! What is counted of one leg while it lasts: what it is at, and what came of it, for the metrics.

use crate::policy::evidence::Evidence;
use crate::policy::line::LineState;
use crate::policy::verdict::{Finding, SpeakerDecision, Verdict};
use crate::runtime::signalling::Entry;

/// What a leg is at. Of several that hold, the first in the order of [`Entry::state`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegState {
    /// Not answered yet.
    Connecting,
    /// Answered; no audio has come.
    Waiting,
    /// Its audio comes.
    Heard,
    /// The peer put it on hold.
    Held,
    /// Nothing of it may be heard.
    Paused,
    /// Nothing has come for 10 s though the peer is to send.
    OneWay,
    /// The call is over; the models' last answers, or the store's, are waited for.
    Closing,
}

impl LegState {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Connecting,
        Self::Waiting,
        Self::Heard,
        Self::Held,
        Self::Paused,
        Self::OneWay,
        Self::Closing,
    ];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Waiting => "waiting",
            Self::Heard => "heard",
            Self::Held => "held",
            Self::Paused => "paused",
            Self::OneWay => "one_way",
            Self::Closing => "closing",
        }
    }
}

/// What models work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Analysis {
    /// Comparison with the claimed voice.
    Speaker,
    /// The search for phrases.
    Phrases,
}

impl Analysis {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Speaker, Self::Phrases];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Speaker => "speaker",
            Self::Phrases => "phrases",
        }
    }
}

/// Of one leg.
#[derive(Debug, Default)]
pub(super) struct LegFigures {
    /// Its first audio has come.
    pub(super) began: bool,
    one_way: bool,
    /// The first decision about its speaker was counted.
    decided: bool,
    /// Shares (0 to 1) of its speech that were really analysed, as far as anything was, in the order of [`Analysis::ALL`].
    coverage: [Option<f64>; Analysis::ALL.len()],
}

impl LegFigures {
    /// Takes note of what the leg's audio showed.
    pub(super) fn observe(&mut self, evidence: &Evidence) {
        let [speaker, phrases] = &mut self.coverage;
        match evidence {
            Evidence::Speaker(compared) => *speaker = Some(compared.coverage),
            // Before any speech there is nothing to have a share of.
            Evidence::Analysed { net_speech, coverage, .. } if !net_speech.is_zero() => {
                *phrases = Some(*coverage);
            }
            Evidence::Line(line) => self.one_way = line.state == LineState::OneWay,
            _ => {}
        }
    }

    /// The decision that `verdict` tells, if it is the leg's first that rests on speech.
    pub(super) fn first_decision(&mut self, verdict: &Verdict) -> Option<SpeakerDecision> {
        let Finding::Speaker { decision, llr: Some(_), .. } = verdict.finding else { return None };
        let is_first = !std::mem::replace(&mut self.decided, true);
        is_first.then_some(decision)
    }

    /// How much of its speech was analysed, once it is over.
    pub(super) fn coverage(&self) -> impl Iterator<Item = (Analysis, f64)> {
        let shares = Analysis::ALL.into_iter().zip(self.coverage);
        shares.filter_map(|(analysis, share)| Some((analysis, share?)))
    }
}

impl Entry {
    /// What the leg is at.
    pub(super) fn state(&self) -> LegState {
        if self.ended {
            LegState::Closing
        } else if self.silent {
            LegState::Connecting
        } else if self.paused {
            LegState::Paused
        } else if self.held {
            LegState::Held
        } else if self.figures.one_way {
            LegState::OneWay
        } else if self.figures.began {
            LegState::Heard
        } else {
            LegState::Waiting
        }
    }
}
