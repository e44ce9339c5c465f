//! Addresses of record in recording metadata (RFC 7865 §6.5), and which of them are meant.

/// Some addresses, as a configuration writes them: `*` stands for any characters, and case does not count.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(from = "String")]
pub struct AorPattern(String);

/// An address as a person writes it: `alice@example.org`, without scheme, parameters and brackets. Sonus and SEMS write
/// it so themselves.
pub fn plain(aor: &str) -> &str {
    let aor = aor.trim().trim_start_matches('<');
    let aor = aor.split(['>', ';', '?']).next().unwrap_or_default().trim();
    match aor.split_once(':') {
        Some((scheme, rest))
            if ["sip", "sips", "tel"].iter().any(|s| scheme.eq_ignore_ascii_case(s)) =>
        {
            rest
        }
        Some(_) | None => aor,
    }
}

impl From<String> for AorPattern {
    fn from(text: String) -> Self {
        Self(plain(&text).to_lowercase())
    }
}

impl AorPattern {
    /// Whether `aor` is one of them, however it is written.
    pub fn matches(&self, aor: &str) -> bool {
        let aor = plain(aor).to_lowercase();
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = aor.strip_prefix(first) else { return false };
        let Some(last) = pieces.next_back() else { return rest.is_empty() };
        for piece in pieces {
            let Some(at) = rest.find(piece) else { return false };
            rest = &rest[at + piece.len()..];
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_with_a_scheme_and_without() {
        let written =
            ["sip:7301@192.0.2.1;user=phone", "<SIPS:7301@192.0.2.1>", " 7301@192.0.2.1 "];
        assert_eq!(written.map(plain), ["7301@192.0.2.1"; 3]);
        assert_eq!(plain("tel:+4930123"), "+4930123");
        assert_eq!(plain("Extension-016@speechpath.ie"), "Extension-016@speechpath.ie");
    }

    #[test]
    fn a_star_stands_for_anything_and_case_for_nothing() {
        let matches = |pattern: &str, aor| AorPattern::from(pattern.to_owned()).matches(aor);
        assert!(matches("*@agents.example.org", "sip:eve@Agents.example.org;user=phone"));
        assert!(!matches("*@agents.example.org", "sip:eve@example.org"));
        assert!(matches("sip:73*@192.0.2.*", "7301@192.0.2.1") && !matches("73*", "sip:9731@h"));
        assert!(matches("eve@h", "sip:eve@h") && !matches("eve@h", "sip:eve@host"));
        assert!(matches("*", "anybody") && matches("a*b*c", "aXbXc") && !matches("a*b*c", "acb"));
        assert!(!matches("aba*aba", "aba"), "no character is used twice");
    }
}
