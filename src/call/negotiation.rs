//! Offer and answer of one call (RFC 3264), as a plan for its media session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::audio::decoder;
use crate::call::key_source::KeySource;
use crate::call::media_plan::{MediaPlan, Payload};
use crate::rtp::dtls::{self, Identity, Role};
use crate::rtp::security::{Security, SrtpPolicy};
use crate::rtp::srtp::{self, MasterKey};
use crate::sdp::answer::{AnswerError, Negotiated, Order, Protection, Terms};
use crate::sdp::codec::Codec;
use crate::sdp::crypto::{Crypto, InlineKey, Suite};
use crate::sdp::direction::Direction;
use crate::sdp::fingerprint::{Fingerprint, Hash, Setup};
use crate::sdp::offer::{Offer, OfferError};
use crate::sdp::session::{self, Local, Origin};
use crate::sdp::several::Settled;

/// The suite in our own offers: the one that every peer with SRTP has (RFC 4568 §6.2).
const OFFERED_SUITE: Suite = Suite::AesCm128HmacSha1_80;

/// What we take from one kind of peer, and what we give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaTerms {
    /// What we decode, in the order of preference, which is that of our own offers.
    pub codecs: Vec<Codec>,
    /// Whose order an answer of ours keeps to.
    pub order: Order,
    /// Whether its audio has to be encrypted.
    pub srtp: SrtpPolicy,
    /// Whether it is sent silence: FreeSWITCH without a soft timer waits for our packets with its own.
    pub send_silence: bool,
    /// Our certificate for DTLS; without, DTLS is not taken.
    pub identity: Option<Arc<Identity>>,
}

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
    terms: MediaTerms,
    keys: KeySource,
    /// The protection in our own offer, while that is open.
    offered: Option<Protection>,
    /// The protection that was agreed on last.
    agreed: Protection,
    /// How long a peer that is to send may send nothing.
    patience: Duration,
}

impl Default for MediaTerms {
    /// Every codec, in the order of the offer; encrypted where that is offered with keys.
    fn default() -> Self {
        Self {
            codecs: Codec::ALL.to_vec(),
            order: Order::Theirs,
            srtp: SrtpPolicy::Prefer,
            send_silence: false,
            identity: None,
        }
    }
}

impl Negotiation {
    /// `local` is where our RTP socket is reached; RTCP is one port above. `session_id` names our
    /// side in SDP; `patience` is how long nothing may come from a peer that is to send.
    pub fn new(
        local: SocketAddr,
        session_id: u64,
        patience: Duration,
        terms: MediaTerms,
        keys: KeySource,
    ) -> Self {
        Self {
            local: Local { rtp: local, rtcp_port: local.port() + 1 },
            origin: Origin::new(session_id),
            terms,
            keys,
            offered: None,
            agreed: Protection::None,
            patience,
        }
    }

    /// Our answer to their offer; our own offer if they made none.
    pub fn respond(
        &mut self,
        offer: Option<&str>,
    ) -> Result<(String, MediaPlan), NegotiationError> {
        let Some(offer) = offer else { return Ok(self.offer()) };
        self.offered = None;
        let offer = Offer::parse(offer)?;
        let sends = self.terms.send_silence;
        let (sdp, agreed) = self.on_terms(sends, |terms, origin| offer.answer(terms, origin))?;
        self.settle(&agreed.protection);
        Ok((sdp, self.plan(&agreed)))
    }

    /// What we answer to the stream of m-line `index` of `offer` alone, of which we send nothing back.
    pub fn respond_to_stream(
        &mut self,
        offer: &Offer,
        index: usize,
    ) -> Result<(Settled, MediaPlan), NegotiationError> {
        let settled = self.on_terms(false, |terms, _| offer.settle(index, terms))?;
        self.settle(&settled.negotiated.protection);
        let plan = self.plan(&settled.negotiated);
        Ok((settled, plan))
    }

    /// Does what is done on our terms as they stand; `sends` silence to who would hear it.
    fn on_terms<T>(&mut self, sends: bool, act: impl FnOnce(&Terms<'_>, &mut Origin) -> T) -> T {
        let standing = match &self.agreed {
            Protection::Sdes { ours, .. } => Some(ours),
            Protection::None | Protection::Dtls { .. } => None,
        };
        let fresh =
            |suite: Suite| InlineKey { secret: self.keys.next(suite.secret_length()), mki: None };
        // Ours stays as long as the suite does, and its counters with it.
        let key = |suite| match standing {
            Some(Crypto { suite: same, keys, .. }) if *same == suite => keys[0].clone(),
            Some(_) | None => fresh(suite),
        };
        let certificate = self.terms.identity.as_ref().map(|identity| told(identity.fingerprint()));
        let encrypts = self.terms.srtp != SrtpPolicy::Off;
        let terms = Terms {
            local: self.local,
            codecs: &self.terms.codecs,
            order: self.terms.order,
            plain: self.terms.srtp != SrtpPolicy::Require,
            keys: encrypts.then_some(&key as &dyn Fn(Suite) -> InlineKey),
            certificate: certificate.as_ref().filter(|_| encrypts),
            setup: match self.agreed {
                Protection::Dtls { setup, .. } => Some(setup),
                Protection::None | Protection::Sdes { .. } => None,
            },
            sends,
        };
        act(&terms, &mut self.origin)
    }

    /// Their answer to our offer, if one was open; an ACK to an answer of ours brings nothing.
    pub fn conclude(
        &mut self,
        answer: Option<&str>,
    ) -> Result<Option<MediaPlan>, NegotiationError> {
        let Some(offered) = self.offered.take() else { return Ok(None) };
        let answer = Offer::parse(answer.ok_or(NegotiationError::NoAnswer)?)?;
        let agreed = answer.read_answer(&self.terms.codecs, self.direction(), &offered)?;
        self.settle(&agreed.protection);
        Ok(Some(self.plan(&agreed)))
    }

    fn direction(&self) -> Direction {
        Direction::of(self.terms.send_silence, true)
    }

    /// Our own offer, and what can come before its answer.
    fn offer(&mut self) -> (String, MediaPlan) {
        let protection = match &self.agreed {
            Protection::Sdes { ours, .. } => {
                Protection::Sdes { theirs: Vec::new(), ours: ours.clone() }
            }
            Protection::Dtls { ours, .. } => {
                Protection::Dtls { theirs: None, ours: ours.clone(), setup: Setup::ActPass }
            }
            Protection::None => match self.terms.srtp {
                SrtpPolicy::Require => {
                    let secret = self.keys.next(OFFERED_SUITE.secret_length());
                    self.keys.spend();
                    let keys = vec![InlineKey { secret, mki: None }];
                    let ours = Crypto { tag: 1, suite: OFFERED_SUITE, keys };
                    Protection::Sdes { theirs: Vec::new(), ours }
                }
                // Asterisk and FreeSWITCH refuse RTP/SAVP where they were not set up for it, and no
                // offer can say "encrypted if you like" in words that all understand.
                SrtpPolicy::Prefer | SrtpPolicy::Off => Protection::None,
            },
        };
        let (codecs, direction) = (&self.terms.codecs, self.direction());
        let sdp = session::offer(self.local, codecs, direction, &protection, &mut self.origin);
        let security = security(&protection, None);
        self.offered = Some(protection);
        // Until their answer comes, the static numbers are all that can be known.
        let statics = [(0, Codec::Pcmu), (8, Codec::Pcma), (9, Codec::G722)];
        let known = statics.into_iter().filter(|(_, codec)| codecs.contains(codec));
        let payloads = known.map(|(number, codec)| (number, Payload::Audio(decoded(codec))));
        let plan = MediaPlan {
            payloads: payloads.collect(),
            rtp: None,
            rtcp: None,
            patience: Some(self.patience),
            xr: false,
            send: None,
            security,
        };
        (sdp, plan)
    }

    /// Remembers what was agreed on; a key that was not in use before is used now.
    fn settle(&mut self, protection: &Protection) {
        let key = |protection: &Protection| match protection {
            Protection::Sdes { ours, .. } => ours.keys.first().cloned(),
            Protection::None | Protection::Dtls { .. } => None,
        };
        let new = key(protection);
        if new.is_some() && new != key(&self.agreed) {
            self.keys.spend();
        }
        self.agreed = protection.clone();
    }

    fn plan(&self, agreed: &Negotiated) -> MediaPlan {
        // An address without a port, or none at all, is nothing to expect packets from or send to.
        let real = |address: SocketAddr| {
            (address.port() != 0 && !address.ip().is_unspecified()).then_some(address)
        };
        let audio = agreed.payload_types.iter().map(|&(pt, c)| (pt, Payload::Audio(decoded(c))));
        let noise = agreed.comfort_noise.iter();
        let noise = noise.map(|&(pt, clock_rate)| (pt, Payload::ComfortNoise { clock_rate }));
        let events = agreed.telephone_events.iter();
        let events = events.map(|&(pt, clock_rate)| (pt, Payload::TelephoneEvent { clock_rate }));
        // A handshake gives keys to one pair of ports (RFC 5764 §5.1.2): RTCP on a port of its own
        // would want a second one, for reports that nobody needs.
        let by_handshake = matches!(agreed.protection, Protection::Dtls { .. });
        let rtcp = match agreed.rtcp_mux {
            true => real(agreed.rtp),
            false => real(agreed.rtcp).filter(|_| !by_handshake),
        };
        MediaPlan {
            payloads: audio.chain(noise).chain(events).collect(),
            rtp: real(agreed.rtp),
            rtcp,
            patience: agreed.direction.hears().then_some(self.patience),
            xr: agreed.xr,
            send: agreed
                .sent()
                .filter(|_| agreed.direction.sends())
                .map(|(number, codec)| (number, decoded(codec))),
            security: security(&agreed.protection, self.terms.identity.as_ref()),
        }
    }
}

fn decoded(codec: Codec) -> decoder::Codec {
    match codec {
        Codec::Pcmu => decoder::Codec::Pcmu,
        Codec::Pcma => decoder::Codec::Pcma,
        Codec::G722 => decoder::Codec::G722,
        Codec::L16 => decoder::Codec::L16,
        Codec::L16Wide => decoder::Codec::L16Wide,
        Codec::Opus => decoder::Codec::Opus,
    }
}

/// What was agreed on in SDP, as the media port does it. What their answer has yet to bring is
/// awaited.
fn security(protection: &Protection, identity: Option<&Arc<Identity>>) -> Security {
    match protection {
        Protection::None => Security::None,
        Protection::Sdes { theirs, ours } if !theirs.is_empty() => {
            let master = |key: &InlineKey| {
                let suite = suite(ours.suite);
                MasterKey::new(suite, &key.secret, key.mki.clone())
                    .expect("SDP takes no key that has not the length of its suite")
            };
            let receive = theirs.iter().map(master).collect();
            Security::Sdes { receive, send: master(&ours.keys[0]) }
        }
        Protection::Dtls { theirs: Some(theirs), setup, .. } => {
            let role = match setup {
                Setup::Active => Role::Client,
                Setup::Passive => Role::Server,
                Setup::ActPass => return Security::Awaited,
            };
            let Some(identity) = identity else { return Security::Awaited };
            let fingerprint = expected(theirs);
            Security::Dtls { role, fingerprint, identity: Arc::clone(identity) }
        }
        Protection::Sdes { .. } | Protection::Dtls { theirs: None, .. } => Security::Awaited,
    }
}

fn suite(suite: Suite) -> srtp::Suite {
    match suite {
        Suite::AesCm128HmacSha1_80 => srtp::Suite::AesCm128HmacSha1_80,
        Suite::AesCm128HmacSha1_32 => srtp::Suite::AesCm128HmacSha1_32,
        Suite::Aes256CmHmacSha1_80 => srtp::Suite::Aes256CmHmacSha1_80,
        Suite::Aes256CmHmacSha1_32 => srtp::Suite::Aes256CmHmacSha1_32,
        Suite::AeadAes128Gcm => srtp::Suite::AeadAes128Gcm,
        Suite::AeadAes256Gcm => srtp::Suite::AeadAes256Gcm,
    }
}

/// Our fingerprint, for SDP.
fn told(fingerprint: &dtls::Fingerprint) -> Fingerprint {
    let hash = match fingerprint.hash {
        dtls::Hash::Sha256 => Hash::Sha256,
        dtls::Hash::Sha384 => Hash::Sha384,
        dtls::Hash::Sha512 => Hash::Sha512,
    };
    Fingerprint { hash, digest: fingerprint.digest.clone() }
}

/// Theirs, from SDP.
fn expected(fingerprint: &Fingerprint) -> dtls::Fingerprint {
    let hash = match fingerprint.hash {
        Hash::Sha256 => dtls::Hash::Sha256,
        Hash::Sha384 => dtls::Hash::Sha384,
        Hash::Sha512 => dtls::Hash::Sha512,
    };
    dtls::Fingerprint { hash, digest: fingerprint.digest.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

    fn negotiation() -> Negotiation {
        agreeing(MediaTerms::default())
    }

    fn agreeing(terms: MediaTerms) -> Negotiation {
        let local = "127.0.0.1:20000".parse().expect("an address");
        Negotiation::new(local, 7, Duration::from_secs(60), terms, KeySource::new([7; 32]))
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
    fn noise_events_and_wishes_of_the_offer_come_into_the_plan() {
        let offer = OFFER.replace("8 0 101", "107 9 96 13 101 102")
            + "a=rtpmap:107 opus/48000/2\r\na=rtpmap:96 L16/16000\r\n\
               a=rtpmap:102 telephone-event/48000\r\na=rtcp-xr:voip-metrics\r\n";
        let (_, plan) = negotiation().respond(Some(&offer)).expect("a good offer");
        assert_eq!(
            plan.payloads,
            [
                (107, Payload::Audio(decoder::Codec::Opus)),
                (9, Payload::Audio(decoder::Codec::G722)),
                (96, Payload::Audio(decoder::Codec::L16Wide)),
                (13, Payload::ComfortNoise { clock_rate: 8_000 }),
                (101, Payload::TelephoneEvent { clock_rate: 8_000 }),
                (102, Payload::TelephoneEvent { clock_rate: 48_000 }),
            ]
        );
        assert!(plan.xr && plan.security == Security::None && plan.send.is_none());
    }

    #[test]
    fn silence_is_sent_where_it_was_asked_for_and_would_be_heard() {
        let terms = MediaTerms { send_silence: true, ..MediaTerms::default() };
        let respond = |offer: &str| agreeing(terms.clone()).respond(Some(offer)).expect("good");
        let (sdp, plan) = respond(OFFER);
        assert!(sdp.contains("a=sendrecv\r\n"), "{sdp}");
        assert_eq!(plan.send, Some((8, decoder::Codec::Pcma)));
        assert_eq!(plan.patience, Some(Duration::from_secs(60)), "we hear as well");
        let opus_first = OFFER.replace("8 0 101", "107 0") + "a=rtpmap:107 opus/48000/2\r\n";
        assert_eq!(respond(&opus_first).1.send, Some((0, decoder::Codec::Pcmu)));
        let (sdp, plan) = respond(&OFFER.replace("8 0 101", "107\r\na=rtpmap:107 opus/48000/2"));
        assert!(sdp.contains("a=recvonly\r\n") && plan.send.is_none(), "{sdp}");
        assert_eq!(respond(&format!("{OFFER}a=sendonly\r\n")).1.send, None);
        let only_us = respond(&format!("{OFFER}a=recvonly\r\n")).1;
        assert!(only_us.send.is_some() && only_us.patience.is_none());
        let mut ours = agreeing(terms);
        assert!(ours.respond(None).expect("an offer").0.contains("a=sendrecv\r\n"));
        let plan = ours.conclude(Some(OFFER)).expect("an answer").expect("to our offer");
        assert_eq!(plan.send, Some((8, decoder::Codec::Pcma)));
    }

    #[test]
    fn what_is_not_in_the_terms_is_not_taken() {
        let codecs = vec![Codec::Pcmu, Codec::Pcma];
        let terms = MediaTerms { codecs, order: Order::Ours, ..MediaTerms::default() };
        let (sdp, _) = agreeing(terms.clone()).respond(Some(OFFER)).expect("a good offer");
        assert!(sdp.contains("m=audio 20000 RTP/AVP 0 8 101\r\n"), "{sdp}");
        let error = agreeing(terms).respond(Some(&OFFER.replace("8 0 101", "9")));
        assert_eq!(error.expect_err("G.722 alone").status(), 488);
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
