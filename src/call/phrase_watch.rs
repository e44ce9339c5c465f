//! What a party's segments come to: the phrases in them, how far they were looked for, and what was not.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::pcm;
use crate::audio::segmenter::{self, Segment};
use crate::call::speaker_watch::share;
use crate::keyword::spotter::Hit;
use crate::policy::evidence::{Evidence, PhraseEvidence};

/// Follows the segments of one party, in stream time.
#[derive(Debug)]
pub struct PhraseWatch {
    settings: segmenter::Settings,
    /// First sample of the spurt of talk that goes on.
    open: Option<Duration>,
    /// First samples of the segments that wait for their answer, and how long these are.
    waiting: VecDeque<(Duration, Duration)>,
    /// The newest segment: from, to.
    newest: (Duration, Duration),
    /// What was given out in a pause, and nobody searched: it may come again.
    unheard: Option<(Duration, Duration)>,
    /// What was said until then is in segments.
    settled: Duration,
    told: Duration,
    /// Speech offered to the keyword model, and speech that it worked on.
    offered: Duration,
    analysed: Duration,
    /// Net speech by the end of what was searched last, and the share of speech that was.
    net_speech: Duration,
    coverage: f64,
    evidence: VecDeque<Evidence>,
}

impl PhraseWatch {
    /// Nothing heard yet.
    pub fn new() -> Self {
        Self {
            settings: segmenter::Settings::default(),
            open: None,
            waiting: VecDeque::new(),
            newest: (Duration::ZERO, Duration::ZERO),
            unheard: None,
            settled: Duration::ZERO,
            told: Duration::ZERO,
            offered: Duration::ZERO,
            analysed: Duration::ZERO,
            net_speech: Duration::ZERO,
            coverage: 1.0,
            evidence: VecDeque::new(),
        }
    }

    /// The party began to talk.
    pub fn handle_talk(&mut self, at: Duration) {
        self.open.get_or_insert(at.saturating_sub(self.settings.pre_roll));
    }

    /// The model is asked about `segment`.
    pub fn handle_segment(&mut self, segment: &Segment) {
        self.offered += length_of(segment);
        self.waiting.push_back((segment.start, length_of(segment)));
        self.newest = (segment.start, end_of(segment));
        if self.unheard.is_some_and(|unheard| self.covers(unheard)) {
            self.forgive();
        }
        if segment.cut {
            self.open = Some(end_of(segment).saturating_sub(self.settings.carried));
        }
    }

    /// What was said until `at` is in segments that were asked about, or was too short for one.
    pub fn handle_settled(&mut self, at: Duration) {
        (self.open, self.settled) = (None, at);
        if let Some((from, to)) = self.unheard.take() {
            self.evidence.push_back(Evidence::Gap { from, to });
        }
        self.tell_progress();
    }

    /// Nothing is listened to from `at` on: answers that are under way will count for nothing, and what they would
    /// have been about, with what is in no segment yet, is a gap.
    pub fn handle_pause(&mut self, at: Duration) {
        let unheard = self.unheard.map(|(from, _)| from);
        let unknown = self.waiting.iter().map(|(start, _)| *start).chain(self.open).chain(unheard);
        let unknown = unknown.min();
        self.forgive();
        let forgotten = self.waiting.drain(..).map(|(_, length)| length).sum();
        // Nobody failed to search it: it was not to be searched.
        self.offered = self.offered.saturating_sub(forgotten);
        if let Some(from) = unknown.filter(|from| *from < at) {
            self.evidence.push_back(Evidence::Gap { from: from.max(self.told), to: at });
        }
        self.handle_settled(at);
    }

    /// The model has answered, `None` where it failed or never got to it. Of the speech so far, `concealed` was made up
    /// and heard by nobody. Whether the answer was waited for; one that was not counts for nothing.
    pub fn handle_hits(
        &mut self,
        segment: &Segment,
        hits: Option<Vec<Hit>>,
        concealed: Duration,
    ) -> bool {
        let asked = (segment.start, length_of(segment));
        let place = self.waiting.iter().position(|waiting| *waiting == asked);
        if place.and_then(|place| self.waiting.remove(place)).is_none() {
            return false;
        }
        if hits.is_some() {
            self.analysed += length_of(segment);
        } else if segment.provisional {
            self.unheard = Some((segment.start, end_of(segment)));
            if self.unheard.is_some_and(|unheard| self.covers(unheard)) {
                self.forgive();
            }
        }
        self.coverage = share(self.analysed, self.offered + concealed);
        self.net_speech = self.net_speech.max(segment.net_speech);
        if let Some(hits) = hits {
            let coverage = self.coverage;
            self.evidence.extend(hits.into_iter().map(|hit| {
                Evidence::Phrase(PhraseEvidence {
                    phrase: hit.phrase,
                    start: segment.start + hit.start,
                    end: segment.start + hit.end,
                    score: hit.score,
                    exact: hit.exact,
                    net_speech: segment.net_speech,
                    coverage,
                })
            }));
        } else if !segment.provisional {
            self.evidence.push_back(Evidence::Gap { from: segment.start, to: end_of(segment) });
        } else if self.open.is_none()
            && let Some((from, to)) = self.unheard.take()
        {
            self.evidence.push_back(Evidence::Gap { from, to });
        }
        self.tell_progress();
        true
    }

    /// Nobody works any more on what waits for its answer: it is a gap. Of the speech so far, `concealed` was made up.
    pub fn handle_withdrawn(&mut self, concealed: Duration) {
        for (start, length) in std::mem::take(&mut self.waiting) {
            self.evidence.push_back(Evidence::Gap { from: start, to: start + length });
        }
        self.coverage = share(self.analysed, self.offered + concealed);
        self.tell_progress();
    }

    /// Whether the newest segment holds all of what a pause had ended, and more.
    fn covers(&self, (from, to): (Duration, Duration)) -> bool {
        self.newest.0 == from && self.newest.1 != to
    }

    /// What nobody searched comes again: it is no gap.
    fn forgive(&mut self) {
        if let Some((from, to)) = self.unheard.take() {
            self.offered = self.offered.saturating_sub(to - from);
        }
    }

    /// What was learnt, in order.
    pub fn poll_evidence(&mut self) -> Option<Evidence> {
        self.evidence.pop_front()
    }

    /// How far everything is known, where that is further than was told. Silence is not in it, since how much of it
    /// has been heard at a time is the network's doing.
    fn tell_progress(&mut self) {
        let talk = self.open.unwrap_or(self.settled);
        let until = self.waiting.iter().map(|(start, _)| *start).fold(talk, Duration::min);
        if until > self.told {
            self.told = until;
            let Self { net_speech, coverage, .. } = *self;
            self.evidence.push_back(Evidence::Analysed { until, net_speech, coverage });
        }
    }
}

impl Default for PhraseWatch {
    fn default() -> Self {
        Self::new()
    }
}

fn length_of(segment: &Segment) -> Duration {
    pcm::duration_of(segment.samples.len() as u64)
}

/// Stream time after a segment's last sample.
fn end_of(segment: &Segment) -> Duration {
    segment.start + length_of(segment)
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
            provisional: false,
            concealed_share: 0.0,
            net_speech: Duration::ZERO,
        }
    }

    fn told(watch: &mut PhraseWatch) -> Vec<Evidence> {
        std::iter::from_fn(|| watch.poll_evidence()).collect()
    }

    fn analysed_so_far(seconds: u64, coverage: f64) -> Evidence {
        let (until, net_speech) = (Duration::from_secs(seconds), Duration::ZERO);
        Evidence::Analysed { until, net_speech, coverage }
    }

    fn analysed(seconds: u64) -> Evidence {
        analysed_so_far(seconds, 1.0)
    }

    #[test]
    fn nothing_is_known_beyond_the_oldest_segment_that_waits() {
        let s = Duration::from_secs;
        let mut watch = PhraseWatch::new();
        watch.handle_talk(s(3));
        let (first, second) = (segment(3, 4, true), segment(5, 4, false));
        watch.handle_segment(&first);
        watch.handle_segment(&second);
        watch.handle_settled(s(9));
        assert_eq!(told(&mut watch), [analysed(3)]);
        watch.handle_hits(&second, Some(Vec::new()), Duration::ZERO);
        assert_eq!(told(&mut watch), [], "the first still waits");
        watch.handle_hits(&first, Some(Vec::new()), Duration::ZERO);
        assert_eq!(told(&mut watch), [analysed(9)]);
        watch.handle_settled(s(9));
        assert_eq!(told(&mut watch), [], "it was told");
    }

    #[test]
    fn in_a_long_spurt_it_goes_on_segment_by_segment() {
        let mut watch = PhraseWatch::new();
        watch.handle_talk(Duration::from_secs(3));
        let first = segment(3, 4, true);
        watch.handle_segment(&first);
        watch.handle_hits(&first, Some(Vec::new()), Duration::ZERO);
        assert_eq!(told(&mut watch), [analysed(5)], "the next begins with the end of the first");
    }

    #[test]
    fn what_was_given_out_in_a_pause_is_a_gap_only_if_it_does_not_come_again() {
        let s = Duration::from_secs;
        let early = Segment { provisional: true, ..segment(0, 2, false) };
        // More is said, before the answer or after it.
        for answered_first in [true, false] {
            let mut watch = PhraseWatch::new();
            watch.handle_talk(s(0));
            watch.handle_segment(&early);
            if answered_first {
                watch.handle_hits(&early, None, Duration::ZERO);
            }
            let whole = segment(0, 3, false);
            watch.handle_segment(&whole);
            if !answered_first {
                watch.handle_hits(&early, None, Duration::ZERO);
            }
            watch.handle_settled(s(3));
            watch.handle_hits(&whole, Some(Vec::new()), Duration::ZERO);
            assert_eq!(told(&mut watch), [analysed(3)], "and all of it was searched");
        }
        // It was all.
        for answered_first in [true, false] {
            let mut watch = PhraseWatch::new();
            watch.handle_talk(s(0));
            watch.handle_segment(&early);
            if answered_first {
                watch.handle_hits(&early, None, Duration::ZERO);
                assert_eq!(told(&mut watch), [], "it may come again");
            }
            watch.handle_settled(s(3));
            if !answered_first {
                watch.handle_hits(&early, None, Duration::ZERO);
            }
            let gap = Evidence::Gap { from: s(0), to: s(2) };
            assert_eq!(told(&mut watch), [gap, analysed_so_far(3, 0.0)]);
        }
    }

    #[test]
    fn what_a_pause_cuts_off_is_a_gap_and_no_loss_of_coverage_and_late_answers_count_for_nothing() {
        let s = Duration::from_secs;
        let mut watch = PhraseWatch::new();
        watch.handle_talk(s(3));
        let (asked, later) = (segment(3, 4, true), segment(20, 2, false));
        watch.handle_segment(&asked);
        watch.handle_pause(s(8));
        // The segment would have begun with its pre-roll.
        assert_eq!(told(&mut watch), [Evidence::Gap { from: s(3), to: s(8) }, analysed(8)]);
        assert!(!watch.handle_hits(&asked, Some(Vec::new()), Duration::ZERO));
        assert_eq!(told(&mut watch), []);
        watch.handle_talk(s(20));
        watch.handle_segment(&later);
        watch.handle_settled(s(22));
        watch.handle_hits(&later, Some(Vec::new()), Duration::ZERO);
        assert_eq!(told(&mut watch).last(), Some(&analysed(22)), "all that was to be searched was");
    }

    #[test]
    fn a_segment_without_an_answer_is_a_gap_and_lowers_the_coverage() {
        let mut watch = PhraseWatch::new();
        let (lost, heard) = (segment(0, 2, false), segment(4, 2, false));
        watch.handle_segment(&lost);
        watch.handle_segment(&heard);
        watch.handle_settled(Duration::from_secs(6));
        watch.handle_hits(&lost, None, Duration::ZERO);
        let gap = Evidence::Gap { from: Duration::ZERO, to: Duration::from_secs(2) };
        assert_eq!(told(&mut watch), [gap, analysed_so_far(4, 0.0)]);
        let at = |ms| Duration::from_millis(ms);
        let hit = Hit {
            phrase: 0,
            score: -1.0,
            decoder: -1.0,
            exact: false,
            start: at(500),
            end: at(900),
        };
        watch.handle_hits(&heard, Some(vec![hit]), Duration::ZERO);
        let evidence = told(&mut watch);
        let [Evidence::Phrase(phrase), known] = &evidence[..] else { panic!("{evidence:?}") };
        assert_eq!((phrase.start, phrase.coverage), (at(4_500), 0.5));
        assert_eq!(known, &analysed_so_far(6, 0.5));
    }
}
