//! TLS: our certificate, whom we trust, and why a handshake failed (RFC 5246, RFC 8446, RFC 5922).

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, RootCertStore, ServerConfig,
    SupportedProtocolVersion, version,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tracing::warn;
use webpki::EndEntityCert;

use crate::config::sip::{self, ClientCertificates};
use crate::sip::transport::Hop;

/// What we speak, the better first.
const VERSIONS: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// Certificates, keys and authorities, ready for use; cheap to clone.
#[derive(Clone)]
pub struct Tls {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// What the certificate of a server that we connect to has to bear.
#[derive(Clone, Debug)]
pub(super) struct PeerName(ServerName<'static>);

/// Why TLS cannot be used: one sentence that names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file could not be read.
    #[error("cannot read {}: {error}", .file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {reason}", .file.display())]
    Unusable {
        /// Which.
        file: PathBuf,
        /// What is wrong inside.
        reason: String,
    },
    /// A key that belongs to another certificate.
    #[error("{}: this is not the key of the certificate in {}", .key.display(), .certificate.display())]
    KeyMismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
}

/// What went wrong in a handshake, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandshakeFault {
    /// The peer's certificate is valid no more.
    Expired,
    /// The peer's certificate is not valid yet; or our clock is late.
    NotYetValid,
    /// No authority of ours stands behind the peer's certificate.
    UnknownIssuer,
    /// The peer's certificate is for somebody else.
    WrongName,
    /// The peer showed no certificate.
    NoCertificate,
    /// Another fault of the peer's certificate.
    BadCertificate,
    /// The peer refused us by an alert.
    Refused,
    /// No version or cipher is common, or the peer does not speak TLS.
    Incompatible,
    /// The peer did not finish in time.
    TimedOut,
    /// The connection broke.
    Broken,
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct HandshakeError {
    /// In one word.
    pub fault: HandshakeFault,
    /// In one sentence.
    pub sentence: String,
}

impl Tls {
    /// Reads the files and tries whether they belong together; blocks.
    pub fn load(files: &sip::Tls) -> Result<Self, TlsError> {
        let chain = certificates(&files.certificate)?;
        let key = private_key(&files.key)?;
        let authorities = authorities(&files.authorities)?;
        let provider = Arc::new(ring::default_provider());
        assert_valid_now(&files.certificate, &chain, &authorities, &provider)?;

        let refused = |error| refused(&files.certificate, &files.key, error);
        let verifier = || {
            let authorities = Arc::clone(&authorities);
            WebPkiClientVerifier::builder_with_provider(authorities, Arc::clone(&provider))
        };
        let built = |built: Result<_, rustls::client::VerifierBuilderError>| {
            built.map_err(|error| unusable(&files.authorities, error.to_string()))
        };
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(VERSIONS)
            .expect("ring has ciphers for both versions");
        let server = match files.client_certificates {
            ClientCertificates::Off => server.with_no_client_auth(),
            ClientCertificates::Wanted => {
                server.with_client_cert_verifier(built(verifier().allow_unauthenticated().build())?)
            }
            ClientCertificates::Required => {
                server.with_client_cert_verifier(built(verifier().build())?)
            }
        };
        let server = server.with_single_cert(chain.clone(), key.clone_key()).map_err(refused)?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(VERSIONS)
            .expect("ring has ciphers for both versions")
            .with_root_certificates(authorities)
            .with_client_auth_cert(chain, key)
            .map_err(refused)?;
        Ok(Self { server: Arc::new(server), client: Arc::new(client) })
    }
}

impl Tls {
    /// The server's side of a handshake; with the names that the peer has proven.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> Result<(server::TlsStream<TcpStream>, Arc<[String]>), HandshakeError> {
        let accepted = TlsAcceptor::from(Arc::clone(&self.server)).accept(stream).await;
        let stream = accepted.map_err(|error| HandshakeError::during_handshake(&error))?;
        let names = proven_names(stream.get_ref().1.peer_certificates());
        Ok((stream, names))
    }

    /// The client's side of a handshake with `peer`; with the names that it has proven.
    pub(super) async fn connect(
        &self,
        peer: PeerName,
        stream: TcpStream,
    ) -> Result<(client::TlsStream<TcpStream>, Arc<[String]>), HandshakeError> {
        let connector = TlsConnector::from(Arc::clone(&self.client));
        let connected = connector.connect(peer.0, stream).await;
        let stream = connected.map_err(|error| HandshakeError::during_handshake(&error))?;
        let names = proven_names(stream.get_ref().1.peer_certificates());
        Ok((stream, names))
    }
}

impl PeerName {
    /// The host that led to `hop`, or its address; `None` for what no certificate could bear.
    pub(super) fn of(hop: &Hop) -> Option<Self> {
        let name = match hop.name.as_deref() {
            None => ServerName::IpAddress(hop.address.ip().into()),
            Some(name) => ServerName::try_from(name.trim_matches(['[', ']']).to_owned()).ok()?,
        };
        Some(Self(name))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl HandshakeFault {
    /// Each once.
    pub const ALL: [Self; 10] = [
        Self::Expired,
        Self::NotYetValid,
        Self::UnknownIssuer,
        Self::WrongName,
        Self::NoCertificate,
        Self::BadCertificate,
        Self::Refused,
        Self::Incompatible,
        Self::TimedOut,
        Self::Broken,
    ];

    /// One word, for a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::UnknownIssuer => "unknown_issuer",
            Self::WrongName => "wrong_name",
            Self::NoCertificate => "no_certificate",
            Self::BadCertificate => "bad_certificate",
            Self::Refused => "refused",
            Self::Incompatible => "incompatible",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
        }
    }
}

impl HandshakeError {
    pub(super) fn timed_out() -> Self {
        let sentence = "the TLS handshake did not finish in time".to_owned();
        Self { fault: HandshakeFault::TimedOut, sentence }
    }

    /// What a TLS stream's error means; `None` if it is the network's and not of TLS.
    pub(super) fn read(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        Some(Self::of(inner))
    }

    /// What an error during the handshake means.
    fn during_handshake(error: &io::Error) -> Self {
        Self::read(error).unwrap_or_else(|| Self {
            fault: HandshakeFault::Broken,
            sentence: format!("the connection broke during the TLS handshake: {error}"),
        })
    }

    fn of(error: &rustls::Error) -> Self {
        use CertificateError as Certificate;
        let (fault, sentence) = match error {
            rustls::Error::InvalidCertificate(certificate) => match certificate {
                Certificate::Expired | Certificate::ExpiredContext { .. } => {
                    (HandshakeFault::Expired, "the peer's certificate has expired".to_owned())
                }
                Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => (
                    HandshakeFault::NotYetValid,
                    "the peer's certificate is not valid yet".to_owned(),
                ),
                Certificate::UnknownIssuer => (
                    HandshakeFault::UnknownIssuer,
                    "the peer's certificate comes from an unknown issuer".to_owned(),
                ),
                Certificate::NotValidForName => (
                    HandshakeFault::WrongName,
                    "the peer's certificate bears another name".to_owned(),
                ),
                Certificate::NotValidForNameContext { expected, presented } => (
                    HandshakeFault::WrongName,
                    format!(
                        "the peer's certificate bears another name: wanted {}, found {}",
                        expected.to_str(),
                        presented.join(", ")
                    ),
                ),
                other => (
                    HandshakeFault::BadCertificate,
                    format!("the peer's certificate is bad: {other}"),
                ),
            },
            rustls::Error::NoCertificatesPresented => {
                (HandshakeFault::NoCertificate, "the peer showed no certificate".to_owned())
            }
            rustls::Error::AlertReceived(alert) => {
                (HandshakeFault::Refused, format!("the peer refuses TLS with us: {}", said(*alert)))
            }
            other => (HandshakeFault::Incompatible, format!("no TLS with this peer: {other}")),
        };
        Self { fault, sentence }
    }
}

/// What the commonest alerts say (RFC 8446 §6.2).
fn said(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => "it wants a client certificate".to_owned(),
        AlertDescription::CertificateExpired => "it finds our certificate expired".to_owned(),
        AlertDescription::UnknownCA => "it does not know the issuer of our certificate".to_owned(),
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            "it does not accept our certificate".to_owned()
        }
        AlertDescription::ProtocolVersion => "it speaks no version that we do".to_owned(),
        AlertDescription::HandshakeFailure => {
            "no cipher is common, or it wants a client certificate".to_owned()
        }
        other => format!("{other:?}"),
    }
}

/// The domains that a proven certificate is for, in lower case: its `sip:` URIs without a user or,
/// where there is none, its DNS names (RFC 5922 §7.1).
fn proven_names(certificates: Option<&[CertificateDer<'_>]>) -> Arc<[String]> {
    let Some(leaf) = certificates.and_then(<[_]>::first) else { return Arc::default() };
    // It was read once already, when it was verified.
    let Ok(leaf) = EndEntityCert::try_from(leaf) else { return Arc::default() };
    let domains: Vec<_> = leaf.valid_uri_names().filter_map(domain_of).collect();
    if domains.is_empty() {
        leaf.valid_dns_names().map(str::to_ascii_lowercase).collect()
    } else {
        domains.into()
    }
}

/// `sip:example.com` is for a domain, `sip:alice@example.com` for a person.
fn domain_of(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("sip") || rest.contains('@') {
        return None;
    }
    let end = rest.find([':', ';', '?']).unwrap_or(rest.len());
    (end > 0).then(|| rest[..end].to_ascii_lowercase())
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(file).map_err(|error| TlsError::Unreadable { file: file.to_owned(), error })
}

fn unusable(file: &Path, reason: impl Into<String>) -> TlsError {
    TlsError::Unusable { file: file.to_owned(), reason: reason.into() }
}

/// The certificates in a PEM file, in its order: at least one.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(file)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(file, format!("not PEM: {error}")))?;
    if certificates.is_empty() {
        Err(unusable(file, "no certificate is inside"))
    } else {
        Ok(certificates)
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|error| {
        let reason = match error {
            pem::Error::NoItemsFound => "no private key is inside".to_owned(),
            error => format!("no readable private key: {error}"),
        };
        unusable(file, reason)
    })
}

/// What `rustls` has against a certificate and its key.
fn refused(certificate: &Path, key: &Path, error: rustls::Error) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::KeyMismatch { key: key.to_owned(), certificate: certificate.to_owned() }
        }
        rustls::Error::InvalidCertificate(error) => {
            unusable(certificate, format!("no usable certificate: {error}"))
        }
        error => unusable(key, format!("no usable private key: {error}")),
    }
}

/// A server that asks nobody for a certificate, with the one in these PEM files; blocks.
pub fn server_alone(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let (chain, secret) = (certificates(certificate)?, private_key(key)?);
    let provider = Arc::new(ring::default_provider());
    // Its issuer is for the clients to judge: any authority does to have the dates looked at.
    let mut anybody = RootCertStore::empty();
    anybody
        .add(chain[0].clone())
        .map_err(|error| unusable(certificate, format!("no usable certificate: {error}")))?;
    assert_valid_now(certificate, &chain, &Arc::new(anybody), &provider)?;
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(VERSIONS)
        .expect("ring has ciphers for both versions")
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| refused(certificate, key, error))
}

fn authorities(file: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut store = RootCertStore::empty();
    // One odd authority among the system's hundred must not keep us from the others.
    let (taken, ignored) = store.add_parsable_certificates(certificates(file)?);
    if taken == 0 {
        return Err(unusable(file, "no certificate inside can be an authority"));
    }
    if ignored > 0 {
        warn!(file = %file.display(), ignored, "authorities that cannot be read");
    }
    Ok(Arc::new(store))
}

/// A peer would only say that it does not want our certificate; we can say why.
fn assert_valid_now(
    file: &Path,
    chain: &[CertificateDer<'static>],
    authorities: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
) -> Result<(), TlsError> {
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(authorities), Arc::clone(provider))
            .build()
            .map_err(|error| unusable(file, error.to_string()))?;
    let (leaf, between) = chain.split_first().expect("a chain has a first certificate");
    let anybody = ServerName::try_from("sidetone.invalid").expect("a host name");
    // Who issued it, and for which name, is for the peers to judge; dates are checked before both.
    match verifier.verify_server_cert(leaf, between, &anybody, &[], UnixTime::now()) {
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Err(unusable(file, "the certificate has expired")),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => Err(unusable(file, "the certificate is not valid yet")),
        Err(rustls::Error::InvalidCertificate(CertificateError::BadEncoding)) => {
            Err(unusable(file, "the certificate cannot be read"))
        }
        _ => Ok(()),
    }
}
