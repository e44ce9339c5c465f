//! The end of the service: at once, or once calls have ended by themselves, within a bound.

use std::time::{Duration, Instant};

use sidetone::runtime::caller::{CallPlan, place};

use crate::appliance::{Appliance, RATE, Site, wait_for};
use crate::calls::call;
use crate::manager::Manager;
use crate::store::store;

/// An appliance that gives calls so many seconds to end.
fn start(drain_s: u32) -> Option<(Site, Manager, Appliance)> {
    let site = Site::new(&store()?);
    site.configure("# drain_s = 0", &format!("drain_s = {drain_s}"));
    let manager = Manager::new(&site);
    let appliance = manager.start(&site, &[]);
    Some((site, manager, appliance))
}

fn quiet(seconds: usize) -> Vec<f32> {
    vec![0.0; seconds * RATE as usize]
}

/// How a call is answered that comes now.
fn refusal(appliance: &Appliance) -> String {
    let (target, headers, audio) = (appliance.sip, Vec::new(), quiet(1));
    let (afterwards, pace, backlog) = (Duration::ZERO, 1.0, None);
    let plan = CallPlan { target, headers, audio, afterwards, pace, backlog };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let placed = runtime.expect("a runtime").block_on(place(plan));
    placed.expect_err("no call is taken any more").to_string()
}

#[test]
fn calls_end_by_themselves_while_no_new_one_is_taken_and_nothing_is_lost() {
    let Some((site, manager, appliance)) = start(60) else { return };
    let names = ["one", "two"];
    let standing = names.map(|name| call(appliance.sip, &[("Conversation", name)], quiet(6)));
    appliance.wait_for_metric("sidetone_calls_active", 2.0);
    appliance.signal("TERM");
    assert_eq!(manager.wait_for_status("Draining"), "Draining, 2 calls left.");
    assert_eq!(manager.count("STOPPING=1"), 1);
    let (status, ready) = appliance.get("/ready").expect("an answer");
    assert_eq!((status, ready.as_str()), (503, "not ready: draining\n"));
    let (status, _) = appliance.get("/live").expect("an answer");
    assert_eq!(status, 200, "nothing is wrong with it");
    let said = refusal(&appliance);
    assert!(said.contains("503"), "{said}");
    for call in standing {
        call.join().expect("nobody hung up on it");
    }
    let stopped = appliance.ended();
    assert_eq!(stopped.status.code(), Some(0));
    let last = stopped.log.last().expect("a log");
    assert!(last.contains("stopped calls_ended=0"), "all had ended by themselves: {last}");
    assert!(
        manager.count("EXTEND_TIMEOUT_USEC=30000000") >= 2,
        "each second: {:?}",
        manager.told()
    );
    // What they came to is printed, and on record.
    for name in names {
        let closed =
            |line: &&String| line.contains(&format!("\"{name}\"")) && line.contains("\"closed\"");
        assert_eq!(stopped.output.iter().filter(closed).count(), 1, "{:?}", stopped.output);
    }
    let audit = site.run(&["audit", "verify"]);
    assert!(audit.status.success(), "{audit:?}");
    let shown = site.run(&["audit", "show", "--json"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("\"stop\""), "{shown}");
}

#[test]
fn the_bound_ends_what_does_not_end_and_a_second_word_does_so_at_once() {
    for (drain_s, again) in [(2, false), (7_200, true)] {
        let Some((_site, manager, appliance)) = start(drain_s) else { return };
        let standing = call(appliance.sip, &[], quiet(60));
        appliance.wait_for_metric("sidetone_calls_active", 1.0);
        let begin = Instant::now();
        appliance.signal("TERM");
        manager.wait_for_status("Draining, 1 call left.");
        if again {
            appliance.signal("TERM");
        }
        let stopped = appliance.ended();
        assert_eq!(stopped.status.code(), Some(0));
        let last = stopped.log.last().expect("a log");
        assert!(last.contains("stopped calls_ended=1"), "{last}");
        let took = begin.elapsed();
        assert!(again || took >= Duration::from_secs(2), "it was given its time: {took:?}");
        assert!(took < Duration::from_secs(30), "and no more: {took:?}");
        // The caller was told by a BYE, not left alone.
        assert!(standing.join().is_err(), "it was hung up on");
    }
}

#[test]
fn without_a_drain_calls_are_ended_at_once() {
    let Some((_site, manager, appliance)) = start(0) else { return };
    let standing = call(appliance.sip, &[], quiet(60));
    appliance.wait_for_metric("sidetone_calls_active", 1.0);
    let stopped = appliance.stop();
    assert_eq!(stopped.status.code(), Some(0));
    assert!(stopped.log.last().expect("a log").contains("stopped calls_ended=1"));
    assert_eq!(manager.count("STATUS=Ending calls."), 1);
    assert!(manager.told().iter().all(|(_, told)| !told.contains("EXTEND_TIMEOUT_USEC")));
    wait_for("the end of the call", || standing.is_finished().then_some(()));
}
