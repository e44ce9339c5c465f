//! `[sip]` and its tables: how calls reach us, who may call, what we register as.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use crate::rtp::security::SrtpPolicy;
use crate::sip::access::Network;
use crate::sip::info::InfoProfile;
use crate::sip::location::Locator;
use crate::sip::session_timer;
use crate::sip::transport::Transport;
use crate::sip::uri::UriParts;
use crate::siprec::aor::AorPattern;

/// Where Debian, Ubuntu and Alpine keep the authorities that browsers know too.
pub(super) const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Two hours: whoever waits for longer waits for a call that was forgotten.
const LONGEST_DRAIN_S: u32 = 7_200;

/// `[sip]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sip {
    /// Where we are called: at least one.
    pub listen: Vec<Listen>,
    /// Address that we put into Via, Contact and SDP, where it is not the one listened on.
    pub advertise: Option<IpAddr>,
    /// What a caller gets who is no peer.
    pub strangers: Strangers,
    /// What passwords are for, as a challenge says it.
    pub realm: String,
    /// Calls at once; one more is answered 503 with Retry-After.
    pub max_calls: usize,
    /// Seconds that calls may go on after we were told to stop; 0 ends them at once.
    #[serde(default)]
    pub drain_s: u32,
    /// Seconds that a session lives without a refresh, where the PBX does not say; 0 for no timer.
    pub session_expires_s: u32,
    /// Name servers instead of the system's.
    #[serde(default)]
    pub name_servers: Vec<SocketAddr>,
    /// Certificates, where TLS is listened on.
    pub tls: Option<Tls>,
    /// Who may call.
    #[serde(default, rename = "peer")]
    pub peers: Vec<Peer>,
    /// Who may call with a password.
    #[serde(default, rename = "user")]
    pub users: Vec<User>,
    /// What we register as.
    #[serde(default, rename = "account")]
    pub accounts: Vec<Account>,
}

/// One socket, written `udp:192.0.2.10:5060`; port 0 takes a free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Listen {
    /// How it is reached.
    pub transport: Transport,
    /// Address and port.
    pub address: SocketAddr,
}

/// What strangers get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strangers {
    /// No answer at all.
    Ignore,
    /// 403.
    Refuse,
}

/// `[sip.tls]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with our certificate and those between it and its authority.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
    /// PEM file with the authorities that we trust.
    pub authorities: PathBuf,
    /// Whether who connects has to prove a name.
    #[serde(default)]
    pub client_certificates: ClientCertificates,
}

/// Whether a TLS client has to show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// None is asked for.
    #[default]
    Off,
    /// One that is shown must be good.
    Wanted,
    /// Without a good one there is no connection.
    Required,
}

/// `[[sip.peer]]`: a message belongs to the first that it fits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// For log lines.
    pub name: String,
    /// Where it sends from; left out, from anywhere.
    #[serde(default)]
    pub networks: Vec<Network>,
    /// What it sends over; left out, any transport.
    #[serde(default)]
    pub transports: Vec<TransportName>,
    /// DNS name that its client certificate must bear.
    pub certificate: Option<String>,
    /// Whether its INVITEs are challenged for the password of a `[[sip.user]]`.
    #[serde(default)]
    pub digest: bool,
    /// How it takes verdicts.
    pub info: InfoKind,
    /// Digit for each outcome, with `info = "dtmf-relay"`.
    #[serde(default)]
    pub digits: BTreeMap<String, char>,
    /// Whom the MESSAGE is for, with `info = "message"`.
    pub message_to: Option<String>,
    /// Whether its audio has to be encrypted.
    #[serde(default)]
    pub srtp: SrtpPolicy,
    /// Whether it is sent silence.
    #[serde(default)]
    pub send_silence: bool,
    /// Whether it may have calls recorded here (SIPREC).
    #[serde(default = "yes")]
    pub siprec: bool,
    /// Addresses of agents in its recordings; whoever else is named there is a caller, where there are any.
    #[serde(default)]
    pub siprec_agents: Vec<AorPattern>,
    /// Who is named first in its recordings, where nothing else tells.
    #[serde(default)]
    pub siprec_first: FirstParty,
    /// Whose voice a recorded party's is claimed to be, where the INVITE does not say.
    #[serde(default)]
    pub siprec_subject: SubjectSource,
}

/// Who is named first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FirstParty {
    /// The caller.
    #[default]
    Caller,
    /// The agent.
    Agent,
}

/// Where the claimed identity of a recorded party is taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectSource {
    /// Nowhere: metadata names everybody, and not everybody has agreed to be identified.
    #[default]
    None,
    /// The party's address in the metadata.
    Aor,
}

fn two_minutes() -> u32 {
    120
}

fn yes() -> bool {
    true
}

/// A transport by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TransportName(pub Transport);

/// How a peer takes verdicts; see [`InfoProfile`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InfoKind {
    /// INFO of our package, if its Recv-Info names it.
    Rfc6086,
    /// INFO with JSON, unasked.
    LegacyJson,
    /// INFO with a digit.
    DtmfRelay,
    /// MESSAGE outside of the call.
    Message,
    /// Nothing.
    None,
}

/// `[[sip.user]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// User name.
    pub name: String,
    /// File whose first line is the password.
    pub password_file: PathBuf,
}

/// `[[sip.account]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// For log lines, metrics and `sidetone call --account`.
    pub name: String,
    /// URI of the registrar, such as `sip:pbx.example.org;transport=tcp`.
    pub registrar: String,
    /// The address that is registered, such as `sip:sidetone@pbx.example.org`.
    pub address: String,
    /// User name, where it is not the user part of `address`.
    pub user: Option<String>,
    /// File whose first line is the password; left out, none is known.
    pub password_file: Option<PathBuf>,
    /// Seconds that a binding is asked to last.
    #[serde(default = "two_minutes")]
    pub expires_s: u32,
    /// Whether to register; without, the account only places calls.
    #[serde(default = "yes")]
    pub register: bool,
    /// Whether the audio of its calls has to be encrypted.
    #[serde(default)]
    pub srtp: SrtpPolicy,
}

/// Key, what it must be, and what it is.
pub(super) type Senseless = (&'static str, &'static str, String);

impl Sip {
    /// Any free UDP port of loopback, whence anybody may call.
    pub fn on_loopback(max_calls: usize) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let peer = Peer {
            name: "loopback".to_owned(),
            networks: vec![Network::from(address.ip())],
            transports: Vec::new(),
            certificate: None,
            digest: false,
            info: InfoKind::Rfc6086,
            digits: BTreeMap::new(),
            message_to: None,
            srtp: SrtpPolicy::Prefer,
            send_silence: false,
            siprec: true,
            siprec_agents: Vec::new(),
            siprec_first: FirstParty::Caller,
            siprec_subject: SubjectSource::None,
        };
        Self {
            listen: vec![Listen { transport: Transport::Udp, address }],
            advertise: None,
            strangers: Strangers::Ignore,
            realm: "sidetone".to_owned(),
            max_calls,
            drain_s: 0,
            session_expires_s: 1_800,
            name_servers: Vec::new(),
            tls: None,
            peers: vec![peer],
            users: Vec::new(),
            accounts: Vec::new(),
        }
    }

    pub(super) fn validate(&self) -> Result<(), Senseless> {
        let Some(first) = self.listen.first() else {
            return Err(("sip.listen", "must name at least one socket", "[]".to_owned()));
        };
        if self.listen.iter().any(|listen| listen.address.ip().is_unspecified())
            && self.advertise.is_none()
        {
            let wanted = "must say our address where sip.listen is a wildcard";
            return Err(("sip.advertise", wanted, "no key".to_owned()));
        }
        if let Some(advertise) = self.advertise
            && self.listen.iter().any(|l| l.address.is_ipv4() != advertise.is_ipv4())
        {
            let wanted = "must be of the family of every socket in sip.listen";
            return Err(("sip.advertise", wanted, advertise.to_string()));
        }
        if self.listen.iter().any(|l| l.transport == Transport::Tls) && self.tls.is_none() {
            let wanted = "must be there where sip.listen has a tls socket";
            return Err(("sip.tls", wanted, "no table".to_owned()));
        }
        if self.drain_s > LONGEST_DRAIN_S {
            let found = self.drain_s.to_string();
            return Err(("sip.drain_s", "must be 0 to 7200", found));
        }
        if self.session_expires_s != 0 && self.session_expires_s < session_timer::SHORTEST {
            let found = self.session_expires_s.to_string();
            return Err(("sip.session_expires_s", "must be 0, or at least 90", found));
        }
        if self.peers.is_empty() && self.accounts.is_empty() {
            let wanted = "must say who may call, unless a sip.account registers";
            return Err(("sip.peer", wanted, format!("none, at {first}")));
        }
        for peer in &self.peers {
            peer.validate(self)?;
        }
        for account in &self.accounts {
            account.validate(self)?;
        }
        Ok(())
    }

    /// The address in our SDP.
    pub fn media_ip(&self) -> IpAddr {
        // A configuration without a socket is refused.
        let first = self.listen.first().map_or(IpAddr::from([127, 0, 0, 1]), |l| l.address.ip());
        self.advertise.unwrap_or(first)
    }

    /// The account of that name, by number.
    pub fn account(&self, name: &str) -> Option<usize> {
        self.accounts.iter().position(|account| account.name == name)
    }
}

impl Tls {
    /// Our certificate and key, the system's authorities, and nothing asked of those who connect.
    pub fn new(certificate: PathBuf, key: PathBuf) -> Self {
        let authorities = PathBuf::from(SYSTEM_AUTHORITIES);
        Self { certificate, key, authorities, client_certificates: ClientCertificates::Off }
    }
}

impl Peer {
    fn validate(&self, sip: &Sip) -> Result<(), Senseless> {
        if self.digest && sip.users.is_empty() {
            let wanted = "must be there where a sip.peer has digest = true";
            return Err(("sip.user", wanted, format!("none, for peer {:?}", self.name)));
        }
        if self.info == InfoKind::Message && self.message_to.is_none() {
            let wanted = "must be there with info = \"message\"";
            return Err(("sip.peer.message_to", wanted, format!("no key in {:?}", self.name)));
        }
        if self.info == InfoKind::DtmfRelay && self.digits.is_empty() {
            let wanted = "must be there with info = \"dtmf-relay\"";
            return Err(("sip.peer.digits", wanted, format!("no key in {:?}", self.name)));
        }
        let is_digit = |digit: &&char| !"0123456789*#ABCD".contains(**digit);
        if let Some(wrong) = self.digits.values().find(is_digit) {
            return Err(("sip.peer.digits", "must be 0-9, *, # or A-D", wrong.to_string()));
        }
        Ok(())
    }

    /// How it takes verdicts, with all that belongs to it.
    pub fn profile(&self) -> InfoProfile {
        match self.info {
            InfoKind::Rfc6086 => InfoProfile::Rfc6086,
            InfoKind::LegacyJson => InfoProfile::LegacyJson,
            InfoKind::DtmfRelay => InfoProfile::DtmfRelay(self.digits.clone()),
            InfoKind::Message => InfoProfile::Message(self.message_to.clone().unwrap_or_default()),
            InfoKind::None => InfoProfile::None,
        }
    }
}

impl Account {
    fn validate(&self, sip: &Sip) -> Result<(), Senseless> {
        let transports: Vec<_> = sip.listen.iter().map(|listen| listen.transport).collect();
        if let Err(error) = Locator::new(&self.registrar, &transports) {
            let found = format!("{:?} ({error})", self.registrar);
            return Err(("sip.account.registrar", "must be a URI that sip.listen leads to", found));
        }
        if UriParts::parse(&self.address).is_none_or(|uri| uri.user.is_none()) {
            let wanted = "must be a URI with a user, such as sip:sidetone@pbx.example.org";
            return Err(("sip.account.address", wanted, self.address.clone()));
        }
        if !(60..=86_400).contains(&self.expires_s) {
            let found = self.expires_s.to_string();
            return Err(("sip.account.expires_s", "must be 60 to 86400", found));
        }
        Ok(())
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.as_str().to_ascii_lowercase(), self.address)
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(transport, address)| {
            Some(Self { transport: Transport::read(transport)?, address: address.parse().ok()? })
        });
        parts.ok_or_else(|| format!("a socket is udp:, tcp: or tls:ADDRESS:PORT, found {text:?}"))
    }
}

impl TryFrom<String> for TransportName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let transport = Transport::read(&text).map(Self);
        transport.ok_or_else(|| format!("a transport is udp, tcp or tls, found {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_and_certificates_have_the_defaults_that_the_shipped_configuration_tells() {
        let account = "name = 'a'\nregistrar = 'sip:pbx'\naddress = 'sip:us@pbx'";
        let account: Account = toml::from_str(account).expect("an account");
        assert_eq!((account.expires_s, account.register), (120, true));
        let tls = "certificate = 'c'\nkey = 'k'\nauthorities = 'a'";
        let tls: Tls = toml::from_str(tls).expect("certificates");
        assert_eq!(tls.client_certificates, ClientCertificates::Off);
        let shipped = include_str!("../../config/sidetone.toml");
        for told in ["# expires_s = 120", "# register = true", "# client_certificates = \"off\""] {
            assert!(shipped.contains(told), "{told}");
        }
    }
}
