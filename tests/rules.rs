//! Compliance rules over scripted conversations: evidence in, verdicts out, and the same again from what was kept.
#![expect(clippy::disallowed_methods, reason = "golden files are read from the disk")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use sidetone::config::parse_policy;
use sidetone::policy::evidence::{Evidence, LineEvidence, PhraseEvidence};
use sidetone::policy::judge::{Judge, Leg, Models};
use sidetone::policy::line::{LineReport, LineState};
use sidetone::policy::rule::{Party, Policy};
use sidetone::policy::rules::book::{Change, RuleBook};
use sidetone::policy::rules::event::{Event, Record, Suspension, in_order};
use sidetone::policy::rules::standing::{RuleState, Standing};

const PHRASES: &str = "name = 'sales'\nversion = '3'\n\
    [[phrase]]\nid = 'notice'\ntext = 'this call may be recorded'\nparties = ['agent']\n\
    [[phrase]]\nid = 'risk'\ntext = 'your capital is at risk'\nparties = ['agent']\n\
    [[phrase]]\nid = 'guarantee'\ntext = 'returns are guaranteed'\n\
    [[phrase]]\nid = 'birth'\ntext = 'what is your date of birth'\nparties = ['agent']\n\
    [[phrase]]\nid = 'address'\ntext = 'first line of your address'\nparties = ['agent']\n\
    [[phrase]]\nid = 'passed'\ntext = 'you have passed security'\nparties = ['agent']\n\
    [[phrase]]\nid = 'may-we'\ntext = 'may we record this call'\n\
    [[phrase]]\nid = 'agree'\ntext = 'i agree'\n\
    [[phrase]]\nid = 'refuse'\ntext = 'i do not agree'\n\
    [[phrase]]\nid = 'order'\ntext = 'i place the order'\n";
const REQUIRED: &str = "[[rule]]\nid = 'notice-first'\nkind = 'required'\nphrases = ['notice']\nparties = ['agent']\n\
    after = 'answered'\nwithin_s = 10\nseverity = 'critical'\n";
const BEFORE: &str = "[[rule]]\nid = 'risk-before-order'\nkind = 'required'\nphrases = ['risk']\nparties = ['agent']\n\
    before = 'order'\n";
const FORBIDDEN: &str = "[[rule]]\nid = 'no-guarantee'\nkind = 'forbidden'\nphrases = ['guarantee']\nparties = ['agent']\n\
    severity = 'critical'\n";
const SEQUENCE: &str = "[[rule]]\nid = 'security'\nkind = 'sequence'\nphrases = ['birth', 'address', 'passed']\n\
    parties = ['agent']\nwithin_s = 30\n";
const CONSENT: &str = "[[rule]]\nid = 'recording'\nkind = 'consent'\nparties = ['agent']\nquestion = ['may-we']\n\
    assent = ['agree']\nrefusal = ['refuse']\nwithin_s = 8\n";
const COUNT: &str = "[[rule]]\nid = 'risk-twice'\nkind = 'count'\nphrases = ['risk']\nparties = ['agent']\n\
    at_least = 2\n[[rule]]\nid = 'risk-no-more'\nkind = 'count'\nphrases = ['risk']\nat_most = 2\nseverity = 'info'\n";

/// One thing that happens, times in milliseconds of the call.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A phrase was said.
    Say(Party, &'static str, u64, u64),
    /// A leg is analysed by then.
    Known(Party, u64),
    /// A stretch is not.
    Gap(Party, u64, u64),
    /// A leg is put on hold, or goes on.
    Hold(Party, bool, u64),
    /// A leg is paused, or goes on.
    Pause(Party, bool, u64),
    /// A party begins or ceases to talk.
    Talk(Party, bool, u64),
    /// It is so late.
    Time(u64),
    /// Both legs are analysed by then and the call is over.
    Over(u64),
}

use Party::{Agent, Caller, Mixed};
use Step::{Gap, Hold, Known, Over, Pause, Say, Talk, Time};

fn policy(rules: &str) -> Arc<Policy> {
    let text = format!("{PHRASES}{rules}");
    Arc::new(parse_policy(Path::new("policy.toml"), &text).expect("a good policy"))
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A conversation under `rules`.
struct Scene {
    judge: Judge,
    policy: Arc<Policy>,
    legs: Vec<Leg>,
    verdicts: Vec<Value>,
    records: Vec<Record>,
}

impl Scene {
    fn new(rules: &str, parties: &[Party]) -> Self {
        let policy = policy(rules);
        let judge = Judge::new("k7".to_owned(), Arc::clone(&policy)).keeping();
        let models = Models { keyword: "moonshine@1".to_owned(), ..Models::default() };
        let leg = |party: &Party| Leg::new(*party, None, start(), models.clone());
        let legs = parties.iter().map(leg).collect();
        let mut scene = Self { judge, policy, legs, verdicts: Vec::new(), records: Vec::new() };
        for party in parties {
            scene.show(*party, &Evidence::Talk { talking: false, at: Duration::ZERO });
        }
        scene
    }

    fn show(&mut self, party: Party, evidence: &Evidence) {
        let mut legs = self.legs.iter_mut();
        let leg = legs.find(|leg| leg.party == party).expect("a leg of the party");
        self.judge.weigh(leg, evidence);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(verdict) = self.judge.poll_verdict() {
            self.verdicts.push(serde_json::from_str(&verdict.to_json()).expect("JSON"));
        }
        self.records.extend(std::iter::from_fn(|| self.judge.poll_record()));
    }

    fn play(&mut self, steps: &[Step]) {
        for step in steps {
            match *step {
                Say(party, phrase, from, to) => self.say(party, phrase, (ms(from), ms(to))),
                Known(party, until) => self.show(party, &analysed(until)),
                Gap(party, from, to) => {
                    self.show(party, &Evidence::Gap { from: ms(from), to: ms(to) });
                }
                Hold(party, begins, at) => {
                    let (why, at) = (Suspension::Hold, ms(at));
                    self.show(party, &Evidence::Suspended { why, begins, at });
                }
                Pause(party, begins, at) => {
                    let (why, at) = (Suspension::Pause, ms(at));
                    self.show(party, &Evidence::Suspended { why, begins, at });
                }
                Talk(party, talking, at) => {
                    self.show(party, &Evidence::Talk { talking, at: ms(at) });
                }
                Time(at) => {
                    self.judge.handle_timeout(start() + ms(at));
                    self.drain();
                }
                Over(at) => self.finish(at),
            }
        }
    }

    fn say(&mut self, party: Party, phrase: &str, (start, end): (Duration, Duration)) {
        let phrase = self.policy.phrases.iter().position(|p| p.id == phrase).expect("a phrase");
        let evidence = PhraseEvidence {
            phrase,
            start,
            end,
            score: -0.4,
            exact: false,
            net_speech: end,
            coverage: 0.9,
        };
        self.show(party, &Evidence::Phrase(evidence));
    }

    fn finish(&mut self, at: u64) {
        let parties: Vec<Party> = self.legs.iter().map(|leg| leg.party).collect();
        for party in parties {
            self.show(party, &analysed(at));
            let line = LineEvidence {
                state: LineState::Closed,
                at: ms(at),
                net_speech: ms(at),
                coverage: 0.9,
                report: Box::new(LineReport::default()),
            };
            self.show(party, &Evidence::Line(line));
        }
        self.judge.finish(start() + ms(at));
        self.drain();
    }

    /// The last that was told of each rule: its state and why.
    fn told(&self) -> Vec<(String, String)> {
        let word = |verdict: &Value, key: &str| verdict[key].as_str().expect("a word").to_owned();
        let mut last = BTreeMap::new();
        for verdict in &self.verdicts {
            let what = format!("{} {}", word(verdict, "state"), word(verdict, "reason"));
            last.insert(word(verdict, "rule"), what);
        }
        last.into_iter().collect()
    }

    /// What the kept events come to, told as lines of JSON and read again.
    fn audited(&self) -> Vec<(String, Standing)> {
        let lines = self.records.iter().map(|record| Record::parse(&record.to_json()));
        let mut events: Vec<_> = lines.map(|record| record.expect("our own line").event).collect();
        in_order(&mut events);
        let mut book = RuleBook::new(Arc::clone(&self.policy));
        events.iter().for_each(|event| book.handle(event));
        book.standings().map(|(rule, standing)| (rule.id.clone(), standing)).collect()
    }
}

fn start() -> jiff::Timestamp {
    "2026-11-27T10:00:00Z".parse().expect("a time")
}

/// Plays `steps` between a caller and an agent and returns what the last verdict of the only rule says.
fn ends(rules: &str, steps: &[Step]) -> String {
    let mut scene = Scene::new(rules, &[Caller, Agent]);
    scene.play(steps);
    let told = scene.told();
    assert_eq!(told.len(), 1, "{told:?}");
    told[0].1.clone()
}

/// Everything said by then was searched.
fn analysed(until: u64) -> Evidence {
    Evidence::Analysed { until: ms(until), net_speech: ms(until), coverage: 0.9 }
}

/// Plays each of the scenes and compares its verdicts with `tests/data/rules/FILE.json`; with
/// `RULES_GOLDEN=write` in the environment that file is written instead.
fn golden(file: &str, rules: &str, scenes: &[(&str, &[Step])]) {
    let mut told = serde_json::Map::new();
    for (name, steps) in scenes {
        let mut scene = Scene::new(rules, &[Caller, Agent]);
        scene.play(steps);
        let mut live = BTreeMap::new();
        for verdict in &scene.verdicts {
            let state = verdict["state"].as_str().expect("a state").to_owned();
            live.insert(verdict["rule"].as_str().expect("an id").to_owned(), state);
        }
        for (rule, standing) in scene.audited() {
            let live = live.get(&rule).map_or("pending", String::as_str);
            assert_eq!(live, standing.state.as_str(), "{name}: live and audited, {rule}");
        }
        told.insert((*name).to_owned(), json!(scene.verdicts));
    }
    let path = format!("tests/data/rules/{file}.json");
    let told = serde_json::to_string_pretty(&told).expect("JSON") + "\n";
    if std::env::var_os("RULES_GOLDEN").is_some() {
        std::fs::write(&path, &told).expect("a writable file");
    }
    let wanted = std::fs::read_to_string(&path).expect("the golden file");
    assert_eq!(told, wanted, "{path}");
}

#[test]
fn a_phrase_is_required_within_its_time() {
    golden(
        "required",
        REQUIRED,
        &[
            ("met", &[Say(Agent, "notice", 2_000, 3_400), Known(Agent, 4_000), Over(20_000)]),
            (
                "met at the last moment",
                &[Say(Agent, "notice", 8_600, 10_000), Known(Agent, 12_000)],
            ),
            ("missed by a frame", &[Say(Agent, "notice", 8_620, 10_020), Known(Agent, 12_000)]),
            (
                "told late",
                &[
                    Known(Agent, 6_000),
                    Known(Caller, 60_000),
                    Say(Agent, "notice", 7_000, 8_400),
                    Known(Agent, 12_000),
                ],
            ),
            ("never said", &[Known(Agent, 9_980), Known(Agent, 10_000)]),
            ("said by the other", &[Say(Caller, "notice", 2_000, 3_400), Known(Agent, 12_000)]),
            ("a gap in its time", &[Gap(Agent, 9_000, 11_000), Known(Agent, 11_000)]),
            ("a gap of the other", &[Gap(Caller, 2_000, 9_000), Known(Agent, 11_000)]),
            ("a gap after its time", &[Gap(Agent, 10_000, 12_000), Known(Agent, 12_000)]),
            (
                "held",
                &[
                    Hold(Caller, true, 4_000),
                    Hold(Caller, false, 9_000),
                    Known(Agent, 12_000),
                    Say(Agent, "notice", 13_600, 15_000),
                    Known(Agent, 16_000),
                ],
            ),
            (
                "held and missed",
                &[
                    Hold(Caller, true, 4_000),
                    Hold(Caller, false, 9_000),
                    Say(Agent, "notice", 13_620, 15_020),
                    Known(Agent, 16_000),
                ],
            ),
            (
                "paused",
                &[
                    Pause(Agent, true, 2_000),
                    Known(Agent, 30_000),
                    Pause(Agent, false, 32_000),
                    Known(Agent, 39_990),
                    Say(Agent, "notice", 38_000, 40_000),
                    Known(Agent, 41_000),
                ],
            ),
            ("over before its time", &[Known(Agent, 5_000), Over(9_000)]),
        ],
    );
}

#[test]
fn a_phrase_is_required_before_another() {
    let order = Say(Caller, "order", 20_000, 21_000);
    golden(
        "required_before",
        BEFORE,
        &[
            ("met", &[Say(Agent, "risk", 10_000, 11_000), order, Over(60_000)]),
            ("to the very moment", &[Say(Agent, "risk", 18_800, 20_000), order, Over(60_000)]),
            ("crossing talk", &[Say(Agent, "risk", 18_820, 20_020), order, Over(60_000)]),
            ("after it", &[order, Say(Agent, "risk", 30_000, 31_000), Over(60_000)]),
            ("perhaps in a gap", &[Gap(Agent, 3_000, 9_000), order, Over(60_000)]),
            ("nothing ordered", &[Over(60_000)]),
            ("perhaps something ordered", &[Gap(Caller, 3_000, 9_000), Over(60_000)]),
        ],
    );
}

#[test]
fn a_phrase_is_forbidden() {
    golden(
        "forbidden",
        FORBIDDEN,
        &[
            ("not said", &[Over(60_000)]),
            ("said", &[Say(Agent, "guarantee", 5_000, 6_000), Known(Agent, 6_000)]),
            ("said by the other", &[Say(Caller, "guarantee", 5_000, 6_000), Over(60_000)]),
            ("perhaps in a gap", &[Gap(Agent, 5_000, 9_000), Over(60_000)]),
            (
                "in spite of a gap",
                &[Gap(Agent, 5_000, 9_000), Say(Agent, "guarantee", 15_000, 16_000), Over(60_000)],
            ),
            (
                "told late, the later first",
                &[
                    Say(Agent, "guarantee", 15_000, 16_000),
                    Say(Agent, "guarantee", 5_000, 6_000),
                    Known(Agent, 20_000),
                ],
            ),
        ],
    );
}

#[test]
fn phrases_are_said_in_their_order() {
    let said = |at: [u64; 3]| {
        ["birth", "address", "passed"]
            .into_iter()
            .zip(at)
            .map(|(phrase, at)| Say(Agent, phrase, at, at + 1_000))
            .chain([Known(Agent, 60_000)])
            .collect::<Vec<_>>()
    };
    let (good, last, late) =
        (said([3_000, 9_000, 20_000]), said([3_000, 9_000, 32_000]), said([3_000, 9_000, 32_020]));
    let (crossed, over) = (said([3_000, 3_900, 20_000]), [Over(70_000)]);
    let never: Vec<Step> = over.to_vec();
    let mut gap = vec![Gap(Agent, 10_000, 15_000)];
    gap.extend(said([3_000, 9_000, 2_000]));
    golden(
        "sequence",
        SEQUENCE,
        &[
            ("met", &good),
            ("met at the last moment", &last),
            ("missed by a frame", &late),
            ("one begins before the other ends", &crossed),
            ("nothing said", &never),
            ("perhaps in a gap", &gap),
        ],
    );
}

#[test]
fn consent_is_a_question_and_the_other_partys_yes() {
    let asked = Say(Agent, "may-we", 5_000, 7_000);
    golden(
        "consent",
        CONSENT,
        &[
            ("agreed", &[asked, Say(Caller, "agree", 8_000, 9_000), Over(60_000)]),
            (
                "agreed at the last moment",
                &[asked, Say(Caller, "agree", 14_000, 15_000), Over(60_000)],
            ),
            ("a frame too late", &[asked, Say(Caller, "agree", 14_020, 15_020), Over(60_000)]),
            ("yes before the question", &[Say(Caller, "agree", 2_000, 3_000), asked, Over(60_000)]),
            ("yes into the question", &[asked, Say(Caller, "agree", 6_980, 7_900), Over(60_000)]),
            ("yes by the one who asks", &[asked, Say(Agent, "agree", 8_000, 9_000), Over(60_000)]),
            (
                "refused and then agreed",
                &[
                    asked,
                    Say(Caller, "agree", 11_000, 12_000),
                    Say(Caller, "refuse", 8_000, 9_000),
                    Over(60_000),
                ],
            ),
            (
                "the yes in a no",
                &[
                    asked,
                    Say(Caller, "agree", 8_600, 9_000),
                    Say(Caller, "refuse", 8_000, 9_040),
                    Over(60_000),
                ],
            ),
            (
                "asked again",
                &[
                    asked,
                    Say(Agent, "may-we", 12_000, 14_000),
                    Say(Caller, "agree", 20_000, 21_000),
                    Over(60_000),
                ],
            ),
            ("no answer", &[asked, Known(Agent, 15_000), Known(Caller, 15_000)]),
            ("perhaps in a gap", &[asked, Gap(Caller, 9_000, 12_000), Over(60_000)]),
            (
                "held",
                &[
                    asked,
                    Hold(Caller, true, 8_000),
                    Hold(Caller, false, 38_000),
                    Say(Caller, "agree", 44_000, 45_000),
                    Over(60_000),
                ],
            ),
            ("never asked", &[Say(Caller, "agree", 8_000, 9_000), Over(60_000)]),
            ("perhaps asked", &[Gap(Agent, 8_000, 9_000), Over(60_000)]),
        ],
    );
}

#[test]
fn phrases_are_counted() {
    let risk = |at: u64| Say(Agent, "risk", at, at + 1_000);
    golden(
        "count",
        COUNT,
        &[
            ("once", &[risk(5_000), Over(60_000)]),
            ("twice", &[risk(5_000), risk(9_000), Over(60_000)]),
            ("three times", &[risk(5_000), risk(9_000), risk(12_000), Over(60_000)]),
            ("once, and a gap", &[risk(5_000), Gap(Agent, 9_000, 12_000), Over(60_000)]),
        ],
    );
}

#[test]
fn where_several_people_share_a_leg_nobody_is_told_to_have_agreed() {
    let mut scene = Scene::new(CONSENT, &[Mixed]);
    scene.play(&[
        Say(Mixed, "may-we", 5_000, 7_000),
        Say(Mixed, "agree", 8_000, 9_000),
        Over(20_000),
    ]);
    assert_eq!(scene.told(), [("recording".to_owned(), "unknown who_spoke".to_owned())]);
}

#[test]
fn who_was_never_heard_has_broken_nothing() {
    let mut scene = Scene::new(REQUIRED, &[Caller]);
    scene.play(&[Known(Caller, 30_000), Over(60_000)]);
    assert_eq!(scene.told(), [("notice-first".to_owned(), "unknown not_heard".to_owned())]);
}

#[test]
fn a_deadline_passes_in_silence_by_time_alone() {
    let silence = [Talk(Agent, false, 1_000), Known(Agent, 1_500), Time(11_980)];
    let mut scene = Scene::new(REQUIRED, &[Caller, Agent]);
    scene.play(&silence);
    assert_eq!(scene.verdicts.len(), 1, "pending: what was said a moment ago may still come");
    assert_eq!(scene.judge.poll_timeout(), Some(start() + ms(12_000)));
    scene.play(&[Time(12_000)]);
    assert_eq!(scene.told(), [("notice-first".to_owned(), "violated not_said".to_owned())]);
    assert_eq!(scene.judge.poll_timeout(), None);
}

#[test]
fn who_talks_is_waited_for() {
    let mut scene = Scene::new(REQUIRED, &[Caller, Agent]);
    scene.play(&[Talk(Agent, true, 8_000), Time(30_000)]);
    assert_eq!(scene.judge.poll_timeout(), None, "the model's answer will tell");
    assert_eq!(scene.verdicts.len(), 1, "pending");
    scene.play(&[
        Say(Agent, "notice", 8_200, 9_800),
        Talk(Agent, false, 29_000),
        Known(Agent, 30_000),
    ]);
    assert_eq!(scene.told(), [("notice-first".to_owned(), "met said".to_owned())]);
}

#[test]
fn a_rule_is_for_the_conversations_that_it_names() {
    let when = |when: &str| format!("{FORBIDDEN}when = {{ {when} }}\n");
    let said = [Say(Agent, "guarantee", 5_000, 6_000), Known(Agent, 6_000), Over(9_000)];
    let told = |rules: &str, queue: Option<&str>| {
        let mut scene = Scene::new(rules, &[]);
        let leg = Leg::new(Agent, None, start(), Models::default());
        scene.legs.push(leg.through(queue.map(str::to_owned)));
        scene.play(&said);
        let audited = scene.audited()[0].1.state;
        (!scene.verdicts.is_empty(), audited)
    };
    let (applies, not) = ((true, RuleState::Violated), (false, RuleState::NotApplicable));
    assert_eq!(told(&when("queue = ['sales', 'upsell']"), Some("sales")), applies);
    assert_eq!(told(&when("queue = ['sales']"), Some("support")), not);
    assert_eq!(told(&when("queue = ['sales']"), None), not);
    assert_eq!(told(&when("party = ['caller']"), None), not);
    // The conversation began at 10 on a Friday.
    assert_eq!(told(&when("from = '09:00', to = '11:00', days = ['fri']"), None), applies);
    assert_eq!(told(&when("from = '09:00', to = '11:00', zone = 'Europe/Berlin'"), None), not);
}

#[test]
fn before_and_after_another_phrase_are_told_apart() {
    let rules =
        "[[rule]]\nid = 'quiet'\nkind = 'forbidden'\nphrases = ['guarantee']\nafter = 'risk'\n";
    let said = Say(Caller, "guarantee", 5_000, 6_000);
    assert_eq!(ends(rules, &[said, Over(60_000)]), "not_applicable no_occasion");
    let later = Say(Agent, "risk", 5_500, 6_500);
    assert_eq!(ends(rules, &[said, later, Over(60_000)]), "met not_said");
    let earlier = Say(Agent, "risk", 3_000, 5_000);
    assert_eq!(ends(rules, &[said, earlier, Over(60_000)]), "violated said");
    let rules = rules.replace("after", "before");
    assert_eq!(ends(&rules, &[said, later, Over(60_000)]), "violated said");
    assert_eq!(ends(&rules, &[said, earlier, Over(60_000)]), "met not_said");
}

#[test]
fn what_was_not_analysed_by_the_end_is_a_gap() {
    let mut scene = Scene::new(FORBIDDEN, &[Caller, Agent]);
    scene.play(&[Known(Agent, 8_000), Talk(Agent, true, 9_000)]);
    scene.judge.finish(start() + ms(12_000));
    scene.drain();
    assert_eq!(scene.told(), [("no-guarantee".to_owned(), "unknown gap".to_owned())]);
}

/// Rules of every kind and of every form, for the property below.
fn all_rules() -> String {
    let more = "[[rule]]\nid = 'r1'\nkind = 'required'\nphrases = ['risk', 'notice']\n\
        [[rule]]\nid = 'r2'\nkind = 'required'\nphrases = ['risk']\nafter = 'may-we'\nwithin_s = 6\n\
        [[rule]]\nid = 'f1'\nkind = 'forbidden'\nphrases = ['guarantee']\nafter = 'order'\n\
        [[rule]]\nid = 'f2'\nkind = 'forbidden'\nphrases = ['order']\nbefore = 'risk'\n\
        [[rule]]\nid = 's1'\nkind = 'sequence'\nphrases = ['may-we', 'agree', 'order']\n";
    [REQUIRED, BEFORE, FORBIDDEN, SEQUENCE, CONSENT, COUNT, more].concat()
}

/// Phrases, gaps and the times by which a leg is analysed; time in units of 20 ms, over 40 s.
type ScriptedLeg = (Vec<(usize, u64, u64)>, Vec<(u64, u64)>, Vec<u64>);

fn leg() -> impl Strategy<Value = ScriptedLeg> {
    let phrases = prop::collection::vec((0..10_usize, 0..1_950_u64, 10..100_u64), 0..12);
    let gaps = prop::collection::vec((0..1_950_u64, 1..150_u64), 0..2);
    let known = prop::collection::vec(1..2_000_u64, 0..8);
    (phrases, gaps, known)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_arrival_within_what_is_analysed_does_not_matter(
        legs in [leg(), leg()],
        holds in prop::collection::vec((0..2_usize, 0..600_u64, 1..200_u64), 0..4),
        seed in any::<u64>(),
    ) {
        let policy = policy(&all_rules());
        let at = |units: u64| ms(20 * units);
        let mut common = vec![Event::Started { started: start() }];
        for (leg, party) in [Caller, Agent].into_iter().enumerate() {
            let (leg, queue) = (leg as u32, None);
            common.push(Event::Joined { leg, party, queue, at: Duration::ZERO });
        }
        common.push(Event::Answered { at: Duration::ZERO });
        // One leg is not held twice at a time; both may be.
        let mut free = [0, 0];
        for (leg, wait, length) in holds {
            let (from, why) = (free[leg] + wait, Suspension::Hold);
            free[leg] = from + length;
            let leg = leg as u32;
            common.push(Event::Suspended { leg, why, begins: true, at: at(from) });
            common.push(Event::Suspended { leg, why, begins: false, at: at(from + length) });
        }
        let mut random = seed;
        let mut next = move |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below.max(1)
        };
        // Each leg for itself: what ends by the next mark in any order, then the mark.
        let mut streams: Vec<std::collections::VecDeque<Event>> = Vec::new();
        for (leg, (phrases, gaps, known)) in legs.into_iter().enumerate() {
            let leg = leg as u32;
            let mut marks = known;
            marks.push(2_100);
            marks.sort_unstable();
            let mut stream = std::collections::VecDeque::new();
            let mut facts: Vec<(u64, Event)> = Vec::new();
            for (phrase, from, length) in phrases {
                let phrase = policy.phrases[phrase].id.clone();
                let (from, to) = (from, from + length);
                facts.push((to, Event::Phrase { leg, phrase, from: at(from), to: at(to) }));
            }
            for (from, length) in gaps {
                facts.push((from, Event::Gap { leg, from: at(from), to: at(from + length) }));
            }
            for mark in marks {
                let (mut now, later): (Vec<_>, Vec<_>) =
                    facts.into_iter().partition(|(place, _)| *place <= mark);
                facts = later;
                while !now.is_empty() {
                    stream.push_back(now.swap_remove(next(now.len())).1);
                }
                stream.push_back(Event::Analysed { leg, until: at(mark) });
            }
            stream.push_back(Event::Left { leg, at: at(2_100) });
            streams.push(stream);
        }
        let mut in_turn: Vec<Event> = common.clone();
        let mut dealt = common;
        streams.iter().for_each(|stream| in_turn.extend(stream.iter().cloned()));
        while streams.iter().any(|stream| !stream.is_empty()) {
            let stream = next(2);
            dealt.extend(streams[stream].pop_front());
        }
        let over = Event::Over { at: at(2_100) };
        let told = |events: &[Event]| {
            let mut book = RuleBook::new(Arc::clone(&policy));
            let mut changes: BTreeMap<usize, Vec<Standing>> = BTreeMap::new();
            for event in events.iter().chain([&over]) {
                book.handle(event);
                while let Some(Change { rule, standing }) = book.poll_change() {
                    changes.entry(rule).or_default().push(standing);
                }
            }
            assert!(book.is_decided(), "nothing stays open");
            changes
        };
        let mut ordered = dealt.clone();
        in_order(&mut ordered);
        let wanted = told(&ordered);
        prop_assert_eq!(&told(&dealt), &wanted, "dealt");
        prop_assert_eq!(&told(&in_turn), &wanted, "one leg after the other");
        // The whole at once, decided at the end alone.
        let facts: Vec<Event> = dealt
            .into_iter()
            .filter(|event| !matches!(event, Event::Analysed { .. } | Event::Left { .. }))
            .collect();
        let legs = [0, 1].map(|leg| Event::Analysed { leg, until: at(2_100) });
        prop_assert_eq!(&told(&[facts, legs.to_vec()].concat()), &wanted, "at once");
    }
}
