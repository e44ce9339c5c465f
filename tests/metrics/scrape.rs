//! What `/metrics` says, taken apart, and which of it a query of PromQL asks for.
use std::collections::{BTreeMap, BTreeSet};

/// Labels of the place where something is scraped, which Prometheus adds, and of alerts themselves.
const ADDED: [&str; 5] = ["instance", "job", "le", "alertname", "alertstate"];

/// All that was said.
#[derive(Clone, Debug)]
pub(crate) struct Scrape {
    pub(crate) text: String,
    pub(crate) families: BTreeMap<String, Family>,
}

/// One metric.
#[derive(Clone, Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) samples: Vec<Sample>,
}

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
}

impl Scrape {
    /// Of the text format 0.0.4.
    pub(crate) fn parse(text: &str) -> Self {
        let mut families = BTreeMap::<String, Family>::new();
        let mut of = String::new();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (what, name, rest) = (words.next(), words.next(), words.next());
                name.expect("a name").clone_into(&mut of);
                let family = families.entry(of.clone()).or_default();
                match what {
                    Some("HELP") => rest.unwrap_or_default().clone_into(&mut family.help),
                    Some("TYPE") => rest.expect("a type").clone_into(&mut family.kind),
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            assert!(name.starts_with(&of), "{line} stands under {of}");
            let labels = pairs(labels.strip_suffix('}').expect("closed"));
            let labels = labels.into_iter().map(|(label, _, value)| (label, value)).collect();
            let _: f64 = value.parse().expect("a number");
            let sample = Sample { name: name.to_owned(), labels };
            families.get_mut(&of).expect("its family").samples.push(sample);
        }
        Self { text: text.to_owned(), families }
    }

    /// Those of ours, without the figures of the process.
    pub(crate) fn ours(&self) -> impl Iterator<Item = (&str, &Family)> {
        let all = self.families.iter().map(|(name, family)| (name.as_str(), family));
        all.filter(|(name, _)| name.starts_with("sidetone_"))
    }

    fn samples(&self, name: &str) -> impl Iterator<Item = &Sample> {
        let all = self.families.values().flat_map(|family| &family.samples);
        all.filter(move |sample| sample.name == name)
    }

    /// Why `selector` can find nothing here, if it cannot.
    pub(crate) fn lacks(&self, selector: &Selector) -> Option<String> {
        if self.samples(&selector.name).next().is_none() {
            return Some(format!("there is no {}", selector.name));
        }
        let fits = |sample: &Sample| {
            selector.matchers.iter().all(|(label, operator, wanted)| {
                if ADDED.contains(&label.as_str()) {
                    return true;
                }
                let Some(found) = sample.labels.get(label) else { return false };
                match operator.as_str() {
                    "=" => found == wanted,
                    "!=" => found != wanted,
                    // Alternatives are all that ours have.
                    "=~" => wanted.split('|').any(|wanted| wanted == found || wanted == ".*"),
                    "!~" => wanted.split('|').all(|wanted| wanted != found),
                    other => panic!("{other}"),
                }
            })
        };
        let alternatives = selector
            .matchers
            .iter()
            .filter(|(label, operator, _)| operator == "=~" && !ADDED.contains(&label.as_str()));
        for (label, _, wanted) in alternatives {
            let mut known =
                self.samples(&selector.name).filter_map(|sample| sample.labels.get(label));
            let all: BTreeSet<&str> = known.by_ref().map(String::as_str).collect();
            let odd = wanted.split('|').find(|wanted| *wanted != ".*" && !all.contains(wanted));
            if let Some(odd) = odd {
                return Some(format!("no {label} of {} is {odd}", selector.name));
            }
        }
        let found = self.samples(&selector.name).any(fits);
        (!found).then(|| format!("no series of {} fits {:?}", selector.name, selector.matchers))
    }

    /// Every label that a series of `name` has.
    pub(crate) fn labels(&self, name: &str) -> BTreeSet<&str> {
        self.samples(name).flat_map(|sample| sample.labels.keys().map(String::as_str)).collect()
    }
}

/// What a query asks for: a metric, and which of its series.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Selector {
    pub(crate) name: String,
    /// Label, operator, value.
    pub(crate) matchers: Vec<(String, String, String)>,
}

/// Every metric that `query` names: whatever begins as ours or the process's do, or has the colons of a recording rule.
pub(crate) fn selectors(query: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    for (name, rest) in names(query) {
        let ours = ["sidetone_", "process_"].iter().any(|prefix| name.starts_with(prefix));
        if !ours && !name.contains(':') {
            continue;
        }
        let braces = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let matchers = braces.map(|(inside, _)| pairs(inside)).unwrap_or_default();
        found.push(Selector { name: name.to_owned(), matchers });
    }
    found
}

/// Every label that `query` groups or joins by.
pub(crate) fn grouping(query: &str) -> BTreeSet<String> {
    let words = ["by", "on", "without", "ignoring", "group_left", "group_right"];
    let mut found = BTreeSet::new();
    for (name, rest) in names(query) {
        let Some(inside) = rest.trim_start().strip_prefix('(').filter(|_| words.contains(&name))
        else {
            continue;
        };
        let (inside, _) = inside.split_once(')').expect("closed");
        let labels = inside.split(',').map(str::trim).filter(|label| !label.is_empty());
        found.extend(labels.map(str::to_owned).filter(|label| !ADDED.contains(&label.as_str())));
    }
    found
}

/// The names in a query outside of strings, each with what follows it.
fn names(query: &str) -> Vec<(&str, &str)> {
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let (mut found, mut rest, mut quoted) = (Vec::new(), query, false);
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            quoted = !quoted;
        }
        let is_name = !quoted && is_in_name(first);
        let end = if is_name {
            rest.find(|c| !is_in_name(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        if is_name {
            found.push((&rest[..end], &rest[end..]));
        }
        rest = &rest[end..];
    }
    found
}

/// What stands in braces: label, operator, value.
fn pairs(inside: &str) -> Vec<(String, String, String)> {
    let (mut found, mut rest) = (Vec::new(), inside.trim());
    while !rest.is_empty() {
        let (head, after) = rest.split_once('"').expect("a quoted value");
        let (value, after) = after.split_once('"').expect("closed");
        let head = head.trim().trim_start_matches(',').trim();
        let label = head.trim_end_matches(['=', '!', '~', ' ']);
        let operator = head[label.len()..].trim();
        found.push((label.to_owned(), operator.to_owned(), value.to_owned()));
        rest = after.trim();
    }
    found
}
