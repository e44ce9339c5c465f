//! The page's files, which are part of the program, and the texts that stand in them.

use std::collections::BTreeMap;

use crate::runtime::http::page::language::Language;

/// The program and what it looks like, by the path that they are asked for by: content type and content.
pub const FILES: &[(&str, &str, &str)] = &[
    ("/page/page.js", "text/javascript; charset=utf-8", include_str!("page.js")),
    ("/page/plot.js", "text/javascript; charset=utf-8", include_str!("plot.js")),
    ("/page/page.css", "text/css; charset=utf-8", include_str!("page.css")),
    ("/page/icon.svg", "image/svg+xml", include_str!("icon.svg")),
];

const INDEX: &str = include_str!("index.html");
const LOGIN: &str = include_str!("login.html");
const REFUSED: &str = include_str!("refused.html");
const TEXTS: &str = include_str!("texts.json");

/// What every page says, in every language.
#[derive(Debug)]
pub struct Pages {
    texts: BTreeMap<String, BTreeMap<String, String>>,
}

/// Why a token did not open the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody knows it, or it has expired.
    Wrong,
    /// There were too many wrong ones from there.
    TooOften,
    /// Too many sign in at once.
    Busy,
}

impl Failure {
    fn key(self) -> &'static str {
        match self {
            Self::Wrong => "login.wrong",
            Self::TooOften => "login.too_often",
            Self::Busy => "login.busy",
        }
    }
}

impl Pages {
    /// Those that are built in.
    pub fn built_in() -> Self {
        Self { texts: serde_json::from_str(TEXTS).expect("a test reads the texts") }
    }

    /// The live page.
    pub fn index(&self, language: Language) -> String {
        self.fill(INDEX, language, &[])
    }

    /// Where one signs in; says why it did not work, where it did not.
    pub fn login(&self, language: Language, failure: Option<Failure>) -> String {
        let said = failure.map_or("", |failure| self.text(language, failure.key()));
        // What is empty is not announced, and takes no room.
        self.fill(LOGIN, language, &[("failure", said)])
    }

    /// What somebody is told whose token is for something else; `role` is what it is for.
    pub fn refused(&self, language: Language, role: &str) -> String {
        self.fill(REFUSED, language, &[("role", role)])
    }

    /// The texts of all languages, for the program.
    pub fn texts(&self) -> String {
        format!("export default {TEXTS};\n")
    }

    fn text(&self, language: Language, key: &str) -> &str {
        let texts = self.texts.get(language.tag()).expect("a test looks for each language");
        texts.get(key).expect("a test looks for each key")
    }

    /// `page` with each `{{key}}` replaced by its text, or by what `more` has for it; neither has anything that is markup.
    fn fill(&self, page: &str, language: Language, more: &[(&str, &str)]) -> String {
        let mut parts = page.split("{{");
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (key, rest) = part.split_once("}}").expect("a test fills each page");
            let given = more.iter().find(|(name, _)| *name == key).map(|(_, text)| *text);
            filled += match key {
                "lang" => language.tag(),
                key => given.unwrap_or_else(|| self.text(language, key)),
            };
            filled += rest;
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_language_has_every_text_and_no_text_is_markup() {
        let pages = Pages::built_in();
        let keys = |language: Language| -> BTreeSet<&String> {
            pages.texts[language.tag()].keys().collect()
        };
        assert_eq!(keys(Language::English), keys(Language::German));
        assert_eq!(pages.texts.len(), Language::ALL.len());
        for (language, texts) in &pages.texts {
            for (key, text) in texts {
                assert!(
                    !text.is_empty() && !text.contains(['<', '>', '&', '"']),
                    "{language} {key}"
                );
            }
        }
    }

    #[test]
    fn every_page_is_filled_and_every_text_stands_somewhere() {
        let pages = Pages::built_in();
        for language in Language::ALL {
            let all = [
                pages.index(language),
                pages.login(language, Some(Failure::Wrong)),
                pages.login(language, Some(Failure::TooOften)),
                pages.login(language, Some(Failure::Busy)),
                pages.refused(language, "auditor"),
            ];
            for page in all {
                assert!(page.contains(&format!("<html lang=\"{}\"", language.tag())));
                assert!(!page.contains("{{"), "{page}");
            }
        }
        // A prefix such as `decision.` is completed by a word of the wire.
        let sources: String = FILES.iter().map(|(_, _, content)| *content).collect();
        let all = [&sources, INDEX, LOGIN, REFUSED, include_str!("pages.rs")].concat();
        let keys = &pages.texts["en"];
        for key in keys.keys() {
            let prefix = key.rsplit_once('.').map_or(key.as_str(), |(prefix, _)| prefix);
            let named = all.contains(key.as_str()) || all.contains(&format!("\"{prefix}.\""));
            assert!(named, "{key} stands nowhere");
        }
        for (at, _) in sources.match_indices(" t(\"").chain(sources.match_indices("(t(\"")) {
            let key = sources[at + 4..].split('"').next().unwrap_or_default();
            assert!(keys.contains_key(key), "{key} has no text");
        }
    }

    #[test]
    fn every_word_that_the_page_may_be_told_has_a_text() {
        use crate::policy::evidence::{EnrollmentState, Obstacle};
        use crate::policy::pause::PauseState;
        use crate::policy::rule::Party;
        use crate::policy::rules::standing::{Reason, RuleState};
        use crate::policy::verdict::SpeakerDecision;

        let obstacles = [
            Obstacle::NoConsent,
            Obstacle::NotCovered,
            Obstacle::ConsentWithdrawn,
            Obstacle::ConsentExpired,
            Obstacle::OptedOut,
            Obstacle::StoreUnavailable,
            Obstacle::NoVoiceprint,
            Obstacle::OtherModel,
            Obstacle::PoorLine,
            Obstacle::Ambiguous,
        ];
        let reasons = [
            Reason::Said,
            Reason::NotSaid,
            Reason::TooOften,
            Reason::TooSeldom,
            Reason::OftenEnough,
            Reason::Agreed,
            Reason::Refused,
            Reason::NoAnswer,
            Reason::NotAsked,
            Reason::NoOccasion,
            Reason::EndedFirst,
            Reason::Condition,
            Reason::Gap,
            Reason::NotHeard,
            Reason::WhoSpoke,
        ];
        let decisions = [
            SpeakerDecision::Undecided,
            SpeakerDecision::Accepted,
            SpeakerDecision::Suspect,
            SpeakerDecision::Rejected,
            SpeakerDecision::Changed,
            SpeakerDecision::Inconclusive,
        ];
        let states = [
            RuleState::Pending,
            RuleState::Met,
            RuleState::Violated,
            RuleState::NotApplicable,
            RuleState::Unknown,
        ];
        let enrolments =
            [EnrollmentState::Collecting, EnrollmentState::Enrolled, EnrollmentState::Refused];
        let word = |value: serde_json::Value| value.as_str().expect("a word").to_owned();
        let told = obstacles.map(|told| format!("obstacle.{}", word(serde_json::json!(told))));
        let mut keys = told.to_vec();
        keys.extend(reasons.map(|told| format!("reason.{}", told.as_str())));
        keys.extend(decisions.map(|told| format!("decision.{}", told.as_str())));
        keys.extend(states.map(|told| format!("rule.{}", told.as_str())));
        keys.extend(enrolments.map(|told| format!("enrollment.{}", told.as_str())));
        keys.extend(
            [PauseState::Begun, PauseState::Ended].map(|s| format!("pause.{}", s.as_str())),
        );
        let parties = [Party::Caller, Party::Agent, Party::Mixed];
        keys.extend(parties.map(|party| format!("party.{}", party.as_str())));
        let kinds = ["speaker", "watchlist", "keyword", "rule", "enrollment", "pause"];
        keys.extend(kinds.map(|kind| format!("kind.{kind}")));
        let ends = ["by_peer", "by_us", "cancelled", "refused", "failed", "closed", "missed"];
        keys.extend(ends.map(|end| format!("end.{end}")));
        let texts = &Pages::built_in().texts["en"];
        for key in keys {
            assert!(texts.contains_key(&key), "{key}");
        }
    }

    #[test]
    fn no_page_asks_for_anything_elsewhere_or_has_a_program_or_a_style_inside() {
        for page in [INDEX, LOGIN, REFUSED] {
            for part in page.split('<').skip(1) {
                let tag = part.split('>').next().unwrap_or_default();
                assert!(!tag.starts_with("style") && !tag.contains(" style="), "{tag}");
                assert!(!tag.starts_with("script") || tag.contains(" src=\"/page/"), "{tag}");
                assert!(!tag.contains("://") && !tag.contains(" on"), "{tag}");
            }
        }
        for (name, _, content) in FILES {
            // The one address is the name of SVG's elements, which is asked for by nobody.
            let content = content.replace("http://www.w3.org/2000/svg", "");
            assert!(!content.contains("://"), "{name}");
        }
    }
}
