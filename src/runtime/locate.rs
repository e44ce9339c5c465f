//! From a URI to hops: the questions of RFC 3263, asked of the name servers.

use tracing::warn;

use crate::runtime::transport::resolver::{LookupError, Resolver};
use crate::sip::dns::{Query, Records};
use crate::sip::location::{Locator, Target};
use crate::sip::transport::Transport;

/// Where `uri` leads by one of `supported`, in order of trial; nothing where its name leads nowhere
/// or no name server answers, and then a log line says which.
pub async fn locate(
    resolver: &Resolver,
    uri: &str,
    supported: &[Transport],
    mut random: fastrand::Rng,
) -> Vec<Target> {
    let mut locator = match Locator::new(uri, supported) {
        Ok(locator) => locator,
        Err(error) => {
            warn!(uri, %error, "this URI leads nowhere");
            return Vec::new();
        }
    };
    let mut failure = None;
    while let Some(query) = locator.poll_query() {
        let records = ask(resolver, &query).await.unwrap_or_else(|error| {
            failure = Some(error);
            Records::Failed
        });
        locator.handle_answer(records, &mut random);
    }
    let targets = locator.targets().to_vec();
    match failure {
        Some(error) if targets.is_empty() => warn!(uri, %error, "a name was not found"),
        None if targets.is_empty() => warn!(uri, "a name has no address"),
        Some(_) | None => {}
    }
    targets
}

async fn ask(resolver: &Resolver, query: &Query) -> Result<Records, LookupError> {
    match query {
        Query::Naptr(name) => resolver.lookup_naptr(name).await.map(Records::Naptr),
        Query::Srv(name) => resolver.lookup_srv(name).await.map(Records::Srv),
        Query::Address(name) => resolver.lookup_addresses(name).await.map(Records::Address),
    }
}
