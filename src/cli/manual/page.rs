//! What is written of a manual page, man(7), after its head.

use roff::{Roff, bold, roman};

/// Text in man's macros; `roff` escapes what the text has of them.
#[derive(Debug, Default)]
pub struct Page {
    roff: Roff,
    /// Whether nothing stands below the last heading, where mandoc wants no paragraph to begin.
    fresh: bool,
}

impl Page {
    /// The first line, of a page in section 5.
    pub fn title(&mut self, name: &str, day: &str, source: &str, manual: &str) {
        self.roff.control("TH", [name, "5", day, source, manual]);
    }

    /// A section.
    pub fn section(&mut self, name: &str) {
        self.roff.control("SH", [name]);
        self.fresh = true;
    }

    /// A section below a section.
    pub fn subsection(&mut self, name: &str) {
        self.roff.control("SS", [name]);
        self.fresh = true;
    }

    /// Running text in a paragraph of its own; lines that are indented keep their places.
    pub fn paragraph<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        if !self.fresh {
            self.roff.control("PP", []);
        }
        self.prose(lines);
    }

    /// Lines as they are, indented.
    pub fn verbatim<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        if !self.fresh {
            self.roff.control("PP", []);
        }
        self.roff.control("RS", ["4"]).control("nf", []);
        for line in lines {
            self.roff.text([roman(line.trim_end())]);
        }
        self.roff.control("fi", []).control("RE", []);
        self.fresh = false;
    }

    /// What is said, as running text, of the names above it.
    pub fn item<'a>(&mut self, names: &[&str], about: impl IntoIterator<Item = &'a str>) {
        for (nth, name) in names.iter().enumerate() {
            self.roff.control(if nth == 0 { "TP" } else { "TQ" }, []).text([bold(*name)]);
        }
        self.prose(about);
    }

    /// The whole, with the strings that a page needs once.
    pub fn render(&self) -> String {
        self.roff.render()
    }

    /// The whole, to go on where such strings are.
    pub fn render_rest(&self) -> String {
        self.roff.to_roff()
    }

    fn prose<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        let mut kept = false;
        for line in lines {
            let keep = line.starts_with("  ");
            if keep != kept {
                self.roff.control(if keep { "nf" } else { "fi" }, []);
                kept = keep;
            }
            self.roff.text([roman(line.trim_end())]);
        }
        if kept {
            self.roff.control("fi", []);
        }
        self.fresh = false;
    }
}
