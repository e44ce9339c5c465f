//! A recipe for a PBX in the place of the shipped peer.

/// The shipped configuration `text` with `recipe`'s peers in the place of its own, and `recipe`'s receivers.
pub(crate) fn configured(text: &str, recipe: &str) -> String {
    let peer = text.find("\n[[sip.peer]]").expect("the shipped peer");
    let after = peer + text[peer..].find("\n[rtp]").expect("the next table");
    format!("{}{}\n{recipe}", &text[..peer], &text[after..])
}
