//! Packet loss concealment of ITU-T G.711 Appendix I (09/99), from the past alone, for comparison.

/// Hz; the appendix knows no other.
const RATE: usize = 8_000;
/// Pitch periods searched, samples: 200 to 66 Hz (§I.2.4).
const PITCH: std::ops::RangeInclusive<usize> = 40..=120;
/// Samples that are compared with themselves one period earlier, 20 ms.
const COMPARED: usize = 160;
/// 10 ms: the appendix works in frames of that length.
const FRAME: usize = RATE / 100;
/// Frames after which there is silence (§I.2.7).
const SILENT: usize = 6;
/// What is lost of the level in each frame after the first.
const FADE: f32 = 0.2;

/// `length` samples in the place of what was lost after `past`.
///
/// The appendix delays its output by 3.75 ms to overlap the end of what was received with what is
/// made up; here what was received is never altered, so that only the joints within are smoothed.
pub(crate) fn carried_on(past: &[f32], length: usize) -> Vec<f32> {
    if past.len() < COMPARED + PITCH.end() {
        return vec![0.0; length];
    }
    let lag = pitch(past);
    let mut made = Vec::with_capacity(length);
    let mut periods = 1;
    let mut source = looped(past, lag, periods);
    let mut place = 0;
    while made.len() < length {
        // One period in the first 10 ms, two in the second, three from then on (§I.2.6): one alone
        // sounds harmonic.
        let wanted = (made.len() / FRAME + 1).min(3);
        if wanted != periods && past.len() >= wanted * lag + lag / 4 {
            // In phase: where it is in the period, a whole number of periods from the new start.
            let (next, at) = (looped(past, lag, wanted), place % lag);
            for n in 0..lag / 4 {
                let share = (n as f32 + 0.5) / (lag / 4) as f32;
                let old = source[(place + n) % source.len()];
                let new = next[(at + n) % next.len()];
                made.push(old + (new - old) * share);
            }
            (periods, source, place) = (wanted, next, at + lag / 4);
        } else {
            periods = wanted;
            made.push(source[place % source.len()]);
            place += 1;
        }
    }
    made.truncate(length);
    let faded = |(n, sample): (usize, f32)| {
        let past_first = n.saturating_sub(FRAME) as f32 / FRAME as f32;
        if n >= SILENT * FRAME { 0.0 } else { sample * (1.0 - FADE * past_first).max(0.0) }
    };
    made.into_iter().enumerate().map(faded).collect()
}

/// The last `periods` periods, whose end passes into their beginning over a quarter of one.
fn looped(past: &[f32], lag: usize, periods: usize) -> Vec<f32> {
    let (end, length, joint) = (past.len(), periods * lag, lag / 4);
    let mut source = past[end - length..].to_vec();
    for n in 0..joint {
        let share = (n as f32 + 0.5) / joint as f32;
        let sample = &mut source[length - joint + n];
        *sample += (past[end - length - joint + n] - *sample) * share;
    }
    source
}

/// The lag of the highest normalised correlation.
fn pitch(past: &[f32]) -> usize {
    let end = past.len();
    let recent = &past[end - COMPARED..];
    let likeness = |lag: usize| {
        let earlier = &past[end - COMPARED - lag..end - lag];
        let product: f32 = recent.iter().zip(earlier).map(|(r, e)| r * e).sum();
        let energy: f32 = earlier.iter().map(|e| e * e).sum();
        product / energy.sqrt().max(f32::MIN_POSITIVE)
    };
    let best = PITCH.max_by(|left, right| likeness(*left).total_cmp(&likeness(*right)));
    best.expect("there are pitches to choose from")
}
