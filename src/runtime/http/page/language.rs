//! The language that a page is in: what the reader chose, else what their browser asks for (RFC 9110 12.5.4).

/// A language that the page has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English; also for who asks for neither.
    English,
    /// German.
    German,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// The tag, as `lang` and the texts have it.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// That of `tag`, if the page has it; `de-AT` is German.
    pub fn of(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next()?.trim();
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    /// What an `Accept-Language` asks for most.
    pub fn accepted(header: &str) -> Option<Self> {
        let mut best = None;
        for range in header.split(',') {
            let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
            let weight = weight.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok());
            let (Some(language), Some(weight)) = (Self::of(tag.trim()), weight) else { continue };
            if weight > best.map_or(0.0, |(_, weight)| weight) {
                best = Some((language, weight));
            }
        }
        best.map(|(language, _)| language)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_s_wish_counts_by_its_weight() {
        let accepted = Language::accepted;
        assert_eq!(accepted("de-DE,de;q=0.9,en;q=0.8"), Some(Language::German));
        assert_eq!(accepted("fr, en-GB;q=0.7, de;q=0.3"), Some(Language::English));
        assert_eq!(accepted("de;q=0, en;q=0.1"), Some(Language::English));
        assert_eq!(accepted("fr;q=1, *"), None);
        assert_eq!(accepted(""), None);
    }
}
