//! What the signalling thread does when it is asked to place, show or end a call.

use std::net::IpAddr;
use std::time::Instant;

use tracing::info;

use crate::call::call::Output;
use crate::runtime::admission::Admission;
use crate::runtime::placed_calls::{Order, PlaceOrder, PlacedCall};
use crate::runtime::signalling::Signalling;
use crate::sip::client_call::Placing;
use crate::sip::location::Locator;
use crate::sip::uri::UriParts;

impl Signalling {
    /// Does what was asked for at the desk.
    pub(super) fn handle_order(&mut self, order: Order) {
        // Who gave an order and went away does not want the answer.
        match order {
            Order::Place(order, by, reply) => drop(reply.send(self.place(&order, &by))),
            Order::List(reply) => drop(reply.send(self.placed.list())),
            Order::Show(id, reply) => drop(reply.send(self.placed.show(id))),
            Order::Enroll(order, reply) => {
                self.enroll(&order, Box::new(move |_, begun| drop(reply.send(begun))));
            }
            Order::Pause(whose, pause, reply) => drop(reply.send(self.pause(&whose, pause))),
            Order::End(id, reply) => {
                let call = self.placed.show(id);
                if let Some(key) = self.placed.key(id) {
                    let reason = "SIP;cause=200;text=\"on request\"".to_owned();
                    self.endpoint.hang_up(Instant::now(), key, Some(reason));
                }
                drop(reply.send(call));
            }
            Order::Certify(tls, reply) => {
                self.transports.replace_tls(*tls);
                let _ = reply.send(());
            }
            Order::Admit(admission, reply) => {
                self.admit(&admission);
                let _ = reply.send(());
            }
            Order::CloseDoors(reply) => {
                self.health.set_draining();
                self.endpoint.close_doors(Instant::now());
                let _ = reply.send(());
            }
            Order::Enforce(policy, reply) => {
                self.metrics.policy_in_force(policy.policy());
                self.record_policy(&policy);
                self.policy = policy;
                let _ = reply.send(());
            }
        }
    }

    /// Lets in whom `admission` names, from now on. Calls that stand go on with what they began with.
    fn admit(&mut self, admission: &Admission) {
        let peers = admission.peers();
        self.peers = peers.iter().map(|peer| (peer.name.clone(), peer.info.clone())).collect();
        self.media_settings.replace_peers(admission.tables());
        self.recordings.replace_peers(admission.tables());
        self.endpoint.admit(peers, admission.users().to_vec());
    }

    /// Calls somebody; a refusal says why not.
    fn place(&mut self, order: &PlaceOrder, by: &str) -> Result<PlacedCall, String> {
        if self.health.is_draining() {
            return Err("no new call is taken any more: the end has begun".to_owned());
        }
        let account = order.account.as_deref().map(|name| {
            let known = self.accounts.iter().position(|account| account.name == name);
            known.ok_or_else(|| format!("no account is called {name:?}"))
        });
        let account = account.transpose()?;
        let info = order.peer.as_deref().map(|name| {
            let known = self.peers.iter().find(|(peer, _)| peer == name);
            known.map(|(_, info)| info.clone()).ok_or_else(|| format!("no peer is called {name:?}"))
        });
        let info = info.transpose()?.unwrap_or_default();
        let target = self.target(&order.target, account)?;
        let call_id = format!("{:016x}", self.random.u64(..));
        let facts = self.facts(&order.headers(), &call_id)?;
        let sockets = self.ports.bind().ok_or("no RTP port is free")?;
        let terms = self.media_settings.of_called(order.peer.as_deref(), order.account.as_deref());
        let terms = terms.clone();
        let call = self.begin(&facts, &sockets, terms);
        let mut call = call.map_err(|error| error.to_string())?;
        call.place();
        let Some(Output::Place { sdp }) = call.poll_output() else {
            return Err("there is nothing to offer".to_owned());
        };
        let conversation = facts.conversation.clone();
        let headers = vec![("X-Sidetone-Conversation".to_owned(), conversation.clone())];
        let offer = Some(sdp);
        let placing = Placing { target: target.clone(), way: None, account, headers, offer, info };
        let key = self.endpoint.invite(Instant::now(), placing);
        info!(conversation, target, account = order.account, "calling");
        // Where its name leads is not known yet; what it asks for is.
        let encrypted = target.contains("transport=tls") || target.starts_with("sips:");
        let whose = order.account.as_ref().or(order.peer.as_ref());
        self.enter(key, call, facts, sockets, whose.filter(|_| !encrypted));
        self.claim(key, by);
        let policy = self.policy_of(&conversation).policy().versioned_name();
        Ok(self.placed.begin(key, target, (conversation, policy)))
    }

    /// The URI that an order means: an extension alone belongs to the domain of the account.
    fn target(&self, target: &str, account: Option<usize>) -> Result<String, String> {
        let own = account.and_then(|account| UriParts::parse(&self.accounts.get(account)?.aor));
        let uri = match own {
            Some(own) if !target.contains([':', '@']) => {
                let host = match own.address() {
                    Some(IpAddr::V6(six)) => format!("[{six}]"),
                    Some(IpAddr::V4(_)) | None => own.host.to_owned(),
                };
                let port = own.port.map_or(String::new(), |port| format!(":{port}"));
                let transport = own.parameter("transport");
                let transport = transport.map_or(String::new(), |t| format!(";transport={t}"));
                format!("sip:{target}@{host}{port}{transport}")
            }
            Some(_) | None => target.to_owned(),
        };
        let printable = uri.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(&byte));
        match Locator::new(&uri, &self.supported) {
            Ok(_) if printable => Ok(uri),
            Ok(_) => Err(format!("{uri:?} is no SIP URI")),
            Err(error) => Err(format!("{uri:?}: {error}")),
        }
    }
}
