//! What the keyword wing asks of a speech-to-token model: one encoder, one decoder with a memory.

use std::ops::Range;
use std::time::Duration;

use crate::keyword::language::Language;
use crate::keyword::phones::PhoneScores;

/// Samples per second of everything that an [`AcousticModel`] hears.
pub const SAMPLE_RATE: usize = 16_000;
/// Samples per encoder frame: three convolutions of stride 64, 3 and 2 (Moonshine tiny-en).
pub const FRAME_SAMPLES: usize = 384;
/// 24 ms: what one encoder frame stands for.
pub const FRAME: Duration = Duration::from_micros((FRAME_SAMPLES * 1_000_000 / SAMPLE_RATE) as u64);

/// A word piece of the model's vocabulary; see [`Tokenizer`](crate::keyword::tokenizer::Tokenizer).
pub type TokenId = u32;

/// The token that every decoding starts from, `<s>`.
pub const BEGIN: TokenId = 1;
/// The token by which the decoder says that there is no more, `</s>`.
pub const END: TokenId = 2;

/// An encoder, and an autoregressive decoder of several segments at once.
///
/// Encoded audio and the decoder's memory stay inside the model's own types, because copying them costs more than a
/// step. Log-probabilities are lent for the length of a call, for the same reason: 32,768 numbers a token. What is said
/// of a segment does not depend on those that are decoded beside it.
pub trait AcousticModel {
    /// Why a run failed. The segments in it are dropped and counted; their calls go on.
    type Error: std::error::Error + Send + Sync + 'static;
    /// A segment as the decoder hears it.
    type Audio;

    /// Hears a segment of mono speech, 16 kHz in [-1, 1].
    fn encode(&mut self, samples: &[f32]) -> Result<Self::Audio, Self::Error>;

    /// What the phone head hears in a segment; `None` of a model that has none.
    fn phones(&mut self, audio: &Self::Audio) -> Result<Option<PhoneScores>, Self::Error>;

    /// What the phone head of another language hears in a segment; `None` of a model that has none.
    fn phones_in(
        &mut self,
        _language: Language,
        _audio: &Self::Audio,
    ) -> Result<Option<PhoneScores>, Self::Error> {
        Ok(None)
    }

    /// Encoder frames in `audio`, each [`FRAME`] long.
    fn frames(&self, audio: &Self::Audio) -> usize;

    /// Segments that may be decoded at the same time.
    fn lanes(&self) -> usize;

    /// Begins to decode `audio` with an empty memory, in a lane that is free: the caller keeps to [`Self::lanes`].
    fn open(&mut self, audio: &Self::Audio) -> Result<Lane, Self::Error>;

    /// Feeds each lane one token, which its memory keeps. `see` is lent, by place in `fed`, the natural logs of the
    /// probabilities of every token after it.
    fn step(
        &mut self,
        fed: &[(Lane, TokenId)],
        see: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), Self::Error>;

    /// Feeds the tokens of each query after a part of the lane's memory, and leaves the memory as it was; the decoder
    /// may attend to the frames `heard` meanwhile. `see` is lent the natural logs of the probabilities after each of
    /// them, by the place of the query and its place in `tokens`.
    fn score(
        &mut self,
        lane: Lane,
        heard: Range<usize>,
        queries: &[Query<'_>],
        see: &mut dyn FnMut(usize, usize, &[f32]),
    ) -> Result<(), Self::Error>;

    /// The segment of `lane` is done with.
    fn close(&mut self, lane: Lane);
}

/// One of the segments that are being decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane(pub usize);

/// A question beside the decoder's own path: what if these tokens came here?
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Entries of the memory that count, [`BEGIN`] included; the rest has not been said yet.
    pub history: usize,
    /// What is fed, never empty.
    pub tokens: &'a [TokenId],
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A model of a known sentence: token i is spoken in frames `10 * i .. 10 * (i + 1)`. What it
    /// does not hear it finds improbable.
    #[derive(Debug)]
    pub(crate) struct Parrot {
        pub(crate) says: Vec<TokenId>,
        /// Tokens that sound like the spoken one at the same place, with their log-probability.
        pub(crate) sounds_like: Vec<(usize, TokenId, f32)>,
        pub(crate) runs: usize,
        /// By lane, the frames of its segment and the entries of its memory.
        lanes: Vec<Option<(usize, usize)>>,
        /// Lanes of each step.
        pub(crate) batches: Vec<usize>,
        /// What its phone head hears, if it has one.
        pub(crate) phones: Option<PhoneScores>,
        /// What the head of another language hears, if there is one.
        pub(crate) foreign_phones: Option<PhoneScores>,
    }

    /// Log-probability of what is not heard.
    pub(crate) const UNHEARD: f32 = -12.0;
    pub(crate) const FRAMES_PER_TOKEN: usize = 10;
    pub(crate) const LANES: usize = 3;
    const VOCABULARY: usize = 300;

    #[derive(Debug, thiserror::Error)]
    #[error("a parrot does not fail")]
    pub(crate) struct Never;

    impl Parrot {
        pub(crate) fn new(says: &[TokenId]) -> Self {
            Self {
                says: says.to_vec(),
                sounds_like: Vec::new(),
                runs: 0,
                lanes: vec![None; LANES],
                batches: Vec::new(),
                phones: None,
                foreign_phones: None,
            }
        }

        fn log_probabilities(&mut self, place: usize, heard: &Range<usize>) -> Vec<f32> {
            self.runs += 1;
            let mut log_p = vec![UNHEARD; VOCABULARY];
            // What it is asked about it may have heard elsewhere, after the same token.
            let pair =
                |place: usize| (place.checked_sub(1).map(|p| self.says[p]), self.says[place]);
            let known = place < self.says.len()
                && (0..self.says.len()).filter(|&other| pair(other) == pair(place)).any(|other| {
                    // The middle of the word must be there, whichever end is cut.
                    let first = other * FRAMES_PER_TOKEN;
                    heard.start <= first + 3 && first + 7 <= heard.end
                });
            match self.says.get(place) {
                Some(&token) if known => {
                    log_p[token as usize] = 0.0;
                    for &(_, twin, likely) in self.sounds_like.iter().filter(|s| s.0 == place) {
                        log_p[twin as usize] = likely;
                    }
                }
                Some(_) => log_p[0] = 0.0,
                None => log_p[END as usize] = 0.0,
            }
            log_p
        }
    }

    impl AcousticModel for Parrot {
        type Error = Never;
        type Audio = usize;

        fn encode(&mut self, samples: &[f32]) -> Result<usize, Never> {
            Ok(samples.len() / FRAME_SAMPLES)
        }

        fn phones(&mut self, _audio: &usize) -> Result<Option<PhoneScores>, Never> {
            Ok(self.phones.clone())
        }

        fn phones_in(
            &mut self,
            _language: Language,
            _audio: &usize,
        ) -> Result<Option<PhoneScores>, Never> {
            Ok(self.foreign_phones.clone())
        }

        fn frames(&self, audio: &usize) -> usize {
            *audio
        }

        fn lanes(&self) -> usize {
            LANES
        }

        fn open(&mut self, audio: &usize) -> Result<Lane, Never> {
            let free = self.lanes.iter().position(Option::is_none).expect("a lane is free");
            self.lanes[free] = Some((*audio, 0));
            Ok(Lane(free))
        }

        fn step(
            &mut self,
            fed: &[(Lane, TokenId)],
            see: &mut dyn FnMut(usize, &[f32]),
        ) -> Result<(), Never> {
            self.batches.push(fed.len());
            for (place, (lane, token)) in fed.iter().enumerate() {
                let (frames, memory) = self.lanes[lane.0].as_mut().expect("an open lane");
                assert_eq!(*token == BEGIN, *memory == 0, "it begins with BEGIN");
                *memory += 1;
                let (frames, at) = (*frames, *memory - 1);
                see(place, &self.log_probabilities(at, &(0..frames)));
            }
            Ok(())
        }

        fn score(
            &mut self,
            lane: Lane,
            heard: Range<usize>,
            queries: &[Query<'_>],
            see: &mut dyn FnMut(usize, usize, &[f32]),
        ) -> Result<(), Never> {
            let (_, memory) = self.lanes[lane.0].expect("an open lane");
            for (number, query) in queries.iter().enumerate() {
                assert!(query.history <= memory, "the memory holds what a query looks back on");
                for place in 0..query.tokens.len() {
                    see(number, place, &self.log_probabilities(query.history + place, &heard));
                }
            }
            Ok(())
        }

        fn close(&mut self, lane: Lane) {
            self.lanes[lane.0].take().expect("an open lane");
        }
    }

    #[test]
    fn a_frame_is_24_ms() {
        assert_eq!(FRAME, Duration::from_millis(24));
    }
}
