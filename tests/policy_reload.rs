//! The policy is read again while calls go on: by SIGHUP and by HTTP; what is of no use changes nothing.
#![expect(clippy::disallowed_methods, reason = "calls run on threads")]

mod appliance;
mod calls;
mod policies;
mod store;

use appliance::{Appliance, RATE, Site, TOKEN, detail, wait_for};
use calls::call;
use store::store;

/// What the narrator says five seconds after the beginning, under two names at two places.
const FIRST: &str = "name = 'p'\nversion = '1'\n\
    [[phrase]]\nid = 'risk'\ntext = 'your capital is at risk'\n\
    [[phrase]]\nid = 'heaven'\ntext = 'going direct to heaven'\nsignal = { log = true }\n";
const SECOND: &str = "name = 'p'\nversion = '2'\n\
    [[phrase]]\nid = 'paradise'\ntext = 'going direct to heaven'\n";

/// An appliance under the policy `text`, whose API is there.
fn start(text: &str) -> Option<(Site, Appliance)> {
    let site = Site::new(&store()?);
    site.write("policy.toml", text);
    site.write("sidetone.toml", site.open_api());
    let appliance = Appliance::start(&site);
    Some((site, appliance))
}

/// What the policy in force is called, as everybody is told.
fn in_force(appliance: &Appliance) -> String {
    let (status, ready) = appliance.get("/ready").expect("an answer");
    let policy = ready.lines().find_map(|line| line.strip_prefix("policy ")).expect("its name");
    assert_eq!(status, 200);
    assert_eq!(appliance.metric(&format!("sidetone_policy_info{{policy=\"{policy}\"}}")), 1.0);
    assert_eq!(appliance.metric_sum("sidetone_policy_info"), 1.0);
    policy.to_owned()
}

/// Waits until a line of the log holds `wanted`.
fn logged(appliance: &Appliance, wanted: &str) {
    let holds = |line: &String| line.contains(wanted);
    wait_for(wanted, || appliance.log().iter().any(holds).then_some(()));
}

fn reload(appliance: &Appliance) -> (u16, String) {
    appliance.post("/policy/reload", TOKEN, "")
}

#[test]
fn a_standing_conversation_keeps_its_policy_and_a_new_one_gets_the_new() {
    let Some((site, appliance)) = start(FIRST) else { return };
    assert_eq!(in_force(&appliance), "p@1");
    let mut narrator = site.narrator();
    narrator.truncate(8 * RATE as usize);
    let first = call(appliance.sip, &[("Conversation", "first")], narrator.clone());
    appliance.wait_for_metric("sidetone_calls_active", 1.0);
    site.write("policy.toml", SECOND);
    appliance.signal("HUP");
    appliance.wait_for_metric("sidetone_reloads_total{outcome=\"applied\",part=\"policy\"}", 1.0);
    assert_eq!(in_force(&appliance), "p@2");
    let joined = [("Conversation", "first"), ("Party", "agent"), ("Policy", "p")];
    let agent = call(appliance.sip, &joined, narrator.clone());
    let second = call(appliance.sip, &[("Conversation", "second")], narrator);
    [first, agent, second].into_iter().for_each(|call| drop(call.join().expect("a call")));
    appliance.wait_for_metric("sidetone_calls_active", 0.0);
    let word = |value: &serde_json::Value| value.as_str().expect("a word").to_owned();
    let told = wait_for("a phrase of every leg", || {
        let told = appliance.verdicts().into_iter().filter(|verdict| verdict["kind"] == "keyword");
        let keys = ["conversation", "party", "phrase", "policy"];
        let mut told: Vec<_> = told.map(|verdict| keys.map(|key| word(&verdict[key]))).collect();
        told.sort();
        (told.len() == 3).then_some(told)
    });
    // Whom a phrase is signalled to is the old policy's affair as well: the new one has no log of it.
    logged(&appliance, "phrase said");
    let wanted = [
        ["first", "agent", "heaven", "p@1"],
        ["first", "caller", "heaven", "p@1"],
        ["second", "caller", "paradise", "p@2"],
    ];
    assert_eq!(told, wanted);
    logged(&appliance, "read again part=\"policy\" in_force=\"p@2\" changed=true");
    assert_eq!(appliance.stop().status.code(), Some(0));
}

#[test]
fn a_broken_policy_is_refused_with_its_sentence_and_the_old_one_stays_in_force() {
    let Some((site, appliance)) = start(FIRST) else { return };
    let other = FIRST.replace("capital is", "savings are");
    let same = "policy.toml, line 2 (version = '1'): p@1 was in force with other content: it needs another version";
    let bad = policies::all().chain([
        ("name = 'p'\nversion = 1\n".to_owned(), "policy.toml, line 2 (version = 1): invalid type"),
        ("name = 'p\n".to_owned(), "policy.toml, line 1 (name = 'p): "),
        (other, same),
    ]);
    let mut refused = 0.0;
    for (text, sentence) in bad {
        site.write("policy.toml", &text);
        let (status, said) = reload(&appliance);
        assert_eq!(status, 422, "{text}");
        let said = detail(&said);
        assert!(said.starts_with(sentence) && said.lines().count() == 1, "{said}: {sentence}");
        refused += 1.0;
        logged(&appliance, &said);
    }
    std::fs::remove_file(site.path("policy.toml")).expect("it is there");
    let said = detail(&reload(&appliance).1);
    assert_eq!(said, "cannot read policy.toml: No such file or directory (os error 2)");
    let outcome =
        |word: &str| format!("sidetone_reloads_total{{outcome=\"{word}\",part=\"policy\"}}");
    assert_eq!(appliance.metric(&outcome("refused")), refused + 1.0);
    assert_eq!(in_force(&appliance), "p@1");

    site.write("policy.toml", format!("# Read by the auditors.\n{FIRST}"));
    assert_eq!(reload(&appliance), (200, r#"{"policy":"p@1","changed":false}"#.to_owned()));
    site.write("policy.toml", SECOND);
    assert_eq!(reload(&appliance), (200, r#"{"policy":"p@2","changed":true}"#.to_owned()));
    // Back again is a change like any other, but not to what it never was.
    site.write("policy.toml", FIRST.replace("at risk", "in danger"));
    assert_eq!(reload(&appliance).0, 422);
    site.write("policy.toml", FIRST);
    assert_eq!(reload(&appliance), (200, r#"{"policy":"p@1","changed":true}"#.to_owned()));
    assert_eq!(appliance.metric(&outcome("applied")), 2.0);
    assert_eq!(appliance.metric(&outcome("unchanged")), 1.0);
    assert_eq!(appliance.post("/policy/reload", "guess", "").0, 401);
    assert_eq!(
        appliance.get("/policy/reload").expect("an answer").0,
        401,
        "who has no token learns nothing"
    );
    assert_eq!(appliance.stop().status.code(), Some(0));
}
