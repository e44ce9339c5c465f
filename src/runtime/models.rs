//! The cards of the models, and whether a store holds exactly the files that they name.
//!
//! `models/fetch` fills the store; this reads the same manifest and only looks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::audio::pcm::SAMPLE_RATE;
use crate::runtime::embedder_card::{EmbedderCard, EmbedderCardError};
use crate::speaker::embedder::Purpose;

/// The manifest format that this reads.
const VERSION: u32 = 1;
/// Digits of a model file's digest that stand for its version.
const VERSION_DIGITS: usize = 12;

/// `models/manifest.toml`: the packages that files come from, and the models that they make up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format; 1.
    version: u32,
    /// Where files come from.
    #[serde(rename = "package")]
    pub packages: Vec<Package>,
    /// What the appliance computes with.
    #[serde(rename = "model")]
    pub models: Vec<Model>,
}

/// One pinned release on the Python package index.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name on the index.
    pub name: String,
    /// Its exact version.
    pub version: String,
    /// SPDX identifier of its own licence.
    pub licence: String,
    /// Where its people are.
    pub home: String,
    /// Its wheels that may be used.
    #[serde(rename = "wheel")]
    pub wheels: Vec<Wheel>,
}

/// One file of a package.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wheel {
    /// `x86_64`, `aarch64`: as `uname -m` says.
    pub machine: String,
    /// Python version to ask pip for, whatever Python asks.
    pub python: String,
    /// Platform tag to ask pip for.
    pub platform: String,
    /// Digest of the wheel, lower-case hex.
    pub sha256: String,
}

/// The card of one model, or of something else that is fetched like one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its name; verdicts name the model that they rest on.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The package that holds its files.
    pub package: String,
    /// SPDX identifier of its licence, which may differ from its package's.
    pub licence: String,
    /// What it is, in one sentence.
    pub about: String,
    /// Samples per second that it hears, for models of sound.
    pub sample_rate: Option<u32>,
    /// What happens to the samples before it, in words; an embedder's card says it in numbers.
    pub front_end: Option<String>,
    /// What there is to say of a speaker model.
    pub embedder: Option<EmbedderCard>,
    /// Its files.
    #[serde(rename = "file")]
    pub files: Vec<ModelFile>,
    /// How well it did, and on what.
    #[serde(default, rename = "score")]
    pub scores: Vec<Score>,
}

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Role {
    /// The library that runs the others.
    #[serde(rename = "runtime")]
    Runtime,
    /// Voices to points: `speaker/`.
    #[serde(rename = "embedder")]
    Embedder,
    /// Who speaks when, on a line that several share.
    #[serde(rename = "segmentation")]
    Segmentation,
    /// Speech to words: `keyword/`.
    #[serde(rename = "acoustic model")]
    AcousticModel,
    /// The keyword model's hearing to phones: `keyword/`.
    #[serde(rename = "phone head")]
    PhoneHead,
    /// The same for German phones: `keyword/`.
    #[serde(rename = "German phone head")]
    GermanPhoneHead,
    /// No model: how words are said.
    #[serde(rename = "lexicon")]
    Lexicon,
    /// No model: speech for the demonstration and the tests.
    #[serde(rename = "recording")]
    Recording,
}

impl Role {
    /// The manifest's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Embedder => "embedder",
            Self::Segmentation => "segmentation",
            Self::AcousticModel => "acoustic model",
            Self::PhoneHead => "phone head",
            Self::GermanPhoneHead => "German phone head",
            Self::Lexicon => "lexicon",
            Self::Recording => "recording",
        }
    }
}

/// One file of a model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Its place in the store.
    pub path: PathBuf,
    /// Its place in the wheel.
    pub member: String,
    /// The data symbol to cut out, where the member is a shared library.
    pub symbol: Option<String>,
    /// What `models/convert.py` makes of it; the digest is of what comes out.
    pub convert: Option<Conversion>,
    /// Its digest, lower-case hex, by machine; `any` where all machines share the file.
    sha256: BTreeMap<String, String>,
    /// What the graph takes.
    #[serde(default)]
    pub inputs: Vec<Tensor>,
    /// What the graph gives.
    #[serde(default)]
    pub outputs: Vec<Tensor>,
}

/// How a file becomes ONNX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conversion {
    /// From ONNX Runtime's format, 8-bit weights unpacked.
    Fold,
    /// From Resemblyzer's PyTorch weights, with the telephone head beside the package's own.
    Ge2e,
    /// From Moonshine's decoder, what it attends to of a segment.
    MoonshineAudio,
    /// From Moonshine's decoder, a step of several segments at once.
    MoonshineSteps,
}

/// One input or output of a graph.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tensor {
    /// Its name in the graph; braces stand for alternatives.
    pub name: String,
    /// `f32`, `i64`, `bool`.
    #[serde(rename = "type")]
    pub element: String,
    /// Its dimensions, as numbers or names.
    pub shape: Vec<String>,
}

/// How well a model did.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// On what it was measured.
    pub test: String,
    /// What was measured.
    pub measure: String,
    /// The outcome.
    pub value: String,
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not TOML, or not a manifest; the message shows the line.
    #[error("{0}")]
    Syntax(#[from] toml::de::Error),
    /// A later format.
    #[error("manifest format {found} is not known; this reads format {VERSION}")]
    Version {
        /// The format that it states.
        found: u32,
    },
    /// A model's files come from nowhere.
    #[error("model {model} wants package {package}, which is not listed")]
    NoPackage {
        /// The model.
        model: String,
        /// The package that it names.
        package: String,
    },
    /// A speaker model's card does not say what is needed.
    #[error("model {model}: {error}")]
    Embedder {
        /// The model.
        model: String,
        /// What is wrong with its card.
        error: EmbedderCardError,
    },
    /// The file cannot be proven here.
    #[error("file {} names no sha256 for {machine}", path.display())]
    NoDigest {
        /// The file.
        path: PathBuf,
        /// This machine.
        machine: &'static str,
    },
}

/// What became of a file of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is there, byte for byte.
    Ok,
    /// It is not there.
    Missing,
    /// Another file is there.
    WrongHash {
        /// The digest that the manifest wants, lower-case hex.
        expected: String,
        /// The digest of what is there.
        found: String,
    },
    /// It is there and cannot be read.
    Unreadable {
        /// What the system says.
        reason: String,
    },
}

impl Manifest {
    /// Reads the text of a manifest.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text)?;
        if manifest.version != VERSION {
            return Err(ManifestError::Version { found: manifest.version });
        }
        for model in &manifest.models {
            if !manifest.packages.iter().any(|package| package.name == model.package) {
                let (model, package) = (model.name.clone(), model.package.clone());
                return Err(ManifestError::NoPackage { model, package });
            }
            model
                .check()
                .map_err(|error| ManifestError::Embedder { model: model.name.clone(), error })?;
            if let Some(file) = model.files.iter().find(|file| file.sha256().is_none()) {
                let machine = std::env::consts::ARCH;
                return Err(ManifestError::NoDigest { path: file.path.clone(), machine });
            }
        }
        Ok(manifest)
    }

    /// The first model of a role.
    pub fn model(&self, role: Role) -> Option<&Model> {
        self.models.iter().find(|model| model.role == role)
    }

    /// The speaker models, each with its card.
    pub fn embedders(&self) -> impl Iterator<Item = (&Model, &EmbedderCard)> {
        self.models.iter().filter_map(|model| Some((model, model.embedder.as_ref()?)))
    }

    /// The first speaker model for `purpose`.
    pub fn embedder(&self, purpose: Purpose) -> Option<&Model> {
        self.embedders().find(|(_, card)| card.purpose == purpose).map(|(model, _)| model)
    }

    /// Hashes every file of `store` that the manifest names, by its path, in the manifest's order.
    pub fn verify(&self, store: &Path) -> Vec<(PathBuf, Status)> {
        let files = self.models.iter().flat_map(|model| &model.files);
        files.map(|file| (file.path.clone(), file.verify(store))).collect()
    }
}

impl Model {
    /// `name@version`: verdicts and voiceprints name a model so. The version is the beginning of its
    /// first file's digest.
    pub fn versioned_name(&self) -> String {
        let digest = self.files.first().and_then(ModelFile::sha256).unwrap_or_default();
        format!("{}@{}", self.name, digest.get(..VERSION_DIGITS).unwrap_or(digest))
    }

    fn check(&self) -> Result<(), EmbedderCardError> {
        let card = match (&self.embedder, self.role) {
            (Some(card), Role::Embedder) => card,
            (None, role) if role != Role::Embedder => return Ok(()),
            _ => return Err(EmbedderCardError::Role),
        };
        if self.front_end.is_some() {
            return Err(EmbedderCardError::FrontEndInWords);
        }
        if self.sample_rate != Some(SAMPLE_RATE) {
            let found = self.sample_rate.unwrap_or_default();
            return Err(EmbedderCardError::SampleRate { found });
        }
        card.check()
    }
}

impl ModelFile {
    /// The digest that this machine's file has, lower-case hex.
    pub fn sha256(&self) -> Option<&str> {
        let digest = self.sha256.get("any").or_else(|| self.sha256.get(std::env::consts::ARCH));
        digest.map(String::as_str)
    }

    /// Hashes this file of `store`.
    pub fn verify(&self, store: &Path) -> Status {
        let expected = self.sha256().unwrap_or_default();
        match sha256_of(&store.join(&self.path)) {
            Ok(found) if found == expected => Status::Ok,
            Ok(found) => Status::WrongHash { expected: expected.to_owned(), found },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Status::Missing,
            Err(error) => Status::Unreadable { reason: error.to_string() },
        }
    }
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let mut digest = Sha256::new();
    io::copy(&mut File::open(path)?, &mut digest)?;
    Ok(hex::encode(digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = r#"
        version = 1
        [[package]]
        name = "p"
        version = "1.0"
        licence = "MIT"
        home = "https://example.org"
        wheel = []
        [[model]]
        name = "m"
        role = "embedder"
        package = "p"
        licence = "MIT"
        about = "A test."
        sample_rate = 16000
        [model.embedder]
        use = "watch"
        window_s = 1.6
        embedding = 256
        front_end = { kind = "ge2e-mel" }
        [[model.file]]
        path = "m/a"
        member = "a"
        sha256 = { any = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" }
    "#;

    #[test]
    fn the_shipped_manifest_is_sound() {
        let text = std::fs::read_to_string("models/manifest.toml").expect("tests run at the root");
        let manifest = Manifest::parse(&text).expect("a sound manifest");
        for role in [Role::Runtime, Role::Segmentation, Role::AcousticModel, Role::Recording] {
            let model = manifest.model(role).expect("a model of every role");
            let files = &model.files;
            assert!(files.iter().all(|f| f.sha256().is_some_and(|digest| digest.len() == 64)));
        }
        let card = |purpose| manifest.embedder(purpose).and_then(|model| model.embedder.as_ref());
        let windows = [Purpose::Decide, Purpose::Watch].map(|purpose| {
            let card = card(purpose).expect("a model to decide with and one to watch with");
            assert!(card.cost_ms_per_s.is_some(), "and what it costs");
            card.window_samples()
        });
        assert_eq!(windows, [48_000, 25_600]);
    }

    #[test]
    fn a_file_is_right_wrong_or_missing() {
        let manifest = Manifest::parse(CARD).expect("a sound manifest");
        let store = std::env::temp_dir().join(format!("sidetone-models-{}", std::process::id()));
        let status = || manifest.verify(&store).remove(0).1;
        assert_eq!(status(), Status::Missing);
        std::fs::create_dir_all(store.join("m")).expect("a writable temporary folder");
        std::fs::write(store.join("m/a"), "abc").expect("a writable temporary folder");
        assert_eq!(status(), Status::Ok);
        std::fs::write(store.join("m/a"), "abd").expect("a writable temporary folder");
        let wrong = status();
        std::fs::remove_dir_all(&store).expect("a writable temporary folder");
        assert!(
            matches!(&wrong, Status::WrongHash { expected, found }
                if expected.starts_with("ba78") && found.starts_with("a52d")),
            "{wrong:?}"
        );
    }

    #[test]
    fn a_manifest_that_promises_nothing_is_refused() {
        let refused = |from: &str, to: &str| {
            Manifest::parse(&CARD.replace(from, to)).expect_err("a refusal").to_string()
        };
        assert!(refused("licence = \"MIT\"", "licence = \"MIT\"\nlicense = 1").contains("license"));
        assert_eq!(
            refused("version = 1\n", "version = 2\n"),
            "manifest format 2 is not known; this reads format 1"
        );
        assert_eq!(
            refused("package = \"p\"", "package = \"q\""),
            "model m wants package q, which is not listed"
        );
        let error = refused("window_s = 1.6", "window_s = 0");
        assert_eq!(error, "model m: window_s is 0, and 0.1 to 30 were wanted");
        let error = refused("embedding = 256", "embedding = 1");
        assert_eq!(error, "model m: embedding is 1, and 2 to 4096 were wanted");
        let error = refused("sample_rate = 16000", "sample_rate = 8000");
        assert_eq!(error, "model m: sample_rate is 8000, and 16000 was wanted");
        let error = refused("sample_rate", "front_end = \"some\"\nsample_rate");
        assert_eq!(error, "model m: front_end is words, and [model.embedder] was to say it");
        let error = refused("role = \"embedder\"", "role = \"recording\"");
        assert_eq!(error, "model m: [model.embedder] and role = \"embedder\" want each other");
        assert!(refused("ge2e-mel", "mfcc").contains("unknown variant `mfcc`"));
        assert!(refused("\"watch\"", "\"guess\"").contains("unknown variant `guess`"));
        assert!(refused("embedding =", "size =").contains("unknown field `size`"));
        assert!(refused("any =", "z80 =").starts_with("file m/a names no sha256 for "));
    }
}
