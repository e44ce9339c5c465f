//! What a leg's audio may be used for, as that changes while it is heard: a claim that comes late, a consent that goes.

use crate::audio::segmenter::Segment;
use crate::call::claim_watch::ClaimWatch;
use crate::call::enrollment_watch::EnrollmentWatch;
use crate::call::inference::Withdrawn;
use crate::call::media_session::{MediaSession, Output};
use crate::consent::consents::Refusal;
use crate::consent::permit::{Permit, Spotting};
use crate::consent::scope::{Scope, Scopes};
use crate::policy::evidence::{EndEvidence, Evidence, Obstacle};

/// What a leg is told about the voice on it.
#[derive(Debug)]
pub enum VoiceOrder {
    /// Compare it.
    Compare(Box<ClaimWatch>),
    /// Enrol it.
    Enroll(Box<EnrollmentWatch>),
    /// Listen for phrases: there is leave.
    Listen(Permit<Spotting>),
    /// There is no leave for these any more, and why.
    Withdraw(Scopes, Refusal),
}

impl MediaSession {
    /// Does what the leg is told.
    pub fn handle_order(&mut self, order: VoiceOrder) {
        match order {
            VoiceOrder::Compare(watch) => {
                self.voices.compare(*watch);
                self.follow_voices();
            }
            VoiceOrder::Enroll(watch) => self.enroll(*watch),
            VoiceOrder::Listen(_) => self.deaf = false,
            VoiceOrder::Withdraw(scopes, why) => self.withdraw(scopes, why),
        }
    }

    /// No segment is searched until there is leave to: they are gaps, which the coverage tells.
    pub fn await_leave(&mut self) {
        self.deaf = true;
    }

    fn withdraw(&mut self, scopes: Scopes, why: Refusal) {
        let mut withdrawn = self.voices.withdraw(scopes, why, &self.condition());
        if scopes.contains(Scope::Keywords) && !std::mem::replace(&mut self.deaf, true) {
            withdrawn.push(Withdrawn::Phrases);
            let concealed = self.listener.concealed_speech();
            self.phrases.iter_mut().for_each(|phrases| phrases.handle_withdrawn(concealed));
        }
        for of in withdrawn {
            self.outputs.retain(|output| !matches!(output, Output::Infer(work) if of.covers(work)));
            self.outputs.push_back(Output::Withdraw(of));
        }
        self.follow_phrases();
        self.follow_voices();
    }

    /// A segment that nobody may search is one that nobody searched.
    pub(super) fn leave_unheard(&mut self, segment: &Segment) {
        let concealed = self.listener.concealed_speech();
        self.phrases.iter_mut().for_each(|phrases| {
            phrases.handle_hits(segment, None, concealed);
        });
    }

    /// That the comparison ended here.
    pub(super) fn claim_ended(&self, why: Obstacle) -> Evidence {
        let (at, net_speech) = (self.listener.stream_time(), self.listener.net_speech());
        Evidence::ComparisonEnded(EndEvidence { why, at, net_speech })
    }
}
