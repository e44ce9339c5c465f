//! What the policy has done about verdicts: by receivers, and to legs of our own.

use tracing::{info, warn};

use crate::policy::act::Act;
use crate::policy::action_book::Due;
use crate::policy::rule::Party;
use crate::policy::verdict::Verdict;
use crate::runtime::notify::notice::Deed;
use crate::runtime::signalling::{Entry, Signalling};
use crate::sip::event::CallKey;

impl Signalling {
    /// Does to our own legs what `verdict` asks for, and tells what receivers are to do, each with its receiver's name.
    pub(super) fn act(&mut self, verdict: &Verdict) -> Vec<(String, Deed)> {
        let Some(conversation) = self.conversations.get_mut(&verdict.conversation) else {
            return Vec::new();
        };
        let policy = conversation.policy.policy();
        if policy.actions.is_empty() {
            return Vec::new();
        }
        let due = conversation.actions.due(policy, verdict);
        due.into_iter().flat_map(|due| self.carry_out(&verdict.conversation, due)).collect()
    }

    fn carry_out(&mut self, conversation: &str, due: Due) -> Vec<(String, Deed)> {
        let Due { action, party, by, acts } = due;
        let channel = self.conversations.get(conversation).and_then(|known| known.channel(party));
        let channel = channel.map(str::to_owned);
        let mut deeds = Vec::new();
        for act in acts {
            let word = act.as_str();
            if act.wants_channel() && channel.is_none() {
                self.metrics.actions.count(word, "no_channel");
                let party = party.as_str();
                warn!(conversation, action, act = word, party, "no X-Sidetone-Channel: not done");
                continue;
            }
            self.metrics.actions.count(word, "asked");
            info!(conversation, action, act = word, party = party.as_str(), "action");
            if act == Act::HangUpTap {
                self.hang_up_taps(conversation, party, &action);
            } else if let Some(by) = &by {
                deeds.push((by.clone(), Deed { act, channel: channel.clone() }));
            }
        }
        deeds
    }

    /// Ends our own legs of `party`, and those that carry everybody, of a recording session all of it; the people go on
    /// talking.
    fn hang_up_taps(&mut self, conversation: &str, party: Party, action: &str) {
        let is_its = |entry: &Entry| {
            let legs = [party, Party::Mixed];
            entry.facts.conversation == conversation && legs.contains(&entry.facts.party)
        };
        let legs = self.calls.iter().filter(|(_, entry)| is_its(entry) && !entry.ended);
        let mut legs: Vec<CallKey> = legs.map(|(key, _)| *key).collect();
        // The same run, the same order on the wire.
        legs.sort();
        for leg in legs {
            self.hang_up(leg, format!("SIP;cause=200;text=\"action {action}\""));
        }
    }
}
