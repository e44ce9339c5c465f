//! Calls to the running appliance and what is kept of them: whose consent they rest on, what ends it, and the audit
//! trail, also while the database is away and after a kill. Needs the models.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test reads the clock; figures are for docs/reference/figures.md"
)]

mod appliance;
mod calls;
mod databases;
mod store;

use std::time::{Duration, Instant};

use appliance::{Appliance, RATE, SUBJECT, Site, wait_for};
use calls::call;
use databases::postgres::Postgres;
use serde_json::Value;
use store::store;

/// How often the embedders have run.
const RUNS: [&str; 2] = [
    "sidetone_inference_seconds_count{model=\"speaker\"}",
    "sidetone_inference_seconds_count{model=\"speaker_watch\"}",
];
/// A withdrawal by somebody else is heeded within this, the time of the command not counted.
const HEEDED_WITHIN: Duration = Duration::from_secs(2);

fn runs(appliance: &Appliance) -> f64 {
    RUNS.iter().map(|name| appliance.metric(name)).sum()
}

/// The narrator without end: `seconds` of him.
fn speech(site: &Site, seconds: usize) -> Vec<f32> {
    let narrator = site.narrator();
    narrator.iter().copied().cycle().take(seconds * RATE as usize).collect()
}

/// The decision of a conversation that is not `before`, and its reason.
fn decision(appliance: &Appliance, conversation: &str, before: Option<&str>) -> (String, String) {
    wait_for("a decision", || {
        let of = appliance.verdicts().into_iter().rev().find(|verdict| {
            verdict["kind"] == "speaker" && verdict["conversation"] == conversation
        })?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Some((text(&of["decision"]), text(&of["reason"])))
            .filter(|(decision, _)| Some(decision.as_str()) != before)
    })
}

fn done(site: &Site, arguments: &[&str]) -> Vec<u8> {
    let output = site.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output.stdout
}

/// The audit records, the oldest first.
fn trail(site: &Site) -> Vec<Value> {
    let lines = done(site, &["audit", "show", "--json"]);
    let lines = String::from_utf8(lines).expect("text");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn named<'a>(conversation: &'a str, consent: &'a str) -> [(&'a str, &'a str); 3] {
    [("Conversation", conversation), ("Subject", SUBJECT), ("Consent", consent)]
}

fn inconclusive(reason: &str) -> (String, String) {
    ("inconclusive".to_owned(), reason.to_owned())
}

#[test]
fn a_call_rests_on_a_consent_from_its_first_window_to_the_withdrawal() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    site.enroll();
    let appliance = Appliance::start(&site);

    // Without a consent nothing is embedded.
    let without = [("Conversation", "without"), ("Subject", SUBJECT)];
    call(appliance.sip, &without, speech(&site, 8)).join().expect("a call");
    assert_eq!(decision(&appliance, "without", None), inconclusive("no_consent"));
    assert_eq!(runs(&appliance), 0.0);

    // Nor where the consent is for something else.
    let other = [&named("other", "c-7")[..], &[("Consent-Scope", "keywords")]].concat();
    let mute = [("Conversation", "stranger"), ("Subject", "nobody"), ("Consent", "c-8")];
    let mute = [&mute[..], &[("Consent-Scope", "adapt")]].concat();
    call(appliance.sip, &mute, speech(&site, 4)).join().expect("a call");
    assert_eq!(decision(&appliance, "stranger", None), inconclusive("not_covered"));
    assert_eq!(runs(&appliance), 0.0);
    // The narrator's own consent of before stands: a narrower one takes nothing away.
    call(appliance.sip, &other, speech(&site, 12)).join().expect("a call");
    assert_eq!(decision(&appliance, "other", None).0, "accepted");

    // Somebody else's process takes it back while the call goes on.
    let caller = call(appliance.sip, &named("long", "c-1"), speech(&site, 60));
    assert_eq!(decision(&appliance, "long", None).0, "accepted");
    let before = Instant::now();
    done(&site, &["consent", "withdraw", "--subject", SUBJECT]);
    let told = Instant::now();
    let ended = decision(&appliance, "long", Some("accepted"));
    eprintln!(
        "withdrawn by a command of {:?}, and not scored any more {:?} after it",
        told - before,
        told.elapsed()
    );
    assert_eq!(ended, inconclusive("consent_withdrawn"));
    assert!(told.elapsed() < HEEDED_WITHIN, "{:?}", told.elapsed());
    let (so_far, heard) = (runs(&appliance), "sidetone_speech_seconds_total");
    let speech_so_far = appliance.metric(heard);
    wait_for("more speech", || (appliance.metric(heard) > speech_so_far + 5.0).then_some(()));
    assert!(runs(&appliance) - so_far <= 2.0, "what was with a model may end, and no more begins");
    let shown = site.run(&["voiceprint", "show", "--json", "--subject", SUBJECT]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
    assert_eq!(shown["voiceprint"], Value::Null, "it is erased");

    // The same reference does not give it again, and after an opt-out nothing does.
    call(appliance.sip, &named("again", "c-1"), speech(&site, 3)).join().expect("a call");
    assert_eq!(decision(&appliance, "again", None), inconclusive("consent_withdrawn"));
    done(&site, &["consent", "opt-out", "--subject", SUBJECT]);
    call(appliance.sip, &named("out", "c-9"), speech(&site, 3)).join().expect("a call");
    assert_eq!(decision(&appliance, "out", None), inconclusive("opted_out"));
    caller.join().expect("a call");
    assert!(appliance.stop().status.success());

    // All of it is on record, and nobody by name.
    let trail = trail(&site);
    let of = |conversation: &str| -> Vec<&Value> {
        let of = |record: &&Value| {
            record["conversation"] == conversation && record["kind"] == "decision"
        };
        trail.iter().filter(of).collect()
    };
    let person = of("long")[0]["person"].as_str().expect("a pseudonym");
    assert!(person.len() == 32 && of("out")[0]["person"] == person);
    let decisions: Vec<_> = of("long").iter().map(|r| r["detail"]["decision"].clone()).collect();
    assert_eq!(decisions, ["accepted", "inconclusive"]);
    assert!(!trail.iter().any(|record| record.to_string().contains(SUBJECT)), "{trail:#?}");
    let kinds = |kind: &str| trail.iter().filter(|record| record["kind"] == kind).count();
    assert_eq!(
        (kinds("start"), kinds("stop"), kinds("configuration"), kinds("model")),
        (1, 1, 1, 1)
    );
    let policy = trail.iter().find(|record| record["kind"] == "configuration");
    let sha256 = policy.and_then(|record| record["detail"]["sha256"].as_str());
    assert_eq!(sha256.map(str::len), Some(64));
    done(&site, &["audit", "verify"]);
}

#[test]
fn while_the_database_is_away_calls_are_decided_and_put_on_record_afterwards_in_order() {
    let Some(store) = store() else { return };
    let Some(server) = Postgres::start_new() else { return };
    let away = std::env::var("SIDETONE_OUTAGE_S").ok().and_then(|text| text.parse().ok());
    let away = Duration::from_secs(away.unwrap_or(5));
    let site = Site::new(&store);
    let password = server.password_file().display().to_string();
    let config = site
        .config()
        .replace("\"sqlite:vault.db\"", &format!("{:?}", server.url("vault")))
        .replace(
            "# password_file = \"/etc/sidetone/store.password\"",
            &format!("password_file = {password:?}"),
        );
    site.write("sidetone.toml", config);
    site.enroll();
    let appliance = Appliance::start(&site);
    let seconds = 25 + away.as_secs() as usize;
    let caller = call(appliance.sip, &named("before", "c-1"), speech(&site, seconds));
    // It is compared from then on.
    wait_for("the first window", || (runs(&appliance) > 0.0).then_some(()));
    server.stop();
    let since = Instant::now();
    assert_eq!(decision(&appliance, "before", None).0, "accepted", "from memory");
    let during = call(appliance.sip, &named("during", "c-1"), speech(&site, 3));
    assert_eq!(decision(&appliance, "during", None), inconclusive("store_unavailable"));
    during.join().expect("a call");
    let why = wait_for("/ready to say why", || {
        appliance.get("/ready").filter(|(status, _)| *status == 503)
    });
    assert!(why.1.contains("the store is unavailable: "), "{}", why.1);
    assert_eq!(appliance.metric("sidetone_store_up"), 0.0);
    assert!(appliance.metric("sidetone_audit_waiting") >= 2.0);
    // The outage is as long as it is.
    std::thread::sleep(away.saturating_sub(since.elapsed()));
    server.start();
    wait_for("/ready", || appliance.get("/ready").filter(|(status, _)| *status == 200));
    appliance.wait_for_metric("sidetone_audit_waiting", 0.0);
    assert_eq!(appliance.metric("sidetone_audit_lost_total"), 0.0);
    let after = call(appliance.sip, &named("after", "c-1"), speech(&site, 12));
    assert_eq!(decision(&appliance, "after", None).0, "accepted");
    after.join().expect("a call");
    caller.join().expect("a call");
    let told: Vec<Value> =
        appliance.verdicts().into_iter().filter(|v| v["kind"] == "speaker").collect();
    wait_for("the last decision on record", || {
        (appliance.metric("sidetone_audit_waiting") == 0.0).then_some(())
    });
    let records: Vec<_> = trail(&site).into_iter().filter(|r| r["kind"] == "decision").collect();
    let conversations = |all: &[Value]| -> Vec<String> {
        let name = |one: &Value| one["conversation"].as_str().unwrap_or_default().to_owned();
        all.iter().map(name).collect()
    };
    assert_eq!(conversations(&records), conversations(&told), "each once, in order");

    // Killed, it leaves no word; the next run says so, and the chain is whole.
    appliance.signal("KILL");
    drop(appliance);
    done(&site, &["audit", "verify"]);
    let appliance = Appliance::start(&site);
    assert!(appliance.stop().status.success());
    let starts: Vec<_> = trail(&site)
        .into_iter()
        .filter(|record| record["kind"] == "start")
        .map(|record| record["detail"]["before"].clone())
        .collect();
    assert_eq!(starts, ["none", "killed"]);
    done(&site, &["audit", "verify"]);
}

#[test]
fn a_known_voice_that_is_erased_is_compared_with_nobody_who_calls_after_that() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let config = site.config().replace(
        "\nenabled = false\n# Calls of a thousand",
        "\nenabled = true\n# Calls of a thousand",
    );
    let config =
        config.replace("scopes = [\"verify\", \"enrol\"]", "scopes = [\"verify\", \"watchlist\"]");
    assert!(
        config.contains("\"watchlist\"]") && config.contains("enabled = true"),
        "both keys are there"
    );
    site.write("sidetone.toml", config);
    site.enroll();
    done(
        &site,
        &["enroll", "--subject", "wanted", "--consent", "case-7", "--watchlist", "enrolment.wav"],
    );
    let appliance = Appliance::start(&site);
    let hits = |conversation: &str| {
        let of = |told: &Value| told["kind"] == "watchlist" && told["conversation"] == conversation;
        appliance.verdicts().iter().filter(|told| of(told)).count()
    };
    call(appliance.sip, &named("before", "c-1"), speech(&site, 12)).join().expect("a call");
    wait_for("a hit", || (hits("before") == 1).then_some(()));

    done(&site, &["voiceprint", "erase", "--subject", "wanted", "--watchlist"]);
    let empty = |line: &String| line.contains("with the watchlist") && line.contains("voices=0");
    wait_for("the list read again", || appliance.log().iter().any(empty).then_some(()));
    call(appliance.sip, &named("after", "c-1"), speech(&site, 12)).join().expect("a call");
    assert_eq!(decision(&appliance, "after", None).0, "accepted");
    assert_eq!(hits("after"), 0);
}
