//! Who is let in: strangers are kept out, some peers are asked for a password (RFC 3261 §22.1).

use std::time::Instant;

use crate::sip::access::Peer;
use crate::sip::core::Core;
use crate::sip::digest::Credentials;
use crate::sip::digest_server::{DigestServer, Verdict};
use crate::sip::endpoint::{Endpoint, reply_hop};
use crate::sip::event::Rejection;
use crate::sip::message::{Method, Received, Request};
use crate::sip::screening::Refusal;
use crate::sip::server_transactions::ServerKey;
use crate::sip::transport::Source;

/// Rejections that the owner hears of between two drains, at most; all are counted.
const REJECTIONS_TOLD: usize = 16;

impl Endpoint {
    /// Lets in `peers`, and `users` where a peer's INVITEs are challenged, for requests from now on. What stands belongs
    /// to whoever began it.
    pub fn admit(&mut self, peers: Vec<Peer>, users: Vec<Credentials>) {
        self.core.settings.access.replace_peers(peers);
        if let Some(digest) = &mut self.digest {
            digest.replace_users(users.clone());
        }
        self.core.settings.users = users;
    }

    /// Whether `source` is a peer of the settings, or a registrar that calls us through a binding.
    pub(super) fn is_known(&self, source: &Source) -> bool {
        self.core.settings.access.peer(source).is_some()
            || self.accounts.trust(&self.core, source.hop.address.ip())
    }

    /// Whether `request` belongs to something that stands, whoever sends it: a transaction of
    /// theirs, or a dialog, whose tags nobody guesses.
    pub(super) fn is_awaited(&self, request: &Received<Request>) -> bool {
        self.core.servers.knows(request) || self.call_of(request).is_some()
    }

    pub(super) fn handle_stranger(&mut self, source: &Source, request: &Received<Request>) {
        self.core.stats.strangers += 1;
        self.reject(source, Rejection::Stranger);
        if self.core.settings.access.refuses() && request.method != Method::Ack {
            let refusal = Refusal::plain(403);
            let mut answer = self.core.stateless_refusal(&request.message, &refusal);
            // A scanner keeps a list of what it found where.
            answer.headers.remove("Server");
            let reply_to = reply_hop(source, &request.via);
            self.core.servers.respond_stateless(reply_to, &answer, &mut self.core.stats);
        }
    }

    /// Tells the owner, who hears of so many at most between two drains.
    fn reject(&mut self, source: &Source, why: Rejection) {
        if self.rejections.len() < REJECTIONS_TOLD {
            self.rejections.push_back((source.clone(), why));
        }
    }

    /// Whether an INVITE from `source` bears the credentials that its peer has to; if not, it was
    /// answered with a challenge (§22.1).
    pub(super) fn is_authentic(
        &mut self,
        now: Instant,
        source: &Source,
        key: &ServerKey,
        invite: &Received<Request>,
    ) -> bool {
        let Core { settings, random, .. } = &mut self.core;
        if !settings.access.peer(source).is_some_and(|peer| peer.digest) {
            return true;
        }
        let digest = self.digest.get_or_insert_with(|| {
            let secret = std::array::from_fn(|_| random.u8(..));
            DigestServer::new(now, &settings.realm, secret, settings.users.clone())
        });
        let address = source.hop.address.ip();
        let Request { method, uri, headers, .. } = &invite.message;
        let given = headers.all("Authorization");
        let verdict = digest.check(now, address, given, method.as_str(), uri);
        match &verdict {
            Verdict::Accepted { .. } => return true,
            Verdict::Missing | Verdict::Stale => {}
            Verdict::Refused => {
                self.core.stats.wrong_passwords += 1;
                self.reject(source, Rejection::WrongPassword);
                // Passwords are not guessed here at more than the pace of strangers.
                if !self.core.settings.access.spend(now, address) {
                    self.core.refuse(now, key, &invite.message, &Refusal::plain(403));
                    return false;
                }
            }
        }
        self.core.stats.challenged += 1;
        let Some(digest) = &mut self.digest else { return false };
        let challenges = digest.challenge(now, address, verdict == Verdict::Stale);
        let challenges = challenges.into_iter().map(|value| ("WWW-Authenticate".to_owned(), value));
        let refusal = Refusal { headers: challenges.collect(), ..Refusal::plain(401) };
        self.core.refuse(now, key, &invite.message, &refusal);
        false
    }
}
