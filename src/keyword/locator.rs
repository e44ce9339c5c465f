//! When words were said: by covering the decoder's ears, not by hearing the segment again.
//!
//! The model gives no times. But a text that it finds probable turns improbable as soon as the
//! frames that speak it are hidden from the decoder. So the earliest frame up to which the text is
//! still heard lies near its end, and the latest frame from which it is still heard near its
//! beginning; bisection finds both in seven runs of the decoder each, without the encoder.

use std::ops::Range;
use std::time::Duration;

use super::acoustic_model::{AcousticModel, BEGIN, FRAME, Query, TokenId, log_normalizer};

/// A fall of the mean log-probability per token by so much means that a part is not heard.
/// Smaller values follow noise in weak hits, larger ones let the last syllable go.
const FALL: f32 = 0.2;
/// The decoder knows a last word 0.3 s before it has ended: the median over 65 hits of 24 phrases
/// in telephone-coded read and acted speech against a phone-level aligner; then 87 % of the ends
/// lie within 0.2 s and 99 % within 0.3 s.
const KNOWN_BEFORE_END: Duration = Duration::from_millis(300);
/// A first word still is known without its first 0.05 s (same hits: 85 % within 0.2 s, all within
/// 0.45 s; the worst are words that the text before them makes likely).
const KNOWN_AFTER_START: Duration = Duration::from_millis(50);
/// 0.3 s beyond the point where the text is known: the rest of its last word.
const MARGIN: usize = 12;
/// Bisection stops at three frames, 72 ms: finer than the words are known.
const RESOLUTION: usize = 3;

/// The model, and how it came to the text in question.
#[derive(Debug)]
pub struct Locator<'a, M: AcousticModel> {
    /// The model that decoded the segment.
    pub model: &'a mut M,
    /// The segment.
    pub audio: &'a M::Audio,
    /// The decoder's memory of at least `context`.
    pub cache: &'a M::Cache,
}

impl<M: AcousticModel> Locator<'_, M> {
    /// When `text` was said within the segment, given that it follows `context`.
    ///
    /// `after` is the end of the same text's last place, or zero: else the model may be asked about
    /// the second time that it was said, and hear the first.
    pub fn locate(
        &mut self,
        context: &[TokenId],
        text: &[TokenId],
        after: Duration,
    ) -> Result<Range<Duration>, M::Error> {
        let frames = self.model.frames(self.audio);
        let after = after.saturating_sub(KNOWN_BEFORE_END).as_micros() / FRAME.as_micros();
        let first = usize::try_from(after).unwrap_or(frames).min(frames);
        let floor = self.log_probability(context, text, first..frames)? - FALL;

        let (mut unheard, mut heard) = (first, frames);
        while heard - unheard > RESOLUTION {
            let middle = usize::midpoint(unheard, heard);
            if self.log_probability(context, text, first..middle)? >= floor {
                heard = middle;
            } else {
                unheard = middle;
            }
        }
        let known = heard;
        let end = (at_frame(known) + KNOWN_BEFORE_END).min(at_frame(frames));

        // What follows the text is covered as well: it may be the text again.
        let last = (known + MARGIN).min(frames);
        let (mut heard, mut unheard) = (first, known);
        while unheard - heard > RESOLUTION {
            let middle = usize::midpoint(unheard, heard);
            if self.log_probability(context, text, middle..last)? >= floor {
                heard = middle;
            } else {
                unheard = middle;
            }
        }
        let start = at_frame(heard).saturating_sub(KNOWN_AFTER_START);
        Ok(start..end)
    }

    /// Mean natural log of the probability of each token of `text`, when only `heard` is heard.
    fn log_probability(
        &mut self,
        context: &[TokenId],
        text: &[TokenId],
        heard: Range<usize>,
    ) -> Result<f32, M::Error> {
        // What stands before the text is fed once more, so that its first token is judged with
        // covered ears too.
        let before = context.last().copied().unwrap_or(BEGIN);
        let mut tokens = vec![before];
        tokens.extend(&text[..text.len() - 1]);
        let query = Query { history: context.len(), heard, tokens: &tokens };
        let mut sum = 0.0;
        self.model.score(self.audio, self.cache, &query, &mut |place, logits| {
            sum += logits[text[place] as usize] - log_normalizer(logits);
        })?;
        Ok(sum / text.len() as f32)
    }
}

fn at_frame(frame: usize) -> Duration {
    FRAME * u32::try_from(frame).expect("a segment has a few hundred frames")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::acoustic_model::tests::{FRAMES_PER_TOKEN, Parrot};

    fn locate(says: &[TokenId], text: Range<usize>) -> (Range<Duration>, usize) {
        let mut model = Parrot::new(says);
        let frames = says.len() * FRAMES_PER_TOKEN;
        let mut locator = Locator { model: &mut model, audio: &frames, cache: &(says.len() + 1) };
        let found = locator
            .locate(&says[..text.start], &says[text], Duration::ZERO)
            .expect("a parrot does not fail");
        (found, model.runs)
    }

    fn near(found: Duration, frame: usize) {
        let error = found.as_secs_f64() - at_frame(frame).as_secs_f64();
        assert!(error.abs() < 0.12, "{found:?} is {error:.3} s off");
    }

    #[test]
    fn both_ends_are_found() {
        let says: Vec<TokenId> = (10..43).collect();
        let (found, runs) = locate(&says, 12..15);
        // A parrot knows a token from its frames 3 to 7.
        near(found.start, 123 - 2);
        near(found.end, 147 + 12);
        assert!(runs <= 3 * (1 + 7 + 7), "{runs} tokens scored");
    }

    #[test]
    fn the_first_and_the_last_word_stay_within_the_segment() {
        let says: Vec<TokenId> = (10..20).collect();
        assert_eq!(locate(&says, 0..1).0.start, Duration::ZERO);
        assert_eq!(locate(&says, 9..10).0.end, at_frame(100));
    }
}
