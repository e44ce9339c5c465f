//! What the evidence means: rules and verdicts, without IO.

pub mod act;
pub mod action;
pub mod action_book;
pub mod evidence;
pub mod judge;
pub mod line;
pub mod pause;
pub mod phrase_check;
pub mod place;
pub mod rule;
pub mod rules;
pub mod ruling;
pub mod sensitivity;
pub mod signal;
pub mod verdict;
