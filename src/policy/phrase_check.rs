//! What an administrator should know of a policy's phrases before trusting them.

use std::fmt;

use crate::keyword::false_alarms::Shape;
use crate::keyword::phone_distance::{distance, nearest};
use crate::keyword::phones::PhoneId;
use crate::keyword::phrase::Phrase;
use crate::policy::rule::{Policy, WatchedPhrase};

/// Expected false alarms in an hour of speech above which a phrase that asks for no rate is told of: what every phrase of a
/// policy is to stay below.
const MANY_FALSE_ALARMS: f64 = 0.05;
/// Distance per phone below which two phrases may be taken for one another: "double shot" and "triple shot" lie .23 apart.
const CONFUSABLE: f32 = 0.3;
/// Distance per phone below which other words sound like a phrase; a spotter hears the words around it, too, so it has to be
/// small.
const SOUNDS_LIKE: f32 = 0.12;
/// Longer phrases are compared with no pair of words, which cannot be as long, phones.
const LONGEST_COMPARED: usize = 12;
/// Of the frequent words so many are paired with one another.
const PAIRED: usize = 250;
/// What the decoder costs where it has to be asked in all speech, beside 9 ms without it: ms of CPU per second of speech.
const DECODER_MS: u32 = 15;

/// What the spotter makes of one phrase.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its spellings and words.
    pub phrase: Phrase,
    /// The ways to say it, the usual one first; none where a word of every wording is unknown.
    pub ways: Vec<Vec<PhoneId>>,
    /// Words that nobody knows how to say, if therefore it cannot be looked for by its phones.
    pub missing: Vec<String>,
    /// What its false alarms depend on; `None` where it has no way to be said.
    pub shape: Option<Shape>,
    /// The score that it needs, nats.
    pub threshold: f32,
}

impl Facts {
    /// False alarms that are expected in an hour of one leg's speech.
    pub fn expected_per_hour(&self) -> Option<f64> {
        Some(self.shape?.expected_per_hour(self.threshold))
    }
}

/// A word that people often say, and the usual way to say it.
pub type CommonWord = (String, Vec<PhoneId>);

/// What may be wrong with a phrase.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// It will be found where nobody says it.
    Short {
        /// What it is.
        shape: Shape,
        /// False alarms that are expected in an hour of speech, and at which threshold.
        expected: f64,
        /// See `expected`.
        threshold: f32,
        /// The threshold at which no more are expected than is common, if there is one.
        better: Option<f32>,
    },
    /// It cannot be looked for by its phones.
    Unpronounced(Vec<String>),
    /// Another phrase sounds like it.
    Confusable {
        /// Its id and line.
        other: (String, usize),
        /// Per phone; see [`distance`].
        distance: f32,
    },
    /// All its words stand in another phrase.
    Part {
        /// Of which: id and line.
        of: (String, usize),
    },
    /// Words that people often say sound like it.
    Common {
        /// Which.
        words: String,
        /// Per phone; see [`distance`].
        distance: f32,
    },
    /// It was found in the background more often than it may be.
    Background {
        /// So many times.
        found: usize,
        /// In so many hours of speech.
        hours: f64,
        /// Lower end of the 95 % interval of the rate, and the rate that was to be kept.
        at_least: f64,
        /// See `at_least`.
        wanted: f64,
    },
}

/// A fault of a phrase of a policy: one sentence with file and line.
#[derive(Clone, Debug, PartialEq)]
pub struct Warning {
    /// Its place in the policy.
    pub phrase: usize,
    /// Where it stands, and which it is.
    pub subject: String,
    /// What is wrong with it.
    pub fault: Fault,
}

impl Fault {
    /// One word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Short { .. } => "short",
            Self::Unpronounced(_) => "unpronounced",
            Self::Confusable { .. } => "confusable",
            Self::Part { .. } => "part",
            Self::Common { .. } => "common",
            Self::Background { .. } => "background",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { shape, expected, threshold, better } => {
                write!(f, "has only {} phones", shape.phones)?;
                if shape.number {
                    write!(f, " and may be written with digits, which a decoder finds anywhere")?;
                }
                write!(
                    f,
                    ": {expected:.2} false alarms are expected in an hour of speech at {threshold:.2}; "
                )?;
                match better {
                    Some(better) => write!(
                        f,
                        "say more words, or want expected_false_alarms_per_hour = {MANY_FALSE_ALARMS}, which is {better:.2}"
                    ),
                    None => write!(f, "say more words"),
                }
            }
            Self::Unpronounced(words) => write!(
                f,
                "cannot be looked for by its sounds, for no dictionary says {}: the decoder is asked about it in all speech, \
                 {DECODER_MS} ms of CPU more in each second; say how under [pronunciations]",
                words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
            ),
            Self::Confusable { other: (id, line), distance } => write!(
                f,
                "sounds like phrase {id:?} of line {line} ({distance:.2} per phone), and one may be told for the other: give \
                 one of them a word that the other has not, or both a higher threshold"
            ),
            Self::Part { of: (id, line) } => write!(
                f,
                "is part of phrase {id:?} of line {line}: who says that says this too, and both are told"
            ),
            Self::Common { words, distance } => write!(
                f,
                "sounds like {words:?} ({distance:.2} per phone), which people often say: give it another word"
            ),
            Self::Background { found, hours, at_least, wanted } => write!(
                f,
                "was found {found} times in {hours:.2} h of speech, which is {at_least:.2} an hour or more where {wanted} were \
                 wanted: raise its threshold, or say more words"
            ),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.subject, self.fault)
    }
}

impl WatchedPhrase {
    /// Where it stands and which it is, as a sentence about it begins.
    fn subject(&self) -> String {
        format!("{}: phrase {:?}", self.place, self.id)
    }

    /// False alarms in an hour of speech that it may have.
    fn wanted(&self) -> f64 {
        self.expected_false_alarms_per_hour.unwrap_or(MANY_FALSE_ALARMS)
    }
}

/// All that is to be said of `policy`, whose phrases are `facts`, by phrase. `common` words come most frequent first.
pub fn check(policy: &Policy, facts: &[Facts], common: &[CommonWord]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (place, (watched, fact)) in policy.phrases.iter().zip(facts).enumerate() {
        let alone = [short(watched, fact), unpronounced(fact), sounding_like(fact, common)];
        let with_others = facts.iter().enumerate().filter(|(other, _)| *other != place).filter_map(
            |(other, facts)| between(fact, facts, other < place, &policy.phrases[other]),
        );
        let faults = alone.into_iter().flatten().chain(with_others);
        warnings.extend(faults.map(|fault| Warning {
            phrase: place,
            subject: watched.subject(),
            fault,
        }));
    }
    warnings
}

/// That phrase number `phrase` was found `found` times in `hours` of speech in which nobody said it, if that is too often:
/// `at_least` is the lower end of its rate's interval.
pub fn in_background(
    policy: &Policy,
    phrase: usize,
    (found, hours, at_least): (usize, f64, f64),
) -> Option<Warning> {
    let watched = &policy.phrases[phrase];
    let wanted = watched.wanted();
    let fault = Fault::Background { found, hours, at_least, wanted };
    (at_least > wanted).then(|| Warning { phrase, subject: watched.subject(), fault })
}

fn short(watched: &WatchedPhrase, facts: &Facts) -> Option<Fault> {
    let (shape, expected) = (facts.shape?, facts.expected_per_hour()?);
    // Who asked for a rate knows it.
    let asked = watched.expected_false_alarms_per_hour.is_some();
    (!asked && expected > MANY_FALSE_ALARMS).then(|| Fault::Short {
        shape,
        expected,
        threshold: facts.threshold,
        better: shape.threshold_for(MANY_FALSE_ALARMS).ok(),
    })
}

fn unpronounced(facts: &Facts) -> Option<Fault> {
    facts.ways.is_empty().then(|| Fault::Unpronounced(facts.missing.clone()))
}

/// What is to be said of a phrase beside another; of two that sound alike once, of the `later`.
fn between(one: &Facts, other: &Facts, later: bool, watched: &WatchedPhrase) -> Option<Fault> {
    let which = || (watched.id.clone(), watched.place.line);
    if one.phrase.is_part_of(&other.phrase) {
        return Some(Fault::Part { of: which() });
    }
    if !later || other.phrase.is_part_of(&one.phrase) {
        return None;
    }
    let distance = nearest(&one.ways, &other.ways)?;
    (distance < CONFUSABLE).then(|| Fault::Confusable { other: which(), distance })
}

/// The frequent word, or pair of very frequent ones, that sounds most like a phrase.
fn sounding_like(facts: &Facts, common: &[CommonWord]) -> Option<Fault> {
    let way = facts.ways.first().filter(|way| way.len() <= LONGEST_COMPARED)?;
    let own: Vec<String> =
        facts.phrase.spoken_forms().iter().map(|words| words.join(" ")).collect();
    let mut best: Option<(f32, String)> = None;
    let mut consider = |said: &[PhoneId], words: &dyn Fn() -> String| {
        let longer = said.len().max(way.len()) as f32;
        if said.len().abs_diff(way.len()) as f32 * 0.6 >= SOUNDS_LIKE * longer {
            return;
        }
        let distance = distance(way, said);
        if distance < best.as_ref().map_or(SOUNDS_LIKE, |(least, _)| *least) {
            let words = words();
            if !own.contains(&words) {
                best = Some((distance, words));
            }
        }
    };
    for (word, said) in common {
        consider(said, &|| word.clone());
    }
    let paired = &common[..common.len().min(PAIRED)];
    for (first, begin) in paired {
        for (second, end) in paired {
            if begin.len() + end.len() <= LONGEST_COMPARED + 1 {
                consider(&[&begin[..], end].concat(), &|| format!("{first} {second}"));
            }
        }
    }
    best.map(|(distance, words)| Fault::Common { words, distance })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::lexicon::Lexicon;
    use crate::keyword::pronunciation::pronunciations;
    use crate::policy::place::Place;

    const DICTIONARY: &str = "double D AH1 B AH0 L\ntriple T R IH1 P AH0 L\nshot SH AA1 T\niced AY1 S T\n\
        mocha M OW1 K AH0\nthirty TH ER1 T IY0\nlatte L AA1 T EY2\nlotta L AA1 T AH0\ncapital K AE1 P AH0 T AH0 L\n\
        cap K AE1 P\nlate L EY1 T\nis IH1 Z\nat AE1 T\nrisk R IH1 S K\n";

    /// What a phrase has that may alarm.
    const ASKED: &str = "expected_false_alarms_per_hour = 1.0";

    /// The sentences about a policy of `phrases`, each its text and what else stands in its table.
    fn said(phrases: &[(&str, &str)], common: &[&str]) -> Vec<String> {
        let mut text = "name='p'\nversion='1'\n".to_owned();
        for (n, (words, own)) in phrases.iter().enumerate() {
            text += &format!("[[phrase]]\nid='{n}'\ntext='{words}'\n{own}\n");
        }
        let mut policy: Policy = toml::from_str(&text).expect("well-formed TOML");
        for (n, phrase) in policy.phrases.iter_mut().enumerate() {
            phrase.place = Place { file: "p.toml".into(), line: 4 * n + 3 };
        }
        let phrases: Vec<Phrase> =
            policy.phrases.iter().map(|p| Phrase::new(&p.text).expect("a phrase")).collect();
        let words = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        let lexicon = Lexicon::parse(DICTIONARY, &DICTIONARY.lines().map(words).collect());
        let lexicon = lexicon.expect("a dictionary");
        let facts = |phrase: Phrase, watched: &WatchedPhrase| {
            let ways = pronunciations(phrase.spoken_forms(), &lexicon);
            let phones = ways.iter().map(Vec::len).min();
            let number =
                phrase.spellings().iter().any(|s| s.contains(|c: char| c.is_ascii_digit()));
            let missing = vec![phrase.text().to_owned()];
            let shape = phones.map(|phones| Shape { phones, number });
            Facts { phrase, ways, missing, shape, threshold: watched.threshold.unwrap_or(-3.9) }
        };
        let facts: Vec<Facts> =
            phrases.into_iter().zip(&policy.phrases).map(|(p, w)| facts(p, w)).collect();
        let way = |word: &&str| {
            let way = lexicon.pronunciations(word).expect("a word of the dictionary").remove(0);
            ((*word).to_owned(), way)
        };
        let common: Vec<CommonWord> = common.iter().map(way).collect();
        check(&policy, &facts, &common).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_long_phrase_of_its_own_is_good() {
        assert_eq!(said(&[("capital is at risk", "")], &["late", "shot"]), [""; 0]);
    }

    #[test]
    fn a_short_phrase_is_told_with_what_it_costs_and_what_helps() {
        let [short] = &said(&[("mocha", "")], &[])[..] else { panic!() };
        assert!(short.starts_with("p.toml, line 3: phrase \"0\" has only 4 phones: 0."), "{short}");
        assert!(short.ends_with("an hour of speech at -3.90; say more words"), "{short}");
        let [longer] = &said(&[("double shot", "")], &[])[..] else { panic!() };
        assert!(
            longer.ends_with("or want expected_false_alarms_per_hour = 0.05, which is -3.63"),
            "{longer}"
        );
        assert_eq!(said(&[("double shot", "threshold = -3.0")], &[]), [""; 0], "it costs little");
        assert_eq!(said(&[("mocha", ASKED)], &[]), [""; 0], "as asked for");
    }

    #[test]
    fn a_short_number_is_told_apart() {
        let [short] = &said(&[("thirty", "")], &[])[..] else { panic!() };
        assert!(short.contains("has only 4 phones and may be written with digits"), "{short}");
        assert!(short.ends_with("; say more words"), "no threshold helps: {short}");
    }

    #[test]
    fn a_word_that_nobody_can_say_is_named() {
        let [unknown] = &said(&[("bonneted", "")], &[])[..] else { panic!() };
        assert!(unknown.contains("no dictionary says \"bonneted\""), "{unknown}");
        assert!(unknown.ends_with("say how under [pronunciations]"), "{unknown}");
    }

    #[test]
    fn two_phrases_that_sound_alike_are_told_once() {
        let told = said(&[("double shot", ""), ("iced mocha risk", ""), ("triple shot", "")], &[]);
        let confusable: Vec<_> = told.iter().filter(|t| t.contains("sounds like")).collect();
        let [once] = &confusable[..] else { panic!("{told:?}") };
        assert!(
            once.starts_with(
                "p.toml, line 11: phrase \"2\" sounds like phrase \"0\" of line 3 (0.2"
            ),
            "{once}"
        );
    }

    #[test]
    fn a_part_of_another_phrase_is_told_of_the_part_alone() {
        let told = said(&[("iced mocha", ""), ("mocha", ASKED)], &[]);
        let parts: Vec<_> = told.iter().filter(|t| !t.contains("has only")).collect();
        assert_eq!(
            parts,
            [
                "p.toml, line 7: phrase \"1\" is part of phrase \"0\" of line 3: who says that says this too, and both are told"
            ]
        );
    }

    #[test]
    fn words_that_people_often_say_are_named_but_not_the_phrase_s_own() {
        let told = said(&[("latte", ASKED)], &["shot", "latte"]);
        assert_eq!(told, [""; 0], "itself");
        let told = said(&[("shot at", ASKED)], &["shot", "at", "late"]);
        assert_eq!(told, [""; 0], "its own words");
        let told = said(&[("capital", ASKED)], &["cap", "late"]);
        assert_eq!(told, [""; 0], "too far");
        // One phone of four, and a close one.
        let told = said(&[("mocha latte", ASKED)], &["mocha", "lotta"]);
        let [like] = &told[..] else { panic!("{told:?}") };
        assert!(like.contains("sounds like \"mocha lotta\" (0.0"), "{like}");
    }

    #[test]
    fn a_background_that_shows_more_than_was_wanted_is_told() {
        let text = "name='p'\nversion='1'\n[[phrase]]\nid='0'\ntext='x'\nexpected_false_alarms_per_hour = 0.5";
        let policy: Policy = toml::from_str(text).expect("well-formed TOML");
        let told = in_background(&policy, 0, (9, 2.0, 2.06)).expect("too many").to_string();
        assert_eq!(
            told,
            "the policy: phrase \"0\" was found 9 times in 2.00 h of speech, which is 2.06 an hour or more where 0.5 were \
             wanted: raise its threshold, or say more words"
        );
        assert_eq!(in_background(&policy, 0, (1, 2.0, 0.01)), None);
    }
}
