//! One session's speech, on its way into a voiceprint: gathered window by window, then judged.

use std::time::Duration;

use crate::audio::pcm::duration_of;
use crate::audio::speech_windows::SpeechWindow;
use crate::speaker::embedding::Embedding;
use crate::speaker::one_voice::{Agreement, Part};
use crate::speaker::quality::{NoiseFloor, Quality, Shortcoming};
use crate::speaker::slices::{SLICE, Slice};
use crate::speaker::voiceprint::{Kept, Session, Source};

/// Windows of one model that a session takes: a minute and a half of them. What is not good enough by
/// then does not become so.
const MOST_WINDOWS: usize = 120;

/// A window, and what one model heard in it.
#[derive(Clone, Debug)]
pub struct Embedded<'a> {
    /// The model, `name@version`.
    pub model: &'a str,
    /// The speech.
    pub window: &'a SpeechWindow,
    /// Its voice.
    pub embedding: Embedding,
}

/// Gathers what the models hear of one person in one session.
#[derive(Clone, Debug)]
pub struct Enrollment {
    when: jiff::Timestamp,
    source: Source,
    /// Tells one voice from several: the model, `name@version`, and its bounds.
    judge: (String, Agreement),
    /// Windows by model, each in the order of the models' first.
    models: Vec<(String, Vec<Part>)>,
    slices: Vec<Part>,
    noise: NoiseFloor,
    analysed: Duration,
}

/// A session that is good enough, and what each model heard in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sitting {
    /// How it was.
    pub session: Session,
    /// Windows by model.
    pub windows: Vec<(String, Vec<Kept>)>,
}

impl Enrollment {
    /// A session that began at `when`. `judge`, `name@version`, tells one voice from several, by
    /// its bounds.
    pub fn new(when: jiff::Timestamp, source: Source, judge: (&str, Agreement)) -> Self {
        Self {
            when,
            source,
            judge: (judge.0.to_owned(), judge.1),
            models: Vec::new(),
            slices: Vec::new(),
            noise: NoiseFloor::default(),
            analysed: Duration::ZERO,
        }
    }

    /// Hears the newest `fresh` of a window, which a model has worked on; what it made of it comes by
    /// [`Self::observe`].
    pub fn hear(&mut self, window: &SpeechWindow, fresh: Duration) {
        let samples = (fresh.as_secs_f64() * 16_000.0).round() as usize;
        self.noise.hear(&window.samples[window.samples.len().saturating_sub(samples)..]);
        self.analysed += fresh;
    }

    /// Takes what one model heard in one window.
    pub fn observe(&mut self, embedded: Embedded<'_>) {
        let Embedded { model, window, embedding } = embedded;
        let place = self.models.iter().position(|(name, _)| name == model);
        let place = place.unwrap_or_else(|| {
            self.models.push((model.to_owned(), Vec::new()));
            self.models.len() - 1
        });
        let windows = &mut self.models[place].1;
        if windows.len() < MOST_WINDOWS {
            let length = duration_of(window.samples.len() as u64);
            windows.push(Part { until: window.net_speech, length, embedding });
        }
    }

    /// Takes what the judging model heard in a slice.
    pub fn observe_slice(&mut self, slice: &Slice, embedding: Embedding) {
        if self.slices.len() < 2 * MOST_WINDOWS {
            self.slices.push(Part { until: slice.until, length: SLICE, embedding });
        }
    }

    /// Net speech that was heard for the models.
    pub fn analysed(&self) -> Duration {
        self.analysed
    }

    /// Whether it has had all the speech that it takes.
    pub fn is_full(&self) -> bool {
        self.models.iter().any(|(_, windows)| windows.len() >= MOST_WINDOWS)
    }

    /// Ratio of voice to noise so far, dB.
    pub fn snr_db(&self) -> Option<f64> {
        self.noise.snr_db()
    }

    /// The session as it stands, or what is wrong with it. Its length is judged with that of the
    /// others, by [`crate::speaker::gathering`].
    pub fn conclude(&self, quality: &Quality) -> Result<Sitting, Shortcoming> {
        let (judge, bounds) = &self.judge;
        let windows = self.models.iter().find(|(model, _)| model == judge);
        let windows = windows.map_or(&[][..], |(_, windows)| windows);
        // Music is also noisy, and a noisy voice also differs from itself: first what it is.
        quality.check_tone()?;
        bounds.slices.check_a_voice(&self.slices)?;
        bounds.windows.check_a_voice(windows)?;
        quality.check()?;
        bounds.slices.check_alone(&self.slices)?;
        bounds.windows.check_alone(windows)?;
        let session = Session {
            when: self.when,
            source: self.source,
            net_speech_s: quality.net_speech.as_secs_f64(),
            snr_db: quality.snr_db,
            clipping: quality.clipping,
            band: quality.band,
            coverage: quality.coverage,
        };
        let kept = |part: &Part| Kept { session: self.when, embedding: part.embedding.clone() };
        let of_model = |(model, parts): &(String, Vec<Part>)| {
            (model.clone(), parts.iter().map(kept).collect())
        };
        Ok(Sitting { session, windows: self.models.iter().map(of_model).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speaker::quality::Band;

    fn window(second: u64, amplitude: f32) -> SpeechWindow {
        SpeechWindow {
            samples: vec![amplitude; 48_000],
            start: Duration::from_secs(second - 3),
            end: Duration::from_secs(second),
            net_speech: Duration::from_secs(second),
            fresh: Duration::from_secs(if second == 3 { 3 } else { 1 }),
        }
    }

    fn voice(degrees: f32) -> Embedding {
        let (sine, cosine) = degrees.to_radians().sin_cos();
        Embedding::from_raw(vec![cosine, sine]).expect("a direction")
    }

    fn heard(degrees: impl Fn(u64) -> f32) -> Enrollment {
        let judge = ("m@1", Agreement::RESNET34);
        let mut enrollment = Enrollment::new(jiff::Timestamp::UNIX_EPOCH, Source::File, judge);
        for second in 3..=12 {
            let (window, embedding) = (window(second, 0.1), voice(degrees(second)));
            enrollment.hear(&window, window.fresh);
            enrollment.observe(Embedded { model: "m@1", window: &window, embedding });
            let embedding = voice(90.0);
            enrollment.observe(Embedded { model: "m@2", window: &window, embedding });
        }
        enrollment
    }

    fn quality() -> Quality {
        Quality {
            net_speech: Duration::from_secs(12),
            snr_db: Some(30.0),
            clipping: 0.0,
            band: Band::Wide,
            coverage: 1.0,
            tone: None,
        }
    }

    #[test]
    fn each_model_has_its_windows_and_the_session_its_figures() {
        let enrollment = heard(|second| (second % 2) as f32 * 45.0);
        assert_eq!(enrollment.analysed(), Duration::from_secs(12));
        let sitting = enrollment.conclude(&quality()).expect("one voice");
        let counts: Vec<_> = sitting.windows.iter().map(|(m, w)| (m.as_str(), w.len())).collect();
        assert_eq!(counts, [("m@1", 10), ("m@2", 10)]);
        assert_eq!((sitting.session.band, sitting.session.net_speech_s), (Band::Wide, 12.0));
    }

    #[test]
    fn two_voices_one_after_the_other_are_found() {
        let enrollment = heard(|second| if second < 8 { 0.0 } else { 85.0 });
        let error = enrollment.conclude(&quality()).expect_err("two voices");
        assert!(matches!(error, Shortcoming::SeveralVoices { .. }), "{error}");
    }

    #[test]
    fn short_turns_show_in_the_slices() {
        let mut enrollment = heard(|second| (second % 2) as f32 * 45.0);
        for n in 0..12_u64 {
            let until = SLICE + Duration::from_millis(750 * n);
            let slice = Slice { until, samples: Vec::new() };
            enrollment.observe_slice(&slice, voice(if n % 4 < 2 { 0.0 } else { 120.0 }));
        }
        let error = enrollment.conclude(&quality()).expect_err("turns");
        assert!(matches!(error, Shortcoming::SeveralVoices { .. }), "{error}");
    }

    #[test]
    fn a_session_without_end_takes_two_minutes() {
        let judge = ("m@1", Agreement::RESNET34);
        let mut enrollment = Enrollment::new(jiff::Timestamp::UNIX_EPOCH, Source::Call, judge);
        for second in 3..=1_000 {
            let window = window(second, 0.1);
            enrollment.observe(Embedded { model: "m@1", window: &window, embedding: voice(0.0) });
        }
        assert!(enrollment.is_full());
        assert_eq!(enrollment.models[0].1.len(), MOST_WINDOWS);
    }
}
