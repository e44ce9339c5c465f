//! Header fields of one message, in order and in one spelling (RFC 3261 §7.3).

/// Names that may be one letter on the wire (RFC 3261 §7.3.3; RFC 3515, 4028, 6665 and others).
const COMPACT: [(&str, &str); 18] = [
    ("a", "Accept-Contact"),
    ("b", "Referred-By"),
    ("c", "Content-Type"),
    ("d", "Request-Disposition"),
    ("e", "Content-Encoding"),
    ("f", "From"),
    ("i", "Call-ID"),
    ("j", "Reject-Contact"),
    ("k", "Supported"),
    ("l", "Content-Length"),
    ("m", "Contact"),
    ("o", "Event"),
    ("r", "Refer-To"),
    ("s", "Subject"),
    ("t", "To"),
    ("u", "Allow-Events"),
    ("v", "Via"),
    ("x", "Session-Expires"),
];

/// Header fields in the order of the wire: compact names expanded, folded lines made one.
///
/// Look-ups ignore case; what was received keeps its case. A value holds no line break, neither
/// from the network nor from our own side, so nobody can smuggle in a header through a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

/// A line of the head that is no header field: it has no colon, or its name is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAHeader;

impl Headers {
    /// Reads the lines after the start line. A line that is no header field is left out and
    /// reported beside the others, so that its request can still be refused by name.
    pub fn parse(lines: &str) -> (Self, Option<NotAHeader>) {
        let mut headers = Self::default();
        let mut wrong = None;
        for line in lines.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)) {
            if line.starts_with([' ', '\t']) {
                // A folded line continues the value above (§7.3.1).
                match headers.0.last_mut() {
                    Some((_, value)) => {
                        // In place: a datagram may hold thousands of folds of one value.
                        let more = one_line(line);
                        if !value.is_empty() && !more.is_empty() {
                            value.push(' ');
                        }
                        value.push_str(&more);
                    }
                    None => wrong = Some(NotAHeader),
                }
                continue;
            }
            if line.is_empty() {
                continue;
            }
            match line.split_once(':') {
                Some((name, value)) if is_token(name.trim_end()) => {
                    headers.push(expanded(name.trim_end()), value);
                }
                Some(_) | None => wrong = Some(NotAHeader),
            }
        }
        (headers, wrong)
    }

    /// Adds a field at the end; control characters in `value` become blanks.
    pub fn push(&mut self, name: &str, value: impl AsRef<str>) {
        self.0.push((name.to_owned(), one_line(value.as_ref())));
    }

    /// Adds a field before all others (a Via on its way out).
    pub fn push_front(&mut self, name: &str, value: impl AsRef<str>) {
        self.0.insert(0, (name.to_owned(), one_line(value.as_ref())));
    }

    /// The first value under `name`, whole.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value under `name`, one for each header line.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let of_name = move |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
        self.0
            .iter()
            .filter(of_name)
            .map(|(_, value)| value.as_str())
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Every element under `name`, lines and commas alike (§7.3.1).
    pub fn list<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.all(name).flat_map(|value| split(value, ',')).filter(|element| !element.is_empty())
    }

    /// Whether `name` is there, be it empty.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Puts `value` in the place of the first field `name`.
    pub fn replace_first(&mut self, name: &str, value: impl AsRef<str>) {
        if let Some((_, old)) = self.0.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
            *old = one_line(value.as_ref());
        }
    }

    /// Takes every field `name` out.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    /// All fields in order, as (name, value).
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Cuts `text` at each `separator` that stands outside quotes and angle brackets; parts are trimmed.
pub fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped, mut bracketed) = (0, false, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '<' => bracketed = true,
            '>' => bracketed = false,
            c if c == separator && !bracketed => {
                parts.push(text[start..at].trim());
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

/// The value of parameter `name` among `;a=b;c` parts; empty when it stands without `=`.
pub fn parameter<'a>(parts: &[&'a str], name: &str) -> Option<&'a str> {
    parts.iter().find_map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Whether `text` is a token (§25.1): method names, header names, tags and the like.
pub fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b))
}

fn expanded(name: &str) -> &str {
    COMPACT
        .iter()
        .find(|(short, _)| short.eq_ignore_ascii_case(name))
        .map_or(name, |(_, long)| long)
}

fn one_line(value: &str) -> String {
    value.replace(|c: char| c.is_control(), " ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_folded_and_spaced_names_read_as_one() {
        let (headers, wrong) = Headers::parse(
            "v : a\r\nTO:\r\n sip:x@y\r\n\t;tag=1\r\n \r\nvia: b, c\r\nSubject:\r\n",
        );
        assert_eq!(wrong, None);
        assert_eq!(headers.list("Via").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(headers.get("to"), Some("sip:x@y ;tag=1"));
        assert_eq!(headers.get("Subject"), Some(""));
    }

    /// With work squared, this would run for minutes.
    #[test]
    fn a_value_of_many_folds_is_joined_once() {
        let (headers, wrong) =
            Headers::parse(&format!("x: b\r\n{}", " c\r\n \r\n".repeat(1 << 19)));
        assert_eq!(wrong, None);
        assert_eq!(headers.get("Session-Expires").map(str::len), Some(1 + (2 << 19)));
    }

    #[test]
    fn a_line_without_a_colon_is_reported_and_the_rest_kept() {
        let (headers, wrong) = Headers::parse("To: a\r\nnonsense\r\nFrom: b");
        assert_eq!(wrong, Some(NotAHeader));
        assert_eq!(headers.get("From"), Some("b"));
    }

    #[test]
    fn commas_in_quotes_and_brackets_do_not_separate() {
        let contact = r#""a, \"b,"  <sip:x@y;p=1,2>;q=1 , <sip:z@y>"#;
        assert_eq!(split(contact, ',').len(), 2);
        assert_eq!(parameter(&split(contact, ';')[1..], "Q"), Some("1 , <sip:z@y>"));
    }

    #[test]
    fn a_value_cannot_carry_a_second_header() {
        let mut headers = Headers::default();
        headers.push("Reason", "x\r\nRoute: <sip:evil>");
        assert_eq!(headers.get("Reason"), Some("x  Route: <sip:evil>"));
    }
}
