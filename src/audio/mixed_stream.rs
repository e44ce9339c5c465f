//! A stream in which several people speak: chunks for the segmentation model, and whose each frame is.

use std::collections::VecDeque;

use crate::audio::pcm::Frame;
use crate::audio::turns::{CHUNK_FRAMES, CHUNK_SAMPLES, HOP_FRAMES, Row, Talk, Turns};
use crate::audio::voice_activity::{Activity, Heard};

/// Frames that may wait to be attributed: 20 s, 1.3 MB. A model that is further behind is not waited for.
const MOST_WAITING: usize = 1_000;

/// Audio for the segmentation model.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Its number, from 0.
    pub number: u32,
    /// [`CHUNK_SAMPLES`] at 16 kHz; at the stream's end, padded with silence.
    pub samples: Vec<f32>,
}

/// Holds the frames of a stream until it is known whose they are.
///
/// One chunk is asked about at a time, and the frames come out in their order: so what comes out does not
/// depend on when the model answers.
#[derive(Clone, Debug)]
pub struct MixedStream {
    turns: Turns,
    frames: VecDeque<Heard>,
    /// How many of the first of `frames` were told already.
    told: usize,
    /// The number of the next chunk.
    next: u32,
    /// How many of the first of `frames` are being asked about.
    asked: Option<usize>,
    over: bool,
    chunk: Option<Chunk>,
    ready: Option<Vec<Speech>>,
    forgotten: u32,
}

/// A frame of speech, and who talks in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Speech {
    /// The frame.
    pub frame: Frame,
    /// Who; nobody where the model heard nobody, or said nothing.
    pub talk: Talk,
}

impl MixedStream {
    /// Nothing heard yet.
    pub fn new() -> Self {
        Self {
            turns: Turns::new(),
            frames: VecDeque::new(),
            told: 0,
            next: 0,
            asked: None,
            over: false,
            chunk: None,
            ready: None,
            forgotten: 0,
        }
    }

    /// Takes the next frame of the stream, speech or not.
    pub fn handle_frame(&mut self, heard: Heard) {
        if self.frames.len() == MOST_WAITING {
            let speech = |heard: &&Heard| heard.activity == Activity::Speech;
            let lost = self.frames.iter().skip(self.told).filter(speech).count();
            self.forgotten += lost as u32;
            self.forget();
        }
        self.frames.push_back(heard);
        self.ask();
    }

    /// What was heard and not told is forgotten; an answer about it counts for nothing.
    pub fn discard(&mut self) {
        self.forget();
        self.ready = None;
    }

    /// Nothing more comes.
    pub fn finish(&mut self) {
        self.over = true;
        self.ask();
    }

    /// What the model is to be asked about next.
    pub fn poll_chunk(&mut self) -> Option<Chunk> {
        self.chunk.take()
    }

    /// Takes the model's rows for chunk `number`; `None` where it failed or never got to it. An answer about
    /// what was forgotten meanwhile counts for nothing.
    pub fn handle_rows(&mut self, number: u32, rows: Option<&[Row]>) {
        let Some(asked) = self.asked.filter(|_| number + 1 == self.next) else { return };
        self.asked = None;
        let talk = match rows {
            Some(rows) => self.turns.handle_chunk(rows, asked),
            None => {
                self.turns.handle_gap();
                vec![Talk::Nobody; asked - self.told]
            }
        };
        let told = self.frames.iter().skip(self.told).zip(talk);
        let speech = told.filter(|(heard, _)| heard.activity == Activity::Speech);
        let speech = speech.map(|(heard, talk)| Speech { frame: heard.frame.clone(), talk });
        self.ready = Some(speech.collect());
        // The later half of the chunk is the first of the next one.
        self.frames.drain(..HOP_FRAMES.min(asked));
        self.told = asked.saturating_sub(HOP_FRAMES);
    }

    /// The speech that the newest chunk told of. The next chunk is asked about when this was taken, so no
    /// more than that waits here.
    pub fn poll_speech(&mut self) -> Option<Vec<Speech>> {
        let speech = self.ready.take();
        if speech.is_some() {
            self.ask();
        }
        speech
    }

    /// Frames of speech that the model was too late for.
    pub fn forgotten(&self) -> u32 {
        self.forgotten
    }

    fn forget(&mut self) {
        self.frames.clear();
        (self.told, self.asked, self.chunk) = (0, None, None);
        self.turns.restart();
    }

    fn ask(&mut self) {
        let ready =
            self.frames.len() >= CHUNK_FRAMES || (self.over && self.frames.len() > self.told);
        if self.asked.is_some() || self.ready.is_some() || !ready {
            return;
        }
        let asked = CHUNK_FRAMES.min(self.frames.len());
        let mut samples = Vec::with_capacity(CHUNK_SAMPLES);
        for heard in self.frames.iter().take(asked) {
            samples.extend_from_slice(&heard.frame.samples);
        }
        samples.resize(CHUNK_SAMPLES, 0.0);
        self.chunk = Some(Chunk { number: self.next, samples });
        self.next += 1;
        self.asked = Some(asked);
    }
}

impl Default for MixedStream {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::turns::ROWS;
    use crate::audio::voice_activity::{FRAME, FRAME_SAMPLES};

    /// The first column talks all along.
    const ONE: [Row; ROWS] = [[true, false, false]; ROWS];

    fn hear(stream: &mut MixedStream, from: u32, frames: u32) {
        for n in from..from + frames {
            let samples = vec![n as f32; FRAME_SAMPLES];
            let frame = Frame { samples, start: FRAME * n, concealed: false };
            stream.handle_frame(Heard { frame, activity: Activity::Speech });
        }
    }

    fn told(stream: &mut MixedStream) -> Vec<(f32, Talk)> {
        let speech = stream.poll_speech().unwrap_or_default();
        speech.into_iter().map(|speech| (speech.frame.samples[0], speech.talk)).collect()
    }

    #[test]
    fn every_frame_is_told_once_and_in_order_however_late_the_model_answers() {
        for delay in [0, 100, 249] {
            let mut stream = MixedStream::new();
            let mut all = Vec::new();
            let mut due: Option<(u32, u32)> = None;
            for n in 0..1_330 {
                hear(&mut stream, n, 1);
                if let Some(chunk) = stream.poll_chunk() {
                    assert_eq!(chunk.samples.len(), CHUNK_SAMPLES);
                    due = Some((n + delay, chunk.number));
                }
                if let Some((_, number)) = due.filter(|(at, _)| *at <= n) {
                    due = None;
                    stream.handle_rows(number, Some(&ONE));
                    all.append(&mut told(&mut stream));
                    if let Some(chunk) = stream.poll_chunk() {
                        due = Some((n + delay, chunk.number));
                    }
                }
            }
            stream.finish();
            let mut pending: VecDeque<u32> = due.map(|(_, number)| number).into_iter().collect();
            loop {
                pending.extend(stream.poll_chunk().map(|chunk| chunk.number));
                let Some(number) = pending.pop_front() else { break };
                stream.handle_rows(number, Some(&ONE));
                all.append(&mut told(&mut stream));
            }
            let wanted: Vec<_> = (0..1_330).map(|n| (n as f32, Talk::One(0))).collect();
            assert!(all == wanted, "{} frames with a delay of {delay}", all.len());
        }
    }

    #[test]
    fn a_chunk_without_an_answer_is_nobody_s_and_the_next_one_is_as_it_should() {
        let mut stream = MixedStream::new();
        hear(&mut stream, 0, 750);
        let first = stream.poll_chunk().expect("10 s");
        stream.handle_rows(first.number, None);
        assert!(told(&mut stream).iter().all(|(_, talk)| *talk == Talk::Nobody));
        let second = stream.poll_chunk().expect("5 s more");
        assert_eq!(second.samples[0], 250.0);
        stream.handle_rows(second.number, Some(&ONE));
        assert_eq!(
            told(&mut stream),
            (500..750).map(|n| (n as f32, Talk::One(0))).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_model_that_is_far_behind_is_not_waited_for() {
        let mut stream = MixedStream::new();
        hear(&mut stream, 0, 1_001);
        assert_eq!(stream.forgotten(), 1_000);
        stream.handle_rows(0, Some(&ONE));
        assert_eq!(told(&mut stream), [], "the answer came too late");
        hear(&mut stream, 1_001, 499);
        let chunk = stream.poll_chunk().expect("10 s from there");
        assert_eq!((chunk.number, chunk.samples[0]), (1, 1_000.0));
    }

    #[test]
    fn at_the_end_the_rest_is_asked_about_and_padded() {
        let mut stream = MixedStream::new();
        hear(&mut stream, 0, 30);
        stream.finish();
        let chunk = stream.poll_chunk().expect("the rest");
        assert_eq!(chunk.samples[30 * FRAME_SAMPLES..], [0.0; CHUNK_SAMPLES - 30 * FRAME_SAMPLES]);
        stream.handle_rows(chunk.number, Some(&ONE));
        assert_eq!(told(&mut stream).len(), 30);
        assert_eq!(stream.poll_chunk(), None, "nothing is left");
    }
}
