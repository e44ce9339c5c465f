//! What becomes of the parties' lines, for the log.

use tracing::{info, warn};

use crate::policy::line::LineState;
use crate::policy::verdict::{Finding, Verdict};

/// One line, if `verdict` is about a party's line.
pub fn log(verdict: &Verdict) {
    let Finding::Line { state, report } = &verdict.finding else { return };
    let (conversation, party) = (&verdict.conversation, verdict.party.as_str());
    match state {
        LineState::OneWay => warn!(conversation, party, packets = report.packets, "one-way audio"),
        LineState::Heard => info!(conversation, party, "audio comes again"),
        LineState::Closed => info!(
            conversation,
            party,
            codec = report.codec,
            encryption = report.encryption,
            packets = report.packets,
            lost = report.lost,
            repaired = report.repaired,
            late = report.late,
            duplicates = report.duplicates,
            jitter_ms = report.jitter_ms,
            audio_s = report.audio_s,
            speech_s = report.speech_s,
            concealed_s = report.concealed_s,
            level_dbfs = report.level_dbfs,
            snr_db = report.snr_db,
            clipping = report.clipping,
            "line closed"
        ),
    }
}
