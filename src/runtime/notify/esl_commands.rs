//! A notice as commands of FreeSWITCH's event socket: what goes into them cannot become a command, a header or an
//! argument of its own.

use std::fmt::Write;

use crate::policy::act::Act;
use crate::runtime::notify::fields::{fields, one_line, variables};
use crate::runtime::notify::notice::{Deed, Notice};

/// Subclass of the event that tells a verdict.
const VERDICT: &str = "sidetone::verdict";
/// Subclass of the event that warns the agent.
const WARNING: &str = "sidetone::warning";
/// Longest value, bytes; the JSON body has all of it.
const LONGEST: usize = 512;

/// One command, as it is written to the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command(String);

impl Command {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Opens the door with the password of `event_socket.conf`, or as a `user@domain` with the `esl-password` of the
    /// directory.
    pub fn login(user: Option<&str>, password: &str) -> Self {
        Self(match user {
            None => format!("auth {password}\n\n"),
            Some(user) => format!("userauth {user}:{password}\n\n"),
        })
    }

    /// Shows that the other side lives. We listen to no events, so it changes nothing, and unlike `api status` it needs no
    /// leave in `esl-allowed-api`.
    pub fn noop() -> Self {
        Self("noevents\n\n".to_owned())
    }
}

/// One thing to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How; or a sentence why it cannot be said.
    pub command: Result<Command, String>,
    /// Whether what becomes of it matters: variables that nobody's policy asked for may find no channel.
    pub needed: bool,
}

/// What has to be said for `notice`, in this order. `with_variables` says what the verdict comes to on the party's channel
/// as well.
///
/// The event comes first: it has to arrive where the channel is gone.
pub fn steps(notice: &Notice, with_variables: bool) -> Vec<Step> {
    let verdict = event(VERDICT, notice, "application/json", &notice.verdict.to_json());
    let mut steps = vec![Step { command: Ok(verdict), needed: true }];
    if with_variables && uuid(notice.channel.as_deref()).is_ok() {
        let variables = variables(&notice.verdict).into_iter();
        steps.extend(variables.map(|(variable, value)| Step {
            command: set(notice.channel.as_deref(), &variable, &value),
            needed: false,
        }));
    }
    steps.extend(notice.acts.iter().filter_map(|Deed { act, channel }| {
        let channel = channel.as_deref();
        let command = match act {
            Act::Set { variable, value } => set(channel, variable, value),
            Act::Redirect(target) => redirect(channel, target),
            Act::Warn(text) => Ok(event(WARNING, notice, "text/plain", text)),
            Act::HangUpCall => uuid(channel).and_then(|uuid| api(&["uuid_kill", uuid])),
            // Our own leg, which we end ourselves.
            Act::HangUpTap => return None,
        };
        Some(Step { command, needed: true })
    }));
    steps
}

/// `sendevent CUSTOM`. There is no `Unique-ID` in it: FreeSWITCH hands an event with one to that channel's session, and
/// to no listener (mod_event_socket.c, `sendevent`).
fn event(subclass: &str, notice: &Notice, content_type: &str, body: &str) -> Command {
    let mut text = format!("sendevent CUSTOM\nEvent-Subclass: {subclass}\n");
    for (name, value) in fields(notice) {
        writeln!(text, "Sidetone-{name}: {}", bounded(&value)).expect("a string takes all");
    }
    // FreeSWITCH reads the body where it meets the length, so that comes last.
    let length = body.len();
    write!(text, "Content-Type: {content_type}\nContent-Length: {length}\n\n{body}")
        .expect("a string takes all");
    Command(text)
}

fn set(channel: Option<&str>, variable: &str, value: &str) -> Result<Command, String> {
    let variable = word("variable", variable)?;
    // `uuid_setvar` takes quotes and backslashes out of the value, unless they are escaped.
    let value = bounded(&one_line(value)).replace('\\', "\\\\").replace('\'', "\\'");
    api(&["uuid_setvar", uuid(channel)?, variable, &value])
}

/// `context,extension,priority` of the XML dialplan, which has no priorities.
fn redirect(channel: Option<&str>, target: &str) -> Result<Command, String> {
    let mut parts = target.split(',').map(str::trim);
    let (Some(context), Some(extension)) = (parts.next(), parts.next()) else {
        return Err(format!("context,extension wanted to send a call to, found {target:?}"));
    };
    let (context, extension) = (word("context", context)?, word("extension", extension)?);
    api(&["uuid_transfer", uuid(channel)?, extension, "XML", context])
}

/// Runs a command of the console; its name and arguments have been looked at one by one.
fn api(words: &[&str]) -> Result<Command, String> {
    let line = words.join(" ");
    // Whatever the command: with both of these words in it FreeSWITCH ends the module that listens to us.
    if line.to_ascii_lowercase().contains("mod_event_socket") {
        return Err(format!("mod_event_socket cannot be named in a command, found {line:?}"));
    }
    Ok(Command(format!("api {line}\n\n")))
}

/// A channel, which has to look like a UUID before it goes into a command.
fn uuid(channel: Option<&str>) -> Result<&str, String> {
    let channel =
        channel.ok_or("no X-Sidetone-Channel came with the call, so nothing can be done to it")?;
    let groups = channel
        .split('-')
        .map(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(group.len()));
    match groups.eq([8, 4, 4, 4, 12].map(Some)) {
        true => Ok(channel),
        false => Err(format!("X-Sidetone-Channel: a UUID wanted, found {channel:?}")),
    }
}

/// An argument of a command: of these characters, and no option.
fn word<'a>(what: &str, text: &'a str) -> Result<&'a str, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.+*#@:-".contains(c);
    let fine = !text.is_empty() && !text.starts_with('-') && text.chars().all(good);
    fine.then_some(text).ok_or_else(|| {
        format!("{what}: letters, digits and _ . + * # @ : - wanted, found {text:?}")
    })
}

/// As much of `text` as a command may hold.
fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::rule::Party;
    use crate::policy::verdict::{Finding, SpeakerDecision, Verdict};

    const UUID: &str = "0435d687-db9c-46b6-9221-79f82852c1a0";

    fn notice(acts: &[Act]) -> Notice {
        let verdict = Verdict {
            version: 1,
            sequence: 3,
            conversation: "talk-7".to_owned(),
            party: Party::Caller,
            finding: Finding::Speaker {
                subject: "narrator".to_owned(),
                decision: SpeakerDecision::Rejected,
                llr: None,
                probability: None,
                reason: None,
            },
            since: jiff::Timestamp::UNIX_EPOCH,
            since_s: 1.0,
            net_speech_s: 2.0,
            coverage: 1.0,
            model: None,
            policy: "p@1".to_owned(),
        };
        Notice {
            id: "run-3".to_owned(),
            verdict: Arc::new(verdict),
            channel: Some(UUID.to_owned()),
            agent: None,
            acts: acts.iter().map(|act| deed(act, Some(UUID))).collect(),
        }
    }

    fn deed(act: &Act, channel: Option<&str>) -> Deed {
        Deed { act: act.clone(), channel: channel.map(str::to_owned) }
    }

    fn said(notice: &Notice) -> Vec<Result<String, String>> {
        steps(notice, false).into_iter().map(|step| step.command.map(|told| told.0)).collect()
    }

    fn set_to(value: &str) -> Act {
        Act::Set { variable: "sidetone_speaker".to_owned(), value: value.to_owned() }
    }

    #[test]
    fn a_verdict_is_an_event_with_its_json_behind_the_length() {
        let notice = notice(&[]);
        let json = notice.verdict.to_json();
        let wanted = format!(
            "sendevent CUSTOM\nEvent-Subclass: sidetone::verdict\nSidetone-Id: run-3\n\
             Sidetone-Conversation: talk-7\nSidetone-Sequence: 3\nSidetone-Party: caller\n\
             Sidetone-Kind: speaker\nSidetone-Decision: rejected\nSidetone-Subject: narrator\n\
             Sidetone-Channel: {UUID}\nContent-Type: application/json\nContent-Length: {}\n\n{json}",
            json.len()
        );
        assert_eq!(said(&notice), [Ok(wanted)]);
    }

    #[test]
    fn each_act_is_a_command_and_the_tap_is_ours_to_hang_up() {
        let acts = [
            set_to("rejected"),
            Act::Redirect("step-up,verify,1".to_owned()),
            Act::HangUpTap,
            Act::HangUpCall,
        ];
        let wanted = [
            format!("api uuid_setvar {UUID} sidetone_speaker rejected\n\n"),
            format!("api uuid_transfer {UUID} verify XML step-up\n\n"),
            format!("api uuid_kill {UUID}\n\n"),
        ];
        assert_eq!(said(&notice(&acts))[1..], wanted.map(Ok));
        let mut warning = notice(&[Act::Warn("ask again".to_owned())]);
        warning.agent = Some("agent-uuid".to_owned());
        let said = said(&warning).remove(1).expect("an event");
        assert!(
            said.starts_with("sendevent CUSTOM\nEvent-Subclass: sidetone::warning\n"),
            "{said}"
        );
        assert!(said.contains("\nSidetone-AgentChannel: agent-uuid\n"), "{said}");
        assert!(said.ends_with("Content-Length: 9\n\nask again"), "{said}");
    }

    #[test]
    fn the_channel_learns_what_the_verdict_comes_to_where_there_is_one() {
        let mut told = notice(&[Act::HangUpCall]);
        let steps_of = |notice: &Notice| {
            let steps = steps(notice, true).into_iter();
            steps.map(|step| (step.command.map(|told| told.0), step.needed)).collect::<Vec<_>>()
        };
        let set = format!("api uuid_setvar {UUID} SIDETONE_DECISION rejected\n\n");
        let kill = format!("api uuid_kill {UUID}\n\n");
        assert_eq!(steps_of(&told)[1..], [(Ok(set), false), (Ok(kill), true)]);
        told.channel = None;
        assert_eq!(steps_of(&told).len(), 2, "nobody asked for the variable");
    }

    #[test]
    fn no_value_makes_a_header_a_command_or_an_argument_of_its_own() {
        let mut sly =
            notice(&[set_to("a b\r\n\r\napi shutdown '\\"), Act::Warn("x\n\napi y".into())]);
        sly.id = "id\nUnique-ID: x\n\napi shutdown".to_owned();
        sly.agent = Some("ü\u{0}\u{85}z".to_owned());
        let said = said(&sly);
        let [Ok(event), Ok(set), Ok(warning)] = &said[..] else { panic!("{said:?}") };
        let head = |text: &str| text.split_once("\n\n").map(|(head, _)| head.to_owned());
        for text in [event, warning] {
            let head = head(text).expect("a blank line");
            assert!(head.contains("\nSidetone-Id: id Unique-ID: x  api shutdown\n"), "{head}");
            assert!(head.contains("\nSidetone-AgentChannel: ü  z\n"), "{head}");
            let names = head.lines().skip(1).filter_map(|line| line.split_once(':'));
            assert!(names.clone().all(|(name, _)| name != "Unique-ID"), "{head}");
            assert_eq!(names.last().map(|(name, _)| name), Some("Content-Length"), "{head}");
        }
        assert!(warning.ends_with("Content-Length: 8\n\nx\n\napi y"), "{warning}");
        let value = "a b    api shutdown \\'\\\\";
        assert_eq!(*set, format!("api uuid_setvar {UUID} sidetone_speaker {value}\n\n"));
    }

    #[test]
    fn what_cannot_be_said_safely_is_a_sentence() {
        let refused = |acts: &[Act], channel: Option<&str>| {
            let mut notice = notice(&[]);
            notice.acts = acts.iter().map(|act| deed(act, channel)).collect();
            let said = said(&notice);
            assert!(said[0].is_ok(), "the event is told all the same");
            said[1].clone().expect_err("a sentence")
        };
        let hang_up = [Act::HangUpCall];
        assert!(refused(&hang_up, None).contains("no X-Sidetone-Channel"));
        for channel in ["PJSIP/alice-00000001", "all", "", &format!("{UUID} x"), &UUID[1..]] {
            assert!(refused(&hang_up, Some(channel)).contains("a UUID wanted"), "{channel:?}");
        }
        for target in ["step-up", "step-up,", ",verify", "a b,verify", "ctx,-both", "ctx,a'b"] {
            let why = refused(&[Act::Redirect(target.to_owned())], Some(UUID));
            assert!(why.contains(" wanted"), "{target:?}: {why}");
        }
        let variable = Act::Set { variable: "a b".to_owned(), value: String::new() };
        assert!(refused(&[variable], Some(UUID)).starts_with("variable: "));
        let trap = refused(&[set_to("Reload MOD_event_socket")], Some(UUID));
        assert!(trap.contains("cannot be named"), "{trap}");
    }

    #[test]
    fn a_header_has_its_bound_and_no_half_characters() {
        let mut long = notice(&[]);
        long.agent = Some("ü".repeat(10_000));
        let event = said(&long).remove(0).expect("an event");
        assert!(event.contains(&format!("Sidetone-AgentChannel: {}\n", "ü".repeat(LONGEST / 2))));
    }
}
