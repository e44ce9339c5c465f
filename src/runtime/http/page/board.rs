//! What the page shows: observations, folded into the state of conversations. Pure: time is an argument.
//!
//! Each change has a version. Who watches says which it has seen, and is given what is news since; so nothing is queued for
//! anybody, and who is slow, or was away, is given more at once.

use std::collections::{HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use crate::runtime::http::page::conversation::Conversation;
use crate::runtime::http::page::leg::Leg;
use crate::runtime::http::page::shown::News;
use crate::runtime::observation::Observation;
use crate::sip::event::CallKey;

/// Conversations at once; one more takes the place of one that is over, or is only counted.
const CONVERSATIONS: usize = 500;
/// Of these, those that are over; the oldest go first.
const OVER: usize = 50;
/// How long one that is over is shown.
const KEPT: SignedDuration = SignedDuration::from_mins(10);
/// After observations were missed, a leg that nothing is observed of for so long is over: its end was among them.
const FORGOTTEN: SignedDuration = SignedDuration::from_mins(10);
/// References of those that are shown no longer; who has not seen so many go is sent everything.
const GONE: usize = 200;

/// The board.
#[derive(Debug)]
pub struct Board {
    version: u64,
    conversations: HashMap<String, Conversation>,
    /// Whose conversation a call is.
    calls: HashMap<CallKey, String>,
    /// With the version at which it went.
    gone: VecDeque<(u64, String)>,
    /// Who has seen no more than this is sent everything.
    oldest: u64,
    /// Legs so far.
    legs: u64,
    unlisted: u64,
    missed: u64,
}

impl Default for Board {
    /// An empty one.
    fn default() -> Self {
        Self {
            version: 1,
            conversations: HashMap::new(),
            calls: HashMap::new(),
            gone: VecDeque::new(),
            oldest: 0,
            legs: 0,
            unlisted: 0,
            missed: 0,
        }
    }
}

impl Board {
    /// The version of the newest change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many conversations have a call now.
    pub fn live(&self) -> usize {
        self.conversations.values().filter(|known| known.over.is_none()).count()
    }

    /// So many observations never came here.
    pub fn handle_missed(&mut self, count: u64) {
        self.missed += count;
        self.version += 1;
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Timestamp, observation: &Observation) {
        let version = self.version + 1;
        match observation {
            Observation::Started {
                call,
                conversation,
                reference,
                party,
                subject,
                channel,
                policy,
                at,
            } => {
                self.legs += 1;
                let mut leg = Leg::new(*call, self.legs, *party, now);
                (leg.subject, leg.channel) = (subject.clone(), channel.clone());
                self.start((conversation, reference), policy, *at, leg);
            }
            Observation::Evidence { call, evidence } => self.change(*call, |conversation, nth| {
                let leg = &mut conversation.legs[nth?];
                leg.heard_of = now;
                leg.handle_evidence(version, evidence).then_some(())
            }),
            Observation::Line { call, report } => self.change(*call, |conversation, nth| {
                let leg = &mut conversation.legs[nth?];
                leg.heard_of = now;
                leg.handle_line(report);
                Some(())
            }),
            Observation::Verdict { call, verdict } => self.change(*call, |conversation, nth| {
                if let Some(nth) = nth {
                    conversation.legs[nth].handle_finding(verdict.since_s, &verdict.finding);
                }
                conversation.handle_verdict(version, now, verdict);
                Some(())
            }),
            Observation::Ended { call, end } => self.end(now, *call, end),
            // A session that broke ends without its dialog; mostly it is over already.
            Observation::Closed { call, .. } => self.end(now, *call, "closed"),
            // What became of an INFO is for the metrics.
            Observation::Info { .. } => {}
        }
    }

    /// Time has passed: drops what is too old to be shown.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.missed > 0 {
            let silent = |leg: &&Leg| leg.end.is_none() && leg.heard_of + FORGOTTEN <= now;
            let legs = self.conversations.values().flat_map(|known| &known.legs);
            let silent: Vec<CallKey> = legs.filter(silent).map(|leg| leg.call).collect();
            silent.into_iter().for_each(|call| self.end(now, call, "missed"));
        }
        let old = |known: &Conversation| known.over.is_some_and(|over| over + KEPT <= now);
        let known = self.conversations.iter().filter(|(_, known)| old(known));
        let ids: Vec<String> = known.map(|(id, _)| id.clone()).collect();
        ids.iter().for_each(|id| self.remove(id));
    }

    /// What is news to who has seen everything up to `since`, or everything to who has not; whom calls are with only where
    /// `identified`.
    pub fn news(&self, since: u64, identified: bool) -> News {
        let since = if since < self.oldest || since > self.version { 0 } else { since };
        let changed = self.conversations.iter().filter(|(_, known)| known.changed > since);
        let mut changed: Vec<_> = changed.collect();
        changed.sort_by_key(|(_, known)| (known.started, &known.reference));
        let shown = changed.into_iter().map(|(id, known)| known.shown(id, since, identified));
        let conversations = shown.collect();
        let gone = self.gone.iter().filter(|(version, _)| *version > since && since > 0);
        let gone = gone.map(|(_, reference)| reference.clone()).collect();
        let (whole, unlisted, missed) = (since == 0, self.unlisted, self.missed);
        News { whole, conversations, gone, unlisted, missed }
    }

    fn start(&mut self, (id, reference): (&str, &str), policy: &str, at: Timestamp, leg: Leg) {
        if !self.conversations.contains_key(id) && self.conversations.len() >= CONVERSATIONS {
            let Some(oldest) = self.oldest_over() else {
                self.unlisted += 1;
                self.version += 1;
                return;
            };
            self.remove(&oldest);
        }
        self.version += 1;
        self.calls.insert(leg.call, id.to_owned());
        if !self.conversations.contains_key(id) {
            let begun = Conversation::new(reference.to_owned(), policy.to_owned(), at);
            self.conversations.insert(id.to_owned(), begun);
        }
        let conversation = self.conversations.get_mut(id).expect("it was just put there");
        conversation.join(leg);
        conversation.changed = self.version;
    }

    /// Runs `act` on the conversation of `call` and the place of its leg; that counts where `act` gives something.
    fn change(
        &mut self,
        call: CallKey,
        act: impl FnOnce(&mut Conversation, Option<usize>) -> Option<()>,
    ) {
        let known = self.calls.get(&call).and_then(|id| self.conversations.get_mut(id));
        let Some(conversation) = known else { return };
        let nth = conversation.legs.iter().position(|leg| leg.call == call);
        if act(conversation, nth).is_some() {
            self.version += 1;
            conversation.changed = self.version;
        }
    }

    fn end(&mut self, now: Timestamp, call: CallKey, end: &'static str) {
        self.change(call, |conversation, nth| {
            let leg = &mut conversation.legs[nth?];
            leg.end.is_none().then(|| leg.end = Some(end))?;
            let over = conversation.legs.iter().all(|leg| leg.end.is_some());
            conversation.over = over.then_some(now);
            Some(())
        });
        let over = self.conversations.values().filter(|known| known.over.is_some()).count();
        if over > OVER
            && let Some(oldest) = self.oldest_over()
        {
            self.remove(&oldest);
        }
    }

    fn oldest_over(&self) -> Option<String> {
        let over = self.conversations.iter().filter(|(_, known)| known.over.is_some());
        over.min_by_key(|(_, known)| known.over).map(|(id, _)| id.clone())
    }

    fn remove(&mut self, id: &str) {
        let Some(known) = self.conversations.remove(id) else { return };
        self.calls.retain(|_, of| of != id);
        self.version += 1;
        if self.gone.len() == GONE
            && let Some((version, _)) = self.gone.pop_front()
        {
            self.oldest = version;
        }
        self.gone.push_back((self.version, known.reference));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::policy::evidence::{Evidence, SpeakerEvidence};
    use crate::policy::rule::Party;
    use crate::policy::sensitivity::Sensitivity;
    use crate::policy::verdict::{Finding, SCHEMA_VERSION, Verdict};
    use crate::speaker::calibration::{Comparison, Conditions, Likeness};
    use crate::speaker::verifier::Decision;

    const T0: Timestamp = Timestamp::UNIX_EPOCH;

    fn board() -> Board {
        Board::default()
    }

    fn started(call: u64, conversation: &str) -> Observation {
        Observation::Started {
            call: CallKey(call),
            conversation: conversation.to_owned(),
            reference: format!("{call:016x}"),
            party: Party::Caller,
            subject: Some("alice".to_owned()),
            channel: Some("SIP/alice-1".to_owned()),
            policy: "p@1".to_owned(),
            at: T0,
        }
    }

    fn window(call: u64, nth: u32) -> Observation {
        let at = Duration::from_millis(700) * nth;
        let likeness = Likeness { decide: Some(0.8), watch: None };
        let conditions = Conditions { range_db: 30.0, upper_db: -20.0, concealed: 0.0 };
        let newest = Comparison { likeness, conditions, net_speech: at, fresh: 0.3 };
        let evidence = Evidence::Speaker(SpeakerEvidence {
            decision: Decision::Collecting,
            since: Duration::ZERO,
            at,
            llr: 1.0,
            newest,
            newest_llr: f64::from(nth),
            probability: 0.5,
            reason: None,
            net_speech: at,
            coverage: 1.0,
        });
        Observation::Evidence { call: CallKey(call), evidence }
    }

    fn verdict(call: u64, finding: Finding) -> Observation {
        let verdict = Verdict {
            version: SCHEMA_VERSION,
            sequence: 1,
            conversation: "c".to_owned(),
            party: Party::Caller,
            finding,
            since: T0,
            since_s: 1.5,
            net_speech_s: 2.0,
            coverage: 1.0,
            model: None,
            policy: "p@1".to_owned(),
        };
        Observation::Verdict { call: CallKey(call), verdict: Arc::new(verdict) }
    }

    fn phrase(call: u64, phrase: &str, sensitivity: Sensitivity) -> Observation {
        let finding = Finding::Keyword {
            phrase: phrase.to_owned(),
            sensitivity,
            start_s: 1.0,
            end_s: 1.5,
            score: 0.0,
            exact: true,
            experiment: None,
        };
        verdict(call, finding)
    }

    fn ended(call: u64) -> Observation {
        Observation::Ended { call: CallKey(call), end: "by_peer" }
    }

    #[test]
    fn who_has_seen_everything_is_told_what_is_news_alone() {
        let mut board = board();
        board.handle(T0, &started(1, "a"));
        board.handle(T0, &started(2, "b"));
        board.handle(T0, &window(1, 1));
        let seen = board.version();
        let whole = board.news(0, false);
        assert!(whole.whole && whole.conversations.len() == 2);
        assert!(board.news(seen, false).conversations.is_empty());
        board.handle(T0, &window(1, 2));
        let news = board.news(seen, false);
        assert!(!news.whole && news.conversations.len() == 1);
        let leg = &news.conversations[0].legs[0];
        assert_eq!((leg.all_points, &leg.points[..]), (false, &[(1.4, 2.0, 1.0)][..]));
        // A version of another life of the appliance.
        assert!(board.news(board.version() + 1, false).whole);
    }

    #[test]
    fn a_viewer_is_told_neither_whom_a_call_is_with_nor_what_is_personal() {
        let mut board = board();
        board.handle(T0, &started(1, "+49301234567"));
        board.handle(T0, &phrase(1, "my-debts", Sensitivity::Personal));
        board.handle(T0, &phrase(1, "risk", Sensitivity::Public));
        let entry = "watched-voice-7".to_owned();
        board.handle(T0, &verdict(1, Finding::Watchlist { entry, llr: 3.0 }));
        let subject = "alice".to_owned();
        let decision = crate::policy::verdict::SpeakerDecision::Accepted;
        let (llr, probability, reason) = (Some(5.0), None, None);
        board.handle(
            T0,
            &verdict(1, Finding::Speaker { subject, decision, llr, probability, reason }),
        );
        let told =
            |identified| serde_json::to_string(&board.news(0, identified)).expect("it serialises");
        let all = ["alice", "4930", "debts", "watched-voice"];
        let (viewer, operator) = (told(false), told(true));
        for word in all {
            assert!(!viewer.contains(word), "{word}: {viewer}");
            assert!(operator.contains(word), "{word}: {operator}");
        }
        assert!(viewer.contains("risk") && viewer.contains(r#""id":"personal""#), "{viewer}");
    }

    #[test]
    fn points_are_bounded_however_long_the_call_and_span_all_of_it() {
        let mut board = board();
        board.handle(T0, &started(1, "a"));
        let mut seen = Vec::new();
        let mut version = 0;
        for nth in 1..=5_000 {
            board.handle(T0, &window(1, nth));
            // A page that is told everything as it comes has what the board has.
            let news = board.news(version, false);
            version = board.version();
            let leg = &news.conversations[0].legs[0];
            if leg.all_points {
                seen.clear();
            }
            seen.extend(leg.points.iter().copied());
        }
        let whole = board.news(0, false);
        let points = &whole.conversations[0].legs[0].points;
        assert!((120..=240).contains(&points.len()), "{}", points.len());
        assert!(points[0].0 < 60.0 && points[points.len() - 1].0 > 3_400.0, "{points:?}");
        assert_eq!(&seen, points);
    }

    #[test]
    fn a_conversation_is_shown_for_ten_minutes_after_its_last_call_and_then_gone() {
        let mut board = board();
        board.handle(T0, &started(1, "a"));
        board.handle(T0, &started(2, "a"));
        board.handle(T0, &ended(1));
        assert_eq!((board.live(), board.news(0, false).conversations[0].over_ms), (1, None));
        board.handle(T0, &ended(2));
        assert_eq!(board.live(), 0);
        // What is concluded at the end still comes.
        board.handle(T0, &phrase(2, "risk", Sensitivity::Public));
        assert_eq!(board.news(0, false).conversations[0].events.len(), 1);
        board.handle_timeout(T0 + SignedDuration::from_secs(599));
        let seen = board.version();
        let reference = board.news(0, false).conversations[0].reference.clone();
        board.handle_timeout(T0 + SignedDuration::from_secs(600));
        let news = board.news(seen, false);
        assert_eq!((news.whole, news.gone), (false, vec![reference]));
        assert!(board.calls.is_empty());
    }

    #[test]
    fn there_are_so_many_conversations_and_no_more() {
        let mut board = board();
        for call in 0..600 {
            board.handle(T0, &started(call, &format!("c{call}")));
        }
        let news = board.news(0, false);
        assert_eq!((news.conversations.len(), news.unlisted), (CONVERSATIONS, 100));
        for call in 0..CONVERSATIONS as u64 {
            board.handle(T0, &ended(call));
        }
        assert_eq!(board.news(0, false).conversations.len(), OVER);
        // Who has missed so many that left is sent everything.
        assert!(board.news(2, false).whole);
    }

    #[test]
    fn after_observations_were_missed_a_leg_that_nothing_is_heard_of_is_over() {
        let later = T0 + FORGOTTEN;
        for (missed, live) in [(0, 1), (3, 0)] {
            let mut board = board();
            board.handle(T0, &started(1, "a"));
            if missed > 0 {
                board.handle_missed(missed);
            }
            board.handle_timeout(later);
            assert_eq!(board.live(), live);
        }
    }
}
