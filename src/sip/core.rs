//! The user agent core (RFC 3261 §6): what the calls of one endpoint share.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crate::sip::dialog::{Dialog, DialogId};
use crate::sip::event::{CallKey, Event, InfoId, InfoSkip};
use crate::sip::invite_server::T1;
use crate::sip::message::{Method, Request, Response};
use crate::sip::screening::{ACCEPT, ALLOW, Refusal};
use crate::sip::settings::Settings;
use crate::sip::stats::Stats;
use crate::sip::transactions::{ClientKey, ServerKey, Transactions};
use crate::sip::via::MAGIC_COOKIE;

/// Shared by all calls: the transactions, the names we give and what waits for the owner.
#[derive(Debug)]
pub struct Core {
    pub(crate) settings: Settings,
    pub(crate) transactions: Transactions,
    pub(crate) dialogs: BTreeMap<DialogId, CallKey>,
    pub(crate) events: VecDeque<(CallKey, Event)>,
    pub(crate) stats: Stats,
    random: fastrand::Rng,
}

impl Core {
    /// `seed` decides every tag, branch and Call-ID.
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            // 64*T1 more, so that a call that lost patience has its CANCEL answered first.
            transactions: Transactions::new(
                settings.locals[0].address,
                settings.max_transactions,
                settings.patience + 64 * T1,
            ),
            settings,
            dialogs: BTreeMap::new(),
            events: VecDeque::new(),
            stats: Stats::default(),
            random: fastrand::Rng::with_seed(seed),
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

    /// A transaction identifier of ours.
    pub fn branch(&mut self) -> String {
        format!("{MAGIC_COOKIE}{}", self.token())
    }

    /// Where we can be reached, as a Contact value.
    pub fn contact(&self) -> String {
        format!("<{}>", self.uri())
    }

    /// Our own URI.
    pub fn uri(&self) -> String {
        format!("sip:{}@{}", self.settings.user, self.settings.locals[0].address)
    }

    /// Adds what each answer that opens or describes a session says about us. Recv-Info is there
    /// even when empty: it says that we know of packages and take none (RFC 6086 §5.2.2).
    pub fn describe(&self, answer: Response) -> Response {
        answer
            .with("Allow", ALLOW)
            .with("Accept", ACCEPT)
            .with("Supported", "")
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
        self.transactions.respond(now, key, answer, &mut self.stats);
    }

    /// Refuses `request` on behalf of nobody in particular.
    pub fn refuse(&mut self, now: Instant, key: &ServerKey, request: &Request, refusal: &Refusal) {
        let answer = self.refusal(request, refusal);
        self.respond(now, key, &answer);
    }

    /// The answer that says `refusal` to `request`.
    pub fn refusal(&mut self, request: &Request, refusal: &Refusal) -> Response {
        let tag = self.token();
        Response::to(&request.headers, refusal.status, refusal.reason)
            .with_to_tag(&tag)
            .with_all(&refusal.headers)
            .with("Server", &self.settings.user_agent)
    }

    /// Sends the dialog's next request `method`, as filled by `fill`.
    pub fn request(
        &mut self,
        now: Instant,
        dialog: &mut Dialog,
        method: Method,
        call: Option<CallKey>,
        fill: impl FnOnce(&mut Request),
    ) -> ClientKey {
        let mut request = dialog.request(method);
        request.headers.push("User-Agent", &self.settings.user_agent);
        fill(&mut request);
        let branch = self.branch();
        self.transactions.request(now, request, dialog.next_hop(), branch, call)
    }

    /// Ends the dialog; nobody waits for the answer (§15.1.1).
    pub fn bye(&mut self, now: Instant, dialog: &mut Dialog, reason: Option<&str>) {
        self.request(now, dialog, Method::Bye, None, |bye| {
            if let Some(reason) = reason {
                bye.headers.push("Reason", reason);
            }
        });
    }
}
