//! Which actions a conversation's verdicts have asked for, so that each is done as often as makes sense.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::policy::act::Act;
use crate::policy::rule::{Party, Policy};
use crate::policy::verdict::Verdict;

/// The actions of one conversation that were done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionBook {
    done: BTreeSet<usize>,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// Id of the action in the policy.
    pub action: String,
    /// To whose channel.
    pub party: Party,
    /// The receiver that does it.
    pub by: Option<String>,
    /// What, with all that it names filled in.
    pub acts: Vec<Act>,
}

impl ActionBook {
    /// What `verdict` asks for. A variable is set each time, so that it holds the newest word; all else is done once in
    /// a conversation: who was redirected is where they should be, and is not to be sent there again.
    pub fn due(&mut self, policy: &Policy, verdict: &Verdict) -> Vec<Due> {
        let mut all = Vec::new();
        for (place, action) in policy.actions.iter().enumerate() {
            if !action.is_for(&verdict.finding) {
                continue;
            }
            let first = self.done.insert(place);
            let wanted = |act: &&Act| first || matches!(act, Act::Set { .. });
            let acts: Vec<Act> =
                action.acts.iter().filter(wanted).map(|act| filled(act, verdict)).collect();
            if acts.is_empty() {
                continue;
            }
            let party = action.party.unwrap_or(verdict.party);
            all.push(Due { action: action.id.clone(), party, by: action.by.clone(), acts });
        }
        all
    }
}

/// `act` with what its texts name, as `verdict` has it.
fn filled(act: &Act, verdict: &Verdict) -> Act {
    match act {
        Act::Set { variable, value } => {
            Act::Set { variable: variable.clone(), value: text(value, verdict) }
        }
        Act::Warn(warning) => Act::Warn(text(warning, verdict)),
        Act::Redirect(_) | Act::HangUpTap | Act::HangUpCall => act.clone(),
    }
}

/// A PBX writes variables into its log: of a personal phrase it gets no id.
fn text(template: &str, verdict: &Verdict) -> String {
    let said = serde_json::to_value(verdict.for_log()).unwrap_or_default();
    let mut parts = template.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap_or((part, ""));
        match said.get(name) {
            Some(Value::String(word)) => text.push_str(word),
            Some(Value::Null) | None => {}
            Some(other) => text.push_str(&other.to_string()),
        }
        text.push_str(rest);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::rules::standing::{Reason, RuleState, Severity};
    use crate::policy::verdict::{Finding, SpeakerDecision};

    const PLAIN: &str = "name = 'p'\nversion = '1'\n\
        [[phrase]]\nid = 'debts'\ntext = 'my debts'\nsensitivity = 'personal'\n\
        [[rule]]\nid = 'r'\nkind = 'forbidden'\nphrases = ['debts']\n";

    fn policy(actions: &str) -> Policy {
        let policy: Policy = toml::from_str(&format!("{PLAIN}{actions}")).expect("a policy");
        policy.validate().expect("it makes sense");
        policy
    }

    fn verdict(party: Party, finding: Finding) -> Verdict {
        Verdict {
            version: crate::policy::verdict::SCHEMA_VERSION,
            sequence: 7,
            conversation: "k7".to_owned(),
            party,
            finding,
            since: jiff::Timestamp::UNIX_EPOCH,
            since_s: 4.0,
            net_speech_s: 3.0,
            coverage: 1.0,
            model: None,
            policy: "p@1".to_owned(),
        }
    }

    fn speaker(decision: SpeakerDecision) -> Verdict {
        let subject = "alice".to_owned();
        let finding = Finding::Speaker {
            subject,
            decision,
            llr: Some(-6.5),
            probability: None,
            reason: None,
        };
        verdict(Party::Caller, finding)
    }

    #[test]
    fn what_was_done_is_not_done_again_and_a_variable_holds_the_newest_word() {
        let policy = policy(
            "[[action]]\nid = 'step-up'\nspeaker = ['rejected', 'changed']\nby = 'pbx'\n\
            do = [{ set = { variable = 'VOICE', value = '{decision} {llr} {probability}#{sequence}' } }, \
            { redirect = 'step-up,s,1' }]\n",
        );
        let mut book = ActionBook::default();
        assert_eq!(book.due(&policy, &speaker(SpeakerDecision::Accepted)), []);
        let set = |value: &str| Act::Set { variable: "VOICE".to_owned(), value: value.to_owned() };
        let [due] = &book.due(&policy, &speaker(SpeakerDecision::Changed))[..] else {
            panic!("one action")
        };
        assert_eq!((due.action.as_str(), due.by.as_deref()), ("step-up", Some("pbx")));
        assert_eq!(due.party, Party::Caller);
        assert_eq!(due.acts, [set("changed -6.5 #7"), Act::Redirect("step-up,s,1".to_owned())]);
        let again = book.due(&policy, &speaker(SpeakerDecision::Rejected));
        assert_eq!(again[0].acts, [set("rejected -6.5 #7")]);
    }

    #[test]
    fn a_rule_s_action_is_done_in_its_states_to_whom_it_says_and_names_no_personal_phrase() {
        let policy = policy(
            "[[action]]\nid = 'warn'\nrules = ['r']\nparty = 'agent'\nby = 'pbx'\ndo = [{ warn = '{rule}' }]\n\
            [[action]]\nid = 'note'\nphrases = ['debts']\nby = 'pbx'\n\
            do = [{ set = { variable = 'SAID', value = '{phrase}' } }]\n",
        );
        let mut book = ActionBook::default();
        let rule = |state| {
            let (rule, severity, reason) = ("r".to_owned(), Severity::Warning, Reason::Said);
            let (deadline, phrases, experiment) = (None, Vec::new(), None);
            let finding =
                Finding::Rule { rule, state, severity, reason, deadline, phrases, experiment };
            verdict(Party::Caller, finding)
        };
        assert_eq!(book.due(&policy, &rule(RuleState::Unknown)), []);
        let due = book.due(&policy, &rule(RuleState::Violated));
        assert_eq!((due.len(), due[0].party), (1, Party::Agent));
        assert_eq!(due[0].acts, [Act::Warn("r".to_owned())]);
        let said = Finding::Keyword {
            phrase: "debts".to_owned(),
            sensitivity: crate::policy::sensitivity::Sensitivity::Personal,
            start_s: 0.0,
            end_s: 1.0,
            score: 0.0,
            exact: true,
            experiment: None,
        };
        let due = book.due(&policy, &verdict(Party::Agent, said));
        let value = "personal".to_owned();
        assert_eq!(due[0].acts, [Act::Set { variable: "SAID".to_owned(), value }]);
    }
}
