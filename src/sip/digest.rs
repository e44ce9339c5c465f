//! Digest authentication: what both sides share (RFC 7616, RFC 8760, RFC 3261 §22).

use std::fmt;

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

use crate::sip::headers::{is_token, split};

/// More parameters than any sender has use for: a value with more is not read.
const MAX_PARAMETERS: usize = 32;

/// How the digest is made (RFC 8760 §2.1). The `-sess` variants are not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// What a value without `algorithm` means.
    Md5,
    /// SHA-256.
    Sha256,
    /// SHA-512 with its own start, cut to 256 bits.
    Sha512_256,
}

/// What the digest protects beside the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qop {
    /// Method and URI.
    Auth,
    /// The body, too.
    AuthInt,
}

/// A text that never shows in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A user and the password, in one realm or in any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User name, without a domain unless the realm wants one.
    pub user: String,
    /// In clear: each realm and algorithm hashes it its own way.
    pub password: Secret,
}

/// What goes into a `response` (RFC 7616 §3.4.1), all without quotes.
#[derive(Clone, Copy, Debug)]
pub struct Proof<'a> {
    /// How it is hashed.
    pub algorithm: Algorithm,
    /// Who asks.
    pub credentials: &'a Credentials,
    /// As the challenge has it.
    pub realm: &'a str,
    /// As the challenge has it.
    pub nonce: &'a str,
    /// Method of the request.
    pub method: &'a str,
    /// The `uri` parameter.
    pub uri: &'a str,
    /// `None` makes the form of RFC 2069.
    pub counted: Option<Counted<'a>>,
}

/// What a digest with `qop` covers beyond one without.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    /// What is protected.
    pub qop: Qop,
    /// Nonce count: eight hex digits, as on the wire.
    pub nc: &'a str,
    /// Chosen by the client.
    pub cnonce: &'a str,
    /// Body of the request, for [`Qop::AuthInt`].
    pub body: &'a [u8],
}

/// `Digest name=value, name="value"` with the quotes taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl Algorithm {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    /// Reads the name, in any case.
    pub fn read(name: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256, Self::Sha512_256]
            .into_iter()
            .find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(name))
    }

    /// The hash of `bytes` in lower-case hex.
    pub fn hash(self, bytes: impl AsRef<[u8]>) -> String {
        match self {
            Self::Md5 => hex::encode(Md5::digest(bytes)),
            Self::Sha256 => hex::encode(Sha256::digest(bytes)),
            Self::Sha512_256 => hex::encode(Sha512_256::digest(bytes)),
        }
    }
}

impl Qop {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }
}

impl Secret {
    /// Keeps `text` out of sight.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, to hash it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Credentials {
    /// Of one user.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: Secret::new(password) }
    }
}

impl Proof<'_> {
    /// The `response`, in lower-case hex.
    pub fn response(&self) -> String {
        let hash = |text: String| self.algorithm.hash(text);
        let Credentials { user, password } = self.credentials;
        let a1 = hash(format!("{user}:{}:{}", self.realm, password.expose()));
        let (method, uri, nonce) = (self.method, self.uri, self.nonce);
        match &self.counted {
            None => hash(format!("{a1}:{nonce}:{}", hash(format!("{method}:{uri}")))),
            Some(Counted { qop, nc, cnonce, body }) => {
                let a2 = match qop {
                    Qop::Auth => format!("{method}:{uri}"),
                    Qop::AuthInt => format!("{method}:{uri}:{}", self.algorithm.hash(body)),
                };
                hash(format!("{a1}:{nonce}:{nc}:{cnonce}:{}:{}", qop.as_str(), hash(a2)))
            }
        }
    }
}

impl Parameters {
    /// Reads the value of one header line; `None` when the scheme is not Digest, a quote does not
    /// close, or a parameter has no value, no name or stands twice.
    pub fn parse(value: &str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once(char::is_whitespace)?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let mut parameters: Vec<(String, String)> = Vec::new();
        // An empty element, as after a last comma, is a list's way of saying nothing (§7.3.1).
        for part in split(rest, ',').into_iter().filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=')?;
            let name = name.trim_end().to_ascii_lowercase();
            let twice = parameters.iter().any(|(known, _)| *known == name);
            if !is_token(&name) || twice || parameters.len() == MAX_PARAMETERS {
                return None;
            }
            parameters.push((name, unquoted(value.trim_start())?));
        }
        Some(Self(parameters))
    }

    /// The value of `name`, which is written in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The algorithm; `None` for one that we do not know.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.get("algorithm").map_or(Some(Algorithm::Md5), Algorithm::read)
    }
}

/// `value` as a quoted string.
pub fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Some quote what is to stand bare (`algorithm="MD5"`), others leave quotes away: both are read.
fn unquoted(value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix('"') else { return Some(value.to_owned()) };
    let mut text = String::new();
    let mut characters = inner.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => text.push(characters.next()?),
            c => text.push(c),
        }
    }
    characters.as_str().is_empty().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(algorithm: Algorithm) -> String {
        // RFC 7616 §3.9.1.
        let credentials = Credentials::new("Mufasa", "Circle of Life");
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        Proof {
            algorithm,
            credentials: &credentials,
            realm: "http-auth@example.org",
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            method: "GET",
            uri: "/dir/index.html",
            counted: Some(Counted { qop: Qop::Auth, nc: "00000001", cnonce, body: b"" }),
        }
        .response()
    }

    #[test]
    fn the_examples_of_rfc_7616_come_out() {
        assert_eq!(response(Algorithm::Md5), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(
            response(Algorithm::Sha256),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
    }

    #[test]
    fn sha_512_256_starts_from_its_own_values() {
        // RFC 7616 §3.9.2 as erratum 4897 mends it: the RFC itself prints what the first half of
        // SHA-512 gives, which is another algorithm.
        let algorithm = Algorithm::Sha512_256;
        assert_eq!(
            algorithm.hash("Jäsøn Doe:api@example.org"),
            "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
        );
        let credentials = Credentials::new("Jäsøn Doe", "Secret, or not?");
        let cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v";
        let proof = Proof {
            algorithm,
            credentials: &credentials,
            realm: "api@example.org",
            nonce: "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
            method: "GET",
            uri: "/doe.json",
            counted: Some(Counted { qop: Qop::Auth, nc: "00000001", cnonce, body: b"" }),
        };
        assert_eq!(
            proof.response(),
            "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
        );
    }

    #[test]
    fn the_older_forms_come_out() {
        // RFC 2617 §3.5, and the same without qop as RFC 2069 has it.
        let credentials = Credentials::new("Mufasa", "Circle Of Life");
        let mut proof = Proof {
            algorithm: Algorithm::Md5,
            credentials: &credentials,
            realm: "testrealm@host.com",
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            method: "GET",
            uri: "/dir/index.html",
            counted: Some(Counted {
                qop: Qop::Auth,
                nc: "00000001",
                cnonce: "0a4f113b",
                body: b"",
            }),
        };
        assert_eq!(proof.response(), "6629fae49393a05397450978507c4ef1");
        proof.counted = None;
        assert_eq!(proof.response(), "670fd8c2df070c60b045671b8b24ff02");
    }

    #[test]
    fn quoted_bare_and_unknown_parameters_are_read() {
        let read = Parameters::parse(
            r#"dIGEST  Realm = "a, \"b\" é" ,nonce=abc==,algorithm="sha-256", new="x",, "#,
        )
        .expect("parameters");
        assert_eq!(read.get("realm"), Some("a, \"b\" é"));
        assert_eq!(read.get("nonce"), Some("abc=="));
        assert_eq!(read.algorithm(), Some(Algorithm::Sha256));
        let unknown = Parameters::parse("Digest algorithm=SHA-256-sess").expect("parameters");
        assert_eq!(unknown.algorithm(), None);
        assert_eq!(quoted(r#"a "b" \"#), r#""a \"b\" \\""#);
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        let many: Vec<_> = (0..40).map(|i| format!("p{i}=1")).collect();
        let many = format!("Digest {}", many.join(","));
        for wrong in [
            "",
            "Digest",
            "Basic realm=\"x\"",
            "Digest realm=\"x",
            "Digest realm=\"x\\",
            "Digest realm",
            "Digest é=1",
            "Digest a=1, A=2",
            "Digest =1",
            "Digest a=\"b\"c",
            many.as_str(),
        ] {
            assert_eq!(Parameters::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_password_does_not_show() {
        let shown = format!("{:?}", Credentials::new("alice", "rabbit"));
        assert!(shown.contains("alice") && !shown.contains("rabbit"), "{shown}");
    }
}
