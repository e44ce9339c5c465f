//! The live page in a real Chromium while real calls go on: what is seen, by whom, in which language, by which means.
#![expect(clippy::disallowed_methods, reason = "calls run on threads, and pictures are files")]

mod appliance;
mod browser;
mod calls;
mod http;
mod page;
mod store;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use appliance::{Appliance, RATE, SUBJECT, Site};
use browser::Browser;
use browser::relay::Relay;
use calls::call;
use page::{token_for, turn_on};
use store::store;

/// The narrator says "going direct to heaven"; nobody says that the call is recorded.
const POLICY: &str = "name = 'broker'\nversion = '3'\n\
    [[phrase]]\nid = 'heaven'\ntext = 'going direct to heaven'\n\
    [[phrase]]\nid = 'recording-notice'\ntext = 'this call may be recorded'\n\
    [[phrase]]\nid = 'capital-at-risk'\ntext = 'your capital is at risk'\n\
    [[rule]]\nid = 'notice-first'\nkind = 'required'\nphrases = ['recording-notice']\nwithin_s = 8\n\
    [[rule]]\nid = 'risk-warning'\nkind = 'required'\nphrases = ['capital-at-risk']\nwithin_s = 300\n\
    [[rule]]\nid = 'says-where'\nkind = 'required'\nphrases = ['heaven']\nwithin_s = 20\n";
/// As a PBX might call it, and nobody but who runs it may read.
const NUMBER: &str = "+49-30-1234567";

/// Where pictures are kept for who wants to look at them; nowhere, mostly.
fn picture(browser: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os("SIDETONE_PICTURES") {
        browser.picture(&Path::new(&folder).join(name));
    }
}

/// axe-core; none where it cannot be had, and says so.
fn axe() -> Option<String> {
    let fetched = Command::new("tests/browser/fetch-axe").status();
    let file = std::fs::read_to_string("target/axe/axe.min.js");
    match (fetched, file) {
        (Ok(status), Ok(program)) if status.success() => Some(program),
        _ => {
            let mut log = std::io::stderr();
            let why =
                "skipped: no axe-core from the Python package index (tests/browser/fetch-axe)\n";
            std::io::Write::write_all(&mut log, why.as_bytes()).expect("standard error");
            None
        }
    }
}

/// A running appliance with its page, and a browser; none where the one or the other cannot be had.
fn start(language: &str) -> Option<(Site, Appliance, Browser)> {
    let site = Site::new(&store()?);
    let browser = Browser::open(language)?;
    turn_on(&site, POLICY);
    site.enroll();
    let appliance = Appliance::start(&site);
    Some((site, appliance, browser))
}

fn url(http: SocketAddr, path: &str) -> String {
    format!("http://{http}{path}")
}

/// Goes to the page and signs in, with the keyboard alone.
fn sign_in(browser: &Browser, http: SocketAddr, role: &str) {
    browser.go(&url(http, "/page"));
    browser.wait("location.pathname === '/login' && document.activeElement.id === 'token'");
    browser.keys(token_for(role));
    browser.keys("\u{e007}");
    browser.wait("location.pathname === '/page' && document.querySelector('#ready.accepted')");
}

/// The page's complaints, but for what browsers say of an empty answer.
fn quiet(browser: &Browser) {
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_call_is_seen_from_its_beginning_to_its_end_and_nothing_of_whom_it_is_with() {
    let Some((site, appliance, browser)) = start("en") else { return };
    let axe = axe();
    let accessible = |what: &str| {
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            let axe = axe.iter().map(|axe| browser.violations(axe));
            assert_eq!(axe.flatten().collect::<Vec<_>>(), Vec::<String>::new(), "{what}, {scheme}");
        }
        browser.prefer("light");
    };
    browser.resize(1280, 900);
    browser.go(&url(appliance.http, "/"));
    accessible("signing in");
    picture(&browser, "login.png");
    browser.keys("sdt_nobodys\u{e007}");
    browser.wait("document.querySelector('#failure').textContent.includes('Nobody knows')");
    // That it was refused is in the console, as every refusal is.
    let complaints = browser.complaints();
    let is_refusal = |said: &String| said.contains("/login") && said.contains("401");
    assert!(complaints.iter().all(is_refusal), "{complaints:?}");
    sign_in(&browser, appliance.http, "viewer");
    browser.wait("!document.querySelector('#now-none').hidden");

    let claims =
        |conversation| [("Conversation", conversation), ("Subject", SUBJECT), ("Consent", "c-1")];
    let agent = [("Conversation", NUMBER), ("Party", "agent")];
    let mut takeover = site.narrator();
    takeover.truncate(10 * RATE as usize);
    takeover.extend(site.recording("endgame_nagg_nell"));
    takeover.truncate(26 * RATE as usize);
    let mut beckett = site.recording("beckett");
    beckett.truncate(20 * RATE as usize);
    let running = [
        call(appliance.sip, &claims(NUMBER), site.narrator()),
        call(appliance.sip, &agent, beckett),
        call(appliance.sip, &claims("desk-7-0815"), takeover),
    ];
    browser.wait("document.querySelectorAll('#now > li').length === 2");
    browser.wait("document.querySelector('#now [data-party=caller] polyline.score')");
    browser.wait("document.querySelector('#now [data-party=caller] .badge.accepted')");
    browser
        .wait("document.querySelector('#now [data-kind=keyword]')?.textContent.includes('heaven')");
    browser.wait("document.querySelector('#now [data-rule=risk-warning] .left')");
    browser.wait("document.querySelector('#now [data-rule=notice-first][data-state=violated]')");
    browser.wait("document.querySelector('#now .facts.line')?.textContent.includes('PCMU')");
    // Every decision is told to who does not see it.
    browser.wait("document.querySelector('#announcer').textContent.includes('violated')");
    picture(&browser, "running.png");
    let said = browser.run("return document.documentElement.outerHTML").to_string();
    for secret in [NUMBER, "desk-7-0815", SUBJECT] {
        assert!(!said.contains(secret), "{secret}");
    }
    accessible("two calls");

    // With the keyboard alone: a call is closed, and opened.
    let row = "document.querySelector('#now details')";
    browser.run(&format!("{row}.querySelector('summary').focus()"));
    browser.keys("\u{e007}");
    browser.wait(&format!("!{row}.open && {row}.querySelector('.body').children.length === 0"));
    browser.keys(" ");
    browser.wait(&format!("{row}.open && {row}.querySelector('polyline.score')"));
    browser.wait("document.querySelector('#now .badge.changed, #over .badge.changed')");
    browser.run("document.activeElement.blur()");
    picture(&browser, "takeover.png");
    browser.prefer("dark");
    picture(&browser, "dark.png");
    browser.prefer("light");
    browser.resize(360, 740);
    browser.wait("document.documentElement.scrollWidth <= 360");
    picture(&browser, "phone.png");
    browser.resize(1920, 1080);
    browser.wait("document.documentElement.scrollWidth <= 1920");
    picture(&browser, "wide.png");
    browser.resize(1280, 900);

    // In German, and back to whom it is with: an operator has to find the call again.
    browser.go(&url(appliance.http, "/page?lang=de"));
    browser.wait(
        "document.documentElement.lang === 'de' && document.querySelector('#ready.accepted')",
    );
    assert!(browser.text("#now-title").starts_with("Gespräche jetzt"));
    browser.wait("document.querySelectorAll('#now > li, #over > li').length === 2");
    picture(&browser, "german.png");
    accessible("in German");
    running.into_iter().for_each(|call| drop(call.join().expect("a call")));
    browser.wait("document.querySelectorAll('#over > li').length === 2");
    browser.wait("document.querySelectorAll('#now > li').length === 0");
    browser.run("document.querySelector('form[action=\"/logout\"] button').click()");
    browser.wait("location.pathname === '/login'");
    browser.go(&url(appliance.http, "/page?lang=en"));
    browser.wait("location.pathname === '/login'");
    sign_in(&browser, appliance.http, "operator");
    browser.wait("document.querySelectorAll('#over > li').length === 2");
    browser.run("document.querySelectorAll('#over details').forEach((row) => { row.open = true })");
    browser.wait(&format!("document.querySelector('#over').textContent.includes({NUMBER:?})"));
    browser.wait(&format!("document.querySelector('#over').textContent.includes({SUBJECT:?})"));
    picture(&browser, "operator.png");
    accessible("calls that are over");

    quiet(&browser);
    let elsewhere = |asked: &String| !asked.starts_with(&url(appliance.http, "/"));
    let requests = browser.requests();
    assert!(requests.len() > 20, "{requests:?}");
    let pages = |asked: &&String| asked.starts_with("http");
    assert_eq!(requests.iter().filter(pages).find(|asked| elsewhere(asked)), None);
}

#[test]
fn a_line_that_breaks_is_told_and_mended_and_an_end_of_the_session_ends_the_page() {
    let Some((site, appliance, browser)) = start("de-AT,de,en") else { return };
    let line = Relay::new(appliance.http);
    sign_in(&browser, line.address, "viewer");
    assert!(browser.text("#now-title").starts_with("Gespräche jetzt"));
    let cookies = browser.cookies();
    let session = cookies.as_array().expect("cookies").iter().find(|c| c["name"] == "sidetone");
    let session = session.expect("a session's cookie");
    assert_eq!((&session["httpOnly"], &session["sameSite"]), (&true.into(), &"Strict".into()));
    line.cut(true);
    browser.wait("document.querySelector('#line').textContent.includes('Verbindung')");
    browser.wait("!document.querySelector('#line').hidden");
    // A call that begins meanwhile is there once the line is.
    let silent = call(appliance.sip, &[("Conversation", "a")], vec![0.0; RATE as usize]);
    drop(silent.join().expect("a call"));
    line.cut(false);
    browser.wait("document.querySelector('#line').hidden");
    browser.wait("document.querySelectorAll('#over > li').length === 1");
    page::write_tokens(&site, "viewer");
    appliance.signal("HUP");
    browser.wait("location.pathname === '/login'");
}
