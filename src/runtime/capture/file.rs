//! Capture files: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng).
//!
//! `pcap-parser` reads blocks; what their times mean is worked out here, since it reads no resolution in
//! powers of two, and an interface's offset as if every file were little-endian.

use std::io::Read;
use std::time::Duration;

use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};

/// First octets of every capture file: pcap of either byte order with micro- or nanoseconds, pcap as
/// modified by A. Kuznetsov, pcapng.
const MAGICS: [[u8; 4]; 6] = [
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0x4d, 0x3c, 0xb2, 0xa1],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0x34, 0xcd, 0xb2, 0xa1],
    SECTION,
];
/// Type of the block that begins a section of a pcapng, the same in either byte order.
const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// Least length of a block, octets: its type, and its length twice.
const SHORTEST_BLOCK: u32 = 12;
/// What is read at once, octets.
const BUFFER: usize = 256 << 10;
/// Longest block that is read, octets: a frame of the largest snapshot length that libpcap takes
/// (262,144), and options.
const LONGEST_BLOCK: usize = 1 << 20;
/// Latest time that is believed, seconds since 1970: the end of the year 9999, where calendars end.
const LATEST_S: u64 = 253_402_000_000;

/// One frame as it was caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// When, since 1970 (UTC).
    pub at: Duration,
    /// What its first octets are, a number of the registry of link-layer types.
    pub link: i32,
    /// As much of it as was kept.
    pub bytes: &'a [u8],
}

/// Why a capture was not read to its end. What came before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// Neither pcap nor pcapng.
    #[error("it is no capture file")]
    Unknown,
    /// It ends within a block: the capture was cut off, or the disk was full.
    #[error("it ends in the middle of a frame")]
    Truncated,
    /// A block is not built as blocks are.
    #[error("it is damaged {0} octets from its beginning")]
    Damaged(u64),
    /// The system refused to read on.
    #[error("it could not be read to its end")]
    Unreadable,
}

/// Where frames of a pcapng section were caught.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: i32,
    /// As in the option if_tsresol.
    resolution: u8,
    /// Seconds to be added to all its times.
    offset: i64,
    /// Octets kept of a frame; 0 for all.
    snaplen: u32,
}

/// Whether a file that begins with `head` says that it is a capture.
pub fn is_capture(head: &[u8]) -> bool {
    MAGICS.iter().any(|magic| head.starts_with(magic))
}

/// Shows `see` every frame in the file's order.
pub fn read<'a>(
    source: impl Read + Send + 'a,
    mut see: impl FnMut(Frame<'_>),
) -> Result<(), CaptureError> {
    let mut reader = create_reader(BUFFER, source).map_err(|error| match error {
        PcapError::Incomplete(_) | PcapError::UnexpectedEof => CaptureError::Truncated,
        PcapError::ReadError => CaptureError::Unreadable,
        _ => CaptureError::Unknown,
    })?;
    let mut capacity = BUFFER;
    let mut state = State::default();
    loop {
        if state.is_impossible(reader.data()) {
            return Err(CaptureError::Damaged(reader.consumed() as u64));
        }
        let wanted = match reader.next() {
            Ok((length, block)) => {
                state.handle_block(&block, &mut see);
                if length == 0 {
                    return Err(CaptureError::Damaged(reader.consumed() as u64));
                }
                reader.consume(length);
                continue;
            }
            Err(PcapError::Eof) => return Ok(()),
            Err(PcapError::Incomplete(_)) => capacity,
            Err(PcapError::BufferTooSmall) => 2 * capacity,
            Err(PcapError::UnexpectedEof) => return Err(CaptureError::Truncated),
            Err(PcapError::ReadError) => return Err(CaptureError::Unreadable),
            Err(_) => return Err(CaptureError::Damaged(reader.consumed() as u64)),
        };
        let held = reader.data().len();
        if wanted > LONGEST_BLOCK {
            return Err(CaptureError::Damaged(reader.consumed() as u64));
        }
        if wanted > capacity {
            reader.grow(wanted);
            capacity = wanted;
        }
        reader.refill().map_err(|_| CaptureError::Unreadable)?;
        if reader.data().len() == held && !reader.reader_exhausted() {
            // No room for more, and what there is makes no block.
            return Err(CaptureError::Damaged(reader.consumed() as u64));
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// Of the file, where it is a pcap.
    link: i32,
    nanoseconds: bool,
    /// Whether a section has begun: it is a pcapng.
    in_section: bool,
    /// Of the current section.
    interfaces: Vec<Interface>,
    big_endian: bool,
    last: Duration,
}

impl State {
    /// Whether the block at the beginning of `rest` says that it is shorter than its own frame of type
    /// and twice its length. pcap-parser 0.17 does not look at it in a process information block, and
    /// subtracts.
    fn is_impossible(&self, rest: &[u8]) -> bool {
        // A section's header says by itself in which order its octets are.
        if !self.in_section || rest.starts_with(&SECTION) {
            return false;
        }
        let Some(&[_, _, _, _, length @ ..]) = rest.first_chunk::<8>() else { return false };
        let length = match self.big_endian {
            true => u32::from_be_bytes(length),
            false => u32::from_le_bytes(length),
        };
        length < SHORTEST_BLOCK
    }

    fn handle_block(&mut self, block: &PcapBlockOwned<'_>, see: &mut impl FnMut(Frame<'_>)) {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                self.link = header.network.0 & 0xffff;
                self.nanoseconds = header.is_nanosecond_precision();
            }
            PcapBlockOwned::Legacy(frame) => {
                let unit = if self.nanoseconds { 1 } else { 1_000 };
                let fraction = Duration::from_nanos(u64::from(frame.ts_usec) * unit);
                let at = Duration::from_secs(frame.ts_sec.into()) + fraction;
                see(Frame { at, link: self.link, bytes: frame.data });
            }
            PcapBlockOwned::NG(Block::SectionHeader(header)) => {
                self.in_section = true;
                self.interfaces.clear();
                self.big_endian = header.big_endian();
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                let offset = interface.if_tsoffset;
                self.interfaces.push(Interface {
                    link: interface.linktype.0,
                    resolution: interface.if_tsresol,
                    offset: if self.big_endian { offset.swap_bytes() } else { offset },
                    snaplen: interface.snaplen,
                });
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(frame)) => {
                let interface = self.interfaces.get(frame.if_id as usize);
                let ticks = u64::from(frame.ts_high) << 32 | u64::from(frame.ts_low);
                self.last = interface.map_or(self.last, |interface| interface.time(ticks));
                // A frame of an interface that was never described is of no link that we know.
                let link = interface.map_or(-1, |interface| interface.link);
                see(Frame { at: self.last, link, bytes: frame.packet_data() });
            }
            // It has no time of its own: it is as if caught with the one before it.
            PcapBlockOwned::NG(Block::SimplePacket(frame)) => {
                let Some(interface) = self.interfaces.first() else { return };
                let length = match interface.snaplen {
                    0 => frame.origlen,
                    snaplen => frame.origlen.min(snaplen),
                };
                let bytes = frame.data.get(..length as usize).unwrap_or(frame.data);
                see(Frame { at: self.last, link: interface.link, bytes });
            }
            PcapBlockOwned::NG(_) => {}
        }
    }
}

impl Interface {
    /// The time that `ticks` stand for: powers of ten, or of two where the highest bit is set.
    fn time(&self, ticks: u64) -> Duration {
        let nanos = u128::from(ticks) * 1_000_000_000;
        let nanos = match self.resolution {
            // 10^-38 s is the last that fits; no clock is so fine.
            tens @ 0..=38 => nanos / 10_u128.pow(tens.into()),
            twos @ 0x80.. => nanos >> (twos & 0x7f),
            39..0x80 => 0,
        };
        let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
        let seconds = seconds.saturating_add_signed(self.offset).min(LATEST_S);
        Duration::new(seconds, (nanos % 1_000_000_000) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Caught = (Duration, i32, Vec<u8>);

    fn frames(file: &[u8]) -> (Vec<Caught>, Result<(), CaptureError>) {
        let mut frames = Vec::new();
        let end = read(file, |frame| frames.push((frame.at, frame.link, frame.bytes.to_vec())));
        (frames, end)
    }

    /// A pcap of one frame `abc`, caught at 7.000005 or 7.000000005 s.
    fn pcap(magic: u32, bytes: fn(u32) -> [u8; 4]) -> Vec<u8> {
        let version = if bytes(1)[0] == 1 { 0x0004_0002 } else { 0x0002_0004 };
        let words = [magic, version, 0, 0, 65_535, 113, 7, 5, 3, 3];
        [words.map(bytes).concat(), b"abc".to_vec()].concat()
    }

    /// A pcapng block of either byte order.
    fn block(kind: u32, body: &[u8], bytes: fn(u32) -> [u8; 4]) -> Vec<u8> {
        let length = bytes(12 + body.len().next_multiple_of(4) as u32);
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        [&bytes(kind), &length, body, &padding, &length].concat()
    }

    /// A section, and an interface of SLL2 whose clock has 2^10 ticks a second and began at 100 s.
    fn pcapng(big_endian: bool) -> Vec<u8> {
        let long: fn(u32) -> [u8; 4] = if big_endian { u32::to_be_bytes } else { u32::to_le_bytes };
        let short: fn(u16) -> [u8; 2] =
            if big_endian { u16::to_be_bytes } else { u16::to_le_bytes };
        let offset = if big_endian { 100_i64.to_be_bytes() } else { 100_i64.to_le_bytes() };
        let section = [&long(0x1a2b_3c4d)[..], &short(1), &short(0), &[0xff; 8]].concat();
        let interface = [
            &[short(276), short(0)].concat()[..],
            &long(5),
            &[short(9), short(1)].concat(),
            &[0x8a, 0, 0, 0],
            &[short(14), short(8)].concat(),
            &offset,
            &[0; 4],
        ];
        let frame = [&[0, 0, 1536, 3, 3].map(long).concat()[..], b"abc"].concat();
        let simple = [&long(9)[..], b"01234"].concat();
        let blocks = [(0x0a0d_0d0a, section), (1, interface.concat()), (6, frame), (3, simple)];
        blocks.iter().flat_map(|(kind, body)| block(*kind, body, long)).collect()
    }

    #[test]
    fn both_byte_orders_and_both_units_are_read() {
        for (magic, nanos) in [(0xa1b2_c3d4, 5_000), (0xa1b2_3c4d, 5)] {
            for bytes in [u32::to_le_bytes, u32::to_be_bytes] {
                let file = pcap(magic, bytes);
                assert!(is_capture(&file));
                let at = Duration::new(7, nanos);
                assert_eq!(frames(&file), (vec![(at, 113, b"abc".to_vec())], Ok(())));
            }
        }
    }

    #[test]
    fn an_interface_has_its_own_link_and_clock() {
        for big_endian in [false, true] {
            let file = pcapng(big_endian);
            assert!(is_capture(&file));
            let at = Duration::from_millis(101_500);
            let expected = vec![(at, 276, b"abc".to_vec()), (at, 276, b"01234".to_vec())];
            assert_eq!(frames(&file), (expected, Ok(())), "big-endian: {big_endian}");
        }
    }

    #[test]
    fn every_resolution_gives_a_time() {
        for resolution in 0..=255 {
            let interface = Interface { link: 1, resolution, offset: i64::MAX, snaplen: 0 };
            assert!(interface.time(u64::MAX) <= Duration::new(LATEST_S, 999_999_999));
            let interface = Interface { offset: i64::MIN, ..interface };
            assert!(interface.time(1_000_000) < Duration::from_secs(1), "none is before 1970");
        }
    }

    #[test]
    fn what_comes_before_a_cut_counts() {
        let file = pcap(0xa1b2_c3d4, u32::to_le_bytes);
        let twice = [&file[..], &file[24..]].concat();
        for cut in 1..19 {
            let (frames, end) = frames(&twice[..twice.len() - cut]);
            assert_eq!((frames.len(), end), (1, Err(CaptureError::Truncated)), "less {cut}");
        }
        assert_eq!(frames(&file[..20]).1, Err(CaptureError::Truncated));
        assert_eq!(frames(&pcapng(false)[..20]).1, Err(CaptureError::Unknown));
    }

    #[test]
    fn a_block_shorter_than_any_block_is_damage() {
        for big_endian in [false, true] {
            let long: fn(u32) -> [u8; 4] =
                if big_endian { u32::to_be_bytes } else { u32::to_le_bytes };
            let whole = pcapng(big_endian);
            // A process information block of 8 octets.
            let short = [0x8000_0001, 8, 0, 8].map(long).concat();
            let (caught, end) = frames(&[&whole[..], &short].concat());
            assert_eq!(caught.len(), frames(&whole).0.len(), "what came before it counts");
            assert_eq!(end, Err(CaptureError::Damaged(whole.len() as u64)));
        }
    }

    #[test]
    fn a_block_without_end_is_not_waited_for() {
        let mut file = pcap(0xa1b2_c3d4, u32::to_le_bytes);
        file[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
        file.resize(4 << 20, 0);
        assert_eq!(frames(&file).1, Err(CaptureError::Damaged(24)));
        let mut file = pcapng(false);
        file[28 + 4] = 0xff;
        assert!(matches!(frames(&file).1, Err(CaptureError::Damaged(_) | CaptureError::Truncated)));
        assert_eq!(frames(b"RIFF").1, Err(CaptureError::Unknown));
        assert_eq!(frames(b"").1, Err(CaptureError::Unknown));
    }
}
