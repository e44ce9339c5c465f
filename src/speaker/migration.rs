//! From one model to a better one: a voiceprint gains a reference by what was heard meanwhile.
//!
//! While both models embed, windows of the new one are gathered beside the voiceprint; once they
//! are enough by the same measure as an enrolment, no one has to speak again.

use std::time::Duration;

use crate::speaker::gathering::Gathering;
use crate::speaker::quality::LEAST_SPEECH;
use crate::speaker::voiceprint::{Reference, SESSIONS, Voiceprint};

/// What a subject's migration comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Migration {
    /// The voiceprint has a reference of the model already.
    Unneeded,
    /// The voiceprint with one more.
    Done(Box<Voiceprint>),
    /// Too little was heard by the new model.
    MustSpeak {
        /// Net speech that it heard.
        found: Duration,
    },
}

/// Gives `voiceprint` a reference of `model` (`name@version`) from what was gathered.
pub fn migrate(voiceprint: &Voiceprint, gathering: Option<&Gathering>, model: &str) -> Migration {
    if voiceprint.reference(model).is_some() {
        return Migration::Unneeded;
    }
    let heard = gathering.and_then(|gathering| {
        let known = gathering.models.iter().find(|known| known.model == model)?;
        Some((gathering, known))
    });
    let Some((gathering, known)) = heard else {
        return Migration::MustSpeak { found: Duration::ZERO };
    };
    match Reference::of(model, &known.windows) {
        Some(reference) if gathering.net_speech() >= LEAST_SPEECH => {
            let mut voiceprint = voiceprint.clone();
            voiceprint.references.push(reference);
            voiceprint.sessions.extend(&gathering.sessions);
            let many = voiceprint.sessions.len().saturating_sub(SESSIONS);
            voiceprint.sessions.drain(..many);
            Migration::Done(Box::new(voiceprint))
        }
        Some(_) | None => Migration::MustSpeak { found: gathering.net_speech() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::permit::leave;
    use crate::speaker::embedding::Embedding;
    use crate::speaker::gathering::ModelWindows;
    use crate::speaker::voiceprint::Kept;

    const WHEN: jiff::Timestamp = jiff::Timestamp::UNIX_EPOCH;

    fn embedding(x: f32) -> Embedding {
        Embedding::from_raw(vec![1.0, x]).expect("a direction")
    }

    fn gathered(net_speech_s: f64) -> Gathering {
        let windows = vec![Kept { session: WHEN, embedding: embedding(0.5) }; 9];
        let models = vec![ModelWindows { model: "new@1".to_owned(), windows }];
        Gathering { net_speech_s, models, ..Gathering::new("alice", &leave()) }
    }

    #[test]
    fn enough_speech_heard_by_the_new_model_spares_the_person() {
        let old = Voiceprint::of_embedding("alice", "c-1", WHEN, 12.0, ("old@1", embedding(0.0)));
        let enough = migrate(&old, Some(&gathered(12.0)), "new@1");
        let Migration::Done(both) = enough else { panic!("{enough:?}") };
        assert_eq!(both.reference("new@1").map(|r| r.windows), Some(9));
        assert_eq!(both.reference("old@1"), old.reference("old@1"));
        assert_eq!(migrate(&both, None, "new@1"), Migration::Unneeded);
    }

    #[test]
    fn too_little_and_other_models_do_not() {
        let old = Voiceprint::of_embedding("alice", "c-1", WHEN, 12.0, ("old@1", embedding(0.0)));
        let must_speak = |seconds| Migration::MustSpeak { found: Duration::from_secs(seconds) };
        assert_eq!(migrate(&old, Some(&gathered(7.0)), "new@1"), must_speak(7));
        assert_eq!(migrate(&old, Some(&gathered(12.0)), "new@2"), must_speak(0));
        assert_eq!(migrate(&old, None, "new@1"), must_speak(0));
    }
}
