//! What a scrape costs while legs are heard, and whether it holds up a verdict.
//!
//! `cargo test` keeps it short; `make scrape-cost` has 500 legs and the release build.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use sidetone::runtime::caller::{CallPlan, place};
use tokio::task::LocalSet;

use crate::appliance::{Appliance, RATE, SUBJECT, Site};
use crate::calls::call;
use crate::store::store;

/// Largest scrape, bytes.
const LARGEST: usize = 200_000;
/// Longest scrape.
const LONGEST: Duration = Duration::from_millis(10);
/// Between two scrapes: Prometheus takes 15 s.
const PAUSE: Duration = Duration::from_millis(50);

fn number(name: &str, otherwise: usize) -> usize {
    env::var(name)
        .map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// So many calls that send silence until `over`, begun within two seconds.
fn legs(appliance: &Appliance, count: usize, seconds: usize) -> thread::JoinHandle<()> {
    let target = appliance.sip;
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let local = LocalSet::new();
        for leg in 0..count {
            let headers = vec![("X-Sidetone-Conversation".to_owned(), format!("leg-{leg}"))];
            let audio = vec![0.0; seconds * RATE as usize];
            let afterwards = Duration::from_millis(100);
            let plan = CallPlan { target, headers, audio, afterwards, pace: 1.0, backlog: None };
            let begin = Duration::from_millis(2_000 * leg as u64 / count as u64);
            local.spawn_local(async move {
                tokio::time::sleep(begin).await;
                place(plan).await.expect("a call");
            });
        }
        runtime.block_on(local);
    })
}

/// How long after a caller's first word the acceptance came, s.
fn accepted_after(site: &Site, appliance: &Appliance, conversation: &str) -> f64 {
    let mut narrator = site.narrator();
    narrator.truncate(6 * RATE as usize);
    let claims = [("Conversation", conversation), ("Subject", SUBJECT), ("Consent", "c-1")];
    let report = call(appliance.sip, &claims, narrator).join().expect("a call");
    let accepted = report.infos.iter().position(|info| {
        let verdict: Value = serde_json::from_str(info).expect("a verdict");
        verdict["decision"] == "accepted"
    });
    report.arrived[accepted.expect("the narrator is accepted")].as_secs_f64()
}

#[test]
#[expect(clippy::print_stderr, reason = "the figures are for a person")]
fn a_scrape_is_quick_and_small_with_many_legs_and_holds_up_no_verdict() {
    let Some(store) = store() else { return };
    let (count, rounds) = (number("SIDETONE_LEGS", 30), number("SIDETONE_ROUNDS", 1));
    let site = Site::new(&store);
    let config = site.config().replace("max_calls = 100", "max_calls = 1000");
    site.write("sidetone.toml", config.replace("ports = [20000, 20999]", "ports = [20000, 23999]"));
    site.enroll();
    let appliance = Appliance::start(&site);
    // A round is two calls of some eight seconds, and both together the length of the legs.
    let talking = legs(&appliance, count, 16 * rounds + 6);
    appliance.wait_for_metric("sidetone_legs{state=\"heard\"}", count as f64);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let (mut times, mut largest) = (Vec::new(), 0);
    for round in 0..rounds {
        without.push(accepted_after(&site, &appliance, &format!("without-{round}")));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let scraping = scope.spawn(|| {
                let (mut times, mut largest) = (Vec::new(), 0);
                while !over.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let (_, text) = appliance.get("/metrics").expect("an answer");
                    times.push(begun.elapsed());
                    largest = text.len().max(largest);
                    thread::sleep(PAUSE);
                }
                (times, largest)
            });
            with.push(accepted_after(&site, &appliance, &format!("with-{round}")));
            over.store(true, Ordering::Relaxed);
            let (taken, size) = scraping.join().expect("scrapes");
            times.extend(taken);
            largest = largest.max(size);
        });
    }
    // The last caller may not be counted out yet.
    let heard = appliance.metric("sidetone_legs{state=\"heard\"}");
    assert!(heard >= count as f64, "{heard} legs were heard to the end");
    talking.join().expect("the legs end by themselves");
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    eprintln!(
        "{count} legs: {} scrapes, {largest} bytes at most; {:?} half, {:?} of 100, {:?} at most; \
         accepted after {:.2} s without and {:.2} s with 20 scrapes a second ({without:.2?}, {with:.2?})",
        times.len(),
        at(50),
        at(99),
        at(100),
        mean(&without),
        mean(&with),
    );
    assert!(largest < LARGEST, "{largest} bytes");
    // Whatever else the machine does while tests run, a quarter of the scrapes are of a quiet moment.
    assert!(at(25) < LONGEST, "{times:?}");
    // One hop of the windows; without scrapes two calls differ by as much.
    let later = mean(&with) - mean(&without);
    assert!(later < 1.0, "{without:?} {with:?}");
    assert_eq!(appliance.stop().status.code(), Some(0));
}
