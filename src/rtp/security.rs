//! What stands between a party's socket and its RTP: nothing, SRTP with keys from SDP, or SRTP with
//! keys from a DTLS handshake. On a leg that is encrypted nothing passes in the clear.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use thiserror::Error;

use crate::rtp::dtls::{self, Dtls, DtlsFailure, DtlsStats, Fingerprint, Identity, Role};
use crate::rtp::packet::is_rtcp;
use crate::rtp::srtp::{MasterKey, ReceiveContext, SendContext, SrtpError};

/// Whether the audio of a peer has to be encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SrtpPolicy {
    /// Whatever is not is refused.
    Require,
    /// It is where they offer it so.
    #[default]
    Prefer,
    /// It is not, and an offer of nothing else is refused.
    Off,
}

/// How the audio of a leg is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    #[default]
    None,
    /// It will be, once their answer has brought the keys; nothing passes until then.
    Awaited,
    /// With keys that SDP brought (RFC 4568).
    Sdes {
        /// Of what they send; several differ by name.
        receive: Vec<MasterKey>,
        /// Of what we send.
        send: MasterKey,
    },
    /// With keys from a handshake on the media port (RFC 5763).
    Dtls {
        /// Our part.
        role: Role,
        /// What their certificate has to look like.
        fingerprint: Fingerprint,
        /// Our certificate.
        identity: Arc<Identity>,
    },
}

impl Security {
    /// The word in reports; `None` where nothing is encrypted.
    pub fn as_str(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Awaited => Some("awaited"),
            Self::Sdes { .. } => Some("sdes"),
            Self::Dtls { .. } => Some("dtls"),
        }
    }
}

/// Why a datagram did not pass.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum GuardError {
    /// It is no good SRTP.
    #[error(transparent)]
    Srtp(#[from] SrtpError),
    /// Media before there are keys.
    #[error("media before there are keys")]
    NoKeys,
    /// STUN, or something else that the leg has no use for (RFC 7983 §7).
    #[error("neither SRTP nor DTLS")]
    NotMedia,
}

/// Counts since the party's audio began, over all of its keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuardStats {
    /// Packets decrypted.
    pub decrypted: u64,
    /// Packets that were changed, made with another key or in the clear: a plain RTP packet is one
    /// whose tag is wrong.
    pub unauthentic: u64,
    /// Packets that came before.
    pub replayed: u64,
    /// Packets that came before there were keys, and RTCP that says it is in the clear.
    pub unprotected: u64,
    /// Datagrams of handshakes, received and sent.
    pub handshake: DtlsStats,
}

/// Lets the peer's packets in, and ours out, the way it was agreed.
#[derive(Debug)]
pub struct Guard {
    security: Security,
    receive: Option<ReceiveContext>,
    send: Option<SendContext>,
    dtls: Option<Dtls>,
    failure: Option<DtlsFailure>,
    transmits: VecDeque<Vec<u8>>,
    stats: GuardStats,
}

impl Guard {
    /// As `security` says. A handshake that we begin begins at once: see [`Self::poll_transmit`].
    pub fn new(now: Instant, security: Security) -> Self {
        let mut guard = Self {
            security: Security::None,
            receive: None,
            send: None,
            dtls: None,
            failure: None,
            transmits: VecDeque::new(),
            stats: GuardStats::default(),
        };
        guard.handle_plan(now, security);
        guard
    }

    /// A re-INVITE settled this. What is as it was keeps its roll-over counters, its replay windows
    /// and its handshake; other keys begin anew (RFC 4568 §7.1.4).
    pub fn handle_plan(&mut self, now: Instant, security: Security) {
        if security == self.security {
            return;
        }
        let before = std::mem::replace(&mut self.security, security.clone());
        let (received, sent) = match &before {
            Security::Sdes { receive, send } => (receive.as_slice(), Some(send)),
            Security::None | Security::Awaited | Security::Dtls { .. } => (&[][..], None),
        };
        self.end_handshake();
        match security {
            Security::Sdes { receive, send } => {
                if receive != received {
                    self.receive = ReceiveContext::new(&receive);
                }
                if Some(&send) != sent {
                    self.send = SendContext::new(&send);
                }
            }
            Security::Dtls { role, fingerprint, identity } => {
                (self.receive, self.send) = (None, None);
                self.dtls = Some(Dtls::new(now, &identity, role, fingerprint));
                self.drain();
            }
            Security::None | Security::Awaited => (self.receive, self.send) = (None, None),
        }
    }

    /// Another guard with the keys, counters and handshake of this one, which lets nothing pass any more; each counts what
    /// it lets pass itself.
    pub fn hand_over(&mut self) -> Self {
        self.stats.handshake = self.stats().handshake;
        Self {
            security: self.security.clone(),
            receive: self.receive.take(),
            send: self.send.take(),
            dtls: self.dtls.take(),
            failure: None,
            transmits: std::mem::take(&mut self.transmits),
            stats: GuardStats::default(),
        }
    }

    /// The RTP or RTCP in `datagram`; `None` if it was part of a handshake. Let only datagrams of
    /// the peer's in here, as far as their source tells.
    pub fn handle_datagram<'a>(
        &mut self,
        now: Instant,
        datagram: &'a [u8],
    ) -> Result<Option<Cow<'a, [u8]>>, GuardError> {
        if self.security == Security::None {
            return Ok(Some(Cow::Borrowed(datagram)));
        }
        match (datagram.first(), &mut self.dtls) {
            (Some(20..=63), Some(dtls)) => {
                dtls.handle_datagram(now, datagram);
                self.drain();
                Ok(None)
            }
            (Some(128..=191), _) => Ok(Some(Cow::Owned(self.unprotect(datagram)?))),
            (Some(_) | None, _) => Err(GuardError::NotMedia),
        }
    }

    fn unprotect(&mut self, datagram: &[u8]) -> Result<Vec<u8>, GuardError> {
        let Some(receive) = &mut self.receive else {
            self.stats.unprotected += 1;
            return Err(GuardError::NoKeys);
        };
        let packet = match is_rtcp(datagram) {
            true => receive.unprotect_rtcp(datagram),
            false => receive.unprotect_rtp(datagram),
        };
        match packet {
            Ok(_) => self.stats.decrypted += 1,
            Err(SrtpError::Replay) => self.stats.replayed += 1,
            Err(SrtpError::Unencrypted) => self.stats.unprotected += 1,
            Err(
                SrtpError::Short
                | SrtpError::Authentication
                | SrtpError::UnknownMki
                | SrtpError::Exhausted,
            ) => self.stats.unauthentic += 1,
        }
        Ok(packet?)
    }

    /// The datagram for an RTP packet of ours; `None` while there are no keys to send it with.
    pub fn protect_rtp(&mut self, packet: Vec<u8>) -> Option<Vec<u8>> {
        match self.security {
            Security::None => Some(packet),
            _ => self.send.as_mut()?.protect_rtp(packet).ok(),
        }
    }

    /// The datagram for an RTCP compound of ours; `None` while there are no keys to send it with.
    pub fn protect_rtcp(&mut self, compound: Vec<u8>) -> Option<Vec<u8>> {
        match self.security {
            Security::None => Some(compound),
            _ => self.send.as_mut()?.protect_rtcp(compound).ok(),
        }
    }

    /// Moves the timers of a handshake.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(dtls) = &mut self.dtls {
            dtls.handle_timeout(now);
            self.drain();
        }
    }

    /// The next datagram of a handshake, for the peer's RTP address; drain it after every `handle_*`
    /// and after [`Self::new`].
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// When [`Self::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.dtls.as_ref().and_then(Dtls::poll_timeout)
    }

    /// How the leg is encrypted.
    pub fn security(&self) -> &Security {
        &self.security
    }

    /// Why there will never be keys, if so.
    pub fn failure(&self) -> Option<&DtlsFailure> {
        self.failure.as_ref()
    }

    /// The counts so far.
    pub fn stats(&self) -> GuardStats {
        let mut stats = self.stats;
        let current = self.dtls.as_ref().map(Dtls::stats).unwrap_or_default();
        stats.handshake.received += current.received;
        stats.handshake.sent += current.sent;
        stats
    }

    fn drain(&mut self) {
        while let Some(output) = self.dtls.as_mut().and_then(Dtls::poll_output) {
            match output {
                dtls::Output::Transmit(datagram) => self.transmits.push_back(datagram),
                dtls::Output::Keys(keys) => {
                    self.receive = ReceiveContext::new(&[keys.receive]);
                    self.send = SendContext::new(&keys.send);
                }
                dtls::Output::Failed(why) => self.failure = Some(why),
            }
        }
    }

    fn end_handshake(&mut self) {
        let handshake = self.stats().handshake;
        self.stats.handshake = handshake;
        self.dtls = None;
        self.failure = None;
        self.transmits.clear();
    }
}
