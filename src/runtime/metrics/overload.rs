//! What gave way, rung by rung: the order in which the appliance sheds work is one family.

use prometheus::{IntCounter, IntCounterVec};

use super::families::Families;

/// What gives way, the first first. Nothing else does: SIP, evidence and verdicts never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// A call, refused with 503.
    NewCall,
    /// A window of speech or a chunk, to a newer one.
    SpeakerWindow,
    /// A segment, to a newer one.
    KeywordSegment,
    /// A packet that came too late to be scored.
    LateRtp,
    /// An event that was to be kept.
    RuleEvent,
    /// A verdict for a receiver beside SIP.
    ReceiverVerdict,
    /// An audit record.
    AuditRecord,
}

impl Rung {
    /// All of them, in their order.
    pub const ALL: [Self; 7] = [
        Self::NewCall,
        Self::SpeakerWindow,
        Self::KeywordSegment,
        Self::LateRtp,
        Self::RuleEvent,
        Self::ReceiverVerdict,
        Self::AuditRecord,
    ];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewCall => "new_call",
            Self::SpeakerWindow => "speaker_window",
            Self::KeywordSegment => "keyword_segment",
            Self::LateRtp => "late_rtp",
            Self::RuleEvent => "rule_event",
            Self::ReceiverVerdict => "receiver_verdict",
            Self::AuditRecord => "audit_record",
        }
    }
}

/// The counters of all rungs.
#[derive(Clone, Debug)]
pub(super) struct OverloadMetrics {
    gave_way: IntCounterVec,
}

impl OverloadMetrics {
    pub(super) fn new(families: Families<'_>) -> Self {
        let gave_way = families.counters(
            "sidetone_overload_total",
            "What gave way, by rung, the first first: new_call (503), speaker_window, keyword_segment (to newer ones), \
             late_rtp (not scored), rule_event, receiver_verdict, audit_record (lost).",
            &["rung"],
        );
        for rung in Rung::ALL {
            gave_way.with_label_values(&[rung.as_str()]);
        }
        Self { gave_way }
    }

    /// The counter of one rung.
    pub(super) fn of(&self, rung: Rung) -> IntCounter {
        self.gave_way.with_label_values(&[rung.as_str()])
    }
}
