//! One party's leg as the page has it: bounded, however long the call.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::policy::evidence::Evidence;
use crate::policy::line::{LineReport, LineState};
use crate::policy::rule::Party;
use crate::policy::rules::event::Suspension;
use crate::policy::verdict::{Finding, SpeakerDecision};
use crate::runtime::http::page::shown::{LegShown, SpeakerShown};
use crate::sip::event::CallKey;

/// Points of a plot: one every 3 pixels of the widest. When there are more, every second is left out.
const POINTS: usize = 240;
/// Marks of decisions; the oldest go first.
const MARKS: usize = 16;
/// Spurts of talk: some two minutes of lively talk; the oldest go first.
const SPURTS: usize = 60;

/// One leg.
#[derive(Debug)]
pub struct Leg {
    /// Which call.
    pub call: CallKey,
    /// Tells the legs of a conversation apart.
    pub number: u64,
    /// Whose it is.
    pub party: Party,
    /// Who is claimed to speak.
    pub subject: Option<String>,
    /// The PBX's channel.
    pub channel: Option<String>,
    /// How the call ended.
    pub end: Option<&'static str>,
    /// When anything was last observed of it.
    pub heard_of: Timestamp,
    now: Duration,
    speaker: Option<SpeakerShown>,
    points: VecDeque<Point>,
    /// How many windows have been compared.
    compared: u64,
    /// Of how many windows one is a point.
    every: u64,
    /// The board's version when points were left out last.
    thinned: u64,
    marks: VecDeque<(f64, SpeakerDecision)>,
    talk: VecDeque<Spurt>,
    held: bool,
    paused: bool,
    one_way: bool,
    line: Option<LineReport>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    version: u64,
    shown: (f64, f64, f64),
}

#[derive(Clone, Copy, Debug)]
struct Spurt {
    version: u64,
    from: Duration,
    to: Option<Duration>,
}

impl Leg {
    /// A leg that has said nothing yet.
    pub fn new(call: CallKey, number: u64, party: Party, now: Timestamp) -> Self {
        Self {
            call,
            number,
            party,
            subject: None,
            channel: None,
            end: None,
            heard_of: now,
            now: Duration::ZERO,
            speaker: None,
            points: VecDeque::new(),
            compared: 0,
            every: 1,
            thinned: 0,
            marks: VecDeque::new(),
            talk: VecDeque::new(),
            held: false,
            paused: false,
            one_way: false,
            line: None,
        }
    }

    /// Takes in what its audio showed; returns whether that is shown.
    pub fn handle_evidence(&mut self, version: u64, evidence: &Evidence) -> bool {
        match evidence {
            Evidence::Speaker(compared) => {
                self.come_to(compared.at);
                let speaker = self.speaker.get_or_insert_default();
                speaker.decision = Some(compared.decision.into());
                speaker.llr = Some(compared.llr);
                speaker.reason = compared.reason;
                speaker.net_speech_s = compared.net_speech.as_secs_f64();
                speaker.coverage = compared.coverage;
                let shown = (compared.at.as_secs_f64(), compared.newest_llr, compared.llr);
                self.point(version, shown);
            }
            Evidence::NoSpeakerCheck(why) => {
                self.speaker.get_or_insert_default().reason = Some(*why);
            }
            Evidence::ComparisonEnded(ended) => {
                self.speaker.get_or_insert_default().reason = Some(ended.why);
            }
            Evidence::Talk { talking, at } => {
                self.come_to(*at);
                match (talking, self.talk.back_mut()) {
                    (false, Some(spurt)) => (spurt.version, spurt.to) = (version, Some(*at)),
                    (false, None) => return false,
                    (true, _) => {
                        if self.talk.len() == SPURTS {
                            self.talk.pop_front();
                        }
                        self.talk.push_back(Spurt { version, from: *at, to: None });
                    }
                }
            }
            Evidence::Suspended { why: Suspension::Hold, begins, at } => {
                self.come_to(*at);
                self.held = *begins;
            }
            Evidence::Suspended { why: Suspension::Pause, begins, at } => {
                self.come_to(*at);
                self.paused = *begins;
            }
            Evidence::Analysed { until, .. } => {
                self.come_to(*until);
                return false;
            }
            // A verdict tells of these, or nobody may see them.
            Evidence::Watchlist(_)
            | Evidence::Phrase(_)
            | Evidence::Key { .. }
            | Evidence::Line(_)
            | Evidence::Enrollment(_)
            | Evidence::Gap { .. }
            | Evidence::Pause(_) => return false,
        }
        true
    }

    /// Takes in what was concluded of it at `since_s`.
    pub fn handle_finding(&mut self, since_s: f64, finding: &Finding) {
        match finding {
            Finding::Speaker { decision, llr, reason, .. } => {
                let speaker = self.speaker.get_or_insert_default();
                (speaker.decision, speaker.reason) = (Some(*decision), *reason);
                speaker.llr = llr.or(speaker.llr);
                if self.marks.len() == MARKS {
                    self.marks.pop_front();
                }
                self.marks.push_back((since_s, *decision));
            }
            Finding::Line { state, report } => {
                self.one_way = *state == LineState::OneWay;
                self.line = Some((**report).clone());
            }
            Finding::Pause { paused, .. } => self.paused = *paused,
            Finding::Watchlist { .. }
            | Finding::Keyword { .. }
            | Finding::Enrollment { .. }
            | Finding::Rule { .. } => {}
        }
    }

    /// Takes in how its line is.
    pub fn handle_line(&mut self, report: &LineReport) {
        self.come_to(Duration::try_from_secs_f64(report.audio_s).unwrap_or_default());
        self.line = Some(report.clone());
    }

    /// What is shown of it to who has seen everything up to `since`; who it is with only where `identified`.
    pub fn shown(&self, since: u64, identified: bool) -> LegShown {
        let all_points = since < self.thinned || since == 0;
        let points = self.points.iter().filter(|point| all_points || point.version > since);
        let talk = self.talk.iter().filter(|spurt| spurt.version > since);
        let seconds =
            |spurt: &Spurt| (spurt.from.as_secs_f64(), spurt.to.map(|to| to.as_secs_f64()));
        LegShown {
            number: self.number,
            party: self.party.as_str(),
            subject: self.subject.clone().filter(|_| identified),
            channel: self.channel.clone().filter(|_| identified),
            end: self.end,
            now_s: self.now.as_secs_f64(),
            speaker: self.speaker,
            all_points,
            points: points.map(|point| point.shown).collect(),
            marks: self.marks.iter().copied().collect(),
            talk: talk.map(seconds).collect(),
            held: self.held,
            paused: self.paused,
            one_way: self.one_way,
            line: self.line.clone(),
        }
    }

    fn come_to(&mut self, at: Duration) {
        self.now = self.now.max(at);
    }

    fn point(&mut self, version: u64, shown: (f64, f64, f64)) {
        self.compared += 1;
        if !self.compared.is_multiple_of(self.every) {
            return;
        }
        if self.points.len() == POINTS {
            let mut nth = 0;
            self.points.retain(|_| {
                nth += 1;
                nth % 2 == 0
            });
            self.every *= 2;
            self.thinned = version;
        }
        self.points.push_back(Point { version, shown });
    }
}
