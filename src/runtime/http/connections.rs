//! The places that HTTP connections have, and who gives one up when all are taken.
//!
//! Whoever opens connections and asks for nothing (slowloris) could otherwise hold every place for as long as patience lasts,
//! and Prometheus would find none. So a newcomer takes the place of one that waits: of the source that has most of those, the
//! one that has waited longest. Who is being answered is never sent away.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use tokio::task::AbortHandle;

/// All the places.
#[derive(Debug, Default)]
pub struct Connections {
    table: Mutex<Table<AbortHandle>>,
}

/// One connection's place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    connections: Arc<Connections>,
    number: u64,
}

#[derive(Debug)]
struct Table<E> {
    next: u64,
    held: HashMap<u64, Held<E>>,
}

#[derive(Debug)]
struct Held<E> {
    source: IpAddr,
    /// Since when it is to ask for something; none while it is being answered.
    waits: Option<Instant>,
    /// Ends it.
    end: Option<E>,
}

/// Who counts as one: whoever has an IPv6 address has as many as they like within its /64.
pub fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

impl Connections {
    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.lock().held.len()
    }

    /// Ends a connection that waits; `false` where none does.
    pub fn make_room(&self) -> bool {
        match self.lock().give_up() {
            Some(end) => {
                end.abort();
                true
            }
            None => false,
        }
    }

    /// Takes a place for who comes from `from`.
    pub fn enter(self: &Arc<Self>, now: Instant, from: IpAddr) -> Place {
        let number = self.lock().enter(now, from);
        Place { connections: Arc::clone(self), number }
    }

    /// The connection in place `number` is ended by `end`.
    pub fn ends_by(&self, number: u64, end: AbortHandle) {
        if let Some(held) = self.lock().held.get_mut(&number) {
            held.end = Some(end);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table<AbortHandle>> {
        self.table.lock().expect("nothing panics while it holds this lock")
    }
}

impl Place {
    /// Tells it from others.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// It has asked for something.
    pub fn asked(&self) {
        self.wait(None);
    }

    /// Its answer is on its way, and it may ask for something else.
    pub fn answered(&self, now: Instant) {
        self.wait(Some(now));
    }

    fn wait(&self, waits: Option<Instant>) {
        if let Some(held) = self.connections.lock().held.get_mut(&self.number) {
            held.waits = waits;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().held.remove(&self.number);
    }
}

impl<E> Default for Table<E> {
    fn default() -> Self {
        Self { next: 0, held: HashMap::new() }
    }
}

impl<E> Table<E> {
    fn enter(&mut self, now: Instant, from: IpAddr) -> u64 {
        self.next += 1;
        let held = Held { source: source(from), waits: Some(now), end: None };
        self.held.insert(self.next, held);
        self.next
    }

    fn give_up(&mut self) -> Option<E> {
        let waiting = self.held.iter().filter(|(_, held)| held.end.is_some());
        let waiting =
            waiting.filter_map(|(number, held)| Some((held.waits?, *number, held.source)));
        let waiting: Vec<_> = waiting.collect();
        let mut crowds: HashMap<IpAddr, usize> = HashMap::new();
        for (_, _, source) in &waiting {
            *crowds.entry(*source).or_default() += 1;
        }
        let most = crowds.values().copied().max()?;
        let crowded = waiting.into_iter().filter(|(_, _, source)| crowds[source] == most);
        let (_, number, _) = crowded.min()?;
        self.held.remove(&number)?.end
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_has_waited_longest_among_the_most_gives_way_and_nobody_who_is_answered() {
        let (mut table, start) = (Table::default(), Instant::now());
        let mut enter = |after: u64, from: [u8; 4], waits: bool| {
            let at = start + Duration::from_secs(after);
            let number = table.enter(at, IpAddr::from(from));
            let held = table.held.get_mut(&number).expect("it has just come");
            held.end = Some(after);
            held.waits = held.waits.filter(|_| waits);
        };
        enter(0, [10, 0, 0, 1], true);
        enter(1, [10, 0, 0, 2], false);
        enter(2, [10, 0, 0, 2], true);
        enter(3, [10, 0, 0, 2], true);
        // Two wait from .2, one from .1; then they are even, and who came first goes first.
        assert_eq!(table.give_up(), Some(2));
        assert_eq!(table.give_up(), Some(0));
        assert_eq!(table.give_up(), Some(3));
        assert_eq!(table.give_up(), None);
        assert_eq!(table.held.len(), 1);
    }

    #[test]
    fn a_network_of_ipv6_is_one_source_and_an_address_of_ipv4_is_one_however_it_is_written() {
        let of = |text: &str| source(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
