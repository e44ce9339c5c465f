//! Names of the DNS: NAPTR, SRV and addresses, asked for and handed on as they are (RFC 3263).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, ResolverBuilder};
use tokio::time::timeout;
use tracing::warn;

use crate::sip::dns::{Naptr, Srv};

/// For one try; timer F would give up on the whole transaction after 32 s.
const TRY: Duration = Duration::from_secs(2);
/// Both tries and a little: no lookup takes longer, however many servers and search domains.
const PATIENCE: Duration = Duration::from_millis(4_500);
/// Records of one answer that are used; a name with more of them is a mistake or an attack.
const MOST: usize = 32;

/// Asks name servers, and remembers answers for as long as these allow; cheap to clone.
#[derive(Clone)]
pub struct Resolver {
    dns: TokioResolver,
    /// As the file was at the start.
    hosts: Arc<Hosts>,
}

/// Why there is no answer; that there is no such record is one.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// Not a name of the DNS.
    #[error("{name:?} is no domain name")]
    NotAName {
        /// What was asked for.
        name: String,
    },
    /// Nothing came in time.
    #[error("no name server answers for {name}")]
    Silent {
        /// What was asked for.
        name: String,
    },
    /// A server failed or refused.
    #[error("the name server does not say who {name} is: {reason}")]
    Failed {
        /// What was asked for.
        name: String,
        /// What it said.
        reason: String,
    },
}

impl Resolver {
    /// Asks the servers of `/etc/resolv.conf`, and for addresses `/etc/hosts` before them; reads
    /// both files, once. Fails if there is no readable `/etc/resolv.conf`.
    pub fn from_system() -> Result<Self, io::Error> {
        let builder = TokioResolver::builder_tokio().map_err(io::Error::other)?;
        Ok(Self::build(builder))
    }

    /// Asks these servers, and for addresses `/etc/hosts` before them.
    pub fn with_servers(servers: &[SocketAddr]) -> Self {
        let servers = servers.iter().map(|server| {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            connections.iter_mut().for_each(|connection| connection.port = server.port());
            NameServerConfig::new(server.ip(), true, connections)
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        let provider = TokioRuntimeProvider::default();
        Self::build(TokioResolver::builder_with_config(config, provider))
    }

    fn build(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> Self {
        let options: &mut ResolverOpts = builder.options_mut();
        options.timeout = TRY;
        // How often it is tried again.
        options.attempts = 1;
        // Hosts are ours to ask: its own way asks the DNS for AAAA where the file has only the A.
        options.use_hosts_file = ResolveHosts::Never;
        let dns = builder.build().expect("without DNSSEC and TLS nothing can be wrong");
        let hosts = Hosts::from_system().unwrap_or_else(|error| {
            warn!(%error, "/etc/hosts is not used");
            Hosts::default()
        });
        Self { dns, hosts: Arc::new(hosts) }
    }

    /// The NAPTR records of `domain`, in no order; empty if it has none.
    pub async fn lookup_naptr(&self, domain: &str) -> Result<Vec<Naptr>, LookupError> {
        let records = self.ask(absolute(domain)?, domain, RecordType::NAPTR).await?;
        let naptr = |data: RData| match data {
            // Flag `s`, next are SRV records: the only kind that SIP defines.
            RData::NAPTR(naptr) if naptr.flags.eq_ignore_ascii_case(b"s") => Some(Naptr {
                order: naptr.order,
                preference: naptr.preference,
                flags: "s".to_owned(),
                service: String::from_utf8_lossy(&naptr.services).into_owned(),
                replacement: text(&naptr.replacement),
            }),
            _ => None,
        };
        Ok(records.into_iter().filter_map(naptr).take(MOST).collect())
    }

    /// The SRV records of `service`, such as `_sip._udp.example.com`, in no order; empty if it has
    /// none.
    pub async fn lookup_srv(&self, service: &str) -> Result<Vec<Srv>, LookupError> {
        let records = self.ask(absolute(service)?, service, RecordType::SRV).await?;
        let srv = |data: RData| match data {
            RData::SRV(srv) => Some(Srv {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: text(&srv.target),
            }),
            _ => None,
        };
        Ok(records.into_iter().filter_map(srv).take(MOST).collect())
    }

    /// The addresses of `host`, IPv4 before IPv6; empty if it has none. An address is its own.
    pub async fn lookup_addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![address]);
        }
        let name = absolute(host)?;
        let listed = |kind| {
            let found = self.hosts.lookup_static_host(&Query::query(name.clone(), kind));
            found.map_or(Vec::new(), |found| addresses(&data(&found)))
        };
        let listed = [listed(RecordType::A), listed(RecordType::AAAA)].concat();
        if !listed.is_empty() {
            return Ok(listed);
        }
        // A bare host name may be of one of the search domains; what has a dot is whole.
        let bare = !host.contains('.');
        let asked = if bare { relative(host)? } else { name };
        let (v4, v6) = tokio::join!(
            self.ask(asked.clone(), host, RecordType::A),
            self.ask(asked, host, RecordType::AAAA)
        );
        // One family is enough to call; that there is nothing has to be said by both.
        match (v4, v6) {
            (Ok(v4), Ok(v6)) => Ok(addresses(&[v4, v6].concat())),
            (Ok(some), Err(_)) | (Err(_), Ok(some)) if !some.is_empty() => Ok(addresses(&some)),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    async fn ask(
        &self,
        name: Name,
        asked: &str,
        kind: RecordType,
    ) -> Result<Vec<RData>, LookupError> {
        let silent = || LookupError::Silent { name: asked.to_owned() };
        match timeout(PATIENCE, self.dns.lookup(name, kind)).await {
            Err(_) | Ok(Err(NetError::Timeout)) => Err(silent()),
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(_)))) => Ok(Vec::new()),
            Ok(Err(error)) => {
                Err(LookupError::Failed { name: asked.to_owned(), reason: error.to_string() })
            }
            Ok(Ok(lookup)) => Ok(data(&lookup)),
        }
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

/// The name as it stands, whatever the search domains.
fn absolute(name: &str) -> Result<Name, LookupError> {
    let mut parsed = relative(name)?;
    parsed.set_fqdn(true);
    Ok(parsed)
}

fn relative(name: &str) -> Result<Name, LookupError> {
    // `from_ascii` takes the underscores of services; an empty name would be the root.
    match Name::from_ascii(name) {
        Ok(parsed) if !name.is_empty() => Ok(parsed),
        _ => Err(LookupError::NotAName { name: name.to_owned() }),
    }
}

fn data(lookup: &Lookup) -> Vec<RData> {
    lookup.answers().iter().map(|record| record.data.clone()).collect()
}

fn addresses(records: &[RData]) -> Vec<IpAddr> {
    records.iter().filter_map(RData::ip_addr).take(MOST).collect()
}

fn text(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}
