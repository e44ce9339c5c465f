//! The pause of a leg: nothing of it is decoded, kept, asked about or told while anybody wants it paused.
//!
//! Packets are counted and time goes on; what was on its way when it began is forgotten, and what comes of it later
//! counts for nothing.

use std::time::{Duration, Instant};

use crate::call::inference::Withdrawn;
use crate::call::media_session::{MediaSession, Output};
use crate::call::pauses::{Change, Pauses, Pausing};
use crate::call::speaker_watch::share;
use crate::keyword::digit_search::DigitRun;
use crate::policy::evidence::Evidence;
use crate::policy::pause::{Holder, PauseEvidence, PauseState, Trigger};
use crate::policy::rules::event::Suspension;

/// A pause that digits of this leg begin, if they look like the number of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardPause {
    /// Its id in the policy.
    pub id: String,
    /// When it ends by itself.
    pub at_most: Duration,
}

impl MediaSession {
    /// From the beginning on digits that look like a card's number begin these pauses.
    pub fn watch_cards(&mut self, pauses: Vec<CardPause>) {
        self.cards = (!pauses.is_empty()).then(|| (pauses, Default::default()));
    }

    /// Somebody wants the leg paused, or does not any more.
    pub fn handle_pausing(&mut self, now: Instant, pausing: Pausing) {
        self.change_pauses(now, false, |pauses| pauses.handle(now, pausing));
    }

    /// Ends pauses that lasted for as long as they may.
    pub(super) fn time_pauses(&mut self, now: Instant) {
        if self.pauses.poll_timeout().is_some_and(|due| due <= now) {
            self.change_pauses(now, false, |pauses| pauses.handle_timeout(now));
        }
    }

    /// A key was pressed: it is told, unless it is the one that shows a card.
    pub(super) fn hear_key(&mut self, now: Instant, key: char) {
        let at = self.listener.stream_time();
        if let Some((_, watch)) = &mut self.cards
            && watch.handle_key(key, at)
        {
            return self.begin_for_card(now);
        }
        self.outputs.push_back(Output::Evidence(Evidence::Key { key, at }));
    }

    /// Digits were said in a segment that begins at `start`.
    pub(super) fn hear_digits(&mut self, now: Instant, start: Duration, digits: &[DigitRun]) {
        if let Some((_, watch)) = &mut self.cards
            && watch.handle_digits(start, digits)
        {
            self.begin_for_card(now);
        }
    }

    fn begin_for_card(&mut self, now: Instant) {
        let Some((pauses, _)) = &self.cards else { return };
        for CardPause { id, at_most } in pauses.clone() {
            let (holder, at_most) = (Holder::Policy(id), Some(at_most));
            let begin = Pausing::Begin { holder, by: Trigger::Card, at_most };
            self.change_pauses(now, true, |pauses| pauses.handle(now, begin));
        }
    }

    fn change_pauses(
        &mut self,
        now: Instant,
        heard_here: bool,
        change: impl FnOnce(&mut Pauses) -> Vec<Change>,
    ) {
        let paused = self.pauses.hold();
        if paused {
            // What came until now is of the pause, even where a gap is waited for before it.
            self.drain(now);
        }
        let changes = change(&mut self.pauses);
        if !paused && self.pauses.hold() {
            self.fall_silent();
        }
        let at = self.listener.stream_time();
        if paused != self.pauses.hold() {
            let (why, begins) = (Suspension::Pause, !paused);
            self.outputs.push_back(Output::Evidence(Evidence::Suspended { why, begins, at }));
        }
        let net_speech = self.listener.net_speech();
        let coverage = share(net_speech, net_speech + self.listener.concealed_speech());
        for Change { holder, state, by, paused } in changes {
            let pause = match holder {
                Holder::Policy(id) => Some(id),
                Holder::Header | Holder::Api => None,
            };
            let heard_here = heard_here && state == PauseState::Begun;
            self.outputs.push_back(Output::Evidence(Evidence::Pause(PauseEvidence {
                state,
                by,
                pause,
                paused,
                heard_here,
                at,
                net_speech,
                coverage,
            })));
        }
    }

    /// Forgets all that was heard and is not told yet.
    fn fall_silent(&mut self) {
        self.playback.discard();
        self.hear();
        self.listener.discard();
        self.gather();
        if let Some((_, watch)) = &mut self.cards {
            watch.discard();
        }
        let at = self.listener.stream_time();
        self.phrases.iter_mut().for_each(|phrases| phrases.handle_pause(at));
        self.follow_phrases();
        self.voices.discard();
        self.follow_voices();
        self.outputs.retain(|output| !matches!(output, Output::Infer(_)));
        self.outputs.push_back(Output::Withdraw(Withdrawn::All));
    }
}
