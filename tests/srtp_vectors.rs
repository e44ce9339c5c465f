//! SRTP against the published vectors: those of RFC 3711 and RFC 7714 begin behind the derivation
//! of keys, which the package does not show, so a second, small SRTP is held to them first and the
//! package to it; libsrtp's complete packets are for both.

use aes::Aes128;
use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha1::Sha1;

use sidetone::rtp::srtp::{MasterKey, ReceiveContext, SendContext, Suite};

type Aes128Ctr = ctr::Ctr128BE<Aes128>;
type Aes256Ctr = ctr::Ctr128BE<aes::Aes256>;

const SUITES: [Suite; 6] = [
    Suite::AesCm128HmacSha1_80,
    Suite::AesCm128HmacSha1_32,
    Suite::Aes256CmHmacSha1_80,
    Suite::Aes256CmHmacSha1_32,
    Suite::AeadAes128Gcm,
    Suite::AeadAes256Gcm,
];

/// The keystream of `key` from `iv` on.
fn keystream(key: &[u8], iv: &[u8; 16], length: usize) -> Vec<u8> {
    let mut stream = vec![0; length];
    match key.len() {
        16 => Aes128Ctr::new(key.into(), iv.into()).apply_keystream(&mut stream),
        _ => Aes256Ctr::new(key.into(), iv.into()).apply_keystream(&mut stream),
    }
    stream
}

/// RFC 3711 §4.3: `length` octets of the session key with that label; index 0, no key derivation rate.
fn derive(master_key: &[u8], master_salt: &[u8], label: u8, length: usize) -> Vec<u8> {
    let mut iv = [0; 16];
    iv[..master_salt.len()].copy_from_slice(master_salt);
    iv[7] ^= label;
    keystream(master_key, &iv, length)
}

fn xor(into: &mut [u8], with: &[u8]) {
    into.iter_mut().zip(with).for_each(|(octet, other)| *octet ^= other);
}

/// RFC 3711 §4.1.1: of the salt, the source and the 48 bits of an index.
fn counter_iv(salt: &[u8], ssrc: &[u8], index: u64) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    xor(&mut iv[4..8], ssrc);
    xor(&mut iv[8..14], &index.to_be_bytes()[2..]);
    iv
}

/// RFC 7714 §8.1, §9.1.
fn gcm_iv(salt: &[u8], ssrc: &[u8], index: u64) -> [u8; 12] {
    let mut iv = [0; 12];
    iv.copy_from_slice(salt);
    xor(&mut iv[2..6], ssrc);
    xor(&mut iv[6..], &index.to_be_bytes()[2..]);
    iv
}

/// `plain` encrypted, with its tag.
fn gcm(key: &[u8], iv: &[u8; 12], associated: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut text = plain.to_vec();
    let tag = match key.len() {
        16 => {
            Aes128Gcm::new(key.into()).encrypt_in_place_detached(iv.into(), associated, &mut text)
        }
        _ => Aes256Gcm::new(key.into()).encrypt_in_place_detached(iv.into(), associated, &mut text),
    };
    text.extend_from_slice(&tag.expect("a short text"));
    text
}

fn hmac(key: &[u8], parts: &[&[u8]], length: usize) -> Vec<u8> {
    let mut mac = <Hmac<Sha1> as Mac>::new_from_slice(key).expect("any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes()[..length].to_vec()
}

/// A packet without CSRC and extension as RFC 3711 and RFC 7714 protect it.
fn protect_rtp(suite: Suite, secret: &[u8], packet: &[u8], roc: u32) -> Vec<u8> {
    let (key, salt) = secret.split_at(suite.key_length());
    let session = |label, length| derive(key, salt, label, length);
    let (header, payload) = packet.split_at(12);
    let sequence = u16::from_be_bytes([packet[2], packet[3]]);
    let index = u64::from(roc) << 16 | u64::from(sequence);
    let (cipher, ssrc) = (session(0, key.len()), &header[8..]);
    if let Suite::AeadAes128Gcm | Suite::AeadAes256Gcm = suite {
        let text = gcm(&cipher, &gcm_iv(&session(2, 12), ssrc, index), header, payload);
        return [header, &text].concat();
    }
    let mut text = payload.to_vec();
    let iv = counter_iv(&session(2, 14), ssrc, index);
    xor(&mut text, &keystream(&cipher, &iv, payload.len()));
    let tag = match suite {
        Suite::AesCm128HmacSha1_32 | Suite::Aes256CmHmacSha1_32 => 4,
        _ => 10,
    };
    let tag = hmac(&session(1, 20), &[header, &text, &roc.to_be_bytes()], tag);
    [header, &text, &tag].concat()
}

/// A compound likewise; its tag is never short.
fn protect_rtcp(suite: Suite, secret: &[u8], compound: &[u8], index: u32) -> Vec<u8> {
    let (key, salt) = secret.split_at(suite.key_length());
    let session = |label, length| derive(key, salt, label, length);
    let (header, rest) = compound.split_at(8);
    let trailer = (index | 1 << 31).to_be_bytes();
    let (cipher, ssrc) = (session(3, key.len()), &header[4..]);
    if let Suite::AeadAes128Gcm | Suite::AeadAes256Gcm = suite {
        let iv = gcm_iv(&session(5, 12), ssrc, index.into());
        let text = gcm(&cipher, &iv, &[header, &trailer[..]].concat(), rest);
        return [header, &text, &trailer].concat();
    }
    let mut text = rest.to_vec();
    let iv = counter_iv(&session(5, 14), ssrc, index.into());
    xor(&mut text, &keystream(&cipher, &iv, rest.len()));
    let tag = hmac(&session(4, 20), &[header, &text, &trailer], 10);
    [header, &text, &trailer, &tag].concat()
}

#[expect(clippy::disallowed_methods, clippy::print_stderr, reason = "the vectors lie in a file")]
fn vectors() -> Option<Value> {
    let file = "../shared/vectors/srtp/srtp-vectors.json";
    let Ok(text) = std::fs::read_to_string(file) else {
        eprintln!("skipped: {file} is not here");
        return None;
    };
    Some(serde_json::from_str(&text).expect("JSON"))
}

fn octets(vector: &Value, field: &str) -> Vec<u8> {
    hex::decode(vector[field].as_str().expect("a string")).expect("hexadecimal")
}

fn rtp(sequence: u16, length: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 8, 0, 0, 0xde, 0xca, 0xfb, 0xad, 0xca, 0xfe, 0xba, 0xbe];
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet.extend((0..length).map(|n| n as u8));
    packet
}

fn contexts(suite: Suite, secret: &[u8]) -> (SendContext, ReceiveContext) {
    let key = MasterKey::new(suite, secret, None).expect("of the suite's length");
    let receive = ReceiveContext::new(std::slice::from_ref(&key)).expect("a key");
    (SendContext::new(&key).expect("a key"), receive)
}

#[test]
fn the_yardstick_has_the_keystream_and_the_derivation_of_rfc_3711() {
    let Some(vectors) = vectors() else { return };
    let b2 = &vectors["rfc3711_b2_aes_cm"];
    let iv = counter_iv(&octets(b2, "session_salt"), &[0; 4], 0);
    let stream = keystream(&octets(b2, "session_key"), &iv, 48);
    assert_eq!(stream, octets(b2, "keystream_first_48"));
    let b3 = &vectors["rfc3711_b3_key_derivation"];
    let (key, salt) = (octets(b3, "master_key"), octets(b3, "master_salt"));
    assert_eq!(derive(&key, &salt, 0, 16), octets(b3, "cipher_key"));
    assert_eq!(derive(&key, &salt, 2, 14), octets(b3, "cipher_salt"));
    assert_eq!(derive(&key, &salt, 1, 20), octets(b3, "auth_key_first_20"));
}

#[test]
fn the_yardstick_makes_the_packets_of_rfc_7714() {
    let Some(vectors) = vectors() else { return };
    for name in ["rfc7714_16_aead_aes_128_gcm_rtp", "rfc7714_16_aead_aes_256_gcm_rtp"] {
        let vector = &vectors[name];
        let plain = octets(vector, "plain_packet");
        let (header, payload) = plain.split_at(12);
        let sequence = u16::from_be_bytes([header[2], header[3]]);
        let iv = gcm_iv(&octets(vector, "salt"), &header[8..], sequence.into());
        let text = gcm(&octets(vector, "key"), &iv, header, payload);
        assert_eq!([header, &text].concat(), octets(vector, "srtp_packet"), "{name}");
    }
    let vector = &vectors["rfc7714_17_aead_aes_128_gcm_rtcp"];
    let plain = octets(vector, "plain_packet");
    let (header, rest) = plain.split_at(8);
    let iv = gcm_iv(&octets(vector, "salt"), &octets(vector, "ssrc"), 0x5d4);
    let trailer = 0x8000_05d4_u32.to_be_bytes();
    let text = gcm(&octets(vector, "key"), &iv, &[header, &trailer[..]].concat(), rest);
    assert_eq!([header, &text, &trailer].concat(), octets(vector, "srtcp_packet"));
}

/// `srtp_validate` of libsrtp's `test/srtp_driver.c`: the master key
/// and salt of RFC 3711 §B.3, a packet of 16 octets 0xab, and a sender report likewise.
#[test]
fn libsrtps_own_packets_are_made_and_read() {
    let secret = hex::decode("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6");
    let secret = secret.expect("hexadecimal");
    let header = "800f1234decafbadcafebabe";
    let plain = hex::decode(format!("{header}{}", "ab".repeat(16))).expect("hexadecimal");
    let protected = format!("{header}4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb");
    let protected = hex::decode(protected).expect("hexadecimal");
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut send, mut receive) = contexts(suite, &secret);
    assert_eq!(protect_rtp(suite, &secret, &plain, 0), protected);
    assert_eq!(send.protect_rtp(plain.clone()).as_ref(), Ok(&protected));
    assert_eq!(receive.unprotect_rtp(&protected), Ok(plain));
    let header = "81c8000bcafebabe";
    let plain = hex::decode(format!("{header}{}", "ab".repeat(16))).expect("hexadecimal");
    let protected = format!("{header}7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798");
    let protected = hex::decode(protected).expect("hexadecimal");
    assert_eq!(protect_rtcp(suite, &secret, &plain, 1), protected);
    assert_eq!(receive.unprotect_rtcp(&protected), Ok(plain.clone()));
    // libsrtp counts from 1 on, the package from 0 on; to a receiver it is all one.
    send.protect_rtcp(plain.clone()).expect("protected");
    assert_eq!(send.protect_rtcp(plain), Ok(protected));
}

#[test]
fn every_suite_is_made_and_read_as_the_yardstick_says() {
    for suite in SUITES {
        let length = suite.key_length() + suite.salt_length();
        let secret: Vec<u8> = (0..length).map(|n| (n * 7 + 3) as u8).collect();
        let (mut send, mut receive) = contexts(suite, &secret);
        // Over the wrap of the sequence numbers, and in all lengths of the last block.
        for n in 65_500_u32..65_600 {
            let packet = rtp(n as u16, n as usize % 67);
            let protected = protect_rtp(suite, &secret, &packet, n >> 16);
            assert_eq!(send.protect_rtp(packet.clone()).as_ref(), Ok(&protected), "{suite:?} {n}");
            assert_eq!(receive.unprotect_rtp(&protected), Ok(packet), "{suite:?} {n}");
        }
        for index in 0..40 {
            let mut compound = vec![0x80, 201, 0, 1, 0xca, 0xfe, 0xba, 0xbe];
            compound.extend(0..index as u8);
            let protected = protect_rtcp(suite, &secret, &compound, index);
            assert_eq!(send.protect_rtcp(compound.clone()).as_ref(), Ok(&protected), "{suite:?}");
            assert_eq!(receive.unprotect_rtcp(&protected), Ok(compound), "{suite:?}");
        }
    }
}
