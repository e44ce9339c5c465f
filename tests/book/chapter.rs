//! A file of Markdown, as far as the tests of the handbook need to understand it.

use std::fs;
use std::path::{Path, PathBuf};

/// A file.
#[derive(Debug)]
pub(crate) struct Chapter {
    pub(crate) file: PathBuf,
    /// Blocks, and marks that stand by themselves, in their order.
    pub(crate) parts: Vec<Part>,
    /// Its lines outside of blocks and comments, each with its number.
    pub(crate) prose: Vec<(usize, String)>,
}

/// What is done with a chapter, in its order.
#[derive(Debug)]
pub(crate) enum Part {
    /// `<!-- site: serving, enrolled -->`: what follows happens at a new site, which is so.
    Site(Vec<String>),
    Block(Block),
}

/// A fenced block.
#[derive(Debug)]
pub(crate) struct Block {
    /// Line of its first fence.
    pub(crate) line: usize,
    /// The word after the fence: `sh`, `text`, `json`, `toml`, or nothing.
    pub(crate) language: String,
    /// The comment in the line before it: `<!-- needs: root -->` is `("needs", "root")`.
    pub(crate) mark: Option<(String, String)>,
    pub(crate) content: String,
}

impl Chapter {
    /// Reads one.
    pub(crate) fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        Self::parse(file, &text)
    }

    fn parse(file: &Path, text: &str) -> Self {
        let mut chapter = Self { file: file.to_owned(), parts: Vec::new(), prose: Vec::new() };
        let (mut mark, mut open) = (None, None::<(Block, usize)>);
        for (number, line) in (1..).zip(text.lines()) {
            let bare = line.trim_start();
            let indent = line.len() - bare.len();
            if let Some((block, within)) = &mut open {
                if bare == "```" {
                    chapter.parts.extend(open.take().map(|(block, _)| Part::Block(block)));
                } else {
                    // A block in a list is as far in as its fence.
                    block.content.push_str(line.get((*within).min(indent)..).unwrap_or_default());
                    block.content.push('\n');
                }
            } else if let Some(language) = bare.strip_prefix("```") {
                let (language, mark) = (language.trim().to_owned(), mark.take());
                let block = Block { line: number, language, mark, content: String::new() };
                open = Some((block, indent));
            } else if let Some((word, value)) = comment(bare) {
                match word.as_str() {
                    "site" => {
                        let words = value.split(',').map(|word| word.trim().to_owned());
                        chapter.parts.push(Part::Site(words.collect()));
                    }
                    _ => mark = Some((word, value)),
                }
            } else if !bare.is_empty() {
                assert!(
                    mark.is_none(),
                    "{}, line {number}: a mark without a block",
                    file.display()
                );
                chapter.prose.push((number, line.to_owned()));
            }
        }
        assert!(open.is_none(), "{}: a block without an end", file.display());
        chapter
    }

    /// What a fragment may name in it, as forges make it of headings.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let headings = self.prose.iter().filter_map(|(_, line)| {
            let title = line.trim_start_matches('#');
            (title.len() < line.len()).then(|| title.strip_prefix(' '))?
        });
        headings.map(anchor).collect()
    }

    /// Targets of its links and pictures, each with its line.
    pub(crate) fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (number, line) in &self.prose {
            let mut rest = line.as_str();
            while let Some((_, after)) = rest.split_once("](") {
                let (target, behind) = after.split_once(')').unwrap_or((after, ""));
                links.push((*number, target.to_owned()));
                rest = behind;
            }
            links.extend(
                attribute(line, "src=\"")
                    .chain(attribute(line, "srcset=\""))
                    .map(|of| (*number, of)),
            );
        }
        links
    }

    /// What stands in its prose as code, each with its line; code that goes on in the next line is joined.
    pub(crate) fn code(&self) -> Vec<(usize, String)> {
        let mut code: Vec<(usize, String)> = Vec::new();
        let (mut inside, mut last) = (false, 0);
        for (number, line) in &self.prose {
            // Nothing goes on behind an empty line.
            inside &= *number == last + 1;
            last = *number;
            for (place, piece) in line.split('`').enumerate() {
                if place > 0 {
                    inside = !inside;
                }
                match (inside, place) {
                    (true, 0) => {
                        if let Some((_, begun)) = code.last_mut() {
                            begun.push(' ');
                            begun.push_str(piece.trim());
                        }
                    }
                    (true, _) => code.push((*number, piece.to_owned())),
                    (false, _) => {}
                }
            }
        }
        code
    }
}

/// `word: value` of a comment that is alone in its line.
fn comment(line: &str) -> Option<(String, String)> {
    let inner = line.strip_prefix("<!--")?.trim_end().strip_suffix("-->")?;
    let (word, value) = inner.split_once(':')?;
    Some((word.trim().to_owned(), value.trim().to_owned()))
}

fn attribute<'a>(line: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    line.split(name).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
}

fn anchor(title: &str) -> String {
    let letters = title.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        letter => letter.is_alphanumeric().then(|| letter.to_ascii_lowercase()),
    });
    letters.collect()
}

/// README and the chapters below `docs`.
pub(crate) fn all() -> Vec<Chapter> {
    let mut files = vec![PathBuf::from("README.md")];
    markdown_below(Path::new("docs"), &mut files);
    files.iter().map(|file| Chapter::read(file)).collect()
}

/// Files of Markdown below `folder`, in the order of their names.
pub(crate) fn markdown_below(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut entries: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            markdown_below(&entry, files);
        } else if entry.extension().is_some_and(|ending| ending == "md") {
            files.push(entry);
        }
    }
}
