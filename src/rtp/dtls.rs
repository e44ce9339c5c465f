//! Keys for SRTP by a handshake between the media ports: DTLS-SRTP (RFC 5763, RFC 5764), DTLS 1.2.
//!
//! The wall around `dimpl` 0.9. It takes time as an argument, and chance from the system: a key
//! exchange must not be repeatable. It knows ECDSA certificates alone, so a peer whose certificate
//! is RSA is refused in the handshake.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use dimpl::{Config, DtlsCertificate, SrtpProfile};
use sha2::{Digest, Sha256, Sha384, Sha512};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::rtp::srtp::{MasterKey, Suite};

/// Room for one record; a flight is cut into datagrams of at most 1150 octets.
const DATAGRAM: usize = 2_048;

/// With what a certificate was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// 32 octets.
    Sha256,
    /// 48 octets.
    Sha384,
    /// 64 octets.
    Sha512,
}

/// By which the certificate of a side is known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// How it was made.
    pub hash: Hash,
    /// Its octets.
    pub digest: Vec<u8>,
}

/// Who we are in handshakes: a certificate that signs itself, and its key. Peers know it by the
/// fingerprint that SDP brought them.
pub struct Identity {
    certificate: DtlsCertificate,
    config: Arc<Config>,
    fingerprint: Fingerprint,
}

/// Why a certificate and its key are of no use.
#[derive(Debug, Error)]
#[error("no DTLS with this certificate: {0}")]
pub struct IdentityError(String);

/// Our part in a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// We connect: `a=setup:active`.
    Client,
    /// They connect: `a=setup:passive`.
    Server,
}

/// The keys of one direction each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Of what they send.
    pub receive: MasterKey,
    /// Of what we send.
    pub send: MasterKey,
}

/// What the owner has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to the peer, from the socket that its datagrams come to.
    Transmit(Vec<u8>),
    /// The peer is who SDP says, and these are the keys.
    Keys(Keys),
    /// There will be no keys.
    Failed(DtlsFailure),
}

/// Why a handshake came to nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DtlsFailure {
    /// Somebody else answered.
    #[error("the certificate is not the one of a=fingerprint (RFC 5763 §5)")]
    Fingerprint,
    /// They do not do SRTP, or none of ours.
    #[error("no SRTP protection profile in common (RFC 5764 §4.1.2)")]
    Profile,
    /// Nothing was heard for too long.
    #[error("the handshake was not finished in time")]
    TimedOut,
    /// One side did not like what the other said.
    #[error("the handshake failed: {0}")]
    Handshake(String),
}

/// Counts since the handshake began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DtlsStats {
    /// Datagrams received.
    pub received: u64,
    /// Datagrams to be sent.
    pub sent: u64,
}

/// One handshake, and the association that it leads to: it stays, to say its last words again where
/// they were lost.
pub struct Dtls {
    role: Role,
    expected: Fingerprint,
    state: State,
    /// Where a record is put together.
    buffer: Vec<u8>,
    outputs: VecDeque<Output>,
    timeout: Option<Instant>,
    stats: DtlsStats,
}

enum State {
    /// The peer has not shown its certificate.
    Unknown(Box<dimpl::Dtls>),
    /// It is the right one.
    Known(Box<dimpl::Dtls>),
    /// As `Known`, and the keys are out.
    Keyed(Box<dimpl::Dtls>),
    Failed,
}

impl Fingerprint {
    /// Of a certificate in DER.
    pub fn of(hash: Hash, certificate: &[u8]) -> Self {
        let digest = match hash {
            Hash::Sha256 => Sha256::digest(certificate).to_vec(),
            Hash::Sha384 => Sha384::digest(certificate).to_vec(),
            Hash::Sha512 => Sha512::digest(certificate).to_vec(),
        };
        Self { hash, digest }
    }
}

impl Identity {
    /// `certificate` and `key` in DER (PKCS #8), of ECDSA on the curve P-256.
    pub fn new(certificate: Vec<u8>, key: Vec<u8>) -> Result<Self, IdentityError> {
        let provider = dimpl::crypto::rust_crypto::default_provider();
        provider
            .key_provider
            .load_private_key(&key)
            .map_err(|error| IdentityError(error.to_string()))?;
        let config = Config::builder().with_crypto_provider(provider).build();
        let config = Arc::new(config.map_err(|error| IdentityError(error.to_string()))?);
        let fingerprint = Fingerprint::of(Hash::Sha256, &certificate);
        let certificate = DtlsCertificate { certificate, private_key: key };
        Ok(Self { certificate, config, fingerprint })
    }

    /// For `a=fingerprint`; SHA-256.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

impl Dtls {
    /// A handshake with whoever has the certificate of `expected`. As the client it begins at once.
    pub fn new(now: Instant, identity: &Identity, role: Role, expected: Fingerprint) -> Self {
        let (config, certificate) = (Arc::clone(&identity.config), identity.certificate.clone());
        let mut dtls = dimpl::Dtls::new_12(config, certificate, now);
        dtls.set_active(role == Role::Client);
        let mut machine = Self {
            role,
            expected,
            state: State::Unknown(Box::new(dtls)),
            buffer: vec![0; DATAGRAM],
            outputs: VecDeque::new(),
            timeout: None,
            stats: DtlsStats::default(),
        };
        machine.handle_timeout(now);
        machine
    }

    /// A datagram whose first octet is 20 to 63 (RFC 7983 §7).
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        self.stats.received += 1;
        self.advance(|dtls| dtls.handle_timeout(now).and_then(|()| dtls.handle_packet(datagram)));
    }

    /// Says again what was not answered.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(|dtls| dtls.handle_timeout(now));
    }

    /// The next thing to do; drain it after every `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timeout
    }

    /// The counts so far.
    pub fn stats(&self) -> DtlsStats {
        self.stats
    }

    fn advance(&mut self, act: impl FnOnce(&mut dimpl::Dtls) -> Result<(), dimpl::Error>) {
        let (State::Unknown(dtls) | State::Known(dtls) | State::Keyed(dtls)) = &mut self.state
        else {
            return;
        };
        let acted = act(dtls);
        // What it said before it broke, an alert perhaps, is still sent.
        self.drain();
        if let Err(error) = acted {
            if matches!(self.state, State::Keyed(_)) {
                // They took their leave; the keys are good until SIP ends the call.
                (self.state, self.timeout) = (State::Failed, None);
                return;
            }
            self.fail(match error {
                dimpl::Error::Timeout(_) => DtlsFailure::TimedOut,
                other => DtlsFailure::Handshake(other.to_string()),
            });
        }
    }

    fn drain(&mut self) {
        loop {
            let (State::Unknown(dtls) | State::Known(dtls) | State::Keyed(dtls)) = &mut self.state
            else {
                return;
            };
            match dtls.poll_output(&mut self.buffer) {
                dimpl::Output::Packet(packet) => {
                    self.stats.sent += 1;
                    self.outputs.push_back(Output::Transmit(packet.to_vec()));
                }
                dimpl::Output::BufferTooSmall { needed } => self.buffer.resize(needed, 0),
                dimpl::Output::Timeout(at) => {
                    self.timeout = Some(at);
                    return;
                }
                dimpl::Output::PeerCert(certificate) => {
                    let shown = Fingerprint::of(self.expected.hash, certificate);
                    self.identify(shown == self.expected);
                }
                dimpl::Output::KeyingMaterial(material, profile) => {
                    let secret = Zeroizing::new(material.to_vec());
                    self.deliver(&secret, profile);
                }
                dimpl::Output::Connected => {
                    // The keys come with it or not at all.
                    if matches!(self.state, State::Unknown(_)) {
                        return self.fail(DtlsFailure::Fingerprint);
                    }
                }
                // Nothing but RTP is said here, and the end of the call is SIP's to tell.
                _ => {}
            }
        }
    }

    fn identify(&mut self, known: bool) {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Unknown(dtls) if known => self.state = State::Known(dtls),
            State::Unknown(_) | State::Known(_) | State::Keyed(_) => {
                self.fail(DtlsFailure::Fingerprint);
            }
            State::Failed => {}
        }
    }

    /// Client's key, server's key, client's salt, server's salt (RFC 5764 §4.2).
    fn deliver(&mut self, material: &[u8], profile: SrtpProfile) {
        let suite = match profile {
            SrtpProfile::AES128_CM_SHA1_80 => Suite::AesCm128HmacSha1_80,
            SrtpProfile::AEAD_AES_128_GCM => Suite::AeadAes128Gcm,
            SrtpProfile::AEAD_AES_256_GCM => Suite::AeadAes256Gcm,
            _ => return self.fail(DtlsFailure::Profile),
        };
        let (key, salt) = (suite.key_length(), suite.salt_length());
        let side = |n: usize| {
            let key_at = material.get(n * key..(n + 1) * key)?;
            let salt_at = material.get(2 * key + n * salt..2 * key + (n + 1) * salt)?;
            MasterKey::new(suite, &Zeroizing::new([key_at, salt_at].concat()), None)
        };
        let (Some(client), Some(server)) = (side(0), side(1)) else {
            return self.fail(DtlsFailure::Profile);
        };
        let keys = match self.role {
            Role::Client => Keys { receive: server, send: client },
            Role::Server => Keys { receive: client, send: server },
        };
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Known(dtls) => {
                self.state = State::Keyed(dtls);
                self.outputs.push_back(Output::Keys(keys));
            }
            // Keys before the certificate are nobody's.
            State::Unknown(_) | State::Keyed(_) => self.fail(DtlsFailure::Fingerprint),
            State::Failed => {}
        }
    }

    fn fail(&mut self, why: DtlsFailure) {
        self.state = State::Failed;
        self.timeout = None;
        self.outputs.push_back(Output::Failed(why));
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Identity {}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl fmt::Debug for Dtls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Unknown(_) => "unknown",
            State::Known(_) => "known",
            State::Keyed(_) => "keyed",
            State::Failed => "failed",
        };
        f.debug_struct("Dtls").field("role", &self.role).field("state", &state).finish()
    }
}
