//! Calls to the running appliance by a caller of ours, each on a thread of its own.

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sidetone::runtime::caller::{CallPlan, CallReport, place};

/// Places a call with these `X-Sidetone-` header fields, plays `audio` (8 kHz) and hangs up a second later.
pub(crate) fn call(
    target: SocketAddr,
    headers: &[(&str, &str)],
    audio: Vec<f32>,
) -> JoinHandle<CallReport> {
    let headers = headers.iter().map(|(n, v)| (format!("X-Sidetone-{n}"), (*v).to_owned()));
    let (headers, afterwards) = (headers.collect(), Duration::from_secs(1));
    let plan = CallPlan { target, headers, audio, afterwards, pace: 1.0, backlog: None };
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(place(plan)).expect("a call")
    })
}
