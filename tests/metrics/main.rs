//! What a running appliance tells Prometheus, and what is shipped to make use of it.
//!
//! Without the models, promtool or Prometheus (Debian: prometheus) what needs them says so and passes.
#![expect(clippy::disallowed_methods, reason = "calls run on threads, and a test reads a clock")]

#[path = "../appliance/mod.rs"]
mod appliance;
#[path = "../peers/authority.rs"]
mod authority;
#[path = "../calls/mod.rs"]
mod calls;
mod cost;
mod dashboards;
mod prometheus;
mod scrape;
#[path = "../store/mod.rs"]
mod store;
mod stress;
