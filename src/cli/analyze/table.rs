//! What a file came to, for a person to read: one block a file, and in it one a leg.

use anstyle::{AnsiColor, Style};

use crate::cli::analyze::{Content, FileReport};
use crate::cli::println;
use crate::policy::line::LineReport;
use crate::policy::rules::standing::RuleState;
use crate::policy::verdict::{Finding, Verdict};
use crate::runtime::capture::survey::{FlowKind, Survey};
use crate::runtime::replay::{CodecCount, LegReport};

/// Flows without sound that are shown one by one.
const MOST_FLOWS: usize = 20;
/// Sources that are shown of one leg.
const MOST_SOURCES: usize = 8;

/// Prints one file's block.
pub fn print(report: &FileReport) {
    let bold = Style::new().bold();
    let what = match &report.content {
        Content::Capture(survey) => capture(survey),
        Content::Recording => "recording".to_owned(),
        Content::Unknown => "not read".to_owned(),
    };
    println!("{bold}{}{bold:#}: {what}", report.file.display());
    report.legs.iter().for_each(leg);
    let silent = report.silent_flows();
    for (flow, kind, kinds) in silent.iter().take(MOST_FLOWS) {
        let why = match kind {
            FlowKind::Encrypted => "encrypted, not heard",
            FlowKind::TooLittle | FlowKind::Rtp | FlowKind::Rtcp | FlowKind::NotRtp => {
                "too little to tell whether it is RTP"
            }
        };
        println!("  {} -> {}  {}, {why}", flow.source, flow.destination, datagrams(kinds.total()));
    }
    if silent.len() > MOST_FLOWS {
        println!("  and {} more such flows", silent.len() - MOST_FLOWS);
    }
    let other = report.other_kinds();
    if other.total() > 0 {
        println!(
            "  other UDP   {}: {} RTCP, {} STUN, {} DTLS, {} not RTP",
            datagrams(other.total()),
            other.rtcp,
            other.stun,
            other.dtls,
            other.rtp + other.other
        );
    }
    if let Some(fault) = &report.fault {
        let red = Style::new().fg_color(Some(AnsiColor::Red.into()));
        println!("  {red}{fault}{red:#}");
    }
}

fn capture(survey: &Survey) -> String {
    let (network, sip) = (survey.network, survey.sip());
    let mut parts = vec![format!("capture of {} frames", network.frames)];
    if let Some((first, last)) = survey.span
        && let Ok(began) = jiff::Timestamp::UNIX_EPOCH.checked_add(first)
    {
        parts.push(format!("{:.1} s from {began:.0}", (last - first).as_secs_f64()));
    }
    for (count, what) in [
        (sip.messages, "SIP messages"),
        (sip.calls, "calls"),
        (sip.malformed, "malformed messages"),
        (sip.unreadable, "unreadable descriptions"),
        (network.fragments, "fragments"),
        (network.incomplete, "incomplete packets"),
        (network.cut_short, "packets cut short"),
        (network.malformed, "malformed frames"),
        (network.other_links, "frames of unknown links"),
        (survey.tcp.gaps, "gaps in TCP"),
        (survey.left_out, "datagrams of too many flows"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    parts.join(", ")
}

fn leg(leg: &LegReport) {
    let (name, stats) = (&leg.name, &leg.stats);
    let dim = Style::new().dimmed();
    let to = name.to.as_ref().map(|to| format!(" -> {to}")).unwrap_or_default();
    let call = name.call_id.as_ref().map(|id| format!("  call {id}")).unwrap_or_default();
    println!("  {:<7} {}{to}{dim}{call}{dim:#}", name.party.as_str(), name.from);
    let codecs: Vec<_> = leg.codecs.iter().map(codec).collect();
    let ptime = leg.ptime_ms.map(|ptime| format!(", {ptime} ms a packet")).unwrap_or_default();
    println!("    codec     {}{ptime}", codecs.join(", "));
    let shown = leg.sources.iter().take(MOST_SOURCES);
    let mut sources: Vec<_> = shown.map(|source| format!("{:#010x}", source.ssrc)).collect();
    if leg.sources.len() > MOST_SOURCES {
        sources.push(format!("and {} more", leg.sources.len() - MOST_SOURCES));
    }
    let changes = match leg.source_changes {
        0 => String::new(),
        changes => format!(", changed {changes}x"),
    };
    println!("    source    {}{changes}", sources.join(", "));
    println!(
        "    packets   {}, lost {}, late {}, twice {}, malformed {}, RTCP {}",
        stats.packets, stats.lost, stats.late, stats.duplicates, stats.malformed, leg.rtcp
    );
    println!(
        "    audio     {} s, speech {} s in {} spurts, made up {} s",
        seconds(stats.audio_us),
        seconds(stats.speech_us),
        leg.talk.len(),
        seconds(stats.concealed_us)
    );
    println!("    line      {}", line(&leg.line));
    if stats.undecodable > 0 {
        println!("    undecoded {} payloads", stats.undecodable);
    }
    if !leg.keys.is_empty() {
        let digits: String = leg.keys.iter().map(|(_, key)| *key).collect();
        println!("    keys      {digits}");
    }
    leg.verdicts.iter().for_each(verdict);
}

fn codec(codec: &CodecCount) -> String {
    let CodecCount { payload_type, packets, .. } = codec;
    match (&codec.name, codec.heard) {
        (Some(name), true) => format!("{name} ({payload_type}) {packets}x"),
        (Some(name), false) => format!("{name} ({payload_type}, not decoded) {packets}x"),
        (None, _) => format!("unknown codec ({payload_type}) {packets}x"),
    }
}

/// Levels and the network in short; what was not measured is left out.
fn line(line: &LineReport) -> String {
    let tone = line.tone_hz.zip(line.tone_dbfs);
    let parts = [
        line.level_dbfs.map(|level| format!("{level:.1} dBFS")),
        line.speech_dbfs.map(|level| format!("speech {level:.1} dBFS")),
        line.snr_db.map(|snr| format!("{snr:.0} dB above noise")),
        tone.map(|(hertz, level)| format!("tone of {hertz:.0} Hz at {level:.1} dBFS")),
        (line.clipping > 0.0).then(|| format!("{:.2} % clipped", 100.0 * line.clipping)),
        (line.repaired > 0).then(|| format!("{} lost packets repaired", line.repaired)),
        (line.reordered > 0).then(|| format!("{} overtaken", line.reordered)),
        Some(format!("jitter {:.1} ms", line.jitter_ms)),
        line.drift_ppm.map(|ppm| format!("clock {ppm:+.0} ppm")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn verdict(verdict: &Verdict) {
    let (color, what) = match &verdict.finding {
        Finding::Speaker { subject, decision, llr, .. } => {
            let llr = llr.map(|llr| format!(", LLR {llr:+.1}")).unwrap_or_default();
            (AnsiColor::Yellow, format!("{subject} {}{llr}", decision.as_str()))
        }
        Finding::Keyword { phrase, start_s, end_s, .. } => {
            (AnsiColor::Cyan, format!("phrase {phrase} {start_s:.2}-{end_s:.2} s"))
        }
        Finding::Enrollment { subject, state, .. } => {
            (AnsiColor::Cyan, format!("enrolment of {subject} {}", state.as_str()))
        }
        Finding::Watchlist { entry, llr } => {
            (AnsiColor::Yellow, format!("sounds like {entry} of the watchlist, LLR {llr:+.1}"))
        }
        Finding::Rule { rule, state, reason, .. } => {
            let color = match state {
                RuleState::Violated => AnsiColor::Red,
                RuleState::Met => AnsiColor::Green,
                RuleState::Pending | RuleState::NotApplicable | RuleState::Unknown => {
                    AnsiColor::Yellow
                }
            };
            (color, format!("rule {rule} {} ({})", state.as_str(), reason.as_str()))
        }
        Finding::Pause { state, by, .. } => {
            (AnsiColor::Yellow, format!("pause {} ({})", state.as_str(), by.as_str()))
        }
        // What became of a line stands above the verdicts.
        Finding::Line { .. } => return,
    };
    let style = Style::new().fg_color(Some(color.into()));
    println!("    verdict   {style}{:.2} s {what}{style:#}", verdict.since_s);
}

fn datagrams(count: u64) -> String {
    format!("{count} datagram{}", if count == 1 { "" } else { "s" })
}

fn seconds(microseconds: u64) -> String {
    format!("{:.2}", microseconds as f64 / 1_000_000.0)
}
