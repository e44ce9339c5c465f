//! `name-addr` and `addr-spec` with parameters: From, To, Contact, Route (RFC 3261 §20.10, §25.1).

use crate::sip::headers::{parameter, split};

/// An address with its header parameters, as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// The URI between the brackets, or before the first `;` where there are none.
    pub uri: String,
    /// The `tag` parameter: one half of a dialog's identity (§19.3).
    pub tag: Option<String>,
}

impl NameAddr {
    /// Reads one element; `None` when quotes or brackets do not close, or the URI has no scheme
    /// or holds a blank.
    pub fn parse(element: &str) -> Option<Self> {
        let after_name = after_display_name(element.trim())?;
        let (uri, rest) = match after_name.split_once('<') {
            // What stands before the bracket is an unquoted display name; RFC 4475 §3.1.2.15 asks
            // for mercy on its letters.
            Some((_, bracketed)) => bracketed.split_once('>')?,
            // Without brackets every `;` begins a header parameter (§20.10).
            None => after_name
                .split_once(';')
                .map_or((after_name, ""), |(uri, _)| (uri, &after_name[uri.len()..])),
        };
        let uri = uri.trim();
        let scheme = uri.split_once(':')?.0;
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let well_formed = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(is_scheme)
            && !uri.contains(|c: char| c.is_whitespace() || "<>\"".contains(c))
            && (rest.trim().is_empty() || rest.trim_start().starts_with(';'));
        let parts = split(rest, ';');
        let tag = parameter(&parts, "tag").filter(|tag| !tag.is_empty());
        well_formed.then(|| Self { uri: uri.to_owned(), tag: tag.map(str::to_owned) })
    }
}

/// `text` after a quoted display name, if one opens it; `None` when the quote never closes.
fn after_display_name(text: &str) -> Option<&str> {
    let Some(quoted) = text.strip_prefix('"') else { return Some(text) };
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(&quoted[at + 1..]),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(element: &str) -> Option<(String, Option<String>)> {
        NameAddr::parse(element).map(|address| (address.uri, address.tag))
    }

    #[test]
    fn brackets_decide_whose_parameters_they_are() {
        let inside = read("<sip:a@b;tag=no>;tag=yes").expect("an address");
        assert_eq!(inside, ("sip:a@b;tag=no".into(), Some("yes".into())));
        let outside = read("sip:a@b;tag=yes").expect("an address");
        assert_eq!(outside, ("sip:a@b".into(), Some("yes".into())));
    }

    #[test]
    fn a_quoted_name_may_hold_anything() {
        let name = r#""J \" <sip:x@y>;tag=0" <tel:+1> ; tag = 2;+sip.instance="<urn:uuid:0>""#;
        assert_eq!(read(name), Some(("tel:+1".into(), Some("2".into()))));
    }

    #[test]
    fn what_does_not_close_is_refused() {
        for wrong in ["\"Mr. J. User <sip:x@y>", "<sip:x@y", "<sip:x y@z>", "nobody", "<sip:a@b> x"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
