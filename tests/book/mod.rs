//! The handbook as a test reads it: chapters and their blocks, what may be named in them, and the site that they run at.
#![expect(clippy::disallowed_methods, reason = "a test reads and writes its files")]

pub(crate) mod chapter;
pub(crate) mod expected;
pub(crate) mod shell;
pub(crate) mod site;
pub(crate) mod vocabulary;
