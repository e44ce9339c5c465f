//! What a media session asks of the models, and what they answer.

use crate::audio::mixed_stream::Chunk;
use crate::audio::segmenter::Segment;
use crate::audio::turns::Row;
use crate::call::voices::{Asker, VoiceWork};
use crate::keyword::digit_search::DigitRun;
use crate::keyword::spotter::Hit;
use crate::speaker::embedder::Purpose;
use crate::speaker::embedding::Embedding;

/// Work for a model.
#[derive(Clone, Debug)]
pub enum Infer {
    /// Speech to be embedded.
    Speaker(VoiceWork),
    /// A segment to be searched for phrases.
    Keyword(Segment),
    /// A piece of a mixed leg, of which it is to be said who speaks when.
    Turns(Chunk),
}

/// What of the work that waits for a model is not to be done any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// All of it.
    All,
    /// What the comparison asked for: voices, and who speaks when.
    Claim,
    /// What the enrolment asked for.
    Enrollment,
    /// Segments that were to be searched.
    Phrases,
}

impl Withdrawn {
    /// Whether `work` is of it.
    pub fn covers(self, work: &Infer) -> bool {
        match (self, work) {
            (Self::All, _)
            | (Self::Claim, Infer::Turns(_))
            | (Self::Phrases, Infer::Keyword(_)) => true,
            (Self::Claim, Infer::Speaker(work)) => work.asker == Asker::Claim,
            (Self::Enrollment, Infer::Speaker(work)) => work.asker == Asker::Enrollment,
            (Self::Claim, Infer::Keyword(_))
            | (Self::Enrollment, Infer::Keyword(_) | Infer::Turns(_))
            | (Self::Phrases, Infer::Speaker(_) | Infer::Turns(_)) => false,
        }
    }
}

/// What a model made of it; `None` where it failed or never got to it.
#[derive(Debug)]
pub enum Answer {
    /// To [`Infer::Speaker`].
    Embedding {
        /// Who asked.
        asker: Asker,
        /// Who was asked.
        by: Purpose,
        /// The number of the window.
        window: u64,
        /// Its voice.
        embedding: Option<Embedding>,
    },
    /// To [`Infer::Keyword`].
    Hits {
        /// The segment.
        segment: Segment,
        /// The watched phrases in it.
        hits: Option<Vec<Hit>>,
        /// Where digits were said in a row, if anybody wants to know; never which.
        digits: Vec<DigitRun>,
    },
    /// To [`Infer::Turns`].
    Turns {
        /// The number of the chunk.
        chunk: u32,
        /// Who speaks when in it.
        rows: Option<Vec<Row>>,
    },
}
