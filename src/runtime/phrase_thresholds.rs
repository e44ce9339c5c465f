//! The score that each phrase of a policy needs.

use crate::keyword::false_alarms::TooShort;
use crate::keyword::spotter::Spotter;
use crate::policy::place::Place;
use crate::policy::rule::Policy;

/// A phrase whose false alarms cannot be as few as its policy wants.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{place}: phrase {id:?}: {reason}")]
pub struct ThresholdError {
    /// Where it stands.
    pub place: Place,
    /// Its id.
    pub id: String,
    /// Why not.
    pub reason: Unmet,
}

/// Why a rate of false alarms cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Unmet {
    /// It has too few phones.
    #[error(transparent)]
    TooShort(#[from] TooShort),
    /// Nothing is known of its phones.
    #[error(
        "expected_false_alarms_per_hour needs to know how every word is said: give [pronunciations] of those that no \
         dictionary has, or a threshold"
    )]
    Unpronounced,
}

/// Thresholds in the order of the policy, nats: a phrase's own, the one that its rate of false alarms comes to, or
/// `default`. The phrases of `spotter` are those of `policy`.
pub fn thresholds(
    policy: &Policy,
    spotter: &Spotter,
    default: f32,
) -> Result<Vec<f32>, Box<ThresholdError>> {
    let of = |(place, watched): (usize, &crate::policy::rule::WatchedPhrase)| {
        if watched.examples.is_some() {
            return Ok(spotter.threshold_of(place));
        }
        let Some(rate) = watched.expected_false_alarms_per_hour else {
            return Ok(watched.threshold_in_force(default));
        };
        let shape = spotter.shape_of(place).ok_or(Unmet::Unpronounced);
        shape.and_then(|shape| Ok(shape.threshold_for(rate)?)).map_err(|reason| {
            Box::new(ThresholdError {
                place: watched.place.clone(),
                id: watched.id.clone(),
                reason,
            })
        })
    };
    policy.phrases.iter().enumerate().map(of).collect()
}
