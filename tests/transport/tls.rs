//! TLS of both versions, and both sides' certificates.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, ServerConfig, version};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use sidetone::config::sip::{self, ClientCertificates};
use sidetone::runtime::transport::connection::{HopError, Limits};
use sidetone::runtime::transport::stats::CloseReason;
use sidetone::runtime::transport::tls::{HandshakeFault, Tls, TlsError};
use sidetone::runtime::transport::transports::Transports;
use sidetone::sip::transport::Transport;

use crate::{Side, hop, message, read_exactly};

/// An authority, and the folder for what it issues.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("authorities.pem"), issuer.pem()).expect("written");
        Self { issuer, folder }
    }

    /// Names with a colon are URIs.
    fn issue(&self, file: &str, names: &[&str], last_year: i32) -> sip::Tls {
        let (uris, names): (Vec<&str>, Vec<&str>) =
            names.iter().partition(|name| name.starts_with("sip:"));
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).expect("names");
        let uri = |uri: &str| SanType::URI(uri.try_into().expect("ASCII"));
        params.subject_alt_names.extend(uris.into_iter().map(uri));
        params.not_after = date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let mut files = sip::Tls::new(self.path(file, "crt"), self.path(file, "key"));
        fs::write(&files.certificate, certificate.pem()).expect("written");
        fs::write(&files.key, key.serialize_pem()).expect("written");
        files.authorities = self.path("authorities", "pem");
        files
    }

    fn path(&self, file: &str, extension: &str) -> PathBuf {
        self.folder.path().join(file).with_extension(extension)
    }

    fn tls(&self, names: &[&str], client_certificates: ClientCertificates) -> Tls {
        let files = self.issue("ours", names, 2100);
        Tls::load(&sip::Tls { client_certificates, ..files }).expect("good files")
    }

    /// A client that is not ours, with the certificate in `own`.
    async fn connect(
        &self,
        to: SocketAddr,
        version: &'static rustls::SupportedProtocolVersion,
        own: Option<&sip::Tls>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("an authority");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some(own) => {
                let (certificate, key) = read(own);
                config.with_client_auth_cert(certificate, key).expect("a certificate")
            }
        };
        let name = ServerName::try_from("pbx.example").expect("a name");
        let stream = TcpStream::connect(to).await?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

fn read(files: &sip::Tls) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let certificate = CertificateDer::from_pem_file(&files.certificate).expect("PEM");
    (vec![certificate], PrivateKeyDer::from_pem_file(&files.key).expect("PEM"))
}

/// A server that is not ours; says what it hears back.
async fn echo(files: &sip::Tls) -> SocketAddr {
    let (certificate, key) = read(files);
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(certificate, key)
        .expect("a certificate");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("one");
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((stream, _)) = listener.accept().await {
            let handshake = acceptor.accept(stream);
            tokio::spawn(async move {
                let Ok(mut stream) = handshake.await else { return };
                let mut bytes = vec![0; 1_000];
                while let Ok(length @ 1..) = stream.read(&mut bytes).await {
                    stream.write_all(&bytes[..length]).await.expect("written");
                }
            });
        }
    });
    at
}

#[tokio::test]
async fn tls_is_spoken_in_both_versions() {
    let authority = Authority::new("ours");
    let tls = authority.tls(&["pbx.example"], ClientCertificates::Off);
    let on = [(Transport::Tls, "127.0.0.1:0")];
    let mut side = Side::listen(&on, Some(tls), Limits::default());
    for (offered, spoken) in
        [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let at = side.at[0];
        let (peer, ()) = tokio::join!(
            authority.connect(at, offered, None),
            side.idle_until("accepted", |t| t.stats().tls.open == 1)
        );
        let mut peer = peer.expect("a handshake");
        assert_eq!(peer.get_ref().1.protocol_version(), Some(spoken));
        peer.write_all(&message("secret", &"x".repeat(40_000))).await.expect("written");
        let (source, bytes) = side.message().await;
        assert_eq!(bytes.len(), message("secret", &"x".repeat(40_000)).len());
        assert_eq!(source.hop.transport, Transport::Tls);
        assert!(source.names.is_empty());
        side.transports.send(&source.hop, message("back", &"y".repeat(40_000)));
        read_exactly(&mut peer, &message("back", &"y".repeat(40_000))).await;
        drop(peer);
        side.idle_until("closed", |t| t.stats().tls.open == 0).await;
    }
}

#[tokio::test]
async fn a_required_client_certificate_tells_who_it_is() {
    let authority = Authority::new("ours");
    let tls = authority.tls(&["pbx.example"], ClientCertificates::Required);
    let on = [(Transport::Tls, "127.0.0.1:0")];
    let mut side = Side::listen(&on, Some(tls), Limits::default());
    let at = side.at[0];
    let names = authority.issue("names", &["Carrier.example", "b.example"], 2100);
    let domains =
        authority.issue("domains", &["host.example", "sip:Trunk.example", "sip:a@b.example"], 2100);
    let strangers = Authority::new("strangers");
    let mut refused = 0;
    for offered in [&version::TLS12, &version::TLS13] {
        for (own, wanted) in
            [(&names, vec!["carrier.example", "b.example"]), (&domains, vec!["trunk.example"])]
        {
            let (peer, ()) = tokio::join!(
                authority.connect(at, offered, Some(own)),
                side.idle_until("accepted", |t| t.stats().tls.open == 1)
            );
            let mut peer = peer.expect("a handshake");
            peer.write_all(&message("a", "")).await.expect("written");
            let (source, _) = side.message().await;
            assert_eq!(*source.names, *wanted, "{offered:?}");
            drop(peer);
            side.idle_until("closed", |t| t.stats().tls.open == 0).await;
        }
        let stranger = strangers.issue("stranger", &["carrier.example"], 2100);
        let expired = authority.issue("expired", &["carrier.example"], 2001);
        for (own, fault) in [
            (None, HandshakeFault::NoCertificate),
            (Some(&stranger), HandshakeFault::UnknownIssuer),
            (Some(&expired), HandshakeFault::Expired),
        ] {
            refused += 1;
            // In TLS 1.3 the client is refused only after its handshake.
            let (_peer, ()) = tokio::join!(
                authority.connect(at, offered, own),
                side.idle_until("refused", |t| {
                    t.stats().closed(CloseReason::Handshake) == refused
                })
            );
            let of_kind = side.transports.stats().handshakes_failed(fault);
            assert_eq!(of_kind, refused.div_ceil(3), "{fault:?}: {:?}", side.transports.stats());
        }
    }
}

#[tokio::test]
async fn our_side_checks_the_server_by_name_and_keeps_the_connection() {
    let authority = Authority::new("ours");
    let tls = authority.tls(&["us.example"], ClientCertificates::Off);
    let on = [(Transport::Tls, "127.0.0.1:0")];
    let mut side = Side::listen(&on, Some(tls), Limits::default());
    let server = echo(&authority.issue("server", &["pbx.example", "127.0.0.1"], 2100)).await;
    for name in [Some("pbx.example"), None] {
        let to = hop(Transport::Tls, server, name);
        for body in ["1", "2"] {
            side.transports.send(&to, message("echo", body));
            let (source, bytes) = side.message().await;
            assert_eq!(bytes, message("echo", body));
            assert_eq!(source.hop.name, to.name);
            assert_eq!(*source.names, ["pbx.example".to_owned()]);
        }
    }
    // One for each name: a connection proves one name only.
    assert_eq!(side.transports.stats().tls.opened, 2);
}

#[tokio::test]
async fn a_server_that_is_not_who_it_should_be_is_unreachable_and_why_is_said() {
    let authority = Authority::new("ours");
    let tls = authority.tls(&["us.example"], ClientCertificates::Off);
    let on = [(Transport::Tls, "127.0.0.1:0")];
    let limits = Limits { handshake: Duration::from_millis(500), ..Limits::default() };
    let mut side = Side::listen(&on, Some(tls), limits);
    let good = authority.issue("good", &["pbx.example"], 2100);
    let expired = authority.issue("expired", &["pbx.example"], 2001);
    let stranger = Authority::new("stranger");
    let strange = stranger.issue("strange", &["pbx.example"], 2100);
    let mute = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mute_at = mute.local_addr().expect("one");
    for (server, name, fault, said) in [
        (echo(&expired).await, Some("pbx.example"), HandshakeFault::Expired, "has expired"),
        (
            echo(&good).await,
            Some("other.example"),
            HandshakeFault::WrongName,
            "wanted other.example",
        ),
        (echo(&good).await, None, HandshakeFault::WrongName, "another name"),
        (
            echo(&strange).await,
            Some("pbx.example"),
            HandshakeFault::UnknownIssuer,
            "unknown issuer",
        ),
        (mute_at, Some("pbx.example"), HandshakeFault::TimedOut, "in time"),
    ] {
        let to = hop(Transport::Tls, server, name);
        side.transports.send(&to, message("a", ""));
        let (hop, error) = side.unreachable().await;
        assert_eq!(hop, to);
        let HopError::Handshake(error) = error else { panic!("{error:?}") };
        assert_eq!(error.fault, fault, "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
    let odd = hop(Transport::Tls, mute_at, Some("not a name"));
    side.transports.send(&odd, message("a", ""));
    assert!(matches!(side.unreachable().await.1, HopError::NotAName(_)));
    let mut bare = Side::over(Transport::Tcp);
    bare.transports.send(&odd, message("a", ""));
    assert_eq!(bare.unreachable().await.1, HopError::NoTls);
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_of_another_issuer_is_unreachable() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    // Both sides are ours: one trusts the other's authority, but not the other way round.
    let server = Tls::load(&sip::Tls {
        client_certificates: ClientCertificates::Required,
        ..theirs.issue("server", &["pbx.example"], 2100)
    });
    let client = Tls::load(&sip::Tls {
        authorities: theirs.path("authorities", "pem"),
        ..ours.issue("client", &["us.example"], 2100)
    });
    let on = [(Transport::Tls, "127.0.0.1:0")];
    let mut server = Side::listen(&on, Some(server.expect("files")), Limits::default());
    let mut client = Side::listen(&on, Some(client.expect("files")), Limits::default());
    let to = hop(Transport::Tls, server.at[0], Some("pbx.example"));
    client.transports.send(&to, message("a", ""));
    let refused = |t: &Transports| t.stats().handshakes_failed(HandshakeFault::UnknownIssuer) == 1;
    let ((hop, error), ()) =
        tokio::join!(client.unreachable(), server.idle_until("refused", refused));
    assert_eq!(hop, to);
    assert!(matches!(error, HopError::Handshake(_)), "{error:?}");
    assert!(error.to_string().contains("issuer of our certificate"), "{error}");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new("ours");
    let good = authority.issue("good", &["pbx.example"], 2100);
    let other = authority.issue("other", &["pbx.example"], 2100);
    let expired = authority.issue("expired", &["pbx.example"], 2001);
    let none = authority.path("none", "pem");
    let empty = authority.path("empty", "pem");
    fs::write(&empty, "nothing").expect("written");
    Tls::load(&good).expect("good files");
    for (files, file, said) in [
        (sip::Tls { certificate: none.clone(), ..good.clone() }, &none, "cannot read"),
        (
            sip::Tls { certificate: empty.clone(), ..good.clone() },
            &empty,
            "no certificate is inside",
        ),
        (sip::Tls { key: empty.clone(), ..good.clone() }, &empty, "no private key is inside"),
        (sip::Tls { key: other.key.clone(), ..good.clone() }, &other.key, "not the key of"),
        (
            sip::Tls { authorities: empty.clone(), ..good.clone() },
            &empty,
            "no certificate is inside",
        ),
        (expired.clone(), &expired.certificate, "has expired"),
    ] {
        let error: TlsError = Tls::load(&files).expect_err("bad files");
        let sentence = error.to_string();
        assert!(sentence.contains(said), "{sentence}");
        assert!(sentence.contains(&file.display().to_string()), "{sentence}");
    }
}
