//! `[http]`: where metrics, health and the API are, and who may use it.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// `[http]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address and port of `/metrics`, `/live`, `/ready` and the API; port 0 takes a free one.
    pub listen: SocketAddr,
    /// File with the names, roles and hashes of the tokens that a request to the API has to bear one of; without it there
    /// is no API.
    pub tokens_file: Option<PathBuf>,
    /// Whether whoever scrapes and accepts OpenMetrics is told which conversations moved a count last.
    #[serde(default)]
    pub exemplars: bool,
    /// With it all of HTTP is HTTPS.
    pub tls: Option<HttpTls>,
    /// What goes on, for people with a browser.
    #[serde(default)]
    pub page: HttpPage,
}

/// `[http.page]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpPage {
    /// Whether there is one; it needs [`Http::tokens_file`].
    pub enabled: bool,
    /// Names by which it may be asked for, beside loopback's and the address that is listened on.
    pub hosts: Vec<String>,
}

/// `[http.tls]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTls {
    /// PEM file with our certificate and those between it and its authority.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
}

impl Http {
    /// Metrics and health alone, on any free port of loopback.
    pub fn on_loopback() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tokens_file: None,
            exemplars: false,
            tls: None,
            page: HttpPage::default(),
        }
    }

    /// Checks what the types cannot say; an error names key, what it must be, and what it is.
    pub fn validate(&self) -> Result<(), (&'static str, &'static str, String)> {
        if self.tokens_file.is_some() && self.tls.is_none() && !self.listen.ip().is_loopback() {
            let wanted = "must name certificate and key where there is http.tokens_file and http.listen is more than loopback, as tokens would go in the clear";
            let found = format!("none for {}", self.listen);
            return Err(("http.tls", wanted, found));
        }
        if self.page.enabled && self.tokens_file.is_none() {
            let wanted =
                "must name a file where http.page.enabled is true, as nobody could sign in";
            return Err(("http.tokens_file", wanted, "none".to_owned()));
        }
        // A URL, or a name with a port, would match no request, and nobody would know why.
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let odd = |host: &&String| host.is_empty() || !host.chars().all(is_name);
        if let Some(host) = self.page.hosts.iter().find(odd) {
            let wanted = "must be names without scheme and port, such as \"sidetone.example.org\"";
            return Err(("http.page.hosts", wanted, format!("{host:?}")));
        }
        Ok(())
    }

    /// Every file that it names.
    pub fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let tls = self.tls.iter_mut().flat_map(|tls| [&mut tls.certificate, &mut tls.key]);
        self.tokens_file.iter_mut().chain(tls)
    }
}
