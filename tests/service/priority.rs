//! The media threads' priority: what the system grants, and what it refuses.

use std::process::Command;

use crate::appliance::{Appliance, Site};
use crate::store::{skip, store};

fn site(priority: &str) -> Option<Site> {
    let site = Site::new(&store()?);
    site.configure("# priority = \"normal\"", &format!("priority = \"{priority}\""));
    Some(site)
}

/// The niceness of the thread `name` of a process.
fn nice(process: u32, name: &str) -> i32 {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("it lives");
    let stats =
        tasks.filter_map(Result::ok).map(|task| std::fs::read_to_string(task.path().join("stat")));
    let stat = stats.filter_map(Result::ok).find(|stat| stat.contains(&format!("({name})")));
    let stat = stat.expect("the thread");
    // The 19th field of all; the second is the name.
    let (_, fields) = stat.rsplit_once(") ").expect("the name ends");
    fields.split(' ').nth(16).and_then(|field| field.parse().ok()).expect("a number")
}

#[test]
fn the_media_threads_have_it_and_no_other_thread_does() {
    let Some(site) = site("nice:11") else { return };
    let appliance = Appliance::start(&site);
    appliance.wait_for_metric("sidetone_media_threads{priority=\"nice\"}", 1.0);
    assert_eq!(appliance.metric("sidetone_media_threads{priority=\"normal\"}"), 0.0);
    let own = nice(appliance.id(), "signalling");
    assert_eq!(nice(appliance.id(), "media-0"), 11);
    assert_ne!(own, 11);
    assert_eq!(nice(appliance.id(), "keyword-model"), own);
    assert_eq!(appliance.stop().status.code(), Some(0));
}

#[test]
fn a_priority_that_the_system_refuses_is_a_warning_that_says_what_the_unit_needs() {
    // As the unit has it: no capability to take what is not given.
    let without = ["--bounding-set=-sys_nice", "--inh-caps=-sys_nice"];
    let tried = Command::new("setpriv").args(without).arg("true").output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        return skip("setpriv cannot take a capability away here: root alone may");
    }
    for (priority, needs) in [
        (
            "realtime:10",
            "the unit needs LimitRTPRIO=10 and RestrictRealtime=no and SystemCallFilter=",
        ),
        ("nice:-20", "the unit needs LimitNICE=-20 and SystemCallFilter="),
    ] {
        let Some(site) = site(priority) else { return };
        let appliance = Appliance::start_by(&site, "setpriv", &without);
        appliance.wait_for_metric("sidetone_media_threads{priority=\"normal\"}", 1.0);
        let log = appliance.log();
        let told = |line: &&String| line.contains(" WARN ") && line.contains(needs);
        assert_eq!(log.iter().filter(told).count(), 1, "{log:#?}");
        assert_eq!(appliance.stop().status.code(), Some(0));
    }
}
