//! Who may call, and on what terms: the peers and users of the configuration, with the passwords from their files.

use crate::config::sip::{self, Sip};
use crate::runtime::sip_settings::{SecretError, secret};
use crate::sip::access::Peer;
use crate::sip::digest::Credentials;

/// Who may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    tables: Vec<sip::Peer>,
    users: Vec<Credentials>,
}

impl Admission {
    /// Reads the passwords; blocks.
    pub fn read(sip: &Sip) -> Result<Self, SecretError> {
        let users = sip.users.iter().map(|user| {
            let password = secret(&user.password_file, "sip.user.password_file")?;
            Ok(Credentials::new(&user.name, password))
        });
        Ok(Self { tables: sip.peers.clone(), users: users.collect::<Result<_, _>>()? })
    }

    /// The peers as the configuration has them.
    pub fn tables(&self) -> &[sip::Peer] {
        &self.tables
    }

    /// The peers as the endpoint knows them, in order of trial.
    pub fn peers(&self) -> Vec<Peer> {
        let peer = |peer: &sip::Peer| Peer {
            name: peer.name.clone(),
            networks: peer.networks.clone(),
            transports: peer.transports.iter().map(|name| name.0).collect(),
            certificate: peer.certificate.clone(),
            digest: peer.digest,
            info: peer.profile(),
            records: peer.siprec,
        };
        self.tables.iter().map(peer).collect()
    }

    /// Who may call with a password.
    pub fn users(&self) -> &[Credentials] {
        &self.users
    }
}
