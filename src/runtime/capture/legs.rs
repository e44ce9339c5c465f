//! The second pass over a capture: each stream is one leg, and every leg has its media session.

use std::collections::HashMap;
use std::io::Read;
use std::time::{Duration, Instant};

use crate::policy::rules::event::Record;
use crate::runtime::capture::file;
use crate::runtime::capture::network::{Flow, Network, Packet};
use crate::runtime::capture::survey::{FlowKind, Survey};
use crate::runtime::capture::tcp::begins_message;
use crate::runtime::replay::{Analyst, Judges, LegName, LegReport, Player};

/// Legs that are played at once, at most .84 MB each (`tests/leg_memory.rs`). One more ends the one
/// that was silent for longest.
const MOST_OPEN: usize = 1_000;
/// After so long a silence a leg is over; what comes later is another one. 10 minutes: nobody stays on
/// hold for longer without music.
const LONGEST_SILENCE: Duration = Duration::from_secs(600);
/// How often silent legs are looked for, in the capture's time.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The legs that are being played, and those that are over.
struct Legs<'a> {
    survey: &'a Survey,
    epoch: Instant,
    open: HashMap<Flow, Open>,
    /// In the order of their first packets; `None` while a leg is played.
    reports: Vec<Option<LegReport>>,
    judges: Judges,
    swept: Duration,
}

struct Open {
    player: Player,
    /// Its place among the reports.
    place: usize,
    call: Option<usize>,
    /// When the description was made that its plan goes by.
    described: Option<Duration>,
}

/// Plays every flow of `source` that can be heard, as `survey` found them; the legs come in the order of
/// their first packets; with them what the rules were judged by. `progress` hears of every frame.
pub fn play<'a>(
    source: impl Read + Send + 'a,
    survey: &Survey,
    analyst: &mut dyn Analyst,
    mut progress: impl FnMut(usize),
) -> (Vec<LegReport>, Vec<Record>) {
    let mut network = Network::default();
    let mut legs = Legs {
        survey,
        epoch: Instant::now(),
        open: HashMap::new(),
        reports: Vec::new(),
        judges: Judges::default(),
        swept: Duration::ZERO,
    };
    // Where the file ends, and why, the survey knows.
    let _ = file::read(source, |frame| {
        progress(frame.bytes.len());
        if let Some(Packet::Udp { flow, payload }) = network.handle_frame(&frame)
            && !begins_message(&payload)
        {
            legs.handle_datagram(frame.at, flow, &payload, analyst);
        }
    });
    legs.finish(analyst)
}

impl Legs<'_> {
    fn handle_datagram(
        &mut self,
        at: Duration,
        flow: Flow,
        datagram: &[u8],
        analyst: &mut dyn Analyst,
    ) {
        self.sweep(at, analyst);
        let call = self.survey.call_of(flow, at);
        // The same ports in another call are another leg.
        if self.open.get(&flow).is_some_and(|open| open.call != call) {
            self.close(flow, analyst);
        }
        if !self.open.contains_key(&flow) {
            if self.survey.kind(flow) != FlowKind::Rtp {
                return;
            }
            self.begin(at, flow, call, analyst);
        }
        let Some(open) = self.open.get_mut(&flow) else { return };
        let described = self.survey.described_at(flow, at);
        if open.described != described {
            open.described = described;
            open.player.handle_plan(self.survey.plan(flow, at));
        }
        let survey = self.survey;
        let name = |number| survey.coding(flow, at, number).map(|coding| coding.name);
        let source = flow.source;
        open.player.handle_datagram(at, source, datagram, &name, analyst, &mut self.judges);
    }

    fn begin(&mut self, at: Duration, flow: Flow, call: Option<usize>, analyst: &mut dyn Analyst) {
        if self.open.len() >= MOST_OPEN {
            let oldest = self.open.iter().min_by_key(|(_, open)| (open.player.heard(), open.place));
            if let Some(flow) = oldest.map(|(flow, _)| *flow) {
                self.close(flow, analyst);
            }
        }
        let owner = self.survey.owner(flow, at);
        let name = LegName {
            from: flow.source.to_string(),
            to: Some(flow.destination.to_string()),
            call_id: owner.call_id,
            conversation: owner.conversation,
            party: owner.party,
        };
        let plan = self.survey.plan(flow, at);
        let player = Player::new(self.epoch, at, name, plan, analyst, &mut self.judges);
        let (place, described) = (self.reports.len(), self.survey.described_at(flow, at));
        self.reports.push(None);
        self.open.insert(flow, Open { player, place, call, described });
    }

    fn close(&mut self, flow: Flow, analyst: &mut dyn Analyst) {
        if let Some(Open { player, place, .. }) = self.open.remove(&flow) {
            let rtcp = self.survey.rtcp_beside(flow);
            self.reports[place] = Some(player.finish(rtcp, analyst, &mut self.judges));
        }
    }

    fn sweep(&mut self, at: Duration, analyst: &mut dyn Analyst) {
        if at < self.swept + SWEEP_EVERY {
            return;
        }
        self.swept = at;
        let silent = |open: &Open| open.player.heard() + LONGEST_SILENCE < at;
        self.close_all(silent, analyst);
    }

    /// In the order in which they began: verdicts of one conversation are numbered.
    fn close_all(&mut self, which: impl Fn(&Open) -> bool, analyst: &mut dyn Analyst) {
        let closing = self.open.iter().filter(|(_, open)| which(open));
        let mut closing: Vec<_> = closing.map(|(flow, open)| (open.place, *flow)).collect();
        closing.sort_unstable();
        closing.into_iter().for_each(|(_, flow)| self.close(flow, analyst));
    }

    fn finish(mut self, analyst: &mut dyn Analyst) -> (Vec<LegReport>, Vec<Record>) {
        self.close_all(|_| true, analyst);
        let mut reports: Vec<_> = self.reports.into_iter().flatten().collect();
        self.judges.conclude(&mut reports);
        (reports, self.judges.records)
    }
}
