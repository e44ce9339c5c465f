//! What is agreed: our answer to their offer, and their answer to ours.

use std::fmt;
use std::net::SocketAddr;

use crate::sdp::codec::Codec;
use crate::sdp::crypto::{Crypto, InlineKey, Suite};
use crate::sdp::direction::Direction;
use crate::sdp::fingerprint::{Fingerprint, Setup};
use crate::sdp::offer::Offer;
use crate::sdp::session::{Local, Origin, accepted, bare, refused};
use crate::sdp::stream::{Stream, Transport};

/// What we take, and how.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// Where we listen.
    pub local: Local,
    /// What we decode, in the order of preference.
    pub codecs: &'a [Codec],
    /// Whose order the answer keeps to.
    pub order: Order,
    /// Whether audio may come unencrypted.
    pub plain: bool,
    /// The key that we would send with in a suite; `None` takes no keys in SDP.
    pub keys: Option<&'a dyn Fn(Suite) -> InlineKey>,
    /// Our certificate; `None` takes no DTLS.
    pub certificate: Option<&'a Fingerprint>,
    /// Our part in the handshake that stands: where they leave the choice, it stays (RFC 8842 §5.3).
    pub setup: Option<Setup>,
    /// Whether we send silence to who would hear us.
    pub sends: bool,
}

/// Whose order of codecs an answer keeps to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The offer's: what they would like to send comes first (RFC 3264 §6.1).
    #[default]
    Theirs,
    /// Ours.
    Ours,
}

/// How the audio of both sides is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Not at all.
    None,
    /// By keys in SDP (RFC 4568).
    Sdes {
        /// Theirs; without keys until they have answered.
        theirs: Vec<InlineKey>,
        /// Ours, with the tag of the line that was taken.
        ours: Crypto,
    },
    /// By DTLS (RFC 5763).
    Dtls {
        /// Of their certificate; `None` until they have answered.
        theirs: Option<Fingerprint>,
        /// Of our certificate.
        ours: Fingerprint,
        /// Our part in the handshake.
        setup: Setup,
    },
}

/// What the two sides settled on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// Payload types of audio that may come.
    pub payload_types: Vec<(u8, Codec)>,
    /// Payload types of telephone-event (RFC 4733) that both know, each with its clock.
    pub telephone_events: Vec<(u8, u32)>,
    /// Payload types of comfort noise (RFC 3389) likewise.
    pub comfort_noise: Vec<(u8, u32)>,
    /// Where their RTP is; the address is unspecified where they did not say, or are on hold in the
    /// old way, and the port is 0 where the stream is switched off.
    pub rtp: SocketAddr,
    /// Where their RTCP is, like `rtp`.
    pub rtcp: SocketAddr,
    /// Whether RTCP comes on the port of RTP (RFC 5761).
    pub rtcp_mux: bool,
    /// As seen from us: [`Direction::RecvOnly`] is a listener with something to hear.
    pub direction: Direction,
    /// Length of a packet in milliseconds, where said and sane.
    pub ptime: Option<u16>,
    /// The stream's label (RFC 4574), by which SIPREC metadata names it.
    pub label: Option<String>,
    /// Whether they want extended reports about the voice (RFC 3611 §4.7).
    pub xr: bool,
    /// How it is encrypted.
    pub protection: Protection,
}

/// Why there is no session to be had from a well-formed description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// No audio stream over RTP.
    #[error("no audio stream over RTP")]
    NoAudio,
    /// Encrypted, and that is switched off.
    #[error("only encrypted audio is offered, and srtp is off")]
    Encrypted,
    /// Not encrypted, and it has to be.
    #[error("audio has to be encrypted, and is offered without")]
    Unencrypted,
    /// Encrypted, but by no suite, hash or handshake of ours.
    #[error("no usable key or certificate for encrypted audio")]
    NoKey,
    /// Audio over RTP, but in no codec of ours.
    #[error("no codec in common")]
    NoCodec,
}

impl Offer {
    /// Answers with one stream, the first that fits, and every other m-line refused in its place.
    pub fn answer(
        &self,
        terms: &Terms<'_>,
        origin: &mut Origin,
    ) -> Result<(String, Negotiated), AnswerError> {
        let (stream, mut negotiated) = self.choose(terms.codecs, |s| terms.protection(s))?;
        if terms.order == Order::Ours {
            terms.sort(&mut negotiated);
        }
        // Whoever only listens sends nothing, and hears nothing from one who does not send.
        let sends = terms.sends && negotiated.sent().is_some();
        negotiated.direction = Direction::of(
            sends && stream.direction.hears() && !stream.on_hold,
            stream.direction.sends() && !stream.on_hold,
        );
        let mut session = bare(terms.local.rtp.ip());
        session.times.clone_from(&self.session.times);
        for (index, offered) in self.session.medias.iter().enumerate() {
            session.medias.push(if index == stream.index {
                accepted(offered, terms.local, &negotiated, stream.rtp.port() == 0)
            } else {
                refused(offered)
            });
        }
        Ok((origin.sign(session), negotiated))
    }

    /// Reads this description as the answer to our [`crate::sdp::session::offer`] of `codecs` with
    /// `direction` and `protection`.
    pub fn read_answer(
        &self,
        codecs: &[Codec],
        direction: Direction,
        protection: &Protection,
    ) -> Result<Negotiated, AnswerError> {
        let (stream, mut negotiated) = self.choose(codecs, |s| protection.taken(s))?;
        if stream.rtp.port() == 0 {
            return Err(AnswerError::NoAudio);
        }
        negotiated.direction = Direction::of(
            direction.sends() && stream.direction.hears() && !stream.on_hold,
            direction.hears() && stream.direction.sends() && !stream.on_hold,
        );
        Ok(negotiated)
    }

    /// The first stream with a codec of ours and a protection that `protect` takes; one that is
    /// switched off (port 0) only if no other is.
    fn choose(
        &self,
        codecs: &[Codec],
        protect: impl Fn(&Stream) -> Result<Protection, AnswerError>,
    ) -> Result<(&Stream, Negotiated), AnswerError> {
        let judged = self.streams.iter().map(|stream| {
            let protection = protect(stream)?;
            stream.codecs(codecs).next().ok_or(AnswerError::NoCodec)?;
            Ok((stream, protection))
        });
        let judged: Vec<Result<_, _>> = judged.collect();
        let good = || judged.iter().flatten();
        let live = good().find(|(stream, _)| stream.rtp.port() != 0);
        let Some((stream, protection)) = live.or_else(|| good().next()) else {
            // Of several reasons the first stream's is told: it is the one most wanted.
            let why = judged.iter().find_map(|judged| judged.as_ref().err().copied());
            return Err(why.unwrap_or(AnswerError::NoAudio));
        };
        Ok((stream, Negotiated::of(stream, codecs, protection.clone())?))
    }
}

impl Negotiated {
    /// What `stream` and our `codecs` have in common; the direction is for others to say.
    pub(super) fn of(
        stream: &Stream,
        codecs: &[Codec],
        protection: Protection,
    ) -> Result<Self, AnswerError> {
        let payload_types: Vec<_> = stream.codecs(codecs).collect();
        if payload_types.is_empty() {
            return Err(AnswerError::NoCodec);
        }
        Ok(Self {
            telephone_events: stream.telephone_events(&payload_types),
            comfort_noise: stream.comfort_noise(&payload_types),
            payload_types,
            rtp: stream.rtp,
            rtcp: stream.rtcp,
            rtcp_mux: stream.rtcp_mux,
            direction: Direction::Inactive,
            ptime: stream.ptime,
            label: stream.label.clone(),
            xr: stream.xr,
            protection,
        })
    }
}

impl<'a> Terms<'a> {
    /// Of a listener who takes these codecs unencrypted, in the order of the offer.
    pub fn plain(local: Local, codecs: &'a [Codec]) -> Self {
        Self {
            local,
            codecs,
            order: Order::Theirs,
            plain: true,
            keys: None,
            certificate: None,
            setup: None,
            sends: false,
        }
    }

    /// Puts what was agreed on in our order.
    pub(super) fn sort(&self, negotiated: &mut Negotiated) {
        let place = |codec| self.codecs.iter().position(|ours| *ours == codec);
        negotiated.payload_types.sort_by_key(|(_, codec)| place(*codec));
    }

    /// How the audio of `stream` would be encrypted. An offer that wants encryption is never
    /// answered without: Asterisk would take such an answer for good.
    pub(super) fn protection(&self, stream: &Stream) -> Result<Protection, AnswerError> {
        let by_keys = || {
            let (keys, theirs) = (self.keys?, stream.cryptos.first()?);
            let (tag, suite) = (theirs.tag, theirs.suite);
            let ours = Crypto { tag, suite, keys: vec![keys(suite)] };
            Some(Protection::Sdes { theirs: theirs.keys.clone(), ours })
        };
        let by_handshake = || {
            let setup = match (stream.setup?, self.setup) {
                (Setup::Passive, _) | (Setup::ActPass, Some(Setup::Active)) => Setup::Active,
                (Setup::Active | Setup::ActPass, _) => Setup::Passive,
            };
            let theirs = Some(stream.fingerprint.clone()?);
            Some(Protection::Dtls { theirs, ours: self.certificate?.clone(), setup })
        };
        match stream.transport {
            // Best effort: Snom and Linphone offer keys beside RTP/AVP to those who can.
            Transport::Plain => match by_keys() {
                Some(protection) => Ok(protection),
                None if self.plain => Ok(Protection::None),
                None => Err(AnswerError::Unencrypted),
            },
            _ if self.keys.is_none() && self.certificate.is_none() => Err(AnswerError::Encrypted),
            Transport::Secure => by_keys().or_else(by_handshake).ok_or(AnswerError::NoKey),
            Transport::DtlsSecure => by_handshake().ok_or(AnswerError::NoKey),
        }
    }
}

impl Protection {
    /// What their answer made of what we offered. Asterisk with `media_encryption=no` answers
    /// RTP/AVP to RTP/SAVP; such an answer is none.
    fn taken(&self, stream: &Stream) -> Result<Self, AnswerError> {
        match (self, stream.transport) {
            (Self::None, Transport::Plain) => Ok(Self::None),
            (Self::None, Transport::Secure | Transport::DtlsSecure) => Err(AnswerError::Encrypted),
            (Self::Sdes { .. } | Self::Dtls { .. }, Transport::Plain) => {
                Err(AnswerError::Unencrypted)
            }
            (Self::Sdes { ours, .. }, Transport::Secure) => {
                let same = |line: &&Crypto| (line.tag, line.suite) == (ours.tag, ours.suite);
                let line = stream.cryptos.iter().find(same).ok_or(AnswerError::NoKey)?;
                Ok(Self::Sdes { theirs: line.keys.clone(), ours: ours.clone() })
            }
            (Self::Dtls { ours, .. }, Transport::Secure | Transport::DtlsSecure) => {
                let setup = match stream.setup {
                    Some(Setup::Active) => Setup::Passive,
                    Some(Setup::Passive) => Setup::Active,
                    Some(Setup::ActPass) | None => return Err(AnswerError::NoKey),
                };
                let theirs = stream.fingerprint.clone().ok_or(AnswerError::NoKey)?;
                Ok(Self::Dtls { theirs: Some(theirs), ours: ours.clone(), setup })
            }
            (Self::Sdes { .. }, Transport::DtlsSecure) => Err(AnswerError::NoKey),
        }
    }
}

impl Negotiated {
    /// What we would send: the first codec that needs no encoder.
    pub fn sent(&self) -> Option<(u8, Codec)> {
        self.payload_types.iter().copied().find(|(_, codec)| codec.can_be_sent())
    }
}

impl fmt::Debug for Terms<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("local", &self.local)
            .field("codecs", &self.codecs)
            .field("order", &self.order)
            .field("plain", &self.plain)
            .field("keys", &self.keys.is_some())
            .field("certificate", &self.certificate)
            .field("setup", &self.setup)
            .field("sends", &self.sends)
            .finish()
    }
}
