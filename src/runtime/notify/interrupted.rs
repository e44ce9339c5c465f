//! How far notices had come when their connection broke, so that no step is taken twice that was answered.

use std::collections::VecDeque;

use crate::runtime::notify::receiver::Failure;

/// Notices whose progress is kept: one at a time is cut off, and each comes again soon.
const MOST: usize = 64;

/// Notices of one receiver that were cut off.
#[derive(Debug, Default)]
pub struct Interrupted {
    all: VecDeque<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// Of the notice.
    id: String,
    /// Steps that were answered.
    done: usize,
    /// The first that was refused.
    refused: Option<String>,
}

impl Interrupted {
    /// Takes those of `steps` of the notice `id` that were not answered yet. What one step is refused does not keep the
    /// rest from being taken; any other failure ends it here, to go on another time.
    pub fn go_on<Step>(
        &mut self,
        id: &str,
        steps: impl IntoIterator<Item = Step>,
        mut take: impl FnMut(Step) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let known = self.all.iter().position(|progress| progress.id == id);
        let known = known.and_then(|at| self.all.remove(at));
        let mut progress =
            known.unwrap_or_else(|| Progress { id: id.to_owned(), ..Progress::default() });
        for step in steps.into_iter().skip(progress.done) {
            match take(step) {
                Ok(()) => {}
                Err(Failure::Refused(why)) => {
                    progress.refused.get_or_insert(why);
                }
                Err(failure) => {
                    if self.all.len() == MOST {
                        self.all.pop_front();
                    }
                    self.all.push_back(progress);
                    return Err(failure);
                }
            }
            progress.done += 1;
        }
        progress.refused.map_or(Ok(()), |why| Err(Failure::Refused(why)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn gone() -> Failure {
        Failure::Unreachable { why: "gone".to_owned(), after: Duration::ZERO }
    }

    #[test]
    fn what_was_answered_is_not_taken_again_whatever_was_told_in_between() {
        let (mut interrupted, mut taken) = (Interrupted::default(), Vec::new());
        let mut tell = |id: &str, breaks: usize| {
            interrupted.go_on(id, 0..4, |step| {
                if step == breaks {
                    return Err(gone());
                }
                taken.push(format!("{id}{step}"));
                if step == 1 { Err(Failure::Refused("no".to_owned())) } else { Ok(()) }
            })
        };
        assert_eq!(tell("a", 2), Err(gone()));
        assert_eq!(tell("b", 9), Err(Failure::Refused("no".to_owned())));
        // The refusal of the first try is told at the end of the second.
        assert_eq!(tell("a", 9), Err(Failure::Refused("no".to_owned())));
        assert_eq!(taken, ["a0", "a1", "b0", "b1", "b2", "b3", "a2", "a3"]);
    }

    #[test]
    fn so_many_are_remembered_and_the_oldest_is_forgotten() {
        let mut interrupted = Interrupted::default();
        for n in 0..=MOST {
            let cut = |step: usize| if step == 1 { Err(gone()) } else { Ok(()) };
            assert_eq!(interrupted.go_on(&n.to_string(), 0..2, cut), Err(gone()));
        }
        let mut taken = Vec::new();
        let mut again = |id: &str| {
            let told = interrupted.go_on(id, 0..2, |step| {
                taken.push(step);
                Ok(())
            });
            assert_eq!(told, Ok(()));
        };
        again("1");
        again("0");
        assert_eq!(taken, [1, 0, 1]);
    }
}
