//! The people on one leg, told apart by their voices.

use std::collections::VecDeque;

use crate::speaker::embedding::Embedding;

/// People of one leg that are followed. Caller, agent, and two that a transfer or a conference brings.
pub const MOST_PEOPLE: usize = 4;
/// Cosine from which on a stretch of speech is a known person's, by the embedder that decides.
const SAME_PERSON: f32 = 0.5;
/// How much more a stretch has to be like somebody else than like whoever was taken to speak there before.
const INERTIA: f32 = 0.05;
/// Stretches of a person's speech that are remembered.
const REMEMBERED: usize = 8;

/// Knows the people of a leg again.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// The newest stretches of each person's speech.
    known: Vec<VecDeque<Embedding>>,
    /// Whose voice was known before the call: the agent's.
    agent: Option<Embedding>,
}

/// Whose a stretch of speech is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The agent's.
    Agent,
    /// This person's, numbered from 0 in the order of appearance.
    Person(usize),
    /// Somebody's whom there is no room to follow.
    Nobody,
}

impl People {
    /// Nobody heard yet; the agent, if there is one whose voice is known, is not one of the people.
    pub fn new(agent: Option<Embedding>) -> Self {
        Self { known: Vec::new(), agent }
    }

    /// Whose stretch of speech it is that has this voice, and that was taken for `before`'s so far; somebody new
    /// gets the next number.
    pub fn place(&mut self, voice: &Embedding, before: Option<Whose>) -> Whose {
        let likeness = |known: Option<&Embedding>, whose: Whose| {
            let cosine = known.and_then(|known| known.cosine(voice)).unwrap_or(-1.0);
            (cosine + if before == Some(whose) { INERTIA } else { 0.0 }, whose)
        };
        let mut best = likeness(self.agent.as_ref(), Whose::Agent);
        for (person, voices) in self.known.iter().enumerate() {
            let other = likeness(Embedding::mean(voices).as_ref(), Whose::Person(person));
            if other.0 > best.0 {
                best = other;
            }
        }
        let whose = match best {
            (cosine, whose) if cosine >= SAME_PERSON => whose,
            _ if self.known.len() < MOST_PEOPLE => {
                self.known.push(VecDeque::new());
                Whose::Person(self.known.len() - 1)
            }
            _ => Whose::Nobody,
        };
        if let Whose::Person(person) = whose {
            let voices = &mut self.known[person];
            if voices.len() == REMEMBERED {
                voices.pop_front();
            }
            voices.push_back(voice.clone());
        }
        whose
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(degrees: f32) -> Embedding {
        let (sine, cosine) = degrees.to_radians().sin_cos();
        Embedding::from_raw(vec![cosine, sine]).expect("a direction")
    }

    #[test]
    fn a_voice_is_known_again_and_another_is_somebody_else() {
        let mut people = People::new(None);
        assert_eq!(people.place(&voice(0.0), None), Whose::Person(0));
        assert_eq!(people.place(&voice(90.0), None), Whose::Person(1));
        assert_eq!(people.place(&voice(20.0), None), Whose::Person(0));
        assert_eq!(people.place(&voice(70.0), None), Whose::Person(1));
    }

    #[test]
    fn who_spoke_before_is_left_for_a_better_reason_only() {
        let mut people = People::new(None);
        people.place(&voice(0.0), None);
        people.place(&voice(90.0), None);
        let before = Some(Whose::Person(0));
        assert_eq!(people.clone().place(&voice(46.0), before), Whose::Person(0));
        assert_eq!(people.clone().place(&voice(46.0), None), Whose::Person(1));
        assert_eq!(people.place(&voice(60.0), before), Whose::Person(1));
    }

    #[test]
    fn the_agent_is_none_of_the_people() {
        let mut people = People::new(Some(voice(0.0)));
        assert_eq!(people.place(&voice(10.0), None), Whose::Agent);
        assert_eq!(people.place(&voice(90.0), None), Whose::Person(0));
    }

    #[test]
    fn a_crowd_is_not_followed() {
        let mut people = People::new(None);
        for (person, degrees) in [0.0, 90.0, 180.0, 270.0].into_iter().enumerate() {
            assert_eq!(people.place(&voice(degrees), None), Whose::Person(person));
        }
        let mut axis = vec![0.0; 2];
        axis.extend([1.0]);
        let other = Embedding::from_raw(axis).expect("a direction");
        assert_eq!(people.place(&other, None), Whose::Nobody);
        assert_eq!(people.place(&voice(180.0), None), Whose::Person(2));
    }
}
