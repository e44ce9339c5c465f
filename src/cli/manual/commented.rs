//! A commented TOML file as the text of a manual page, man(7).
//!
//! A comment stands before what it is about; in a page, as in every list of options, it stands below. A line `# key = ..`
//! is a key that is left out, and so code; what is indented in a comment is a table, whose lines are kept.

use crate::cli::manual::page::Page;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'a> {
    Blank,
    /// Of a comment, without its `# `.
    Prose(&'a str),
    /// A table or key, whether it stands or is commented out.
    Code(&'a str),
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Self {
        let Some(comment) = line.strip_prefix('#') else {
            return if line.trim().is_empty() { Self::Blank } else { Self::Code(line) };
        };
        let comment = comment.strip_prefix(' ').unwrap_or(comment);
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let key = comment.trim_start_matches(word);
        if comment.trim().is_empty() {
            Self::Blank
        } else if is_table(comment) || (key.len() < comment.len() && key.starts_with(" = ")) {
            Self::Code(comment)
        } else {
            Self::Prose(comment)
        }
    }
}

fn is_table(line: &str) -> bool {
    line.starts_with('[') && line.ends_with(']')
}

/// Appends what `text` says; with `tables` each `[table]` has a heading, else each paragraph that says what one of a kind
/// is (`One [[phrase]] each`).
pub fn describe(page: &mut Page, text: &str, tables: bool) {
    let lines: Vec<Line<'_>> = text.lines().map(Line::of).collect();
    let mut comment: Vec<&str> = Vec::new();
    let mut rest = &lines[..];
    while let Some((first, others)) = rest.split_first() {
        let Line::Code(code) = *first else {
            if let Line::Prose(line) = *first {
                comment.push(line);
            } else {
                paragraph(page, &mut comment);
            }
            rest = others;
            continue;
        };
        if tables && is_table(code) {
            page.subsection(code);
            paragraph(page, &mut comment);
            rest = others;
            continue;
        }
        let code = rest.iter().map_while(|line| match *line {
            Line::Code(code) if !(tables && is_table(code)) => Some(code),
            _ => None,
        });
        let code: Vec<&str> = code.collect();
        rest = &rest[code.len()..];
        if tables && !comment.is_empty() {
            page.item(&code, comment.drain(..));
        } else {
            paragraph(page, &mut comment);
            page.verbatim(code);
        }
    }
    paragraph(page, &mut comment);
}

/// Appends what was gathered, with the heading that it may ask for.
fn paragraph(page: &mut Page, comment: &mut Vec<&str>) {
    let Some(first) = comment.first() else { return };
    let kind = first.strip_prefix("One [[").and_then(|rest| rest.split_once("]] each"));
    if let Some((kind, _)) = kind {
        page.subsection(&format!("[[{kind}]]"));
    }
    page.paragraph(comment.drain(..));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str, tables: bool) -> String {
        let mut page = Page::default();
        describe(&mut page, text, tables);
        page.render_rest()
    }

    #[test]
    fn a_key_stands_before_what_is_said_of_it_whether_it_is_left_out_or_not() {
        let text = "[sip]\n# How many.\n# Not more.\nmost = 1\n# Of whom.\n# who = \"a\"\n";
        let wanted = ".SS [sip]\n.TP\n\\fBmost = 1\\fR\nHow many.\nNot more.\n.TP\n\\fBwho = \"a\"\\fR\nOf whom.\n";
        assert_eq!(page(text, true), wanted);
    }

    #[test]
    fn a_table_that_is_left_out_has_its_heading_and_its_comment_below() {
        let text = "# Told by it:\n#   a  one\n# [[notify.ami]]\n# name = \"x\"\n";
        let page = page(text, true);
        let (heading, about) = page.split_once("Told by it:\n").expect(&page);
        assert_eq!(heading, ".SS [[notify.ami]]\n");
        assert!(about.starts_with(".nf\n  a  one\n.fi\n"), "{about}");
        assert!(about.contains("name = \"x\"\n.fi"), "{about}");
    }

    #[test]
    fn what_one_of_a_kind_is_has_a_heading_and_its_example_keeps_its_lines() {
        let text = "# One [[phrase]] each: an id.\n#\n# [[phrase]]\n# id = \"a\"\n";
        let page = page(text, false);
        assert!(page.starts_with(".SS [[phrase]]\nOne [[phrase]] each: an id.\n"), "{page}");
        assert!(page.contains(".nf\n[[phrase]]\nid = \"a\"\n.fi\n"), "{page}");
    }
}
