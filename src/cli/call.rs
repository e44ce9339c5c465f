//! `sidetone call`: has the running appliance call somebody.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;
use ureq::Agent;
use ureq::http::Response;
use ureq::{Body, RequestBuilder};

use crate::cli::{CONFIG, Outcome, Places, Refusal, println};
use crate::runtime::placed_calls::{CallState, PlaceOrder, PlacedCall};
use crate::runtime::sip_settings::secret;

/// How often the appliance is asked how the call stands.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// The appliance answers at once, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(5);

/// Arguments of `sidetone call`.
#[derive(Debug, Args)]
#[command(
    after_help = "Asks the running `sidetone serve` through its /calls (http.token_file). Exit code 1: the \
    call was not answered.\n\nExamples:\n  \
    sidetone call sip:8000@127.0.0.1:5060\n  \
    sidetone call 8000 --account asterisk --party agent --conversation 4711\n  \
    sidetone call 'sip:tap@pbx.example.org;transport=tls' --subject customer-4711 --consent ivr/88 --wait\n  \
    sidetone call --list\n  \
    sidetone call --end 3"
)]
pub struct Arguments {
    /// Configuration file.
    #[arg(long, env = "SIDETONE_CONFIG", default_value = CONFIG)]
    config: PathBuf,
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
    let places = Places { config: arguments.config.clone(), models: None, onnxruntime: None };
    let (config, _) = places.load()?;
    let Some(file) = &config.http.token_file else {
        return Err("the configuration has no http.token_file, so there is no /calls".into());
    };
    let token = secret(file, "http.token_file")?;
    let settings = Agent::config_builder().http_status_as_error(false);
    let agent = settings.timeout_global(Some(PATIENCE)).build().new_agent();
    let desk = Desk { agent, root: format!("http://{}/calls", config.http.listen), token };
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
        Err(format!("{root}: {}: {}", answer.status(), said.trim()).into())
    }
}
