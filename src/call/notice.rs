//! A verdict in the forms that a peer may take it in.

use crate::policy::verdict::{Finding, Verdict};
use crate::sip::info::Notice;

/// `verdict` for a peer: of two decisions about a speaker only the newer one matters. `channel` is the peer's own of
/// the leg that showed it, where the peer told it: a MESSAGE has nothing else to say whom to act on.
pub fn notice(verdict: &Verdict, channel: Option<&str>) -> Notice {
    let party = verdict.party.as_str();
    let (subject, outcome) = match &verdict.finding {
        Finding::Speaker { decision, .. } => {
            (format!("speaker {party}"), decision.as_str().to_owned())
        }
        // Each time that a phrase is said is a fact of its own.
        Finding::Keyword { phrase, start_s, .. } => {
            (format!("keyword {party} {phrase} {start_s}"), phrase.clone())
        }
        Finding::Watchlist { entry, .. } => {
            (format!("watchlist {party} {entry}"), "watchlist".to_owned())
        }
        Finding::Line { state, .. } => (format!("line {party}"), state.as_str().to_owned()),
        Finding::Enrollment { state, .. } => {
            (format!("enrollment {party}"), state.as_str().to_owned())
        }
        // Of two states of one rule only the newer one matters.
        Finding::Rule { rule, state, .. } => (format!("rule {rule}"), state.as_str().to_owned()),
        // Each who wants it paused is a subject of its own: of two states of one only the newer matters.
        Finding::Pause { state, by, pause, .. } => {
            let whose = pause.as_deref().unwrap_or(by.as_str());
            (format!("pause {party} {whose}"), state.as_str().to_owned())
        }
    };
    let mut headers = vec![
        ("X-Sidetone-Conversation".to_owned(), verdict.conversation.clone()),
        ("X-Sidetone-Party".to_owned(), party.to_owned()),
    ];
    headers.extend(channel.map(|channel| ("X-Sidetone-Channel".to_owned(), channel.to_owned())));
    Notice { subject, outcome, json: verdict.to_json().into_bytes(), headers }
}
