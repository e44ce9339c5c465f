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

/// An encoder and an autoregressive decoder.
///
/// Encoded audio and the decoder's memory stay inside the model's own types, because copying them
/// costs more than a step. Logits are lent for the length of a call, for the same reason: 32,768
/// numbers a token. Scores of [`Self::first`] and of [`Self::step`] may differ (dynamic int8 scales
/// depend on the whole tensor), so only compare scores from one path.
pub trait AcousticModel {
    /// Why a run failed. The segment is dropped and counted; the call goes on.
    type Error: std::error::Error + Send + Sync + 'static;
    /// A segment as the decoder hears it.
    type Audio;
    /// What the decoder remembers: one entry per token that it was fed, [`BEGIN`] included.
    type Cache;

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

    /// Feeds [`BEGIN`] to an empty memory; `see` is lent the logits of the token after it.
    fn first(
        &mut self,
        audio: &Self::Audio,
        see: &mut dyn FnMut(&[f32]),
    ) -> Result<Self::Cache, Self::Error>;

    /// Feeds one more token; `see` is lent the logits of the token after it.
    fn step(
        &mut self,
        audio: &Self::Audio,
        cache: Self::Cache,
        token: TokenId,
        see: &mut dyn FnMut(&[f32]),
    ) -> Result<Self::Cache, Self::Error>;

    /// Feeds `query.tokens` after a part of the memory, and leaves the memory as it was.
    /// `see` is lent the logits after each of them, with its place in `query.tokens`.
    fn score(
        &mut self,
        audio: &Self::Audio,
        cache: &Self::Cache,
        query: &Query<'_>,
        see: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), Self::Error>;
}

/// A question beside the decoder's own path: what if these tokens came here?
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// Entries of the memory that count; the rest has not been said yet.
    pub history: usize,
    /// The frames that the decoder may attend to while it is fed `tokens`.
    pub heard: Range<usize>,
    /// What is fed, never empty.
    pub tokens: &'a [TokenId],
}

/// ln(sum(exp(`logits`))): subtracted from a logit it leaves the natural log of a probability.
pub fn log_normalizer(logits: &[f32]) -> f32 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    highest + logits.iter().map(|logit| (logit - highest).exp()).sum::<f32>().ln()
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
        /// What its phone head hears, if it has one.
        pub(crate) phones: Option<PhoneScores>,
        /// What the head of another language hears, if there is one.
        pub(crate) foreign_phones: Option<PhoneScores>,
    }

    /// Log-probability of what is not heard.
    pub(crate) const UNHEARD: f32 = -12.0;
    pub(crate) const FRAMES_PER_TOKEN: usize = 10;
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
                phones: None,
                foreign_phones: None,
            }
        }

        fn logits(&mut self, place: usize, heard: &Range<usize>) -> Vec<f32> {
            self.runs += 1;
            let mut logits = vec![UNHEARD; VOCABULARY];
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
                    logits[token as usize] = 0.0;
                    for &(_, twin, log_p) in self.sounds_like.iter().filter(|s| s.0 == place) {
                        logits[twin as usize] = log_p;
                    }
                }
                Some(_) => logits[0] = 0.0,
                None => logits[END as usize] = 0.0,
            }
            logits
        }
    }

    impl AcousticModel for Parrot {
        type Error = Never;
        type Audio = usize;
        type Cache = usize;

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

        fn first(&mut self, audio: &usize, see: &mut dyn FnMut(&[f32])) -> Result<usize, Never> {
            see(&self.logits(0, &(0..*audio)));
            Ok(1)
        }

        fn step(
            &mut self,
            audio: &usize,
            cache: usize,
            _token: TokenId,
            see: &mut dyn FnMut(&[f32]),
        ) -> Result<usize, Never> {
            see(&self.logits(cache, &(0..*audio)));
            Ok(cache + 1)
        }

        fn score(
            &mut self,
            _audio: &usize,
            cache: &usize,
            query: &Query<'_>,
            see: &mut dyn FnMut(usize, &[f32]),
        ) -> Result<(), Never> {
            assert!(query.history <= *cache, "the memory holds what a query looks back on");
            for place in 0..query.tokens.len() {
                see(place, &self.logits(query.history + place, &query.heard));
            }
            Ok(())
        }
    }

    #[test]
    fn a_normalizer_makes_probabilities_that_sum_to_one() {
        let logits = [1.0_f32, 30.0, 29.0, -4.0];
        let normalizer = log_normalizer(&logits);
        let sum: f32 = logits.iter().map(|logit| (logit - normalizer).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }

    #[test]
    fn a_frame_is_24_ms() {
        assert_eq!(FRAME, Duration::from_millis(24));
    }
}
