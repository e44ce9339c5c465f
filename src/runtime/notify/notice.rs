//! One verdict on its way to a receiver.

use std::sync::Arc;

use crate::policy::act::Act;
use crate::policy::verdict::Verdict;

/// A verdict, whose channel it is about, and what is to be done.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Names this verdict among all that any run of the appliance tells: the receiver may get it twice, and then knows it again.
    pub id: String,
    /// What it says.
    pub verdict: Arc<Verdict>,
    /// The PBX's own channel of the party (`X-Sidetone-Channel`): its name or unique id.
    pub channel: Option<String>,
    /// The agent's, where the conversation has one.
    pub agent: Option<String>,
    /// What the policy wants done by this receiver, beside telling the verdict.
    pub acts: Vec<Deed>,
}

/// An act, and to what it is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Deed {
    /// What.
    pub act: Act,
    /// The PBX's channel, by its name or unique id; there for every act that wants one.
    pub channel: Option<String>,
}
