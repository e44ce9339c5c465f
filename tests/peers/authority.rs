//! An authority of ours, and certificates that it issues, good and bad.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Who stands behind certificates.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    /// Puts its own certificate into `folder`, as `authorities.pem`.
    pub(crate) fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, "Test Authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        fs::write(folder.join("authorities.pem"), issuer.pem()).expect("a writable folder");
        Self { issuer, folder: folder.to_owned() }
    }

    /// A certificate for `name`, valid until the first day of `last_year`: `FILE.crt`, `FILE.key`,
    /// and `FILE.pem` with both.
    pub(crate) fn issue(&self, file: &str, name: &str, last_year: i32) {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        let key = key.serialize_pem();
        let place = |extension: &str| self.folder.join(file).with_extension(extension);
        fs::write(place("pem"), format!("{certificate}{key}")).expect("a writable folder");
        fs::write(place("crt"), certificate).expect("a writable folder");
        fs::write(place("key"), key).expect("a writable folder");
    }
}
