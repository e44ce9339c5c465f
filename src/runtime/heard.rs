//! A caller's audio, compared with voiceprints by the real models at once: a call without its network.

use std::collections::HashMap;
use std::time::Duration;

use crate::audio::listener::{Heard as Part, Listener};
use crate::audio::speech_windows::SpeechWindow;
use crate::call::speaker_watch::SpeakerWatch;
use crate::policy::evidence::SpeakerEvidence;
use crate::runtime::voices::Voices;
use crate::speaker::embedder::{Embedder, Purpose};
use crate::speaker::embedding::Embedding;

/// Samples that the listener is given at once: 20 ms at 8 kHz, as packets bring them.
const PACKET: usize = 160;

/// Audio as the listener heard it. What an embedder said of a window is remembered, so that a second
/// voiceprint costs no second run.
#[derive(Debug, Default)]
pub struct Heard {
    /// Each with the concealed speech by then.
    windows: Vec<(SpeechWindow, Duration)>,
    voices: HashMap<(Purpose, u64), Option<Embedding>>,
    net_speech: Duration,
}

impl Heard {
    /// Hears `samples` at `rate` (8 or 16 kHz), up to `limit` of net speech where there is one.
    pub fn of(samples: &[f32], rate: u32, limit: Option<Duration>) -> Self {
        let spans = samples.chunks(PACKET).map(|samples| (samples, false));
        Self::of_spans(spans, rate, limit)
    }

    /// The same of audio in spans, each of which may have been made up in place of lost packets.
    pub fn of_spans<'a>(
        spans: impl IntoIterator<Item = (&'a [f32], bool)>,
        rate: u32,
        limit: Option<Duration>,
    ) -> Self {
        let mut listener = Listener::new(true, false);
        let mut heard = Self::default();
        let enough = |listener: &Listener| limit.is_some_and(|most| listener.net_speech() >= most);
        for (samples, concealed) in spans {
            listener.hear(samples, rate, concealed);
            heard.take(&mut listener);
            if enough(&listener) {
                break;
            }
        }
        if !enough(&listener) {
            listener.finish();
            heard.take(&mut listener);
        }
        heard.net_speech = listener.net_speech();
        heard
    }

    fn take(&mut self, listener: &mut Listener) {
        while let Some(part) = listener.poll() {
            if let Part::Window(window) = part {
                self.windows.push((window, listener.concealed_speech()));
            }
        }
    }

    /// Speech heard.
    pub fn net_speech(&self) -> Duration {
        self.net_speech
    }

    /// What `watch` learns, window by window, until nothing can change any more. A model that fails on a
    /// window has nothing to say of it, as in a call.
    pub fn compare<E: Embedder>(
        &mut self,
        mut watch: SpeakerWatch,
        voices: &mut Voices<E>,
    ) -> Vec<SpeakerEvidence> {
        let mut evidence = Vec::new();
        for (window, concealed) in &self.windows {
            if !watch.wants_windows() {
                break;
            }
            watch.handle_window(window.clone(), *concealed);
            while let Some(work) = watch.poll_work() {
                let voice = self.voices.entry((work.by, work.window));
                let voice = voice
                    .or_insert_with(|| voices.embed(watch.leave(), work.by, &work.samples).ok());
                watch.handle_embedding(work.by, work.window, voice.clone());
            }
            evidence.extend(std::iter::from_fn(|| watch.poll_evidence()));
        }
        evidence
    }
}
