//! Weighs the evidence of one conversation's parties: a verdict when a conclusion changes.

use std::sync::Arc;
use std::time::Duration;

use crate::policy::evidence::{Evidence, LineEvidence, PhraseEvidence};
use crate::policy::line::LineState;
use crate::policy::rule::{Party, Policy};
use crate::policy::rules::event::{Event, Record};
use crate::policy::ruling::Ruling;
use crate::policy::verdict::{Finding, SCHEMA_VERSION, SpeakerDecision, Verdict};
use crate::speaker::embedder::Embedders;

/// How long a phrase is remembered, in the party's own time, so as not to be told twice.
///
/// 60 s: a segment is at most 4 s long and few of a party's segments wait at once, so no two that
/// overlap are answered further apart; a call without end remembers no more than a minute.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Concludes for one conversation and numbers its verdicts.
#[derive(Debug)]
pub struct Judge {
    conversation: String,
    policy: Arc<Policy>,
    sequence: u64,
    ruling: Ruling,
}

/// What a judge has to know of a leg, and remembers about it.
#[derive(Debug)]
pub struct Leg {
    /// Whose leg it is.
    pub party: Party,
    /// The claimed identity, if one is claimed.
    pub subject: Option<String>,
    /// When the leg's first audio came; when it was answered, until then.
    pub started: jiff::Timestamp,
    /// Models in use, `name@version`.
    pub models: Models,
    /// The queue that its call came through, where it is known.
    pub queue: Option<String>,
    /// Its number in the conversation, once it has shown something.
    number: Option<u32>,
    told: Option<SpeakerDecision>,
    /// Those of the last minute that were told.
    phrases: Vec<PhraseEvidence>,
}

/// The models behind the evidence, `name@version`.
#[derive(Clone, Debug, Default)]
pub struct Models {
    /// Make speaker embeddings.
    pub speaker: Embedders,
    /// Makes transcripts and phrase scores.
    pub keyword: String,
}

impl Leg {
    /// A leg that has shown nothing yet.
    pub fn new(
        party: Party,
        subject: Option<String>,
        started: jiff::Timestamp,
        models: Models,
    ) -> Self {
        let (queue, number, told, phrases) = (None, None, None, Vec::new());
        Self { party, subject, started, models, queue, number, told, phrases }
    }

    /// Of a call that came through `queue`.
    pub fn through(mut self, queue: Option<String>) -> Self {
        self.queue = queue;
        self
    }
}

impl Judge {
    /// A judge of one conversation under one policy.
    pub fn new(conversation: String, policy: Arc<Policy>) -> Self {
        let ruling = Ruling::new(Arc::clone(&policy));
        Self { conversation, policy, sequence: 0, ruling }
    }

    /// The same, and every event that the rules are judged by is kept for [`Self::poll_record`].
    pub fn keeping(mut self) -> Self {
        self.ruling.keep();
        self
    }

    /// The same of a conversation whose legs are heard one after the other: rules are judged at its end.
    pub fn waiting(mut self) -> Self {
        self.ruling.wait();
        self
    }

    /// It is `now`: a rule's time may be over. [`Self::poll_verdict`] tells.
    pub fn handle_timeout(&mut self, now: jiff::Timestamp) {
        self.ruling.handle_timeout(now);
    }

    /// When [`Self::handle_timeout`] is next due, if ever.
    pub fn poll_timeout(&self) -> Option<jiff::Timestamp> {
        self.ruling.poll_timeout()
    }

    /// The conversation is over at `now` and nothing more will be analysed: what is open is decided.
    pub fn finish(&mut self, now: jiff::Timestamp) {
        self.ruling.finish(now);
    }

    /// The next verdict about a rule; drain it after every other call.
    pub fn poll_verdict(&mut self) -> Option<Verdict> {
        let ruled = self.ruling.poll()?;
        self.sequence += 1;
        Some(Verdict {
            version: SCHEMA_VERSION,
            sequence: self.sequence,
            conversation: self.conversation.clone(),
            party: ruled.party,
            finding: ruled.finding,
            since: ruled.since,
            since_s: ruled.since_s,
            net_speech_s: seconds(ruled.net_speech),
            coverage: rounded(ruled.coverage, 1000.0),
            model: ruled.model,
            policy: self.policy.versioned_name(),
        })
    }

    /// The next event that the rules were judged by, to be kept; nothing unless [`Self::keeping`].
    pub fn poll_record(&mut self) -> Option<Record> {
        self.ruling.poll_record(&self.conversation)
    }

    /// Takes one piece of evidence about `leg`; returns a verdict if a conclusion changed. Those about rules
    /// have to be asked for: [`Self::poll_verdict`].
    pub fn weigh(&mut self, leg: &mut Leg, evidence: &Evidence) -> Option<Verdict> {
        let started = leg.started;
        match evidence {
            Evidence::Speaker(speaker) => {
                let decision = SpeakerDecision::from(speaker.decision);
                let unsaid = decision != SpeakerDecision::Undecided && leg.told != Some(decision);
                let subject = leg.subject.clone().filter(|_| unsaid)?;
                leg.told = Some(decision);
                let finding = Finding::Speaker {
                    subject,
                    decision,
                    llr: Some(rounded(speaker.llr, 100.0)),
                    probability: Some(rounded(speaker.probability, 10_000.0)),
                    reason: speaker.reason,
                };
                let model = Some(leg.models.speaker.to_string());
                let heard = (speaker.net_speech, speaker.coverage);
                Some(self.verdict(leg, finding, speaker.since, heard, model))
            }
            Evidence::Watchlist(watchlist) => {
                let finding = Finding::Watchlist {
                    entry: watchlist.hit.entry.clone(),
                    llr: rounded(watchlist.hit.llr, 100.0),
                };
                let model = Some(leg.models.speaker.to_string());
                let heard = (watchlist.net_speech, watchlist.coverage);
                Some(self.verdict(leg, finding, watchlist.at, heard, model))
            }
            Evidence::NoSpeakerCheck(obstacle) => {
                let decision = SpeakerDecision::Inconclusive;
                let subject = leg.subject.clone().filter(|_| leg.told != Some(decision))?;
                leg.told = Some(decision);
                let finding = Finding::Speaker {
                    subject,
                    decision,
                    llr: None,
                    probability: None,
                    reason: Some(*obstacle),
                };
                Some(self.verdict(leg, finding, Duration::ZERO, (Duration::ZERO, 0.0), None))
            }
            Evidence::ComparisonEnded(end) => {
                let decision = SpeakerDecision::Inconclusive;
                leg.told = Some(decision);
                let finding = Finding::Speaker {
                    subject: leg.subject.clone()?,
                    decision,
                    llr: None,
                    probability: None,
                    reason: Some(end.why),
                };
                // Nothing that was analysed counts any more.
                Some(self.verdict(leg, finding, end.at, (end.net_speech, 0.0), None))
            }
            Evidence::Phrase(phrase) => {
                let unsaid = !leg.phrases.iter().any(|earlier| is_same_sound(earlier, phrase));
                if !unsaid || !self.policy.watches(phrase.phrase, leg.party) {
                    return None;
                }
                leg.phrases.retain(|earlier| earlier.end + REMEMBERED > phrase.start);
                leg.phrases.push(*phrase);
                let number = self.number(leg);
                self.ruling.heard(number, (phrase.net_speech, phrase.coverage));
                let id = self.policy.phrases[phrase.phrase].id.clone();
                self.ruling.tell(started, |time| Event::Phrase {
                    leg: number,
                    phrase: id,
                    from: time(phrase.start),
                    to: time(phrase.end),
                });
                let watched = &self.policy.phrases[phrase.phrase];
                let finding = Finding::Keyword {
                    experiment: watched.experiment(),
                    phrase: watched.id.clone(),
                    sensitivity: watched.sensitivity,
                    start_s: seconds(phrase.start),
                    end_s: seconds(phrase.end),
                    score: rounded(f64::from(phrase.score), 100.0),
                    exact: phrase.exact,
                };
                let model = Some(leg.models.keyword.clone());
                let heard = (phrase.net_speech, phrase.coverage);
                Some(self.verdict(leg, finding, phrase.start, heard, model))
            }
            Evidence::Line(line) => {
                if line.state == LineState::Closed {
                    self.leave(leg, line);
                }
                let finding = Finding::Line { state: line.state, report: line.report.clone() };
                Some(self.verdict(leg, finding, line.at, (line.net_speech, line.coverage), None))
            }
            Evidence::Enrollment(enrollment) => {
                let finding = Finding::Enrollment {
                    subject: enrollment.subject.clone(),
                    state: enrollment.state,
                    reason: enrollment.reason.clone(),
                };
                let model = Some(leg.models.speaker.to_string());
                let heard = (enrollment.net_speech, enrollment.coverage);
                Some(self.verdict(leg, finding, enrollment.at, heard, model))
            }
            Evidence::Talk { talking, at } => {
                let (leg, talking) = (self.number(leg), *talking);
                self.ruling.tell(started, |time| Event::Talk { leg, talking, at: time(*at) });
                None
            }
            Evidence::Analysed { until, net_speech, coverage } => {
                let leg = self.number(leg);
                self.ruling.heard(leg, (*net_speech, *coverage));
                self.ruling.tell(started, |time| Event::Analysed { leg, until: time(*until) });
                None
            }
            Evidence::Gap { from, to } => {
                let number = self.number(leg);
                self.ruling.tell(started, |time| Event::Gap {
                    leg: number,
                    from: time(*from),
                    to: time(*to),
                });
                None
            }
            Evidence::Suspended { why, begins, at } => {
                let (leg, why, begins) = (self.number(leg), *why, *begins);
                let suspended = |at| Event::Suspended { leg, why, begins, at };
                self.ruling.tell(started, |time| suspended(time(*at)));
                None
            }
            Evidence::Pause(pause) => {
                let finding = Finding::Pause {
                    state: pause.state,
                    by: pause.by,
                    pause: pause.pause.clone(),
                    paused: pause.paused,
                };
                Some(self.verdict(leg, finding, pause.at, (pause.net_speech, pause.coverage), None))
            }
            Evidence::Key { .. } => None,
        }
    }

    /// The first audio of `leg` came at `started`: it takes part from now on, and its time counts from there. What the
    /// INVITE was answered with long before, as where a telephone rings, is no time of it.
    pub fn begin(&mut self, leg: &mut Leg, started: jiff::Timestamp) {
        leg.started = started;
        self.number(leg);
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The audio of `leg` is over, of which `line` is the last report: what a closed line means to the rules.
    pub fn leave(&mut self, leg: &mut Leg, line: &LineEvidence) {
        let (number, at) = (self.number(leg), line.at);
        self.ruling.heard(number, (line.net_speech, line.coverage));
        self.ruling.tell(leg.started, |time| Event::Left { leg: number, at: time(at) });
    }

    /// The number of `leg`, which joins now if this is the first that is heard of it. That it cannot be compared is not.
    fn number(&mut self, leg: &mut Leg) -> u32 {
        *leg.number.get_or_insert_with(|| {
            let model = &leg.models.keyword;
            self.ruling.join((leg.party, leg.queue.clone()), leg.started, model)
        })
    }

    fn verdict(
        &mut self,
        leg: &Leg,
        finding: Finding,
        since: Duration,
        (net_speech, coverage): (Duration, f64),
        model: Option<String>,
    ) -> Verdict {
        self.sequence += 1;
        Verdict {
            version: SCHEMA_VERSION,
            sequence: self.sequence,
            conversation: self.conversation.clone(),
            party: leg.party,
            finding,
            since: moment(leg.started, since),
            since_s: seconds(since),
            net_speech_s: seconds(net_speech),
            coverage: rounded(coverage, 1000.0),
            model,
            policy: self.policy.versioned_name(),
        }
    }
}

/// Two segments that overlap may both hold a phrase: it was spoken once.
fn is_same_sound(a: &PhraseEvidence, b: &PhraseEvidence) -> bool {
    a.phrase == b.phrase && a.start < b.end && b.start < a.end
}

/// `start` and `since` as a moment in whole milliseconds; `start` itself where the calendar ends.
pub(super) fn moment(start: jiff::Timestamp, since: Duration) -> jiff::Timestamp {
    let exact = start.checked_add(since).unwrap_or(start);
    exact.round(jiff::Unit::Millisecond).unwrap_or(exact)
}

/// Seconds with three places, as JSON carries them.
pub(super) fn seconds(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64(), 1000.0)
}

fn rounded(x: f64, steps: f64) -> f64 {
    (x * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::evidence::{Obstacle, SpeakerEvidence};
    use crate::speaker::calibration::{Comparison, Conditions, Likeness};
    use crate::speaker::verifier::Decision;

    fn judge() -> Judge {
        let policy = "name='p'\nversion='1'\n[[phrase]]\nid='risk'\ntext='at risk'\n\
            [[phrase]]\nid='agents'\ntext='for agents'\nparties=['agent']";
        Judge::new("c".to_owned(), Arc::new(toml::from_str(policy).expect("a policy")))
    }

    fn leg(subject: Option<&str>) -> Leg {
        let subject = subject.map(str::to_owned);
        Leg::new(Party::Caller, subject, jiff::Timestamp::UNIX_EPOCH, Models::default())
    }

    fn phrase(phrase: usize, start_ms: u64) -> Evidence {
        let start = Duration::from_millis(start_ms);
        Evidence::Phrase(PhraseEvidence {
            phrase,
            start,
            end: start + Duration::from_millis(800),
            score: -0.4,
            exact: false,
            net_speech: start,
            coverage: 1.0,
        })
    }

    fn comparison() -> Comparison {
        Comparison {
            likeness: Likeness { decide: Some(0.75), watch: None },
            conditions: Conditions { range_db: 28.0, upper_db: -6.0, concealed: 0.0 },
            net_speech: Duration::from_secs(4),
            fresh: 1.0,
        }
    }

    fn speaker(decision: Decision) -> Evidence {
        Evidence::Speaker(SpeakerEvidence {
            decision,
            since: Duration::from_secs(4),
            at: Duration::from_secs(4),
            llr: 8.7,
            newest: comparison(),
            newest_llr: 6.5,
            probability: 0.999,
            reason: None,
            net_speech: Duration::from_secs(4),
            coverage: 1.0,
        })
    }

    #[test]
    fn only_a_change_of_the_decision_is_a_verdict() {
        let (mut judge, mut leg) = (judge(), leg(Some("alice")));
        let decisions = [
            Decision::Collecting,
            Decision::Accepted,
            Decision::Accepted,
            Decision::Changed,
            Decision::Changed,
        ];
        let told = decisions.map(|d| judge.weigh(&mut leg, &speaker(d)).map(|v| v.sequence));
        assert_eq!(told, [None, Some(1), None, Some(2), None]);
    }

    #[test]
    fn a_moment_is_told_in_milliseconds() {
        let (mut judge, mut leg) = (judge(), leg(None));
        leg.started += Duration::from_nanos(123_456_789);
        let verdict = judge.weigh(&mut leg, &phrase(0, 1_000)).expect("a phrase");
        assert_eq!(verdict.since.to_string(), "1970-01-01T00:00:01.123Z");
    }

    #[test]
    fn nobody_is_judged_whose_identity_was_not_claimed() {
        let (mut judge, mut leg) = (judge(), leg(None));
        assert!(judge.weigh(&mut leg, &speaker(Decision::Rejected)).is_none());
        assert!(judge.weigh(&mut leg, &Evidence::NoSpeakerCheck(Obstacle::NoConsent)).is_none());
    }

    #[test]
    fn a_phrase_in_the_overlap_of_two_segments_is_told_once_and_a_repetition_again() {
        let (mut judge, mut leg) = (judge(), leg(None));
        let told = [10_000, 10_200, 11_000, 30_000, 10_100]
            .map(|start| judge.weigh(&mut leg, &phrase(0, start)).is_some());
        assert_eq!(told, [true, false, true, true, false], "the last comes late");
    }

    #[test]
    fn a_phrase_of_the_other_party_is_not_told() {
        let (mut judge, mut leg) = (judge(), leg(None));
        assert!(judge.weigh(&mut leg, &phrase(1, 0)).is_none());
        leg.party = Party::Mixed;
        assert!(judge.weigh(&mut leg, &phrase(1, 0)).is_some());
    }

    #[test]
    fn a_call_without_end_remembers_the_last_minute() {
        let (mut judge, mut leg) = (judge(), leg(None));
        for n in 0..10_000 {
            assert!(judge.weigh(&mut leg, &phrase(0, n * 5_000)).is_some());
            assert!(judge.weigh(&mut leg, &phrase(0, n * 5_000 + 100)).is_none());
        }
        assert!(leg.phrases.len() <= 13, "{} phrases in a minute", leg.phrases.len());
    }
}
