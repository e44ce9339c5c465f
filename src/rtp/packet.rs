//! The RTP packet (RFC 3550 §5.1), and how to tell it from RTCP on one port (RFC 5761 §4).

use rtp_rs::{RtpPacketBuilder, RtpReader, RtpReaderError, Seq};
use thiserror::Error;

/// One RTP packet; CSRCs and header extensions are checked for length and passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Payload type, 0-127; what it means was agreed in SDP (RFC 3551 §6 for 0-95).
    pub payload_type: u8,
    /// First packet of a talk spurt or of a telephone event (RFC 3551 §4.1, RFC 4733 §2.1).
    pub marker: bool,
    /// Sequence number as on the wire; [`crate::rtp::sequence`] widens it.
    pub sequence: u16,
    /// Time of the first sample in units of the codec's clock, as on the wire.
    pub timestamp: u32,
    /// Synchronisation source: a new one means a new stream.
    pub ssrc: u32,
    /// The codec's bytes, without padding; may be empty.
    pub payload: &'a [u8],
}

/// Why a datagram is no RTP packet.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum PacketError {
    /// STUN, DTLS and the zero bytes that some NAT keep-alives send fall here too (RFC 7983 §7).
    #[error("not RTP version 2 (RFC 3550 §5.1)")]
    Version,
    /// Fewer than the 12 bytes that every header has.
    #[error("shorter than an RTP header (RFC 3550 §5.1)")]
    Short,
    /// The CSRC list or the header extension claims more bytes than came.
    #[error("header runs past the end of the datagram (RFC 3550 §5.3.1)")]
    Header,
    /// The padding count is zero, absent, or larger than the payload.
    #[error("impossible padding (RFC 3550 §5.1)")]
    Padding,
}

impl<'a> Packet<'a> {
    /// Reads the packet that fills `datagram`.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, PacketError> {
        let reader = RtpReader::new(datagram).map_err(|error| match error {
            RtpReaderError::BufferTooShort(_) => PacketError::Short,
            RtpReaderError::UnsupportedVersion(_) => PacketError::Version,
            // The header fits: what is missing is the padding count behind it.
            RtpReaderError::HeadersTruncated { header_len, .. } if header_len <= datagram.len() => {
                PacketError::Padding
            }
            RtpReaderError::HeadersTruncated { .. } => PacketError::Header,
            RtpReaderError::PaddingLengthInvalid(_) => PacketError::Padding,
        })?;
        Ok(Self {
            payload_type: reader.payload_type(),
            marker: reader.mark(),
            sequence: reader.sequence_number().into(),
            timestamp: reader.timestamp(),
            ssrc: reader.ssrc(),
            payload: reader.payload(),
        })
    }

    /// The datagram of this packet, without CSRC, extension or padding.
    ///
    /// The eighth bit of `payload_type` is the marker's place and is not written.
    pub fn write(&self) -> Vec<u8> {
        RtpPacketBuilder::new()
            .payload_type(self.payload_type & 0x7f)
            .marked(self.marker)
            .sequence(Seq::from(self.sequence))
            .timestamp(self.timestamp)
            .ssrc(self.ssrc)
            .payload(self.payload)
            .build()
            .expect("a 7-bit payload type is all that the builder checks")
    }
}

/// Whether a datagram on a port shared by both is RTCP: packet types 192-223 (RFC 5761 §4).
///
/// Those are RTP's payload types 64-95 with the marker set, which SDP must not hand out.
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [first, 192..=223, ..] if first >> 6 == 2)
}

/// Whether a datagram on a media port is DTLS (RFC 7983 §7).
pub fn is_dtls(datagram: &[u8]) -> bool {
    matches!(datagram, [20..=63, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Packet<'_> = Packet {
        payload_type: 8,
        marker: true,
        sequence: 0xfffe,
        timestamp: 0x8000_0001,
        ssrc: 0xdead_beef,
        payload: &[0xd5, 0x55, 0x03],
    };

    /// [`PLAIN`] with other bits in its first byte.
    fn with_first_byte(bits: u8) -> Vec<u8> {
        let mut datagram = PLAIN.write();
        datagram[0] |= bits;
        datagram
    }

    #[test]
    fn reads_what_it_wrote() {
        let datagram = PLAIN.write();
        assert_eq!(datagram[..4], [0x80, 0x88, 0xff, 0xfe]);
        assert_eq!(Packet::parse(&datagram), Ok(PLAIN));
    }

    #[test]
    fn csrc_extension_and_padding_are_not_payload() {
        let mut datagram = PLAIN.write();
        datagram[0] = 0x80 | 0x20 | 0x10 | 2;
        // Two CSRCs, then an extension of one word.
        datagram.splice(12..12, [1, 1, 1, 1, 2, 2, 2, 2, 0xbe, 0xde, 0, 1, 9, 9, 9, 9]);
        datagram.extend([0, 0, 3]);
        assert_eq!(Packet::parse(&datagram), Ok(PLAIN));
    }

    #[test]
    fn each_lie_has_its_own_error() {
        let padded_with = |count: u8| {
            let mut datagram = with_first_byte(0x20);
            *datagram.last_mut().expect("a payload") = count;
            datagram
        };
        let cases = [
            (PLAIN.write()[..11].to_vec(), PacketError::Short),
            (vec![0; 12], PacketError::Version),
            (with_first_byte(0x0f), PacketError::Header),
            (with_first_byte(0x10), PacketError::Header),
            (padded_with(0), PacketError::Padding),
            (padded_with(4), PacketError::Padding),
            (with_first_byte(0x20)[..12].to_vec(), PacketError::Padding),
        ];
        for (datagram, error) in cases {
            assert_eq!(Packet::parse(&datagram), Err(error), "{datagram:02x?}");
        }
    }

    #[test]
    fn rtcp_is_told_by_its_second_byte() {
        assert!(is_rtcp(&[0x80, 200, 0, 6]));
        assert_eq!(
            [191, 192, 223, 224].map(|kind| is_rtcp(&[0x81, kind])),
            [false, true, true, false]
        );
        assert!(!is_rtcp(&PLAIN.write()));
        assert!(!is_rtcp(&[0x00, 200]), "STUN is neither");
        assert!(!is_rtcp(&[0x80]));
    }
}
