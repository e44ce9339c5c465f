//! `sidetone voiceprint show`: what is known of one voice.

use jiff::Timestamp;

use crate::cli::actor::actor;
use crate::cli::consent::states;
use crate::cli::person::act;
use crate::cli::voiceprint::OneArguments;
use crate::cli::voiceprint::list::headline;
use crate::cli::{Outcome, Refusal, println};
use crate::runtime::store::held::Held;
use crate::speaker::voiceprint::Voiceprint;
use crate::vault::chain::Kind;

/// Shows it.
pub fn run(arguments: &OneArguments) -> Result<Outcome, Refusal> {
    let (mut vault, subject) = (arguments.places.vault()?, arguments.whom.subject());
    let held = vault.held(&subject)?;
    if held.any() {
        vault.note_use(
            &subject,
            Kind::Access,
            &act(&actor()),
            "the voiceprint, without the voice",
        )?;
    }
    let outcome = if held.voiceprint.is_some() { Outcome::Done } else { Outcome::Problem };
    if arguments.json {
        let mut document = held.document(false);
        // What was done is `sidetone audit show`'s to tell.
        document.as_object_mut().map(|fields| fields.remove("records"));
        println!("{document}");
        return Ok(outcome);
    }
    tell(&held);
    Ok(outcome)
}

fn tell(held: &Held) {
    if let Some(person) = &held.person {
        println!("{}", headline(person, Timestamp::now()));
    }
    if let Some(gathering) = &held.gathering {
        println!(
            "    gathered so far: {:.1} s in {} sessions, consent {}",
            gathering.net_speech_s,
            gathering.sessions.len(),
            gathering.consent
        );
    }
    match &held.voiceprint {
        Some(voiceprint) => describe(voiceprint),
        None => println!("no voiceprint of {}", held.subject),
    }
    states(&held.consents);
    if let Some(mark) = held.consents.opted_out() {
        println!("    opted out {:.0}, recorded by {}", mark.at, mark.by);
    }
}

fn describe(voiceprint: &Voiceprint) {
    println!(
        "    consent {}, {:.1} s of speech, revision {}",
        voiceprint.consent, voiceprint.net_speech_s, voiceprint.revision
    );
    for session in &voiceprint.sessions {
        println!(
            "    {:?} {:.0}: {:.1} s of speech, {} above the noise, {:.2} % clipped, {:?} band, \
             {:.0} % analysed",
            session.source,
            session.when,
            session.net_speech_s,
            session.snr_db.map_or("unknown".to_owned(), |snr| format!("{snr:.0} dB")),
            session.clipping * 100.0,
            session.band,
            session.coverage * 100.0,
        );
    }
    for reference in &voiceprint.references {
        let spread = reference.spread.map_or(String::new(), |spread| {
            format!(", cosine of a window {:.2} +- {:.2}", spread.mean, spread.deviation)
        });
        let drift = reference
            .drift
            .as_ref()
            .map_or(String::new(), |drift| format!(", adapted to {:.0} %", drift.weight * 100.0));
        let (windows, kept) = (reference.windows, reference.kept.len());
        println!("    {}: {windows} windows, {kept} kept{spread}{drift}", reference.model);
    }
    for revision in &voiceprint.revisions {
        println!(
            "    revision {} until {:.0}: then a call with an LLR of {:.1} and {:.1} s of speech",
            revision.number, revision.replaced, revision.llr, revision.net_speech_s
        );
    }
}
