//! What an endpoint tells its owner.

use crate::sip::account::RegistrationEvent;
use crate::sip::client_transactions::{ClientId, Unanswered};
use crate::sip::headers::Headers;
use crate::sip::transport::{Hop, Source};

/// Our own handle of one call, from the first INVITE to [`Event::Ended`]; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey(pub(crate) u64);

/// Our own handle of one INFO, never used twice by one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoId(pub(crate) u64);

/// Something for the owner to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send one message.
    Transmit {
        /// Where to, and how.
        hop: Hop,
        /// One whole message.
        bytes: Vec<u8>,
    },
    /// Look up where `uri` leads (RFC 3263), and tell with `handle_located`.
    Locate {
        /// Which request waits.
        id: ClientId,
        /// A SIP URI whose host is a name.
        uri: String,
    },
    /// Something happened to the binding of an account.
    Registration {
        /// Which of the settings' accounts.
        account: usize,
        /// What happened.
        event: RegistrationEvent,
    },
    /// Somebody who may not was kept out.
    Rejected {
        /// Who.
        source: Source,
        /// Why.
        why: Rejection,
    },
    /// Something happened in a call.
    Event {
        /// Which call.
        call: CallKey,
        /// What happened.
        event: Event,
    },
}

/// Why a request was not listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No peer of the settings is like the sender.
    #[error("no peer of the configuration matches")]
    Stranger,
    /// The credentials are wrong.
    #[error("wrong user or password")]
    WrongPassword,
}

/// What happened in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody calls us: answer with `accept` or `refuse`.
    Invited(Box<Invitation>),
    /// Our 2xx was acknowledged.
    Confirmed {
        /// Their SDP answer, where the INVITE had no offer and our 2xx carried it.
        answer: Option<String>,
    },
    /// The session is to change (hold, resume, a new address), by re-INVITE or UPDATE: answer with
    /// `accept` or `refuse`.
    Reinvited {
        /// Their SDP offer; `None` asks us to make one.
        offer: Option<String>,
    },
    /// Their re-INVITE or UPDATE brings metadata of the recording session; what it offers, if anything, is told after it.
    Described {
        /// One document, not yet read.
        metadata: Vec<u8>,
    },
    /// A 1xx above 100 to our INVITE.
    Progress {
        /// 101-199.
        status: u16,
    },
    /// A 2xx to our INVITE. It is acknowledged already, unless our INVITE had no offer: then `sdp`
    /// is theirs and `acknowledge` has to bring the answer.
    Answered {
        /// 200-299.
        status: u16,
        /// The body, if it is SDP.
        sdp: Option<String>,
        /// All fields of the response.
        headers: Headers,
    },
    /// Our re-INVITE was refused; the session stays as it was (RFC 3261 §14.1).
    ReinviteRefused {
        /// 300-699.
        status: u16,
    },
    /// An INFO of theirs, in a package that we take or in none (RFC 2976), such as a digit; it was
    /// answered with 200.
    InfoReceived {
        /// As written, empty if absent.
        content_type: String,
        /// The whole body.
        body: Vec<u8>,
    },
    /// Their INFO, re-INVITE or UPDATE says that the leg's pause begins or ends, whatever else it is about and
    /// whatever is answered to that.
    PauseAsked {
        /// Which of the two.
        begins: bool,
    },
    /// Our INFO arrived.
    InfoAnswered {
        /// Which.
        id: InfoId,
        /// 200-299.
        status: u16,
    },
    /// Our INFO was sent and not taken; no further one will be sent in this call.
    InfoFailed {
        /// Which.
        id: InfoId,
        /// How.
        why: InfoFailure,
    },
    /// Our INFO was never sent.
    InfoSkipped {
        /// Which.
        id: InfoId,
        /// The reason.
        why: InfoSkip,
    },
    /// The call is over; its key is not valid any more.
    Ended(End),
}

/// A new call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// URI of the From field.
    pub from: String,
    /// URI of the To field.
    pub to: String,
    /// The Call-ID.
    pub call_id: String,
    /// All fields of the INVITE.
    pub headers: Headers,
    /// Their SDP offer; `None` asks us to make one in the answer.
    pub offer: Option<String>,
    /// It opens a recording session (RFC 7866): several streams may be heard, and no verdict is told in it.
    pub recording: bool,
    /// What is said about who is recorded, not yet read.
    pub metadata: Option<Vec<u8>>,
    /// Where the INVITE came from.
    pub source: Source,
    /// Name of the peer that it belongs to.
    pub peer: String,
}

/// Why an INFO that was sent did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InfoFailure {
    /// Answered with this status, 300-699.
    Refused {
        /// The status.
        status: u16,
    },
    /// Not answered within 32 s. Asterisk answers no INFO of an unknown type, ever.
    TimedOut,
    /// The call ended before the answer came.
    CallOver,
}

/// Why an INFO was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InfoSkip {
    /// The peer's Recv-Info does not name our package, and we do not send unasked.
    NotAllowed,
    /// An earlier INFO of this call was refused or not answered.
    PeerRefused,
    /// Too many wait; this was the oldest.
    QueueFull,
    /// A newer one about the same subject took its place.
    Superseded,
    /// The peer takes digits, and none stands for this outcome.
    NoDigit,
    /// The call ended before its turn came, or was over already.
    CallOver,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// They hung up.
    ByPeer {
        /// Their Reason field (RFC 3326), whole.
        reason: Option<String>,
    },
    /// We hung up, refused or took the call back.
    ByUs {
        /// What we gave as reason, if anything.
        reason: Option<String>,
    },
    /// They took their unanswered INVITE back.
    Cancelled,
    /// They refused our INVITE.
    Refused {
        /// 300-699.
        status: u16,
    },
    /// The network or a side failed.
    Failed(Failure),
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// 64*T1 passed after our 2xx (RFC 3261 §13.3.1.4).
    #[error("our 200 was never acknowledged")]
    NoAck,
    /// Nothing answered our INVITE, or it could not be sent.
    #[error("our INVITE was not answered: {0}")]
    NoAnswer(Unanswered),
    /// The user or password that we have is not taken.
    #[error("the called side does not take our credentials")]
    WrongPassword,
    /// The peer knows nothing of our dialog (408 or 481 to a re-INVITE, RFC 3261 §12.2.1.2).
    #[error("the peer has lost the dialog")]
    DialogLost,
    /// Nobody refreshed the session in time (RFC 4028 §10).
    #[error("the session timer ran out")]
    SessionExpired,
    /// Our side neither accepted nor refused within the patience of the settings.
    #[error("our side did not answer in time")]
    Undecided,
}
