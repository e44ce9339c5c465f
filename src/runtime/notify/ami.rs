//! Verdicts to Asterisk over its manager interface: an event for all who listen there, variables of the party's channel,
//! and what a policy wants done.
//!
//! Channels go by name or by unique id, whichever the PBX put into `X-Sidetone-Channel`.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::config::notify;
use crate::policy::act::Act;
use crate::runtime::notify::ami_client::{AmiClient, AmiError};
use crate::runtime::notify::fields::{VERDICT, WARNING, fields, one_line, variables};
use crate::runtime::notify::http_client::unreachable;
use crate::runtime::notify::interrupted::Interrupted;
use crate::runtime::notify::notice::{Deed, Notice};
use crate::runtime::notify::notifiers::NotifyError;
use crate::runtime::notify::receiver::{Failure, Receiver};
use crate::runtime::notify::tls_client;
use crate::runtime::sip_settings::secret;

/// Bytes of the document in one header: Asterisk takes lines of 1024.
const PIECE: usize = 960;

/// One Asterisk.
pub struct Ami {
    address: String,
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
    user: String,
    password: String,
    variables: bool,
    connection: Option<AmiClient>,
    /// When the connection breaks between two steps, none is repeated that was answered.
    interrupted: Interrupted,
}

/// One action.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    action: &'static str,
    headers: Vec<(String, String)>,
    /// Whether it is for the notice's sake that it be done; a variable of a channel that is gone is of no use to anybody.
    needed: bool,
}

impl Ami {
    /// Reads the password and the authorities; each action may take `timeout`.
    pub fn new(settings: &notify::Ami, timeout: Duration) -> Result<Self, NotifyError> {
        let password = secret(&settings.password_file, "notify.ami.password_file")?;
        let tls = settings
            .tls
            .then(|| tls_client::trusting(&settings.authorities, "notify.ami.authorities"));
        Ok(Self {
            address: settings.address.clone(),
            tls: tls.transpose()?,
            timeout,
            user: settings.user.clone(),
            password,
            variables: settings.variables,
            connection: None,
            interrupted: Interrupted::default(),
        })
    }

    /// The connection, made where there is none.
    fn connection(&mut self) -> Result<&mut AmiClient, Failure> {
        if self.connection.is_none() {
            let client = AmiClient::connect(&self.address, self.tls.as_ref(), self.timeout);
            let mut client = client.map_err(|error| unreachable(error.to_string()))?;
            client.login(&self.user, &self.password).map_err(|error| match error {
                AmiError::Broken(why) => unreachable(format!("{}: {why}", self.address)),
                AmiError::Refused(why) => {
                    Failure::Login(format!("{} says to user {:?}: {why}", self.address, self.user))
                }
            })?;
            self.connection = Some(client);
        }
        Ok(self.connection.as_mut().expect("it was just made"))
    }

    fn act(&mut self, step: &Step) -> Result<(), Failure> {
        let headers: Vec<_> = step.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        match self.connection()?.act(step.action, &headers) {
            Ok(_) => Ok(()),
            Err(AmiError::Broken(why)) => {
                self.connection = None;
                Err(unreachable(format!("{}: {why}", self.address)))
            }
            Err(AmiError::Refused(why)) if why == "Permission denied" => {
                let (user, action) = (&self.user, step.action);
                Err(Failure::Login(format!("the user {user:?} may not do {action}")))
            }
            Err(AmiError::Refused(_)) if !step.needed => Ok(()),
            Err(AmiError::Refused(why)) => {
                Err(Failure::Refused(format!("{} is refused: {why}", step.action)))
            }
        }
    }
}

impl Receiver for Ami {
    fn deliver(&mut self, notice: &Notice) -> Result<(), Failure> {
        let steps = steps(notice, self.variables);
        let mut interrupted = mem::take(&mut self.interrupted);
        let told = interrupted.go_on(&notice.id, steps, |step| self.act(&step?));
        self.interrupted = interrupted;
        told
    }

    fn idle(&mut self) -> Result<(), Failure> {
        self.act(&Step { action: "Ping", headers: Vec::new(), needed: true })
    }
}

impl fmt::Debug for Ami {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ami").field("address", &self.address).finish_non_exhaustive()
    }
}

/// All that a notice asks for, and why something of it cannot be: the event first, which is refused by no channel.
fn steps(notice: &Notice, with_variables: bool) -> Vec<Result<Step, Failure>> {
    let mut steps = vec![Ok(event(notice))];
    if let (true, Some(channel)) = (with_variables, named(notice.channel.as_deref())) {
        for (variable, value) in variables(&notice.verdict) {
            let headers = [("Channel", &channel), ("Variable", &variable), ("Value", &value)];
            steps.push(Ok(step("Setvar", &headers, false)));
        }
    }
    steps.extend(notice.acts.iter().filter_map(|deed| to_do(notice, deed).transpose()));
    steps
}

/// A channel, on one line. A pattern would name every one that it fits.
fn named(channel: Option<&str>) -> Option<String> {
    channel.filter(|channel| !channel.starts_with('/')).map(one_line)
}

/// The step that does `deed`; none for what is our own affair.
fn to_do(notice: &Notice, Deed { act, channel }: &Deed) -> Result<Option<Step>, Failure> {
    let channel = || {
        let known = named(channel.as_deref());
        known.ok_or_else(|| Failure::Refused("no channel is known to act on".to_owned()))
    };
    Ok(Some(match act {
        Act::Set { variable, value } => {
            let (channel, variable, value) = (channel()?, one_line(variable), one_line(value));
            let headers = [("Channel", &channel), ("Variable", &variable), ("Value", &value)];
            step("Setvar", &headers, true)
        }
        Act::Redirect(place) => {
            let parts: Vec<_> = place.split(',').map(|part| one_line(part.trim())).collect();
            let [context, extension, priority] = parts.as_slice() else {
                let wanted = "a redirection is to context,extension,priority";
                return Err(Failure::Refused(format!("{wanted}, found {place:?}")));
            };
            let channel = channel()?;
            let headers = [
                ("Channel", &channel),
                ("Context", context),
                ("Exten", extension),
                ("Priority", priority),
            ];
            step("Redirect", &headers, true)
        }
        Act::Warn(text) => warning(notice, text),
        Act::HangUpCall => step("Hangup", &[("Channel", &channel()?)], true),
        Act::HangUpTap => return Ok(None),
    }))
}

fn step(action: &'static str, headers: &[(&str, &String)], needed: bool) -> Step {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone()));
    Step { action, headers: headers.collect(), needed }
}

/// `Json` has the document, or its beginning; what does not fit into one line goes on in `Json2` and so on.
fn event(notice: &Notice) -> Step {
    let mut headers = vec![("UserEvent".to_owned(), VERDICT.to_owned())];
    headers.extend(fields(notice).into_iter().map(|(name, value)| (name.to_owned(), value)));
    let json = notice.verdict.to_json();
    let (mut rest, mut n) = (json.as_str(), 1);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
        let name = if n == 1 { "Json".to_owned() } else { format!("Json{n}") };
        headers.push((name, piece.to_owned()));
        (rest, n) = (after, n + 1);
    }
    Step { action: "UserEvent", headers, needed: true }
}

fn warning(notice: &Notice, text: &str) -> Step {
    let mut headers = vec![("UserEvent".to_owned(), WARNING.to_owned())];
    headers.push(("Id".to_owned(), notice.id.clone()));
    headers.push(("Conversation".to_owned(), one_line(&notice.verdict.conversation)));
    headers.extend(notice.agent.as_deref().map(|agent| ("Channel".to_owned(), one_line(agent))));
    headers.push(("Text".to_owned(), one_line(text)));
    Step { action: "UserEvent", headers, needed: true }
}
