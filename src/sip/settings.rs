//! How an endpoint presents itself, and its bounds.

use std::net::SocketAddr;
use std::time::Duration;

use crate::sip::access::Access;
use crate::sip::account::Account;
use crate::sip::digest::Credentials;
use crate::sip::info::InfoProfile;
use crate::sip::transport::{Local, Transport};

/// How an endpoint presents itself, and its bounds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Addresses that peers reach us at; they stand in Via and Contact. Never empty: requests of
    /// ours leave from the first that fits, and over no transport that is not here.
    pub locals: Vec<Local>,
    /// User part of our Contact, and of our From when we call.
    pub user: String,
    /// Product name and version, for User-Agent and Server.
    pub user_agent: String,
    /// Who may call us, and how each takes verdicts.
    pub access: Access,
    /// Users whose passwords let them call, where their peer's INVITEs are challenged.
    pub users: Vec<Credentials>,
    /// What a challenge says that the password is for.
    pub realm: String,
    /// Accounts to register, and to call from.
    pub accounts: Vec<Account>,
    /// Seconds that a session lives without a refresh (RFC 4028), where the peer does not say;
    /// 0 asks for no timer, though one that a peer asks for is kept.
    pub session_expires: u32,
    /// INFO packages that we take, for Recv-Info. The appliance takes none; a test caller takes ours.
    pub recv_info: Vec<String>,
    /// Calls at a time; further ones are refused with 503.
    pub max_calls: usize,
    /// Transactions at a time; requests outside of a dialog give way first, from twice as many on
    /// everything new does. Each lives for half a minute after its answer.
    pub max_transactions: usize,
    /// After how many seconds a refused caller may try again.
    pub retry_after: u32,
    /// How long an INVITE may stay without a final answer, either way.
    pub patience: Duration,
}

impl Settings {
    /// Each peer of the access list by name, with the form in which it takes verdicts.
    pub fn peer_profiles(&self) -> Vec<(String, InfoProfile)> {
        self.access.peers().iter().map(|peer| (peer.name.clone(), peer.info.clone())).collect()
    }

    /// Reached over UDP at `address`; 1,000 calls, INFO only to those who ask; RFC 3261 §16.6 gives an INVITE three minutes.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            locals: vec![Local { transport: Transport::Udp, address }],
            user: "sidetone".to_owned(),
            user_agent: concat!("sidetone/", env!("CARGO_PKG_VERSION")).to_owned(),
            access: Access::open(),
            users: Vec::new(),
            realm: "sidetone".to_owned(),
            accounts: Vec::new(),
            session_expires: 1_800,
            recv_info: Vec::new(),
            max_calls: 1_000,
            max_transactions: 20_000,
            retry_after: 10,
            patience: Duration::from_secs(180),
        }
    }
}
