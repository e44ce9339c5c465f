//! How far a party's speech has been searched for phrases, by what is asked of the model and answered.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::pcm;
use crate::audio::segmenter::{self, Segment};

/// Follows the segments of one party, in stream time.
#[derive(Debug)]
pub struct Analysed {
    settings: segmenter::Settings,
    /// First sample of the spurt of talk that goes on.
    open: Option<Duration>,
    /// First samples of the segments that wait for their answer.
    waiting: VecDeque<Duration>,
    /// What was said until then is in segments.
    settled: Duration,
    told: Duration,
}

impl Default for Analysed {
    fn default() -> Self {
        let settings = segmenter::Settings::default();
        let (waiting, settled, told) = (VecDeque::new(), Duration::ZERO, Duration::ZERO);
        Self { settings, open: None, waiting, settled, told }
    }
}

impl Analysed {
    /// The party began to talk.
    pub fn handle_talk(&mut self, at: Duration) {
        self.open.get_or_insert(at.saturating_sub(self.settings.pre_roll));
    }

    /// What was said until `at` is in segments that were asked about, or was too short for one.
    pub fn handle_settled(&mut self, at: Duration) {
        (self.open, self.settled) = (None, at);
    }

    /// The model is asked about `segment`.
    pub fn handle_segment(&mut self, segment: &Segment) {
        self.waiting.push_back(segment.start);
        if segment.cut {
            self.open = Some(end_of(segment).saturating_sub(self.settings.carried));
        }
    }

    /// It has answered, or never will.
    pub fn handle_answer(&mut self, segment: &Segment) {
        if let Some(place) = self.waiting.iter().position(|start| *start == segment.start) {
            self.waiting.remove(place);
        }
    }

    /// How far everything is known; nothing where that is no further than was told. Silence is not in it,
    /// since how much of it has been heard at a time is the network's doing.
    pub fn poll(&mut self) -> Option<Duration> {
        let talk = self.open.unwrap_or(self.settled);
        let until = self.waiting.iter().copied().fold(talk, Duration::min);
        (until > self.told).then(|| {
            self.told = until;
            until
        })
    }
}

/// Stream time after a segment's last sample.
pub fn end_of(segment: &Segment) -> Duration {
    segment.start + pcm::duration_of(segment.samples.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start_s: u64, seconds: usize, cut: bool) -> Segment {
        Segment {
            samples: vec![0.0; 16_000 * seconds],
            start: Duration::from_secs(start_s),
            continued: false,
            cut,
            concealed_share: 0.0,
            net_speech: Duration::ZERO,
        }
    }

    #[test]
    fn nothing_is_known_beyond_the_oldest_segment_that_waits() {
        let s = Duration::from_secs;
        let mut analysed = Analysed::default();
        assert_eq!(analysed.poll(), None, "silence");
        analysed.handle_talk(s(3));
        assert_eq!(analysed.poll(), Some(Duration::from_millis(2_800)));
        let (first, second) = (segment(3, 8, true), segment(10, 4, false));
        analysed.handle_segment(&first);
        analysed.handle_segment(&second);
        analysed.handle_settled(s(14));
        analysed.handle_answer(&second);
        assert_eq!(analysed.poll(), Some(s(3)));
        analysed.handle_answer(&first);
        assert_eq!(analysed.poll(), Some(s(14)));
        assert_eq!(analysed.poll(), None, "it was told");
    }

    #[test]
    fn in_a_long_spurt_it_goes_on_segment_by_segment() {
        let s = Duration::from_secs;
        let mut analysed = Analysed::default();
        analysed.handle_talk(s(3));
        let first = segment(3, 8, true);
        analysed.handle_segment(&first);
        analysed.handle_answer(&first);
        assert_eq!(analysed.poll(), Some(s(9)), "the next begins with the end of the first");
    }
}
