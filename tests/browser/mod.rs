//! A Chromium without a window, driven by chromedriver over WebDriver (W3C), which is JSON over HTTP.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "every test takes what it needs of this; it starts a browser; a skipped test says why"
)]

pub(crate) mod relay;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::appliance::wait_for;

/// A running browser.
#[derive(Debug)]
pub(crate) struct Browser {
    driver: Child,
    agent: ureq::Agent,
    /// URL of the session.
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// A browser that asks for pages in `language`; none where there is no Chromium, and says so.
    pub(crate) fn open(language: &str) -> Option<Self> {
        let driver = Command::new("chromedriver").args(["--port=0"]).stdout(Stdio::piped()).spawn();
        let Ok(mut driver) = driver else {
            eprintln!("skipped: no chromedriver (Debian: chromium chromium-driver)");
            return None;
        };
        let lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let port = line.split_once("started successfully on port ")?.1;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.expect("chromedriver tells its port");
        let profile = tempfile::tempdir().expect("a folder");
        let agent = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = agent.timeout_global(Some(Duration::from_secs(60))).build().new_agent();
        let data = format!("--user-data-dir={}", profile.path().display());
        let wish = format!("--accept-lang={language}");
        let arguments = [
            "--headless=new",
            // As root, as CI is, Chromium has no sandbox.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            // Nothing of its own goes out while it is watched whether the page's does.
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--hide-scrollbars",
            "--window-size=1280,900",
            &data,
            &wish,
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "goog:loggingPrefs": { "performance": "ALL", "browser": "ALL" },
            "goog:chromeOptions": { "args": arguments, "prefs": { "intl.accept_languages": language } },
        }}});
        let mut browser = Self { driver, agent, session: String::new(), _profile: profile };
        let started = browser.post(&format!("http://127.0.0.1:{port}/session"), &wanted);
        let id = started["sessionId"].as_str().unwrap_or_else(|| panic!("a session: {started}"));
        browser.session = format!("http://127.0.0.1:{port}/session/{id}");
        Some(browser)
    }

    /// Goes to a page.
    pub(crate) fn go(&self, url: &str) {
        self.command("url", &json!({ "url": url }));
    }

    /// What `script`, the body of a function, returns; what it promises is waited for.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until the expression `wanted` is true in the page.
    #[track_caller]
    pub(crate) fn wait(&self, wanted: &str) {
        wait_for(wanted, || (self.run(&format!("return Boolean({wanted})")) == true).then_some(()));
    }

    /// The text of what `selector` finds first.
    pub(crate) fn text(&self, selector: &str) -> String {
        let text = self.run(&format!("return document.querySelector({selector:?})?.textContent"));
        text.as_str().unwrap_or_default().trim().to_owned()
    }

    /// Where it is.
    pub(crate) fn at(&self) -> String {
        self.run("return location.pathname").as_str().expect("a path").to_owned()
    }

    /// Presses these keys, one after another, wherever the focus is.
    pub(crate) fn keys(&self, keys: &str) {
        let press = |key: char| {
            let key = key.to_string();
            ["keyDown", "keyUp"].map(|what| json!({ "type": what, "value": key }))
        };
        let all: Vec<Value> = keys.chars().flat_map(press).collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": all });
        self.command("actions", &json!({ "actions": [keyboard] }));
    }

    /// Makes the page so large.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Has the page believe that its reader likes it `light` or `dark`.
    pub(crate) fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// Writes what it shows into a PNG.
    pub(crate) fn picture(&self, file: &Path) {
        let shown = self.ask("screenshot");
        let png = STANDARD.decode(shown.as_str().expect("a picture")).expect("base64");
        std::fs::write(file, png).expect("a writable folder");
    }

    /// The cookies that the page's site has set.
    pub(crate) fn cookies(&self) -> Value {
        self.ask("cookie")
    }

    /// The URLs that pages have asked for since this was last called.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = self.command("se/log", &json!({ "type": "performance" }));
        let read = |entry: &Value| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &message["message"];
            let asked = message["method"] == "Network.requestWillBeSent";
            asked.then(|| message["params"]["request"]["url"].as_str().map(str::to_owned))?
        };
        log.as_array().expect("a log").iter().filter_map(read).collect()
    }

    /// What pages complained of since this was last called: errors of programs, refusals by policy.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.command("se/log", &json!({ "type": "browser" }));
        // Below a warning is advice, such as to give a form of one token a field for a name.
        let entries = log.as_array().expect("a log").iter().filter(|e| e["level"] != "DEBUG");
        entries.map(|entry| entry["message"].to_string()).collect()
    }

    /// What axe-core finds wrong with the page, as `rule: element`.
    pub(crate) fn violations(&self, axe: &str) -> Vec<String> {
        // By the debugger: the page's own policy lets no such program in.
        let program = json!({ "expression": axe });
        self.devtools("Runtime.evaluate", &program);
        let found = self.run("return axe.run()");
        let violations = found["violations"].as_array().unwrap_or_else(|| panic!("axe: {found}"));
        let told = |violation: &Value| {
            let nodes = violation["nodes"].as_array().expect("elements");
            let html: Vec<_> = nodes
                .iter()
                .map(|node| node["failureSummary"].to_string() + &node["html"].to_string())
                .collect();
            format!("{}: {}", violation["id"], html.join(", "))
        };
        violations.iter().map(told).collect()
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.command("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        self.post(&format!("{}/{path}", self.session), body)
    }

    fn ask(&self, path: &str) -> Value {
        let answer = self.agent.get(format!("{}/{path}", self.session)).call();
        value(answer.expect("an answer"))
    }

    fn post(&self, url: &str, body: &Value) -> Value {
        value(self.agent.post(url).send_json(body).expect("an answer"))
    }
}

fn value(mut answer: ureq::http::Response<ureq::Body>) -> Value {
    let limit = 64 << 20;
    let text = answer.body_mut().with_config().limit(limit).read_to_string().expect("UTF-8");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert!(answer.status().is_success(), "{text}");
    value["value"].clone()
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser is the driver's child, and ends with its session.
        if !self.session.is_empty() {
            let _ = self.agent.delete(&self.session).call();
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
