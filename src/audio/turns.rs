//! Who of several people in one stream speaks when: the turns of a mixed leg.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::voice_activity::{FRAME, FRAME_SAMPLES};

/// Audio that the segmentation model hears at once, samples at 16 kHz: 10 s.
pub const CHUNK_SAMPLES: usize = CHUNK_FRAMES * FRAME_SAMPLES;
/// From one chunk's start to the next, samples: 5 s, so that half of a chunk is known from the one
/// before, and what is said is attributed at most 5 s later (10 s at the beginning).
pub const HOP_SAMPLES: usize = HOP_FRAMES * FRAME_SAMPLES;
/// People that the model can tell apart within a chunk.
pub const COLUMNS: usize = 3;
/// Rows that the model gives for a chunk.
pub const ROWS: usize = 589;

const CHUNK_FRAMES: usize = 500;
const HOP_FRAMES: usize = 250;
/// The model's rows are 270 samples apart and each hears 991, so row 0 is about sample 495.
const ROW_STEP: usize = 270;
const ROW_CENTRE: usize = 495;
/// 100 ms of speaking in the shared half: less is an edge of the model's, not somebody known.
const KNOWN_FRAMES: usize = 5;

/// One row of the model: whether each of its local speakers talks.
pub type Row = [bool; COLUMNS];

/// Who talks in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// Nobody.
    Nobody,
    /// One person alone, by number.
    One(u32),
    /// More than one: never to be scored.
    Overlap,
}

/// A stretch of time in which the same talk goes on; silence is no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// [`Talk::One`] or [`Talk::Overlap`].
    pub talk: Talk,
    /// Stream time of its first frame.
    pub start: Duration,
    /// Stream time just past its last frame.
    pub end: Duration,
}

/// Links what the model says of one chunk with what it said of the chunk before.
///
/// The model numbers people anew in each chunk. Whoever talks in the half that two chunks share keeps
/// their number; whoever does not gets a new one, since to guess would mix two voices: numbers
/// tell people apart, and one person may have several. A chunk's later half is what is told.
#[derive(Debug, Default)]
pub struct Turns {
    /// Chunks taken.
    chunks: u32,
    /// The newest half chunk: who is known to talk in each frame, by column of its chunk.
    shared: Vec<Row>,
    /// The number of each column of the newest chunk, of those who talk.
    people: [Option<u32>; COLUMNS],
    /// The next new number.
    next: u32,
    open: Option<Turn>,
    ready: VecDeque<Turn>,
}

impl Turns {
    /// Nothing heard yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the [`ROWS`] of the next chunk, of which `heard` samples were audio and the rest was padding,
    /// and gives who talks in each 20 ms frame that was not told before.
    pub fn handle_chunk(&mut self, rows: &[Row; ROWS], heard: usize) -> Vec<Talk> {
        let heard = (heard / FRAME_SAMPLES).min(CHUNK_FRAMES);
        let frames: Vec<Row> = (0..heard).map(|frame| rows[row_of(frame)]).collect();
        let fresh = if self.chunks == 0 { 0 } else { HOP_FRAMES.min(heard) };
        self.people = self.linked(&frames);
        let talk: Vec<Talk> = frames[fresh..].iter().map(|row| self.talk(row)).collect();
        let first = self.chunks * HOP_FRAMES as u32 + fresh as u32;
        for (at, &talk) in (first..).zip(&talk) {
            self.tell(talk, FRAME * at);
        }
        self.shared = frames.get(HOP_FRAMES..).unwrap_or_default().to_vec();
        self.chunks += 1;
        talk
    }

    /// Ends the turn that is open: the stream is over.
    pub fn finish(&mut self) {
        self.ready.extend(self.open.take());
    }

    /// The next turn that is over.
    pub fn poll_output(&mut self) -> Option<Turn> {
        self.ready.pop_front()
    }

    /// Numbers for the columns of a chunk: the pairs of columns that talk together longest first.
    fn linked(&mut self, frames: &[Row]) -> [Option<u32>; COLUMNS] {
        let mut pairs = Vec::with_capacity(COLUMNS * COLUMNS);
        for old in 0..COLUMNS {
            for new in 0..COLUMNS {
                let both = self.shared.iter().zip(frames).filter(|(a, b)| a[old] && b[new]).count();
                pairs.push((both, old, new));
            }
        }
        // Stable, so equals stay in the order of the columns: the same audio, the same numbers.
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.0));
        let mut people = [None; COLUMNS];
        let mut taken = [false; COLUMNS];
        for (both, old, new) in pairs {
            if both >= KNOWN_FRAMES && !taken[old] && people[new].is_none() {
                people[new] = self.people[old];
                taken[old] = true;
            }
        }
        for (column, person) in people.iter_mut().enumerate() {
            if person.is_none() && frames.iter().any(|row| row[column]) {
                *person = Some(self.next);
                self.next += 1;
            }
        }
        people
    }

    fn talk(&self, row: &Row) -> Talk {
        let mut talking = self.people.iter().zip(row).filter(|(_, talks)| **talks);
        match (talking.next(), talking.next()) {
            (Some((Some(person), _)), None) => Talk::One(*person),
            (Some(_), Some(_)) => Talk::Overlap,
            _ => Talk::Nobody,
        }
    }

    fn tell(&mut self, talk: Talk, start: Duration) {
        let end = start + FRAME;
        match &mut self.open {
            Some(open) if open.talk == talk => open.end = end,
            _ => {
                self.ready.extend(self.open.take());
                self.open = (talk != Talk::Nobody).then_some(Turn { talk, start, end });
            }
        }
    }
}

/// The model's row nearest to the middle of a frame.
fn row_of(frame: usize) -> usize {
    let middle = frame * FRAME_SAMPLES + FRAME_SAMPLES / 2;
    (middle.saturating_sub(ROW_CENTRE) + ROW_STEP / 2).div_euclid(ROW_STEP).min(ROWS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chunk in which each (column, from, to) talks, seconds.
    fn chunk(talks: &[(usize, f64, f64)]) -> [Row; ROWS] {
        std::array::from_fn(|row| {
            let at = (ROW_CENTRE + row * ROW_STEP) as f64 / 16_000.0;
            let talks = |column| talks.iter().any(|t| t.0 == column && t.1 <= at && at < t.2);
            std::array::from_fn(talks)
        })
    }

    fn told(turns: &mut Turns) -> Vec<(Talk, f64, f64)> {
        let tenths = |time: Duration| (time.as_secs_f64() * 10.0).round() / 10.0;
        std::iter::from_fn(|| turns.poll_output())
            .map(|turn| (turn.talk, tenths(turn.start), tenths(turn.end)))
            .collect()
    }

    #[test]
    fn who_talks_in_the_shared_half_keeps_their_number_in_whichever_column() {
        let mut turns = Turns::new();
        let first = turns.handle_chunk(&chunk(&[(0, 1.0, 6.0), (1, 7.0, 10.0)]), CHUNK_SAMPLES);
        assert_eq!(first.len(), 500);
        let next = chunk(&[(2, 0.0, 1.0), (0, 2.0, 6.0), (2, 7.0, 10.0)]);
        assert_eq!(turns.handle_chunk(&next, CHUNK_SAMPLES).len(), 250);
        turns.finish();
        let wanted =
            [(Talk::One(0), 1.0, 6.0), (Talk::One(1), 7.0, 11.0), (Talk::One(0), 12.0, 15.0)];
        assert_eq!(told(&mut turns), wanted);
    }

    #[test]
    fn who_does_not_talk_in_the_shared_half_is_somebody_new() {
        let mut turns = Turns::new();
        turns.handle_chunk(&chunk(&[(0, 0.0, 4.0), (1, 5.0, 10.0)]), CHUNK_SAMPLES);
        turns.handle_chunk(&chunk(&[(1, 0.0, 5.0), (0, 6.0, 10.0)]), CHUNK_SAMPLES);
        turns.finish();
        let wanted =
            [(Talk::One(0), 0.0, 4.0), (Talk::One(1), 5.0, 10.0), (Talk::One(2), 11.0, 15.0)];
        assert_eq!(told(&mut turns), wanted);
    }

    #[test]
    fn two_at_once_are_overlap_and_nobody_s_turn() {
        let mut turns = Turns::new();
        turns.handle_chunk(&chunk(&[(0, 1.0, 5.0), (1, 4.0, 8.0)]), CHUNK_SAMPLES);
        let wanted =
            [(Talk::One(0), 1.0, 4.0), (Talk::Overlap, 4.0, 5.0), (Talk::One(1), 5.0, 8.0)];
        assert_eq!(told(&mut turns), wanted);
    }

    #[test]
    fn padding_at_the_end_is_not_told() {
        let mut turns = Turns::new();
        turns.handle_chunk(&chunk(&[(0, 4.0, 10.0)]), CHUNK_SAMPLES);
        let last = turns.handle_chunk(&chunk(&[(0, 0.0, 10.0)]), HOP_SAMPLES + 16_000);
        assert_eq!(last.len(), 50);
        assert!(turns.handle_chunk(&chunk(&[(0, 0.0, 10.0)]), 8_000).is_empty(), "told before");
        turns.finish();
        assert_eq!(told(&mut turns), [(Talk::One(0), 4.0, 11.0)]);
    }
}
