//! Where speech is: the WebRTC detector, frame by frame, smoothed into spurts.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use webrtc_vad::{SampleRate, Vad, VadMode};

use crate::audio::pcm::{self, Frame, SAMPLE_RATE};

/// Length of a frame; the detector knows 10, 20 and 30 ms, and 20 ms is the usual packet.
pub const FRAME: Duration = Duration::from_millis(20);
/// Samples in a [`FRAME`].
pub const FRAME_SAMPLES: usize = SAMPLE_RATE as usize / 50;

/// How fast a loud voice is forgotten, in dB per voiced frame.
const FORGET_DB: f32 = 0.02;

/// The detector's own settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How sure the detector must be.
    pub mode: Mode,
    /// Voiced frames that begin a spurt ..
    pub onset: usize,
    /// .. within so many frames. Every frame waits for that many less one.
    pub onset_within: usize,
    /// Frames after a voiced one that still belong to the word: [`Activity::Speech`].
    pub ending: usize,
    /// Frames after a voiced one until the spurt is over: [`Activity::Hangover`].
    pub hangover: usize,
    /// How far below the party's own voice a frame may be and still be taken for it, in dB.
    pub reach_db: f32,
}

impl Default for Settings {
    /// Mode 2 and 30 dB, from 206 s of real speech in mu-law (five readers at -26 dBFS), in % of
    /// the frames that are speech by level, and of those that are not, called speech:
    ///
    /// | | mode 1 | mode 2 | mode 3 | mode 2 without the 30 dB |
    /// |---|---|---|---|---|
    /// | clean | 93.8, 7.9 | 92.8, 7.5 | 83.6, 5.8 | 94.0, 17.3 |
    /// | white noise at -10 dB | 84.3, 9.8 | 81.5, 5.9 | 80.5, 5.2 | 81.5, 5.9 |
    /// | eight voices at -30 dB | 97.3, 13.3 | 96.3, 11.8 | 83.4, 6.3 | 97.5, 65.3 |
    /// | white noise alone | 0.1 | 0.1 | 0.1 | 0.1 |
    ///
    /// 3 of 5 frames: a spurt of 60 ms, the shortest syllable, while single clicks stay out.
    /// 100 ms: an unvoiced ending. 300 ms: a stop within a phrase.
    fn default() -> Self {
        Self {
            mode: Mode::Aggressive,
            onset: 3,
            onset_within: 5,
            ending: 5,
            hangover: 15,
            reach_db: 30.0,
        }
    }
}

/// How readily the detector calls a frame speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Misses least (0).
    Quality,
    /// (1)
    LowBitrate,
    /// (2)
    Aggressive,
    /// Mistakes noise for speech least (3).
    VeryAggressive,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activity {
    /// Voice, or so close to it that it belongs to the same word.
    Speech,
    /// A pause within a spurt: not voice, but not yet its end.
    Hangover,
    /// Nothing said.
    Silence,
}

/// A frame and what it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// [`FRAME_SAMPLES`] long.
    pub frame: Frame,
    /// What it is.
    pub activity: Activity,
}

/// Cuts a stream into frames of 20 ms and tells speech from silence.
///
/// Each frame waits until it is known whether a spurt begins with it, 80 ms by default, so the
/// labels need no mending afterwards: a spurt starts at its first voiced frame. The native detector
/// is not `Send`: a stream stays on the thread where it began.
pub struct VoiceActivity {
    settings: Settings,
    detector: Vad,
    /// Fewer samples than a frame, and whether any of them is concealed.
    rest: Vec<f32>,
    rest_concealed: bool,
    /// Samples of the stream before `rest`, silences included.
    position: u64,
    /// Frames that may yet turn out to begin a spurt, with the detector's word on each.
    undecided: VecDeque<(Frame, bool)>,
    /// Level of the party's voice in dBFS; follows loud frames at once and quiet ones slowly.
    voice_dbfs: f32,
    /// Frames since the last voiced one; `None` outside a spurt.
    since_voiced: Option<usize>,
    ready: VecDeque<Heard>,
    stats: Stats,
}

/// Counts of frames since the stream began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Heard in all; skipped time is not heard.
    pub frames: u64,
    /// Of these [`Activity::Speech`].
    pub speech: u64,
    /// Of these with concealed audio in them.
    pub concealed: u64,
}

impl VoiceActivity {
    /// At the beginning of a stream. `settings.onset_within` below one is taken as one.
    pub fn new(settings: Settings) -> Self {
        let mode = match settings.mode {
            Mode::Quality => VadMode::Quality,
            Mode::LowBitrate => VadMode::LowBitrate,
            Mode::Aggressive => VadMode::Aggressive,
            Mode::VeryAggressive => VadMode::VeryAggressive,
        };
        Self {
            settings,
            detector: Vad::new_with_rate_and_mode(SampleRate::Rate16kHz, mode),
            rest: Vec::new(),
            rest_concealed: false,
            position: 0,
            undecided: VecDeque::new(),
            voice_dbfs: f32::NEG_INFINITY,
            since_voiced: None,
            ready: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Takes the next samples of the stream at [`SAMPLE_RATE`], any number.
    ///
    /// A frame is concealed as soon as one sample in it is.
    pub fn push(&mut self, mut samples: &[f32], concealed: bool) {
        while !samples.is_empty() {
            let take = samples.len().min(FRAME_SAMPLES - self.rest.len());
            self.rest.extend(&samples[..take]);
            self.rest_concealed |= concealed;
            samples = &samples[take..];
            if self.rest.len() == FRAME_SAMPLES {
                self.judge();
            }
        }
    }

    /// Nothing was sent for `time`.
    ///
    /// As much of it as ends a spurt is heard as digital silence; over the rest the stream's time
    /// jumps, so that a caller on hold costs nothing.
    ///
    /// Returns whether it jumped.
    pub fn skip(&mut self, time: Duration) -> bool {
        let length = pcm::samples_in(time);
        let frames = self.settings.hangover + self.settings.onset_within + 1;
        let heard = length.min((frames * FRAME_SAMPLES) as u64);
        self.push(&vec![0.0; heard as usize], false);
        self.position += length - heard;
        length > heard
    }

    /// `time` passes and nobody hears what is in it.
    pub fn pass(&mut self, time: Duration) {
        self.position += pcm::samples_in(time);
    }

    /// What was pushed and not taken is forgotten, an open spurt is over; the stream's time stays.
    pub fn discard(&mut self) {
        self.position += self.rest.len() as u64;
        self.rest.clear();
        self.rest_concealed = false;
        self.undecided.clear();
        self.since_voiced = None;
        self.ready.clear();
    }

    /// The next frame whose activity is settled.
    pub fn poll_output(&mut self) -> Option<Heard> {
        self.ready.pop_front()
    }

    /// Stream time of the end of all that was pushed.
    pub fn position(&self) -> Duration {
        pcm::duration_of(self.position + self.rest.len() as u64)
    }

    /// The stream is over: settles the frames still undecided. Samples that fill no frame are lost.
    pub fn finish(&mut self) {
        while self.settle() {}
        self.rest.clear();
    }

    /// The counts so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Asks the detector about the full frame in `rest`.
    fn judge(&mut self) {
        let samples = std::mem::replace(&mut self.rest, Vec::with_capacity(FRAME_SAMPLES));
        let voiced = self
            .detector
            .is_voice_segment(&pcm::to_i16(&samples))
            .expect("20 ms at 16 kHz is a length that it takes")
            && self.is_near(&samples);
        let frame = Frame {
            samples,
            start: pcm::duration_of(self.position),
            concealed: std::mem::take(&mut self.rest_concealed),
        };
        self.position += FRAME_SAMPLES as u64;
        self.undecided.push_back((frame, voiced));
        if self.undecided.len() >= self.settings.onset_within {
            self.settle();
        }
    }

    /// Whether a voice is loud enough to be the party's own and not one across the room: the
    /// detector alone hears speech 30 dB down.
    fn is_near(&mut self, samples: &[f32]) -> bool {
        let level = pcm::level_dbfs(samples);
        self.voice_dbfs = level.max(self.voice_dbfs - FORGET_DB);
        level >= self.voice_dbfs - self.settings.reach_db
    }

    /// Labels the oldest undecided frame, in the light of those behind it.
    fn settle(&mut self) -> bool {
        let voiced_ahead = self.undecided.iter().filter(|(_, voiced)| *voiced).count();
        let Some((frame, voiced)) = self.undecided.pop_front() else { return false };
        let begins = voiced_ahead >= self.settings.onset;
        self.since_voiced = match self.since_voiced {
            Some(_) if voiced => Some(0),
            None if voiced && begins => Some(0),
            Some(since) if since < self.settings.hangover => Some(since + 1),
            Some(_) | None => None,
        };
        let activity = match self.since_voiced {
            Some(since) if since <= self.settings.ending => Activity::Speech,
            Some(_) => Activity::Hangover,
            None => Activity::Silence,
        };
        self.stats.frames += 1;
        self.stats.speech += u64::from(activity == Activity::Speech);
        self.stats.concealed += u64::from(frame.concealed);
        self.ready.push_back(Heard { frame, activity });
        true
    }
}

impl fmt::Debug for VoiceActivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VoiceActivity")
            .field("settings", &self.settings)
            .field("position", &self.position)
            .field("since_voiced", &self.since_voiced)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Harmonics of 140 Hz like a sustained vowel, at `level` times a loud voice.
    fn vowel(ms: usize, level: f32) -> Vec<f32> {
        let wave = |n: usize, harmonic: usize| {
            let phase = (n * harmonic * 140) as f32 / SAMPLE_RATE as f32;
            (std::f32::consts::TAU * phase.fract()).sin() / harmonic as f32
        };
        let sample = |n| level * 0.2 * (1..=20).map(|harmonic| wave(n, harmonic)).sum::<f32>();
        (0..ms * 16).map(sample).collect()
    }

    fn silence(ms: usize) -> Vec<f32> {
        vec![0.0; ms * 16]
    }

    fn drain(voice: &mut VoiceActivity) -> Vec<Heard> {
        std::iter::from_fn(|| voice.poll_output()).collect()
    }

    fn hear(samples: &[f32]) -> Vec<Heard> {
        let mut voice = VoiceActivity::new(Settings::default());
        voice.push(samples, false);
        voice.finish();
        drain(&mut voice)
    }

    /// Stream time in ms at which `activity` begins and ends.
    fn span(heard: &[Heard], activity: Activity) -> Option<(u128, u128)> {
        let mut frames = heard.iter().filter(|heard| heard.activity == activity);
        let first = &frames.next()?.frame;
        let last = frames.next_back().map_or(first, |heard| &heard.frame);
        Some((first.start.as_millis(), last.end().as_millis()))
    }

    #[test]
    fn a_spurt_starts_with_its_first_voiced_frame_and_fades_out_in_two_steps() {
        let heard = hear(&[silence(1_000), vowel(1_000, 1.0), silence(1_000)].concat());
        assert_eq!(heard.len(), 150);
        let (start, end) = span(&heard, Activity::Speech).expect("speech");
        assert!((980..=1_040).contains(&start), "{start}");
        // The detector itself lingers for some frames.
        assert!((2_100..=2_300).contains(&end), "{end}");
        assert_eq!(span(&heard, Activity::Hangover), Some((end, end + 200)));
        assert_eq!(heard.last().map(|heard| heard.activity), Some(Activity::Silence));
    }

    #[test]
    fn a_frame_waits_for_four_more() {
        let mut voice = VoiceActivity::new(Settings::default());
        voice.push(&silence(80), false);
        assert_eq!(voice.poll_output(), None);
        voice.push(&silence(20), false);
        assert_eq!(drain(&mut voice).len(), 1);
        voice.finish();
        assert_eq!(drain(&mut voice).len(), 4);
    }

    #[test]
    fn a_voice_far_below_the_first_is_someone_else() {
        let pause = silence(1_000);
        let near = [vowel(1_000, 1.0), pause.clone(), vowel(1_000, 0.1), pause.clone()].concat();
        let far = [vowel(1_000, 1.0), pause.clone(), vowel(1_000, 0.01), pause].concat();
        let after = |heard: &[Heard]| span(&heard[100..], Activity::Speech);
        assert!(after(&hear(&near)).is_some());
        assert_eq!(after(&hear(&far)), None);
    }

    #[test]
    fn too_short_a_sound_is_no_spurt() {
        let mut settings = Settings { onset: 20, onset_within: 20, ..Settings::default() };
        let sound = [silence(1_000), vowel(200, 1.0), silence(1_000)].concat();
        let speech = |settings| {
            let mut voice = VoiceActivity::new(settings);
            voice.push(&sound, false);
            voice.finish();
            span(&drain(&mut voice), Activity::Speech)
        };
        assert_eq!(speech(settings), None);
        settings.onset = 3;
        assert!(speech(settings).is_some());
    }

    #[test]
    fn the_cut_into_packets_does_not_show() {
        let audio = [silence(300), vowel(500, 1.0), silence(500)].concat();
        let whole = hear(&audio);
        for length in [1, 160, 333, 960] {
            let mut voice = VoiceActivity::new(Settings::default());
            audio.chunks(length).for_each(|chunk| voice.push(chunk, false));
            voice.push(&[], false);
            voice.finish();
            assert_eq!(drain(&mut voice), whole, "packets of {length}");
        }
    }

    #[test]
    fn one_concealed_sample_marks_its_frame_and_no_other() {
        let mut voice = VoiceActivity::new(Settings::default());
        voice.push(&silence(30), false);
        voice.push(&[0.0], true);
        voice.push(&silence(100), false);
        voice.finish();
        let concealed: Vec<bool> = drain(&mut voice).iter().map(|h| h.frame.concealed).collect();
        assert_eq!(concealed, [false, true, false, false, false, false]);
        assert_eq!(voice.stats().concealed, 1);
    }

    #[test]
    fn a_skipped_silence_ends_the_spurt_and_costs_no_frames() {
        let mut voice = VoiceActivity::new(Settings::default());
        voice.push(&vowel(1_000, 1.0), false);
        voice.skip(Duration::from_secs(3_600));
        let before = drain(&mut voice);
        assert_eq!(before.last().map(|heard| heard.activity), Some(Activity::Silence));
        assert!(voice.stats().frames < 100);
        voice.push(&vowel(1_000, 1.0), false);
        voice.finish();
        let (_, end) = span(&drain(&mut voice), Activity::Speech).expect("speech");
        assert_eq!(end, 3_602_000);
    }

    #[test]
    fn a_short_pause_in_sending_is_heard_as_silence() {
        let mut voice = VoiceActivity::new(Settings::default());
        voice.push(&vowel(1_000, 1.0), false);
        voice.skip(Duration::from_millis(100));
        voice.push(&vowel(1_000, 1.0), false);
        voice.finish();
        let heard = drain(&mut voice);
        assert_eq!(heard.len(), 105);
        assert!(heard.iter().skip(5).all(|heard| heard.activity != Activity::Silence));
    }
}
