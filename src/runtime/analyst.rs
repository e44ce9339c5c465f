//! The real models in the place of the inference threads, for one who can wait: `sidetone analyze`.

use std::sync::Arc;

use crate::audio::turns::TurnModel;
use crate::call::claim_watch::{ClaimWatch, Claimed};
use crate::call::inference::{Answer, Infer};
use crate::call::voices::VoiceWork;
use crate::consent::permit::{Permit, Verification};
use crate::policy::evidence::Obstacle;
use crate::policy::judge::Models;
use crate::policy::rule::{Party, Policy};
use crate::runtime::phrase_engine::PhraseEngine;
use crate::runtime::replay::Analyst;
use crate::runtime::voices::Voices;
use crate::speaker::calibration::Calibration;
use crate::speaker::embedder::Embedder;
use crate::speaker::verifier;
use crate::speaker::voiceprint::Voiceprint;

/// Who is claimed to be the caller.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Whom.
    pub subject: String,
    /// Leave to compare: nothing is embedded without.
    pub leave: Permit<Verification>,
    /// That person's voice, if it was enrolled.
    pub voiceprint: Option<Voiceprint>,
    /// The agent's voice, if it was enrolled: left out of a mix.
    pub agent: Option<Voiceprint>,
    /// Error rates of the decision.
    pub decision: verifier::Settings,
    /// What scores are worth here.
    pub calibration: Calibration,
}

/// Watched phrases, and what finds them.
#[derive(Debug)]
pub struct Phrases {
    /// Which.
    pub policy: Arc<Policy>,
    /// What finds them.
    pub engine: PhraseEngine,
}

/// Answers at once, with as many models as were loaded.
#[derive(Debug)]
pub struct LoadedAnalyst<E, T> {
    names: Models,
    speaker: Option<(Claim, Voices<E>, T)>,
    keyword: Option<Phrases>,
}

impl<E: Embedder, T: TurnModel> LoadedAnalyst<E, T> {
    /// With a voice to compare with and its models, and with phrases to look for; `names` are the
    /// models'.
    pub fn new(
        names: Models,
        speaker: Option<(Claim, Voices<E>, T)>,
        keyword: Option<Phrases>,
    ) -> Self {
        Self { names, speaker, keyword }
    }

    /// The claim is about the caller, who is in a mix of both as well.
    fn claim(&self, party: Party) -> Option<&Claim> {
        self.speaker.as_ref().map(|(claim, ..)| claim).filter(|_| party != Party::Agent)
    }
}

impl<E: Embedder, T: TurnModel> Analyst for LoadedAnalyst<E, T> {
    fn answer(&mut self, work: Infer) -> Answer {
        match work {
            Infer::Speaker(VoiceWork { asker, by, window, samples, .. }) => {
                let embedding = self
                    .speaker
                    .as_mut()
                    .and_then(|(claim, voices, _)| voices.embed(&claim.leave, by, &samples).ok());
                Answer::Embedding { asker, by, window, embedding }
            }
            Infer::Keyword(segment) => {
                let hits = self.keyword.as_mut().and_then(|phrases| {
                    let spotting = phrases.engine.search(&segment.samples);
                    spotting.ok().map(|spotting| spotting.hits)
                });
                Answer::Hits { segment, hits, digits: Vec::new() }
            }
            Infer::Turns(chunk) => {
                let turns = self.speaker.as_mut().map(|(.., turns)| turns);
                let rows = turns.and_then(|turns| turns.turns(&chunk.samples).ok());
                Answer::Turns { chunk: chunk.number, rows }
            }
        }
    }

    fn watch(&self, party: Party) -> Option<Result<ClaimWatch, Obstacle>> {
        let claim = self.claim(party)?;
        let claimed = Claimed {
            leave: &claim.leave,
            voiceprint: claim.voiceprint.as_ref(),
            agent: claim.agent.as_ref(),
        };
        let weighing = (claim.calibration, claim.decision);
        Some(ClaimWatch::new(party, claimed, &self.names.speaker, weighing, None))
    }

    fn subject(&self, party: Party) -> Option<String> {
        self.claim(party).map(|claim| claim.subject.clone())
    }

    fn models(&self) -> Models {
        self.names.clone()
    }

    fn policy(&self) -> Option<Arc<Policy>> {
        self.keyword.as_ref().map(|phrases| Arc::clone(&phrases.policy))
    }
}
