//! Encrypted RTP and RTCP (RFC 3711), with AES-256 (RFC 6188) and AES-GCM (RFC 7714).
//!
//! The wall around `libsrtp` 0.1. The crate derives keys, keeps the roll-over counter and the replay
//! windows; the wall keeps it to few sources, and refuses RTCP that its sender did not encrypt, which
//! the crate would "decrypt" into noise.

use std::fmt;

use libsrtp::{ProtectionProfile, RecvSession, SendSession, StreamConfig};
use thiserror::Error;
use zeroize::Zeroizing;

/// Packets behind the newest that may still come late, each once: the least that RFC 3711 §3.3.2
/// asks for is 64, and the jitter buffer waits for fewer than these at 10 ms a packet.
const REPLAY_WINDOW: u16 = 128;

/// Sources that a peer may use at a time. A PBX sends one, and a second one while it changes the
/// music on hold for the other party; each costs some 2 kB.
const SOURCES: usize = 8;

/// Octets of an RTCP header with its SSRC, which stay readable (RFC 3711 §3.4).
const RTCP_HEADER: usize = 8;

/// How packets are encrypted and authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES-128 in counter mode, tags of 80 bits: every peer has it (RFC 4568 §6.2.1).
    AesCm128HmacSha1_80,
    /// The same with tags of 32 bits; those of RTCP have 80 (RFC 4568 §6.2.2).
    AesCm128HmacSha1_32,
    /// AES-256 in counter mode, tags of 80 bits (RFC 6188 §3.3).
    Aes256CmHmacSha1_80,
    /// The same with tags of 32 bits; those of RTCP have 80.
    Aes256CmHmacSha1_32,
    /// AES-128-GCM, tags of 128 bits (RFC 7714 §14.2).
    AeadAes128Gcm,
    /// AES-256-GCM, tags of 128 bits.
    AeadAes256Gcm,
}

/// From which the keys of one direction are derived. Its memory is overwritten when it goes, and no
/// debugging output shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    suite: Suite,
    /// Key, then salt.
    secret: Zeroizing<Vec<u8>>,
    mki: Option<Vec<u8>>,
}

/// Why a packet was not taken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum SrtpError {
    /// No packet of version 2, or no room for header, key identifier and tag.
    #[error("shorter than header and tag (RFC 3711 §3.1)")]
    Short,
    /// Changed on its way, or encrypted with another key.
    #[error("authentication failed (RFC 3711 §4.2)")]
    Authentication,
    /// It came before, or is too old to tell.
    #[error("replayed, or older than the replay window (RFC 3711 §3.3.2)")]
    Replay,
    /// None of the keys agreed on is called so.
    #[error("unknown master key identifier (RFC 3711 §3.1)")]
    UnknownMki,
    /// RTCP whose sender says that it is not encrypted.
    #[error("RTCP without the E flag (RFC 3711 §3.4)")]
    Unencrypted,
    /// 2^48 packets or 2^31 of RTCP were made with the key.
    #[error("the key is used up (RFC 3711 §9.2)")]
    Exhausted,
}

/// What decrypts the packets of a peer.
pub struct ReceiveContext {
    session: RecvSession,
    /// Octets after the payload of RTCP: index, key identifier and tag.
    rtcp_trailer: usize,
    /// SSRCs whose packets were authentic; the one heard last stands last.
    sources: Vec<u32>,
}

/// What encrypts our packets.
pub struct SendContext {
    session: SendSession,
    mki: Option<Vec<u8>>,
}

impl Suite {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
        Self::Aes256CmHmacSha1_80,
        Self::Aes256CmHmacSha1_32,
        Self::AeadAes128Gcm,
        Self::AeadAes256Gcm,
    ];

    /// Octets of the master key.
    pub fn key_length(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 | Self::AeadAes128Gcm => 16,
            Self::Aes256CmHmacSha1_80 | Self::Aes256CmHmacSha1_32 | Self::AeadAes256Gcm => 32,
        }
    }

    /// Octets of the master salt.
    pub fn salt_length(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80
            | Self::AesCm128HmacSha1_32
            | Self::Aes256CmHmacSha1_80
            | Self::Aes256CmHmacSha1_32 => 14,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
        }
    }

    /// For RTP and for RTCP, whose tags are never short (RFC 3711 §5.2).
    fn profiles(self) -> (ProtectionProfile, ProtectionProfile) {
        match self {
            Self::AesCm128HmacSha1_80 => {
                (ProtectionProfile::Aes128CmHmacSha180, ProtectionProfile::Aes128CmHmacSha180)
            }
            Self::AesCm128HmacSha1_32 => {
                (ProtectionProfile::Aes128CmHmacSha132, ProtectionProfile::Aes128CmHmacSha180)
            }
            Self::Aes256CmHmacSha1_80 => {
                (ProtectionProfile::Aes256CmHmacSha180, ProtectionProfile::Aes256CmHmacSha180)
            }
            Self::Aes256CmHmacSha1_32 => {
                (ProtectionProfile::Aes256CmHmacSha132, ProtectionProfile::Aes256CmHmacSha180)
            }
            Self::AeadAes128Gcm => {
                (ProtectionProfile::AeadAes128Gcm, ProtectionProfile::AeadAes128Gcm)
            }
            Self::AeadAes256Gcm => {
                (ProtectionProfile::AeadAes256Gcm, ProtectionProfile::AeadAes256Gcm)
            }
        }
    }
}

impl MasterKey {
    /// `secret` is the key with the salt behind it; `None` if it has not the length of the suite.
    /// `mki` names the key in each packet, where there may be several.
    pub fn new(suite: Suite, secret: &[u8], mki: Option<Vec<u8>>) -> Option<Self> {
        let fits = secret.len() == suite.key_length() + suite.salt_length();
        let mki = mki.filter(|mki| !mki.is_empty());
        fits.then(|| Self { suite, secret: Zeroizing::new(secret.to_vec()), mki })
    }

    /// How it is used.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    fn named(&self, mki: Option<&Vec<u8>>) -> libsrtp::MasterKey {
        let (key, salt) = self.secret.split_at(self.suite.key_length());
        libsrtp::MasterKey::new(key, salt, &mki.cloned())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mki = self.mki.as_ref().map(hex::encode);
        f.debug_struct("MasterKey").field("suite", &self.suite).field("mki", &mki).finish()
    }
}

/// One configuration for all keys; they have to be of one suite, and differ by name.
fn config(keys: &[MasterKey]) -> Option<StreamConfig> {
    let suite = keys.first()?.suite;
    if keys.iter().any(|key| key.suite != suite) {
        return None;
    }
    let (rtp, rtcp) = suite.profiles();
    let keys = keys.iter().map(|key| key.named(key.mki.as_ref())).collect();
    let mut config = StreamConfig::new(keys, &rtp, &rtcp);
    config.set_replay_window_size(REPLAY_WINDOW);
    config.validate().ok()?;
    Some(config)
}

impl ReceiveContext {
    /// Packets of a peer that has these keys; `None` unless they are of one suite, and, if several,
    /// with identifiers of one length that differ.
    pub fn new(keys: &[MasterKey]) -> Option<Self> {
        let mut session = RecvSession::new();
        session.add_stream(None, &config(keys)?).ok()?;
        let first = keys.first()?;
        let tag = first.suite.profiles().1.tag_len();
        let mki = first.mki.as_ref().map_or(0, Vec::len);
        Some(Self { session, rtcp_trailer: 4 + mki + tag, sources: Vec::new() })
    }

    /// The RTP packet in `datagram`.
    pub fn unprotect_rtp(&mut self, datagram: &[u8]) -> Result<Vec<u8>, SrtpError> {
        let ssrc = datagram.get(8..12).and_then(|ssrc| ssrc.try_into().ok());
        let ssrc = u32::from_be_bytes(ssrc.ok_or(SrtpError::Short)?);
        let packet = self.session.rtp_unprotect(datagram.to_vec())?;
        self.remember(ssrc);
        Ok(packet)
    }

    /// The RTCP compound in `datagram`.
    pub fn unprotect_rtcp(&mut self, datagram: &[u8]) -> Result<Vec<u8>, SrtpError> {
        let ssrc = datagram.get(4..8).and_then(|ssrc| ssrc.try_into().ok());
        let ssrc = u32::from_be_bytes(ssrc.ok_or(SrtpError::Short)?);
        let trailer = datagram.len().checked_sub(self.rtcp_trailer);
        let trailer = trailer.filter(|at| *at >= RTCP_HEADER).ok_or(SrtpError::Short)?;
        if datagram[trailer] & 0x80 == 0 {
            return Err(SrtpError::Unencrypted);
        }
        let packet = self.session.rtcp_unprotect(datagram.to_vec())?;
        self.remember(ssrc);
        Ok(packet)
    }

    /// Only who has the key gets here, so nobody else can fill the table. In a full one the source
    /// that was heard longest ago is forgotten: a PBX that changes sources in a long call is not
    /// shut out, at the price that its oldest packets could be played to us once more.
    fn remember(&mut self, ssrc: u32) {
        if self.sources.last() == Some(&ssrc) {
            return;
        }
        self.sources.retain(|known| *known != ssrc);
        self.sources.push(ssrc);
        if self.sources.len() > SOURCES {
            let oldest = self.sources.remove(0);
            // It was authentic once, and so it is there.
            let _ = self.session.remove_stream(oldest);
        }
    }
}

impl SendContext {
    /// Our packets with this key.
    pub fn new(key: &MasterKey) -> Option<Self> {
        let mut session = SendSession::new();
        session.add_stream(None, &config(std::slice::from_ref(key))?).ok()?;
        Some(Self { session, mki: key.mki.clone() })
    }

    /// The datagram of an RTP packet.
    pub fn protect_rtp(&mut self, packet: Vec<u8>) -> Result<Vec<u8>, SrtpError> {
        Ok(self.session.rtp_protect_mki(packet, &self.mki)?)
    }

    /// The datagram of an RTCP compound.
    pub fn protect_rtcp(&mut self, compound: Vec<u8>) -> Result<Vec<u8>, SrtpError> {
        Ok(self.session.rtcp_protect_mki(compound, &self.mki)?)
    }
}

impl fmt::Debug for ReceiveContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveContext").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl fmt::Debug for SendContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendContext").finish_non_exhaustive()
    }
}

impl From<libsrtp::SrtpError> for SrtpError {
    fn from(error: libsrtp::SrtpError) -> Self {
        match error {
            libsrtp::SrtpError::InvalidPacketIndex => Self::Replay,
            libsrtp::SrtpError::InvalidMki => Self::UnknownMki,
            libsrtp::SrtpError::InvalidPacket => Self::Short,
            libsrtp::SrtpError::KeyLimit { .. } => Self::Exhausted,
            // Those of the second row come of a configuration that `config` does not let pass.
            libsrtp::SrtpError::Authentication
            | libsrtp::SrtpError::Encryption
            | libsrtp::SrtpError::ContextNotReady
            | libsrtp::SrtpError::InvalidKeySize
            | libsrtp::SrtpError::TransformDispatch
            | libsrtp::SrtpError::KdfDispatch
            | libsrtp::SrtpError::InvalidProfile
            | libsrtp::SrtpError::StreamNotFound => Self::Authentication,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rtp::packet::Packet;

    fn key(suite: Suite, fill: u8, mki: Option<&[u8]>) -> MasterKey {
        let secret = vec![fill; suite.key_length() + suite.salt_length()];
        MasterKey::new(suite, &secret, mki.map(<[u8]>::to_vec)).expect("of that length")
    }

    fn contexts(keys: &[MasterKey]) -> (SendContext, ReceiveContext) {
        let send = SendContext::new(&keys[0]).expect("a key");
        (send, ReceiveContext::new(keys).expect("keys"))
    }

    fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
        let payload = &[0xd5; 160];
        let (payload_type, marker, timestamp) = (8, false, u32::from(sequence) * 160);
        Packet { payload_type, marker, sequence, timestamp, ssrc, payload }.write()
    }

    /// A receiver report without blocks.
    fn rtcp(ssrc: u32) -> Vec<u8> {
        [&[0x80, 201, 0, 1], &ssrc.to_be_bytes()[..]].concat()
    }

    #[test]
    fn what_is_protected_is_unprotected_in_every_suite() {
        for suite in Suite::ALL {
            let (mut send, mut receive) = contexts(&[key(suite, 7, None)]);
            let datagram = send.protect_rtp(rtp(1, 9)).expect("protected");
            assert!(datagram[..12] == rtp(1, 9)[..12] && datagram[12..] != rtp(1, 9)[12..]);
            assert_eq!(receive.unprotect_rtp(&datagram), Ok(rtp(1, 9)), "{suite:?}");
            let datagram = send.protect_rtcp(rtcp(1)).expect("protected");
            assert_eq!(receive.unprotect_rtcp(&datagram), Ok(rtcp(1)), "{suite:?}");
        }
    }

    #[test]
    fn a_packet_counts_once_and_only_as_it_was_sent() {
        for suite in Suite::ALL {
            let (mut send, mut receive) = contexts(&[key(suite, 7, None)]);
            let datagram = send.protect_rtp(rtp(1, 9)).expect("protected");
            for at in [1, 11, 20, datagram.len() - 1] {
                let mut changed = datagram.clone();
                changed[at] ^= 1;
                assert_eq!(receive.unprotect_rtp(&changed), Err(SrtpError::Authentication));
            }
            assert!(receive.unprotect_rtp(&datagram).is_ok());
            assert_eq!(receive.unprotect_rtp(&datagram), Err(SrtpError::Replay));
            let report = send.protect_rtcp(rtcp(1)).expect("protected");
            assert!(receive.unprotect_rtcp(&report).is_ok());
            assert_eq!(receive.unprotect_rtcp(&report), Err(SrtpError::Replay));
            let (mut other, _) = contexts(&[key(suite, 8, None)]);
            let foreign = other.protect_rtp(rtp(1, 10)).expect("protected");
            assert_eq!(receive.unprotect_rtp(&foreign), Err(SrtpError::Authentication));
        }
    }

    #[test]
    fn late_packets_within_the_window_are_taken_and_older_ones_are_not() {
        let (mut send, mut receive) = contexts(&[key(Suite::AesCm128HmacSha1_80, 7, None)]);
        let mut datagrams: Vec<_> =
            (1000..1129).map(|n| send.protect_rtp(rtp(1, n)).expect("protected")).collect();
        let newest = datagrams.pop().expect("the last one");
        assert!(receive.unprotect_rtp(&newest).is_ok());
        assert_eq!(receive.unprotect_rtp(&datagrams[0]), Err(SrtpError::Replay));
        assert!(datagrams[1..].iter().all(|datagram| receive.unprotect_rtp(datagram).is_ok()));
    }

    #[test]
    fn sequence_numbers_wrap_amid_losses_and_disorder() {
        let (mut send, mut receive) = contexts(&[key(Suite::AeadAes128Gcm, 7, None)]);
        let mut datagrams = Vec::new();
        // Three times round; all of the numbers near the first wrap are lost, and then many more.
        for n in 60_000_u32..200_000 {
            let sequence = n as u16;
            let datagram = send.protect_rtp(rtp(1, sequence)).expect("protected");
            let lost = (65_500..65_600).contains(&n) || (131_000..160_000).contains(&n);
            if !lost && (n % 50 == 0 || (196_600..196_620).contains(&n)) {
                datagrams.push((sequence, datagram));
            }
        }
        let wrap = datagrams.iter().position(|(sequence, _)| *sequence == u16::MAX);
        let wrap = wrap.expect("the last wrap is there");
        datagrams.swap(wrap, wrap + 1);
        for (sequence, datagram) in &datagrams {
            assert_eq!(receive.unprotect_rtp(datagram), Ok(rtp(1, *sequence)), "{sequence}");
        }
    }

    #[test]
    fn each_of_several_keys_is_found_by_its_name() {
        for suite in Suite::ALL {
            let keys = [key(suite, 1, Some(&[0, 1])), key(suite, 2, Some(&[0, 2]))];
            let mut receive = ReceiveContext::new(&keys).expect("two keys");
            for (n, key) in keys.iter().enumerate() {
                let mut send = SendContext::new(key).expect("a key");
                let datagram = send.protect_rtp(rtp(n as u32, 5)).expect("protected");
                assert_eq!(receive.unprotect_rtp(&datagram), Ok(rtp(n as u32, 5)), "{suite:?}");
                let datagram = send.protect_rtcp(rtcp(n as u32)).expect("protected");
                assert_eq!(receive.unprotect_rtcp(&datagram), Ok(rtcp(n as u32)), "{suite:?}");
            }
            let mut third = SendContext::new(&key(suite, 3, Some(&[0, 3]))).expect("a key");
            let datagram = third.protect_rtp(rtp(1, 6)).expect("protected");
            assert_eq!(receive.unprotect_rtp(&datagram), Err(SrtpError::UnknownMki));
        }
        let suite = Suite::AeadAes128Gcm;
        let unlike = [key(suite, 1, Some(&[1])), key(suite, 2, Some(&[0, 2]))];
        assert!(ReceiveContext::new(&unlike).is_none(), "identifiers of different lengths");
        assert!(ReceiveContext::new(&[key(suite, 1, None), key(suite, 2, None)]).is_none());
        assert!(ReceiveContext::new(&[]).is_none());
    }

    #[test]
    fn rtcp_in_the_clear_is_refused_though_its_tag_be_good() {
        let (mut send, mut receive) = contexts(&[key(Suite::AesCm128HmacSha1_80, 7, None)]);
        let mut datagram = send.protect_rtcp(rtcp(1)).expect("protected");
        let flag = datagram.len() - 14;
        datagram[flag] &= 0x7f;
        assert_eq!(receive.unprotect_rtcp(&datagram), Err(SrtpError::Unencrypted));
    }

    #[test]
    fn who_has_no_key_is_not_remembered_and_who_has_it_only_a_few_times() {
        let (mut send, mut receive) = contexts(&[key(Suite::AesCm128HmacSha1_80, 7, None)]);
        let (mut stranger, _) = contexts(&[key(Suite::AesCm128HmacSha1_80, 8, None)]);
        for ssrc in 0..1_000 {
            let forged = stranger.protect_rtp(rtp(ssrc, 5)).expect("protected");
            assert!(receive.unprotect_rtp(&forged).is_err());
        }
        assert!(receive.sources.is_empty());
        for ssrc in 0..1_000 {
            let datagram = send.protect_rtp(rtp(ssrc, 5)).expect("protected");
            assert!(receive.unprotect_rtp(&datagram).is_ok());
        }
        assert_eq!(receive.sources, (992..1_000).collect::<Vec<_>>());
        assert_eq!(receive.session.get_roc(991), Err(libsrtp::SrtpError::StreamNotFound));
    }

    #[test]
    fn no_output_shows_a_key() {
        let key = key(Suite::AeadAes128Gcm, 0xab, Some(&[1]));
        let shown = format!("{key:?}");
        assert_eq!(shown, "MasterKey { suite: AeadAes128Gcm, mki: Some(\"01\") }");
        let longer = vec![0; 29];
        assert_eq!(MasterKey::new(Suite::AeadAes128Gcm, &longer, None), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_bytes_break_it(
            suite in 0..6_usize,
            mki in prop::option::of(prop::collection::vec(any::<u8>(), 1..8)),
            mut bytes in prop::collection::vec(any::<u8>(), 0..96),
            version in any::<bool>(),
        ) {
            let key = key(Suite::ALL[suite], 7, mki.as_deref());
            let mut receive = ReceiveContext::new(&[key]).expect("a key");
            if version && let Some(first) = bytes.first_mut() {
                *first = (*first & 0x3f) | 0x80;
            }
            prop_assert!(receive.unprotect_rtp(&bytes).is_err());
            prop_assert!(receive.unprotect_rtcp(&bytes).is_err());
        }

        #[test]
        fn a_packet_cut_short_is_refused(suite in 0..6_usize, length in 0..200_usize) {
            let (mut send, mut receive) = contexts(&[key(Suite::ALL[suite], 7, Some(&[9, 9]))]);
            let whole = send.protect_rtp(rtp(1, 9)).expect("protected");
            let length = length.min(whole.len() - 1);
            prop_assert!(receive.unprotect_rtp(&whole[..length]).is_err());
            let whole = send.protect_rtcp(rtcp(1)).expect("protected");
            let length = length.min(whole.len() - 1);
            prop_assert!(receive.unprotect_rtcp(&whole[..length]).is_err());
        }
    }
}
