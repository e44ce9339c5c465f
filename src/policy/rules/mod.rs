//! Compliance rules: what it means that phrases were, or were not, said.

pub mod book;
pub mod check;
pub mod condition;
pub mod consent;
pub mod count;
pub mod definition;
pub mod event;
pub mod forbidden;
pub mod ledger;
pub mod required;
pub mod sequence;
pub mod standing;
pub mod suspension;
pub mod table;
