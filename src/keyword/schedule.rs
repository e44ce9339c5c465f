//! Whose turn it is at the keyword model: who waits to be heard, who is being decoded, who has questions.

use std::time::{Duration, Instant};

use crate::keyword::search::Need;

/// A segment is to be answered within so much of its arrival: with the half second that its end takes to be
/// noticed, a phrase is told within 2 s.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// Nobody new is heard (30 ms a segment of 4 s) while somebody who is being decoded has less time left.
const HURRY: Duration = Duration::from_millis(300);

/// What the model does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Hears who waits longest.
    Admit,
    /// A step for all who are being decoded.
    Step,
    /// A run of questions of the one at this place.
    Ask(usize),
    /// Nothing is to be done.
    Wait,
}

/// Shares the model out, one run at a time.
///
/// Who waits is heard first, as long as there is room, so that as many as possible are decoded together: a
/// step for eight costs three times one for one. Steps and questions take turns, and questions go
/// to who is due first, so that nobody waits for more than a step, eight runs of questions and, unless they are in a
/// hurry, those who were heard meanwhile.
#[derive(Debug, Default)]
pub struct Schedule {
    /// The last run was of questions.
    asked: bool,
}

impl Schedule {
    /// At `now`, with `running` searches of `lanes` by when they are due and what they need, and somebody
    /// waiting who is due by `waiting`.
    pub fn next(
        &mut self,
        now: Instant,
        lanes: usize,
        running: &[(Instant, Need)],
        waiting: Option<Instant>,
    ) -> Turn {
        let hurry = running.iter().any(|(due, _)| *due <= now + HURRY);
        if waiting.is_some() && running.len() < lanes && !hurry {
            return Turn::Admit;
        }
        let steps = running.iter().any(|(_, need)| *need == Need::Step);
        let asking = running.iter().enumerate().filter(|(_, (_, need))| *need != Need::Step);
        let first = asking.min_by_key(|(_, (due, _))| *due).map(|(place, _)| place);
        let turn = match first {
            Some(place) if !steps || !self.asked => Turn::Ask(place),
            _ if steps => Turn::Step,
            _ => Turn::Wait,
        };
        self.asked = matches!(turn, Turn::Ask(_));
        turn
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;

    const LANES: usize = 3;

    fn turns(
        schedule: &mut Schedule,
        running: &[(u64, Need)],
        waiting: Option<u64>,
        times: usize,
    ) -> Vec<Turn> {
        let now = Instant::now();
        let due = |ms| now + Duration::from_millis(ms);
        let running: Vec<_> = running.iter().map(|(ms, need)| (due(*ms), *need)).collect();
        (0..times).map(|_| schedule.next(now, LANES, &running, waiting.map(due))).collect()
    }

    #[test]
    fn who_waits_is_heard_while_there_is_room_and_nobody_is_in_a_hurry() {
        let mut schedule = Schedule::default();
        let mut next = |running: &[_], waiting| turns(&mut schedule, running, waiting, 1)[0];
        assert_eq!(next(&[], None), Turn::Wait);
        assert_eq!(next(&[], Some(1_000)), Turn::Admit);
        assert_eq!(next(&[(900, Need::Step); 2], Some(1_000)), Turn::Admit);
        assert_eq!(next(&[(900, Need::Step); 3], Some(1_000)), Turn::Step, "no lane is free");
        assert_eq!(next(&[(300, Need::Step)], Some(1_000)), Turn::Step, "300 ms are left");
    }

    #[test]
    fn steps_and_questions_take_turns_and_questions_go_to_who_is_due_first() {
        let mut schedule = Schedule::default();
        let running = [(900, Need::Answers), (500, Need::Step), (700, Need::Answers)];
        let seen = turns(&mut schedule, &running, None, 4);
        assert_eq!(seen, [Turn::Ask(2), Turn::Step, Turn::Ask(2), Turn::Step]);
        let alone = turns(&mut schedule, &running[..1], None, 2);
        assert_eq!(alone, [Turn::Ask(0), Turn::Ask(0)]);
    }
}
