//! The live page: what goes on now, for people with a browser who sign in with a token.

pub mod attempts;
pub mod board;
pub mod conversation;
pub mod language;
pub mod leg;
pub mod pages;
pub mod routes;
pub mod sessions;
pub mod shown;
pub mod stream;
pub mod watch;
