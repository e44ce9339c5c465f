//! One party whose audio is encrypted, in simulated time: what is heard, what is not, what we send.

#[path = "sim/party.rs"]
#[allow(dead_code, reason = "the tests of decisions need more of it")]
mod party;
#[path = "sim/phone.rs"]
#[allow(dead_code, reason = "the tests of decisions need more of it")]
mod phone;

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use sidetone::audio::decoder::Codec;
use sidetone::call::media_plan::MediaPlan;
use sidetone::policy::line::LineState;
use sidetone::rtp::dtls::{DtlsFailure, Fingerprint, Hash, Identity, Role};
use sidetone::rtp::packet::{Packet, is_dtls, is_rtcp};
use sidetone::rtp::security::{Guard, Security};
use sidetone::rtp::srtp::{MasterKey, ReceiveContext, SendContext, Suite};

use party::{Party, plan};
use phone::{Datagram, Phone, peer, voice};

fn key(suite: Suite, seed: u8) -> MasterKey {
    let secret = vec![seed; suite.key_length() + suite.salt_length()];
    MasterKey::new(suite, &secret, None).expect("as long as it has to be")
}

fn sdes(suite: Suite) -> MediaPlan {
    let security = Security::Sdes { receive: vec![key(suite, 1)], send: key(suite, 2) };
    MediaPlan { security, send: Some((0, Codec::Pcmu)), ..plan() }
}

fn said(audio: &[f32]) -> Vec<Datagram> {
    let mut phone = Phone::new(Codec::Pcmu);
    phone.say(audio);
    phone.sent
}

/// `datagrams` as a peer with `key` sends them.
fn protected(datagrams: Vec<Datagram>, key: &MasterKey) -> Vec<Datagram> {
    let mut context = SendContext::new(key).expect("a key of use");
    let mut protect = |datagram: Datagram| {
        let bytes = context.protect_rtp(datagram.bytes).expect("RTP");
        Datagram { bytes, ..datagram }
    };
    datagrams.into_iter().map(&mut protect).collect()
}

fn closed(party: &Party) -> &sidetone::policy::line::LineReport {
    let last = party.line.last().expect("a line is closed in the end");
    assert_eq!(last.state, LineState::Closed);
    &last.report
}

#[test]
fn srtp_is_heard_as_rtp_is_in_every_suite() {
    let plain = Party::new().hear(said(&voice(8.0)));
    for suite in Suite::ALL {
        let mut party = Party::new();
        party.session.handle_plan(party.now, sdes(suite));
        let heard = party.hear(protected(said(&voice(8.0)), &key(suite, 1)));
        assert_eq!(heard.heard(), plain.heard(), "{suite:?}");
        let report = closed(&heard);
        assert_eq!((report.encryption, report.unauthentic), (Some("sdes"), 0), "{suite:?}");
    }
}

#[test]
fn what_is_in_the_clear_or_of_another_key_is_not_heard() {
    let suite = Suite::AesCm128HmacSha1_80;
    for datagrams in [said(&voice(4.0)), protected(said(&voice(4.0)), &key(suite, 9))] {
        let mut party = Party::new();
        party.session.handle_plan(party.now, sdes(suite));
        let count = datagrams.len() as u64;
        let heard = party.hear(datagrams);
        let stats = heard.session.stats();
        assert_eq!((stats.packets, stats.audio_us, stats.unauthentic), (0, 0, count));
        assert_eq!(heard.talk(), []);
    }
}

#[test]
fn a_packet_that_comes_again_is_a_replay() {
    let suite = Suite::AeadAes128Gcm;
    let mut datagrams = protected(said(&voice(4.0)), &key(suite, 1));
    datagrams.extend(datagrams.clone());
    let mut party = Party::new();
    party.session.handle_plan(party.now, sdes(suite));
    let heard = party.hear(datagrams);
    let stats = heard.session.stats();
    assert_eq!((stats.packets, stats.replayed, stats.lost), (200, 200, 0));
}

#[test]
fn nothing_of_ours_leaves_in_the_clear() {
    let suite = Suite::AesCm128HmacSha1_80;
    let mut party = Party::new();
    party.session.handle_plan(party.now, sdes(suite));
    let heard = party.hear(protected(said(&voice(12.0)), &key(suite, 1)));
    let mut context = ReceiveContext::new(&[key(suite, 2)]).expect("a key of use");
    let (mut rtp, mut rtcp) = (0, 0);
    for (_, _, datagram) in &heard.reports {
        if is_rtcp(datagram) {
            let compound = context.unprotect_rtcp(datagram).expect("SRTCP");
            assert_ne!(compound, *datagram);
            rtcp += 1;
        } else {
            let packet = context.unprotect_rtp(datagram).expect("SRTP");
            assert!(Packet::parse(&packet).is_ok_and(|packet| packet.payload == [0xff; 160]));
            rtp += 1;
        }
    }
    assert!(rtp >= 600 && rtcp >= 2, "{rtp} packets, {rtcp} reports");
}

// ---- keys by handshake

struct Certificate {
    identity: Arc<Identity>,
    fingerprint: Fingerprint,
}

fn certificate() -> Certificate {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let params = CertificateParams::new(Vec::new()).expect("no names");
    let der = params.self_signed(&key).expect("a certificate").der().to_vec();
    let fingerprint = Fingerprint::of(Hash::Sha256, &der);
    let identity = Identity::new(der, key.serialize_der()).expect("of use for DTLS");
    Certificate { identity: Arc::new(identity), fingerprint }
}

/// A party and its peer, who shake hands and then talk.
fn talk_by_dtls(role: Role, expected: &Fingerprint, theirs: &Certificate) -> Party {
    let ours = certificate();
    let (mut party, other) = match role {
        Role::Client => (Party::new(), Role::Server),
        Role::Server => (Party::new(), Role::Client),
    };
    let agreed = |role, fingerprint: &Fingerprint, identity: &Arc<Identity>| Security::Dtls {
        role,
        fingerprint: fingerprint.clone(),
        identity: Arc::clone(identity),
    };
    let mut guard = Guard::new(party.now, agreed(other, &ours.fingerprint, &theirs.identity));
    let security = agreed(role, expected, &ours.identity);
    // Both share a port, as those do who shake hands.
    party.session.handle_plan(party.now, MediaPlan { security, rtcp: Some(peer()), ..plan() });
    let mut answered = 0;
    for step in 0..100_u32 {
        party.wait_until(Duration::from_millis(20) * step);
        for (_, destination, datagram) in &party.reports[answered..] {
            assert_eq!(*destination, peer());
            let _ = guard.handle_datagram(party.now, datagram);
        }
        answered = party.reports.len();
        guard.handle_timeout(party.now);
        let at = party.now - party.start;
        while let Some(bytes) = guard.poll_transmit() {
            assert!(is_dtls(&bytes));
            party.receive(vec![Datagram { at, from: peer(), bytes }]);
        }
    }
    let offset = party.now - party.start;
    let talk = said(&voice(4.0)).into_iter().filter_map(|datagram| {
        let bytes = guard.protect_rtp(datagram.bytes)?;
        Some(Datagram { at: datagram.at + offset, bytes, ..datagram })
    });
    party.hear(talk.collect())
}

#[test]
fn a_handshake_brings_the_keys_in_either_role() {
    for role in [Role::Client, Role::Server] {
        let theirs = certificate();
        let heard = talk_by_dtls(role, &theirs.fingerprint, &theirs);
        let stats = heard.session.stats();
        assert_eq!((stats.packets, stats.unauthentic, stats.malformed), (200, 0, 0), "{role:?}");
        assert_eq!(closed(&heard).encryption, Some("dtls"));
        assert!(heard.unheard.is_empty() && !heard.talk().is_empty());
    }
}

#[test]
fn a_certificate_that_sdp_did_not_name_is_told_once_and_nothing_is_heard() {
    let theirs = certificate();
    let heard = talk_by_dtls(Role::Server, &certificate().fingerprint, &theirs);
    assert_eq!(heard.unheard, [DtlsFailure::Fingerprint]);
    assert_eq!((heard.session.stats().packets, heard.session.stats().audio_us), (0, 0));
}

#[test]
fn a_peer_that_moves_has_its_next_handshake_at_its_new_address() {
    let (ours, theirs, moved) = (certificate(), certificate(), certificate());
    let security = |role, theirs: &Certificate| Security::Dtls {
        role,
        fingerprint: theirs.fingerprint.clone(),
        identity: Arc::clone(&ours.identity),
    };
    let mut party = Party::new();
    let first = MediaPlan { security: security(Role::Server, &theirs), ..plan() };
    party.session.handle_plan(party.now, first);
    let their_side = Security::Dtls {
        role: Role::Client,
        fingerprint: ours.fingerprint.clone(),
        identity: Arc::clone(&theirs.identity),
    };
    let hello = Guard::new(party.now, their_side).poll_transmit().expect("a client begins");
    party.receive(vec![Datagram { at: Duration::ZERO, from: peer(), bytes: hello }]);
    assert!(party.reports.iter().all(|(_, destination, _)| *destination == peer()));
    let answered = party.reports.len();
    assert!(answered > 0);

    let there = "203.0.113.7:7000".parse().expect("an address");
    let second = MediaPlan { security: security(Role::Client, &moved), rtp: Some(there), ..plan() };
    party.session.handle_plan(party.now, second);
    party.wait_until(Duration::from_secs(2));
    let hellos: Vec<_> =
        party.reports[answered..].iter().filter(|(_, _, datagram)| is_dtls(datagram)).collect();
    assert!(!hellos.is_empty() && hellos.iter().all(|(_, destination, _)| *destination == there));
}

#[test]
fn a_strangers_handshake_is_not_answered() {
    let (ours, theirs) = (certificate(), certificate());
    let mut party = Party::new();
    let security = Security::Dtls {
        role: Role::Server,
        fingerprint: theirs.fingerprint.clone(),
        identity: ours.identity,
    };
    party.session.handle_plan(party.now, MediaPlan { security, ..plan() });
    let stranger = Security::Dtls {
        role: Role::Client,
        fingerprint: ours.fingerprint,
        identity: theirs.identity,
    };
    let mut guard = Guard::new(party.now, stranger);
    let hello = guard.poll_transmit().expect("a client begins");
    let from = "198.51.100.1:9".parse().expect("an address");
    party.receive(vec![Datagram { at: Duration::ZERO, from, bytes: hello }]);
    assert_eq!(party.session.stats().foreign, 1);
    assert!(party.reports.is_empty());
}
