//! The legs of one conversation come in any order, seconds apart or never, and go one by one: what the rules make of it,
//! live and from what was kept.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sidetone::config::parse_policy;
use sidetone::policy::evidence::{Evidence, LineEvidence, PhraseEvidence};
use sidetone::policy::judge::{Judge, Leg, Models};
use sidetone::policy::line::{LineReport, LineState};
use sidetone::policy::rule::{Party, Policy};
use sidetone::policy::rules::book::RuleBook;
use sidetone::policy::rules::event::{Record, in_order};

use Party::{Agent, Caller};

/// One rule of each kind that may be misled by who is there when.
const POLICY: &str = "name = 'legs'\nversion = '1'\n\
    [[phrase]]\nid = 'notice'\ntext = 'this call may be recorded'\n\
    [[phrase]]\nid = 'guarantee'\ntext = 'returns are guaranteed'\n\
    [[phrase]]\nid = 'may-we'\ntext = 'may we record this call'\n\
    [[phrase]]\nid = 'agree'\ntext = 'i agree'\n\
    [[rule]]\nid = 'notice'\nkind = 'required'\nphrases = ['notice']\nparties = ['agent']\n\
    after = 'answered'\nwithin_s = 10\n\
    [[rule]]\nid = 'agent-quiet'\nkind = 'forbidden'\nphrases = ['guarantee']\nparties = ['agent']\n\
    [[rule]]\nid = 'caller-quiet'\nkind = 'forbidden'\nphrases = ['guarantee']\nparties = ['caller']\n\
    [[rule]]\nid = 'consent'\nkind = 'consent'\nparties = ['agent']\nquestion = ['may-we']\nassent = ['agree']\n\
    refusal = []\nwithin_s = 8\n";

/// A conversation in its own time, seconds.
struct Scene {
    policy: Arc<Policy>,
    judge: Judge,
    /// Each with the time of its first audio.
    legs: Vec<(Leg, f64)>,
    told: Vec<Value>,
    records: Vec<Record>,
}

fn at(seconds: f64) -> jiff::Timestamp {
    let start: jiff::Timestamp = "2026-11-27T10:00:00Z".parse().expect("a time");
    start + Duration::from_secs_f64(seconds)
}

impl Scene {
    fn new() -> Self {
        let policy = parse_policy(Path::new("policy.toml"), POLICY).expect("a good policy");
        let policy = Arc::new(policy);
        let judge = Judge::new("k7".to_owned(), Arc::clone(&policy)).keeping();
        Self { policy, judge, legs: Vec::new(), told: Vec::new(), records: Vec::new() }
    }

    /// A leg is answered at one time, and its first audio comes at another; returns its place.
    fn join(&mut self, party: Party, answered: f64, audio: f64) -> usize {
        let mut leg = Leg::new(party, None, at(answered), Models::default());
        self.judge.begin(&mut leg, at(audio));
        self.legs.push((leg, audio));
        self.drain();
        self.legs.len() - 1
    }

    fn show(&mut self, leg: usize, evidence: &Evidence) {
        self.judge.weigh(&mut self.legs[leg].0, evidence);
        self.drain();
    }

    /// What a leg hears at `time` has that long since its own first audio.
    fn on(&self, leg: usize, time: f64) -> Duration {
        Duration::from_secs_f64(time - self.legs[leg].1)
    }

    fn says(&mut self, leg: usize, phrase: &str, from: f64, to: f64) {
        let phrase = self.policy.phrases.iter().position(|known| known.id == phrase);
        let (start, end) = (self.on(leg, from), self.on(leg, to));
        let evidence = PhraseEvidence {
            phrase: phrase.expect("a phrase"),
            start,
            end,
            score: -0.4,
            exact: true,
            net_speech: end,
            coverage: 1.0,
        };
        self.show(leg, &Evidence::Phrase(evidence));
        self.known(leg, to);
    }

    fn known(&mut self, leg: usize, until: f64) {
        let until = self.on(leg, until);
        self.show(leg, &Evidence::Analysed { until, net_speech: until, coverage: 1.0 });
    }

    fn leaves(&mut self, leg: usize, time: f64) {
        self.known(leg, time);
        let line = LineEvidence {
            state: LineState::Closed,
            at: self.on(leg, time),
            net_speech: Duration::ZERO,
            coverage: 1.0,
            report: Box::new(LineReport::default()),
        };
        self.show(leg, &Evidence::Line(line));
    }

    fn drain(&mut self) {
        while let Some(verdict) = self.judge.poll_verdict() {
            self.told.push(serde_json::from_str(&verdict.to_json()).expect("JSON"));
        }
        self.records.extend(std::iter::from_fn(|| self.judge.poll_record()));
    }

    /// How each rule stands at the end: its state and why. An audit of what was kept says the same.
    fn ends(mut self, time: f64) -> BTreeMap<String, String> {
        self.judge.finish(at(time));
        self.drain();
        let word = |verdict: &Value, key: &str| verdict[key].as_str().expect("a word").to_owned();
        let mut last = BTreeMap::new();
        for verdict in &self.told {
            let what = format!("{} {}", word(verdict, "state"), word(verdict, "reason"));
            last.insert(word(verdict, "rule"), what);
        }
        let lines = self.records.iter().map(|record| Record::parse(&record.to_json()));
        let mut events: Vec<_> = lines.map(|record| record.expect("our own line").event).collect();
        in_order(&mut events);
        let mut book = RuleBook::new(Arc::clone(&self.policy));
        events.iter().for_each(|event| book.handle(event));
        for (rule, standing) in book.standings() {
            let state = standing.state.as_str();
            assert!(last[&rule.id].starts_with(state), "audited {}: {state}, {last:?}", rule.id);
        }
        last
    }
}

/// Asks at 20 s, is answered at 23 s, and gives the notice at 15 s.
fn dialogue(scene: &mut Scene, caller: usize, agent: usize) {
    scene.says(agent, "notice", 15.0, 17.0);
    scene.says(agent, "may-we", 20.0, 22.0);
    scene.says(caller, "agree", 23.0, 24.0);
    scene.known(agent, 24.0);
}

fn wanted(rules: [&str; 4]) -> BTreeMap<String, String> {
    let names = ["agent-quiet", "caller-quiet", "consent", "notice"];
    names.into_iter().map(str::to_owned).zip(rules.map(str::to_owned)).collect()
}

/// Everything as it should be.
const GOOD: [&str; 4] = ["met not_said", "met not_said", "met agreed", "met said"];

#[test]
fn the_caller_may_wait_for_the_agent() {
    let mut scene = Scene::new();
    let caller = scene.join(Caller, 0.0, 0.0);
    let agent = scene.join(Agent, 12.0, 12.0);
    dialogue(&mut scene, caller, agent);
    assert_eq!(scene.ends(30.0), wanted(GOOD), "nobody was there to be heard before");
}

#[test]
fn legs_that_are_set_up_together_come_in_any_order() {
    for order in [[Caller, Agent], [Agent, Caller]] {
        let mut scene = Scene::new();
        let [first, second] = [scene.join(order[0], 12.0, 12.0), scene.join(order[1], 12.4, 12.4)];
        let (caller, agent) = if order[0] == Caller { (first, second) } else { (second, first) };
        dialogue(&mut scene, caller, agent);
        assert_eq!(scene.ends(30.0), wanted(GOOD), "{order:?}");
    }
}

#[test]
fn a_tap_that_was_answered_while_the_telephone_rang_counts_from_its_first_audio() {
    let mut scene = Scene::new();
    // The caller's telephone sends nothing before the agent has answered.
    let caller = scene.join(Caller, 0.0, 12.1);
    let agent = scene.join(Agent, 12.0, 12.0);
    dialogue(&mut scene, caller, agent);
    scene.known(caller, 26.0);
    scene.known(agent, 26.0);
    let agreed = |told: &&Value| told["rule"] == "consent" && told["state"] == "met";
    let agreed = scene.told.iter().find(agreed).expect("decided once the answer is known");
    assert_eq!(agreed["since"], "2026-11-27T10:00:24Z", "{agreed}");
    assert_eq!(scene.ends(30.0), wanted(GOOD));
}

#[test]
fn a_leg_that_never_comes_is_not_heard_and_nobody_on_it_broke_a_rule() {
    let mut scene = Scene::new();
    let caller = scene.join(Caller, 0.0, 0.0);
    scene.known(caller, 60.0);
    scene.judge.handle_timeout(at(60.0));
    scene.drain();
    assert_eq!(scene.told, [] as [Value; 0], "nothing is told while the agent may still come");
    let rules = ["unknown not_heard", "met not_said", "unknown not_heard", "unknown not_heard"];
    assert_eq!(scene.ends(60.0), wanted(rules));
}

#[test]
fn what_a_caller_says_before_the_leg_joins_is_a_gap_and_no_silence() {
    let mut scene = Scene::new();
    let agent = scene.join(Agent, 12.0, 12.0);
    scene.says(agent, "notice", 15.0, 17.0);
    scene.says(agent, "may-we", 20.0, 22.0);
    scene.known(agent, 40.0);
    let caller = scene.join(Caller, 41.0, 41.0);
    scene.known(caller, 50.0);
    let rules = ["met not_said", "unknown gap", "unknown gap", "met said"];
    assert_eq!(scene.ends(50.0), wanted(rules));
}

#[test]
fn one_legs_end_is_not_the_others() {
    let mut scene = Scene::new();
    let caller = scene.join(Caller, 0.0, 0.0);
    let agent = scene.join(Agent, 12.0, 12.0);
    dialogue(&mut scene, caller, agent);
    scene.leaves(caller, 25.0);
    scene.says(agent, "guarantee", 28.0, 29.0);
    let rules = ["violated said", "met not_said", "met agreed", "met said"];
    assert_eq!(scene.ends(30.0), wanted(rules));
}

#[test]
fn who_leaves_and_comes_back_was_not_heard_meanwhile() {
    for (party, rules) in [
        (Agent, ["unknown gap", "met not_said", "met agreed", "met said"]),
        (Caller, ["met not_said", "unknown gap", "met agreed", "met said"]),
    ] {
        let mut scene = Scene::new();
        let caller = scene.join(Caller, 0.0, 0.0);
        let agent = scene.join(Agent, 12.0, 12.0);
        dialogue(&mut scene, caller, agent);
        let (gone, stays) = if party == Agent { (agent, caller) } else { (caller, agent) };
        scene.leaves(gone, 25.0);
        scene.known(stays, 40.0);
        let back = scene.join(party, 33.0, 33.0);
        scene.known(back, 40.0);
        assert_eq!(scene.ends(40.0), wanted(rules), "{party:?}");
    }
}

#[test]
fn who_is_replaced_within_a_moment_has_missed_nothing() {
    let mut scene = Scene::new();
    let caller = scene.join(Caller, 0.0, 0.0);
    let agent = scene.join(Agent, 12.0, 12.0);
    dialogue(&mut scene, caller, agent);
    scene.leaves(agent, 25.0);
    let other = scene.join(Agent, 25.5, 25.5);
    scene.known(other, 30.0);
    scene.known(caller, 30.0);
    assert_eq!(scene.ends(30.0), wanted(GOOD));
}
