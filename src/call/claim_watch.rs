//! The comparison of a claimed identity with whoever speaks on a leg: one person, or several.

use std::time::Duration;

use crate::audio::mixed_stream::Chunk;
use crate::audio::speech_windows::SpeechWindow;
use crate::audio::turns::Row;
use crate::audio::voice_activity::Heard;
use crate::call::adaptation_watch::AdaptationWatch;
use crate::call::mixed_watch::MixedWatch;
use crate::call::speaker_watch::SpeakerWatch;
use crate::call::voices::VoiceWork;
use crate::consent::permit::{Permit, Verification};
use crate::policy::evidence::{Obstacle, SpeakerEvidence, WatchlistEvidence};
use crate::policy::rule::Party;
use crate::speaker::adaptation::Step;
use crate::speaker::calibration::Calibration;
use crate::speaker::embedder::{Embedders, Purpose};
use crate::speaker::embedding::Embedding;
use crate::speaker::people::MOST_PEOPLE;
use crate::speaker::verifier::{Settings, Verifier};
use crate::speaker::voiceprint::Voiceprint;
use crate::speaker::watchlist::Watchlist;

/// What is known about a claim before anything is heard.
#[derive(Clone, Copy, Debug)]
pub struct Claimed<'a> {
    /// Leave to compare the caller; on a mixed leg it has to be everybody's, since everybody is heard there.
    pub leave: &'a Permit<Verification>,
    /// The voice that is claimed.
    pub voiceprint: Option<&'a Voiceprint>,
    /// The agent's own voice, where it is known: it is left out of a mixed leg.
    pub agent: Option<&'a Voiceprint>,
}

/// One claim on one leg.
#[derive(Debug)]
pub enum ClaimWatch {
    /// One person speaks there.
    One(Box<SpeakerWatch>),
    /// Several do.
    Mixed(Box<MixedWatch>),
}

impl From<SpeakerWatch> for ClaimWatch {
    /// One person speaks.
    fn from(watch: SpeakerWatch) -> Self {
        Self::One(Box::new(watch))
    }
}

impl ClaimWatch {
    /// The comparison that a claim asks for on the leg of `party`, or why there can be none.
    pub fn new(
        party: Party,
        claimed: Claimed<'_>,
        models: &Embedders,
        (calibration, settings): (Calibration, Settings),
        watchlist: Option<Watchlist>,
    ) -> Result<Self, Obstacle> {
        let Claimed { leave, voiceprint, agent } = claimed;
        let watch = |settings| -> Result<SpeakerWatch, Obstacle> {
            let verifier = Verifier::new(calibration, settings);
            let mut watch = SpeakerWatch::new(leave, voiceprint, models, verifier)?;
            if let Some(watchlist) = watchlist {
                watch.look_out(watchlist);
            }
            Ok(watch)
        };
        Ok(match party {
            Party::Caller | Party::Agent => watch(settings)?.into(),
            Party::Mixed => {
                let agent = agent.and_then(|agent| agent.reference(&models.decide));
                let agent = agent.map(|reference| reference.embedding.clone());
                let watch = watch(settings.among(MOST_PEOPLE as u32))?;
                Self::Mixed(Box::new(MixedWatch::new(watch, agent)))
            }
        })
    }

    /// From the beginning on the call may teach the voiceprint; not where others speak as well.
    pub fn adapt(&mut self, adaptation: AdaptationWatch) {
        match self {
            Self::One(watch) => watch.adapt(adaptation),
            Self::Mixed(_) => {}
        }
    }

    /// The call is over: what it may teach the voiceprint, if anything.
    pub fn lesson(&mut self) -> Option<Step> {
        match self {
            Self::One(watch) => watch.lesson(),
            Self::Mixed(_) => None,
        }
    }

    /// The call teaches nothing after all.
    pub fn teach_nothing(&mut self) {
        match self {
            Self::One(watch) => watch.teach_nothing(),
            Self::Mixed(_) => {}
        }
    }

    /// Nobody is compared with known voices any more.
    pub fn look_away(&mut self) {
        match self {
            Self::One(watch) => watch.look_away(),
            Self::Mixed(watch) => watch.look_away(),
        }
    }

    /// Whether windows of the leg's speech are wanted.
    pub fn wants_windows(&self) -> bool {
        match self {
            Self::One(watch) => watch.wants_windows(),
            Self::Mixed(_) => false,
        }
    }

    /// Whether all of its frames are.
    pub fn wants_frames(&self) -> bool {
        match self {
            Self::One(_) => false,
            Self::Mixed(watch) => watch.wants_frames(),
        }
    }

    /// Takes the next window; `concealed` is all the speech so far of which a part was made up.
    pub fn handle_window(&mut self, window: SpeechWindow, concealed: Duration) {
        if let Self::One(watch) = self {
            watch.handle_window(window, concealed);
        }
    }

    /// Takes the next frame.
    pub fn handle_frame(&mut self, heard: Heard) {
        if let Self::Mixed(watch) = self {
            watch.handle_frame(heard);
        }
    }

    /// Takes the segmentation model's answer about a chunk.
    pub fn handle_rows(&mut self, chunk: u32, rows: Option<&[Row]>) {
        if let Self::Mixed(watch) = self {
            watch.handle_rows(chunk, rows);
        }
    }

    /// Takes an embedder's answer about a window; `None` where it failed or never got to it.
    pub fn handle_embedding(&mut self, by: Purpose, window: u64, embedding: Option<Embedding>) {
        match self {
            Self::One(watch) => watch.handle_embedding(by, window, embedding),
            Self::Mixed(watch) => watch.handle_embedding(by, window, embedding),
        }
    }

    /// What was heard and not compared is forgotten.
    pub fn discard(&mut self) {
        match self {
            Self::One(watch) => watch.discard(),
            Self::Mixed(watch) => watch.discard(),
        }
    }

    /// The stream is over.
    pub fn finish(&mut self) {
        if let Self::Mixed(watch) = self {
            watch.finish();
        }
    }

    /// What the segmentation model is to be asked about.
    pub fn poll_chunk(&mut self) -> Option<Chunk> {
        match self {
            Self::One(_) => None,
            Self::Mixed(watch) => watch.poll_chunk(),
        }
    }

    /// What an embedder is to work on.
    pub fn poll_work(&mut self) -> Option<VoiceWork> {
        match self {
            Self::One(watch) => watch.poll_work(),
            Self::Mixed(watch) => watch.poll_work(),
        }
    }

    /// What a window showed.
    pub fn poll_evidence(&mut self) -> Option<SpeakerEvidence> {
        match self {
            Self::One(watch) => watch.poll_evidence(),
            Self::Mixed(watch) => watch.poll_evidence(),
        }
    }

    /// A known voice that somebody's resembles.
    pub fn poll_hit(&mut self) -> Option<WatchlistEvidence> {
        match self {
            Self::One(watch) => watch.poll_hit(),
            Self::Mixed(watch) => watch.poll_hit(),
        }
    }
}
