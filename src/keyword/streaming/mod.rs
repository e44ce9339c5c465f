//! Phrases by streaming models of the k2 family (icefall, sherpa-onnx): word pieces in the order in which they are said,
//! and a graph of the phrases that draws the search to them.

pub mod beam;
pub mod context_graph;
pub mod ctc_beam;
pub mod keyword_line;
pub mod model;
pub mod search;
pub mod spotter;
pub mod vocabulary;
