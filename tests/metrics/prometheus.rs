//! The shipped configuration in a real Prometheus that scrapes the appliance, exemplars included.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::appliance::{Appliance, RATE, SUBJECT, Site, wait_for};
use crate::calls::call;
use crate::store::{skip, store};

/// A Prometheus with the shipped rules, which scrapes each second.
struct Prometheus {
    child: Child,
    at: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// Nothing where it is not installed.
    fn watching(appliance: &Appliance) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let place = |name: &str| folder.path().join(name);
        let shipped = |name: &str| {
            fs::read_to_string(Path::new("config/prometheus").join(name)).expect("it is shipped")
        };
        fs::create_dir(place("sidetone")).expect("a writable folder");
        for rules in ["recording.yml", "alerts.yml"] {
            fs::write(place("sidetone").join(rules), shipped(rules)).expect("a writable folder");
        }
        let config = shipped("prometheus.yml")
            .replace("127.0.0.1:9464", &appliance.http.to_string())
            .replace("interval: 15s", "interval: 1s");
        fs::write(place("prometheus.yml"), config).expect("a writable folder");
        // Somebody may take the port before Prometheus does; then it ends, and the test says what it said.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let at = port.expect("a free port");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", place("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", place("data").display()))
            .arg(format!("--web.listen-address={at}"))
            .arg("--enable-feature=exemplar-storage")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            skip("prometheus is not installed (Debian: prometheus)");
            return None;
        };
        let mut prometheus = Self { child, at, _folder: folder };
        wait_for("Prometheus", || {
            let ended = prometheus.child.try_wait().expect("a child");
            assert!(ended.is_none(), "it ended: {ended:?}");
            prometheus.get("/-/ready").filter(|(status, _)| *status == 200)
        });
        Some(prometheus)
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.at).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: prometheus\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// What its API says.
    fn data(&self, path: &str) -> Value {
        let (status, body) = self.get(&format!("/api/v1/{path}")).expect("an answer");
        assert_eq!(status, 200, "{body}");
        let mut answer: Value = serde_json::from_str(&body).expect("JSON");
        answer["data"].take()
    }

    /// The value of a query that has one series.
    fn value(&self, query: &str) -> Option<f64> {
        let query =
            percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC);
        let data = self.data(&format!("query?query={query}"));
        data["result"][0]["value"][1].as_str().map(|value| value.parse().expect("a number"))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_prometheus_takes_all_of_it_and_its_exemplars_lead_to_the_conversation_by_the_log_alone() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let number = "+41441234567";
    site.write("sidetone.toml", site.config().replace("exemplars = false", "exemplars = true"));
    site.enroll();
    let appliance = Appliance::start(&site);
    let Some(prometheus) = Prometheus::watching(&appliance) else { return };
    wait_for("a scrape", || prometheus.value("up{job=\"sidetone\"}").filter(|up| *up == 1.0));
    let mut narrator = site.narrator();
    narrator.truncate(8 * RATE as usize);
    let claims = [("Conversation", number), ("Subject", SUBJECT), ("Consent", "c-1")];
    drop(call(appliance.sip, &claims, narrator).join().expect("a call"));
    let metric = "sidetone_speaker_decision_speech_seconds";
    let count = format!("{metric}_count{{decision=\"accepted\"}}");
    wait_for("the decision", || prometheus.value(&count).filter(|decided| *decided == 1.0));
    let exemplars = wait_for("an exemplar", || {
        let path = format!("query_exemplars?query={metric}_bucket&start=0&end=4102444800");
        Some(prometheus.data(&path)).filter(|found| found[0]["exemplars"][0].is_object())
    });
    let exemplar = &exemplars[0]["exemplars"][0];
    let reference = exemplar["labels"]["conversation"].as_str().expect("a reference");
    assert_eq!(exemplars[0]["seriesLabels"]["decision"], "accepted", "{exemplars}");
    let speech: f64 = exemplar["value"].as_str().expect("a value").parse().expect("a number");
    assert!((2.0..8.0).contains(&speech), "{exemplar}");
    assert!(!exemplars.to_string().contains("41441234567"), "{exemplars}");
    let line = appliance.log().into_iter().find(|line| line.contains(reference));
    let line = line.expect("the log tells whose it is");
    assert!(line.contains(number), "{line}");
    // Every rule was evaluated, and none has an error; nothing fires.
    let rules = wait_for("evaluations", || {
        let rules = prometheus.data("rules");
        let groups = rules["groups"].as_array().expect("groups").clone();
        let all: Vec<Value> = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().expect("rules").clone())
            .collect();
        (all.len() == 26 && all.iter().all(|rule| rule["health"] == "ok")).then_some(all)
    });
    let firing = rules.iter().filter(|rule| rule["state"] == "firing").count();
    assert_eq!(firing, 0, "{rules:?}");
    assert_eq!(appliance.stop().status.code(), Some(0));
}
