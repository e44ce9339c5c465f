//! The user agent core (RFC 3261 §6): what the calls of one endpoint share.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use crate::sip::client_transactions::{ClientId, ClientTransactions, Order, Owner};
use crate::sip::credentials::Login;
use crate::sip::dialog::{Dialog, DialogId};
use crate::sip::event::{CallKey, Event, InfoId, InfoSkip};
use crate::sip::headers::Headers;
use crate::sip::invite_server::T1;
use crate::sip::message::{Method, Received, Request, Response};
use crate::sip::screening::{ACCEPT, ALLOW, Refusal, SUPPORTED};
use crate::sip::server_transactions::{ServerKey, ServerTransactions};
use crate::sip::settings::Settings;
use crate::sip::stats::Stats;
use crate::sip::transport::LocalId;

/// Shared by all calls: the transactions, the names we give and what waits for the owner.
#[derive(Debug)]
pub struct Core {
    pub(crate) settings: Settings,
    pub(crate) servers: ServerTransactions,
    pub(crate) clients: ClientTransactions,
    pub(crate) dialogs: BTreeMap<DialogId, CallKey>,
    pub(crate) events: VecDeque<(CallKey, Event)>,
    pub(crate) stats: Stats,
    pub(crate) random: fastrand::Rng,
    /// Of calls that are over, for their BYEs.
    logins: BTreeMap<ClientId, Login>,
}

impl Core {
    /// `seed` decides every tag, branch and Call-ID.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        Self {
            servers: ServerTransactions::new(settings.max_transactions),
            // 64*T1 more, so that a call that lost patience has its CANCEL answered first.
            clients: ClientTransactions::new(
                settings.locals.clone(),
                settings.patience + 64 * T1,
                random.u64(..),
            ),
            settings,
            dialogs: BTreeMap::new(),
            events: VecDeque::new(),
            stats: Stats::default(),
            random,
            logins: BTreeMap::new(),
        }
    }

    /// A tag or part of a Call-ID that nobody guesses (§19.3 asks for 32 bits, we take 64).
    pub fn token(&mut self) -> String {
        format!("{:016x}", self.random.u64(..))
    }

    /// 0 to 10 seconds, for Retry-After (§14.2).
    pub fn short_wait(&mut self) -> u8 {
        self.random.u8(..=10)
    }

    /// Where we can be reached at `local`, as a Contact value.
    pub fn contact(&self, local: LocalId) -> String {
        format!("<{}>", self.settings.locals[local.0].uri(&self.settings.user))
    }

    /// Our own URI, for From.
    pub fn uri(&self) -> String {
        format!("sip:{}@{}", self.settings.user, self.settings.locals[0].address)
    }

    /// Adds what each answer that opens or describes a session says about us. Recv-Info is there
    /// even when empty: it says that we know of packages and take none (RFC 6086 §5.2.2).
    pub fn describe(&self, answer: Response) -> Response {
        answer
            .with("Allow", ALLOW)
            .with("Accept", ACCEPT)
            .with("Supported", SUPPORTED.join(", "))
            .with("Recv-Info", self.settings.recv_info.join(", "))
            .with("Server", &self.settings.user_agent)
    }

    /// Tells the owner.
    pub fn tell(&mut self, call: CallKey, event: Event) {
        self.events.push_back((call, event));
    }

    /// Tells the owner that an INFO will not be sent.
    pub fn tell_skipped(&mut self, call: CallKey, id: InfoId, why: InfoSkip) {
        self.stats.infos_skipped += 1;
        self.tell(call, Event::InfoSkipped { id, why });
    }

    /// Answers a request.
    pub fn respond(&mut self, now: Instant, key: &ServerKey, answer: &Response) {
        self.servers.respond(now, key, answer, &mut self.stats);
    }

    /// Refuses `request` on behalf of nobody in particular.
    pub fn refuse(&mut self, now: Instant, key: &ServerKey, request: &Request, refusal: &Refusal) {
        let answer = self.refusal(request, refusal);
        self.respond(now, key, &answer);
    }

    /// The answer that says `refusal` to `request`.
    pub fn refusal(&mut self, request: &Request, refusal: &Refusal) -> Response {
        let tag = self.token();
        self.tagged_refusal(request, refusal, &tag)
    }

    /// The same for a request that nobody remembers: a repeat of it is met with the same answer
    /// (§8.2.7).
    pub fn stateless_refusal(&self, request: &Request, refusal: &Refusal) -> Response {
        self.tagged_refusal(request, refusal, &stateless_tag(&request.headers))
    }

    fn tagged_refusal(&self, request: &Request, refusal: &Refusal, tag: &str) -> Response {
        Response::to(&request.headers, refusal.status, refusal.reason)
            .with_to_tag(tag)
            .with_all(&refusal.headers)
            .with("Server", &self.settings.user_agent)
    }

    /// Sends the dialog's next request `method`, as filled by `fill`.
    pub fn request(
        &mut self,
        now: Instant,
        dialog: &mut Dialog,
        method: Method,
        owner: Owner,
        fill: impl FnOnce(&mut Request),
    ) -> ClientId {
        // §12.2: what may move the target says where we are.
        let moves = matches!(method, Method::Invite | Method::Update);
        let contact = moves.then(|| self.settings.user.clone());
        let mut request = dialog.request(method);
        request.headers.push("User-Agent", &self.settings.user_agent);
        fill(&mut request);
        self.clients.request(now, Order { request, way: dialog.way(), contact, owner })
    }

    /// Keeps `login` for the request `id`, for which nobody waits: it may be challenged all the
    /// same, and a BYE that is not answered for leaves the other side's call standing.
    pub fn keep_login(&mut self, id: ClientId, login: Login) {
        self.logins.insert(id, login);
    }

    /// The request `id` is over.
    pub fn forget_login(&mut self, id: ClientId) {
        self.logins.remove(&id);
    }

    /// A response to the request `id`, for which nobody waits: a challenge is answered if it can be.
    pub fn answer_challenge(&mut self, now: Instant, id: ClientId, response: &Received<Response>) {
        let status = response.message.status;
        if status < 200 {
            return;
        }
        let Some(mut login) = self.logins.remove(&id) else { return };
        let Some((request, _)) = self.clients.request_of(id) else { return };
        let mut request = request.clone();
        let headers = &response.message.headers;
        let answered = matches!(status, 401 | 407)
            && login.answer(headers, &mut request, &mut self.random).is_ok();
        if answered {
            // The dialog is over for us, so no other request of ours has the next number.
            let cseq = format!("{} {}", response.cseq + 1, request.method.as_str());
            request.headers.replace_first("CSeq", cseq);
            self.clients.repeat(now, id, request);
            self.logins.insert(id, login);
        }
    }

    /// A MESSAGE to `to` outside of any dialog (RFC 3428).
    pub fn message(&mut self, to: &str) -> Request {
        let mut request = self.outside(Method::Message, to, None);
        request.headers.push("CSeq", "1 MESSAGE");
        request.headers.push("User-Agent", &self.settings.user_agent);
        request
    }

    /// A request to `target` outside of any dialog, from ourselves or `from`, without its CSeq.
    pub fn outside(&mut self, method: Method, target: &str, from: Option<&str>) -> Request {
        let from = from.map_or_else(|| self.uri(), str::to_owned);
        let mut request = Request::new(method, target);
        request.headers.push("Max-Forwards", "70");
        request.headers.push("From", format!("<{from}>;tag={}", self.token()));
        request.headers.push("To", format!("<{target}>"));
        request.headers.push("Call-ID", format!("{}{}", self.token(), self.token()));
        request
    }

    /// Ends the dialog; nobody waits for the answer (§15.1.1).
    pub fn bye(&mut self, now: Instant, dialog: &mut Dialog, reason: Option<&str>) {
        self.request(now, dialog, Method::Bye, Owner::Nobody, |bye| {
            if let Some(reason) = reason {
                bye.headers.push("Reason", reason);
            }
        });
    }
}

/// A To tag that follows from the request, so that its repeats get the same.
pub(super) fn stateless_tag(headers: &Headers) -> String {
    let mut hasher = DefaultHasher::new();
    for name in ["Call-ID", "CSeq", "From", "Via"] {
        headers.get(name).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}
