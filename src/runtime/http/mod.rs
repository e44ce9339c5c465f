//! HTTP: `/metrics`, `/live` and `/ready` for whoever watches, the API for who bears a token, and a live page for people.

pub mod access;
pub mod audit;
pub mod calls;
pub mod connections;
pub mod description;
pub mod extract;
pub mod host;
pub mod page;
pub mod persons;
pub mod persons_shown;
pub mod problem;
pub mod role;
pub mod routes;
pub mod server;
pub mod tls;
pub mod tokens;
pub mod vault_desk;
pub mod watched;
