//! The certificate that we show in DTLS handshakes: made at every start, good for its life.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, SerialNumber};

use crate::rtp::dtls::{Identity, IdentityError};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It could not be made.
    #[error("cannot make a certificate for DTLS: {0}")]
    Making(#[from] rcgen::Error),
    /// It was made, and is of no use.
    #[error(transparent)]
    Use(#[from] IdentityError),
    /// The system has no randomness to give.
    #[error("no randomness from the system: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// Makes a key and a certificate of its own. Nobody looks at its names or its dates: SDP says which
/// one it has to be (RFC 5763 §5).
pub fn make() -> Result<Arc<Identity>, CertificateError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(Vec::new())?;
    // Browsers want it to differ from that of every other certificate.
    params.serial_number = Some(SerialNumber::from(getrandom::u64()? >> 1));
    let certificate = params.self_signed(&key)?;
    Ok(Arc::new(Identity::new(certificate.der().to_vec(), key.serialize_der())?))
}
