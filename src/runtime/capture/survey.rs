//! The first pass over a capture: all its calls, and what each flow is.

use std::collections::HashMap;
use std::io::Read;
use std::time::Duration;

use crate::call::media_plan::{MediaPlan, Payload};
use crate::policy::rule::Party;
use crate::runtime::capture::dialogs::{DialogStats, Dialogs, Said};
use crate::runtime::capture::file::{self, CaptureError};
use crate::runtime::capture::network::{Flow, Network, NetworkStats, Packet};
use crate::runtime::capture::payload_types::Coding;
use crate::runtime::capture::streams::{Kinds, Traffic};
use crate::runtime::capture::tcp::{TcpStats, TcpStreams, begins_message};

/// Flows that are looked at; the datagrams of more are counted alone.
const MOST_FLOWS: usize = 100_000;

/// What the first pass found.
#[derive(Debug, Default)]
pub struct Survey {
    dialogs: Dialogs,
    flows: HashMap<Flow, Traffic>,
    /// The flows in the order of their first datagrams.
    order: Vec<Flow>,
    /// Datagrams of flows that were too many.
    pub left_out: u64,
    /// Counts of frames.
    pub network: NetworkStats,
    /// Counts of TCP segments.
    pub tcp: TcpStats,
    /// Times of the first frame and the last, since 1970.
    pub span: Option<(Duration, Duration)>,
    /// Why it ended before the file's end.
    pub fault: Option<CaptureError>,
}

/// What a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowKind {
    /// RTP that can be heard.
    Rtp,
    /// SRTP: nothing can be heard without its keys.
    Encrypted,
    /// What may be RTP and is too little to tell.
    TooLittle,
    /// RTCP alone.
    Rtcp,
    /// Something else: T.38, STUN, the rest of the network.
    NotRtp,
}

/// Whose a flow is, as far as its call tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The Call-ID.
    pub call_id: Option<String>,
    /// Joins the legs of one conversation.
    pub conversation: String,
    /// Whose voice it is.
    pub party: Party,
}

impl Survey {
    /// Reads a capture to its end, or to its fault. `progress` hears of every frame.
    pub fn read<'a>(source: impl Read + Send + 'a, mut progress: impl FnMut(usize)) -> Self {
        let mut survey = Self::default();
        let (mut network, mut streams) = (Network::default(), TcpStreams::default());
        let end = file::read(source, |frame| {
            progress(frame.bytes.len());
            let (first, last) = survey.span.unwrap_or((frame.at, frame.at));
            survey.span = Some((first.min(frame.at), last.max(frame.at)));
            match network.handle_frame(&frame) {
                Some(Packet::Udp { payload, .. }) if begins_message(&payload) => {
                    survey.dialogs.handle_message(frame.at, &payload);
                }
                Some(Packet::Udp { flow, payload }) => survey.look(frame.at, flow, &payload),
                Some(Packet::Tcp { flow, sequence, begins, ends, payload }) => {
                    let sequence = sequence.wrapping_add(begins.into());
                    let dialogs = &mut survey.dialogs;
                    streams.handle_segment(flow, sequence, ends, &payload, &mut |message| {
                        dialogs.handle_message(frame.at, message);
                    });
                }
                None => {}
            }
        });
        (survey.network, survey.tcp) = (network.stats(), streams.stats());
        survey.fault = end.err();
        survey
    }

    fn look(&mut self, at: Duration, flow: Flow, datagram: &[u8]) {
        if !self.flows.contains_key(&flow) {
            if self.flows.len() >= MOST_FLOWS {
                self.left_out += 1;
                return;
            }
            self.order.push(flow);
            self.flows.insert(flow, Traffic::new(at));
        }
        if let Some(traffic) = self.flows.get_mut(&flow) {
            traffic.handle_datagram(datagram);
        }
    }

    /// The flows of UDP that carry no SIP, in the order of their first datagrams.
    pub fn flows(&self) -> impl Iterator<Item = (Flow, FlowKind, Kinds)> {
        self.order.iter().map(|flow| (*flow, self.kind(*flow), self.flows[flow].kinds))
    }

    /// What a flow is.
    pub fn kind(&self, flow: Flow) -> FlowKind {
        let Some(traffic) = self.flows.get(&flow) else { return FlowKind::NotRtp };
        let said = self.dialogs.descriptions(flow, traffic.first);
        let kinds = traffic.kinds;
        let reverse = self.flows.get(&flow.reversed()).map(|traffic| traffic.kinds);
        let keys = kinds.dtls + reverse.map_or(0, |kinds| kinds.dtls) > 0;
        // A server's port: DNS and NetBIOS have numbers that look like RTP's version now and then.
        let is_well_known = flow.source.port().min(flow.destination.port()) < 1_024;
        let recognised = traffic.is_rtp() || (kinds.rtp > 1 && said.first().is_some());
        match said.first() {
            Some(description) if !description.rtp => FlowKind::NotRtp,
            Some(description) if description.encrypted && kinds.rtp > 0 => FlowKind::Encrypted,
            None if keys && kinds.rtp > 0 => FlowKind::Encrypted,
            Some(_) | None if recognised => FlowKind::Rtp,
            Some(_) | None if traffic.may_be_rtp() && !is_well_known => FlowKind::TooLittle,
            Some(_) | None if kinds.rtcp > 0 && kinds.other == 0 => FlowKind::Rtcp,
            Some(_) | None => FlowKind::NotRtp,
        }
    }

    /// The call that a flow belongs to at `at`, by its place in the order of the calls.
    pub fn call_of(&self, flow: Flow, at: Duration) -> Option<usize> {
        self.dialogs.descriptions(flow, at).first().map(|description| description.call)
    }

    /// Whose a flow is at `at`.
    pub fn owner(&self, flow: Flow, at: Duration) -> Owner {
        let said = self.dialogs.descriptions(flow, at);
        let call = said.first().map(|description| self.dialogs.call(description.call));
        let Some(call) = call else {
            // Two directions between two ports are one conversation; whoever is heard first called.
            let [a, b] = [flow.source.min(flow.destination), flow.source.max(flow.destination)];
            let is_first = self.flows.get(&flow.reversed()).is_none_or(|reverse| {
                let own = self.flows.get(&flow).map_or(Duration::ZERO, |traffic| traffic.first);
                (own, flow.source) <= (reverse.first, flow.destination)
            });
            let party = if is_first { Party::Caller } else { Party::Agent };
            return Owner { call_id: None, conversation: format!("{a}-{b}"), party };
        };
        let party = match (call.party, said.from_caller()) {
            (party, Some(true) | None) => party,
            (Party::Caller, Some(false)) => Party::Agent,
            (Party::Agent, Some(false)) => Party::Caller,
            (Party::Mixed, Some(false)) => Party::Mixed,
        };
        Owner { call_id: Some(call.id.clone()), conversation: call.conversation.clone(), party }
    }

    /// What payload type `number` of a flow carries at `at`: by SDP, by number, by its looks.
    pub fn coding(&self, flow: Flow, at: Duration, number: u8) -> Option<Coding> {
        let said: Said<'_> = self.dialogs.descriptions(flow, at);
        let by_looks = || self.flows.get(&flow).and_then(|traffic| traffic.coding(number));
        said.coding(number).cloned().or_else(by_looks)
    }

    /// What a media session needs to know of a flow at `at`.
    pub fn plan(&self, flow: Flow, at: Duration) -> MediaPlan {
        let payload = |number: u8| -> Option<(u8, Payload)> {
            Some((number, self.coding(flow, at, number)?.payload?))
        };
        MediaPlan::overhearing((0..128).filter_map(payload).collect(), flow.source)
    }

    /// When the description that a flow goes by was made; another one needs another plan.
    pub fn described_at(&self, flow: Flow, at: Duration) -> Option<Duration> {
        self.dialogs.descriptions(flow, at).first().map(|description| description.at)
    }

    /// RTCP beside a flow: in itself, or on the next port (RFC 3550 §11).
    pub fn rtcp_beside(&self, flow: Flow) -> u64 {
        let own = self.flows.get(&flow).map_or(0, |traffic| traffic.kinds.rtcp);
        let [mut source, mut destination] = [flow.source, flow.destination];
        source.set_port(source.port().wrapping_add(1));
        destination.set_port(destination.port().wrapping_add(1));
        let beside = self.flows.get(&Flow { source, destination });
        own + beside.map_or(0, |traffic| traffic.kinds.rtcp)
    }

    /// Counts of SIP.
    pub fn sip(&self) -> DialogStats {
        self.dialogs.stats()
    }
}
