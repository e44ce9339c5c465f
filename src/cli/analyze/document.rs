//! The JSON document of `sidetone analyze --json`. A field may be added, never changed; keys stay in order.

use serde::Serialize;

use crate::cli::analyze::{Content, FileReport};
use crate::policy::line::LineReport;
use crate::policy::rule::Party;
use crate::policy::verdict::Verdict;
use crate::runtime::capture::dialogs::DialogStats;
use crate::runtime::capture::network::NetworkStats;
use crate::runtime::capture::streams::Kinds;
use crate::runtime::capture::survey::FlowKind;
use crate::runtime::capture::tcp::TcpStats;
use crate::runtime::replay::LegReport;

/// Version of the document.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document {
    version: u32,
    files: Vec<FileEntry>,
}

#[derive(Serialize)]
struct FileEntry {
    file: String,
    kind: &'static str,
    fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capture: Option<CaptureEntry>,
    legs: Vec<LegEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_heard: Vec<FlowEntry>,
}

#[derive(Serialize)]
struct CaptureEntry {
    first: Option<jiff::Timestamp>,
    last: Option<jiff::Timestamp>,
    network: NetworkStats,
    tcp: TcpStats,
    sip: DialogStats,
    /// Datagrams of flows that are no speech.
    other: Kinds,
    /// Datagrams of flows that were too many to be looked at.
    left_out: u64,
}

#[derive(Serialize)]
struct FlowEntry {
    from: String,
    to: String,
    why: FlowKind,
    datagrams: Kinds,
}

#[derive(Serialize)]
struct LegEntry {
    party: Party,
    from: String,
    to: Option<String>,
    call_id: Option<String>,
    conversation: String,
    /// Nothing of a recording tells when it was made.
    started: Option<jiff::Timestamp>,
    codecs: Vec<CodecEntry>,
    ptime_ms: Option<u32>,
    sources: Vec<SourceEntry>,
    source_changes: u64,
    packets: u64,
    lost: u64,
    late: u64,
    duplicates: u64,
    malformed: u64,
    undecodable: u64,
    rtcp: u64,
    audio_s: f64,
    speech_s: f64,
    concealed_s: f64,
    line: LineReport,
    digits: String,
    keys: Vec<KeyEntry>,
    talk: Vec<Spurt>,
    windows: u64,
    segments: u64,
    unanalysed: u64,
    verdicts: Vec<Verdict>,
}

#[derive(Serialize)]
struct CodecEntry {
    payload_type: u8,
    name: Option<String>,
    packets: u64,
    heard: bool,
}

#[derive(Serialize)]
struct SourceEntry {
    ssrc: String,
    packets: u64,
}

#[derive(Serialize)]
struct KeyEntry {
    key: char,
    at_s: f64,
}

#[derive(Serialize)]
struct Spurt {
    start_s: f64,
    end_s: f64,
}

/// All files' reports as one line.
pub fn json(reports: &[FileReport]) -> String {
    let document = Document { version: VERSION, files: reports.iter().map(file).collect() };
    serde_json::to_string(&document).expect("strings, numbers and enums always serialise")
}

fn file(report: &FileReport) -> FileEntry {
    let (kind, capture) = match &report.content {
        Content::Recording => ("recording", None),
        Content::Unknown => ("unknown", None),
        Content::Capture(survey) => {
            let moment = |since| jiff::Timestamp::UNIX_EPOCH.checked_add(since).ok();
            let capture = CaptureEntry {
                first: survey.span.and_then(|(first, _)| moment(first)),
                last: survey.span.and_then(|(_, last)| moment(last)),
                network: survey.network,
                tcp: survey.tcp,
                sip: survey.sip(),
                other: report.other_kinds(),
                left_out: survey.left_out,
            };
            ("capture", Some(capture))
        }
    };
    let not_heard = report.silent_flows().into_iter();
    let not_heard = not_heard.map(|(flow, why, datagrams)| FlowEntry {
        from: flow.source.to_string(),
        to: flow.destination.to_string(),
        why,
        datagrams,
    });
    FileEntry {
        file: report.file.display().to_string(),
        kind,
        fault: report.fault.clone(),
        legs: report.legs.iter().map(|entry| leg(entry, capture.is_some())).collect(),
        capture,
        not_heard: not_heard.collect(),
    }
}

fn leg(leg: &LegReport, dated: bool) -> LegEntry {
    let (name, stats) = (&leg.name, &leg.stats);
    let codecs = leg.codecs.iter().map(|codec| CodecEntry {
        payload_type: codec.payload_type,
        name: codec.name.clone(),
        packets: codec.packets,
        heard: codec.heard,
    });
    let sources = leg.sources.iter().map(|source| SourceEntry {
        ssrc: format!("{:#010x}", source.ssrc),
        packets: source.packets,
    });
    let keys = leg.keys.iter().map(|(at, key)| KeyEntry { key: *key, at_s: at.as_secs_f64() });
    let talk = leg
        .talk
        .iter()
        .map(|(start, end)| Spurt { start_s: start.as_secs_f64(), end_s: end.as_secs_f64() });
    LegEntry {
        party: name.party,
        from: name.from.clone(),
        to: name.to.clone(),
        call_id: name.call_id.clone(),
        conversation: name.conversation.clone(),
        started: dated.then_some(leg.started),
        codecs: codecs.collect(),
        ptime_ms: leg.ptime_ms,
        sources: sources.collect(),
        source_changes: leg.source_changes,
        packets: stats.packets,
        lost: stats.lost,
        late: stats.late,
        duplicates: stats.duplicates,
        malformed: stats.malformed,
        undecodable: stats.undecodable,
        rtcp: leg.rtcp,
        audio_s: seconds(stats.audio_us),
        speech_s: seconds(stats.speech_us),
        concealed_s: seconds(stats.concealed_us),
        line: leg.line.clone(),
        digits: leg.keys.iter().map(|(_, key)| *key).collect(),
        keys: keys.collect(),
        talk: talk.collect(),
        windows: stats.windows,
        segments: stats.segments,
        unanalysed: stats.unanalysed,
        verdicts: leg.verdicts.clone(),
    }
}

fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1_000_000.0
}
