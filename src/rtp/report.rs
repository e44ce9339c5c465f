//! RTCP of one who only listens: receiver reports, CNAME, BYE (RFC 3550 §6), and VoIP metrics for
//! who asks for them (RFC 3611).

use std::time::{Duration, Instant};

use fastrand::Rng;
use rtcp_types::{
    Bye, Compound, CompoundBuilder, Packet, ReceiverReport, ReportBlock, RtcpPacketWriter,
    RtcpPacketWriterExt, RtcpParseError, RtcpWriteError, Sdes, SdesChunk, SdesItem, Xr,
    XrBlockBuilder, XrBlockBuilderExt,
};
use thiserror::Error;

use crate::rtp::reception::ReceptionBlock;
use crate::rtp::voip_metrics::{GMIN, VoipMetrics};

/// Mean time between reports; a call of two never reaches the bandwidth that would stretch it
/// (RFC 3550 §6.2).
pub const INTERVAL: Duration = Duration::from_secs(5);

/// Keeps the RTCP side of one stream: when to report, and what the peer's clock said last.
#[derive(Debug)]
pub struct Reporter {
    ssrc: u32,
    cname: String,
    rng: Rng,
    due: Instant,
    sender_report: Option<LastSenderReport>,
}

/// What matters in a compound packet from the peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incoming {
    /// The last sender report in it.
    pub sender_report: Option<SenderReport>,
    /// Sources that left (§6.6).
    pub bye: Vec<u32>,
}

/// The sender's word on its clock and its counts (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    /// Whose report it is.
    pub ssrc: u32,
    /// Wall clock as 32.32 fixed-point seconds since 1900.
    pub ntp: u64,
    /// The same instant in timestamp units of the stream.
    pub rtp: u32,
    /// Packets sent since the stream began; wraps.
    pub packets: u32,
}

/// Why a datagram is no RTCP.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum ReportError {
    /// Not version 2.
    #[error("not RTCP version 2 (RFC 3550 §6.4.1)")]
    Version,
    /// A length field points past the end.
    #[error("shorter than its length fields say (RFC 3550 §6.4.1)")]
    Short,
    /// Padding in the middle, an SDES item across its border, or the like.
    #[error("malformed RTCP (RFC 3550 §A.2)")]
    Malformed,
}

/// What one report says of the stream that is heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// For the receiver report.
    pub block: ReceptionBlock,
    /// For a peer that asked for them.
    pub metrics: Option<VoipMetrics>,
}

#[derive(Clone, Copy, Debug)]
struct LastSenderReport {
    ssrc: u32,
    /// Middle half of its NTP time, as a report block returns it.
    middle: u32,
    arrived: Instant,
}

impl Reporter {
    /// A reporter whose own SSRC and pauses follow from `seed`.
    ///
    /// `cname` names this endpoint in all its streams (§6.5.1); at most 255 bytes are sent.
    pub fn new(now: Instant, seed: u64, cname: &str) -> Self {
        let mut rng = Rng::with_seed(seed);
        let ssrc = rng.u32(..);
        // The first report comes after half an interval (§6.2).
        let due = now + randomised(&mut rng, INTERVAL / 2);
        let cname = cname[..cname.floor_char_boundary(255)].to_owned();
        Self { ssrc, cname, rng, due, sender_report: None }
    }

    /// Reads a compound packet of the peer. On an error nothing of it is kept.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &[u8],
    ) -> Result<Incoming, ReportError> {
        let mut incoming = Incoming::default();
        for packet in Compound::parse(datagram)? {
            match packet? {
                Packet::Sr(report) => {
                    incoming.sender_report = Some(SenderReport {
                        ssrc: report.ssrc(),
                        ntp: report.ntp_timestamp(),
                        rtp: report.rtp_timestamp(),
                        packets: report.packet_count(),
                    });
                }
                Packet::Bye(bye) => incoming.bye.extend(bye.ssrcs()),
                Packet::Rr(_)
                | Packet::Sdes(_)
                | Packet::App(_)
                | Packet::Xr(_)
                | Packet::TransportFeedback(_)
                | Packet::PayloadFeedback(_)
                | Packet::Unknown(_) => {}
            }
        }
        if let Some(report) = incoming.sender_report {
            self.sender_report = Some(LastSenderReport {
                ssrc: report.ssrc,
                middle: (report.ntp >> 16) as u32,
                arrived: now,
            });
        }
        Ok(incoming)
    }

    /// The report that is due, if one is; `heard` is asked for only then, because asking starts its
    /// next interval.
    pub fn handle_timeout(
        &mut self,
        now: Instant,
        heard: impl FnOnce() -> Option<Heard>,
    ) -> Option<Vec<u8>> {
        if now < self.due {
            return None;
        }
        self.due = now + randomised(&mut self.rng, INTERVAL);
        Some(written(&self.report(now, heard())))
    }

    /// When [`Self::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Instant {
        self.due
    }

    /// The last report, with which this side leaves (§6.6).
    pub fn bye(&self, now: Instant, heard: Option<Heard>) -> Vec<u8> {
        let bye = Bye::builder().add_source(self.ssrc);
        written(&self.report(now, heard).add_packet(bye))
    }

    /// RR, empty without a stream, and SDES with the CNAME: the least that may be sent (§6.1).
    fn report(&self, now: Instant, heard: Option<Heard>) -> CompoundBuilder<'_> {
        let mut report = ReceiverReport::builder(self.ssrc);
        if let Some(Heard { block, .. }) = heard {
            let (last, delay) = self.since_sender_report(now, block.ssrc);
            report = report.add_report_block(
                ReportBlock::builder(block.ssrc)
                    .fraction_lost(block.fraction_lost)
                    .cumulative_lost(block.cumulative_lost as u32 & 0xff_ffff)
                    .extended_sequence_number(block.highest_sequence)
                    .interarrival_jitter(block.jitter)
                    .last_sender_report_timestamp(last)
                    .delay_since_last_sender_report_timestamp(delay),
            );
        }
        let cname = SdesItem::builder(SdesItem::CNAME, &self.cname);
        let chunk = SdesChunk::builder(self.ssrc).add_item(cname);
        let compound =
            Compound::builder().add_packet(report).add_packet(Sdes::builder().add_chunk(chunk));
        let metrics = heard.and_then(|heard| Some((heard.block.ssrc, heard.metrics?)));
        let Some((source, metrics)) = metrics else { return compound };
        let block = MetricsBlock { source, metrics };
        compound.add_packet(Xr::builder().sender_ssrc(self.ssrc).add_block(block))
    }

    /// LSR and DLSR for `ssrc` (§6.4.1): zero until it has sent a report.
    fn since_sender_report(&self, now: Instant, ssrc: u32) -> (u32, u32) {
        let Some(last) = self.sender_report.filter(|last| last.ssrc == ssrc) else { return (0, 0) };
        let delay = now.saturating_duration_since(last.arrived);
        (last.middle, (delay.as_micros() * 65_536 / 1_000_000) as u32)
    }
}

/// The VoIP metrics block (RFC 3611 §4.7), which the package lacks.
#[derive(Debug)]
struct MetricsBlock {
    /// The stream that is reported on.
    source: u32,
    metrics: VoipMetrics,
}

impl MetricsBlock {
    /// Block type (§4.7).
    const TYPE: u8 = 7;
    /// Octets, its header included.
    const SIZE: usize = 36;
    /// What stands for a level, factor or score that is not known.
    const UNAVAILABLE: u8 = 127;
    /// Concealment enhanced, jitter buffer adaptive at a rate of 0 (§4.7.6): without a play-out clock
    /// it is adjusted within one packet.
    const RX_CONFIG: u8 = 0b1111_0000;
}

impl XrBlockBuilder<'_> for MetricsBlock {
    fn type_specific_byte(&self) -> u8 {
        0
    }
}

impl RtcpPacketWriter for MetricsBlock {
    fn calculate_size(&self) -> Result<usize, RtcpWriteError> {
        Ok(Self::SIZE)
    }

    fn write_into_unchecked(&self, buf: &mut [u8]) -> usize {
        let VoipMetrics { loss, discarded, pattern, .. } = self.metrics;
        // Shares are binary fractions of 256 (§4.7.1); the casts from float saturate.
        let share = |share: f64| (share * 256.0) as u8;
        let millis = |time: Duration| u16::try_from(time.as_millis()).unwrap_or(u16::MAX);
        // Relative to 0 dBm0, which is 6.18 dB below full scale in G.711 (§4.7.4).
        let level = |dbfs: Option<f64>| {
            dbfs.map_or(Self::UNAVAILABLE, |dbfs| (dbfs + 6.18).round() as i8 as u8)
        };
        let wait = millis(self.metrics.wait).to_be_bytes();
        let longest = millis(self.metrics.longest_wait).to_be_bytes();
        let [burst, gap] = [pattern.burst, pattern.gap].map(|time| millis(time).to_be_bytes());
        let unknown = Self::UNAVAILABLE;
        let header = self.write_header_unchecked(buf, Self::TYPE, (Self::SIZE / 4 - 1) as u16);
        let words = [
            self.source.to_be_bytes(),
            [
                share(loss),
                share(discarded),
                share(pattern.burst_density),
                share(pattern.gap_density),
            ],
            [burst[0], burst[1], gap[0], gap[1]],
            // Round trip: who only listens cannot know it. Then our own delay.
            [0, 0, wait[0], wait[1]],
            // Levels, no echo loss of one who is silent, and the shortest gap.
            [level(self.metrics.speech_dbfs), level(self.metrics.noise_dbfs), unknown, GMIN],
            // R factors and opinion scores: estimates of what people hear, and nobody does here.
            [unknown; 4],
            [Self::RX_CONFIG, 0, wait[0], wait[1]],
            [longest[0], longest[1], longest[0], longest[1]],
        ];
        buf[header..Self::SIZE].copy_from_slice(words.as_flattened());
        Self::SIZE
    }

    fn get_padding(&self) -> Option<u8> {
        None
    }
}

impl From<RtcpParseError> for ReportError {
    fn from(error: RtcpParseError) -> Self {
        match error {
            RtcpParseError::UnsupportedVersion(_) => Self::Version,
            RtcpParseError::Truncated { .. } => Self::Short,
            _ => Self::Malformed,
        }
    }
}

/// Half to one and a half of `mean`, so that endpoints do not fall into step (§6.2).
fn randomised(rng: &mut Rng, mean: Duration) -> Duration {
    mean.mul_f64(0.5 + rng.f64())
}

fn written(compound: &CompoundBuilder<'_>) -> Vec<u8> {
    let size = compound.calculate_size().expect("lengths and counts are within their fields");
    let mut datagram = vec![0; size];
    compound.write_into(&mut datagram).expect("the size was asked for");
    datagram
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use rtcp_types::SenderReport as WireSenderReport;

    use super::*;
    use crate::rtp::voip_metrics::BurstsAndGaps;

    const BLOCK: ReceptionBlock = ReceptionBlock {
        ssrc: 7,
        fraction_lost: 64,
        cumulative_lost: -2,
        highest_sequence: 65_537,
        jitter: 80,
    };

    const HEARD: Heard = Heard { block: BLOCK, metrics: None };

    fn reporter(start: Instant) -> Reporter {
        Reporter::new(start, 1, "listener@example.com")
    }

    /// The packets of a report, as another implementation reads them.
    fn packets(datagram: &[u8]) -> Vec<Packet<'_>> {
        let compound = Compound::parse(datagram).expect("a compound");
        compound.map(|packet| packet.expect("a packet")).collect()
    }

    fn sender_report(ssrc: u32) -> Vec<u8> {
        let report = WireSenderReport::builder(ssrc)
            .ntp_timestamp(0x0000_1234_5678_0000)
            .rtp_timestamp(160)
            .packet_count(9);
        written(&Compound::builder().add_packet(report))
    }

    #[test]
    fn a_report_carries_the_block_and_the_cname() {
        let start = Instant::now();
        let mut reporter = reporter(start);
        let due = reporter.poll_timeout();
        let datagram = reporter.handle_timeout(due, || Some(HEARD)).expect("a report");
        let [Packet::Rr(report), Packet::Sdes(sdes)] = &packets(&datagram)[..] else {
            panic!("RR and SDES: {datagram:02x?}")
        };
        let block = report.report_blocks().next().expect("a block");
        assert_eq!((block.ssrc(), block.fraction_lost()), (7, 64));
        assert_eq!(block.cumulative_lost(), 0xff_fffe, "24-bit two's complement");
        assert_eq!((block.extended_sequence_number(), block.interarrival_jitter()), (65_537, 80));
        let chunk = sdes.chunks().next().expect("a chunk");
        let item = chunk.items().next().expect("an item");
        assert_eq!((item.type_(), item.value()), (SdesItem::CNAME, &b"listener@example.com"[..]));
    }

    #[test]
    fn metrics_follow_the_report_where_they_are_asked_for() {
        let pattern = BurstsAndGaps {
            burst_density: 0.5,
            burst: Duration::from_millis(120),
            gap_density: 0.0,
            gap: Duration::from_secs(90),
        };
        let metrics = VoipMetrics {
            loss: 0.25,
            discarded: 1.0,
            pattern,
            speech_dbfs: Some(-26.0),
            noise_dbfs: None,
            wait: Duration::from_millis(60),
            longest_wait: Duration::from_millis(400),
        };
        let start = Instant::now();
        let heard = Heard { metrics: Some(metrics), ..HEARD };
        let bye = reporter(start).bye(start, Some(heard));
        let all = packets(&bye);
        let [Packet::Rr(_), Packet::Sdes(_), Packet::Xr(_), Packet::Bye(_)] = &all[..] else {
            panic!("RR, SDES, XR, BYE: {bye:02x?}")
        };
        // The header and our SSRC before it, the BYE of 8 octets behind it.
        let block = &bye[bye.len() - 8 - MetricsBlock::SIZE..bye.len() - 8];
        assert_eq!(block[..8], [7, 0, 0, 8, 0, 0, 0, 7]);
        assert_eq!(block[8..12], [64, 255, 128, 0]);
        assert_eq!(block[12..16], [0, 120, 0xff, 0xff], "65 s are the most that can be told");
        assert_eq!(block[16..20], [0, 0, 0, 60]);
        assert_eq!(block[20..24], [(-20_i8) as u8, 127, 127, 16]);
        assert_eq!(block[24..], [127, 127, 127, 127, 0xf0, 0, 0, 60, 1, 144, 1, 144]);
    }

    #[test]
    fn reports_come_at_random_around_every_five_seconds() {
        let start = Instant::now();
        let mut reporter = reporter(start);
        let first = reporter.poll_timeout() - start;
        assert!((INTERVAL / 4..=INTERVAL * 3 / 4).contains(&first), "{first:?}");
        let mut gaps = Vec::new();
        for _ in 0..200 {
            let due = reporter.poll_timeout();
            assert_eq!(reporter.handle_timeout(due - Duration::from_millis(1), || None), None);
            assert!(reporter.handle_timeout(due, || None).is_some());
            gaps.push(reporter.poll_timeout() - due);
        }
        assert!(gaps.iter().all(|gap| (INTERVAL / 2..=INTERVAL * 3 / 2).contains(gap)));
        let mean = gaps.iter().sum::<Duration>() / 200;
        assert!(mean.abs_diff(INTERVAL) < INTERVAL / 10, "{mean:?}");
    }

    #[test]
    fn the_peers_clock_is_returned_with_the_time_since() {
        let start = Instant::now();
        let mut reporter = reporter(start);
        let incoming = reporter.handle_datagram(start, &sender_report(7)).expect("a report");
        assert_eq!(incoming.sender_report.map(|report| (report.ssrc, report.rtp)), Some((7, 160)));
        let bye = reporter.bye(start + Duration::from_millis(1_500), Some(HEARD));
        let Packet::Rr(report) = &packets(&bye)[0] else { panic!("an RR first") };
        let block = report.report_blocks().next().expect("a block");
        assert_eq!(block.last_sender_report_timestamp(), 0x1234_5678);
        assert_eq!(block.delay_since_last_sender_report_timestamp(), 65_536 * 3 / 2);
    }

    #[test]
    fn another_sources_clock_is_not() {
        let start = Instant::now();
        let mut reporter = reporter(start);
        reporter.handle_datagram(start, &sender_report(8)).expect("a report");
        let bye = reporter.bye(start, Some(HEARD));
        let Packet::Rr(report) = &packets(&bye)[0] else { panic!("an RR first") };
        let block = report.report_blocks().next().expect("a block");
        assert_eq!(block.last_sender_report_timestamp(), 0);
    }

    #[test]
    fn leaving_says_so_in_a_form_that_it_reads_itself() {
        let start = Instant::now();
        let mut reporter = reporter(start);
        let bye = reporter.bye(start, None);
        assert_eq!(packets(&bye).len(), 3);
        let incoming = reporter.handle_datagram(start, &bye).expect("a compound");
        assert_eq!(incoming.bye, [reporter.ssrc]);
    }

    #[test]
    fn errors_are_told_by_kind() {
        let start = Instant::now();
        let mut reporter = reporter(start);
        let report = sender_report(7);
        let mut old = report.clone();
        old[0] &= 0x3f;
        let mut padded = report.clone();
        padded[0] |= 0x20;
        padded.extend(&report);
        let cases = [
            (old, ReportError::Version),
            (report[..20].to_vec(), ReportError::Short),
            (Vec::new(), ReportError::Short),
            (padded, ReportError::Malformed),
        ];
        for (datagram, error) in cases {
            assert_eq!(reporter.handle_datagram(start, &datagram), Err(error), "{datagram:02x?}");
        }
    }

    #[test]
    fn a_long_cname_is_cut_between_characters() {
        let start = Instant::now();
        let reporter = Reporter::new(start, 1, &"ä".repeat(200));
        assert_eq!(reporter.cname.len(), 254);
        assert_eq!(packets(&reporter.bye(start, None)).len(), 3);
    }
}
