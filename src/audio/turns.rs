//! Who of several people in one stream speaks when: what the segmentation model says of overlapping chunks, linked.

use crate::audio::voice_activity::FRAME_SAMPLES;

/// Audio that the segmentation model hears at once, frames of the voice activity: 10 s.
pub const CHUNK_FRAMES: usize = 500;
/// From one chunk's start to the next, frames: 5 s, so that half of a chunk is known from the one before, and
/// what is said is attributed at most 5 s later (10 s at the beginning).
pub const HOP_FRAMES: usize = 250;
/// Samples of a chunk at 16 kHz.
pub const CHUNK_SAMPLES: usize = CHUNK_FRAMES * FRAME_SAMPLES;
/// People that the model can tell apart within a chunk.
pub const COLUMNS: usize = 3;
/// Rows that the model gives for a chunk.
pub const ROWS: usize = 589;

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
    /// Nobody, or it is not known who.
    Nobody,
    /// One person alone, by number.
    One(u32),
    /// More than one: never to be scored.
    Overlap,
}

/// Says who speaks when in a chunk; `runtime/onnx/` answers it.
pub trait TurnModel {
    /// Why a run failed. The chunk is nobody's; the call goes on.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The [`ROWS`] of [`CHUNK_SAMPLES`] samples at 16 kHz, at telephone bandwidth.
    fn turns(&mut self, chunk: &[f32]) -> Result<Vec<Row>, Self::Error>;
}

/// Links what the model says of one chunk with what it said of the chunk before.
///
/// The model numbers people anew in each chunk. Whoever talks in the half that two chunks share keeps
/// their number; whoever does not gets a new one, since to guess would mix two voices: numbers
/// tell people apart, and one person may have several. A chunk's later half is what is told.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    /// Whether the next chunk begins with frames that were told.
    linked: bool,
    /// The newest half chunk: who is known to talk in each frame, by column of its chunk.
    shared: Vec<Row>,
    /// The number of each column of the newest chunk, of those who talk.
    people: [Option<u32>; COLUMNS],
    /// The next new number.
    next: u32,
}

impl Turns {
    /// Nothing heard yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the rows ([`ROWS`]) of the next chunk, of which `heard` frames were audio and the rest was
    /// padding, and gives who talks in each frame that was not told before.
    pub fn handle_chunk(&mut self, rows: &[Row], heard: usize) -> Vec<Talk> {
        let heard = heard.min(CHUNK_FRAMES);
        let frames: Vec<Row> =
            (0..heard).map(|frame| rows.get(row_of(frame)).copied().unwrap_or_default()).collect();
        let told = if self.linked { HOP_FRAMES.min(heard) } else { 0 };
        self.people = self.link(&frames);
        let talk = frames[told..].iter().map(|row| self.talk(row)).collect();
        self.shared = frames.get(HOP_FRAMES..).unwrap_or_default().to_vec();
        self.linked = true;
        talk
    }

    /// The model said nothing of a chunk: whoever talks in the next one is somebody new.
    pub fn handle_gap(&mut self) {
        self.shared.clear();
        self.linked = true;
    }

    /// The next chunk shares no frame with the one before.
    pub fn restart(&mut self) {
        self.shared.clear();
        self.linked = false;
    }

    /// Numbers for the columns of a chunk: the pairs of columns that talk together longest first.
    fn link(&mut self, frames: &[Row]) -> [Option<u32>; COLUMNS] {
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
    fn chunk(talks: &[(usize, f64, f64)]) -> Vec<Row> {
        let row = |row| {
            let at = (ROW_CENTRE + row * ROW_STEP) as f64 / 16_000.0;
            let talks = |column| talks.iter().any(|t| t.0 == column && t.1 <= at && at < t.2);
            std::array::from_fn(talks)
        };
        (0..ROWS).map(row).collect()
    }

    /// Runs of the same talk: who, and from when to when, in tenths of a second since the first frame told.
    fn runs(talk: &[Talk]) -> Vec<(Talk, usize, usize)> {
        let mut runs: Vec<(Talk, usize, usize)> = Vec::new();
        for (at, &talk) in talk.iter().enumerate() {
            match runs.last_mut() {
                Some(run) if run.0 == talk => run.2 = at + 1,
                _ => runs.push((talk, at, at + 1)),
            }
        }
        let tenths = |frames: usize| (frames + 2) / 5;
        runs.retain(|run| run.0 != Talk::Nobody);
        runs.into_iter().map(|run| (run.0, tenths(run.1), tenths(run.2))).collect()
    }

    #[test]
    fn who_talks_in_the_shared_half_keeps_their_number_in_whichever_column() {
        let mut turns = Turns::new();
        let first = turns.handle_chunk(&chunk(&[(0, 1.0, 6.0), (1, 7.0, 10.0)]), CHUNK_FRAMES);
        assert_eq!(runs(&first), [(Talk::One(0), 10, 60), (Talk::One(1), 70, 100)]);
        let next = chunk(&[(2, 0.0, 1.0), (0, 2.0, 6.0), (2, 7.0, 10.0)]);
        let next = turns.handle_chunk(&next, CHUNK_FRAMES);
        assert_eq!(next.len(), HOP_FRAMES);
        assert_eq!(runs(&next), [(Talk::One(1), 0, 10), (Talk::One(0), 20, 50)]);
    }

    #[test]
    fn who_does_not_talk_in_the_shared_half_is_somebody_new() {
        let mut turns = Turns::new();
        turns.handle_chunk(&chunk(&[(0, 0.0, 4.0), (1, 5.0, 10.0)]), CHUNK_FRAMES);
        let next = turns.handle_chunk(&chunk(&[(1, 0.0, 5.0), (0, 6.0, 10.0)]), CHUNK_FRAMES);
        assert_eq!(runs(&next), [(Talk::One(2), 10, 50)]);
    }

    #[test]
    fn after_a_chunk_without_an_answer_everybody_is_somebody_new() {
        let mut turns = Turns::new();
        turns.handle_chunk(&chunk(&[(0, 0.0, 10.0)]), CHUNK_FRAMES);
        turns.handle_gap();
        let next = turns.handle_chunk(&chunk(&[(0, 0.0, 10.0)]), CHUNK_FRAMES);
        assert_eq!(runs(&next), [(Talk::One(1), 0, 50)]);
        turns.restart();
        let next = turns.handle_chunk(&chunk(&[(0, 0.0, 10.0)]), CHUNK_FRAMES);
        assert_eq!(runs(&next), [(Talk::One(2), 0, 100)]);
    }

    #[test]
    fn two_at_once_are_overlap_and_nobody_s_turn() {
        let mut turns = Turns::new();
        let talk = turns.handle_chunk(&chunk(&[(0, 1.0, 5.0), (1, 4.0, 8.0)]), CHUNK_FRAMES);
        let wanted = [(Talk::One(0), 10, 40), (Talk::Overlap, 40, 50), (Talk::One(1), 50, 80)];
        assert_eq!(runs(&talk), wanted);
    }

    #[test]
    fn padding_at_the_end_is_not_told() {
        let mut turns = Turns::new();
        turns.handle_chunk(&chunk(&[(0, 4.0, 10.0)]), CHUNK_FRAMES);
        let last = turns.handle_chunk(&chunk(&[(0, 0.0, 10.0)]), HOP_FRAMES + 50);
        assert_eq!(last, [Talk::One(0); 50]);
        assert!(turns.handle_chunk(&chunk(&[(0, 0.0, 10.0)]), 25).is_empty(), "told before");
    }
}
