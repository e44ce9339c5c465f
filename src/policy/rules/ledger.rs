//! What is known of one conversation: who took part, what was said, and how far it was analysed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::policy::rule::{Party, Policy};
use crate::policy::rules::event::{Event, Suspension};
use crate::policy::rules::standing::Said;
use crate::policy::rules::suspension::Suspensions;

/// Most phrases, and most gaps, that are remembered of a conversation.
///
/// 10 000: one a second for three hours. What is beyond makes the rules humbler: it counts as a gap.
const MOST: usize = 10_000;

/// Shorter than this nothing is missed of somebody who joins: no watched phrase is said in it.
///
/// 1 s: two legs of a call are set up within some hundred milliseconds of one another, in any order.
const SHORTEST_PHRASE: Duration = Duration::from_secs(1);

/// The facts, in no order but that of time.
#[derive(Debug)]
pub struct Ledger {
    policy: Arc<Policy>,
    started: Option<jiff::Timestamp>,
    legs: BTreeMap<u32, Leg>,
    /// In the order of [`Said`].
    said: Vec<Said>,
    gaps: Vec<Gap>,
    suspensions: Suspensions,
    answered: Option<Duration>,
    over: Option<Duration>,
}

#[derive(Debug)]
struct Leg {
    party: Party,
    queue: Option<String>,
    joined: Duration,
    /// All phrases that end by then are known.
    analysed: Duration,
    /// When it last began or ceased to talk, and which of them.
    talk: (Duration, bool),
    left: Option<Duration>,
}

impl Leg {
    /// Nothing is said since the last that was analysed, as far as one knows.
    fn is_silent(&self) -> bool {
        let (at, talking) = self.talk;
        !talking && at <= self.analysed
    }

    /// Whether everything that was ever said on it is known.
    fn is_finished(&self) -> bool {
        self.left.is_some_and(|left| self.analysed >= left || self.is_silent())
    }
}

#[derive(Clone, Copy, Debug)]
struct Gap {
    leg: u32,
    from: Duration,
    to: Duration,
}

/// What was known at one time: of everything that had ended by then.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    ledger: &'a Ledger,
    until: Duration,
}

impl Ledger {
    /// Nothing is known.
    pub fn new(policy: Arc<Policy>) -> Self {
        Self {
            policy,
            started: None,
            legs: BTreeMap::new(),
            said: Vec::new(),
            gaps: Vec::new(),
            suspensions: Suspensions::default(),
            answered: None,
            over: None,
        }
    }

    /// Takes a fact down. What is said of a leg that never joined is dropped.
    pub fn record(&mut self, event: &Event) {
        match event {
            Event::Started { started } => self.started = self.started.or(Some(*started)),
            Event::Joined { leg, party, queue, at } => {
                self.legs.entry(*leg).or_insert_with(|| Leg {
                    party: *party,
                    queue: queue.clone(),
                    joined: *at,
                    analysed: *at,
                    talk: (*at, false),
                    left: None,
                });
            }
            Event::Answered { at } => {
                self.answered = Some(self.answered.map_or(*at, |earlier| earlier.min(*at)));
            }
            Event::Phrase { leg, phrase, from, to } => self.hear(*leg, phrase, (*from, *to)),
            Event::Gap { leg, from, to } => self.miss(Gap { leg: *leg, from: *from, to: *to }),
            Event::Talk { leg, talking, at } => {
                if let Some(leg) = self.legs.get_mut(leg)
                    && leg.talk.0 <= *at
                {
                    leg.talk = (*at, *talking);
                }
            }
            Event::Analysed { leg, until } => {
                if let Some(leg) = self.legs.get_mut(leg) {
                    leg.analysed = leg.analysed.max(*until);
                }
            }
            Event::Suspended { leg, why, begins, at } => {
                let cause = match why {
                    Suspension::Hold => 0,
                    Suspension::Pause => 1,
                };
                let key = u64::from(*leg) << 1 | cause;
                if *begins {
                    self.suspensions.begin(key, *at);
                } else {
                    self.suspensions.end(key, *at);
                }
            }
            Event::Left { leg, at } => {
                if let Some(leg) = self.legs.get_mut(leg) {
                    leg.left = Some(*at);
                }
            }
            Event::Over { at } => self.finish(*at),
        }
    }

    fn hear(&mut self, leg: u32, phrase: &str, (from, to): (Duration, Duration)) {
        // A stream may have been kept under another policy, which watched for more.
        let known = self.policy.phrases.iter().position(|known| known.id == phrase);
        let Some(phrase) = known.filter(|_| self.legs.contains_key(&leg)) else { return };
        if self.said.len() >= MOST {
            return self.miss(Gap { leg, from, to });
        }
        let said = Said { to, from, leg, phrase };
        let place = self.said.partition_point(|earlier| *earlier < said);
        self.said.insert(place, said);
    }

    fn miss(&mut self, gap: Gap) {
        let full = self.gaps.len() >= MOST;
        let last = self.gaps.iter_mut().rev().find(|last| full && last.leg == gap.leg);
        if let Some(last) = last {
            (last.from, last.to) = (last.from.min(gap.from), last.to.max(gap.to));
        } else if self.legs.contains_key(&gap.leg) {
            self.gaps.push(gap);
        }
    }

    /// Nothing more will be analysed: what is not is a gap for good.
    fn finish(&mut self, at: Duration) {
        if self.over.is_some() {
            return;
        }
        self.over = Some(at);
        let open = self.legs.iter().filter(|(_, leg)| !leg.is_silent());
        let unheard = open.map(|(number, leg)| Gap {
            leg: *number,
            from: leg.analysed,
            to: leg.left.unwrap_or(at),
        });
        let unheard: Vec<_> = unheard.filter(|gap| gap.from < gap.to).collect();
        unheard.into_iter().for_each(|gap| self.miss(gap));
    }

    /// It is `now`, and all that happened before is known: who is silent has said nothing since.
    pub fn pass(&mut self, now: Duration) {
        for leg in self.legs.values_mut().filter(|leg| leg.left.is_none() && leg.is_silent()) {
            leg.analysed = leg.analysed.max(now);
        }
    }

    /// Whether there is, or was, a leg of `parties`; anybody's where they are empty.
    pub fn heard(&self, parties: &[Party]) -> bool {
        self.legs.values().any(|leg| belongs(leg.party, parties))
    }

    /// The legs that have to be analysed as far as a time before it is known what `parties` said by then.
    /// Where theirs are over the others tell how far time has gone: another leg of theirs may join.
    fn open_legs(&self, parties: &[Party]) -> Vec<&Leg> {
        let open = || self.legs.values().filter(|leg| !leg.is_finished());
        let theirs: Vec<_> = open().filter(|leg| belongs(leg.party, parties)).collect();
        if theirs.is_empty() { open().collect() } else { theirs }
    }

    /// Whether nothing but time is waited for on the legs of `parties`.
    pub fn is_silent(&self, parties: &[Party]) -> bool {
        let legs = self.open_legs(parties);
        !legs.is_empty() && legs.iter().all(|leg| leg.left.is_none() && leg.is_silent())
    }

    /// What is known for certain of all that `parties` said; anybody where they are empty.
    pub fn view(&self, parties: &[Party]) -> View<'_> {
        let known = self.open_legs(parties).iter().map(|leg| leg.analysed).min();
        let until = match (self.over, known) {
            (Some(_), _) => Duration::MAX,
            (None, Some(known)) => known,
            (None, None) => self.legs.values().filter_map(|leg| leg.left).max().unwrap_or_default(),
        };
        View { ledger: self, until }
    }

    /// The time before `leg` joined in which its party was there without being heard, if it is long enough for a
    /// phrase. Who calls was there from the beginning; an agent, as of `answered`, is there once their audio begins;
    /// and whoever comes back has been away for us alone.
    fn missed(&self, leg: &Leg) -> Option<(Duration, Duration)> {
        let is_same = |other: &&Leg| other.party == leg.party && other.joined < leg.joined;
        let earlier = self.legs.values().filter(is_same);
        let since = earlier.map(|other| other.left.unwrap_or(Duration::MAX)).max();
        let since = match (since, leg.party) {
            (Some(left), _) => left,
            (None, Party::Caller | Party::Mixed) => Duration::ZERO,
            (None, Party::Agent) => return None,
        };
        (since.saturating_add(SHORTEST_PHRASE) <= leg.joined).then_some((since, leg.joined))
    }

    /// The queue that the conversation came through, by its first leg that tells.
    pub fn queue(&self) -> Option<&str> {
        self.legs.values().find_map(|leg| leg.queue.as_deref())
    }

    /// The moment that its time counts from.
    pub fn started(&self) -> Option<jiff::Timestamp> {
        self.started
    }

    /// When it was over, if it is.
    pub fn over(&self) -> Option<Duration> {
        self.over
    }

    /// Whose a leg is.
    pub fn party(&self, leg: u32) -> Option<Party> {
        self.legs.get(&leg).map(|leg| leg.party)
    }
}

/// Whether what is heard on a leg of `party` may be the words of one of `parties`.
fn belongs(party: Party, parties: &[Party]) -> bool {
    parties.is_empty() || party == Party::Mixed || parties.contains(&party)
}

impl<'a> View<'a> {
    /// Phrases of `ids` that `parties` said, the earlier ended first.
    pub fn said(
        self,
        ids: &'a [String],
        parties: &'a [Party],
    ) -> impl Iterator<Item = Said> + Clone + 'a {
        let Ledger { said, policy, legs, .. } = self.ledger;
        said.iter().copied().filter(move |said| {
            let party = legs.get(&said.leg).map(|leg| leg.party);
            said.to <= self.until
                && ids.contains(&policy.phrases[said.phrase].id)
                && party.is_some_and(|party| belongs(party, parties))
        })
    }

    /// Whether a stretch of what `parties` said between `from` and `to` was not analysed.
    pub fn gap(self, parties: &[Party], from: Duration, to: Duration) -> bool {
        let is_there = |gap: (Duration, Duration)| gap.0 < to && from < gap.1;
        let theirs = |party: Party| belongs(party, parties);
        let mut gaps = self.ledger.gaps.iter();
        let mut legs = self.ledger.legs.values().filter(|leg| theirs(leg.party));
        gaps.any(|gap| {
            is_there((gap.from, gap.to)) && self.ledger.party(gap.leg).is_some_and(theirs)
        }) || legs.any(|leg| self.ledger.missed(leg).is_some_and(is_there))
    }

    /// Whether all that ended by `time` is known, and the conversation had come that far.
    pub fn has_passed(self, time: Duration) -> bool {
        self.until >= time && self.ledger.over.is_none_or(|end| end >= time)
    }

    /// Whether all that ended by `time` is known.
    pub fn knows(self, time: Duration) -> bool {
        self.until >= time
    }

    /// The end of the conversation, if it is over.
    pub fn over(self) -> Option<Duration> {
        self.ledger.over
    }

    /// When the caller was answered.
    pub fn answered(self) -> Option<Duration> {
        self.ledger.answered.filter(|at| *at <= self.until)
    }

    /// The time at which `allowed` has run since `from`, what does not count left out.
    pub fn deadline(self, from: Duration, allowed: Duration) -> Option<Duration> {
        self.ledger.suspensions.deadline(from, allowed)
    }

    /// Whether several people share the leg that `said` was heard on.
    pub fn is_shared(self, said: Said) -> bool {
        self.ledger.party(said.leg) == Some(Party::Mixed)
    }
}
