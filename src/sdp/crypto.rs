//! Keys for SRTP in SDP: `a=crypto` (RFC 4568), with the suites of RFC 6188 and RFC 7714.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The longest identifier of a master key, in octets (RFC 4568 §9.2).
const LONGEST_MKI: usize = 128;
/// Packets that a key may serve at most, as a power of two (RFC 3711 §9.2).
const LONGEST_LIFE: u64 = 1 << 48;
/// Keys in one line that are taken; more than two were never seen.
const MOST_KEYS: usize = 8;

/// How packets are encrypted and authenticated, by its name in SDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_80`
    AesCm128HmacSha1_80,
    /// `AES_CM_128_HMAC_SHA1_32`
    AesCm128HmacSha1_32,
    /// `AES_256_CM_HMAC_SHA1_80`
    Aes256CmHmacSha1_80,
    /// `AES_256_CM_HMAC_SHA1_32`
    Aes256CmHmacSha1_32,
    /// `AEAD_AES_128_GCM`
    AeadAes128Gcm,
    /// `AEAD_AES_256_GCM`
    AeadAes256Gcm,
}

/// One master key and its salt, with its name in the packets where it has one. No debugging output
/// shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct InlineKey {
    /// Key, then salt.
    pub secret: Zeroizing<Vec<u8>>,
    /// Master key identifier, in network order.
    pub mki: Option<Vec<u8>>,
}

/// One `a=crypto` line that we could use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// By which the answer names the line that it takes.
    pub tag: u32,
    /// How.
    pub suite: Suite,
    /// The keys with which whoever wrote the line sends.
    pub keys: Vec<InlineKey>,
}

/// Why a line is not one that we could use; the peer may have written others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// Tag, suite or key is missing, or the tag is no number.
    #[error("malformed a=crypto (RFC 4568 9.1)")]
    Syntax,
    /// A suite that is not ours.
    #[error("unknown crypto suite (RFC 4568 6.2)")]
    Suite,
    /// Not `inline:`, not base64, or not of the suite's length.
    #[error("key and salt are not those of the suite (RFC 4568 6.1)")]
    Key,
    /// A lifetime of no packet, or of more than there can be.
    #[error("impossible key lifetime (RFC 4568 6.1)")]
    Lifetime,
    /// A broken identifier, or several keys without one each.
    #[error("malformed master key identifier (RFC 4568 6.1)")]
    Mki,
    /// Something that we do not do, and that its writer does not let us pass over.
    #[error("session parameter that we do not do (RFC 4568 6.3)")]
    SessionParameter,
}

impl Suite {
    const ALL: [Self; 6] = [
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
        Self::Aes256CmHmacSha1_80,
        Self::Aes256CmHmacSha1_32,
        Self::AeadAes128Gcm,
        Self::AeadAes256Gcm,
    ];

    /// Octets of key and salt together.
    pub fn secret_length(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 16 + 14,
            Self::Aes256CmHmacSha1_80 | Self::Aes256CmHmacSha1_32 => 32 + 14,
            Self::AeadAes128Gcm => 16 + 12,
            Self::AeadAes256Gcm => 32 + 12,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::Aes256CmHmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Self::Aes256CmHmacSha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }
}

impl Crypto {
    /// The value of one `a=crypto`.
    pub fn parse(value: &str) -> Result<Self, CryptoError> {
        let mut words = value.split_ascii_whitespace();
        let mut word = || words.next().ok_or(CryptoError::Syntax);
        let (tag, suite, keys) = (word()?, word()?, word()?);
        let tag = tag.parse().map_err(|_| CryptoError::Syntax)?;
        let suite = Suite::ALL.into_iter().find(|known| known.as_str() == suite);
        let suite = suite.ok_or(CryptoError::Suite)?;
        // WSH tells how large the sender's window for replays is, and binds nobody. All others
        // change what the packets are like, UNENCRYPTED_SRTP and UNAUTHENTICATED_SRTP foremost.
        if !words.all(|parameter| parameter.starts_with('-') || parameter.starts_with("WSH=")) {
            return Err(CryptoError::SessionParameter);
        }
        let keys: Vec<_> = keys
            .split(';')
            .take(MOST_KEYS + 1)
            .map(|key| InlineKey::parse(key, suite))
            .collect::<Result<_, _>>()?;
        let length = |key: &InlineKey| key.mki.as_ref().map(Vec::len);
        let alike = keys.iter().all(|key| length(key) == length(&keys[0]));
        // Two without a name have the same one.
        let twice = (1..keys.len()).any(|n| keys[..n].iter().any(|key| key.mki == keys[n].mki));
        if keys.len() > MOST_KEYS || !alike || twice {
            return Err(CryptoError::Mki);
        }
        Ok(Self { tag, suite, keys })
    }

    /// The value of the line that says this.
    pub(super) fn write(&self) -> String {
        let keys: Vec<_> = self.keys.iter().map(InlineKey::write).collect();
        format!("{} {} {}", self.tag, self.suite.as_str(), keys.join(";"))
    }
}

impl InlineKey {
    /// `inline:` key and salt, `|` lifetime, `|` identifier `:` its length; the lifetime may be
    /// missing alone.
    fn parse(text: &str, suite: Suite) -> Result<Self, CryptoError> {
        let mut parts = text.strip_prefix("inline:").ok_or(CryptoError::Key)?.split('|');
        let secret = STANDARD.decode(parts.next().unwrap_or_default());
        let secret = Zeroizing::new(secret.map_err(|_| CryptoError::Key)?);
        if secret.len() != suite.secret_length() {
            return Err(CryptoError::Key);
        }
        let mut mki = None;
        let mut lifetime = None;
        for part in parts {
            if mki.is_some() || (lifetime.is_some() && !part.contains(':')) {
                return Err(CryptoError::Syntax);
            }
            match part.split_once(':') {
                Some((value, length)) => mki = Some(read_mki(value, length)?),
                None => lifetime = Some(read_lifetime(part)?),
            }
        }
        // Keeping to the lifetime is the sender's part: no call of ours lasts 2^31 packets.
        Ok(Self { secret, mki })
    }

    fn write(&self) -> String {
        format!("inline:{}", STANDARD.encode(&*self.secret))
    }
}

/// Packets; `2^31` or the number itself.
fn read_lifetime(text: &str) -> Result<u64, CryptoError> {
    let packets = match text.strip_prefix("2^") {
        Some(power) => power.parse().ok().and_then(|power| 1_u64.checked_shl(power)),
        None => text.parse().ok(),
    };
    packets.filter(|n| (1..=LONGEST_LIFE).contains(n)).ok_or(CryptoError::Lifetime)
}

/// A decimal number, and in how many octets it is sent.
fn read_mki(value: &str, length: &str) -> Result<Vec<u8>, CryptoError> {
    let length: usize = length.parse().map_err(|_| CryptoError::Mki)?;
    let value: u128 = value.parse().map_err(|_| CryptoError::Mki)?;
    if !(1..=LONGEST_MKI).contains(&length) {
        return Err(CryptoError::Mki);
    }
    let octets = value.to_be_bytes();
    let (above, below) = octets.split_at(octets.len().saturating_sub(length));
    if above.iter().any(|octet| *octet != 0) {
        return Err(CryptoError::Mki);
    }
    let mut mki = vec![0; length - below.len()];
    mki.extend_from_slice(below);
    Ok(mki)
}

impl fmt::Debug for InlineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InlineKey").field("mki", &self.mki).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4568 §9.1's example, by its length a key and salt of AES-128 in counter mode.
    const KEY: &str = "inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";

    fn read(line: &str) -> Result<Crypto, CryptoError> {
        Crypto::parse(line)
    }

    #[test]
    fn a_line_is_read_and_written_alike() {
        let line = format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}");
        let crypto = read(&line).expect("a good line");
        assert_eq!((crypto.tag, crypto.suite), (1, Suite::AesCm128HmacSha1_80));
        assert_eq!((crypto.keys[0].secret.len(), &crypto.keys[0].mki), (30, &None));
        assert_eq!(crypto.write(), line);
    }

    #[test]
    fn lifetime_and_identifier_may_come_alone_or_both() {
        let mki = |rest: &str| {
            let crypto = read(&format!("7 AES_CM_128_HMAC_SHA1_32 {KEY}{rest}"))?;
            Ok(crypto.keys[0].mki.clone())
        };
        assert_eq!(mki("|2^20"), Ok(None));
        assert_eq!(mki("|1048576"), Ok(None));
        assert_eq!(mki("|2^20|1:4"), Ok(Some(vec![0, 0, 0, 1])));
        assert_eq!(mki("|1:4"), Ok(Some(vec![0, 0, 0, 1])));
        assert_eq!(mki("|66051:3"), Ok(Some(vec![1, 2, 3])));
        assert_eq!(mki("|1:128").map(|mki| mki.map(|mki| mki.len())), Ok(Some(128)));
        for broken in ["|256:1", "|1:0", "|1:129", "|x:1", "|1:"] {
            assert_eq!(mki(broken), Err(CryptoError::Mki), "{broken}");
        }
        for broken in ["|2^49", "|2^99", "|0", "|", "|2^"] {
            assert_eq!(mki(broken), Err(CryptoError::Lifetime), "{broken}");
        }
        assert_eq!(mki("|1:4|2^20"), Err(CryptoError::Syntax));
        assert_eq!(mki("|2^20|2^20"), Err(CryptoError::Syntax));
    }

    #[test]
    fn several_keys_need_names_of_one_length() {
        let keys = |first: &str, second: &str| {
            read(&format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}{first};{KEY}{second}"))
        };
        assert_eq!(keys("|1:4", "|2:4").map(|crypto| crypto.keys.len()), Ok(2));
        for (first, second) in [("", ""), ("|1:4", ""), ("|1:4", "|2:2"), ("|1:4", "|1:4")] {
            assert_eq!(keys(first, second), Err(CryptoError::Mki), "{first} {second}");
        }
    }

    #[test]
    fn what_a_session_parameter_changes_is_refused_unless_it_may_be_passed_over() {
        let read = |more: &str| read(&format!("1 AES_CM_128_HMAC_SHA1_80 {KEY} {more}"));
        for more in ["WSH=64", "-X=1", "-FEC_X WSH=1024", ""] {
            assert!(read(more).is_ok(), "{more}");
        }
        for more in [
            "UNENCRYPTED_SRTP",
            "UNENCRYPTED_SRTCP",
            "UNAUTHENTICATED_SRTP",
            "KDR=3",
            "FEC_ORDER=SRTP_FEC",
            "FEC_KEY=inline:x",
            "WSH=64 X",
        ] {
            assert_eq!(read(more), Err(CryptoError::SessionParameter), "{more}");
        }
    }

    #[test]
    fn other_lines_say_what_is_wrong() {
        assert_eq!(read("1 AES_CM_128_HMAC_SHA1_80"), Err(CryptoError::Syntax));
        assert_eq!(read(&format!("x AES_CM_128_HMAC_SHA1_80 {KEY}")), Err(CryptoError::Syntax));
        assert_eq!(read(&format!("1 F8_128_HMAC_SHA1_80 {KEY}")), Err(CryptoError::Suite));
        assert_eq!(read(&format!("1 AEAD_AES_128_GCM {KEY}")), Err(CryptoError::Key));
        assert_eq!(read("1 AES_CM_128_HMAC_SHA1_80 inline:!"), Err(CryptoError::Key));
        assert_eq!(read("1 AES_CM_128_HMAC_SHA1_80 uri:x"), Err(CryptoError::Key));
    }

    #[test]
    fn no_output_shows_a_key() {
        let crypto = read(&format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}")).expect("a good line");
        let shown = format!("{crypto:?}");
        assert!(shown.contains("InlineKey { mki: None, .. }"), "{shown}");
    }
}
