//! The appliance as a service: what systemd is given and told, reloads, the end, sockets that are handed over.
//!
//! Without the models, or the program that a test asks, it says so and passes.
#![allow(clippy::disallowed_methods, reason = "tests run programs, read the disk and the clock")]

#[path = "../appliance/mod.rs"]
mod appliance;
#[path = "../peers/authority.rs"]
mod authority;
#[path = "../calls/mod.rs"]
mod calls;
mod drain;
mod manager;
mod priority;
mod reload;
mod sockets;
#[path = "../store/mod.rs"]
mod store;
mod unit;
mod watchdog;
