//! HTTP: `/metrics`, `/live` and `/ready` for whoever watches, and the API for who bears a token.

pub mod access;
pub mod audit;
pub mod calls;
pub mod description;
pub mod extract;
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
