//! Until when a certificate of ours is valid (RFC 5280 4.1.2.5); the only room that names `x509_cert`.

use std::path::Path;

use jiff::Timestamp;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::runtime::transport::tls::{TlsError, certificates};

/// The moment from which handshakes with the certificates in the PEM file fail: when the first of them, the one between
/// ours and its authority included, is valid no more.
pub fn read(file: &Path) -> Result<Timestamp, TlsError> {
    let unusable = |error: &dyn std::fmt::Display| TlsError::Unusable {
        file: file.to_owned(),
        reason: format!("no readable certificate: {error}"),
    };
    let until = |der: &[u8]| {
        let certificate = Certificate::from_der(der).map_err(|error| unusable(&error))?;
        let until = certificate.tbs_certificate().validity().not_after.to_unix_duration();
        let seconds = i64::try_from(until.as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_second(seconds).map_err(|error| unusable(&error))
    };
    let all = certificates(file)?.iter().map(|der| until(der)).collect::<Result<Vec<_>, _>>()?;
    Ok(all.into_iter().min().expect("a file without a certificate was an error"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// The PEM of a certificate that is valid until the beginning of that day, UTC.
    fn until(year: i32, month: u8, day: u8) -> String {
        let mut params = CertificateParams::new(["pbx.example".to_owned()]).expect("a name");
        params.not_after = date_time_ymd(year, month, day);
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").pem()
    }

    #[test]
    fn the_first_certificate_of_a_chain_that_runs_out_ends_it() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), until(2049, 12, 31) + &until(2031, 2, 3)).expect("our file");
        let wanted: Timestamp = "2031-02-03T00:00:00Z".parse().expect("a time");
        assert_eq!(read(file.path()).expect("certificates"), wanted);
    }

    #[test]
    fn what_is_no_certificate_is_told_with_its_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let nonsense = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";
        fs::write(file.path(), nonsense).expect("our file");
        let said = read(file.path()).expect_err("no certificate").to_string();
        assert!(said.contains("no readable certificate"), "{said}");
        assert!(said.starts_with(&file.path().display().to_string()), "{said}");
    }
}
