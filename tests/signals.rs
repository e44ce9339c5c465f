//! Two legs of one conversation in the running appliance: whose dialog gets what as INFO, and what is kept of it.
#![expect(clippy::disallowed_methods, reason = "calls run on threads, and a test reads the disk")]

mod appliance;
mod calls;
mod store;

use std::fs;

use appliance::{Appliance, RATE, Site, wait_for};
use calls::call;
use serde_json::Value;
use sidetone::runtime::caller::CallReport;
use store::store;

/// The narrator, on the caller's leg, says "going direct to heaven" five seconds after the beginning.
const POLICY: &str = r#"
    name = "signals"
    version = "1"
    [signal]
    severity = "warning"
    [[phrase]]
    id = "heaven"
    text = "going direct to heaven"
    parties = ["caller"]
    signal = { info = ["agent"], log = true }
    [[phrase]]
    id = "risk"
    text = "your capital is at risk"
    [[rule]]
    id = "never"
    kind = "count"
    parties = ["caller"]
    phrases = ["heaven"]
    at_most = 0
    signal = { info = ["agent", "caller"], states = ["violated"], log = true }
    [[rule]]
    id = "hushed"
    kind = "required"
    parties = ["caller"]
    phrases = ["heaven"]
    within_s = 8
    severity = "critical"
    signal = { info = [] }
    [[rule]]
    id = "trifle"
    kind = "required"
    parties = ["caller"]
    phrases = ["heaven"]
    within_s = 8
    severity = "info"
    signal = { info = ["caller"] }
    [[rule]]
    id = "as-ever"
    kind = "required"
    parties = ["caller"]
    phrases = ["heaven"]
    within_s = 8
"#;

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Phrase or rule and its state, of a verdict about either.
fn about(verdict: &Value) -> Option<(String, String)> {
    match verdict["kind"].as_str() {
        Some("keyword") => Some((word(&verdict["phrase"]), "said".to_owned())),
        Some("rule") => Some((word(&verdict["rule"]), word(&verdict["state"]))),
        _ => None,
    }
}

/// What a side was told by INFO, sorted.
fn informed(report: &CallReport) -> Vec<(String, String)> {
    let read = |json: &String| serde_json::from_str(json).expect("JSON");
    let mut told: Vec<_> = report.infos.iter().map(read).filter_map(|v| about(&v)).collect();
    told.sort();
    told
}

fn pairs(told: &[(&str, &str)]) -> Vec<(String, String)> {
    told.iter().map(|(what, state)| ((*what).to_owned(), (*state).to_owned())).collect()
}

#[test]
fn verdicts_go_to_the_legs_that_the_policy_names_and_an_audit_of_what_is_kept_agrees() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.write("policy.toml", POLICY);
    site.configure("# events_folder = \"/var/lib/sidetone/events\"", "events_folder = \"events\"");
    let appliance = Appliance::start(&site);
    let mut narrator = site.narrator();
    narrator.truncate(8 * RATE as usize);
    let silence = vec![0.0; narrator.len()];
    let of = |party| [("Conversation", "k/7"), ("Party", party), ("Queue", "sales")];
    let agent = call(appliance.sip, &of("agent"), silence);
    let caller = call(appliance.sip, &of("caller"), narrator);
    let (agent, caller) = (agent.join().expect("a call"), caller.join().expect("a call"));
    appliance.wait_for_metric("sidetone_calls_active", 0.0);

    assert_eq!(informed(&agent), pairs(&[("heaven", "said"), ("never", "violated")]));
    let wanted = [("as-ever", "met"), ("as-ever", "pending"), ("never", "violated")];
    assert_eq!(informed(&caller), pairs(&wanted));
    // Whom nothing is signalled to is told of nothing but that; who watches sees all.
    let verdicts = appliance.verdicts();
    let all: Vec<_> = verdicts.iter().filter_map(about).collect();
    for rule in ["hushed", "trifle", "as-ever"] {
        let told: Vec<_> = all.iter().filter(|(what, _)| what == rule).collect();
        assert_eq!(told, pairs(&[(rule, "pending"), (rule, "met")]).iter().collect::<Vec<_>>());
    }
    let logged = |wanted: &str| {
        let holds = |line: &String| line.contains(wanted);
        wait_for(wanted, || appliance.log().iter().any(holds).then_some(()));
    };
    logged("INFO phrase said");
    logged("WARN rule violated");
    assert!(appliance.log().iter().all(|line| !line.contains("hushed")));

    // The file is whole once the conversation is over.
    let folder = site.path("events");
    let kept = wait_for("a file that is over", || {
        let mut files = fs::read_dir(&folder).ok()?.map(|file| file.expect("an entry").path());
        let (file, None) = (files.next()?, files.next()) else { panic!("one conversation") };
        let text = fs::read_to_string(&file).expect("readable");
        text.contains("\"event\":\"over\"").then_some((file, text))
    });
    let (file, text) = kept;
    let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
    assert!(name.contains("Z_k_7_") && name.ends_with(".jsonl"), "{name}");
    assert!(!text.contains("direct") && text.contains("\"queue\":\"sales\""), "ids, never words");
    let lines = text.lines().count();
    appliance.wait_for_metric("sidetone_rule_events_total{outcome=\"kept\"}", lines as f64);
    assert_eq!(appliance.metric("sidetone_rule_events_total{outcome=\"lost\"}"), 0.0);
    assert_eq!(appliance.stop().status.code(), Some(0));

    let file = file.to_str().expect("UTF-8");
    let audit = site.run(&["audit", "rules", "--policy", "policy.toml", "--json", file]);
    assert_eq!(audit.status.code(), Some(1), "`never` is violated: {audit:?}");
    let document: Value = serde_json::from_slice(&audit.stdout).expect("JSON");
    let rules = document["conversations"][0]["rules"].as_array().expect("rules");
    assert_eq!((document["conversations"].as_array().map(Vec::len), rules.len()), (Some(1), 4));
    for row in rules {
        let same = |verdict: &&Value| verdict["kind"] == "rule" && verdict["rule"] == row["rule"];
        let live = verdicts.iter().rfind(same).expect("each was decided");
        for key in ["state", "reason", "severity", "since_s", "phrases"] {
            assert_eq!(live[key], row[key], "{key}: {live} {row}");
        }
    }
}

#[test]
fn an_info_for_a_leg_that_is_not_there_is_counted() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let heaven = "name='p'\nversion='1'\n[[phrase]]\nid='heaven'\ntext='going direct to heaven'\n\
        signal = { info = ['agent'] }\n";
    site.write("policy.toml", heaven);
    let appliance = Appliance::start(&site);
    let nobody = "sidetone_info_total{result=\"nobody\"}";
    assert_eq!(appliance.metric(nobody), 0.0);
    let mut narrator = site.narrator();
    narrator.truncate(8 * RATE as usize);
    let caller = call(appliance.sip, &[("Party", "caller")], narrator).join().expect("a call");
    assert_eq!(informed(&caller), []);
    appliance.wait_for_metric(nobody, 1.0);
    assert_eq!(appliance.stop().status.code(), Some(0));
}
