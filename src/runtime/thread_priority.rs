//! Has the system give a thread its priority; the only file that names `thread_priority`.

use std::io;

use rustix::process::setpriority_process;
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tracing::{info, warn};

use crate::config::priority::Priority;

/// Gives the thread that calls this `wanted`, or says what the system wants for it; returns what it has.
pub fn give(wanted: Priority) -> Priority {
    let (given, needs) = match wanted {
        Priority::Normal => return Priority::Normal,
        // Of Linux this is the thread's own, whatever POSIX says of processes.
        Priority::Nice(nice) => (
            setpriority_process(None, nice.into()).map_err(io::Error::from),
            format!("LimitNICE={nice}"),
        ),
        Priority::Realtime(level) => {
            (realtime(level), format!("LimitRTPRIO={level} and RestrictRealtime=no"))
        }
    };
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    match given {
        Ok(()) => {
            info!(thread = name, priority = %wanted, "the thread has its priority");
            wanted
        }
        Err(error) => {
            warn!(
                thread = name, priority = %wanted, %error,
                "the system refuses rtp.priority, and the thread runs as all others do: the unit needs {needs} and \
                 SystemCallFilter=setpriority sched_setscheduler, as in priority.conf"
            );
            Priority::Normal
        }
    }
}

fn realtime(level: u8) -> io::Result<()> {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    let level = ThreadPriorityValue::try_from(level).expect("the configuration takes 1 to 99");
    let priority = ThreadPriority::Crossplatform(level);
    set_thread_priority_and_policy(thread_native_id(), priority, policy).map_err(
        |error| match error {
            thread_priority::Error::OS(code) => io::Error::from_raw_os_error(code),
            other => io::Error::other(other.to_string()),
        },
    )
}
