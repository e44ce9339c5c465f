//! One call: what the PBX says and what the audio shows, to answers, verdicts and INFO.

use std::collections::VecDeque;

use crate::call::claim_watch::ClaimWatch;
use crate::call::media_plan::MediaPlan;
use crate::call::negotiation::{Negotiation, NegotiationError};
use crate::policy::evidence::{Evidence, Obstacle};
use crate::policy::judge::{Judge, Leg};
use crate::policy::verdict::Verdict;

/// What the owner has to do next.
#[derive(Debug)]
pub enum Output {
    /// Answer the open INVITE or re-INVITE with 200.
    Accept {
        /// Our answer, or our offer where they made none.
        sdp: String,
    },
    /// Refuse it.
    Refuse {
        /// The SIP status.
        status: u16,
        /// Its reason phrase.
        reason: String,
    },
    /// Open the media session.
    OpenMedia {
        /// What was agreed.
        plan: MediaPlan,
        /// Whom to compare with.
        watch: Option<ClaimWatch>,
    },
    /// Something else was agreed.
    ChangeMedia(MediaPlan),
    /// End the media session; its last evidence may still come.
    CloseMedia,
    /// A conclusion: log it, count it, and send it as INFO to whom it is for, while their calls stand.
    Verdict(Box<Verdict>),
    /// The claim came late: have the voice compared from now on.
    Compare(Box<ClaimWatch>),
    /// Call the other side.
    Place {
        /// Our offer.
        sdp: String,
    },
    /// Send BYE.
    HangUp {
        /// Why, for the Reason header and the log.
        reason: String,
    },
}

/// One call from its INVITE to its last evidence.
#[derive(Debug)]
pub struct Call {
    leg: Leg,
    /// `None` for a stream of a recording session, whose dialog has several and one description.
    negotiation: Option<Negotiation>,
    phase: Phase,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum Phase {
    /// Not answered yet, by us or by them; what the claim comes to, if that is known already.
    Invited { claim: Option<Result<ClaimWatch, Obstacle>> },
    /// Answered; the ACK has not come. An obstacle is told once it has.
    Answered { obstacle: Option<Obstacle> },
    /// The dialog stands.
    Confirmed,
    /// The dialog is over; evidence from its last words may still come.
    Over,
}

impl Call {
    /// A call that has to be answered or placed. What its claim comes to is told by [`Self::handle_claim`].
    pub fn new(leg: Leg, negotiation: Negotiation) -> Self {
        let (negotiation, phase) = (Some(negotiation), Phase::Invited { claim: None });
        Self { leg, negotiation, phase, outputs: VecDeque::new() }
    }

    /// One stream of a recording session: what is agreed comes by [`Self::handle_agreed`], and nothing is told in its
    /// dialog.
    pub fn recorded(leg: Leg) -> Self {
        let (negotiation, phase) = (None, Phase::Invited { claim: None });
        Self { leg, negotiation, phase, outputs: VecDeque::new() }
    }

    /// What the claim comes to, which may be known before the call is answered or some time after: the comparison that
    /// it asks for, or why there can be none. `judge` hears of the latter once the call stands.
    pub fn handle_claim(&mut self, judge: &mut Judge, claim: Result<ClaimWatch, Obstacle>) {
        match (&mut self.phase, claim) {
            (Phase::Invited { claim: known }, claim) => *known = Some(claim),
            (Phase::Answered { .. } | Phase::Confirmed, Ok(watch)) => {
                self.outputs.push_back(Output::Compare(Box::new(watch)));
            }
            (Phase::Answered { obstacle }, Err(why)) => *obstacle = Some(why),
            (Phase::Confirmed, Err(why)) => {
                self.handle_evidence(judge, &Evidence::NoSpeakerCheck(why));
            }
            (Phase::Over, _) => {}
        }
    }

    /// What was agreed on for this stream of a recording session, at its beginning and after every change.
    pub fn handle_agreed(&mut self, plan: MediaPlan) {
        let Phase::Invited { claim } = &mut self.phase else {
            return self.outputs.push_back(Output::ChangeMedia(plan));
        };
        let claim = claim.take();
        self.open(plan, claim);
    }

    /// Opens the media session; that the claim cannot be checked is told once the ACK has come.
    fn open(&mut self, plan: MediaPlan, claim: Option<Result<ClaimWatch, Obstacle>>) {
        let (watch, obstacle) = match claim.transpose() {
            Ok(watch) => (watch, None),
            Err(obstacle) => (None, Some(obstacle)),
        };
        self.phase = Phase::Answered { obstacle };
        self.outputs.push_back(Output::OpenMedia { plan, watch });
    }

    /// The INVITE's offer, or that it had none.
    pub fn handle_invited(&mut self, offer: Option<&str>) {
        let Phase::Invited { claim } = &mut self.phase else { return };
        let Some(negotiation) = &mut self.negotiation else { return };
        let claim = claim.take();
        match negotiation.respond(offer) {
            Ok((sdp, plan)) => {
                self.open(plan, claim);
                self.outputs.push_back(Output::Accept { sdp });
            }
            Err(error) => {
                self.phase = Phase::Over;
                self.refuse(&error);
            }
        }
    }

    /// It is us who call.
    pub fn place(&mut self) {
        let Some(negotiation) = &mut self.negotiation else { return };
        match negotiation.respond(None) {
            Ok((sdp, _)) => self.outputs.push_back(Output::Place { sdp }),
            Err(error) => self.refuse(&error),
        }
    }

    /// Their answer to our INVITE, which stands now, or to one that only refreshed it. `judge`
    /// hears at once of an identity that cannot be checked.
    pub fn handle_answered(&mut self, judge: &mut Judge, answer: Option<&str>) {
        let Some(negotiation) = &mut self.negotiation else { return };
        let plan = match negotiation.conclude(answer) {
            Ok(plan) => plan,
            Err(error) => {
                let reason = format!("SIP;cause=488;text=\"{error}\"");
                return self.outputs.push_back(Output::HangUp { reason });
            }
        };
        let claim = match &mut self.phase {
            Phase::Invited { claim } => claim.take(),
            Phase::Answered { .. } | Phase::Confirmed | Phase::Over => return,
        };
        self.phase = Phase::Confirmed;
        let Some(plan) = plan else { return };
        let (watch, obstacle) = match claim.transpose() {
            Ok(watch) => (watch, None),
            Err(obstacle) => (None, Some(obstacle)),
        };
        self.outputs.push_back(Output::OpenMedia { plan, watch });
        if let Some(obstacle) = obstacle {
            self.handle_evidence(judge, &Evidence::NoSpeakerCheck(obstacle));
        }
    }

    /// Nothing has come from the peer for as long as it is given: its BYE must have been lost.
    pub fn handle_silence(&mut self) {
        let reason = "SIP;cause=408;text=\"no RTP\"".to_owned();
        self.outputs.push_back(Output::HangUp { reason });
    }

    /// The ACK; with their SDP answer where the offer was ours. `judge` hears at once of an
    /// identity that cannot be checked.
    pub fn handle_confirmed(&mut self, judge: &mut Judge, answer: Option<&str>) {
        match self.negotiation.as_mut().map_or(Ok(None), |own| own.conclude(answer)) {
            Ok(None) => {}
            Ok(Some(plan)) => self.outputs.push_back(Output::ChangeMedia(plan)),
            Err(error) => {
                let reason = format!("SIP;cause=488;text=\"{error}\"");
                self.outputs.push_back(Output::HangUp { reason });
            }
        }
        if let Phase::Answered { obstacle } = self.phase {
            self.phase = Phase::Confirmed;
            if let Some(obstacle) = obstacle {
                self.handle_evidence(judge, &Evidence::NoSpeakerCheck(obstacle));
            }
        }
    }

    /// A re-INVITE: hold, resume, another address, another codec. Refusing it leaves all as it was
    /// (RFC 3261 §14.2).
    pub fn handle_reinvited(&mut self, offer: Option<&str>) {
        let Some(negotiation) = &mut self.negotiation else { return };
        match negotiation.respond(offer) {
            Ok((sdp, plan)) => {
                // Where they ask for our offer, all stays as it was until their answer.
                if offer.is_some() {
                    self.outputs.push_back(Output::ChangeMedia(plan));
                }
                self.outputs.push_back(Output::Accept { sdp });
            }
            Err(error) => self.refuse(&error),
        }
    }

    /// The first audio came at `started`; `judge` hears of it.
    pub fn handle_began(&mut self, judge: &mut Judge, started: jiff::Timestamp) {
        judge.begin(&mut self.leg, started);
        self.tell_rules(judge);
    }

    /// When the first audio came; until then, when the call was answered.
    pub fn started(&self) -> jiff::Timestamp {
        self.leg.started
    }

    /// Weighs what the audio showed.
    pub fn handle_evidence(&mut self, judge: &mut Judge, evidence: &Evidence) {
        if let Some(verdict) = judge.weigh(&mut self.leg, evidence) {
            self.tell(verdict);
        }
        self.tell_rules(judge);
    }

    /// It is `now`: a rule's time may be over.
    pub fn handle_timeout(&mut self, judge: &mut Judge, now: jiff::Timestamp) {
        judge.handle_timeout(now);
        self.tell_rules(judge);
    }

    /// Whoever is in the conversation hears of its rules, on the leg that made the difference.
    fn tell_rules(&mut self, judge: &mut Judge) {
        while let Some(verdict) = judge.poll_verdict() {
            self.tell(verdict);
        }
    }

    fn tell(&mut self, verdict: Verdict) {
        self.outputs.push_back(Output::Verdict(Box::new(verdict)));
    }

    /// The dialog is over, whoever ended it.
    pub fn handle_ended(&mut self) {
        self.phase = Phase::Over;
        self.outputs.push_back(Output::CloseMedia);
    }

    /// Whether its dialog stands, so that INFO can be sent in it; that of a recording session takes none.
    pub fn stands(&self) -> bool {
        self.negotiation.is_some()
            && matches!(self.phase, Phase::Answered { .. } | Phase::Confirmed)
    }

    /// The next thing to do; drain it after every `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn refuse(&mut self, error: &NegotiationError) {
        let (status, reason) = (error.status(), error.to_string());
        self.outputs.push_back(Output::Refuse { status, reason });
    }
}
