//! Conversations as the signalling thread knows them: what judges each, and where its verdicts go.

use std::sync::Arc;
use std::time::Instant;

use crate::call::notice::notice;
use crate::policy::action_book::ActionBook;
use crate::policy::judge::Judge;
use crate::policy::rule::Party;
use crate::policy::verdict::Verdict;
use crate::runtime::event_streams::{EventStream, EventStreams};
use crate::runtime::line_log;
use crate::runtime::observation::Observation;
use crate::runtime::policy_in_force::PolicyInForce;
use crate::runtime::signalling::{Entry, Signalling};
use crate::runtime::standing_pauses::StandingPauses;
use crate::runtime::verdict_log;
use crate::sip::event::CallKey;

/// One conversation, for as long as it has a call, and a while longer.
#[derive(Debug)]
pub(super) struct Conversation {
    /// What metrics call it: drawn by chance, because a PBX may make its id of a telephone number.
    pub(super) reference: String,
    pub(super) judge: Judge,
    /// What was in force when it began, and stays so for it.
    pub(super) policy: PolicyInForce,
    /// How many calls it has.
    pub(super) calls: usize,
    /// The PBX's channel of each party that has one, also of those who have left: what is concluded at the end is still
    /// told with it.
    channels: Vec<(Party, String)>,
    /// What was done about its verdicts.
    pub(super) actions: ActionBook,
    /// Where its events are kept, if they are.
    stream: Option<EventStream>,
    /// What is paused of it, whoever joins.
    pub(super) pauses: StandingPauses,
    /// Its last call, and when that was over, while it has none.
    pub(super) left: Option<Left>,
}

/// That a conversation has no call any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    /// The last that it had.
    pub(super) call: CallKey,
    /// When that was over.
    pub(super) at: jiff::Timestamp,
    /// When nobody is waited for any longer.
    pub(super) until: Instant,
}

impl Conversation {
    /// The conversation `id` begins, with no call yet; its events go to `events`, where any are kept.
    pub(super) fn new(
        (id, reference): (String, String),
        policy: &PolicyInForce,
        events: Option<&EventStreams>,
    ) -> Self {
        let stream = events.map(|events| events.begin(&id, jiff::Timestamp::now()));
        let judge = Judge::new(id, Arc::clone(policy.policy()));
        let judge = if stream.is_some() { judge.keeping() } else { judge };
        let (policy, pauses) = (policy.clone(), StandingPauses::default());
        let (channels, actions) = (Vec::new(), ActionBook::default());
        Self { reference, judge, policy, calls: 0, channels, actions, stream, pauses, left: None }
    }

    /// A party joins, on the PBX's channel of that name.
    pub(super) fn joined(&mut self, party: Party, channel: Option<&str>) {
        self.calls += 1;
        self.left = None;
        let Some(channel) = channel else { return };
        self.channels.retain(|(known, _)| *known != party);
        self.channels.push((party, channel.to_owned()));
    }

    /// The channel to act on about `party`: its own or the shared one; about several, the caller's.
    pub(super) fn channel(&self, party: Party) -> Option<&str> {
        let whose = [party, Party::Mixed, Party::Caller];
        let whose = if party == Party::Mixed { &whose[1..] } else { &whose[..2] };
        whose.iter().find_map(|party| self.own_channel(*party))
    }

    fn own_channel(&self, party: Party) -> Option<&str> {
        let own = self.channels.iter().find(|(known, _)| *known == party);
        own.map(|(_, channel)| channel.as_str())
    }

    /// Hands on the events that are to be kept; after every call of the judge.
    pub(super) fn keep_events(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        while let Some(record) = self.judge.poll_record() {
            stream.keep(record);
        }
    }
}

impl Signalling {
    /// The policy of the conversation `id`, also where that has yet to begin.
    pub(super) fn policy_of(&self, id: &str) -> &PolicyInForce {
        self.conversations.get(id).map_or(&self.policy, |conversation| &conversation.policy)
    }

    /// Tells a verdict that the leg `key` showed to the peers whom the policy names, while their dialogs live, and
    /// to all who watch.
    pub(super) fn tell(&mut self, key: CallKey, verdict: Box<Verdict>) {
        let policy = Arc::clone(self.policy_of(&verdict.conversation).policy());
        let signal = policy.signal(&verdict.finding);
        let is_addressed = |(other, entry): &(&CallKey, &Entry)| {
            entry.facts.conversation == verdict.conversation
                && signal.is_for(entry.facts.party, **other == key)
                && entry.call.stands()
        };
        let addressed = self.calls.iter().filter(is_addressed).map(|(key, _)| *key);
        let mut addressed: Vec<CallKey> = addressed.collect();
        // The same run, the same order on the wire.
        addressed.sort();
        if addressed.is_empty() && signal.info.is_some_and(|parties| !parties.is_empty()) {
            self.metrics.info("nobody");
        }
        let channel = self.calls.get(&key).and_then(|entry| entry.facts.channel.clone());
        for key in addressed {
            self.endpoint.send_info(Instant::now(), key, notice(&verdict, channel.as_deref()));
        }
        self.publish_verdict(key, verdict, signal.log);
    }

    /// Tells all who watch of a verdict; those who read the log where the policy wants it, and of lines in any case.
    pub(super) fn publish_verdict(&mut self, key: CallKey, verdict: Box<Verdict>, log: bool) {
        self.count(key, &verdict);
        self.pause_by_phrase(&verdict);
        line_log::log(&verdict);
        self.record(&verdict);
        if log {
            verdict_log::log(&verdict.for_log());
        }
        let verdict: Arc<Verdict> = Arc::from(verdict);
        let deeds = self.act(&verdict);
        let conversation = self.conversations.get(&verdict.conversation);
        let channel = conversation.and_then(|known| known.channel(verdict.party));
        let agent = conversation.and_then(|known| known.own_channel(Party::Agent));
        self.notifiers.tell(&verdict, channel, agent, &deeds);
        let _ = self.observers.send(Observation::Verdict { call: key, verdict });
    }

    fn count(&mut self, key: CallKey, verdict: &Verdict) {
        let conversation = self.conversations.get(&verdict.conversation);
        let reference = conversation.map_or("", |conversation| conversation.reference.as_str());
        self.metrics.verdict(verdict, reference);
        let figures = self.calls.get_mut(&key).map(|entry| &mut entry.figures);
        if let Some(decision) = figures.and_then(|figures| figures.first_decision(verdict)) {
            self.metrics.decided(decision, verdict.net_speech_s, reference);
        }
    }

    /// Drops a call once its dialog and its media session are over, and what it came to is kept.
    pub(super) fn forget(&mut self, key: CallKey) {
        if !self
            .calls
            .get(&key)
            .is_some_and(|entry| entry.ended && entry.silent && entry.keeping == 0)
        {
            return;
        }
        let entry = self.calls.remove(&key).expect("it was just looked at");
        entry.figures.coverage().for_each(|(of, share)| self.metrics.covered(of, share));
        if let Some(conversation) = self.conversations.get_mut(&entry.facts.conversation) {
            conversation.calls -= 1;
            if conversation.calls == 0 {
                let (at, until) = (jiff::Timestamp::now(), Instant::now() + self.rejoin);
                conversation.left = Some(Left { call: key, at, until });
            }
        }
    }
}
