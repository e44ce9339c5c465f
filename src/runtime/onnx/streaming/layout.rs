//! Which files a folder's streaming model has.

use std::fs;
use std::path::{Path, PathBuf};

/// The files of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Of a transducer.
    Transducer {
        /// Speech to rows.
        encoder: PathBuf,
        /// Pieces to a prediction.
        decoder: PathBuf,
        /// Rows and predictions to pieces.
        joiner: PathBuf,
        /// The pieces' names.
        tokens: PathBuf,
    },
    /// Of a CTC model.
    Ctc {
        /// Speech to pieces.
        model: PathBuf,
        /// The pieces' names.
        tokens: PathBuf,
    },
}

/// Why a folder holds no model.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// It is not there, or may not be looked into.
    #[error("cannot read the folder {}: {reason}", .folder.display())]
    Unreadable {
        /// Which folder.
        folder: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A file is not there.
    #[error("{} has no {wanted}", .folder.display())]
    Missing {
        /// Which folder.
        folder: PathBuf,
        /// Which file.
        wanted: &'static str,
    },
    /// Which is meant?
    #[error("{} has {}, where one {wanted} was wanted", .folder.display(), found.join(" and "))]
    Several {
        /// Which folder.
        folder: PathBuf,
        /// Which file.
        wanted: &'static str,
        /// What there is.
        found: Vec<String>,
    },
}

impl Layout {
    /// Looks into `folder`. A file may have more in its name, as icefall's export writes it
    /// (`encoder-epoch-99-avg-1.onnx`); one in int8 (`.int8.onnx`) is taken where there is no other.
    pub fn of(folder: &Path) -> Result<Self, LayoutError> {
        let unreadable = |error: std::io::Error| LayoutError::Unreadable {
            folder: folder.to_owned(),
            reason: error.to_string(),
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            names.extend(entry.map_err(unreadable)?.file_name().into_string());
        }
        names.sort();
        let missing = |wanted| LayoutError::Missing { folder: folder.to_owned(), wanted };
        let part = |stem: &str, wanted: &'static str| {
            let is_int8 = |name: &&String| name.ends_with(".int8.onnx");
            let of_stem: Vec<&String> = names
                .iter()
                .filter(|name| {
                    let rest = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(".onnx"));
                    rest.is_some_and(|rest| {
                        rest.is_empty() || rest == ".int8" || rest.starts_with('-')
                    })
                })
                .collect();
            let (int8, full): (Vec<_>, Vec<_>) = of_stem.into_iter().partition(is_int8);
            match if full.is_empty() { &int8[..] } else { &full[..] } {
                [] => Err(missing(wanted)),
                [one] => Ok(folder.join(one)),
                more => Err(LayoutError::Several {
                    folder: folder.to_owned(),
                    wanted,
                    found: more.iter().map(|name| (*name).clone()).collect(),
                }),
            }
        };
        let tokens = folder.join("tokens.txt");
        if !tokens.is_file() {
            return Err(missing("tokens.txt"));
        }
        match part("model", "model.onnx") {
            Ok(model) => Ok(Self::Ctc { model, tokens }),
            Err(LayoutError::Missing { .. }) => Ok(Self::Transducer {
                encoder: part("encoder", "encoder.onnx or model.onnx")?,
                decoder: part("decoder", "decoder.onnx")?,
                joiner: part("joiner", "joiner.onnx")?,
                tokens,
            }),
            Err(error) => Err(error),
        }
    }

    /// The pieces' names.
    pub fn tokens(&self) -> &Path {
        match self {
            Self::Transducer { tokens, .. } | Self::Ctc { tokens, .. } => tokens,
        }
    }

    /// The file that tells one model from another: what hears.
    pub fn encoder(&self) -> &Path {
        match self {
            Self::Transducer { encoder, .. } => encoder,
            Self::Ctc { model, .. } => model,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(files: &[&str]) -> (Result<Layout, String>, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            fs::write(folder.path().join(file), "").expect("a file");
        }
        let place = folder.path().display().to_string();
        let layout = Layout::of(folder.path());
        (layout.map_err(|error| error.to_string().replace(&place, "F")), folder)
    }

    #[test]
    fn a_transducer_has_three_parts_and_a_ctc_model_one() {
        let (found, folder) =
            layout(&["encoder.onnx", "decoder.onnx", "joiner.onnx", "tokens.txt", "bpe.model"]);
        let Ok(Layout::Transducer { encoder, .. }) = found else { panic!("{found:?}") };
        assert_eq!(encoder, folder.path().join("encoder.onnx"));
        let (found, _folder) = layout(&["model.onnx", "tokens.txt"]);
        assert!(matches!(found, Ok(Layout::Ctc { .. })), "{found:?}");
    }

    #[test]
    fn exported_names_are_known_and_int8_gives_way() {
        let (found, folder) = layout(&[
            "encoder-epoch-99-avg-1.int8.onnx",
            "encoder-epoch-99-avg-1.onnx",
            "decoder-epoch-99-avg-1.onnx",
            "joiner-epoch-99-avg-1.int8.onnx",
            "tokens.txt",
        ]);
        let Ok(Layout::Transducer { encoder, joiner, .. }) = found else { panic!("{found:?}") };
        assert_eq!(encoder, folder.path().join("encoder-epoch-99-avg-1.onnx"));
        assert_eq!(joiner, folder.path().join("joiner-epoch-99-avg-1.int8.onnx"));
    }

    #[test]
    fn what_is_missing_or_there_twice_is_named() {
        let refused = |files: &[&str]| layout(files).0.expect_err("a refusal");
        assert_eq!(refused(&["model.onnx"]), "F has no tokens.txt");
        assert_eq!(refused(&["tokens.txt"]), "F has no encoder.onnx or model.onnx");
        assert_eq!(refused(&["tokens.txt", "encoder.onnx"]), "F has no decoder.onnx");
        assert_eq!(
            refused(&["tokens.txt", "model-a.onnx", "model-b.onnx"]),
            "F has model-a.onnx and model-b.onnx, where one model.onnx was wanted"
        );
        let missing = Layout::of(Path::new("nowhere")).expect_err("no folder").to_string();
        assert!(missing.starts_with("cannot read the folder nowhere: "), "{missing}");
    }
}
