//! How one call of ours answers challenges (RFC 3261 §22.2).

use crate::sip::digest::Credentials;
use crate::sip::digest_client::{DigestClient, DigestRefusal};
use crate::sip::headers::Headers;
use crate::sip::message::Request;

/// A user and password, and what the other side asked of them so far.
#[derive(Debug)]
pub struct Login {
    credentials: Credentials,
    digest: DigestClient,
}

impl Login {
    /// Nobody has asked yet.
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials, digest: DigestClient::default() }
    }

    /// Puts the answer to the challenges in `headers`, those of a 401 or 407, into `request`, which
    /// was refused with them.
    pub fn answer(
        &mut self,
        headers: &Headers,
        request: &mut Request,
        random: &mut fastrand::Rng,
    ) -> Result<(), DigestRefusal> {
        let Request { method, uri, body, .. } = &*request;
        let Self { credentials, digest } = self;
        let fields = digest.answer(headers, method.as_str(), uri, body, credentials, random)?;
        write(request, &fields);
        Ok(())
    }

    /// Puts what was asked for before into `request`, before anybody asks for it again.
    pub fn sign(&mut self, request: &mut Request) {
        let Request { method, uri, body, .. } = &*request;
        let fields = self.digest.authorize(method.as_str(), uri, body, &self.credentials);
        write(request, &fields);
    }

    /// A request got through: the next challenge is a new one.
    pub fn accepted(&mut self) {
        self.digest.accepted();
    }
}

fn write(request: &mut Request, fields: &[(String, String)]) {
    for name in ["Authorization", "Proxy-Authorization"] {
        request.headers.remove(name);
    }
    for (name, value) in fields {
        request.headers.push(name, value);
    }
}
