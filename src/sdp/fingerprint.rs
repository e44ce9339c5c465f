//! Certificates in SDP: `a=fingerprint` (RFC 8122) and `a=setup` (RFC 4145), as DTLS-SRTP uses them
//! (RFC 5763 §5).

/// With what a certificate was hashed. SHA-1 is not here: a certificate with a given one can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// 32 octets; what everybody uses.
    Sha256,
    /// 48 octets.
    Sha384,
    /// 64 octets.
    Sha512,
}

/// By which a certificate is known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// How it was made.
    pub hash: Hash,
    /// Its octets.
    pub digest: Vec<u8>,
}

/// Who begins the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setup {
    /// Who says it.
    Active,
    /// The other side.
    Passive,
    /// As the other side likes; only in offers.
    ActPass,
}

impl Hash {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl Fingerprint {
    /// The value of one `a=fingerprint`; `None` for SHA-1 and for what is none.
    pub fn parse(value: &str) -> Option<Self> {
        let (name, digest) = value.trim().split_once(char::is_whitespace)?;
        let hash = Hash::ALL.into_iter().find(|hash| hash.as_str().eq_ignore_ascii_case(name))?;
        let octet = |pair: &str| {
            let digits = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            digits.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
        };
        let digest: Vec<_> = digest.trim().split(':').map(octet).collect::<Option<_>>()?;
        (digest.len() == hash.length()).then_some(Self { hash, digest })
    }

    /// The value of the line that says this.
    pub(super) fn write(&self) -> String {
        let digest: Vec<_> = self.digest.iter().map(|octet| format!("{octet:02X}")).collect();
        format!("{} {}", self.hash.as_str(), digest.join(":"))
    }
}

impl Setup {
    /// The value of `a=setup`; `holdconn` and what is none is nothing to begin with.
    pub(super) fn parse(value: &str) -> Option<Self> {
        [Self::Active, Self::Passive, Self::ActPass]
            .into_iter()
            .find(|setup| setup.as_str().eq_ignore_ascii_case(value.trim()))
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_and_written_alike() {
        let value = format!("sha-256 {}AB", "4A:".repeat(31));
        let fingerprint = Fingerprint::parse(&value).expect("a good one");
        assert_eq!((fingerprint.digest[0], fingerprint.digest[31]), (0x4a, 0xab));
        assert_eq!(fingerprint.write(), value);
        assert_eq!(Fingerprint::parse(&value.to_lowercase()), Some(fingerprint));
    }

    #[test]
    fn sha_1_and_wrong_lengths_are_none() {
        for wrong in [
            format!("sha-1 {}AB", "4A:".repeat(19)),
            format!("sha-256 {}AB", "4A:".repeat(30)),
            format!("sha-256 {}+B", "4A:".repeat(31)),
            format!("sha-512 {}AB", "4A:".repeat(31)),
            "sha-256".to_owned(),
        ] {
            assert_eq!(Fingerprint::parse(&wrong), None, "{wrong}");
        }
    }
}
