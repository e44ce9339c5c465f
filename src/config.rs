//! The configuration file as types; every key stands, with unit and reason, in `config/sidetone.toml`.

pub mod consent;
pub mod http;
pub mod keyword;
pub mod notify;
pub mod priority;
pub mod rtp;
pub mod rules;
pub mod sip;
pub mod speaker;
pub mod store;

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::consent::Consent;
use crate::config::http::Http;
use crate::config::keyword::{Engine, Keyword};
use crate::config::notify::{DoerError, Notify};
use crate::config::priority::Priority;
use crate::config::rtp::{CodecName, CodecOrder, Rtp};
use crate::config::rules::Rules;
use crate::config::sip::Sip;
use crate::config::speaker::Speaker;
use crate::config::store::Store;
use crate::keyword::spotter;
use crate::policy::place::Place;
use crate::policy::rule::{Policy, PolicyError};

/// The whole of `sidetone.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How calls reach us.
    pub sip: Sip,
    /// How audio reaches us.
    pub rtp: Rtp,
    /// Where the models are.
    pub models: Models,
    /// The speaker decision.
    pub speaker: Speaker,
    /// What consents cover.
    #[serde(default)]
    pub consent: Consent,
    /// The watched phrases.
    pub keyword: Keyword,
    /// What is kept for the rules.
    #[serde(default)]
    pub rules: Rules,
    /// Who is told of verdicts beside the dialogs.
    #[serde(default)]
    pub notify: Notify,
    /// Where persons, consents and the audit trail are kept.
    pub store: Store,
    /// Metrics, health and the API.
    pub http: Http,
    /// Where all of it stood; none where it was made otherwise.
    #[serde(skip)]
    pub written: Option<Written>,
}

/// A file as it was read.
#[derive(Clone, Debug)]
pub struct Written {
    /// Which.
    pub file: PathBuf,
    /// All of it.
    pub text: String,
}

/// `[models]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Models {
    /// Folder with the fetched models.
    pub folder: PathBuf,
    /// The speaker model that decides; without a name, the manifest's first for that.
    pub decide: Option<String>,
    /// The speaker model that watches; without a name, the manifest's first for that.
    pub watch: Option<String>,
}

/// Why a configuration cannot be used: one sentence that names the file and the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read {}: {error}", .file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Not TOML, an unknown key, a wrong type.
    #[error("{}{place}: {reason}", .file.display())]
    Malformed {
        /// Which file.
        file: PathBuf,
        /// `, line 4 (max_calls = "ten")`; nothing where the file as a whole is meant.
        place: String,
        /// What is wrong there, and what was wanted.
        reason: String,
    },
    /// Well-formed, but it makes no sense.
    #[error("{}: {key} {wanted}, found {found}", .file.display())]
    Senseless {
        /// Which file.
        file: PathBuf,
        /// Which key.
        key: &'static str,
        /// What it must be.
        wanted: &'static str,
        /// What it is.
        found: String,
    },
    /// An action that nobody does.
    #[error(transparent)]
    Doer(#[from] DoerError),
    /// A policy that is no policy.
    #[error("{}{place}: {error}", .file.display())]
    Policy {
        /// Which file.
        file: PathBuf,
        /// `, line 4 ([[rule]])`; nothing where the file as a whole is meant.
        place: String,
        /// What is wrong with it.
        error: Box<PolicyError>,
    },
}

impl Config {
    /// An appliance for `calls` at a time that hears of nobody but this machine, on any free port: for a demonstration or a
    /// measurement, which keeps what it does in the folder `kept`. Its policy is given when it starts.
    pub fn on_loopback(calls: usize, kept: &Path, models: &Path) -> Self {
        Self {
            sip: Sip::on_loopback(calls),
            rtp: Rtp {
                ports: [30_000, 30_999],
                threads: 1,
                silence_timeout_s: 60,
                priority: Priority::Normal,
                codecs: CodecName::all(),
                codec_order: CodecOrder::Offer,
            },
            models: Models { folder: models.to_owned(), decide: None, watch: None },
            speaker: Speaker::default(),
            consent: Consent::default(),
            keyword: Keyword {
                policy: PathBuf::new(),
                threshold: spotter::Settings::default().threshold,
                engine: Engine::Moonshine,
                sherpa: None,
            },
            rules: Rules::default(),
            notify: Notify::default(),
            store: Store::within(kept),
            http: Http::on_loopback(),
            written: None,
        }
    }

    /// Understands the text of `file`; relative paths in it count from the file's own folder.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut config: Self =
            toml::from_str(text).map_err(|error| malformed(file, text, &error))?;
        config.validate(file)?;
        config.written = Some(Written { file: file.to_owned(), text: text.to_owned() });
        let folder = file.parent().unwrap_or(Path::new(""));
        let Self { models, keyword, rules, notify, store, sip, http, speaker, .. } = &mut config;
        let tls = sip.tls.iter_mut();
        let tls = tls.flat_map(|tls| [&mut tls.certificate, &mut tls.key, &mut tls.authorities]);
        let accounts = sip.accounts.iter_mut().filter_map(|account| account.password_file.as_mut());
        let users = sip.users.iter_mut().map(|user| &mut user.password_file);
        store.move_to(folder);
        [&mut models.folder, &mut keyword.policy]
            .into_iter()
            .chain(tls)
            .chain(accounts)
            .chain(users)
            .chain(http.files())
            .chain(rules.events_folder.as_mut())
            .chain(notify.files())
            .chain(speaker.calibration.as_mut())
            .chain(keyword.sherpa.as_mut().map(|sherpa| &mut sherpa.folder))
            .for_each(|path| *path = folder.join(&*path));
        Ok(config)
    }

    fn validate(&self, file: &Path) -> Result<(), ConfigError> {
        let senseless = |key, wanted, found| {
            Err(ConfigError::Senseless { file: file.to_owned(), key, wanted, found })
        };
        let [first, last] = self.rtp.ports;
        if first < 1024 || last <= first || last == first.next_multiple_of(2) {
            let found = format!("[{first}, {last}]");
            let wanted = "must be [first, last] from 1024 up, with an even port and the next one";
            return senseless("rtp.ports", wanted, found);
        }
        if self.rtp.codecs.is_empty() {
            return senseless("rtp.codecs", "must name at least one codec", "[]".to_owned());
        }
        if !(1..=64).contains(&self.rtp.threads) {
            return senseless("rtp.threads", "must be 1 to 64", self.rtp.threads.to_string());
        }
        if !(1..=10_000).contains(&self.sip.max_calls) {
            return senseless(
                "sip.max_calls",
                "must be 1 to 10000",
                self.sip.max_calls.to_string(),
            );
        }
        if !(10..=86_400).contains(&self.rtp.silence_timeout_s) {
            let found = self.rtp.silence_timeout_s.to_string();
            return senseless("rtp.silence_timeout_s", "must be 10 to 86400", found);
        }
        self.http.validate().or_else(|(key, wanted, found)| senseless(key, wanted, found))?;
        self.speaker.validate().or_else(|(key, wanted, found)| senseless(key, wanted, found))?;
        self.consent.validate().or_else(|(key, wanted, found)| senseless(key, wanted, found))?;
        self.rules.validate().or_else(|(key, wanted, found)| senseless(key, wanted, found))?;
        self.store.validate().or_else(|(key, wanted, found)| senseless(key, wanted, found))?;
        self.notify.validate().or_else(|(key, wanted, found)| senseless(key, wanted, found))?;
        self.sip.validate().or_else(|(key, wanted, found)| senseless(key, wanted, found))?;
        self.keyword.validate().or_else(|(key, wanted, found)| senseless(key, wanted, found))
    }
}

/// Understands the text of the policy `file`; relative paths in it count from the file's own folder.
pub fn parse_policy(file: &Path, text: &str) -> Result<Policy, ConfigError> {
    let mut policy: Policy = toml::from_str(text).map_err(|error| malformed(file, text, &error))?;
    policy.validate().map_err(|error| {
        let table = error.table(&policy).and_then(|(name, nth)| start_of(text, name, Some(nth)));
        let word = error.word().and_then(|word| start_of_word(text, word));
        let place = table.or(word).map(|start| place(text, start)).unwrap_or_default();
        ConfigError::Policy { file: file.to_owned(), place, error: Box::new(error) }
    })?;
    let folder = file.parent().unwrap_or(Path::new(""));
    for (nth, phrase) in policy.phrases.iter_mut().enumerate() {
        phrase.examples = phrase.examples.take().map(|file| folder.join(file));
        let line = start_of(text, "phrase", Some(nth)).map_or(0, |start| line_of(text, start));
        phrase.place = Place { file: file.to_owned(), line };
    }
    for (nth, action) in policy.actions.iter_mut().enumerate() {
        let line = start_of(text, "action", Some(nth)).map_or(0, |start| line_of(text, start));
        action.place = Place { file: file.to_owned(), line };
    }
    Ok(policy)
}

/// Where the key `name` stands in `text`, or the `nth` table of the array `name`: `, line 4 ([[rule]])`; nothing
/// where there is none.
pub fn place_of(text: &str, name: &str, nth: Option<usize>) -> String {
    start_of(text, name, nth).map(|start| place(text, start)).unwrap_or_default()
}

fn start_of(text: &str, name: &str, nth: Option<usize>) -> Option<usize> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let value = document.get_ref().get(name)?;
    Some(match nth {
        Some(nth) => value.get_ref().as_array()?.get(nth)?.span().start,
        None => value.span().start,
    })
}

/// Where the pronunciation of `word` begins.
fn start_of_word(text: &str, word: &str) -> Option<usize> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let words = document.get_ref().get("pronunciations")?.get_ref().as_table()?;
    words.keys().find(|key| key.get_ref() == word).map(|key| key.span().start)
}

/// Which line of `text` the byte `start` stands on, from 1.
fn line_of(text: &str, start: usize) -> usize {
    text.get(..start).unwrap_or(text).matches('\n').count() + 1
}

/// Which line of `text` the byte `start` stands on, and what it says.
fn place(text: &str, start: usize) -> String {
    let number = line_of(text, start);
    let line = text.lines().nth(number - 1).unwrap_or_default().trim();
    format!(", line {number} ({line})")
}

/// The parser's drawing of line and caret as one sentence.
pub fn malformed(file: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    // A fault of the file as a whole spans all of it, or nothing at its very beginning.
    let of_one_line = |span: &Range<usize>| {
        *span != (0..0)
            && text.get(span.clone()).is_some_and(|part| !part.trim_end().contains('\n'))
    };
    let place = error.span().filter(of_one_line).map(|span| place(text, span.start));
    let reason = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    ConfigError::Malformed { file: file.to_owned(), place: place.unwrap_or_default(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../config/sidetone.toml");
    const POLICY: &str = include_str!("../config/policy.toml");
    const GERMAN_POLICY: &str = include_str!("../config/policy.de.toml");

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("/etc/sidetone/sidetone.toml"), text)
    }

    #[test]
    fn the_shipped_files_are_good() {
        let config = parse(SHIPPED).expect("the shipped configuration");
        assert_eq!(config.keyword.policy, Path::new("/etc/sidetone/policy.toml"));
        parse_policy(&config.keyword.policy, POLICY).expect("the shipped policy");
    }

    #[test]
    fn the_german_policy_is_understood_and_all_of_it_is_an_experiment() {
        let file = Path::new("policy.de.toml");
        let policy = parse_policy(file, GERMAN_POLICY).expect("the German policy");
        assert_eq!((policy.phrases.len(), policy.rules.len()), (7, 3));
        assert!(policy.phrases.iter().all(|phrase| phrase.language.experiment().is_some()));
        let says = |from: &str, to: &str| {
            assert!(GERMAN_POLICY.contains(from), "{from}");
            let broken = GERMAN_POLICY.replacen(from, to, 1);
            parse_policy(file, &broken).expect_err(to).to_string()
        };
        let at = |start: &str| 1 + GERMAN_POLICY.lines().position(|l| l == start).expect("a line");
        let other = says("language = \"de\"", "language = \"fr\"");
        let line = at("language = \"de\"");
        let wanted =
            format!("policy.de.toml, line {line} (language = \"fr\"): unknown variant `fr`");
        assert!(other.starts_with(&wanted) && other.contains("`de`"), "{other}");
        let odd = says("d iː z ə s", "d iː z ə !");
        let wanted = format!(
            "policy.de.toml, line {} ([[phrase]]): the pronunciation of phrase \"aufzeichnung\": \"!\" in ",
            at("[[phrase]]")
        );
        assert!(odd.starts_with(&wanted), "{odd}");
        let short = says("j aː  ɡ ɛ r n ə  d a s  ɪ s t  ɪ n  ɔ r d n ʊ ŋ", "j aː  ɡ ɛ r n ə");
        assert!(short.contains("the phrase \"ja-gerne\" is said in 7 phones"), "{short}");
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_and_line() {
        let error = parse(&SHIPPED.replace("max_calls", "max_cals")).expect_err("a misspelt key");
        let message = error.to_string();
        let line = 1 + SHIPPED.lines().position(|l| l.starts_with("max_calls")).expect("the key");
        let wanted = format!("/etc/sidetone/sidetone.toml, line {line} (max_cals = 100): ");
        assert!(message.starts_with(&wanted), "{message}");
        assert!(!message.contains('\n'), "one sentence: {message}");
    }

    #[test]
    fn a_missing_key_is_named_with_its_table() {
        let error = parse(&SHIPPED.replace("max_calls = 100\n", "")).expect_err("a missing key");
        let message = error.to_string();
        assert!(message.contains("([sip]): missing field `max_calls`"), "{message}");
        let table = SHIPPED.find("[http]").expect("the table");
        let message = parse(&SHIPPED[..table]).expect_err("a missing table").to_string();
        assert_eq!(message, "/etc/sidetone/sidetone.toml: missing field `http`");
    }

    #[test]
    fn what_is_left_out_is_what_the_file_says_of_it() {
        let config = parse(SHIPPED).expect("the shipped configuration");
        let uncommented =
            ["codecs = [", "codec_order = ", "srtp = ", "send_silence = ", "events_days = "];
        let mut text = SHIPPED.to_owned();
        for key in uncommented {
            // The first is the peer's, where there are two.
            let commented = format!("\n# {key}");
            assert!(text.contains(&commented), "{key} stands in the file");
            text = text.replacen(&commented, &format!("\n{key}"), 1);
        }
        let told = parse(&text).expect("the defaults are good");
        assert_eq!(told.rtp.codecs, config.rtp.codecs);
        assert_eq!(told.rtp.codec_order, config.rtp.codec_order);
        assert_eq!(told.rules.events_days, config.rules.events_days);
        let without = SHIPPED.replacen("[consent]", "[ignored]", 1);
        let (from, to) = (without.find("[ignored]"), without.find("\n[keyword]"));
        let (from, to) = (from.expect("a table"), to.expect("the next"));
        let left_out = parse(&format!("{}{}", &without[..from], &without[to..])).expect("good");
        assert_eq!(left_out.consent, config.consent);
        assert_eq!(told.sip.peers[0].srtp, config.sip.peers[0].srtp);
        assert_eq!(told.sip.peers[0].send_silence, config.sip.peers[0].send_silence);
    }

    #[test]
    fn a_codec_or_policy_that_is_none_is_named() {
        let says = |from: &str, to: &str, wanted: &str| {
            assert!(SHIPPED.contains(from), "{from}");
            let message = parse(&SHIPPED.replacen(from, to, 1)).expect_err(to).to_string();
            assert!(message.ends_with(wanted), "{message}");
        };
        let codecs = "# codecs = [\"opus\", \"G722\"";
        let wanted = "a codec is opus, G722, PCMA, PCMU or L16, found \"G729\"";
        says(codecs, "codecs = [\"opus\", \"G729\"", wanted);
        let none = "rtp.codecs must name at least one codec, found []";
        says("# codecs = [\"opus\", \"G722\", \"PCMA\", \"PCMU\", \"L16\"]", "codecs = []", none);
        let wanted = "unknown variant `theirs`, expected `offer` or `ours`";
        says("# codec_order = \"offer\"", "codec_order = \"theirs\"", wanted);
        let wanted = "unknown variant `on`, expected one of `require`, `prefer`, `off`";
        says("# srtp = \"prefer\"", "srtp = \"on\"", wanted);
    }

    #[test]
    fn an_engine_has_its_model() {
        let engine = |text: &str| {
            parse(
                &SHIPPED
                    .replace("\n# engine = ", "\nengine = ")
                    .replace("engine = \"moonshine\"", text),
            )
        };
        let sherpa = "engine = \"sherpa\"\n[keyword.sherpa]\nfolder = \"zipformer\"\n";
        let keyword = engine(sherpa).expect("an engine with its folder").keyword;
        let sherpa_table = keyword.sherpa.expect("a table");
        assert_eq!(sherpa_table.folder, Path::new("/etc/sidetone/zipformer"));
        assert_eq!(sherpa_table.search(), Default::default());
        let says = |text: &str, wanted: &str| {
            let message = engine(text).expect_err(text).to_string();
            assert!(message.ends_with(wanted), "{message}");
        };
        says(
            "engine = \"sherpa\"",
            "keyword.sherpa.folder must name the model's folder, as the engine is \"sherpa\", found no [keyword.sherpa]",
        );
        says(&format!("{sherpa}paths = 0\n"), "keyword.sherpa.paths must be 1 to 64, found 0");
        says("engine = \"vosk\"", "unknown variant `vosk`, expected `moonshine` or `sherpa`");
    }

    #[test]
    fn a_senseless_value_names_key_wanted_and_found() {
        let error = parse(&SHIPPED.replace("ports = [20000, 20999]", "ports = [20000, 100]"));
        let message = error.expect_err("a range that ends before it begins").to_string();
        assert!(message.contains("rtp.ports") && message.contains("[20000, 100]"), "{message}");
        let no_pair = parse(&SHIPPED.replace("ports = [20000, 20999]", "ports = [20001, 20002]"));
        assert!(no_pair.is_err(), "no even port with the next one");
        let for_ever = parse(&SHIPPED.replace("# events_days = 30", "events_days = 0"));
        let message = for_ever.expect_err("no time").to_string();
        assert!(message.ends_with("rules.events_days must be 1 to 3650, found 0"), "{message}");
    }
}
