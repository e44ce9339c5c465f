//! Vaults on both databases, and what tests put into them.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "every test takes what it needs of this; it reads clock and disk"
)]

pub(crate) mod again;

use std::path::PathBuf;

use jiff::Timestamp;
use sidetone::consent::consents::{Change, Given};
use sidetone::consent::reference::ConsentReference;
use sidetone::consent::retention::Settings;
use sidetone::runtime::store::key_file::KeyFile;
use sidetone::runtime::store::persons::Act;
use sidetone::runtime::store::vault::{Subject, Vault, VaultError};
use sidetone::speaker::embedding::Embedding;
use sidetone::speaker::voiceprint::{Kept, Reference, Voiceprint};
use sidetone::vault::secret::Secret;

use crate::databases::{Site, databases};

/// Who does everything here.
pub(crate) const BY: &str = "user:test";

/// A vault's place and key.
#[derive(Debug)]
pub(crate) struct Keyed {
    pub(crate) site: Site,
    pub(crate) key_file: PathBuf,
}

impl Keyed {
    /// One on each database.
    pub(crate) fn all() -> Vec<Self> {
        databases().into_iter().map(Self::at).collect()
    }

    /// One at `site`, with a key of its own.
    pub(crate) fn at(site: Site) -> Self {
        let key_file = site.folder.path().join("store.key");
        KeyFile::create(&key_file, Secret::new([7; 32])).expect("a key");
        Self { site, key_file }
    }

    /// What failures are to name.
    pub(crate) fn name(&self) -> &'static str {
        self.site.name
    }

    /// A connection of one's own.
    pub(crate) fn open(&self) -> Vault {
        self.try_open().expect(self.site.name)
    }

    /// The same, where that may fail.
    pub(crate) fn try_open(&self) -> Result<Vault, VaultError> {
        Vault::open(&self.site.place(), &self.key_file, Settings::default())
    }
}

pub(crate) fn act() -> Act<'static> {
    Act { by: BY, at: Timestamp::now(), conversation: None }
}

/// A consent to all that an enrolled caller agrees to.
pub(crate) fn agreed() -> Change {
    let reference = ConsentReference::new("c-1").expect("a reference");
    let given = Given { reference, at: Timestamp::now(), by: BY.to_owned(), expires: None };
    Change::Given { scopes: "verify enrol adapt".parse().expect("scopes"), given }
}

/// A voiceprint of the strong embedder's shape, 256 numbers, and of `windows` kept windows; `n` tells voices apart.
pub(crate) fn voiceprint(subject: &str, n: u32, windows: u8) -> Voiceprint {
    let embedding = |k: u8| {
        let x = |d: u16| ((n as f32 + 1.0 + f32::from(k) / 64.0) * f32::from(d + 1) * 0.37).sin();
        Embedding::from_raw((0..256).map(x).collect()).expect("a direction")
    };
    let kept = |k| Kept { session: Timestamp::UNIX_EPOCH, embedding: embedding(k) };
    let kept: Vec<_> = (0..windows).map(kept).collect();
    let made = ("wespeaker-resnet34@1", embedding(0));
    let mut voiceprint =
        Voiceprint::of_embedding(subject, "c-1", Timestamp::UNIX_EPOCH, 60.0, made);
    if let Some(reference) = Reference::of("wespeaker-resnet34@1", &kept) {
        voiceprint.references = vec![reference];
    }
    voiceprint
}

/// Somebody who agrees, and is enrolled.
pub(crate) fn enrol(vault: &mut Vault, name: &str, n: u32) -> Result<Subject, VaultError> {
    let subject = Subject::caller(name);
    vault.change_consent(&subject, &agreed())?;
    vault.enrol(&subject, &voiceprint(name, n, 0), &act())?;
    Ok(subject)
}
