//! The policy file, read again while calls go on; what cannot be used leaves the old policy in force.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use crate::config::keyword::{Engine, Keyword};
use crate::config::notify::Notify;
use crate::config::{self, Config, ConfigError};
use crate::policy::place::Place;
use crate::policy::rule::Policy;
use crate::runtime::installed::{Installed, InstalledError};
use crate::runtime::phrase_engine::Listening;
use crate::runtime::placed_calls::{Desk, Order};
use crate::runtime::policy_in_force::PolicyInForce;

/// What a policy holds, whatever its file says about that: comments and the order of keys do not count.
type Fingerprint = [u8; 32];

/// What became of a reload that was not refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reloaded {
    /// What is in force now, `name@version`.
    #[schema(example = "default@1")]
    pub policy: String,
    /// Whether it was another one before.
    pub changed: bool,
}

/// Why the policy of before stays in force: one sentence.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It cannot be read, or makes no sense.
    #[error(transparent)]
    Policy(#[from] ConfigError),
    /// Its phrases cannot be listened for.
    #[error("{}{place}: {error}", .file.display())]
    Spotter {
        /// Which file.
        file: PathBuf,
        /// `, line 4 ([[phrase]])`, where one phrase is meant.
        place: String,
        /// What is wrong.
        error: Box<InstalledError>,
    },
    /// Verdicts carry name and version: nobody could tell which of two policies they are of.
    #[error("{}{place}: {policy} was in force with other content: it needs another version", .file.display())]
    SameVersion {
        /// Which file.
        file: PathBuf,
        /// `, line 4 (version = "1")`.
        place: String,
        /// Its `name@version`.
        policy: String,
    },
    /// A streaming model has its phrases from the start.
    #[error("{}: the engine \"sherpa\" takes other phrases at its next start only", .file.display())]
    OtherPhrases {
        /// Which file.
        file: PathBuf,
    },
    /// Nobody takes a policy at the start and at the end.
    #[error("starting or stopping")]
    Stopping,
}

/// The policy file, and what of it is in force.
#[derive(Debug)]
pub struct PolicyFile {
    source: Arc<Source>,
    desk: Desk,
    /// Every policy that was in force since the start.
    known: HashMap<String, Fingerprint>,
    in_force: String,
}

/// What a policy is made from.
#[derive(Debug)]
struct Source {
    file: PathBuf,
    keyword: Keyword,
    notify: Notify,
    /// Ids of the phrases that were listened for at the start.
    phrases: Vec<String>,
    installed: Installed,
}

impl PolicyFile {
    /// That of `config`, where `policy` is in force; what is good is given to the signalling thread at `desk`.
    pub fn new(config: &Config, installed: Installed, policy: &Policy, desk: Desk) -> Self {
        let phrases = ids(policy);
        let (file, keyword) = (config.keyword.policy.clone(), config.keyword.clone());
        let notify = config.notify.clone();
        let source = Arc::new(Source { file, keyword, notify, phrases, installed });
        let in_force = policy.versioned_name();
        let known = HashMap::from([(in_force.clone(), fingerprint(policy))]);
        Self { source, desk, known, in_force }
    }

    /// The policy that new conversations are judged by, `name@version`.
    pub fn in_force(&self) -> &str {
        &self.in_force
    }

    /// Reads it, and puts it in force where it is another one.
    pub async fn reload(&mut self) -> Result<Reloaded, ReloadError> {
        let (source, known) = (Arc::clone(&self.source), self.known.clone());
        // The dictionary alone takes a tenth of a second: calls are answered meanwhile.
        let read = spawn_blocking(move || source.read(&known)).await;
        let (made, print) = read.expect("reading a policy does not panic")?;
        let policy = made.policy().versioned_name();
        let unchanged = policy == self.in_force;
        if !unchanged {
            let taken = self.desk.give(|reply| Order::Enforce(made, reply)).await;
            taken.ok_or(ReloadError::Stopping)?;
            self.known.insert(policy.clone(), print);
            self.in_force.clone_from(&policy);
        }
        Ok(Reloaded { policy, changed: !unchanged })
    }
}

impl Source {
    /// Reads and prepares the policy, unless it is another one than was `known` by its name.
    fn read(
        &self,
        known: &HashMap<String, Fingerprint>,
    ) -> Result<(PolicyInForce, Fingerprint), ReloadError> {
        let file = || self.file.clone();
        let text = std::fs::read_to_string(&self.file)
            .map_err(|error| ConfigError::Unreadable { file: file(), error })?;
        let policy = config::parse_policy(&self.file, &text)?;
        self.notify.check_doers(&policy).map_err(ConfigError::from)?;
        let (name, print) = (policy.versioned_name(), fingerprint(&policy));
        if known.get(&name).is_some_and(|before| *before != print) {
            let place = config::place_of(&text, "version", None);
            return Err(ReloadError::SameVersion { file: file(), place, policy: name });
        }
        if self.keyword.engine == Engine::Sherpa {
            return if ids(&policy) == self.phrases {
                Ok((
                    PolicyInForce::new(policy, Listening::Sherpa).read_from(text.as_bytes()),
                    print,
                ))
            } else {
                Err(ReloadError::OtherPhrases { file: file() })
            };
        }
        let spotter = self.installed.spotter(&policy, self.keyword.threshold).map_err(|error| {
            let nth = match &error {
                InstalledError::Phrase { id, .. } => {
                    policy.phrases.iter().position(|phrase| phrase.id == *id)
                }
                _ => None,
            };
            let place = nth.map(|nth| config::place_of(&text, "phrase", Some(nth)));
            ReloadError::Spotter {
                file: file(),
                place: place.unwrap_or_default(),
                error: Box::new(error),
            }
        })?;
        let policy = PolicyInForce::new(policy, Listening::Moonshine(spotter));
        Ok((policy.read_from(text.as_bytes()), print))
    }
}

fn ids(policy: &Policy) -> Vec<String> {
    policy.phrases.iter().map(|phrase| phrase.id.clone()).collect()
}

fn fingerprint(policy: &Policy) -> Fingerprint {
    let mut policy = policy.clone();
    // Where something stands in the file is not what it says.
    policy.phrases.iter_mut().for_each(|phrase| phrase.place = Place::default());
    policy.actions.iter_mut().for_each(|action| action.place = Place::default());
    // What is derived shows every field, also one that is added later.
    Sha256::digest(format!("{policy:?}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_changes_no_policy_and_a_threshold_does() {
        let print = |text: &str| fingerprint(&toml::from_str(text).expect("a policy"));
        let text = "name='p'\nversion='1'\n[[phrase]]\nid='a'\ntext='one'\nthreshold=-3.0";
        let commented = text.replace("[[phrase]]", "# who says so\n\n[[phrase]]");
        assert_eq!(print(text), print(&commented));
        assert_ne!(print(text), print(&text.replace("-3.0", "-3.1")));
    }
}
