//! G.711: mu-law and A-law, both ways (ITU-T G.711, RTP payload types 0 and 8 in RFC 3551 §4.5.14).

/// 16-bit sample of a mu-law code; uses the upper 14 bits.
pub fn decode_ulaw(code: u8) -> i16 {
    ULAW[usize::from(code)]
}

/// 16-bit sample of an A-law code; uses the upper 13 bits.
pub fn decode_alaw(code: u8) -> i16 {
    ALAW[usize::from(code)]
}

/// Mu-law code of a 16-bit sample.
pub fn encode_ulaw(sample: i16) -> u8 {
    // Ones' complement, as in the ITU-T reference: -1 and 0 are each other's negatives.
    let magnitude = (if sample < 0 { !sample } else { sample } >> 2) + BIAS_14;
    let magnitude = magnitude.min(0x1fff);
    // The bias puts the leading one at bit 5 to 12: its place is the segment.
    let segment = 10 - magnitude.leading_zeros() as u8;
    let step = (magnitude >> (segment + 1)) as u8 & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | segment << 4 | step)
}

/// A-law code of a 16-bit sample.
pub fn encode_alaw(sample: i16) -> u8 {
    let magnitude = if sample < 0 { !sample } else { sample } >> 4;
    // The first two segments have the same step; above, each leading bit opens a new one.
    let segment = 12 - magnitude.leading_zeros().min(12) as u8;
    let step = (magnitude >> segment.saturating_sub(1)) as u8 & 0x0f;
    let sign = if sample < 0 { 0 } else { 0x80 };
    (sign | segment << 4 | step) ^ ALAW_TOGGLE
}

/// Moves the segments' borders to powers of two (G.711 table 2), in units of 14-bit samples.
const BIAS_14: i16 = 33;
/// Even bits are inverted on the line (G.711 §3.2).
const ALAW_TOGGLE: u8 = 0x55;

static ULAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = !(code as u8);
        let bias = BIAS_14 << 2;
        let magnitude = (((((bits & 0x0f) as i16) << 3) + bias) << (bits >> 4 & 7)) - bias;
        table[code] = if bits & 0x80 != 0 { -magnitude } else { magnitude };
        code += 1;
    }
    table
};

static ALAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = code as u8 ^ ALAW_TOGGLE;
        let segment = bits >> 4 & 7;
        // Half a step up: the middle of what the encoder rounded down.
        let step = (((bits & 0x0f) as i16) << 4) + 8;
        let magnitude = if segment == 0 { step } else { (step + 256) << (segment - 1) };
        table[code] = if bits & 0x80 != 0 { magnitude } else { -magnitude };
        code += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes() {
        assert_eq!([0xff, 0x7f, 0x80, 0x00].map(decode_ulaw), [0, 0, 32_124, -32_124]);
        assert_eq!([0xd5, 0x55, 0xaa, 0x2a].map(decode_alaw), [8, -8, 32_256, -32_256]);
        assert_eq!([0, -1, i16::MAX, i16::MIN].map(encode_ulaw), [0xff, 0x7f, 0x80, 0x00]);
        assert_eq!([0, -1, i16::MAX, i16::MIN].map(encode_alaw), [0xd5, 0x55, 0xaa, 0x2a]);
    }

    #[test]
    fn every_code_survives_decoding_and_encoding() {
        for code in 0..=255 {
            assert_eq!(encode_alaw(decode_alaw(code)), code);
            // 0x7f is minus zero, which linear samples do not have.
            let expected = if code == 0x7f { 0xff } else { code };
            assert_eq!(encode_ulaw(decode_ulaw(code)), expected);
        }
    }
}
