//! The calls as they go on, one line an event, for a person to read.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use crate::cli::demo::script::Scene;
use crate::cli::println;
use crate::policy::evidence::Evidence;
use crate::policy::line::LineReport;
use crate::policy::rules::standing::RuleState;
use crate::policy::verdict::{Finding, SpeakerDecision, Verdict};
use crate::runtime::observation::{InfoOutcome, Observation};
use crate::sip::event::CallKey;
use crate::speaker::verifier::Decision;

/// Half the width of the score's bar, characters; as many nats as a window can give, rounded.
const BAR: usize = 9;

/// Net speech between two scores that are shown.
const SCORES_APART: Duration = Duration::from_secs(2);

/// Pauses shorter than this belong to fluent speech, seconds.
const PAUSE_S: f64 = 0.6;

/// Prints what happens, in the calls' own time.
#[derive(Debug)]
pub struct Timeline {
    quiet: bool,
    /// Conversation to the letter of its call.
    letters: HashMap<String, char>,
    calls: HashMap<CallKey, Shown>,
}

#[derive(Debug)]
struct Shown {
    letter: char,
    /// Stream time that the call has come to, seconds.
    now_s: f64,
    /// Verdicts whose INFO is not answered yet, by what they say.
    unanswered: VecDeque<u64>,
    /// Since when it pauses, while the pause is too short to be worth a line.
    pause: Option<f64>,
    /// Net speech at the score shown last, and the decision then.
    scored: (Duration, Decision),
}

impl Timeline {
    /// A timeline of `scenes`; a quiet one prints nothing.
    pub fn new(scenes: &[Scene], quiet: bool) -> Self {
        let letters = scenes.iter().map(|s| (format!("demo-{}", s.name), s.name)).collect();
        Self { quiet, letters, calls: HashMap::new() }
    }

    /// Shows what the appliance did.
    pub fn observe(&mut self, observation: &Observation) {
        if self.quiet {
            return;
        }
        match observation {
            Observation::Started { call, conversation, .. } => {
                let letter = self.letters.get(conversation).copied().unwrap_or('?');
                let shown = Shown {
                    letter,
                    now_s: 0.0,
                    unanswered: VecDeque::new(),
                    pause: None,
                    scored: (Duration::ZERO, Decision::Collecting),
                };
                shown.print(Style::new(), "call answered");
                self.calls.insert(*call, shown);
            }
            Observation::Evidence { call, evidence } => {
                if let Some(shown) = self.calls.get_mut(call) {
                    shown.evidence(evidence);
                }
            }
            Observation::Verdict { call, verdict } => {
                if let Some(shown) = self.calls.get_mut(call) {
                    shown.verdict(verdict);
                }
            }
            Observation::Info { call, outcome } => {
                if let Some(shown) = self.calls.get_mut(call) {
                    shown.info(*outcome);
                }
            }
            Observation::Ended { call, end } => {
                if let Some(shown) = self.calls.get_mut(call) {
                    shown.settle_pause(f64::INFINITY);
                    shown.print(Style::new(), &format!("call over ({end})"));
                }
            }
            // Nobody asks for the lines here.
            Observation::Closed { .. } | Observation::Line { .. } => {}
        }
    }
}

impl Shown {
    fn evidence(&mut self, evidence: &Evidence) {
        let dim = Style::new().dimmed();
        match evidence {
            // No key is pressed in it, and none would be shown.
            Evidence::Key { .. } => {}
            Evidence::Talk { talking: false, at } => self.pause = Some(at.as_secs_f64()),
            Evidence::Talk { talking: true, at } => {
                let at = at.as_secs_f64();
                self.settle_pause(at);
                // What is left is a pause too short to show: the talk just goes on.
                if self.pause.take().is_none() {
                    self.now_s = at;
                    self.print(dim, "talks");
                }
            }
            Evidence::Speaker(speaker) => {
                // Every score would be a line for each 0.7 s of speech; one in a while tells as much.
                let (shown, decision) = self.scored;
                if speaker.decision == decision && speaker.net_speech < shown + SCORES_APART {
                    return;
                }
                self.scored = (speaker.net_speech, speaker.decision);
                self.settle_pause(speaker.at.as_secs_f64());
                self.now_s = speaker.at.as_secs_f64();
                let word = SpeakerDecision::from(speaker.decision).as_str();
                let line = format!(
                    "score {:+5.1} {} {word} after {:.1} s of net speech",
                    speaker.newest_llr,
                    bar(speaker.newest_llr),
                    speaker.net_speech.as_secs_f64()
                );
                let style = match speaker.decision {
                    Decision::Collecting | Decision::Inconclusive => dim,
                    Decision::Suspect => color(AnsiColor::Yellow),
                    Decision::Accepted if speaker.newest_llr < 0.0 => color(AnsiColor::Yellow),
                    Decision::Accepted => color(AnsiColor::Green),
                    Decision::Rejected | Decision::Changed => color(AnsiColor::Red),
                };
                self.print(style, &line);
            }
            Evidence::Phrase(_)
            | Evidence::NoSpeakerCheck(_)
            | Evidence::ComparisonEnded(_)
            | Evidence::Line(_)
            | Evidence::Watchlist(_)
            | Evidence::Enrollment(_)
            | Evidence::Analysed { .. }
            | Evidence::Gap { .. }
            | Evidence::Suspended { .. }
            | Evidence::Pause(_) => {}
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        if let Finding::Line { report, .. } = &verdict.finding {
            return self.print(Style::new().dimmed(), &line(report));
        }
        let (style, what) = match &verdict.finding {
            Finding::Speaker { decision, llr, .. } => {
                let style = match decision {
                    SpeakerDecision::Accepted => color(AnsiColor::Green),
                    SpeakerDecision::Rejected | SpeakerDecision::Changed => color(AnsiColor::Red),
                    SpeakerDecision::Undecided
                    | SpeakerDecision::Suspect
                    | SpeakerDecision::Inconclusive => color(AnsiColor::Yellow),
                };
                let llr = llr.map(|llr| format!(", LLR {llr:+.1}")).unwrap_or_default();
                (style, format!("{}{llr}", decision.as_str().to_uppercase()))
            }
            Finding::Keyword { phrase, start_s, end_s, exact, score, .. } => {
                let how = if *exact { "exact".to_owned() } else { format!("score {score:.2}") };
                (
                    color(AnsiColor::Cyan),
                    format!("PHRASE {phrase} {start_s:.2}-{end_s:.2} s, {how}"),
                )
            }
            Finding::Enrollment { state, .. } => {
                (color(AnsiColor::Cyan), format!("ENROLMENT {}", state.as_str()))
            }
            Finding::Watchlist { entry, llr } => {
                (color(AnsiColor::Yellow), format!("WATCHLIST {entry}, LLR {llr:+.1}"))
            }
            Finding::Rule { rule, state, .. } => {
                let style = match state {
                    RuleState::Violated => color(AnsiColor::Red),
                    RuleState::Met => color(AnsiColor::Green),
                    RuleState::Pending | RuleState::NotApplicable => Style::new(),
                    RuleState::Unknown => color(AnsiColor::Yellow),
                };
                (style, format!("RULE {rule} {}", state.as_str()))
            }
            Finding::Pause { state, by, .. } => {
                (color(AnsiColor::Yellow), format!("PAUSE {} ({})", state.as_str(), by.as_str()))
            }
            Finding::Line { .. } => return,
        };
        self.print(style.bold(), &format!("verdict {}: {what}; INFO sent", verdict.sequence));
        self.unanswered.push_back(verdict.sequence);
    }

    fn info(&mut self, outcome: InfoOutcome) {
        let Some(verdict) = self.unanswered.pop_front() else { return };
        let what = match outcome {
            InfoOutcome::Answered(status) => format!("INFO {verdict} answered {status}"),
            InfoOutcome::Refused(status) => format!("INFO {verdict} refused {status}"),
            InfoOutcome::TimedOut => format!("INFO {verdict} never answered"),
            InfoOutcome::Skipped => format!("INFO {verdict} not sent"),
        };
        self.print(Style::new().dimmed(), &what);
    }

    /// Shows a pause that has lasted at `now_s`.
    fn settle_pause(&mut self, now_s: f64) {
        if let Some(since) = self.pause.take_if(|since| now_s - *since >= PAUSE_S) {
            self.now_s = since;
            self.print(Style::new().dimmed(), "pauses");
        }
    }

    fn print(&self, style: Style, what: &str) {
        println!("{style}{:7.2} s  {}  {what}{style:#}", self.now_s, self.letter);
    }
}

/// A line's report in short.
fn line(report: &LineReport) -> String {
    let decibels = |level: Option<f64>| level.map_or("-".to_owned(), |level| format!("{level:.0}"));
    format!(
        "line: {}, {:.1} % lost, jitter {:.1} ms, speech {} dBFS, {} dB above noise, {:.2} % clipped",
        report.codec.unwrap_or("no audio"),
        100.0 * report.loss,
        report.jitter_ms,
        decibels(report.speech_dbfs),
        decibels(report.snr_db),
        100.0 * report.clipping
    )
}

/// Evidence as a bar around zero: to the left against, to the right for the claimed speaker.
fn bar(llr: f64) -> String {
    let length = (llr.abs().round() as usize).min(BAR);
    let (left, right) = if llr < 0.0 { (length, 0) } else { (0, length) };
    format!("{:>BAR$}|{:<BAR$}", "#".repeat(left), "#".repeat(right))
}

fn color(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(color.into()))
}
