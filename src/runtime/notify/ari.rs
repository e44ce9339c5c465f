//! Verdicts to Asterisk over its REST interface (ARI): a user event for an application, and what a policy wants done as
//! far as ARI can.
//!
//! As Asterisk 22 was found to be: an event bears its channel where `X-Sidetone-Channel` gives its unique id, and comes
//! without it where that is a name (422); variables and redirections want the channel to be in an application, since ARI
//! leaves the dialplan's alone (409); anybody's is hung up, by name or by id.

use std::fmt;
use std::mem;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use ureq::http::{Method, Request};

use crate::config::notify;
use crate::policy::act::Act;
use crate::runtime::notify::fields::{VERDICT, WARNING, fields, one_line, variables};
use crate::runtime::notify::http_client::{Answer, HttpClient, unreachable};
use crate::runtime::notify::interrupted::Interrupted;
use crate::runtime::notify::notice::{Deed, Notice};
use crate::runtime::notify::notifiers::NotifyError;
use crate::runtime::notify::receiver::{Failure, Receiver};
use crate::runtime::sip_settings::secret;

/// One application of an Asterisk.
pub struct Ari {
    client: HttpClient,
    root: String,
    application: String,
    authorization: String,
    variables: bool,
    /// When the connection breaks between two steps, none is repeated that was answered.
    interrupted: Interrupted,
}

/// One request.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    method: Method,
    /// Below the root.
    path: String,
    body: Option<Value>,
    kind: StepKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StepKind {
    /// For the application; without a source it goes through as well.
    Event,
    /// A variable that nobody asked for by name: of no use to anybody once its channel is gone.
    Variable,
    /// What a policy wants done.
    Act,
}

impl Ari {
    /// Reads the password and the authorities; each request may take `timeout`.
    pub fn new(settings: &notify::Ari, timeout: Duration) -> Result<Self, NotifyError> {
        let password = secret(&settings.password_file, "notify.ari.password_file")?;
        let url = ("notify.ari.url", settings.url.as_str());
        let authorities = ("notify.ari.authorities", settings.authorities.as_path());
        let client = HttpClient::new(url, authorities, timeout)?;
        let credentials = STANDARD.encode(format!("{}:{password}", settings.user));
        Ok(Self {
            client,
            root: settings.url.trim_end_matches('/').to_owned(),
            application: settings.application.clone(),
            authorization: format!("Basic {credentials}"),
            variables: settings.variables,
            interrupted: Interrupted::default(),
        })
    }

    fn send(&self, step: &Step) -> Result<Answer, Failure> {
        let request = Request::builder()
            .method(step.method.clone())
            .uri(format!("{}{}", self.root, step.path))
            .header("authorization", &self.authorization)
            .header("content-type", "application/json");
        let body = step.body.as_ref().map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let request = request.body(body).map_err(|error| Failure::Refused(error.to_string()))?;
        self.client.send(request)
    }

    fn act(&self, step: &Step) -> Result<(), Failure> {
        let answer = self.send(step)?;
        match (step.kind, answer.status) {
            // The channel is gone, or was never one: the application is told nevertheless.
            (StepKind::Event, 400 | 422) if step.path.contains(SOURCE) => {
                let bare = step.path.split(SOURCE).next().unwrap_or_default().to_owned();
                let (method, body) = (step.method.clone(), step.body.clone());
                self.act(&Step { path: bare, method, body, kind: StepKind::Event })
            }
            // It may be back; what it then finds out of date is for it to say.
            (StepKind::Event, 404) => {
                let (application, said) = (&self.application, said(&answer));
                Err(unreachable(format!(
                    "the application {application:?} is not connected: {said}"
                )))
            }
            (StepKind::Variable, 404 | 409) => Ok(()),
            (StepKind::Act, 404 | 409) => {
                Err(Failure::Refused(format!("ARI says: {}", said(&answer))))
            }
            _ => answer.outcome(),
        }
    }
}

impl Receiver for Ari {
    fn deliver(&mut self, notice: &Notice) -> Result<(), Failure> {
        let steps = steps(notice, &self.application, self.variables);
        let mut interrupted = mem::take(&mut self.interrupted);
        let told = interrupted.go_on(&notice.id, steps, |step| self.act(&step?));
        self.interrupted = interrupted;
        told
    }

    fn idle(&mut self) -> Result<(), Failure> {
        // Nobody but the application hears of a verdict, so it is its presence that counts.
        let path = format!("/applications/{}", encoded(&self.application));
        self.act(&Step { method: Method::GET, path, body: None, kind: StepKind::Event })
    }
}

impl fmt::Debug for Ari {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ari").field("root", &self.root).finish_non_exhaustive()
    }
}

/// What ARI says of an error, a sentence.
fn said(answer: &Answer) -> String {
    let body: Option<Value> = serde_json::from_str(&answer.body).ok();
    let message = body.as_ref().and_then(|body| body["message"].as_str());
    message.map_or_else(|| answer.status.to_string(), one_line)
}

/// What precedes an event's source in its path.
const SOURCE: &str = "&source=channel%3A";

/// All that a notice asks for, and why something of it cannot be: the event first.
fn steps(notice: &Notice, application: &str, with_variables: bool) -> Vec<Result<Step, Failure>> {
    let mut told: Map<String, Value> = fields(notice)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect();
    told.insert("Json".to_owned(), Value::String(notice.verdict.to_json()));
    let mut steps = vec![Ok(event(VERDICT, application, notice.channel.as_deref(), &told))];
    let channel = notice.channel.as_deref().map(encoded);
    if let (true, Some(channel)) = (with_variables, &channel) {
        for (variable, value) in variables(&notice.verdict) {
            steps.push(Ok(set(channel, &variable, &value, StepKind::Variable)));
        }
    }
    let acts = notice.acts.iter();
    steps.extend(acts.filter_map(|deed| to_do(notice, application, deed).transpose()));
    steps
}

/// The step that does `deed`; none for what is our own affair.
fn to_do(
    notice: &Notice,
    application: &str,
    Deed { act, channel }: &Deed,
) -> Result<Option<Step>, Failure> {
    let channel = || {
        let known = channel.as_deref().map(encoded);
        known.ok_or_else(|| Failure::Refused("no channel is known to act on".to_owned()))
    };
    Ok(Some(match act {
        Act::Set { variable, value } => set(&channel()?, variable, value, StepKind::Act),
        Act::Redirect(place) => {
            let parts: Vec<_> = place.split(',').map(|part| encoded(part.trim())).collect();
            let [context, extension, priority] = parts.as_slice() else {
                let wanted = "a redirection is to context,extension,priority";
                return Err(Failure::Refused(format!("{wanted}, found {place:?}")));
            };
            let to = format!("context={context}&extension={extension}&priority={priority}");
            let path = format!("/channels/{}/continue?{to}", channel()?);
            Step { method: Method::POST, path, body: None, kind: StepKind::Act }
        }
        Act::Warn(text) => {
            let warning = [
                ("Id", notice.id.clone()),
                ("Conversation", notice.verdict.conversation.clone()),
                ("Text", text.clone()),
            ];
            let warning = warning.map(|(name, value)| (name.to_owned(), Value::String(value)));
            let warning: Map<_, _> = warning.into_iter().collect();
            event(WARNING, application, notice.agent.as_deref(), &warning)
        }
        Act::HangUpCall => {
            let path = format!("/channels/{}", channel()?);
            Step { method: Method::DELETE, path, body: None, kind: StepKind::Act }
        }
        Act::HangUpTap => return Ok(None),
    }))
}

fn event(name: &str, application: &str, channel: Option<&str>, told: &Map<String, Value>) -> Step {
    let application = encoded(application);
    let source = channel.map(|channel| format!("{SOURCE}{}", encoded(channel))).unwrap_or_default();
    let path = format!("/events/user/{name}?application={application}{source}");
    let body = Some(json!({ "variables": told }));
    Step { method: Method::POST, path, body, kind: StepKind::Event }
}

fn set(channel: &str, variable: &str, value: &str, kind: StepKind) -> Step {
    let (variable, value) = (encoded(variable), encoded(value));
    let path = format!("/channels/{channel}/variable?variable={variable}&value={value}");
    Step { method: Method::POST, path, body: None, kind }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
