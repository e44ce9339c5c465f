//! TLS towards receivers that speak no HTTP.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::runtime::notify::http_client::HttpClientError;

/// Trusts the authorities in `file`, which `key` of the configuration named, and shows no certificate.
pub(in crate::runtime) fn trusting(
    file: &Path,
    key: &'static str,
) -> Result<Arc<ClientConfig>, HttpClientError> {
    let unreadable = |error| HttpClientError::Unreadable { file: file.to_owned(), key, error };
    let text = std::fs::read(file).map_err(unreadable)?;
    let certificates = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok);
    let mut store = RootCertStore::empty();
    let (taken, _) = store.add_parsable_certificates(certificates);
    if taken == 0 {
        return Err(HttpClientError::NoAuthorities { file: file.to_owned(), key });
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has ciphers for both versions")
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
