//! Spurts of speech as whole segments, for keyword spotting.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::pcm::Frame;
use crate::audio::voice_activity::{Activity, FRAME, Heard};

/// The segmenter's own settings; all are kept in whole frames of 20 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Audio kept from before a spurt.
    pub pre_roll: Duration,
    /// Silence after a spurt, beside its hangover, that does not yet end the segment.
    pub pause: Duration,
    /// Pause, hangover or silence, after which what was said so far is given out at once, in case nothing follows.
    pub provisional: Duration,
    /// By how much that pause is made longer, with its own noise.
    pub told_longer: Duration,
    /// Speech since what was given out last without which it is not.
    pub fresh: Duration,
    /// Longest segment; a longer spurt is cut.
    pub longest: Duration,
    /// End of a cut segment with which the next begins again.
    pub carried: Duration,
    /// A segment with less speech is dropped.
    pub least_speech: Duration,
}

impl Default for Settings {
    /// 200 ms: a weak first consonant lies before the first frame that counts as voiced. A pause of
    /// another 200 ms: cut at every shorter one, 963 of 1000 confusable phrases were found without a
    /// false alarm, and so 979; it costs as much latency. 4 s, and 2 s of it again: longer than most phrases,
    /// so a phrase on the cut is whole in one of the two, and in a monologue it is heard at most 2 s
    /// after its end (by 8 s and 1 s: 7 s). 0.3 s: a single short word; less is a click or a breath. 120 ms: what is said
    /// between two breaths is searched .4 s before the spurt is known to have ended; told 300 ms longer, .974 of
    /// the confusable phrases are found, as in whole spurts, and as it is .969. 0.4 s: less holds no phrase.
    fn default() -> Self {
        Self {
            pre_roll: Duration::from_millis(200),
            pause: Duration::from_millis(200),
            provisional: Duration::from_millis(120),
            told_longer: Duration::from_millis(300),
            fresh: Duration::from_millis(400),
            longest: Duration::from_secs(4),
            carried: Duration::from_secs(2),
            least_speech: Duration::from_millis(300),
        }
    }
}

/// Gathers each spurt, with what came just before and its hangover, into one [`Segment`]; or two, where it pauses.
#[derive(Debug)]
pub struct Segmenter {
    settings: Settings,
    /// The last frames of silence, none older than the pre-roll.
    before: VecDeque<Frame>,
    open: Option<Open>,
    /// Frames of speech really received.
    heard: u32,
    ready: VecDeque<Segment>,
    /// Where the newest spurt ended, until it is told.
    ended: Option<Duration>,
    stats: Stats,
}

/// One spurt of speech, or part of a long one.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// At 16 kHz.
    pub samples: Vec<f32>,
    /// Stream time of the first sample.
    pub start: Duration,
    /// Begins with the end of the segment before.
    pub continued: bool,
    /// It was too long, or long enough for a short pause to cut it: what follows begins with its end.
    pub cut: bool,
    /// The speaker pauses. If more is said, it comes again with that; else this was all.
    pub provisional: bool,
    /// Share of its frames with concealed audio in them, 0-1.
    pub concealed_share: f32,
    /// Speech really received since the stream began, up to the segment's end.
    pub net_speech: Duration,
}

/// Counts since the stream began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Segments given out.
    pub segments: u64,
    /// Of these, cut off a spurt that went on.
    pub cut: u64,
    /// Of these, given out in a pause.
    pub early: u64,
    /// Segments dropped for too little speech.
    pub dropped: u64,
}

#[derive(Debug)]
struct Open {
    frames: Vec<(Frame, Activity)>,
    /// Frames of silence at its end.
    quiet: usize,
    /// How many of the first frames were already in the segment before.
    carried: usize,
    /// Frames at its end that are not speech.
    paused: usize,
    /// Frames that were given out in a pause.
    given: usize,
}

impl Open {
    /// Frames of speech from the one at `from` on.
    fn speech(&self, from: usize) -> usize {
        let speech = |(_, activity): &&(Frame, Activity)| *activity == Activity::Speech;
        self.frames[from..].iter().filter(speech).count()
    }
}

impl Segmenter {
    /// Nothing heard yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            before: VecDeque::new(),
            open: None,
            heard: 0,
            ready: VecDeque::new(),
            ended: None,
            stats: Stats::default(),
        }
    }

    /// Takes the next frame of the stream.
    pub fn handle_frame(&mut self, heard: &Heard) {
        let frame = heard.frame.clone();
        // What follows a jump over a long silence is another spurt.
        let last = self.open.as_ref().and_then(|open| open.frames.last());
        if last.is_some_and(|(last, _)| last.end() != frame.start) {
            self.close(false);
        }
        if heard.activity == Activity::Silence {
            self.rest(frame);
            return;
        }
        // Before the jump over a long silence lies another conversation.
        if self.before.back().is_some_and(|last| last.end() != frame.start) {
            self.before.clear();
        }
        let before = &mut self.before;
        let open = self.open.get_or_insert_with(|| Open {
            frames: before.drain(..).map(|frame| (frame, Activity::Silence)).collect(),
            quiet: 0,
            carried: 0,
            paused: 0,
            given: 0,
        });
        open.quiet = 0;
        self.heard += u32::from(heard.activity == Activity::Speech && !frame.concealed);
        open.frames.push((frame, heard.activity));
        open.paused = if heard.activity == Activity::Speech { 0 } else { open.paused + 1 };
        self.give_out_early();
        let Some(open) = &mut self.open else { return };
        if open.frames.len() >= frames_in(self.settings.longest) {
            let tail = open.frames.len().saturating_sub(frames_in(self.settings.carried));
            let frames = open.frames[tail..].to_vec();
            self.close(true);
            let (carried, paused) = (frames.len(), 0);
            self.open = Some(Open { carried, quiet: 0, paused, given: carried, frames });
        }
    }

    /// The stream is over: a spurt still open ends here.
    pub fn finish(&mut self) {
        self.close(false);
    }

    /// What was gathered and not taken is forgotten: none of it will be in a segment.
    pub fn discard(&mut self) {
        self.before.clear();
        (self.open, self.ended) = (None, None);
        self.ready.clear();
    }

    /// The next whole segment.
    pub fn poll_output(&mut self) -> Option<Segment> {
        self.ready.pop_front()
    }

    /// Where a spurt ended, all of which was given out as segments or dropped; to be asked for after them.
    pub fn poll_end(&mut self) -> Option<Duration> {
        self.ended.take()
    }

    /// The counts so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// A frame of silence: a short pause belongs to what is said around it, a longer one ends the segment.
    fn rest(&mut self, frame: Frame) {
        let longest = frames_in(self.settings.longest);
        let pause = frames_in(self.settings.pause);
        match &mut self.open {
            Some(open) if open.quiet < pause && open.frames.len() + 1 < longest => {
                open.quiet += 1;
                open.paused += 1;
                open.frames.push((frame, Activity::Silence));
                self.give_out_early();
            }
            _ => {
                self.close(false);
                self.remember(frame);
            }
        }
    }

    fn remember(&mut self, frame: Frame) {
        self.before.push_back(frame);
        while self.before.len() > frames_in(self.settings.pre_roll) {
            self.before.pop_front();
        }
    }

    fn close(&mut self, cut: bool) {
        let Some(open) = self.open.take() else { return };
        if !cut {
            self.ended = open.frames.last().map(|(last, _)| last.end());
        }
        // A pause that nothing followed is what comes next's pre-roll as well.
        let quiet = open.frames.len() - open.quiet;
        open.frames[quiet..].iter().for_each(|(frame, _)| self.remember(frame.clone()));
        if open.given > 0 && open.speech(open.given) == 0 {
            // The spurt ended on the cut, or in the pause: all of it has been given out.
            return;
        }
        if open.speech(0) < frames_in(self.settings.least_speech) {
            self.stats.dropped += 1;
            return;
        }
        self.stats.cut += u64::from(cut);
        self.give_out(&open, cut, false);
    }

    /// What was said up to a pause need not wait for its end.
    fn give_out_early(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let Settings { provisional, fresh, least_speech, carried, .. } = self.settings;
        if open.paused == frames_in(provisional)
            && open.speech(open.given) >= frames_in(fresh)
            && open.speech(0) >= frames_in(least_speech)
        {
            self.stats.early += 1;
            let cut = open.frames.len() > frames_in(carried);
            self.stats.cut += u64::from(cut);
            self.give_out(&open, cut, true);
            if cut {
                // A pause is as good a place for a cut as any: what lies before is not to be heard a third time.
                open.frames.drain(..open.frames.len() - frames_in(carried));
                open.carried = open.frames.len();
            }
            open.given = open.frames.len();
        }
        self.open = Some(open);
    }

    fn give_out(&mut self, open: &Open, cut: bool, early: bool) {
        let concealed = open.frames.iter().filter(|(frame, _)| frame.concealed).count();
        let mut samples: Vec<f32> =
            open.frames.iter().flat_map(|(frame, _)| frame.samples.iter().copied()).collect();
        if early {
            // The model hears better with a silence behind the last word, so the pause is told longer than it is yet.
            let pause = &open.frames[open.frames.len() - open.paused..];
            let room = frames_in(self.settings.longest) - open.frames.len();
            let more = frames_in(self.settings.told_longer).min(room);
            let frames = pause.iter().cycle().take(more);
            samples.extend(frames.flat_map(|(frame, _)| frame.samples.iter().copied()));
        }
        self.stats.segments += 1;
        self.ready.push_back(Segment {
            start: open.frames[0].0.start,
            continued: open.carried > 0,
            cut,
            provisional: early && !cut,
            concealed_share: concealed as f32 / open.frames.len() as f32,
            net_speech: FRAME * self.heard,
            samples,
        });
    }
}

fn frames_in(time: Duration) -> usize {
    (time.as_millis() / FRAME.as_millis()) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::voice_activity::FRAME_SAMPLES;

    struct Bench {
        segmenter: Segmenter,
        now: Duration,
    }

    impl Bench {
        fn new() -> Self {
            Self { segmenter: Segmenter::new(Settings::default()), now: Duration::ZERO }
        }

        fn hear(&mut self, ms: u64, activity: Activity, concealed: bool) {
            for _ in 0..ms / 20 {
                let samples = vec![0.1; FRAME_SAMPLES];
                let frame = Frame { samples, start: self.now, concealed };
                self.segmenter.handle_frame(&Heard { frame, activity });
                self.now += FRAME;
            }
        }

        fn spurt(&mut self, ms: u64) {
            self.hear(ms, Activity::Speech, false);
            self.hear(200, Activity::Hangover, false);
            self.hear(1_000, Activity::Silence, false);
        }

        /// Start, length in ms, continued, cut.
        fn segments(&mut self) -> Vec<(u128, usize, bool, bool)> {
            std::iter::from_fn(|| self.segmenter.poll_output())
                .map(|s| (s.start.as_millis(), s.samples.len() / 16, s.continued, s.cut))
                .collect()
        }
    }

    #[test]
    fn a_spurt_is_one_segment_with_pre_roll_and_the_beginning_of_its_pause() {
        let mut bench = Bench::new();
        bench.hear(1_000, Activity::Silence, false);
        bench.spurt(2_000);
        assert_eq!(bench.segments(), [(800, 2_620, false, true)]);
    }

    #[test]
    fn the_pre_roll_does_not_reach_over_a_skipped_silence() {
        let mut bench = Bench::new();
        bench.spurt(1_000);
        bench.now += Duration::from_secs(60);
        bench.spurt(1_000);
        assert_eq!(bench.segments()[1], (62_200, 1_420, false, false));
    }

    #[test]
    fn a_click_is_no_segment() {
        let mut bench = Bench::new();
        bench.spurt(280);
        bench.spurt(300);
        assert_eq!(bench.segments().len(), 1);
        assert_eq!(bench.segmenter.stats(), Stats { segments: 1, dropped: 1, ..Stats::default() });
    }

    #[test]
    fn a_long_spurt_is_cut_and_the_cut_heard_twice() {
        let mut bench = Bench::new();
        bench.spurt(7_100);
        assert_eq!(
            bench.segments(),
            [(0, 4_000, false, true), (2_000, 4_000, true, true), (4_000, 3_520, true, true)]
        );
    }

    #[test]
    fn a_short_pause_ends_nothing_and_a_longer_one_does() {
        let mut bench = Bench::new();
        bench.hear(600, Activity::Speech, false);
        bench.hear(180, Activity::Silence, false);
        bench.hear(600, Activity::Speech, false);
        bench.hear(220, Activity::Silence, false);
        assert_eq!(bench.segments(), [(0, 1_020, false, false), (0, 1_800, false, false)]);
        bench.hear(600, Activity::Speech, false);
        bench.segmenter.finish();
        assert_eq!(bench.segments(), [(1_400, 800, false, false)], "the pause is its pre-roll");
    }

    #[test]
    fn what_was_said_before_a_pause_is_given_out_at_once_and_with_the_rest_if_there_is_one() {
        let mut bench = Bench::new();
        bench.hear(1_000, Activity::Speech, false);
        bench.hear(100, Activity::Hangover, false);
        assert_eq!(bench.segments(), []);
        bench.hear(40, Activity::Hangover, false);
        assert_eq!(bench.segments(), [(0, 1_420, false, false)], "after 120 ms, with 300 more");
        // A word that is too short to be given out by itself.
        bench.hear(380, Activity::Speech, false);
        bench.hear(300, Activity::Hangover, false);
        bench.hear(100, Activity::Silence, false);
        assert_eq!(bench.segments(), []);
        bench.hear(300, Activity::Silence, false);
        assert_eq!(bench.segments(), [(0, 2_020, false, false)]);
        bench.spurt(1_000);
        assert_eq!(bench.segments().len(), 1, "nothing followed");
        let Stats { segments, early, .. } = bench.segmenter.stats();
        assert_eq!((segments, early), (3, 2));
    }

    #[test]
    fn a_short_pause_after_more_than_is_carried_is_a_cut() {
        let mut bench = Bench::new();
        bench.hear(3_000, Activity::Speech, false);
        bench.hear(140, Activity::Hangover, false);
        bench.spurt(1_000);
        assert_eq!(bench.segments(), [(0, 3_420, false, true), (1_120, 3_440, true, true)]);
        assert_eq!(bench.segmenter.stats(), Stats { segments: 2, cut: 2, early: 2, dropped: 0 });
    }

    #[test]
    fn a_spurt_that_ends_on_the_cut_is_not_repeated() {
        let mut bench = Bench::new();
        bench.spurt(4_000);
        assert_eq!(bench.segments(), [(0, 4_000, false, true)]);
        assert_eq!(bench.segmenter.stats().dropped, 0);
    }

    #[test]
    fn the_end_of_the_stream_ends_the_spurt() {
        let mut bench = Bench::new();
        bench.hear(500, Activity::Speech, false);
        assert_eq!(bench.segments(), []);
        bench.segmenter.finish();
        assert_eq!(bench.segments(), [(0, 500, false, false)]);
    }

    #[test]
    fn concealed_audio_is_kept_and_told() {
        let mut bench = Bench::new();
        bench.hear(600, Activity::Speech, false);
        bench.hear(200, Activity::Speech, true);
        bench.segmenter.finish();
        let segment = bench.segmenter.poll_output().expect("a segment");
        assert_eq!(segment.concealed_share, 0.25);
    }
}
