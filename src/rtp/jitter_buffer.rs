//! Puts packets back in order and names every gap (RFC 3550 §6.4.1 only measures them).
//!
//! Nobody listens live, so there is no play-out clock: what is in order leaves at once, and only a
//! gap makes the buffer wait. So no clock of ours drifts against the sender's, no silence has to be
//! dropped to become shorter again, and no speech is stretched, which a voiceprint would hear. What
//! adapts is the wait for a gap ([`crate::rtp::lateness`]).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::rtp::lateness::{self, Lateness};
use crate::rtp::packet::Packet;
use crate::rtp::position::{Gap, Next, Position, units};
use crate::rtp::reception::MAX_DROPOUT;
use crate::rtp::sequence::{Filled, Place};

/// The buffer's own settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a missing packet is waited for, counted from the first packet that came after it.
    pub wait: lateness::Settings,
    /// Most packets held, at least one: a gap before so many is waited for no longer.
    pub capacity: usize,
}

impl Default for Settings {
    /// 64 packets are more than a second of 20 ms packets, and the longest wait for 10 ms ones: only
    /// a burst fills them.
    fn default() -> Self {
        Self { wait: lateness::Settings::default(), capacity: 64 }
    }
}

/// A reorder ring for one party's stream.
///
/// After every [`JitterBuffer::push`], and no later than [`JitterBuffer::poll_timeout`], call
/// [`JitterBuffer::pop`] until it says [`Playout::NotYet`]. At the end of a call, popping with
/// `now + `[`JitterBuffer::longest_wait`] empties it.
#[derive(Debug)]
pub struct JitterBuffer {
    settings: Settings,
    lateness: Lateness,
    /// In order of sequence, without repeats.
    ring: VecDeque<Entry>,
    /// What was popped last; `None` before the first packet.
    last: Option<Position>,
    stats: Stats,
}

/// What comes next in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Playout {
    /// The next packet in order.
    Packet {
        /// What the payload is, 0-127.
        payload_type: u8,
        /// Widened time of its first sample, in units of its clock.
        timestamp: u64,
        /// As on the wire.
        payload: Box<[u8]>,
        /// First of a talk spurt.
        marker: bool,
    },
    /// Packets that were sent and never came, or came too late.
    Lost {
        /// The time that they would have filled.
        time: Duration,
        /// How many.
        packets: u64,
    },
    /// Time for which the peer sent nothing: silence suppression (RFC 3551 §4.1), hold, a pause
    /// between two streams.
    Silence {
        /// Its length.
        time: Duration,
    },
    /// Nothing to give before [`JitterBuffer::poll_timeout`] or the next packet.
    NotYet,
}

/// Counts of packets since the call began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Given out.
    pub played: u64,
    /// Named in a [`Playout::Lost`].
    pub lost: u64,
    /// Came after their turn had passed.
    pub late: u64,
    /// Came while the same packet was waiting.
    pub duplicates: u64,
    /// The oldest waiting, dropped for a newer one because nothing was taken out.
    pub overflowed: u64,
    /// Waiting when the stream restarted.
    pub abandoned: u64,
    /// Streams begun after the first, because of [`JitterBuffer::restart`] or of a packet too far
    /// away from the others.
    pub restarts: u64,
}

#[derive(Debug)]
struct Entry {
    sequence: u64,
    timestamp: u64,
    filled: Filled,
    arrived: Instant,
    payload_type: u8,
    marker: bool,
    payload: Box<[u8]>,
}

impl Entry {
    fn next(&self) -> Next {
        Next { timestamp: self.timestamp, filled: self.filled, arrived: self.arrived }
    }
}

impl JitterBuffer {
    /// An empty buffer.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            lateness: Lateness::new(settings.wait),
            ring: VecDeque::with_capacity(settings.capacity + 1),
            last: None,
            stats: Stats::default(),
        }
    }

    /// Copies `packet`, which fills `filled`, into its place.
    pub fn push(&mut self, now: Instant, place: Place, packet: &Packet<'_>, filled: Filled) {
        let Place { sequence, timestamp } = place;
        let expected = self.last.and_then(|last| last.expected).map(|place| place.sequence);
        let near = expected.or(self.ring.front().map(|entry| entry.sequence));
        if near.is_some_and(|near| near.abs_diff(sequence) > MAX_DROPOUT) {
            self.restart();
        } else if expected.is_some_and(|expected| sequence < expected) {
            self.stats.late += 1;
            self.lateness.record(now, sequence);
            return;
        }
        let slot = self.ring.partition_point(|entry| entry.sequence < sequence);
        if self.ring.get(slot).is_some_and(|entry| entry.sequence == sequence) {
            self.stats.duplicates += 1;
            return;
        }
        self.lateness.record(now, sequence);
        self.ring.insert(
            slot,
            Entry {
                sequence,
                timestamp,
                filled,
                arrived: now,
                payload_type: packet.payload_type,
                marker: packet.marker,
                payload: packet.payload.into(),
            },
        );
        if self.ring.len() > self.settings.capacity {
            // Its place becomes part of the gap before the next one.
            self.ring.pop_front();
            self.stats.overflowed += 1;
        }
    }

    /// The next piece of the stream, in order and each once.
    pub fn pop(&mut self, now: Instant) -> Playout {
        let due = self.poll_timeout();
        let Some(head) = self.ring.front() else { return Playout::NotYet };
        if let Some(last) = &mut self.last {
            let missing = last.expected.map_or(0, |place| head.sequence - place.sequence);
            if missing > 0 && due.is_some_and(|due| now < due) {
                return Playout::NotYet;
            }
            let Gap { lost, silence } = last.gap_before(head.next(), missing);
            let timestamp = last.no_earlier(head.next(), head.timestamp);
            if missing > 0 {
                // What the lost packets cannot have filled is silence, given next.
                let timestamp = timestamp.saturating_sub(units(silence, head.filled.clock_rate));
                last.expected = Some(Place { sequence: head.sequence, timestamp });
                last.filled.clock_rate = head.filled.clock_rate;
                self.stats.lost += missing;
                return Playout::Lost { time: lost, packets: missing };
            }
            last.expected = Some(Place { sequence: head.sequence, timestamp });
            if !silence.is_zero() {
                last.arrived = head.arrived;
                return Playout::Silence { time: silence };
            }
        }
        let head = self.ring.pop_front().expect("the head was just looked at");
        let end = head.timestamp + u64::from(head.filled.units);
        let (arrived, filled, timestamp) = match self.last {
            // Repeats of a telephone event stand still in time, however late they come.
            Some(last) if head.filled.units == 0 => {
                (last.arrived, last.filled, last.no_earlier(head.next(), end))
            }
            Some(_) | None => (head.arrived, head.filled, end),
        };
        self.last = Some(Position {
            arrived,
            filled,
            expected: Some(Place { sequence: head.sequence + 1, timestamp }),
        });
        self.stats.played += 1;
        Playout::Packet {
            payload_type: head.payload_type,
            timestamp: head.timestamp,
            payload: head.payload,
            marker: head.marker,
        }
    }

    /// When [`Self::pop`] has something to give, if it has anything; may lie in the past.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let head = self.ring.front()?;
        let expected = self.last.and_then(|last| last.expected);
        match expected {
            Some(place) if head.sequence > place.sequence => {
                let full = self.ring.len() >= self.settings.capacity;
                let since = self.gap_since();
                Some(if full { since } else { since + self.lateness.wait() })
            }
            Some(_) | None => Some(head.arrived),
        }
    }

    /// A new stream begins ([`crate::rtp::reception::Arrival::Restart`]): what still waits for a
    /// gap to close is abandoned. The time until its first packet shows as [`Playout::Silence`].
    pub fn restart(&mut self) {
        self.stats.restarts += u64::from(self.last.is_some());
        self.stats.abandoned += self.ring.len() as u64;
        self.ring.clear();
        self.lateness.restart();
        if let Some(last) = &mut self.last {
            last.expected = None;
        }
    }

    /// How long a gap is waited for now.
    pub fn wait(&self) -> Duration {
        self.lateness.wait()
    }

    /// How long a gap is waited for at most.
    pub fn longest_wait(&self) -> Duration {
        self.settings.wait.most
    }

    /// The counts so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The earliest proof that the packet before the head is missing.
    fn gap_since(&self) -> Instant {
        let arrivals = self.ring.iter().map(|entry| entry.arrived);
        arrivals.min().expect("there is a gap only before a packet")
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;

    const PTIME: Duration = Duration::from_millis(20);
    const DEPTH: Duration = Duration::from_millis(60);

    struct Bench {
        start: Instant,
        buffer: JitterBuffer,
    }

    impl Bench {
        fn new() -> Self {
            let wait = lateness::Settings { least: DEPTH, first: DEPTH, most: DEPTH * 3 };
            let settings = Settings { wait, capacity: 8 };
            Self { start: Instant::now(), buffer: JitterBuffer::new(settings) }
        }

        /// A packet of 20 ms whose first byte is its number.
        fn push(&mut self, at: Duration, sequence: u64, timestamp: u64, units: u32) {
            self.push_clocked(at, sequence, timestamp, Filled { units, clock_rate: 8_000 });
        }

        fn push_clocked(&mut self, at: Duration, sequence: u64, timestamp: u64, filled: Filled) {
            let payload = [sequence as u8; 160];
            let packet = Packet {
                payload_type: 0,
                marker: false,
                sequence: sequence as u16,
                timestamp: timestamp as u32,
                ssrc: 1,
                payload: &payload,
            };
            self.buffer.push(self.start + at, Place { sequence, timestamp }, &packet, filled);
        }

        /// Packet `n` of an even stream, `late` after its time.
        fn arrive(&mut self, n: u64, late: Duration) {
            self.push(PTIME * n as u32 + late, 1_000 + n, 50_000 + n * 160, 160);
        }

        /// Everything that is due at `at`: numbers for packets, words for the rest.
        fn drain(&mut self, at: Duration) -> Vec<String> {
            let mut story = Vec::new();
            loop {
                story.push(match self.buffer.pop(self.start + at) {
                    Playout::Packet { timestamp, .. } => {
                        format!("{}", timestamp.wrapping_sub(50_000) / 160)
                    }
                    Playout::Lost { time, packets } => format!("lost {packets}: {time:?}"),
                    Playout::Silence { time } => format!("silence {time:?}"),
                    Playout::NotYet => return story,
                });
            }
        }
    }

    #[test]
    fn what_is_in_order_leaves_at_once() {
        let mut bench = Bench::new();
        for n in 0..5 {
            bench.arrive(n, Duration::ZERO);
            assert_eq!(bench.drain(PTIME * n as u32), [n.to_string()]);
        }
        assert_eq!(bench.buffer.poll_timeout(), None);
    }

    #[test]
    fn an_overtaken_packet_is_waited_for() {
        let mut bench = Bench::new();
        for n in [0, 2, 3, 1] {
            bench.arrive(n, Duration::ZERO);
        }
        assert_eq!(bench.drain(PTIME * 3), ["0", "1", "2", "3"]);
    }

    #[test]
    fn a_missing_packet_is_lost_at_the_horizon_and_not_before() {
        let mut bench = Bench::new();
        for n in [0, 1, 4] {
            bench.arrive(n, Duration::ZERO);
        }
        let due = PTIME * 4 + DEPTH;
        assert_eq!(bench.drain(due - Duration::from_millis(1)), ["0", "1"]);
        assert_eq!(bench.buffer.poll_timeout(), Some(bench.start + due));
        assert_eq!(bench.drain(due), ["lost 2: 40ms", "4"]);
        bench.arrive(3, DEPTH * 3);
        assert_eq!(bench.drain(due + DEPTH), Vec::<String>::new());
        let stats = bench.buffer.stats();
        assert_eq!((stats.played, stats.lost, stats.late), (3, 2, 1));
    }

    #[test]
    fn the_horizon_counts_from_the_first_proof_of_the_gap() {
        let mut bench = Bench::new();
        bench.arrive(0, Duration::ZERO);
        bench.drain(PTIME);
        bench.arrive(3, Duration::ZERO);
        bench.arrive(2, DEPTH);
        assert_eq!(bench.drain(PTIME * 3 + DEPTH), ["lost 1: 20ms", "2", "3"]);
    }

    #[test]
    fn a_timestamp_gap_without_a_sequence_gap_is_silence() {
        let mut bench = Bench::new();
        bench.arrive(0, Duration::ZERO);
        bench.push(PTIME * 50, 1_001, 50_000 + 50 * 160, 160);
        assert_eq!(bench.drain(PTIME * 50), ["0", "silence 980ms", "50"]);
    }

    #[test]
    fn a_loss_within_a_silence_is_no_longer_than_its_packets() {
        let mut bench = Bench::new();
        bench.arrive(0, Duration::ZERO);
        bench.push(PTIME * 50, 1_002, 50_000 + 50 * 160, 160);
        assert_eq!(bench.drain(PTIME * 54), ["0", "lost 1: 20ms", "silence 960ms", "50"]);
    }

    #[test]
    fn a_clock_set_anew_is_not_silence() {
        let mut bench = Bench::new();
        bench.arrive(0, Duration::ZERO);
        bench.push(PTIME * 3, 1_001, 50_000 + 160 * 1_000_000, 160);
        assert_eq!(bench.drain(PTIME * 3), ["0", "silence 40ms", "1000000"]);
        bench.push(PTIME * 4, 1_002, 50_000, 160);
        assert_eq!(bench.drain(PTIME * 4), ["0"]);
    }

    #[test]
    fn a_key_press_is_a_pause_in_the_audio() {
        let mut bench = Bench::new();
        bench.arrive(0, Duration::ZERO);
        let mut story = bench.drain(Duration::ZERO);
        for n in 1..=100 {
            bench.push(PTIME * n, 1_000 + u64::from(n), 50_160, 0);
            story.extend(bench.drain(PTIME * n));
        }
        bench.push(PTIME * 101, 1_101, 50_000 + 101 * 160, 160);
        story.extend(bench.drain(PTIME * 101));
        assert_eq!(story[100..], ["1", "silence 2s", "101"]);
    }

    #[test]
    fn a_key_press_beside_the_audio_takes_no_time() {
        let mut bench = Bench::new();
        let mut story = Vec::new();
        // 2 s, as one may hold a key: longer than the slack of a clock.
        for n in 0..100 {
            bench.push(PTIME * n, 1_000 + u64::from(2 * n), 50_000 + u64::from(n) * 160, 160);
            if n != 50 {
                bench.push(PTIME * n, 1_001 + u64::from(2 * n), 50_000, 0);
            }
            story.extend(bench.drain(PTIME * n));
        }
        story.extend(bench.drain(PTIME * 100));
        let gaps: Vec<_> = story.iter().filter(|line| line.contains(' ')).collect();
        assert_eq!(gaps, ["lost 1: 0ns"], "the event that was lost");
        assert_eq!(story.len(), 200);
    }

    #[test]
    fn repeats_are_dropped() {
        let mut bench = Bench::new();
        for n in [0, 2, 2] {
            bench.arrive(n, Duration::ZERO);
        }
        assert_eq!(bench.buffer.stats().duplicates, 1);
    }

    #[test]
    fn before_a_full_buffer_no_gap_is_waited_for() {
        let mut bench = Bench::new();
        bench.arrive(0, Duration::ZERO);
        for n in 2..9 {
            bench.push(PTIME, 1_000 + n, 50_000 + n * 160, 160);
        }
        assert_eq!(bench.drain(PTIME), ["0"]);
        bench.push(PTIME, 1_009, 50_000 + 9 * 160, 160);
        assert_eq!(bench.drain(PTIME)[..2], ["lost 1: 20ms", "2"]);
    }

    #[test]
    fn a_buffer_that_is_not_drained_drops_its_oldest() {
        let mut bench = Bench::new();
        for n in 0..10 {
            bench.arrive(n, Duration::ZERO);
        }
        assert_eq!(bench.buffer.stats().overflowed, 2);
        assert_eq!(bench.drain(PTIME * 10)[0], "2");
    }

    #[test]
    fn another_clock_goes_on_where_the_one_before_ended() {
        let mut bench = Bench::new();
        let opus = Filled { units: 960, clock_rate: 48_000 };
        bench.arrive(0, Duration::ZERO);
        bench.push_clocked(PTIME, 1_001, 7_000_000, opus);
        bench.push_clocked(PTIME * 3, 1_003, 7_001_920, opus);
        bench.push(PTIME * 5, 1_005, 90_000, 160);
        let story = bench.drain(PTIME * 10);
        assert_eq!((story[0].as_str(), story.len()), ("0", 6));
        assert_eq!([&story[2], &story[4]], ["lost 1: 20ms", "lost 1: 20ms"]);
        // On hold for 10 s in between.
        bench.push_clocked(Duration::from_secs(11), 1_006, 5, opus);
        let story = bench.drain(Duration::from_secs(11));
        assert_eq!(story[0], "silence 10.88s");
    }

    #[test]
    fn a_packet_lost_between_two_clocks_has_its_length_however_it_arrives() {
        let mut bench = Bench::new();
        bench.arrive(0, Duration::ZERO);
        // All at once, as after a stall: the wall tells of no time that has passed.
        bench.push_clocked(Duration::ZERO, 1_002, 9, Filled { units: 960, clock_rate: 48_000 });
        let story = bench.drain(DEPTH);
        assert_eq!(story[..2], ["0", "lost 1: 20ms"]);
        assert_eq!(story.len(), 3, "no silence between them: {story:?}");
    }

    #[test]
    fn the_wait_follows_the_network() {
        let mut bench = Bench::new();
        let mut story = Vec::new();
        // Every tenth packet comes 130 ms after its time: 110 ms after the one that overtook it.
        for n in 0..1_000_u64 {
            let late = if n % 10 == 4 { 130 } else { 0 };
            let at = PTIME * n as u32 + Duration::from_millis(late);
            story.push((at, n));
        }
        story.sort();
        for (at, n) in story {
            bench.push(at, 1_000 + n, 50_000 + n * 160, 160);
            bench.drain(at);
        }
        assert_eq!(bench.buffer.wait(), Duration::from_millis(110));
        let stats = bench.buffer.stats();
        assert!(stats.late <= 2, "{stats:?}: it learns from the first");
    }

    #[test]
    fn a_restart_keeps_the_time_but_not_the_numbers() {
        let mut bench = Bench::new();
        for n in [0, 2] {
            bench.arrive(n, Duration::ZERO);
        }
        assert_eq!(bench.drain(PTIME * 2), ["0"]);
        bench.buffer.restart();
        bench.push(PTIME * 11, 7, 50_000, 160);
        assert_eq!(bench.drain(PTIME * 11), ["silence 200ms", "0"]);
        assert_eq!(bench.buffer.stats().abandoned, 1);
    }

    #[test]
    fn a_packet_from_far_away_restarts_it() {
        let mut bench = Bench::new();
        bench.arrive(0, Duration::ZERO);
        bench.drain(Duration::ZERO);
        bench.push(PTIME, 90_000, 50_160, 160);
        assert_eq!(bench.drain(PTIME), ["1"]);
        assert_eq!(bench.buffer.stats().restarts, 1);
    }
}
