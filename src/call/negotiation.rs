//! Offer and answer of one call (RFC 3264), as a plan for its media session.

use std::net::SocketAddr;
use std::time::Duration;

use crate::audio::decoder;
use crate::call::media_plan::{MediaPlan, Payload};
use crate::sdp::{
    self, AnswerError, Codec, Direction, Local, Negotiated, Offer, OfferError, Origin,
};

/// What we decode; in our own offers the order of preference. Opus goes first: one offer to a PBX
/// that has it gets wideband for the phrases.
const CODECS: [Codec; 3] = [Codec::Opus, Codec::Pcma, Codec::Pcmu];

/// Why no media was agreed on.
#[derive(Debug, thiserror::Error)]
pub enum NegotiationError {
    /// The body is no session description.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// Nothing in it is for us.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// We offered, and their ACK said nothing (RFC 3261 §13.2.2.4).
    #[error("the ACK brought no SDP answer")]
    NoAnswer,
}

impl NegotiationError {
    /// The status that refuses such an offer: what cannot be read is a bad request, what cannot be
    /// agreed on is not acceptable here (RFC 3261 §21.4.26).
    pub fn status(&self) -> u16 {
        match self {
            Self::Offer(_) => 400,
            Self::Answer(_) | Self::NoAnswer => 488,
        }
    }
}

/// Our side of the session description, over the life of one call.
#[derive(Debug)]
pub struct Negotiation {
    local: Local,
    origin: Origin,
    /// We made the offer that is open now.
    offered: bool,
    /// How long a peer that is to send may send nothing.
    patience: Duration,
}

impl Negotiation {
    /// `local` is where our RTP socket is reached; RTCP is one port above.
    pub fn new(local: SocketAddr, session_id: u64, patience: Duration) -> Self {
        Self {
            local: Local { rtp: local, rtcp_port: local.port() + 1 },
            origin: Origin::new(session_id),
            offered: false,
            patience,
        }
    }

    /// Our answer to their offer; our own offer if they made none.
    pub fn respond(
        &mut self,
        offer: Option<&str>,
    ) -> Result<(String, MediaPlan), NegotiationError> {
        let Some(offer) = offer else {
            self.offered = true;
            let sdp = sdp::offer(self.local, &CODECS, Direction::RecvOnly, &mut self.origin);
            // Until their answer comes, the static numbers are all that can be known.
            let audio = |number, codec| (number, Payload::Audio(codec));
            let payloads = vec![audio(0, decoder::Codec::Pcmu), audio(8, decoder::Codec::Pcma)];
            let patience = Some(self.patience);
            return Ok((
                sdp,
                MediaPlan { payloads, rtp: None, rtcp: None, patience, xr: false, send: None },
            ));
        };
        self.offered = false;
        let (sdp, agreed) = Offer::parse(offer)?.answer(self.local, &CODECS, &mut self.origin)?;
        Ok((sdp, plan(&agreed, self.patience)))
    }

    /// Their answer to our offer, if one was open; an ACK to an answer of ours brings nothing.
    pub fn conclude(
        &mut self,
        answer: Option<&str>,
    ) -> Result<Option<MediaPlan>, NegotiationError> {
        if !std::mem::take(&mut self.offered) {
            return Ok(None);
        }
        let answer = Offer::parse(answer.ok_or(NegotiationError::NoAnswer)?)?;
        let agreed = answer.read_answer(&CODECS, Direction::RecvOnly)?;
        Ok(Some(plan(&agreed, self.patience)))
    }
}

fn plan(agreed: &Negotiated, patience: Duration) -> MediaPlan {
    let codec = |codec| match codec {
        Codec::Pcmu => decoder::Codec::Pcmu,
        Codec::Pcma => decoder::Codec::Pcma,
        Codec::Opus => decoder::Codec::Opus,
    };
    // An address without a port, or none at all, is nothing to expect packets from or send to.
    let real = |address: SocketAddr| {
        (address.port() != 0 && !address.ip().is_unspecified()).then_some(address)
    };
    let audio = agreed.payload_types.iter().map(|&(pt, c)| (pt, Payload::Audio(codec(c))));
    let clock_rate = agreed.payload_types.first().map_or(8_000, |&(_, c)| codec(c).clock_rate());
    let events = agreed.telephone_event.map(|pt| (pt, Payload::TelephoneEvent { clock_rate }));
    MediaPlan {
        payloads: audio.chain(events).collect(),
        rtp: real(agreed.rtp),
        rtcp: real(if agreed.rtcp_mux { agreed.rtp } else { agreed.rtcp }),
        patience: (agreed.direction == Direction::RecvOnly).then_some(patience),
        xr: false,
        send: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

    fn negotiation() -> Negotiation {
        Negotiation::new("127.0.0.1:20000".parse().expect("an address"), 7, Duration::from_secs(60))
    }

    #[test]
    fn the_plan_holds_what_was_offered_and_nothing_else() {
        let (sdp, plan) = negotiation().respond(Some(OFFER)).expect("a good offer");
        assert!(
            sdp.contains("a=recvonly") && sdp.contains("m=audio 20000 RTP/AVP 8 0 101"),
            "{sdp}"
        );
        let audio = |number, codec| (number, Payload::Audio(codec));
        assert_eq!(
            plan.payloads,
            [
                audio(8, decoder::Codec::Pcma),
                audio(0, decoder::Codec::Pcmu),
                (101, Payload::TelephoneEvent { clock_rate: 8_000 })
            ]
        );
        assert_eq!(plan.rtp, Some("192.0.2.1:4000".parse().expect("an address")));
        assert_eq!(plan.rtcp, Some("192.0.2.1:4001".parse().expect("an address")));
    }

    #[test]
    fn on_hold_nothing_is_waited_for() {
        let patience = |offer: &str| {
            let (_, plan) = negotiation().respond(Some(offer)).expect("a good offer");
            plan.patience
        };
        assert_eq!(patience(OFFER), Some(Duration::from_secs(60)));
        assert_eq!(patience(&format!("{OFFER}a=inactive\r\n")), None);
        assert_eq!(patience(&format!("{OFFER}a=recvonly\r\n")), None);
    }

    #[test]
    fn our_own_offer_wants_an_answer_once() {
        let mut negotiation = negotiation();
        negotiation.respond(None).expect("an offer of ours");
        assert!(matches!(negotiation.conclude(None), Err(NegotiationError::NoAnswer)));
        assert_eq!(negotiation.conclude(None).expect("nothing is open"), None);
        negotiation.respond(None).expect("an offer of ours");
        assert!(negotiation.conclude(Some(OFFER)).expect("a good answer").is_some());
    }

    #[test]
    fn an_offer_without_a_codec_of_ours_is_not_acceptable() {
        let error = negotiation().respond(Some(&OFFER.replace("8 0 101", "18")));
        assert_eq!(error.expect_err("G.729 alone").status(), 488);
        assert_eq!(negotiation().respond(Some("hello")).expect_err("no SDP").status(), 400);
    }
}
