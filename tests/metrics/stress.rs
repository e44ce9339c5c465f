//! Every label under stress, by promtool, against the documents, and against every query that is shipped.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::appliance::{Appliance, LISTEN, RATE, SUBJECT, Site, wait_for};
use crate::authority::Authority;
use crate::calls::call;
use crate::dashboards::dashboards;
use crate::scrape::{Scrape, grouping, selectors};
use crate::store::{skip, store};

const RECORDING: &str = include_str!("../../config/prometheus/recording.yml");
const ALERTS: &str = include_str!("../../config/prometheus/alerts.yml");
const TABLE: &str = include_str!("../../docs/watch-it.md");

/// More rules and phrases than have labels; the narrator says one of the phrases, which a rule forbids.
fn policy() -> String {
    let mut text = "name = 'stress'\nversion = '1'\n\
        [[phrase]]\nid = 'heaven'\ntext = 'going direct to heaven'\n\
        [[rule]]\nid = 'no-heaven'\nkind = 'forbidden'\nphrases = ['heaven']\nseverity = 'critical'\n"
        .to_owned();
    for n in 0..110 {
        let _ = write!(
            text,
            "[[phrase]]\nid = 'phrase-{n}'\ntext = 'your capital is at risk'\nparties = ['agent']\n"
        );
    }
    for n in 0..30 {
        let _ =
            write!(text, "[[rule]]\nid = 'rule-{n}'\nkind = 'forbidden'\nphrases = ['phrase-0']\n");
    }
    text
}

/// A site that has everything which brings labels: certificates, receivers and accounts, more than have labels.
fn site(store: &Path) -> Site {
    let site = Site::new(store);
    let authority = Authority::new(&site.path(""));
    authority.issue("site", "localhost", 2040);
    site.write("policy.toml", policy());
    site.write("password", "secret\n");
    site.write("crm.secret", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n");
    let mut receivers = String::new();
    for n in 0..24 {
        let _ = write!(
            receivers,
            "\n[[notify.webhook]]\nname = 'crm-{n}'\nurl = 'http://127.0.0.1:9/'\nsecret_file = 'crm.secret'\n",
        );
    }
    let accounts = (0..100).map(|n| {
        format!(
            "[[sip.account]]\nname = 'account-{n}'\nregistrar = 'sip:127.0.0.1:9'\n\
             address = 'sip:a{n}@127.0.0.1'\npassword_file = 'password'\nexpires_s = 120\nregister = true\n"
        )
    });
    let tls = "[sip.tls]\ncertificate = 'site.crt'\nkey = 'site.key'\nauthorities = 'authorities.pem'\n\
               client_certificates = 'off'\n";
    let config = site.config().replace(LISTEN, &format!("{LISTEN}, \"tls:127.0.0.1:0\""));
    let config =
        config.replace("\n[rtp]\n", &format!("\n{}{tls}\n[rtp]\n", accounts.collect::<String>()));
    let config = config.replace("\n[notify]\n", &format!("\n[notify]\n{receivers}"));
    site.write("sidetone.toml", config);
    site.enroll();
    site
}

#[test]
fn what_is_scraped_is_what_promtool_the_documents_the_alerts_and_the_dashboards_know() {
    let Some(store) = store() else { return };
    let site = site(&store);
    let appliance = Appliance::start(&site);
    let before = scraped(&appliance);
    for (name, family) in before.ours() {
        assert!(!family.samples.is_empty(), "{name} is not there before the first call");
    }
    promtool_checks(&before);
    let mut narrator = site.narrator();
    narrator.truncate(8 * RATE as usize);
    let claims = [("Conversation", "+41441234567"), ("Subject", SUBJECT), ("Consent", "c-1")];
    let talk = call(appliance.sip, &claims, narrator);
    talk_nonsense(&appliance);
    let heard = "sidetone_legs{state=\"heard\"}";
    appliance.wait_for_metric(heard, 1.0);
    appliance.wait_for_metric("sidetone_legs_by_codec{codec=\"PCMU\"}", 1.0);
    drop(talk.join().expect("a call"));
    appliance.wait_for_metric("sidetone_calls_active", 0.0);
    appliance.wait_for_metric(heard, 0.0);
    for (series, count) in [
        ("sidetone_legs_by_codec{codec=\"PCMU\"}", 0.0),
        ("sidetone_phrase_hits_total{phrase=\"heaven\"}", 1.0),
        (
            "sidetone_rule_verdicts_total{outcome=\"violated\",rule=\"no-heaven\",severity=\"critical\"}",
            1.0,
        ),
        ("sidetone_speaker_decision_speech_seconds_count{decision=\"accepted\"}", 1.0),
        ("sidetone_leg_coverage_ratio_count{analysis=\"phrases\"}", 1.0),
        ("sidetone_sip_responses_sent_total{code=\"200\",method=\"BYE\"}", 1.0),
        ("sidetone_sip_requests_total{method=\"OTHER\"}", 40.0),
        ("sidetone_certificate_expiry_timestamp_seconds{use=\"sip\"}", 2_208_988_800.0),
        ("sidetone_threads{thread=\"signalling\"}", 1.0),
    ] {
        wait_for(series, || (appliance.metric(series) == count).then_some(()));
    }
    // Two embedders, what tells turns apart, and what listens for phrases, in three parts.
    assert_eq!(appliance.metric_sum("sidetone_model_info"), 6.0);
    let after = scraped(&appliance);
    promtool_checks(&after);
    for (name, family) in after.ours() {
        let series = family.samples.len();
        assert!((1..100).contains(&series), "{name} has {series} series");
    }
    assert!(!after.text.contains("41441234567") && !after.text.contains(SUBJECT));
    the_documents_tell(&after);
    every_query_finds_something(&after);
    assert_eq!(appliance.stop().status.code(), Some(0));
}

fn scraped(appliance: &Appliance) -> Scrape {
    Scrape::parse(&appliance.get("/metrics").expect("an answer").1)
}

/// Requests of unknown methods, which get refused with as many statuses as we know.
fn talk_nonsense(appliance: &Appliance) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let own = socket.local_addr().expect("an address");
    for n in 0..40 {
        let request = format!(
            "MADEUP{n} sip:x@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK-{n}\r\nMax-Forwards: 70\r\n\
             From: <sip:a@{own}>;tag=1\r\nTo: <sip:x@{to}>\r\nCall-ID: nonsense-{n}\r\nCSeq: 1 MADEUP{n}\r\n\
             Content-Length: 0\r\n\r\n",
            to = appliance.sip,
        );
        socket.send_to(request.as_bytes(), appliance.sip).expect("it is sent");
    }
    socket.send_to(b"nothing of SIP", appliance.sip).expect("it is sent");
}

fn promtool_checks(scrape: &Scrape) {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        return skip("promtool is not installed (Debian: prometheus)");
    };
    let mut stdin = promtool.stdin.take().expect("a pipe");
    stdin.write_all(scrape.text.as_bytes()).expect("it reads");
    drop(stdin);
    let output = promtool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// The table and the scrape have the same metrics with the same labels.
fn the_documents_tell(scrape: &Scrape) {
    let quoted = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let mut told = BTreeSet::new();
    for line in TABLE.lines().filter(|line| line.starts_with("| `sidetone_")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [names, labels, meaning] = cells[..] else { panic!("three cells: {line}") };
        let [name] = &quoted(names)[..] else { panic!("one metric a line: {line}") };
        let family = scrape.families.get(name).unwrap_or_else(|| panic!("there is no {name}"));
        let labels: BTreeSet<String> = quoted(labels).into_iter().collect();
        let found = family.samples.iter().flat_map(|sample| sample.labels.keys());
        let found: BTreeSet<String> = found.filter(|label| *label != "le").cloned().collect();
        assert_eq!(labels, found, "the labels of {name}");
        assert!(!family.help.is_empty(), "{name} has no help");
        let histogram = family.kind == "histogram";
        assert_eq!(meaning.contains("histogram"), histogram, "{name} is a {}", family.kind);
        assert!(told.insert(name.clone()), "{name} is told twice");
    }
    let untold: Vec<&str> =
        scrape.ours().map(|(name, _)| name).filter(|name| !told.contains(*name)).collect();
    assert!(untold.is_empty(), "docs/watch-it.md does not tell {untold:?}");
}

/// Every query of rules, alerts and dashboards, by where it stands.
fn queries() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (file, text) in [("recording.yml", RECORDING), ("alerts.yml", ALERTS)] {
        for rule in text.split("\n      - ").skip(1) {
            let (name, rest) = rule.split_once('\n').expect("a name and more");
            let expr = rest.split_once("expr: ").expect("an expression").1;
            let ends = ["\n        for: ", "\n        # ", "\n      # "];
            let end = ends.iter().filter_map(|end| expr.find(end)).min().unwrap_or(expr.len());
            let expr = expr[..end].trim_start_matches('|').trim();
            all.push((format!("{file}: {name}"), expr.to_owned()));
        }
    }
    for (file, dashboard) in dashboards() {
        let before = all.len();
        collect(&file, &dashboard, &mut all);
        assert!(all.len() > before + 8, "{file} asks for little");
    }
    all
}

fn collect(place: &str, value: &serde_json::Value, all: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::Object(object) => {
            let title = object.get("title").and_then(serde_json::Value::as_str);
            let place = title.map_or(place.to_owned(), |title| format!("{place}: {title}"));
            for (key, value) in object {
                match value.as_str() {
                    Some(query) if key == "expr" => {
                        all.push((place.clone(), of_grafana(query)));
                    }
                    Some(query) if query.starts_with("label_values(") => {
                        // label_values(METRIC, LABEL)
                        let metric = query["label_values(".len()..].split(',').next();
                        all.push((place.clone(), of_grafana(metric.expect("a metric"))));
                    }
                    _ => collect(&place, value, all),
                }
            }
        }
        serde_json::Value::Array(array) => array.iter().for_each(|one| collect(place, one, all)),
        _ => {}
    }
}

/// As Grafana asks it, its variables filled in.
fn of_grafana(query: &str) -> String {
    let filled = query
        .replace("$__rate_interval", "1m")
        .replace("$__range", "1h")
        .replace("$__interval", "15s")
        .replace("$instance", ".*");
    assert!(!filled.contains('$'), "an unknown variable: {query}");
    filled
}

fn every_query_finds_something(scrape: &Scrape) {
    let recorded: BTreeSet<&str> = RECORDING
        .split("- record: ")
        .skip(1)
        .map(|rule| rule.split_once('\n').expect("a name and more").0)
        .collect();
    let (mut wrong, mut rules) = (Vec::new(), "groups:\n  - name: all\n    rules:\n".to_owned());
    let queries = queries();
    for (number, (place, query)) in queries.iter().enumerate() {
        let found = selectors(query);
        let alive = ["up{", "ALERTS{"].iter().any(|of_prometheus| query.contains(of_prometheus));
        assert!(alive || !found.is_empty(), "{place} asks for nothing of ours: {query}");
        let mut labels = BTreeSet::new();
        for selector in &found {
            if selector.name.contains(':') {
                if !recorded.contains(selector.name.as_str()) {
                    wrong.push(format!("{place}: nobody records {}", selector.name));
                }
                let (level, _) = selector.name.split_once(':').expect("a level");
                labels.extend(level.split('_'));
            } else {
                wrong.extend(scrape.lacks(selector).map(|why| format!("{place}: {why}")));
                labels.extend(scrape.labels(&selector.name));
            }
        }
        for label in grouping(query) {
            if !alive && !labels.contains(label.as_str()) {
                wrong.push(format!("{place}: no metric of it has the label {label}"));
            }
        }
        let quoted = serde_json::to_string(query).expect("a string");
        let _ = write!(rules, "      - record: a:query:n{number}\n        expr: {quoted}\n");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("queries.yml");
    fs::write(&file, rules).expect("a writable folder");
    let Ok(output) = Command::new("promtool").args(["check", "rules"]).arg(&file).output() else {
        return skip("promtool is not installed (Debian: prometheus)");
    };
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
