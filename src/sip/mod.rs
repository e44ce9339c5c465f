//! SIP signalling (RFC 3261), without IO.

pub mod call;
pub mod client_call;
pub mod core;
pub mod deadlines;
pub mod dialog;
pub mod endpoint;
pub mod event;
pub mod headers;
pub mod info;
pub mod invite_client;
pub mod invite_server;
pub mod message;
pub mod name_addr;
pub mod non_invite_client;
pub mod non_invite_server;
pub mod screening;
pub mod server_call;
pub mod settings;
pub mod stats;
pub mod success;
pub mod transactions;
pub mod transport;
pub mod uri;
pub mod via;
