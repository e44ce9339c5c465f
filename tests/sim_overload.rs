//! Many sessions before one model that cannot keep up: what gives way, and that nobody starves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sidetone::runtime::batcher::Batcher;

const LINGER: Duration = Duration::from_millis(5);

/// One step of the simulated world.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// This session has a new window.
    Push(u8),
    /// The model is free.
    Pop,
    /// So many milliseconds pass.
    Pass(u64),
}

fn steps(sessions: u8) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..sessions).prop_map(Step::Push),
        2 => Just(Step::Pop),
        1 => (0..20_u64).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 0..400)
}

#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
fn start() -> Instant {
    Instant::now()
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_goes_in_comes_out_once_newest_first_come_first_served(
        steps in steps(12),
        max_batch in 1..6_usize,
    ) {
        let mut now = start();
        let mut batcher = Batcher::new(max_batch, LINGER);
        // The model of it: who waits, in order, with the number of its newest window.
        let mut waiting: Vec<(u8, usize)> = Vec::new();
        let (mut pushed, mut replaced, mut done) = (0, 0, 0);
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(session) => {
                    pushed += 1;
                    let given_up = batcher.push(now, session, number);
                    match waiting.iter_mut().find(|(waits, _)| *waits == session) {
                        Some((_, newest)) => {
                            prop_assert_eq!(given_up, Some(std::mem::replace(newest, number)));
                            replaced += 1;
                        }
                        None => {
                            prop_assert_eq!(given_up, None);
                            waiting.push((session, number));
                        }
                    }
                    prop_assert!(waiting.len() <= 12, "one window a session");
                }
                Step::Pop => {
                    let batch = batcher.pop(now);
                    let served: Vec<_> = waiting.drain(..batch.len()).collect();
                    prop_assert_eq!(&batch, &served);
                    prop_assert!(batch.len() <= max_batch);
                    prop_assert!(!batch.is_empty() || waiting.len() < max_batch, "a full batch waits");
                    done += batch.len();
                }
                Step::Pass(ms) => now += Duration::from_millis(ms),
            }
            prop_assert_eq!(batcher.poll_timeout().is_some(), !waiting.is_empty());
        }
        // Whatever still waits is due once it has lingered.
        now += LINGER;
        while !waiting.is_empty() {
            let batch = batcher.pop(now);
            prop_assert!(!batch.is_empty(), "nothing waits beyond its time");
            done += batch.len();
            waiting.drain(..batch.len());
        }
        prop_assert_eq!(batcher.poll_timeout(), None);
        prop_assert_eq!(pushed, replaced + done, "every window is accounted for");
    }

    #[test]
    fn a_busy_session_starves_no_quiet_one(
        sessions in 2..60_u16,
        greed in 1..50_u16,
        max_batch in 1..8_usize,
    ) {
        let now = start();
        let mut batcher = Batcher::new(max_batch, Duration::ZERO);
        // Who was served, in order; and how many had been when a session that waits first asked.
        let mut served = Vec::new();
        let mut asked = BTreeMap::new();
        for _ in 0..40 {
            // All have something new before the model is free again; session 0 very much so.
            for session in (0..sessions).chain((0..greed).map(|_| 0)) {
                batcher.push(now, session, ());
                asked.entry(session).or_insert(served.len());
            }
            let batch = batcher.pop(now);
            prop_assert_eq!(batch.len(), max_batch.min(usize::from(sessions)), "the model is idle");
            for (session, ()) in batch {
                asked.remove(&session);
                served.push(session);
            }
            for (session, since) in &asked {
                let mut others = BTreeSet::new();
                let once = served[*since..].iter().all(|other| others.insert(*other));
                prop_assert!(once, "{session} waits while another is served twice: {served:?}");
            }
        }
    }
}

/// 200 parties, each with a window a second, and a model that does 50 windows a second.
#[test]
fn four_times_too_much_work_is_a_quarter_of_it_done_for_everybody() {
    const PARTIES: u32 = 200;
    let begin = start();
    let mut batcher = Batcher::new(1, Duration::ZERO);
    let mut arrivals = BTreeSet::new();
    let mut random = fastrand::Rng::with_seed(1);
    for party in 0..PARTIES {
        let phase = random.u64(0..1_000_000);
        arrivals.extend(
            (0..60).map(|second| (Duration::from_micros(second * 1_000_000 + phase), party)),
        );
    }
    let (mut now, mut oldest) = (Duration::ZERO, Duration::ZERO);
    let (mut served, mut replaced) = (vec![0_u32; PARTIES as usize], 0);
    while now < Duration::from_secs(60) {
        while let Some((at, party)) = arrivals.first().copied().filter(|(at, _)| *at <= now) {
            arrivals.pop_first();
            replaced += u32::from(batcher.push(begin + at, party, at).is_some());
        }
        if let Some((party, cut)) = batcher.pop(begin + now).pop() {
            served[party as usize] += 1;
            oldest = oldest.max(now - cut);
        }
        now += Duration::from_millis(20);
    }
    let (least, most) = (served.iter().min().copied(), served.iter().max().copied());
    // 60 s less the second in which the first windows come, at 50 a second, for 200.
    assert!(least >= Some(14) && most <= Some(16), "{least:?} to {most:?} windows a party");
    assert!(replaced > 8_500, "{replaced} of 12,000 gave way");
    assert!(
        oldest <= Duration::from_secs(1),
        "a window served is one second old at most: {oldest:?}"
    );
}
