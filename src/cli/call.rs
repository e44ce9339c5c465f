//! `sidetone call`: has the running appliance call somebody.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use ureq::Agent;
use ureq::http::Response;
use ureq::{Body, RequestBuilder};

use crate::cli::{CONFIG, Outcome, Places, Refusal, println};
use crate::runtime::notify::http_client::trusting;
use crate::runtime::placed_calls::{CallState, PlaceOrder, PlacedCall};
use crate::runtime::sip_settings::secret;

/// How often the appliance is asked how the call stands.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Where Debian keeps the authorities that the system trusts.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The appliance answers at once, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(5);

/// Arguments of `sidetone call`.
#[derive(Debug, Args)]
#[command(
    after_help = "Asks the running `sidetone serve` through its /calls (http.tokens_file), with a token for an operator \
    (`sidetone token`). Exit code 1: the call was not answered.\n\nExamples:\n  \
    sidetone call sip:8000@127.0.0.1:5060\n  \
    sidetone call 8000 --account asterisk --party agent --conversation 4711\n  \
    sidetone call 'sip:tap@pbx.example.org;transport=tls' --subject customer-4711 --consent ivr/88 --wait\n  \
    sidetone call --list --url https://sidetone.example.org:9464 --token-file operator.token\n  \
    sidetone call --end 3"
)]
pub struct Arguments {
    /// Configuration file.
    #[arg(long, env = "SIDETONE_CONFIG", default_value = CONFIG)]
    config: PathBuf,
    /// File whose first line is the token.
    #[arg(long, env = "SIDETONE_TOKEN_FILE", value_name = "FILE")]
    token_file: PathBuf,
    /// Where the appliance answers, instead of http.listen of the configuration.
    #[arg(long)]
    url: Option<String>,
    /// PEM file with the authorities that may stand behind its certificate.
    #[arg(long, value_name = "FILE", default_value = AUTHORITIES)]
    authorities: PathBuf,
    /// SIP URI; with --account also an extension alone.
    #[arg(required_unless_present_any = ["list", "end"])]
    target: Option<String>,
    /// Account of the configuration that calls, with its address and password.
    #[arg(long)]
    account: Option<String>,
    /// Peer of the configuration whose way of taking verdicts the called side has.
    #[arg(long)]
    peer: Option<String>,
    /// Conversation that the call belongs to.
    #[arg(long)]
    conversation: Option<String>,
    /// Whose audio it is: caller, agent or mixed.
    #[arg(long)]
    party: Option<String>,
    /// Claimed identity.
    #[arg(long)]
    subject: Option<String>,
    /// Reference of the consent to check it.
    #[arg(long)]
    consent: Option<String>,
    /// What it covers, one or more of verify, enrol, adapt, watchlist and keywords; left out, what [consent] scopes of
    /// the service says.
    #[arg(long, value_name = "SCOPES", requires = "consent")]
    consent_scope: Option<String>,
    /// Name of the policy.
    #[arg(long)]
    policy: Option<String>,
    /// Enrol the voice of the called side under the subject; the verdicts tell what comes of it.
    #[arg(long, requires_all = ["subject", "consent"])]
    enroll: bool,
    /// Stay until the call is over, not only until it is answered.
    #[arg(long)]
    wait: bool,
    /// Show the calls placed so far.
    #[arg(long, conflicts_with_all = ["target", "end"])]
    list: bool,
    /// Hang up the call of that number.
    #[arg(long, value_name = "NUMBER", conflicts_with = "target")]
    end: Option<u64>,
    /// One JSON document a line.
    #[arg(long)]
    json: bool,
}

/// Places, lists or ends calls.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let desk = arguments.desk()?;
    if arguments.list {
        let calls: Vec<PlacedCall> = desk.get("")?;
        calls.iter().for_each(|call| arguments.show(call));
        return Ok(Outcome::Done);
    }
    if let Some(id) = arguments.end {
        let call = desk.delete(id)?;
        arguments.show(&call);
        return Ok(Outcome::Done);
    }
    let call = desk.place(&arguments.order())?;
    arguments.follow(&desk, call)
}

impl Arguments {
    fn desk(&self) -> Result<Desk, Refusal> {
        let token = secret(&self.token_file, "--token-file")?;
        let url = match &self.url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let config = self.config.clone();
                let (config, _) = Places { config, models: None, onnxruntime: None }.load()?;
                if config.http.tokens_file.is_none() {
                    return Err(
                        "the configuration has no http.tokens_file, so there is no /calls".into()
                    );
                }
                let scheme = if config.http.tls.is_some() { "https" } else { "http" };
                format!("{scheme}://{}", config.http.listen)
            }
        };
        let agent =
            Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        let agent = match url.starts_with("https:") {
            true => agent.tls_config(trusting("--authorities", &self.authorities)?),
            false => agent,
        };
        Ok(Desk { agent: agent.build().new_agent(), root: format!("{url}/calls"), token })
    }

    fn order(&self) -> PlaceOrder {
        PlaceOrder {
            target: self.target.clone().unwrap_or_default(),
            account: self.account.clone(),
            peer: self.peer.clone(),
            conversation: self.conversation.clone(),
            party: self.party.clone(),
            subject: self.subject.clone(),
            consent: self.consent.clone(),
            consent_scope: self.consent_scope.clone(),
            policy: self.policy.clone(),
            enroll: self.enroll.then(|| "yes".to_owned()),
        }
    }

    /// Tells each change of `call` until it is answered, or over.
    fn follow(&self, desk: &Desk, mut call: PlacedCall) -> Result<Outcome, Refusal> {
        self.show(&call);
        loop {
            let over = match call.state {
                CallState::Calling => None,
                CallState::Answered => (!self.wait).then_some(Outcome::Done),
                CallState::Ended => Some(Outcome::Done),
                CallState::Failed => Some(Outcome::Problem),
            };
            if let Some(outcome) = over {
                return Ok(outcome);
            }
            thread::sleep(ASK_EVERY);
            let now: PlacedCall = desk.get(&format!("/{}", call.id))?;
            if now != call {
                self.show(&now);
            }
            call = now;
        }
    }

    fn show(&self, call: &PlacedCall) {
        if self.json {
            let line = serde_json::to_string(call).expect("strings and numbers always serialise");
            return println!("{line}");
        }
        let state = match call.state {
            CallState::Calling => "calling",
            CallState::Answered => "answered",
            CallState::Ended => "ended",
            CallState::Failed => "failed",
        };
        let detail = call.detail.as_ref().map_or(String::new(), |detail| format!(": {detail}"));
        let PlacedCall { id, target, conversation, .. } = call;
        println!("call {id} to {target}, conversation {conversation}: {state}{detail}");
        // A person who waits should not wait for a full buffer.
        if std::io::stdout().is_terminal() {
            let _ = std::io::stdout().flush();
        }
    }
}

/// What is read of a refusal.
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

/// The running appliance's `/calls`.
struct Desk {
    agent: Agent,
    root: String,
    token: String,
}

impl Desk {
    fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Refusal> {
        let url = format!("{}{path}", self.root);
        self.read(self.signed(self.agent.get(url)).call())
    }

    fn delete(&self, id: u64) -> Result<PlacedCall, Refusal> {
        let url = format!("{}/{id}", self.root);
        self.read(self.signed(self.agent.delete(url)).call())
    }

    fn place(&self, order: &PlaceOrder) -> Result<PlacedCall, Refusal> {
        self.read(self.signed(self.agent.post(&self.root)).send_json(order))
    }

    fn signed<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        request.header("Authorization", format!("Bearer {}", self.token))
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<T, Refusal> {
        let root = &self.root;
        let mut answer =
            answer.map_err(|error| format!("no appliance answers at {root}: {error}"))?;
        if answer.status().is_success() {
            return Ok(answer.body_mut().read_json()?);
        }
        let said = answer.body_mut().read_to_string().unwrap_or_default();
        let problem: Option<Problem> = serde_json::from_str(&said).ok();
        let said = problem.map_or(said, |problem| problem.detail);
        Err(format!("{root}: {}: {}", answer.status(), said.trim()).into())
    }
}
