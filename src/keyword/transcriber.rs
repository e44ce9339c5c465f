//! Greedy decoding: the most probable token, again and again.

use crate::keyword::acoustic_model::{AcousticModel, END, SAMPLE_RATE, TokenId};

/// 6.5 tokens per second of speech: nobody speaks faster, but a decoder that has lost its place
/// repeats itself for ever (Moonshine's own limit).
const TOKENS_PER_SECOND: f64 = 6.5;

/// What greedy decoding leaves behind.
#[derive(Debug)]
pub struct Decoding<C> {
    /// The tokens that were chosen, without [`END`].
    pub tokens: Vec<TokenId>,
    /// The decoder's memory: `BEGIN`, then every token that was followed by another place.
    pub cache: C,
}

/// Decodes `audio`, which was `samples` long, until the model says [`END`] or so much speech can
/// hold no more tokens.
///
/// `see` is lent the logits at every place of the text, the place of [`END`] included.
pub fn decode<M: AcousticModel>(
    model: &mut M,
    audio: &M::Audio,
    samples: usize,
    see: &mut dyn FnMut(&[f32]),
) -> Result<Decoding<M::Cache>, M::Error> {
    let seconds = samples as f64 / SAMPLE_RATE as f64;
    let limit = (seconds * TOKENS_PER_SECOND).ceil() as usize;
    let mut choose = |logits: &[f32]| {
        see(logits);
        most_probable(logits)
    };
    let mut token = END;
    let mut cache = model.first(audio, &mut |logits| token = choose(logits))?;
    let mut tokens = Vec::new();
    while token != END {
        tokens.push(token);
        if tokens.len() >= limit {
            break;
        }
        let fed = token;
        cache = model.step(audio, cache, fed, &mut |logits| token = choose(logits))?;
    }
    Ok(Decoding { tokens, cache })
}

/// The place of the highest logit; the first of equals.
fn most_probable(logits: &[f32]) -> TokenId {
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = id;
        }
    }
    best as TokenId
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::acoustic_model::tests::{FRAMES_PER_TOKEN, Parrot};

    #[test]
    fn it_stops_where_the_model_does() {
        let mut model = Parrot::new(&[7, 9, 8]);
        let mut places = 0;
        let decoding =
            decode(&mut model, &(4 * FRAMES_PER_TOKEN), SAMPLE_RATE, &mut |_| places += 1)
                .expect("a parrot does not fail");
        assert_eq!(decoding.tokens, [7, 9, 8]);
        assert_eq!(places, 4, "three words and the place of the end");
        assert_eq!(decoding.cache, 4);
    }

    #[test]
    fn a_decoder_that_never_ends_is_stopped_by_the_clock_of_speech() {
        let mut model = Parrot::new(&[5; 500]);
        let decoding = decode(&mut model, &5_000, 2 * SAMPLE_RATE, &mut |_| {})
            .expect("a parrot does not fail");
        assert_eq!(decoding.tokens.len(), 13);
        assert_eq!(model.runs, 13);
    }
}
