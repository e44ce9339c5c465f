//! From where a request is to go to the hops that it may take (RFC 3261 §8.1.2, RFC 3263 §4).

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::sip::location::{Locator, Target};
use crate::sip::transport::{Hop, Local, LocalId, Transport};

/// Where a request is to go.
#[derive(Clone, Debug)]
pub enum Way {
    /// Over this hop.
    Hop(Hop),
    /// To what `uri` names, by RFC 3263; then, where nothing there answers, over `last`.
    Uri {
        /// A SIP URI.
        uri: String,
        /// The way that the peer's own messages came, for one that gives no name we can find.
        last: Option<Hop>,
    },
}

/// Where `uri` leads, if it says so itself and nothing has to be looked up.
pub(super) fn literal(uri: &str, locals: &[Local]) -> Option<Vec<Target>> {
    let mut transports: Vec<_> = locals.iter().map(|local| local.transport).collect();
    transports.dedup();
    let Ok(locator) = Locator::new(uri, &transports) else { return Some(Vec::new()) };
    locator.poll_query().is_none().then(|| locator.targets().to_vec())
}

/// The hop to `target` from an address of ours, from `prefer` if that fits.
fn hop_to(locals: &[Local], target: &Target, prefer: Option<LocalId>) -> Option<Hop> {
    let Target { transport, address, name } = target.clone();
    let local = local_to(locals, transport, address, prefer)?;
    Some(Hop { transport, address, local, connection: None, name })
}

/// Our address to send to `address` from: `prefer` if that fits, else the first that does.
pub(super) fn local_to(
    locals: &[Local],
    transport: Transport,
    address: SocketAddr,
    prefer: Option<LocalId>,
) -> Option<LocalId> {
    let fits = |id: &LocalId| {
        locals.get(id.0).is_some_and(|local| {
            local.transport == transport && local.address.is_ipv4() == address.is_ipv4()
        })
    };
    prefer.into_iter().chain((0..locals.len()).map(LocalId)).find(fits)
}

/// The hops to `targets`, in this order; over `last`, the way that the peer's messages come, where
/// they are none.
pub(super) fn hops(locals: &[Local], targets: &[Target], last: Option<Hop>) -> VecDeque<Hop> {
    let prefer = last.as_ref().map(|last| last.local);
    let known = targets.iter().filter_map(|target| hop_to(locals, target, prefer));
    let mut hops: VecDeque<_> = known.collect();
    let Some(last) = last else { return hops };
    match hops.front_mut() {
        None => hops.push_back(last),
        // A stream that the peer opened leads to it more surely than the address it gives.
        Some(first)
            if first.transport == last.transport && first.address.ip() == last.address.ip() =>
        {
            first.connection = last.connection;
        }
        Some(_) => {}
    }
    hops
}
