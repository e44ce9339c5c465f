//! The accounts of one endpoint: each keeps its binding at a registrar (RFC 3261 §10).

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use crate::sip::account::{RegistrationEvent, RegistrationState};
use crate::sip::client_transactions::{ClientId, Order, Owner, Unanswered};
use crate::sip::core::Core;
use crate::sip::hops::Way;
use crate::sip::message::{Received, Response};
use crate::sip::registration::Registration;
use crate::sip::transport::{ConnectionId, Hop};

/// The accounts, in the order of the settings.
#[derive(Debug)]
pub struct Accounts {
    bindings: Vec<Binding>,
    events: VecDeque<(usize, RegistrationEvent)>,
}

#[derive(Debug)]
struct Binding {
    registration: Registration,
    under_way: Option<ClientId>,
    /// The way of the last answer: calls come from there.
    hop: Option<Hop>,
    /// The stream that it came over: with it goes the binding.
    connection: Option<ConnectionId>,
}

impl Accounts {
    /// None of them registered. Nothing is sent before [`Self::flush`].
    pub fn new(core: &mut Core) -> Self {
        let accounts = core.settings.accounts.clone();
        let binding = |account| {
            let (call_id, tag) = (core.token(), core.token());
            let registration = Registration::new(account, call_id, tag);
            Binding { registration, under_way: None, hop: None, connection: None }
        };
        Self { bindings: accounts.into_iter().map(binding).collect(), events: VecDeque::new() }
    }

    /// Sends what is due.
    pub fn flush(&mut self, now: Instant, core: &mut Core) {
        for (number, binding) in self.bindings.iter_mut().enumerate() {
            if !binding.registration.account().registers {
                continue;
            }
            while let Some(mut request) = binding.registration.poll_request(now) {
                let account = binding.registration.account();
                request.headers.push("User-Agent", &core.settings.user_agent);
                let order = Order {
                    way: Way::Uri { uri: account.registrar.clone(), last: None },
                    contact: Some(account.contact_user.clone()),
                    owner: Owner::Account(number),
                    request,
                };
                binding.under_way = Some(core.clients.request(now, order));
            }
        }
    }

    /// An answer to the REGISTER `id`, which came over `connection`, if over a stream.
    pub fn handle_response(
        &mut self,
        now: Instant,
        core: &mut Core,
        (number, id): (usize, ClientId),
        response: &Received<Response>,
        connection: Option<ConnectionId>,
    ) {
        let Some(binding) = self.bindings.get_mut(number) else { return };
        if binding.under_way != Some(id) {
            return;
        }
        if let Some((_, hop)) = core.clients.request_of(id) {
            binding.hop = Some(hop.clone());
            binding.connection = connection;
        }
        let local = binding.hop.as_ref().and_then(|hop| core.settings.locals.get(hop.local.0));
        let user = &binding.registration.account().contact_user;
        let contacts: Vec<_> = local.map(|local| local.uri(user)).into_iter().collect();
        let random = &mut core.random;
        let event = binding.registration.handle_response(now, response, &contacts, random);
        self.events.extend(event.map(|event| (number, event)));
        self.flush(now, core);
    }

    /// No answer to the REGISTER `id` will come.
    pub fn handle_unanswered(
        &mut self,
        now: Instant,
        core: &mut Core,
        (number, id): (usize, ClientId),
        why: Unanswered,
    ) {
        let Some(binding) = self.bindings.get_mut(number) else { return };
        if binding.under_way != Some(id) {
            return;
        }
        let event = binding.registration.handle_unanswered(now, why, &mut core.random);
        self.events.extend(event.map(|event| (number, event)));
        self.flush(now, core);
    }

    /// A stream was closed.
    pub fn handle_closed(&mut self, now: Instant, core: &mut Core, connection: ConnectionId) {
        for (number, binding) in self.bindings.iter_mut().enumerate() {
            if binding.connection == Some(connection) {
                binding.connection = None;
                let event = binding.registration.connection_lost(now, &mut core.random);
                self.events.extend(event.map(|event| (number, event)));
            }
        }
        self.flush(now, core);
    }

    /// A deadline has come.
    pub fn handle_timeout(&mut self, now: Instant, core: &mut Core) {
        for (number, binding) in self.bindings.iter_mut().enumerate() {
            let event = binding.registration.handle_timeout(now);
            self.events.extend(event.map(|event| (number, event)));
        }
        self.flush(now, core);
    }

    /// Takes every binding back.
    pub fn withdraw(&mut self, now: Instant, core: &mut Core) {
        for (number, binding) in self.bindings.iter_mut().enumerate() {
            let event = binding.registration.withdraw(now);
            self.events.extend(event.map(|event| (number, event)));
        }
        self.flush(now, core);
    }

    /// When [`Self::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.bindings.iter().filter_map(|binding| binding.registration.poll_timeout()).min()
    }

    /// The next thing that happened to an account, by number.
    pub fn poll_event(&mut self) -> Option<(usize, RegistrationEvent)> {
        self.events.pop_front()
    }

    /// Whether a registrar is at `address` that we are bound to, or are asking to be: what it sends is
    /// for us. Asterisk tries a new binding with OPTIONS before it has answered the REGISTER.
    pub fn trust(&self, core: &Core, address: IpAddr) -> bool {
        self.bindings.iter().any(|binding| {
            let state = binding.registration.state();
            let bound = matches!(state, RegistrationState::Registered { .. });
            let bound_to = binding.hop.as_ref().filter(|_| bound);
            let asked = binding.under_way.and_then(|id| core.clients.request_of(id));
            bound_to.into_iter().chain(asked.map(|(_, hop)| hop)).any(|h| h.address.ip() == address)
        })
    }

    /// How many are registered now.
    pub fn registered(&self) -> u64 {
        let bound = |binding: &&Binding| {
            matches!(binding.registration.state(), RegistrationState::Registered { .. })
        };
        self.bindings.iter().filter(bound).count() as u64
    }
}
