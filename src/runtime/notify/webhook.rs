//! Verdicts by HTTPS: CloudEvents 1.0 in structured mode, signed as Standard Webhooks 1.0 wants it.
//!
//! `webhook-signature` is `v1,` and the base64 of HMAC-SHA-256 over `webhook-id.webhook-timestamp.body`; the key is what
//! the secret holds behind `whsec_`, decoded. The id is the notice's, so that who gets it twice knows it again.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use serde::Serialize;
use sha2::Sha256;
use ureq::http::Request;

use crate::config::notify;
use crate::policy::verdict::Verdict;
use crate::runtime::notify::http_client::HttpClient;
use crate::runtime::notify::notice::Notice;
use crate::runtime::notify::notifiers::NotifyError;
use crate::runtime::notify::receiver::{Failure, Receiver};
use crate::runtime::sip_settings::secret;

/// What a secret begins with, so that leaked ones can be searched for.
const PREFIX: &str = "whsec_";
/// Bytes of a key, as Standard Webhooks wants them.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Longest document, bytes: what CloudEvents want every intermediary to pass on.
const LONGEST: usize = 64 * 1024;

/// A secret that is none.
#[derive(Debug, thiserror::Error)]
#[error("the secret in {} (notify.webhook.secret_file) must be whsec_ and the base64 of 24 to 64 bytes, found {found}", .file.display())]
pub struct WebhookError {
    file: PathBuf,
    found: String,
}

/// One HTTPS resource that takes verdicts.
pub struct Webhook {
    client: HttpClient,
    url: String,
    source: String,
    key: Vec<u8>,
}

impl Webhook {
    /// Reads the secret and the authorities; each request may take `timeout`.
    pub fn new(settings: &notify::Webhook, timeout: Duration) -> Result<Self, NotifyError> {
        let text = secret(&settings.secret_file, "notify.webhook.secret_file")?;
        let wrong = |found| WebhookError { file: settings.secret_file.clone(), found };
        let encoded = text.trim().strip_prefix(PREFIX);
        let encoded = encoded.ok_or_else(|| wrong("no whsec_ before it".to_owned()))?;
        let key = STANDARD.decode(encoded).map_err(|error| wrong(error.to_string()))?;
        if !KEY_BYTES.contains(&key.len()) {
            return Err(wrong(format!("{} bytes", key.len())).into());
        }
        let url = ("notify.webhook.url", settings.url.as_str());
        let authorities = ("notify.webhook.authorities", settings.authorities.as_path());
        let client = HttpClient::new(url, authorities, timeout)?;
        Ok(Self { client, url: settings.url.clone(), source: settings.source.clone(), key })
    }

    /// The request that tells `notice`, signed for `now`.
    fn request(&self, notice: &Notice, now: Timestamp) -> Result<Request<Vec<u8>>, Failure> {
        let body = event(&self.source, notice);
        if body.len() > LONGEST {
            let long = body.len();
            return Err(Failure::Refused(format!("it has {long} bytes, and {LONGEST} are taken")));
        }
        let time = now.as_second().to_string();
        Request::post(&self.url)
            .header("content-type", "application/cloudevents+json; charset=utf-8")
            .header("webhook-id", &notice.id)
            .header("webhook-timestamp", &time)
            .header("webhook-signature", signature(&self.key, &notice.id, &time, &body))
            .body(body.into_bytes())
            .map_err(|error| Failure::Refused(error.to_string()))
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Receiver for Webhook {
    fn deliver(&mut self, notice: &Notice) -> Result<(), Failure> {
        // Signed anew with every try: who checks refuses what is older than minutes.
        let request = self.request(notice, Timestamp::now())?;
        self.client.send(request)?.outcome()
    }

    fn idle(&mut self) -> Result<(), Failure> {
        // A request that says nothing would be one more that the other side has to know.
        Ok(())
    }
}

/// A CloudEvent in structured mode; `channel` and `agentchannel` are extensions of ours.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: String,
    subject: &'a str,
    time: Timestamp,
    datacontenttype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agentchannel: Option<&'a str>,
    data: &'a Verdict,
}

fn event(source: &str, notice: &Notice) -> String {
    let verdict = &*notice.verdict;
    let (kind, _) = verdict.finding.labels();
    let event = CloudEvent {
        specversion: "1.0",
        id: &notice.id,
        source,
        kind: format!("sidetone.verdict.{kind}.v{}", verdict.version),
        subject: &verdict.conversation,
        time: verdict.since,
        datacontenttype: "application/json",
        channel: notice.channel.as_deref(),
        agentchannel: notice.agent.as_deref(),
        data: verdict,
    };
    serde_json::to_string(&event).expect("strings, numbers and enums always serialise")
}

fn signature(key: &[u8], id: &str, time: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in [id, ".", time, ".", body] {
        mac.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}
