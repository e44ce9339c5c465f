//! What arrived, what did not, and how evenly (RFC 3550 §A.1, §A.3, §A.8).

use std::time::{Duration, Instant};

use crate::rtp::drift::ClockDrift;
use crate::rtp::packet::Packet;
use crate::rtp::sequence::{Place, SequenceUnwrapper, TimestampUnwrapper};

/// Largest step ahead that still counts as loss: one minute at 50 packets a second (§A.1).
pub const MAX_DROPOUT: u64 = 3_000;
/// Largest step back that still counts as reordering: two seconds (§A.1).
pub const MAX_MISORDER: u64 = 100;

/// Follows the one stream of a call's party through loss, reordering and changes of source.
#[derive(Debug)]
pub struct Reception {
    epoch: Instant,
    current: Option<Stream>,
    candidate: Option<Candidate>,
    stats: Stats,
}

/// What a packet is to the stream, once recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Belongs to the stream, in order or late.
    Valid(Place),
    /// The first trusted packet of a new stream: a new SSRC, or the same after a jump. Its numbers
    /// have nothing in common with those before.
    Restart {
        /// Of the packet before it, which was held on probation and is trusted now.
        held: Place,
        /// Its own.
        place: Place,
    },
    /// Not trusted yet; to be held until the next packet tells, and then played or dropped.
    Probation,
    /// Came before; to be dropped.
    Duplicate,
}

/// Counts since the call began; of packets, unless they say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Every packet recorded.
    pub received: u64,
    /// Expected and not received, over all streams of the call; late packets lower it again.
    pub lost: u64,
    /// Received a second time.
    pub duplicates: u64,
    /// Received after a packet with a higher number.
    pub reordered: u64,
    /// Dropped because their source or their jump never became trusted.
    pub probation: u64,
    /// Streams begun after the first.
    pub restarts: u64,
    /// Interarrival jitter of the current stream, in timestamp units (§6.4.1).
    pub jitter: u32,
}

/// What a receiver report says of the current stream (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceptionBlock {
    /// The stream's source.
    pub ssrc: u32,
    /// Share lost since the block before, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the stream began; negative when duplicates outnumber losses.
    pub cumulative_lost: i32,
    /// Cycles in the upper half, highest sequence number in the lower.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
}

impl Reception {
    /// Nothing received yet.
    pub fn new(now: Instant) -> Self {
        Self { epoch: now, current: None, candidate: None, stats: Stats::default() }
    }

    /// Counts `packet`, whose timestamps count `clock_rate` a second, and says where it belongs.
    ///
    /// A source that still speaks is not replaced: each of its packets sends the candidate back to
    /// the start of its probation, so two sources at once do not take turns.
    pub fn record(&mut self, now: Instant, packet: &Packet<'_>, clock_rate: u32) -> Arrival {
        self.stats.received += 1;
        let arrived = now.saturating_duration_since(self.epoch);
        let stamp = Stamp { arrived, timestamp: packet.timestamp, clock_rate };
        if let Some(stream) = self.current.as_mut().filter(|stream| stream.ssrc == packet.ssrc)
            && let Some(record) = stream.record(packet.sequence, stamp)
        {
            self.stats.probation += u64::from(self.candidate.take().is_some());
            self.stats.reordered += u64::from(record.reordered);
            if record.duplicate {
                self.stats.duplicates += 1;
                return Arrival::Duplicate;
            }
            return Arrival::Valid(record.place);
        }
        let held = self.candidate.replace(Candidate {
            ssrc: packet.ssrc,
            sequence: packet.sequence,
            stamp,
        });
        let Some(held) = held else { return Arrival::Probation };
        if (held.ssrc, held.sequence.wrapping_add(1)) != (packet.ssrc, packet.sequence) {
            self.stats.probation += 1;
            return Arrival::Probation;
        }
        self.candidate = None;
        let (mut stream, first) = Stream::begin(packet.ssrc, held.sequence, held.stamp);
        let record = stream.record(packet.sequence, stamp).expect("it is the next one");
        if let Some(ended) = self.current.replace(stream) {
            self.stats.restarts += 1;
            self.stats.lost += ended.missing();
        }
        Arrival::Restart { held: first, place: record.place }
    }

    /// The block for a report that is about to be sent; starts the next interval. `None` before the
    /// first trusted packet.
    pub fn report(&mut self) -> Option<ReceptionBlock> {
        let stream = self.current.as_mut()?;
        let (expected, received) = (stream.expected(), stream.received);
        let expected_since = expected - stream.expected_before;
        let lost_since = expected_since as i64 - (received - stream.received_before) as i64;
        stream.expected_before = expected;
        stream.received_before = received;
        Some(ReceptionBlock {
            ssrc: stream.ssrc,
            fraction_lost: match expected_since {
                0 => 0,
                // Below 256: only a packet moves `highest`, so one of those expected has come.
                _ => (lost_since.max(0) as u64 * 256 / expected_since).min(255) as u8,
            },
            // 24 bits, signed (§6.4.1).
            cumulative_lost: stream.lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_sequence: (stream.highest - (1 << 16)) as u32,
            jitter: stream.jitter(),
        })
    }

    /// The source that is heard.
    pub fn source(&self) -> Option<u32> {
        self.current.as_ref().map(|stream| stream.ssrc)
    }

    /// Interarrival jitter of the current stream as time.
    pub fn jitter(&self) -> Duration {
        let stream = self.current.as_ref();
        stream.map_or(Duration::ZERO, |s| Duration::from_secs(s.jitter().into()) / s.clock_rate)
    }

    /// See [`ClockDrift::ppm`].
    pub fn drift_ppm(&self) -> Option<f64> {
        self.current.as_ref()?.drift.ppm()
    }

    /// The counts so far.
    pub fn stats(&self) -> Stats {
        let current = self.current.as_ref();
        Stats {
            lost: self.stats.lost + current.map_or(0, Stream::missing),
            jitter: current.map_or(0, Stream::jitter),
            ..self.stats
        }
    }
}

/// When a packet came, by our clock and by its sender's.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    arrived: Duration,
    timestamp: u32,
    clock_rate: u32,
}

/// A source, or a jump of the current one, of which one packet has come.
#[derive(Debug)]
struct Candidate {
    ssrc: u32,
    sequence: u16,
    stamp: Stamp,
}

#[derive(Debug)]
struct Stream {
    ssrc: u32,
    sequences: SequenceUnwrapper,
    timestamps: TimestampUnwrapper,
    base: u64,
    highest: u64,
    /// Bit n: the packet n below `highest` has come.
    seen: u128,
    /// Duplicates included, as the reports want it (§A.3).
    received: u64,
    duplicates: u64,
    expected_before: u64,
    received_before: u64,
    clock_rate: u32,
    drift: ClockDrift,
    /// Timestamp of the packet before and its transit time, both in timestamp units.
    transit: (u64, i64),
    /// Jitter times 16, as in §A.8.
    jitter_16: u64,
}

impl Stamp {
    /// Time on the way in timestamp units; only differences mean anything.
    fn transit(self, timestamp: u64) -> i64 {
        let arrived = self.arrived.as_nanos() * u128::from(self.clock_rate) / 1_000_000_000;
        (arrived as i64).wrapping_sub(timestamp as i64)
    }

    /// Time by the sender's clock.
    fn sent(self, timestamp: u64) -> Duration {
        let nanos = u128::from(timestamp) * 1_000_000_000 / u128::from(self.clock_rate);
        Duration::from_nanos(nanos as u64)
    }
}

struct Record {
    place: Place,
    duplicate: bool,
    reordered: bool,
}

impl Stream {
    fn begin(ssrc: u32, sequence: u16, stamp: Stamp) -> (Self, Place) {
        let mut sequences = SequenceUnwrapper::default();
        let mut timestamps = TimestampUnwrapper::default();
        let place = Place {
            sequence: sequences.unwrap(sequence),
            timestamp: timestamps.unwrap(stamp.timestamp),
        };
        let stream = Self {
            ssrc,
            sequences,
            timestamps,
            base: place.sequence,
            highest: place.sequence,
            // What came before the first one must not be played after it.
            seen: u128::MAX,
            received: 1,
            duplicates: 0,
            expected_before: 0,
            received_before: 0,
            clock_rate: stamp.clock_rate,
            drift: ClockDrift::default(),
            transit: (place.timestamp, stamp.transit(place.timestamp)),
            jitter_16: 0,
        };
        (stream, place)
    }

    /// `None` if the packet is too far from the others to belong to them.
    fn record(&mut self, sequence: u16, stamp: Stamp) -> Option<Record> {
        let mut sequences = self.sequences;
        let sequence = sequences.unwrap(sequence);
        if sequence > self.highest + MAX_DROPOUT || sequence + MAX_MISORDER < self.highest {
            return None;
        }
        self.sequences = sequences;
        let place = Place { sequence, timestamp: self.widened(stamp) };
        self.received += 1;
        self.measure_jitter(stamp, place.timestamp);
        if sequence > self.highest {
            let step = u32::try_from(sequence - self.highest).expect("at most MAX_DROPOUT");
            self.seen = self.seen.checked_shl(step).unwrap_or(0) | 1;
            self.highest = sequence;
            return Some(Record { place, duplicate: false, reordered: false });
        }
        let bit = 1 << (self.highest - sequence);
        let duplicate = self.seen & bit != 0;
        self.seen |= bit;
        self.duplicates += u64::from(duplicate);
        Some(Record { place, duplicate, reordered: !duplicate })
    }

    /// Another codec may count by another clock, whose timestamps are no differences to those before
    /// (RFC 7160 §4.1).
    fn widened(&mut self, stamp: Stamp) -> u64 {
        if stamp.clock_rate == self.clock_rate {
            return self.timestamps.unwrap(stamp.timestamp);
        }
        self.clock_rate = stamp.clock_rate;
        self.drift = ClockDrift::default();
        self.timestamps = TimestampUnwrapper::default();
        let timestamp = self.timestamps.unwrap(stamp.timestamp);
        self.transit = (timestamp, stamp.transit(timestamp));
        timestamp
    }

    fn measure_jitter(&mut self, stamp: Stamp, timestamp: u64) {
        // All packets of a telephone event carry its start (RFC 4733 §2.2.1): no measure of transit.
        if timestamp == self.transit.0 {
            return;
        }
        self.drift.record(stamp.arrived, stamp.sent(timestamp));
        let transit = stamp.transit(timestamp);
        let difference = transit.wrapping_sub(self.transit.1).unsigned_abs().min(1 << 32);
        self.transit = (timestamp, transit);
        self.jitter_16 = self.jitter_16 - ((self.jitter_16 + 8) >> 4) + difference;
    }

    fn expected(&self) -> u64 {
        self.highest - self.base + 1
    }

    /// As reported: duplicates hide losses (§A.3).
    fn lost(&self) -> i64 {
        self.expected() as i64 - self.received as i64
    }

    /// Numbers that have not come at all.
    fn missing(&self) -> u64 {
        self.expected().saturating_sub(self.received - self.duplicates)
    }

    fn jitter(&self) -> u32 {
        u32::try_from(self.jitter_16 >> 4).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;

    struct Bench {
        start: Instant,
        reception: Reception,
    }

    impl Bench {
        fn new() -> Self {
            let start = Instant::now();
            Self { start, reception: Reception::new(start) }
        }

        /// A packet of 20 ms that arrives `late_ms` after its time.
        fn arrive(&mut self, ssrc: u32, sequence: u16, late_ms: u64) -> Arrival {
            let ms = u64::from(sequence) * 20 + late_ms;
            let packet = Packet {
                payload_type: 0,
                marker: false,
                sequence,
                timestamp: u32::from(sequence) * 160,
                ssrc,
                payload: &[],
            };
            self.reception.record(self.start + Duration::from_millis(ms), &packet, 8_000)
        }

        fn run(&mut self, ssrc: u32, sequences: impl IntoIterator<Item = u16>) {
            for sequence in sequences {
                self.arrive(ssrc, sequence, 0);
            }
        }
    }

    #[test]
    fn the_second_packet_in_sequence_makes_a_source_trusted() {
        let mut bench = Bench::new();
        assert_eq!(bench.arrive(1, 10, 0), Arrival::Probation);
        assert_eq!(bench.arrive(1, 12, 0), Arrival::Probation);
        assert!(matches!(bench.arrive(1, 13, 0), Arrival::Restart { .. }));
        assert!(matches!(bench.arrive(1, 14, 0), Arrival::Valid(_)));
        assert_eq!(bench.reception.stats().restarts, 0);
    }

    #[test]
    fn a_new_source_replaces_the_old_once_it_is_trusted() {
        let mut bench = Bench::new();
        bench.run(1, 0..10);
        assert_eq!(bench.arrive(2, 500, 0), Arrival::Probation);
        assert!(matches!(bench.arrive(2, 501, 0), Arrival::Restart { .. }));
        assert_eq!(bench.arrive(1, 10, 0), Arrival::Probation);
        assert_eq!(bench.reception.stats().restarts, 1);
    }

    #[test]
    fn two_sources_at_once_do_not_take_turns() {
        let mut bench = Bench::new();
        bench.run(1, 0..10);
        for step in 0..10 {
            assert_eq!(bench.arrive(2, 500 + step, 0), Arrival::Probation);
            assert!(matches!(bench.arrive(1, 10 + step, 0), Arrival::Valid(_)));
        }
    }

    #[test]
    fn a_jump_of_the_same_source_restarts_it_after_probation() {
        let mut bench = Bench::new();
        bench.run(1, 0..10);
        assert_eq!(bench.arrive(1, 40_000, 0), Arrival::Probation);
        assert!(matches!(bench.arrive(1, 40_001, 0), Arrival::Restart { .. }));
        assert_eq!(bench.reception.stats().lost, 0, "a jump is no loss");
    }

    #[test]
    fn loss_is_counted_and_taken_back_when_the_packet_comes_late() {
        let mut bench = Bench::new();
        bench.run(1, [0, 1, 2, 5, 6]);
        assert_eq!(bench.reception.stats().lost, 2);
        assert!(matches!(bench.arrive(1, 3, 90), Arrival::Valid(_)));
        let stats = bench.reception.stats();
        assert_eq!((stats.lost, stats.reordered, stats.duplicates), (1, 1, 0));
    }

    #[test]
    fn a_repeat_is_told_from_a_late_packet() {
        let mut bench = Bench::new();
        bench.run(1, [0, 1, 2, 4]);
        assert_eq!(bench.arrive(1, 2, 0), Arrival::Duplicate);
        assert!(matches!(bench.arrive(1, 3, 0), Arrival::Valid(_)));
        assert_eq!(bench.arrive(1, 3, 0), Arrival::Duplicate);
        assert_eq!(bench.arrive(1, 0, 0), Arrival::Duplicate, "it was on probation");
        assert_eq!(bench.reception.stats().duplicates, 3);
    }

    #[test]
    fn a_report_covers_the_interval_since_the_one_before() {
        let mut bench = Bench::new();
        assert_eq!(bench.reception.report(), None);
        bench.run(1, (0..=100).filter(|n| n % 4 != 3));
        let first = bench.reception.report().expect("a stream");
        // 101 expected, 25 lost.
        assert_eq!((first.cumulative_lost, first.fraction_lost), (25, 63));
        assert_eq!(first.highest_sequence, 100);
        bench.run(1, 101..=200);
        let second = bench.reception.report().expect("a stream");
        assert_eq!((second.cumulative_lost, second.fraction_lost), (25, 0));
        assert_eq!(bench.reception.report().expect("a stream").fraction_lost, 0);
    }

    #[test]
    fn duplicates_make_the_loss_negative() {
        let mut bench = Bench::new();
        bench.run(1, [0, 1, 2, 2, 2]);
        let block = bench.reception.report().expect("a stream");
        assert_eq!((block.cumulative_lost, block.fraction_lost), (-2, 0));
    }

    #[test]
    fn the_highest_sequence_counts_cycles() {
        let mut bench = Bench::new();
        bench.run(1, [65_533, 65_534, 65_535, 0, 1]);
        let block = bench.reception.report().expect("a stream");
        assert_eq!(block.highest_sequence, 65_536 + 1);
    }

    #[test]
    fn jitter_settles_at_the_mean_difference_of_transit_times() {
        let mut bench = Bench::new();
        bench.run(1, 0..50);
        assert_eq!(bench.reception.stats().jitter, 0);
        for sequence in 50..400 {
            bench.arrive(1, sequence, u64::from(sequence % 2) * 10);
        }
        // Every transit differs from the one before by 10 ms, 80 units.
        assert!((79..=80).contains(&bench.reception.stats().jitter), "{:?}", bench.reception);
    }

    #[test]
    fn the_packets_of_a_telephone_event_do_not_look_like_jitter() {
        let mut bench = Bench::new();
        bench.run(1, 0..50);
        for n in 0..10u16 {
            let ms = 1_000 + u64::from(n) * 20;
            let packet = Packet {
                payload_type: 101,
                marker: n == 0,
                sequence: 50 + n,
                timestamp: 50 * 160,
                ssrc: 1,
                payload: &[],
            };
            bench.reception.record(bench.start + Duration::from_millis(ms), &packet, 8_000);
        }
        assert_eq!(bench.reception.stats().jitter, 0);
    }
}
