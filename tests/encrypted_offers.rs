//! Offers of encrypted audio as PBXs and telephones make them, and what each policy makes of them.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};

use sidetone::call::key_source::KeySource;
use sidetone::call::media_plan::MediaPlan;
use sidetone::call::negotiation::{MediaTerms, Negotiation};
use sidetone::rtp::dtls::{Hash, Identity, Role};
use sidetone::rtp::security::{Security, SrtpPolicy};
use sidetone::rtp::srtp::Suite;

/// 30 octets: a key and a salt of AES-128 in counter mode.
const KEY: &str = "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";
/// 30 others.
const OTHER: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

/// Asterisk 22 with `media_encryption=sdes`.
fn asterisk() -> String {
    offer(&format!(
        "m=audio 12000 RTP/SAVP 0 8 101\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-16\r\na=ptime:20\r\na=maxptime:140\r\na=sendrecv\r\n"
    ))
}

/// FreeSWITCH with `rtp_secure_media=optional`: the suites of its list, the best first; those that
/// end in `_8` and in `192` are not ours.
fn freeswitch() -> String {
    let gcm = "QEhtUGRJZDBkZVVmWTlLbXQ3dDFwYnFvcVNzNVhFbGFCa21PRUVQNmhVVT0=";
    let aead = "a2V5IGFuZCBzYWx0IG9mIDQ0IG9jdGV0cyBpbiBhbGwsIGFoYSEhIQ==";
    offer(&format!(
        "m=audio 20140 RTP/SAVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=crypto:1 AEAD_AES_256_GCM_8 inline:{gcm}\r\n\
         a=crypto:2 AES_192_CM_HMAC_SHA1_80 inline:{gcm}\r\n\
         a=crypto:3 AEAD_AES_256_GCM inline:{gcm}\r\n\
         a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n\
         a=crypto:5 AES_CM_128_HMAC_SHA1_32 inline:{OTHER}\r\n\
         a=crypto:6 AEAD_AES_256_GCM inline:{aead}\r\na=ptime:20\r\n"
    ))
}

/// A browser behind a gateway: everything in one, with a certificate for the whole session.
fn browser() -> String {
    let fingerprint = vec!["7B"; 32].join(":");
    format!(
        "v=0\r\no=- 4611 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         a=msid-semantic: WMS\r\na=fingerprint:sha-256 {fingerprint}\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 0.0.0.0\r\n\
         a=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:x\r\na=ice-pwd:yyyyyyyyyyyyyyyyyyyyyyyy\r\n\
         a=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
         a=rtpmap:63 red/48000/2\r\na=rtpmap:110 telephone-event/48000\r\n\
         a=rtpmap:126 telephone-event/8000\r\n"
    )
}

fn offer(media: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=x\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{media}")
}

fn identity() -> Arc<Identity> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let params = CertificateParams::new(Vec::new()).expect("no names");
    let certificate = params.self_signed(&key).expect("a certificate");
    let identity = Identity::new(certificate.der().to_vec(), key.serialize_der());
    Arc::new(identity.expect("of use for DTLS"))
}

fn negotiation(srtp: SrtpPolicy) -> Negotiation {
    let local = "192.0.2.7:40000".parse().expect("an address");
    let terms = MediaTerms { srtp, identity: Some(identity()), ..MediaTerms::default() };
    Negotiation::new(local, 5, Duration::from_secs(60), terms, KeySource::new([1; 32]))
}

fn respond(srtp: SrtpPolicy, offer: &str) -> (String, MediaPlan) {
    negotiation(srtp).respond(Some(offer)).expect("an answer")
}

/// Status and reason of the refusal.
#[track_caller]
fn refused(srtp: SrtpPolicy, offer: &str) -> (u16, String) {
    let error = negotiation(srtp).respond(Some(offer)).expect_err("a refusal");
    (error.status(), error.to_string())
}

fn line<'a>(sdp: &'a str, begins: &str) -> &'a str {
    sdp.lines().find(|line| line.starts_with(begins)).unwrap_or_default()
}

fn suite(plan: &MediaPlan) -> Suite {
    let Security::Sdes { receive, send } = &plan.security else {
        panic!("not encrypted by keys: {:?}", plan.security)
    };
    assert_eq!(receive[0].suite(), send.suite());
    send.suite()
}

#[test]
fn asterisks_key_is_answered_with_one_of_ours_under_the_same_tag() {
    let (sdp, plan) = respond(SrtpPolicy::Prefer, &asterisk());
    assert!(sdp.contains("m=audio 40000 RTP/SAVP 0 8 101\r\n"), "{sdp}");
    let crypto = line(&sdp, "a=crypto:");
    assert!(crypto.starts_with("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"), "{sdp}");
    assert!(
        !crypto.contains(KEY)
            && crypto.len() == "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:".len() + 40
    );
    assert_eq!(suite(&plan), Suite::AesCm128HmacSha1_80);
    let Security::Sdes { receive, send } = &plan.security else { unreachable!("looked at") };
    assert_ne!(&receive[0], send);
}

#[test]
fn the_first_line_that_is_ours_is_taken() {
    let (sdp, plan) = respond(SrtpPolicy::Prefer, &freeswitch());
    assert_eq!(suite(&plan), Suite::AeadAes256Gcm);
    assert!(line(&sdp, "a=crypto:").starts_with("a=crypto:3 AEAD_AES_256_GCM inline:"), "{sdp}");
    assert_eq!(sdp.matches("a=crypto:").count(), 1);
    let broken = freeswitch().replace("a=crypto:3 AEAD", "a=crypto:3 UNKNOWN_AEAD");
    let (sdp, plan) = respond(SrtpPolicy::Prefer, &broken);
    assert_eq!(suite(&plan), Suite::AesCm128HmacSha1_80);
    assert!(line(&sdp, "a=crypto:").starts_with("a=crypto:4 "), "{sdp}");
}

#[test]
fn baresip_and_cisco_name_the_short_tag_and_a_lifetime_with_an_identifier() {
    let baresip = asterisk().replace("HMAC_SHA1_80", "HMAC_SHA1_32");
    assert_eq!(suite(&respond(SrtpPolicy::Require, &baresip).1), Suite::AesCm128HmacSha1_32);
    let cisco = asterisk().replace(KEY, &format!("{KEY}|2^31|1:4"));
    let (sdp, plan) = respond(SrtpPolicy::Require, &cisco);
    assert!(!line(&sdp, "a=crypto:").contains('|'), "our key needs no name: {sdp}");
    let shown = format!("{:?}", plan.security);
    assert!(shown.contains("mki: Some(\"00000001\")"), "{shown}");
}

#[test]
fn no_output_shows_a_key() {
    let (_, plan) = respond(SrtpPolicy::Prefer, &asterisk());
    let shown = format!("{plan:?}");
    let octets =
        |key: &str| key.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    // The key is `=-n@%^x!Bjufr9)...` once decoded.
    assert!(!shown.contains(KEY) && !shown.contains(&octets("=-n@")), "{shown}");
}

#[test]
fn a_browser_begins_the_handshake_and_its_certificate_is_known() {
    let (sdp, plan) = respond(SrtpPolicy::Prefer, &browser());
    assert!(sdp.contains("m=audio 40000 UDP/TLS/RTP/SAVPF 111 9 0 8 13 110 126\r\n"), "{sdp}");
    assert!(sdp.contains("a=setup:passive\r\n") && sdp.contains("a=rtcp-mux\r\n"), "{sdp}");
    assert!(sdp.contains("a=recvonly\r\n") && plan.rtp.is_none(), "0.0.0.0 is no hold here: {sdp}");
    assert!(line(&sdp, "a=fingerprint:sha-256 ").len() == "a=fingerprint:sha-256 ".len() + 95);
    let Security::Dtls { role, fingerprint, .. } = plan.security else { panic!("no DTLS") };
    assert_eq!((role, fingerprint.hash), (Role::Server, Hash::Sha256));
    assert_eq!(fingerprint.digest, [0x7b; 32]);
    let passive = browser().replace("actpass", "passive");
    let (sdp, plan) = respond(SrtpPolicy::Prefer, &passive);
    assert!(sdp.contains("a=setup:active\r\n"), "{sdp}");
    assert!(matches!(plan.security, Security::Dtls { role: Role::Client, .. }));
}

#[test]
fn rtcp_without_keys_of_its_own_is_not_sent() {
    let apart = browser().replace("a=rtcp-mux\r\n", "").replace("0.0.0.0", "192.0.2.1");
    let (_, plan) = respond(SrtpPolicy::Prefer, &apart);
    assert!(plan.rtp.is_some() && plan.rtcp.is_none(), "the handshake was about one port");
}

#[test]
fn what_proves_nothing_is_refused() {
    let no_key = (488, "no usable key or certificate for encrypted audio".to_owned());
    for (offer, from, to) in [
        (browser(), "sha-256 7B", "sha-1 7B"),
        (browser(), "a=fingerprint:", "a=x:"),
        (browser(), "actpass", "holdconn"),
        (asterisk(), "a=crypto:", "a=x:"),
        (asterisk(), "inline:", "inline:!"),
        (asterisk(), KEY, &format!("{KEY} UNENCRYPTED_SRTP")),
        (asterisk(), KEY, &format!("{KEY} UNAUTHENTICATED_SRTP")),
        (asterisk(), "AES_CM_128_HMAC_SHA1_80", "F8_128_HMAC_SHA1_80"),
    ] {
        assert!(offer.contains(from), "{from} is in {offer}");
        assert_eq!(refused(SrtpPolicy::Prefer, &offer.replace(from, to)), no_key, "{from} {to}");
    }
}

#[test]
fn who_requires_encryption_gets_it_or_nothing() {
    let plain = asterisk().replace("SAVP", "AVP").replace("a=crypto:", "a=x:");
    let unencrypted = "audio has to be encrypted, and is offered without";
    assert_eq!(refused(SrtpPolicy::Require, &plain), (488, unencrypted.to_owned()));
    assert_eq!(respond(SrtpPolicy::Prefer, &plain).1.security, Security::None);
    // Of two streams the one that may be taken is.
    let both = format!(
        "{plain}m=audio 14000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n"
    );
    let (sdp, plan) = respond(SrtpPolicy::Require, &both);
    assert!(sdp.contains("m=audio 0 RTP/AVP") && sdp.contains("m=audio 40000 RTP/SAVP 0\r\n"));
    assert_eq!(suite(&plan), Suite::AesCm128HmacSha1_80);
}

#[test]
fn where_encryption_is_off_an_offer_of_nothing_else_is_refused() {
    let off = (488, "only encrypted audio is offered, and srtp is off".to_owned());
    assert_eq!(refused(SrtpPolicy::Off, &asterisk()), off);
    assert_eq!(refused(SrtpPolicy::Off, &browser()), off);
    let best_effort = asterisk().replace("SAVP", "AVP");
    let (sdp, plan) = respond(SrtpPolicy::Off, &best_effort);
    assert!(!sdp.contains("a=crypto") && plan.security == Security::None, "{sdp}");
}

#[test]
fn keys_beside_plain_rtp_are_taken_where_they_are_preferred() {
    let best_effort = asterisk().replace("SAVP", "AVP");
    for policy in [SrtpPolicy::Prefer, SrtpPolicy::Require] {
        let (sdp, plan) = respond(policy, &best_effort);
        assert!(sdp.contains("m=audio 40000 RTP/AVP 0 8 101\r\n"), "{sdp}");
        assert!(sdp.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"), "{sdp}");
        assert_eq!(suite(&plan), Suite::AesCm128HmacSha1_80);
    }
}

#[test]
fn our_key_lasts_as_long_as_the_suite_and_is_never_used_again() {
    let mut negotiation = negotiation(SrtpPolicy::Prefer);
    let mut send =
        |offer: &str| match negotiation.respond(Some(offer)).expect("an answer").1.security {
            Security::Sdes { send, .. } => Some(send),
            Security::None | Security::Awaited | Security::Dtls { .. } => None,
        };
    let first = send(&asterisk());
    assert!(first.is_some());
    assert_eq!(send(&asterisk().replace(KEY, OTHER)), first, "theirs changed, not ours");
    let short = send(&asterisk().replace("SHA1_80", "SHA1_32"));
    assert_ne!(short, first);
    let again = send(&asterisk());
    assert!(again.is_some() && again != first, "the suite is the first one's, the key is new");
    assert_eq!(send(&asterisk().replace("SAVP", "AVP").replace("a=crypto", "a=x")), None);
    assert!(![first, short, again].contains(&send(&asterisk())));
}

#[test]
fn the_version_rises_with_a_key_of_ours_and_not_without() {
    let mut negotiation = negotiation(SrtpPolicy::Prefer);
    let mut origin = |offer: &str| {
        let (sdp, _) = negotiation.respond(Some(offer)).expect("an answer");
        line(&sdp, "o=").to_owned()
    };
    let first = origin(&asterisk());
    assert_eq!(origin(&asterisk().replace(KEY, OTHER)), first);
    assert_ne!(origin(&asterisk().replace("SHA1_80", "SHA1_32")), first);
}

#[test]
fn our_own_offer_is_encrypted_where_it_has_to_be_and_waits_for_their_key() {
    let mut negotiation = negotiation(SrtpPolicy::Require);
    let (sdp, plan) = negotiation.respond(None).expect("an offer");
    assert!(sdp.contains("m=audio 40000 RTP/SAVP 96 9 98 8 0 97 101 102 103\r\n"), "{sdp}");
    assert!(line(&sdp, "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:").len() > 40, "{sdp}");
    assert_eq!(plan.security, Security::Awaited, "nothing in the clear until then");
    let plan = negotiation.conclude(Some(&asterisk())).expect("an answer").expect("to our offer");
    assert_eq!(suite(&plan), Suite::AesCm128HmacSha1_80);
    // A refresh offers what stands.
    let (again, _) = negotiation.respond(None).expect("an offer");
    assert_eq!(line(&again, "a=crypto:"), line(&sdp, "a=crypto:"));
}

#[test]
fn an_answer_in_the_clear_to_an_encrypted_offer_is_none() {
    let answered = |answer: String| {
        let mut negotiation = negotiation(SrtpPolicy::Require);
        negotiation.respond(None).expect("an offer");
        negotiation.conclude(Some(&answer)).expect_err("no agreement").to_string()
    };
    // Asterisk takes such answers, and gives them.
    let unencrypted = "audio has to be encrypted, and is offered without";
    assert_eq!(answered(asterisk().replace("SAVP", "AVP")), unencrypted);
    let no_key = "no usable key or certificate for encrypted audio";
    assert_eq!(answered(asterisk().replace("a=crypto:1", "a=crypto:2")), no_key);
    assert_eq!(answered(asterisk().replace("SHA1_80", "SHA1_32")), no_key);
}

#[test]
fn where_encryption_is_only_preferred_our_own_offer_is_plain() {
    for policy in [SrtpPolicy::Prefer, SrtpPolicy::Off] {
        let mut negotiation = negotiation(policy);
        let (sdp, plan) = negotiation.respond(None).expect("an offer");
        assert!(sdp.contains(" RTP/AVP ") && !sdp.contains("a=crypto"), "{sdp}");
        assert_eq!(plan.security, Security::None);
        assert!(negotiation.conclude(Some(&asterisk())).is_err(), "they were not asked for it");
    }
}

#[test]
fn a_handshake_that_stands_keeps_its_parts() {
    let mut negotiation = negotiation(SrtpPolicy::Prefer);
    let (_, first) = negotiation.respond(Some(&browser())).expect("an answer");
    let (_, again) = negotiation.respond(Some(&browser())).expect("an answer");
    assert_eq!(first.security, again.security);
    let (sdp, plan) = negotiation.respond(None).expect("an offer");
    assert!(sdp.contains("UDP/TLS/RTP/SAVP ") && sdp.contains("a=setup:actpass"), "{sdp}");
    assert_eq!(plan.security, Security::Awaited);
    let theirs = browser().replace("actpass", "passive");
    let plan = negotiation.conclude(Some(&theirs)).expect("an answer").expect("to our offer");
    assert!(matches!(plan.security, Security::Dtls { role: Role::Client, .. }));
    // They leave the choice to us, and we are the client by now (RFC 8842 5.3).
    let (sdp, again) = negotiation.respond(Some(&browser())).expect("an answer");
    assert!(sdp.contains("a=setup:active\r\n") && again.security == plan.security, "{sdp}");
}
