//! The watchdog is fed while every thread comes round, and starves once one does not.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::appliance::{Appliance, RATE, Site, wait_for};
use crate::calls::call;
use crate::manager::Manager;
use crate::store::{skip, store};

const FED: &str = "WATCHDOG=1";
/// What the unit would give: the appliance says that it lives twice as often.
const GIVEN: Duration = Duration::from_secs(2);

fn start(site: &Site, manager: &Manager) -> Appliance {
    let given = GIVEN.as_micros().to_string();
    manager.start(site, &[("WATCHDOG_USEC", &given)])
}

#[test]
fn it_is_fed_in_time_with_nothing_to_do_and_under_load() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let manager = Manager::new(&site);
    let appliance = start(&site, &manager);
    wait_for("an idle appliance's beats", || (manager.count(FED) >= 3).then_some(()));
    let mut narrator = site.narrator();
    narrator.truncate(5 * RATE as usize);
    let calls: Vec<_> = (0..8).map(|_| call(appliance.sip, &[], narrator.clone())).collect();
    calls.into_iter().for_each(|call| drop(call.join().expect("a call")));
    let fed: Vec<_> =
        manager.told().into_iter().filter(|(_, told)| told.trim_end() == FED).collect();
    let longest = fed.windows(2).map(|two| two[1].0 - two[0].0).max().expect("many");
    assert!(longest < GIVEN, "{longest:?} without a beat");
    for thread in ["main", "signalling", "media", "keyword-model", "vault"] {
        let series = format!("sidetone_thread_stuck{{thread=\"{thread}\"}}");
        let (_, metrics) = appliance.get("/metrics").expect("an answer");
        assert!(metrics.lines().any(|line| line == format!("{series} 0")), "{series}: {metrics}");
    }
    assert_eq!(appliance.stop().status.code(), Some(0));
}

/// Holds one thread of a process as a debugger does, until it is dropped.
struct Held(Child);

impl Held {
    /// `None` where the system does not let us.
    fn thread(process: u32, name: &str) -> Option<Self> {
        let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("it lives");
        let named = |task: &std::path::PathBuf| {
            std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name)
        };
        let task = tasks.filter_map(Result::ok).map(|entry| entry.path()).find(named);
        let task = task.expect("the thread").file_name().expect("a number").to_owned();
        // PTRACE_SEIZE, PTRACE_INTERRUPT: the other threads go on.
        let hold = "import ctypes, sys\n\
            ptrace = ctypes.CDLL(None).ptrace\n\
            ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]\n\
            task = int(sys.argv[1])\n\
            held = ptrace(0x4206, task, None, None) == 0 and ptrace(0x4207, task, None, None) == 0\n\
            print('held' if held else 'refused', flush=True)\n\
            sys.stdin.read()\n";
        let holder = Command::new("python3")
            .args(["-c", hold])
            .arg(&task)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut holder) = holder else {
            skip("python3 is not installed");
            return None;
        };
        let mut said = String::new();
        let mut output = BufReader::new(holder.stdout.take().expect("a pipe"));
        output.read_line(&mut said).expect("a word");
        let held = Self(holder);
        if said.trim() == "held" {
            return Some(held);
        }
        skip("the system lets nobody hold a thread (ptrace)");
        None
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_thread_that_hangs_is_named_and_the_watchdog_is_fed_no_more_until_it_goes_on() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let manager = Manager::new(&site);
    let appliance = start(&site, &manager);
    wait_for("a beat", || (manager.count(FED) >= 1).then_some(()));
    let Some(held) = Held::thread(appliance.id(), "media-0") else { return };
    let since = Instant::now();
    let stuck = "sidetone_thread_stuck{thread=\"media\"}";
    appliance.wait_for_metric(stuck, 1.0);
    let told = |line: &String| line.contains("it is stuck thread=\"media\"");
    wait_for("its name in the log", || appliance.log().iter().any(told).then_some(()));
    assert_eq!(appliance.get("/live"), Some((503, "stuck: media\n".to_owned())));
    let ready = appliance.get("/ready").expect("an answer");
    assert_eq!(ready, (503, "not ready: a thread is stuck: media\n".to_owned()));
    assert!(manager.wait_for_status("stuck").contains("Not ready: a thread is stuck: media."));
    // By now systemd has not heard of us for as long as a beat takes, and nothing comes any more.
    let fed = manager.count(FED);
    let last =
        manager.told().iter().rfind(|(_, told)| told.trim_end() == FED).expect("it was fed").0;
    assert!(last > since, "as long as it may have been busy it was fed");
    wait_for("a time without a beat", || (last.elapsed() > 2 * GIVEN).then_some(()));
    assert_eq!(manager.count(FED), fed);
    drop(held);
    appliance.wait_for_metric(stuck, 0.0);
    wait_for("beats again", || (manager.count(FED) > fed).then_some(()));
    assert_eq!(appliance.get("/live"), Some((200, "live\n".to_owned())));
    assert_eq!(appliance.stop().status.code(), Some(0));
}
