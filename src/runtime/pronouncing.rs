//! How the phrases of a policy are said, where no dictionary of ours tells: by the policy's own hand, or by espeak-ng.

use crate::keyword::ipa::{IpaError, phones};
use crate::keyword::language::{Experiment, Language};
use crate::keyword::phone_decision::{PhoneDecision, TooFewPhones};
use crate::keyword::phones::PhoneId;
use crate::policy::rule::{Policy, WatchedPhrase};
use crate::runtime::espeak::{self, EspeakError};

/// Why a phrase cannot be listened for.
#[derive(Debug, thiserror::Error)]
pub enum PronouncingError {
    /// Neither way is there.
    #[error(
        "nobody knows how to say it in the language {:?} ({error}): write its `pronunciations` into the policy, or \
         install espeak-ng",
        .language.as_str()
    )]
    Unknown {
        /// Its language.
        language: Language,
        /// Why espeak-ng does not tell.
        error: EspeakError,
    },
    /// What espeak-ng says is not understood.
    #[error("of what espeak-ng says, {0}; write its `pronunciations` into the policy")]
    Odd(#[from] IpaError),
    /// Its phones alone have to tell it.
    #[error("it {0}")]
    Short(#[from] TooFewPhones),
}

/// How phrases are said, besides the lexicon.
#[derive(Debug)]
pub struct Pronunciations {
    /// By phrase, what the policy says; nothing where it says nothing.
    pub own: Vec<Vec<Vec<PhoneId>>>,
    /// What is decided by phones alone.
    pub decisions: Vec<PhoneDecision>,
}

impl Pronunciations {
    /// Of the phrases of `policy`, or the place of the first that cannot be said and why. `threshold` is for all that
    /// are decided by phones alone; else each has its own.
    pub fn of(policy: &Policy, threshold: Option<f32>) -> Result<Self, (usize, PronouncingError)> {
        let mut decision = PhoneDecision::new(Language::German);
        let mut own = Vec::with_capacity(policy.phrases.len());
        for (place, phrase) in policy.phrases.iter().enumerate() {
            let at = |error: PronouncingError| (place, error);
            let mut ways = phrase.ways().map_err(|error| at(error.into()))?;
            if phrase.language == decision.language() && phrase.examples.is_none() {
                if ways.is_empty() {
                    ways.push(asked(phrase).map_err(at)?);
                }
                let threshold = threshold.or(phrase.threshold);
                decision.listen(place, &ways, threshold).map_err(|error| at(error.into()))?;
            }
            own.push(ways);
        }
        let used = decision.places().next().is_some();
        Ok(Self { own, decisions: if used { vec![decision] } else { Vec::new() } })
    }
}

/// A sentence about the phrases of `policy` that are an experiment by their language, and one about those that are by
/// their being known by example; each if there are any.
pub fn experiments(policy: &Policy) -> impl Iterator<Item = String> {
    let (by_example, by_language): (Vec<_>, Vec<_>) =
        policy.phrases.iter().partition(|phrase| phrase.examples.is_some());
    let told = |phrases: &[&WatchedPhrase], what: &dyn Fn(&WatchedPhrase) -> String| {
        let all = phrases.iter().filter_map(|phrase| Some((*phrase, phrase.experiment()?)));
        let all: Vec<(&WatchedPhrase, Experiment)> = all.collect();
        let (first, Experiment { recall, false_alarms_per_hour, .. }) = all.first()?;
        Some(format!(
            "{} phrases {} are experimental: {recall} of what strangers say is found, with \
             {false_alarms_per_hour} false alarms an hour for each phrase",
            all.len(),
            what(first),
        ))
    };
    let language =
        |phrase: &WatchedPhrase| format!("in the language {:?}", phrase.language.as_str());
    let sentences =
        [told(&by_language, &language), told(&by_example, &|_| "by example".to_owned())];
    sentences.into_iter().flatten()
}

/// How espeak-ng says a phrase.
fn asked(phrase: &WatchedPhrase) -> Result<Vec<PhoneId>, PronouncingError> {
    let language = phrase.language;
    let unknown = |error| PronouncingError::Unknown { language, error };
    let said = espeak::ipa(language, &phrase.text).map_err(unknown)?;
    Ok(phones(language, &said)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(phrases: &str) -> Policy {
        toml::from_str(&format!("name='p'\nversion='1'\n{phrases}")).expect("well-formed TOML")
    }

    #[test]
    fn by_hand_is_by_hand_and_english_stays_with_the_decoder() {
        let policy = policy(
            "[[phrase]]\nid='a'\ntext='cat'\n[[phrase]]\nid='b'\ntext='am Mittwoch abgeben'\nlanguage='de'\n\
             pronunciations=['a m  m ɪ t v ɔ x  a p g eː b ə n', 'a m ɪ t v ɔ x a b g e b m']\n",
        );
        let said = Pronunciations::of(&policy, None).expect("it can be said");
        assert_eq!((said.own[0].len(), said.own[1].len()), (0, 2));
        assert_eq!(said.decisions.len(), 1);
        assert_eq!(said.decisions[0].places().collect::<Vec<_>>(), [1]);
        let told: Vec<String> = experiments(&policy).collect();
        let [german] = &told[..] else { panic!("{told:?}") };
        let wanted = "1 phrases in the language \"de\" are experimental: 0.";
        assert!(german.starts_with(wanted), "{german}");
    }

    #[test]
    fn a_phrase_by_example_needs_nobody_to_say_it_and_is_told_apart() {
        let policy = policy(
            "[[phrase]]\nid='a'\ntext='ja'\nlanguage='de'\nexamples='a.phrase'\n[[phrase]]\nid='b'\ntext='cat'\n",
        );
        let said = Pronunciations::of(&policy, None).expect("nothing is to be said");
        assert_eq!((said.own, said.decisions.len()), (vec![Vec::<Vec<PhoneId>>::new(); 2], 0));
        let told: Vec<String> = experiments(&policy).collect();
        let [by_example] = &told[..] else { panic!("{told:?}") };
        assert!(by_example.starts_with("1 phrases by example are experimental: 0."), "{told:?}");
    }

    #[test]
    fn a_phrase_that_is_too_short_says_so() {
        let policy = policy("[[phrase]]\nid='b'\ntext='ja'\nlanguage='de'\npronunciations=['j a']");
        let (place, error) = Pronunciations::of(&policy, None).expect_err("two phones");
        assert_eq!(place, 0);
        assert!(error.to_string().starts_with("it is said in 2 phones, and fewer than"), "{error}");
    }

    #[test]
    fn without_either_way_both_are_named() {
        let error = EspeakError::Missing { program: "espeak-ng".to_owned() };
        let error = PronouncingError::Unknown { language: Language::German, error };
        assert_eq!(
            error.to_string(),
            "nobody knows how to say it in the language \"de\" (espeak-ng is not installed): write its \
             `pronunciations` into the policy, or install espeak-ng"
        );
    }
}
