//! `[keyword]`: the watched phrases, and what finds them.

use std::path::PathBuf;

use serde::Deserialize;

use crate::keyword::streaming::search;

/// `[keyword]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyword {
    /// File with the watched phrases.
    pub policy: PathBuf,
    /// Score (nats) from which a phrase counts as spoken that the transcript does not hold; see
    /// [`Settings::threshold`](crate::keyword::spotter::Settings::threshold).
    pub threshold: f32,
    /// What finds them.
    #[serde(default)]
    pub engine: Engine,
    /// The model of the engine `sherpa`.
    pub sherpa: Option<Sherpa>,
}

/// What finds phrases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// The fetched models: English.
    #[default]
    Moonshine,
    /// A streaming model in the layout of sherpa-onnx: any language that there is one of.
    Sherpa,
}

/// `[keyword.sherpa]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sherpa {
    /// Folder of the model.
    pub folder: PathBuf,
    /// See [`search::Settings::boost`].
    #[serde(default = "boost")]
    pub boost: f32,
    /// See [`search::Settings::threshold`].
    #[serde(default = "threshold")]
    pub threshold: f32,
    /// See [`search::Settings::paths`].
    #[serde(default = "paths")]
    pub paths: usize,
    /// See [`search::Settings::trailing_blanks`].
    #[serde(default = "trailing_blanks")]
    pub trailing_blanks: usize,
}

fn boost() -> f32 {
    search::Settings::default().boost
}

fn threshold() -> f32 {
    search::Settings::default().threshold
}

fn paths() -> usize {
    search::Settings::default().paths
}

fn trailing_blanks() -> usize {
    search::Settings::default().trailing_blanks
}

impl Sherpa {
    /// How it searches.
    pub fn search(&self) -> search::Settings {
        let Self { boost, threshold, paths, trailing_blanks, .. } = *self;
        search::Settings { boost, threshold, paths, trailing_blanks }
    }
}

impl Keyword {
    /// Whether its values make sense: the key, what was wanted and what was found of the first that does not.
    pub fn validate(&self) -> Result<(), (&'static str, &'static str, String)> {
        if !(-10.0..=0.0).contains(&self.threshold) {
            return Err(("keyword.threshold", "must be -10 to 0", self.threshold.to_string()));
        }
        let Some(sherpa) = &self.sherpa else {
            return match self.engine {
                Engine::Moonshine => Ok(()),
                Engine::Sherpa => {
                    let wanted = "must name the model's folder, as the engine is \"sherpa\"";
                    Err(("keyword.sherpa.folder", wanted, "no [keyword.sherpa]".to_owned()))
                }
            };
        };
        sherpa.search().validate()
    }
}
