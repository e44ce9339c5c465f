//! HTTP and HTTPS towards receivers: one request, one answer, what it means; names `ureq` for them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use rustls::crypto::ring;
use ureq::http::{HeaderMap, Request, StatusCode, Uri, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use crate::runtime::notify::receiver::Failure;

/// Longest answer that is read of, bytes: only its status matters, and ARI's sentence.
const LONGEST_ANSWER: u64 = 16 * 1024;

/// Why no request can ever be sent: one sentence that names the file or the key.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// The authorities' file cannot be read.
    #[error("cannot read the authorities in {} ({key}): {error}", .file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Its key in the configuration.
        key: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// No certificate is inside.
    #[error("no certificate is in {} ({key})", .file.display())]
    NoAuthorities {
        /// Which.
        file: PathBuf,
        /// Its key in the configuration.
        key: &'static str,
    },
    /// What the configuration says is no URL.
    #[error("{key} must be a URL, found {url:?}: {why}")]
    Url {
        /// The key.
        key: &'static str,
        /// What it says.
        url: String,
        /// What is wrong with it.
        why: String,
    },
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// What `Retry-After` asks for.
    pub(super) after: Duration,
    /// The first bytes of the body.
    pub(super) body: String,
}

/// Keeps its connections open between requests.
#[derive(Debug)]
pub(super) struct HttpClient {
    agent: Agent,
}

impl HttpClient {
    /// For `url`, which `key` of the configuration gave: over TLS it trusts the authorities in `file`, which `file_key`
    /// gave. Follows no redirect and uses no proxy.
    pub(super) fn new(
        (key, url): (&'static str, &str),
        (file_key, file): (&'static str, &Path),
        timeout: Duration,
    ) -> Result<Self, HttpClientError> {
        let wrong = |why: String| HttpClientError::Url { key, url: url.to_owned(), why };
        let uri: Uri = url.parse().map_err(|error| wrong(format!("{error}")))?;
        let tls = match uri.scheme_str() {
            Some("https") => trusting(file_key, file)?,
            _ => TlsConfig::default(),
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("sidetone/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(timeout))
            .tls_config(tls);
        Ok(Self { agent: config.build().new_agent() })
    }

    /// Sends `request` and waits for the answer; an answer of any status is one.
    pub(super) fn send(&self, request: Request<Vec<u8>>) -> Result<Answer, Failure> {
        let mut answer = self.agent.run(request).map_err(|error| unreachable(error.to_string()))?;
        let after = retry_after(answer.headers(), Timestamp::now());
        Ok(Answer { status: answer.status().as_u16(), after, body: read(answer.body_mut()) })
    }
}

impl Answer {
    /// What the status says of a request that told something (RFC 9110 §15).
    pub(super) fn outcome(&self) -> Result<(), Failure> {
        let Self { status, after, .. } = *self;
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let said = format!("it answers {status} {}", reason.unwrap_or_default());
        let said = said.trim_end().to_owned();
        match status {
            200..=299 => Ok(()),
            401 | 403 => Err(Failure::Login(said)),
            408 | 425 | 429 | 500..=599 => Err(Failure::Unreachable { why: said, after }),
            // Somebody has moved it: what waits is kept until the configuration says where to.
            300..=399 => Err(Failure::Unreachable {
                why: format!("{said}, and redirects are not followed"),
                after,
            }),
            _ => Err(Failure::Refused(said)),
        }
    }
}

/// A failure of the network that asks for no wait of its own.
pub(super) fn unreachable(why: String) -> Failure {
    Failure::Unreachable { why, after: Duration::ZERO }
}

/// Seconds or a date (RFC 9110 §10.2.3); nothing where it is neither.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Duration {
    let value = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let Some(value) = value.map(str::trim) else { return Duration::ZERO };
    if let Ok(seconds) = value.parse() {
        return Duration::from_secs(seconds);
    }
    let date = rfc2822::DateTimeParser::new().parse_timestamp(value);
    let wait = date.map(|date| date.duration_since(now)).unwrap_or_default();
    wait.try_into().unwrap_or_default()
}

/// As much of the body as matters; that the rest never comes does not matter.
fn read(body: &mut Body) -> String {
    body.with_config().limit(LONGEST_ANSWER).lossy_utf8(true).read_to_string().unwrap_or_default()
}

/// TLS with who has a certificate of the authorities in `file`, which `key` gave.
pub fn trusting(key: &'static str, file: &Path) -> Result<TlsConfig, HttpClientError> {
    let ring = Arc::new(ring::default_provider());
    let tls = TlsConfig::builder().unversioned_rustls_crypto_provider(ring);
    Ok(tls.root_certs(authorities(file, key)?).build())
}

fn authorities(file: &Path, key: &'static str) -> Result<RootCerts, HttpClientError> {
    let unreadable = |error| HttpClientError::Unreadable { file: file.to_owned(), key, error };
    let text = std::fs::read(file).map_err(unreadable)?;
    let certificates = parse_pem(&text).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<Certificate<'static>> = certificates.collect();
    match certificates.is_empty() {
        true => Err(HttpClientError::NoAuthorities { file: file.to_owned(), key }),
        false => Ok(RootCerts::from(certificates)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Result<(), Failure> {
        Answer { status, after: Duration::from_secs(7), body: String::new() }.outcome()
    }

    #[test]
    fn a_status_says_whether_it_is_taken_may_be_later_or_never_will_be() {
        assert_eq!([200, 202, 204].map(|status| answer(status).is_ok()), [true; 3]);
        let after = Duration::from_secs(7);
        for status in [408, 429, 500, 503, 302] {
            let Err(Failure::Unreachable { why, after: asked }) = answer(status) else {
                panic!("{status} comes later");
            };
            assert!(why.starts_with(&format!("it answers {status} ")) && asked == after, "{why}");
        }
        for status in [400, 404, 410, 422] {
            assert!(matches!(answer(status), Err(Failure::Refused(_))), "{status}");
        }
        assert!(matches!(answer(401), Err(Failure::Login(_))));
    }

    #[test]
    fn a_wait_that_is_asked_for_is_seconds_or_a_date() {
        let now = "2026-11-27T08:00:00Z".parse().expect("a time");
        let wait = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value.parse().expect("a value"));
            retry_after(&headers, now)
        };
        assert_eq!(wait("120"), Duration::from_secs(120));
        assert_eq!(wait("Fri, 27 Nov 2026 08:01:30 GMT"), Duration::from_secs(90));
        assert_eq!(wait("Fri, 27 Nov 2026 07:01:30 GMT"), Duration::ZERO);
        assert_eq!(wait("soon"), Duration::ZERO);
    }
}
