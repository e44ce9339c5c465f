//! One binding at a registrar, made and kept (RFC 3261 §10.2, RFC 5626 §4.5).

use std::time::{Duration, Instant};

use crate::sip::account::{Account, RegistrationEvent, RegistrationFailure, RegistrationState};
use crate::sip::back_off::back_off;
use crate::sip::binding::{granted, refresh_after, seconds};
use crate::sip::client_transactions::Unanswered;
use crate::sip::digest_client::DigestClient;
use crate::sip::headers::Headers;
use crate::sip::message::{Method, Received, Request, Response};
use crate::sip::uri::without_user;

/// No registrar grants or demands more.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3_600);
/// A broken connection is replaced within this time: not at once, for all others broke with it.
const MAX_RECONNECT_MILLIS: u64 = 2_000;

/// Keeps one binding: drain [`Self::poll_request`] after every other call. At most one REGISTER is
/// under way.
#[derive(Debug)]
pub struct Registration {
    account: Account,
    call_id: String,
    from_tag: String,
    cseq: u32,
    digest: DigestClient,
    /// Lifetime asked for: the account's, or more where the registrar demanded it.
    expires: Duration,
    step: Step,
    /// Until when the registrar keeps our binding.
    bound: Option<Instant>,
    /// No further REGISTER but the last.
    leaving: bool,
    failures: u32,
    /// What the owner was told last, until the next success.
    told: Option<RegistrationFailure>,
}

#[derive(Clone, Debug)]
enum Step {
    /// A REGISTER is due now, with these answers to a challenge.
    Due { answers: Vec<(String, String)> },
    /// A REGISTER waits for its answer.
    UnderWay {
        /// Whether it takes the binding back.
        last: bool,
        /// Whether the connection it depends on broke, so that its success is worth nothing.
        disconnected: bool,
    },
    /// The next is due then.
    Resting { until: Instant },
    /// Withdrawn.
    Over,
}

impl Registration {
    /// The first REGISTER is due at once. `call_id` stays the same for all (§10.2.4), as does
    /// `from_tag`.
    pub fn new(account: Account, call_id: impl Into<String>, from_tag: impl Into<String>) -> Self {
        Self {
            call_id: call_id.into(),
            from_tag: from_tag.into(),
            cseq: 0,
            digest: DigestClient::default(),
            expires: account.expires.min(MAX_LIFETIME),
            account,
            step: Step::Due { answers: Vec::new() },
            bound: None,
            leaving: false,
            failures: 0,
            told: None,
        }
    }

    /// Whose registration it is.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// How it stands.
    pub fn state(&self) -> RegistrationState {
        match (&self.step, self.bound, &self.told) {
            (Step::Over, _, _) => RegistrationState::Withdrawn,
            (_, Some(until), _) => RegistrationState::Registered { until },
            (_, None, Some(why)) => RegistrationState::Failed(why.clone()),
            (_, None, None) => RegistrationState::Trying,
        }
    }

    /// The REGISTER to send now, if one is due. It has no Via and no Contact: the transaction layer
    /// adds both, for it knows the address it leaves from.
    pub fn poll_request(&mut self, now: Instant) -> Option<Request> {
        let answers = match &mut self.step {
            Step::Due { answers } => std::mem::take(answers),
            Step::Resting { until } if *until <= now => Vec::new(),
            Step::Resting { .. } | Step::UnderWay { .. } | Step::Over => return None,
        };
        self.step = Step::UnderWay { last: self.leaving, disconnected: false };
        self.cseq += 1;
        let expires = if self.leaving { 0 } else { self.expires.as_secs() };
        let aor = format!("<{}>", self.account.aor);
        let mut request = Request::new(Method::Register, without_user(&self.account.registrar));
        let headers = &mut request.headers;
        headers.push("Max-Forwards", "70");
        headers.push("From", format!("{aor};tag={}", self.from_tag));
        headers.push("To", aor);
        headers.push("Call-ID", &self.call_id);
        headers.push("CSeq", format!("{} {}", self.cseq, Method::Register.as_str()));
        headers.push("Expires", expires.to_string());
        let authorization = match &self.account.credentials {
            Some(credentials) if answers.is_empty() => {
                self.digest.authorize(Method::Register.as_str(), &request.uri, &[], credentials)
            }
            Some(_) | None => answers,
        };
        for (name, value) in authorization {
            request.headers.push(&name, value);
        }
        Some(request)
    }

    /// An answer came. `our_contacts` are the URIs that the REGISTER's Contact may have had.
    pub fn handle_response(
        &mut self,
        now: Instant,
        response: &Received<Response>,
        our_contacts: &[String],
        random: &mut fastrand::Rng,
    ) -> Option<RegistrationEvent> {
        let Step::UnderWay { last, disconnected } = self.step else { return None };
        let (status, headers) = (response.message.status, &response.message.headers);
        if response.cseq != self.cseq || status < 200 {
            return None;
        }
        if matches!(status, 401 | 407) {
            return self.handle_challenge(now, last, headers, random);
        }
        self.digest.accepted();
        match status {
            _ if last => self.end(),
            200..300 => {
                let granted = granted(headers, our_contacts).unwrap_or(self.expires);
                self.succeed(now, granted.min(MAX_LIFETIME), disconnected, random)
            }
            423 => match seconds(headers, "Min-Expires") {
                Some(least) if self.expires < least && least <= MAX_LIFETIME => {
                    // It rises each time, so a registrar that always wants more ends at a day.
                    self.expires =
                        if self.expires == self.account.expires { least } else { MAX_LIFETIME };
                    self.again(Vec::new())
                }
                Some(_) | None => {
                    self.fail(now, RegistrationFailure::Refused(status), headers, random)
                }
            },
            _ => self.fail(now, RegistrationFailure::Refused(status), headers, random),
        }
    }

    /// No answer came to the REGISTER under way, and none will.
    pub fn handle_unanswered(
        &mut self,
        now: Instant,
        why: Unanswered,
        random: &mut fastrand::Rng,
    ) -> Option<RegistrationEvent> {
        let Step::UnderWay { last, .. } = self.step else { return None };
        if last {
            return self.end();
        }
        self.fail(now, RegistrationFailure::Unanswered(why), &Headers::default(), random)
    }

    /// The connection to the registrar broke: calls cannot come in by it, so it is made anew
    /// within 2 s (RFC 5626 §4.4).
    pub fn connection_lost(
        &mut self,
        now: Instant,
        random: &mut fastrand::Rng,
    ) -> Option<RegistrationEvent> {
        let soon = now + Duration::from_millis(random.u64(..=MAX_RECONNECT_MILLIS));
        match &mut self.step {
            Step::UnderWay { disconnected, .. } => *disconnected = true,
            // A failed registration keeps its back-off: what broke was no binding.
            Step::Resting { until } if self.bound.is_some() => *until = soon.min(*until),
            Step::Due { .. } | Step::Resting { .. } | Step::Over => {}
        }
        self.bound.take().map(|_| RegistrationEvent::Lost)
    }

    /// Takes the binding back, where one stands or may come to stand.
    pub fn withdraw(&mut self, _now: Instant) -> Option<RegistrationEvent> {
        self.leaving = true;
        match self.step {
            Step::UnderWay { .. } | Step::Over => None,
            Step::Due { .. } | Step::Resting { .. } if self.bound.is_some() => {
                self.again(Vec::new())
            }
            Step::Due { .. } | Step::Resting { .. } => self.end(),
        }
    }

    /// Notices a binding that lapsed.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<RegistrationEvent> {
        self.bound.take_if(|until| *until <= now).map(|_| RegistrationEvent::Lost)
    }

    /// When [`Self::handle_timeout`] and then [`Self::poll_request`] are next due, if ever. A
    /// REGISTER that is due at once is not announced here.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let next = match self.step {
            Step::Resting { until } => Some(until),
            Step::Over => return None,
            Step::Due { .. } | Step::UnderWay { .. } => None,
        };
        [next, self.bound].into_iter().flatten().min()
    }

    fn handle_challenge(
        &mut self,
        now: Instant,
        last: bool,
        headers: &Headers,
        random: &mut fastrand::Rng,
    ) -> Option<RegistrationEvent> {
        let answers = match &self.account.credentials {
            None => Err(RegistrationFailure::NoCredentials),
            Some(credentials) => {
                let uri = without_user(&self.account.registrar);
                self.digest
                    .answer(headers, Method::Register.as_str(), &uri, &[], credentials, random)
                    .map_err(RegistrationFailure::Digest)
            }
        };
        match answers {
            Ok(answers) => self.again(answers),
            Err(_) if last => self.end(),
            Err(why) => self.fail(now, why, headers, random),
        }
    }

    fn succeed(
        &mut self,
        now: Instant,
        granted: Duration,
        disconnected: bool,
        random: &mut fastrand::Rng,
    ) -> Option<RegistrationEvent> {
        if granted.is_zero() {
            self.bound = None;
            let why = RegistrationFailure::NothingGranted;
            return self.fail(now, why, &Headers::default(), random);
        }
        let was_bound = self.bound.is_some();
        let had_failed = self.told.take().is_some();
        self.failures = 0;
        if self.leaving {
            self.bound = Some(now + granted);
            return self.again(Vec::new());
        }
        if disconnected {
            self.step = Step::Resting { until: now };
            return None;
        }
        self.bound = Some(now + granted);
        self.step = Step::Resting { until: now + refresh_after(granted, random) };
        (!was_bound || had_failed).then_some(RegistrationEvent::Registered { expires: granted })
    }

    fn fail(
        &mut self,
        now: Instant,
        why: RegistrationFailure,
        headers: &Headers,
        random: &mut fastrand::Rng,
    ) -> Option<RegistrationEvent> {
        if self.leaving {
            // A binding from before may stand and is taken back; else there is nothing to do.
            return match self.bound {
                Some(_) => self.again(Vec::new()),
                None => self.end(),
            };
        }
        let asked = seconds(headers, "Retry-After").unwrap_or_default();
        let wait = back_off(why.needs_a_hand(), self.failures, asked, random);
        self.failures = self.failures.saturating_add(1);
        self.step = Step::Resting { until: now + wait };
        let news = self.told.as_ref() != Some(&why);
        self.told = Some(why.clone());
        news.then_some(RegistrationEvent::Failed { why })
    }

    fn again(&mut self, answers: Vec<(String, String)>) -> Option<RegistrationEvent> {
        self.step = Step::Due { answers };
        None
    }

    fn end(&mut self) -> Option<RegistrationEvent> {
        self.step = Step::Over;
        self.bound = None;
        Some(RegistrationEvent::Withdrawn)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use crate::sip::digest::Credentials;
    use crate::sip::digest_client::DigestRefusal;
    use crate::sip::message::Message;

    const CONTACT: &str = "sip:us@192.0.2.7:5060";
    const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n1\", qop=\"auth\"\r\n";

    struct Scene {
        now: Instant,
        registration: Registration,
        random: fastrand::Rng,
    }

    fn scene() -> Scene {
        let account = Account {
            name: "office".into(),
            registrar: "sip:us@pbx.example".into(),
            aor: "sip:us@pbx.example".into(),
            contact_user: "us".into(),
            credentials: Some(Credentials::new("us", "rabbit")),
            expires: Duration::from_secs(3_600),
            registers: true,
        };
        let registration = Registration::new(account, "call@us", "mine");
        Scene { now: Instant::now(), registration, random: fastrand::Rng::with_seed(1) }
    }

    impl Scene {
        fn sent(&mut self) -> Request {
            let request = self.registration.poll_request(self.now).expect("a REGISTER is due");
            assert_eq!(self.registration.poll_request(self.now), None);
            request
        }

        fn answer(&mut self, cseq: u32, status: u16, fields: &str) -> Option<RegistrationEvent> {
            let text = format!(
                "SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:us@b>;tag=mine\r\n\
                 To: <sip:us@b>;tag=t\r\nCall-ID: call@us\r\nCSeq: {cseq} REGISTER\r\n{fields}\r\n"
            );
            let Ok(Message::Response(response)) = Message::parse(text.as_bytes()) else {
                panic!("a response")
            };
            let contacts = [CONTACT.to_owned()];
            self.registration.handle_response(self.now, &response, &contacts, &mut self.random)
        }

        /// Sends what is due and has it answered.
        fn turn(&mut self, status: u16, fields: &str) -> Option<RegistrationEvent> {
            self.sent();
            let cseq = self.registration.cseq;
            self.answer(cseq, status, fields)
        }

        /// Seconds to the next REGISTER; it is then.
        fn rest(&mut self) -> f64 {
            let Step::Resting { until } = self.registration.step else {
                panic!("at rest: {:?}", self.registration.step)
            };
            let wait = until - self.now;
            self.now = until;
            wait.as_secs_f64()
        }
    }

    fn registered(seconds: u64) -> Option<RegistrationEvent> {
        Some(RegistrationEvent::Registered { expires: Duration::from_secs(seconds) })
    }

    fn failed(why: RegistrationFailure) -> Option<RegistrationEvent> {
        Some(RegistrationEvent::Failed { why })
    }

    fn refused(status: u16) -> Option<RegistrationEvent> {
        failed(RegistrationFailure::Refused(status))
    }

    #[test]
    fn a_register_says_who_where_and_for_how_long() {
        let mut scene = scene();
        let request = scene.sent();
        assert_eq!(
            (request.method.as_str(), request.uri.as_str()),
            ("REGISTER", "sip:pbx.example")
        );
        let field = |name| request.headers.get(name);
        assert_eq!(field("From"), Some("<sip:us@pbx.example>;tag=mine"));
        assert_eq!(field("To"), Some("<sip:us@pbx.example>"));
        assert_eq!((field("Call-ID"), field("CSeq")), (Some("call@us"), Some("1 REGISTER")));
        assert_eq!((field("Expires"), field("Max-Forwards")), (Some("3600"), Some("70")));
        assert_eq!((field("Via"), field("Contact"), field("Authorization")), (None, None, None));
    }

    #[test]
    fn a_challenge_is_answered_and_its_nonce_serves_the_refresh() {
        let mut scene = scene();
        assert_eq!(scene.turn(401, CHALLENGE), None);
        let second = scene.sent();
        assert_eq!(second.headers.get("CSeq"), Some("2 REGISTER"));
        let authorization = second.headers.get("Authorization").expect("an answer");
        assert!(
            authorization.contains("nc=00000001")
                && authorization.contains("uri=\"sip:pbx.example\"")
        );
        assert_eq!(scene.answer(2, 200, "Expires: 600\r\n"), registered(600));
        scene.rest();
        let refresh = scene.sent();
        assert!(refresh.headers.get("Authorization").expect("an answer").contains("nc=00000002"));
        let stale = CHALLENGE.replace("n1", "n2").replace("qop", "stale=true, qop");
        assert_eq!(scene.answer(3, 401, &stale), None);
        assert!(scene.sent().headers.get("Authorization").expect("an answer").contains("\"n2\""));
        assert_eq!(scene.answer(4, 200, "Expires: 600\r\n"), None, "told before");
        scene.rest();
        // A registrar whose nonces serve once, and that says nothing of `stale`.
        assert_eq!(scene.turn(401, &CHALLENGE.replace("n1", "n3")), None);
        assert!(scene.sent().headers.get("Authorization").expect("an answer").contains("\"n3\""));
    }

    #[test]
    fn a_wrong_password_is_told_once_and_tried_slowly() {
        let mut scene = scene();
        let wrong = DigestRefusal::WrongPassword { realm: "r".into() };
        let wrong = RegistrationFailure::Digest(wrong);
        scene.turn(401, CHALLENGE);
        assert_eq!(scene.turn(401, &CHALLENGE.replace("n1", "n2")), failed(wrong.clone()));
        assert!((30.0..=60.0).contains(&scene.rest()));
        scene.turn(401, CHALLENGE);
        assert_eq!(scene.turn(401, CHALLENGE), None);
        assert!((60.0..=120.0).contains(&scene.rest()));
        assert_eq!(scene.registration.state(), RegistrationState::Failed(wrong));
        scene.registration.account.credentials = None;
        assert_eq!(scene.turn(401, CHALLENGE), failed(RegistrationFailure::NoCredentials));
    }

    #[test]
    fn the_lifetime_is_that_of_our_own_contact() {
        let granted = |fields: &str| scene().turn(200, fields);
        let others =
            "Contact: \"a;expires=1\" <sip:them@192.0.2.8>;expires=9, <sip:US@192.0.2.7>;expires=8";
        let ours = "<sip:us@192.0.2.7;transport=UDP>;q=1;Expires=120";
        assert_eq!(granted(&format!("{others}, {ours}\r\nExpires: 60\r\n")), registered(120));
        assert_eq!(granted(&format!("{others}\r\nExpires: 60\r\n")), registered(60));
        assert_eq!(granted("Contact: <sip:us@203.0.113.1:40000>;expires=90\r\n"), registered(90));
        assert_eq!(granted(&format!("Contact: <{CONTACT}>\r\n")), registered(3_600));
        assert_eq!(granted("Expires: 99999999999\r\n"), registered(86_400));
        let none = failed(RegistrationFailure::NothingGranted);
        assert_eq!(granted(&format!("Contact: <{CONTACT}>;expires=0\r\n")), none);
    }

    #[test]
    fn it_is_refreshed_in_time_for_a_second_trial() {
        let mut scene = scene();
        for (lifetime, earliest, latest) in
            [(3_600, 1_800.0, 2_700.0), (80, 40.0, 45.0), (60, 30.0, 45.0), (1, 1.0, 1.0)]
        {
            for _ in 0..50 {
                scene.turn(200, &format!("Expires: {lifetime}\r\n"));
                let until = scene.now + Duration::from_secs(lifetime);
                assert_eq!(scene.registration.state(), RegistrationState::Registered { until });
                let wait = scene.rest();
                assert!((earliest..=latest).contains(&wait), "{wait} s of {lifetime}");
            }
        }
    }

    #[test]
    fn too_short_a_lifetime_is_raised_and_not_for_ever() {
        let mut scene = scene();
        assert_eq!(scene.turn(423, "Min-Expires: 7200\r\n"), None);
        assert_eq!(scene.sent().headers.get("Expires"), Some("7200"));
        assert_eq!(scene.answer(2, 423, "Min-Expires: 7200\r\n"), refused(423));
        scene.rest();
        assert_eq!(scene.turn(423, "Min-Expires: 9000\r\n"), None);
        assert_eq!(scene.sent().headers.get("Expires"), Some("86400"));
        assert_eq!(scene.answer(4, 423, "Min-Expires: 100000\r\n"), None, "the same failure");
        scene.rest();
        assert_eq!(scene.turn(423, ""), None, "the same failure");
    }

    #[test]
    fn failures_are_told_once_and_tried_ever_more_slowly() {
        let mut scene = scene();
        let silent = RegistrationFailure::Unanswered(Unanswered::TimedOut);
        for (nth, longest) in
            [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0].iter().enumerate()
        {
            scene.sent();
            let (registration, now) = (&mut scene.registration, scene.now);
            let event =
                registration.handle_unanswered(now, Unanswered::TimedOut, &mut scene.random);
            assert_eq!(
                event,
                (nth == 0).then(|| RegistrationEvent::Failed { why: silent.clone() })
            );
            let wait = scene.rest();
            assert!((longest / 2.0..=*longest).contains(&wait), "{wait} s of {longest}");
        }
        assert_eq!(silent.to_string(), "the registrar: no answer in 32 s");
        assert_eq!(scene.turn(500, ""), refused(500));
        scene.rest();
        assert_eq!(scene.turn(200, ""), registered(3_600));
        scene.rest();
        assert_eq!(scene.turn(500, ""), refused(500));
        assert!((1.0..=2.0).contains(&scene.rest()));
    }

    #[test]
    fn retry_after_is_honoured_up_to_five_minutes() {
        let mut scene = scene();
        assert_eq!(scene.turn(503, "Retry-After: 120 (full);duration=60\r\n"), refused(503));
        assert_eq!(scene.rest(), 120.0);
        scene.turn(503, "Retry-After: 86400\r\n");
        assert_eq!(scene.rest(), 300.0);
        scene.turn(403, "");
        assert!((120.0..=240.0).contains(&scene.rest()), "the third failure at the long base");
    }

    #[test]
    fn a_binding_that_no_refresh_saves_is_lost_at_its_end() {
        let mut scene = scene();
        scene.turn(200, "Expires: 60\r\n");
        let end = scene.now + Duration::from_secs(60);
        scene.rest();
        assert_eq!(scene.turn(503, "Retry-After: 300\r\n"), refused(503));
        assert_eq!(scene.registration.state(), RegistrationState::Registered { until: end });
        assert_eq!(scene.registration.poll_timeout(), Some(end));
        assert_eq!(scene.registration.handle_timeout(end - Duration::from_millis(1)), None);
        assert_eq!(scene.registration.handle_timeout(end), Some(RegistrationEvent::Lost));
        assert_eq!(scene.registration.handle_timeout(end), None);
        let why = RegistrationFailure::Refused(503);
        assert_eq!(scene.registration.state(), RegistrationState::Failed(why));
        scene.rest();
        assert_eq!(scene.turn(200, ""), registered(3_600));
    }

    #[test]
    fn a_broken_connection_is_registered_anew_at_once() {
        let mut scene = scene();
        scene.turn(200, "");
        let lost = scene.registration.connection_lost(scene.now, &mut scene.random);
        assert_eq!(lost, Some(RegistrationEvent::Lost));
        assert!((0.0..=2.0).contains(&scene.rest()));
        scene.sent();
        // It breaks while the answer is on its way: that binding would lead nowhere.
        assert_eq!(scene.registration.connection_lost(scene.now, &mut scene.random), None);
        assert_eq!(scene.answer(2, 200, ""), None);
        assert_eq!(scene.turn(200, ""), registered(3_600));
    }

    #[test]
    fn old_and_provisional_answers_change_nothing() {
        let mut scene = scene();
        scene.turn(401, CHALLENGE);
        scene.sent();
        assert_eq!(scene.answer(1, 200, ""), None);
        assert_eq!(scene.answer(2, 100, ""), None);
        assert_eq!(scene.registration.state(), RegistrationState::Trying);
        assert_eq!(scene.answer(2, 200, ""), registered(3_600));
        assert_eq!(scene.answer(2, 403, ""), None);
    }

    #[test]
    fn to_withdraw_takes_the_binding_back() {
        let gone = Some(RegistrationEvent::Withdrawn);
        let mut scene = scene();
        scene.turn(200, "");
        assert_eq!(scene.registration.withdraw(scene.now), None);
        assert_eq!(scene.sent().headers.get("Expires"), Some("0"));
        assert_eq!(scene.answer(2, 401, CHALLENGE), None);
        assert_eq!(scene.sent().headers.get("Expires"), Some("0"));
        assert_eq!(scene.answer(3, 200, ""), gone);
        assert_eq!(scene.registration.state(), RegistrationState::Withdrawn);
        assert_eq!(
            (scene.registration.poll_timeout(), scene.registration.poll_request(scene.now)),
            (None, None)
        );
    }

    #[test]
    fn to_withdraw_waits_for_what_is_under_way_and_for_nothing_else() {
        let gone = Some(RegistrationEvent::Withdrawn);
        assert_eq!(
            {
                let mut scene = scene();
                scene.registration.withdraw(scene.now)
            },
            gone
        );
        let mut answered = scene();
        answered.sent();
        assert_eq!(answered.registration.withdraw(answered.now), None);
        assert_eq!(answered.answer(1, 200, ""), None);
        assert_eq!(answered.sent().headers.get("Expires"), Some("0"));
        let Scene { registration, now, random } = &mut answered;
        assert_eq!(registration.handle_unanswered(*now, Unanswered::TimedOut, random), gone);
        let mut challenged = scene();
        challenged.turn(200, "");
        challenged.registration.withdraw(challenged.now);
        challenged.turn(401, CHALLENGE);
        assert_eq!(challenged.turn(401, CHALLENGE), gone, "a password that has become wrong");
        let mut refused = scene();
        refused.sent();
        refused.registration.withdraw(refused.now);
        assert_eq!(refused.answer(1, 403, ""), gone);
    }
}
