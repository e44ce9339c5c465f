//! What finds phrases, as the configuration says.

use std::sync::Arc;

use crate::config::keyword::{Engine, Keyword};
use crate::keyword::spotter::{SpotError, Spotter, Spotting};
use crate::policy::rule::Policy;
use crate::runtime::installed::{Installed, InstalledError};
use crate::runtime::onnx::OnnxError;
use crate::runtime::onnx::moonshine::MoonshineModel;
use crate::runtime::sherpa::{SherpaEngine, SherpaError};

/// A model with its phrases.
#[derive(Debug)]
pub enum PhraseEngine {
    /// Segments as wholes, phones first.
    Moonshine {
        /// The model.
        model: Box<MoonshineModel>,
        /// What drives it.
        spotter: Arc<Spotter>,
    },
    /// Chunk by chunk.
    Sherpa(Box<SherpaEngine>),
}

/// What a call's segments are searched by.
#[derive(Clone, Debug)]
pub enum Listening {
    /// Moonshine's model, driven by this.
    Moonshine(Arc<Spotter>),
    /// A streaming model, which has its phrases itself.
    Sherpa,
}

/// For what an engine is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Purpose {
    /// Phrases count from their own thresholds on.
    Watch,
    /// Phrases count from a low score on, to be judged later.
    Evaluate {
        /// Moonshine's score, nats.
        least: f32,
        /// Whether Moonshine's phones are asked first.
        phones: bool,
        /// Whether of phrases that would have been said at once all count.
        each_alone: bool,
    },
}

impl PhraseEngine {
    /// Loads what `config` names, to listen for the phrases of `policy`.
    pub fn load(
        installed: &Installed,
        config: &Keyword,
        policy: &Policy,
        purpose: Purpose,
    ) -> Result<Self, InstalledError> {
        Ok(match config.engine {
            Engine::Moonshine => {
                let spotter = match purpose {
                    Purpose::Watch => installed.spotter(policy, config.threshold)?,
                    Purpose::Evaluate { least, phones, each_alone } => {
                        let spotter = installed.spotter_for_evaluation(policy, least, phones)?;
                        Arc::new(if each_alone { spotter.each_alone() } else { spotter })
                    }
                };
                Self::Moonshine { model: Box::new(installed.moonshine()?), spotter }
            }
            Engine::Sherpa => {
                let sherpa = config.sherpa.as_ref().ok_or(SherpaError::NoFolder)?;
                let threshold = (purpose != Purpose::Watch).then_some(0.0);
                let engine = SherpaEngine::load(installed.runtime(), sherpa, policy, threshold)?;
                Self::Sherpa(Box::new(engine))
            }
        })
    }

    /// What drives Moonshine, if that is the engine.
    pub fn spotter(&self) -> Option<Arc<Spotter>> {
        match self {
            Self::Moonshine { spotter, .. } => Some(Arc::clone(spotter)),
            Self::Sherpa(_) => None,
        }
    }

    /// By what a call's segments are searched.
    pub fn listening(&self) -> Listening {
        match self {
            Self::Moonshine { spotter, .. } => Listening::Moonshine(Arc::clone(spotter)),
            Self::Sherpa(_) => Listening::Sherpa,
        }
    }

    /// Searches one segment: mono, 16 kHz.
    pub fn search(&mut self, samples: &[f32]) -> Result<Spotting, SpotError<OnnxError>> {
        match self {
            Self::Moonshine { model, spotter } => spotter.spot(&mut **model, samples),
            Self::Sherpa(engine) => Ok(engine.search(samples)?),
        }
    }
}
