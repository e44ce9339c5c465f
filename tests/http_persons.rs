//! The rights of persons over HTTP, and the audit trail of their use: the built binary, on SQLite and on PostgreSQL.

mod appliance;
mod databases;
mod http;
mod store;

use appliance::{Appliance, Site, token};
use databases::databases;
use http::{Answer, ask, bearing};
use jiff::Timestamp;
use serde_json::{Value, json};
use sidetone::consent::retention;
use sidetone::runtime::store::erasure::Erasure;
use sidetone::runtime::store::persons::Act;
use sidetone::runtime::store::vault::{Subject, Vault};
use sidetone::speaker::embedding::Embedding;
use sidetone::speaker::voiceprint::Voiceprint;
use sidetone::vault::proof::Signed;
use store::store;

/// An appliance whose persons the bearer of one token keeps, and whose trail the bearer of another reads.
struct Running {
    name: &'static str,
    appliance: Appliance,
    /// The same vault, as the command line would open it meanwhile.
    vault: Vault,
    /// Holds the files.
    _site: Site,
    _database: databases::Site,
}

impl Running {
    fn all() -> Vec<Self> {
        let Some(store) = store() else { return Vec::new() };
        databases().into_iter().map(|database| Self::start(&store, database)).collect()
    }

    fn start(store: &std::path::Path, database: databases::Site) -> Self {
        let site = Site::new(store);
        let mut config = site.open_api().replace("sqlite:vault.db", &database.url);
        if let Some(file) = &database.password_file {
            let commented = "# password_file = \"/etc/sidetone/store.password\"";
            assert!(config.contains(commented), "the configuration has {commented}");
            config = config.replace(commented, &format!("password_file = {file:?}"));
        }
        site.write("sidetone.toml", config);
        let tokens = token("dpo", "privacy", "sdt_dpo") + &token("looks", "auditor", "sdt_looks");
        site.write("tokens.toml", tokens);
        let appliance = Appliance::start(&site);
        let (place, key) = (database.place(), site.path("store.key"));
        let vault = Vault::open(&place, &key, retention::Settings::default()).expect(database.name);
        Self { name: database.name, appliance, vault, _site: site, _database: database }
    }

    /// The answer to who keeps the persons.
    #[track_caller]
    fn ask(&self, request: &str, body: &str) -> Answer {
        ask(self.appliance.http, request, &bearing("sdt_dpo"), body)
    }

    /// The same, which is to be a good one.
    #[track_caller]
    fn good(&self, request: &str, body: &str) -> Value {
        let answer = self.ask(request, body);
        assert_eq!(answer.status, 200, "{}: {request} {body}: {answer:?}", self.name);
        answer.json()
    }

    /// The sentence of a refusal.
    #[track_caller]
    fn refused(&self, request: &str, body: &str, status: u16) -> String {
        let answer = self.ask(request, body);
        assert_eq!(answer.status, status, "{}: {request} {body}: {answer:?}", self.name);
        answer.problem()
    }

    /// What the auditor reads.
    #[track_caller]
    fn audit(&self, query: &str) -> Value {
        let answer =
            ask(self.appliance.http, &format!("GET /audit{query}"), &bearing("sdt_looks"), "");
        assert_eq!(answer.status, 200, "{}: {answer:?}", self.name);
        answer.json()
    }

    /// Somebody agrees by HTTP, and is enrolled elsewhere.
    fn enrol(&mut self, subject: &str) -> Voiceprint {
        let scopes = r#"{"reference":"c-1","scopes":["verify","enrol","adapt"]}"#;
        self.good(&format!("POST /persons/{subject}/consents"), scopes);
        self.enrol_elsewhere(subject)
    }

    /// Somebody who agreed is enrolled, as the command line would.
    fn enrol_elsewhere(&mut self, subject: &str) -> Voiceprint {
        let embedding = Embedding::from_raw(vec![1.0, 0.25, 0.5]).expect("a direction");
        let (made, model) = (Timestamp::UNIX_EPOCH, ("m@1", embedding));
        let voiceprint = Voiceprint::of_embedding(subject, "c-1", made, 12.5, model);
        let act = Act { by: "user:test", at: Timestamp::now(), conversation: None };
        self.vault.enrol(&Subject::caller(subject), &voiceprint, &act).expect(self.name);
        voiceprint
    }
}

/// The words of `field` in each of `records`.
fn words<'a>(records: &'a Value, field: &str) -> Vec<&'a str> {
    let records = records.as_array().expect("records");
    records.iter().map(|record| record[field].as_str().expect("a word")).collect()
}

#[test]
fn a_person_is_shown_handed_out_and_erased_with_a_proof_and_each_use_is_on_record() {
    for mut running in Running::all() {
        let name = running.name;
        assert_eq!(
            running.good("GET /persons", ""),
            json!({ "persons": [], "next": null }),
            "{name}"
        );
        assert_eq!(
            running.refused("GET /persons/alice", "", 404),
            "nothing is kept of this person"
        );
        let voiceprint = running.enrol("alice");
        let person = running.vault.pseudonym(&Subject::caller("alice")).to_string();

        let listed = running.good("GET /persons", "");
        let alice = &listed["persons"][0];
        assert_eq!(
            (&alice["subject"], &alice["person"]),
            (&json!("alice"), &json!(person)),
            "{name}"
        );
        assert_eq!(
            (&alice["kept"]["models"], &alice["kept"]["hold"]),
            (&json!(["m@1"]), &Value::Null)
        );
        let shown = running.good("GET /persons/alice", "");
        let made = json!({
            "created": "1970-01-01T00:00:00Z", "consent": "c-1", "net_speech_s": 12.5, "sessions": 0, "revision": 0
        });
        assert_eq!(shown["kept"]["voiceprint"], made, "{name}");
        let consents = shown["consents"].as_array().expect("consents");
        assert_eq!(consents.len(), 3, "{name}: {shown}");
        assert_eq!(
            (&consents[0]["scope"], &consents[0]["by"]),
            (&json!("verify"), &json!("token:dpo"))
        );
        assert_eq!(
            running.refused("GET /persons/alice?role=agent", "", 404),
            "nothing is kept of this person"
        );

        let exported = running.good("GET /persons/alice/export", "");
        let voice = serde_json::to_value(&voiceprint).expect("JSON");
        assert_eq!(exported["voiceprint"], voice, "{name}");
        let embedding = &exported["voiceprint"]["references"][0];
        assert_eq!(
            (&embedding["model"], embedding["embedding"].is_string()),
            (&json!("m@1"), true)
        );
        assert_eq!(
            words(&exported["records"], "kind"),
            ["consent", "enrolment", "access"],
            "{name}"
        );
        for other in [&listed, &shown] {
            let voice = embedding["embedding"].as_str().expect("base64");
            assert!(!other.to_string().contains(voice), "a voice is handed out by an export alone");
        }

        let held = running.good("PUT /persons/alice/hold", r#"{"reason":"claim 4711"}"#);
        assert_eq!(held["kept"]["hold"], "claim 4711", "{name}");
        let said = running.refused("DELETE /persons/alice", "", 409);
        assert_eq!(said, "there is a legal hold on this person: claim 4711", "{name}");
        assert_eq!(
            running.good("DELETE /persons/alice/hold", "")["kept"]["hold"],
            Value::Null,
            "{name}"
        );

        let erased = running.ask("DELETE /persons/alice", "");
        let proof: Signed<Erasure> = serde_json::from_str(&erased.body).expect("a proof");
        assert_eq!(proof.verify(), Ok(()), "{name}");
        assert_eq!(proof.public_key, running.vault.public_key(), "{name}: of this vault");
        let (said, by) = (&proof.statement, "token:dpo");
        assert_eq!((said.subject.as_str(), said.by.as_str(), said.erased.key), ("alice", by, true));
        assert_eq!(
            running.refused("DELETE /persons/alice", "", 404),
            "nothing is kept of this person"
        );
        let after = running.good("GET /persons/alice", "");
        assert_eq!(
            (&after["kept"], after["consents"].as_array().map(Vec::len)),
            (&Value::Null, Some(3))
        );

        let trail = running.audit("");
        let records = trail["records"].as_array().expect("records");
        let of_dpo: Vec<_> =
            records.iter().filter(|record| record["actor"] == "token:dpo").collect();
        let kinds: Vec<_> =
            of_dpo.iter().map(|record| record["kind"].as_str().expect("a word")).collect();
        let wanted = [
            "access", "consent", "access", "access", "export", "hold", "hold", "erasure", "access",
        ];
        assert_eq!(kinds, wanted, "{name}");
        assert!(!trail.to_string().contains("alice"), "{name}: the trail knows pseudonyms alone");
        let of_erasure = &records[proof.statement.record.sequence as usize - 1];
        assert_eq!(of_erasure["digest"], proof.statement.record.digest.to_string(), "{name}");
        assert_eq!(running.appliance.stop().status.code(), Some(0), "{name}");
    }
}

#[test]
fn a_consent_is_taken_back_in_part_or_for_ever_and_its_history_stays() {
    for mut running in Running::all() {
        let name = running.name;
        running.enrol("alice");
        let part = running.good("POST /persons/alice/withdraw", r#"{"scopes":["adapt"]}"#);
        let states: Vec<_> = words(&part["consents"], "state");
        assert_eq!(states, ["given", "given", "withdrawn"], "{name}");
        assert_eq!(
            part["erased"],
            json!({ "voiceprint": false, "gathering": false, "key": false })
        );
        assert!(running.good("GET /persons/alice", "")["kept"].is_object(), "{name}");
        let again = r#"{"reference":"c-1","scopes":["adapt"]}"#;
        let said = running.refused("POST /persons/alice/consents", again, 409);
        assert_eq!(
            said, "the consent was withdrawn",
            "{name}: the same reference gives nothing again"
        );

        let out = running.good("POST /persons/alice/withdraw", r#"{"opt_out":true}"#);
        assert_eq!(out["opted_out"]["by"], "token:dpo", "{name}");
        assert_eq!(out["erased"], json!({ "voiceprint": true, "gathering": false, "key": true }));
        let other = r#"{"reference":"c-2","scopes":["verify"]}"#;
        let said = running.refused("POST /persons/alice/consents", other, 409);
        assert_eq!(said, "the person opted out", "{name}");
        let back = r#"{"reference":"c-2","scopes":["verify"],"opt_in":true,"expires":"2100-01-01T00:00:00Z"}"#;
        let back = running.good("POST /persons/alice/consents", back);
        assert_eq!(
            (&back["opted_out"], &back["consents"][0]["reference"]),
            (&Value::Null, &json!("c-2"))
        );

        let history = running.good("GET /persons/alice/consents", "");
        assert_eq!(history["history"].as_array().map(Vec::len), Some(5), "{name}: {history}");
        let first = running.good("GET /persons/alice/consents?limit=2", "");
        let rest = format!("GET /persons/alice/consents?after={}", first["next"]);
        let rest = running.good(&rest, "");
        let both = [&first, &rest].map(|part| part["history"].as_array().expect("records").clone());
        assert_eq!(json!(both.concat()), history["history"], "{name}");
        assert_eq!(rest["next"], Value::Null);

        for (request, body, wanted) in [
            (
                "POST /persons/alice/consents",
                r#"{"reference":"c 3","scopes":["verify"]}"#,
                "visible ASCII",
            ),
            (
                "POST /persons/alice/consents",
                r#"{"reference":"c-3","scopes":[]}"#,
                "at least one of",
            ),
            (
                "POST /persons/alice/consents",
                r#"{"reference":"c-3","scopes":["all"]}"#,
                "a scope is verify",
            ),
            ("POST /persons/alice/withdraw", r#"{"scopes":["adapt"],"opt_out":true}"#, "no scopes"),
            ("POST /persons/%20/withdraw", "{}", "a subject must have 1 to 256 bytes"),
            (
                "PUT /persons/alice/hold",
                r#"{"reason":" "}"#,
                "a reason must have 1 to 256 characters",
            ),
        ] {
            let said = running.refused(request, body, 422);
            assert!(said.contains(wanted), "{name}: {request} {body}: {said}");
        }
        let said = running.refused("GET /persons/alice?role=customer", "", 400);
        assert!(said.contains("customer"), "{name}: {said}");
        assert_eq!(
            running.refused("GET /persons?limit=0", "", 400),
            "limit must be 1 to 100, found 0"
        );
    }
}

#[test]
fn persons_and_records_come_in_parts_and_names_are_as_the_pbx_writes_them() {
    for mut running in Running::all() {
        let name = running.name;
        let subjects = ["j%C3%B6rg%2F1", "sip:4711@pbx.example.org", "a%20b"];
        for subject in subjects {
            running.good(
                &format!("POST /persons/{subject}/consents"),
                r#"{"reference":"c","scopes":["enrol"]}"#,
            );
        }
        for subject in ["jörg/1", "sip:4711@pbx.example.org", "a b"] {
            running.enrol_elsewhere(subject);
        }
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let part = running.good(&format!("GET /persons?limit=2{after}"), "");
            found.extend(words(&part["persons"], "subject").into_iter().map(str::to_owned));
            let Some(next) = part["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        found.sort();
        assert_eq!(found, ["a b", "jörg/1", "sip:4711@pbx.example.org"], "{name}");

        let of_one = running.audit("?subject=a%20b&kind=consent")["records"].clone();
        assert_eq!(
            (of_one.as_array().map(Vec::len), words(&of_one, "kind")),
            (Some(1), vec!["consent"])
        );
        let (mut numbers, mut after) = (Vec::new(), 0);
        loop {
            let part = running.audit(&format!("?limit=4&after={after}"));
            let records = part["records"].as_array().expect("records");
            numbers.extend(
                records.iter().map(|record| record["sequence"].as_u64().expect("a number")),
            );
            let Some(next) = part["next"].as_u64() else { break };
            after = next;
        }
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{name}: no gap");
        let head = ask(running.appliance.http, "GET /audit/head", &bearing("sdt_looks"), "").json();
        let known = running.vault.head().expect(name);
        assert_eq!(
            head,
            json!({ "sequence": known.sequence, "digest": known.digest.to_string() }),
            "{name}"
        );
        assert!(known.sequence > numbers.len() as u64, "{name}: that it was read is on record");
    }
}
