//! `[store]`: where persons, consents and the audit trail are kept.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::consent::retention;

/// `[store]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// `sqlite:PATH` or `postgres://USER@HOST/DATABASE`.
    pub database: String,
    /// File with the master keys; `SIDETONE_STORE_KEY_FILE` goes before it.
    pub key_file: PathBuf,
    /// File whose first line is the password of a PostgreSQL server.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// File that the end of the audit trail is noted in from time to time.
    pub anchor_file: PathBuf,
    /// How long what is kept stays.
    #[serde(default)]
    pub retention: retention::Settings,
}

impl Store {
    /// All of it in `folder`.
    pub fn within(folder: &Path) -> Self {
        Self {
            database: format!("sqlite:{}", folder.join("vault.db").display()),
            key_file: folder.join("store.key"),
            password_file: None,
            anchor_file: folder.join("audit.anchors"),
            retention: retention::Settings::default(),
        }
    }

    /// Relative paths count from `folder`.
    pub(super) fn move_to(&mut self, folder: &Path) {
        if let Some(path) = self.database.strip_prefix("sqlite:") {
            self.database = format!("sqlite:{}", folder.join(path).display());
        }
        let files = [&mut self.key_file, &mut self.anchor_file];
        for file in files.into_iter().chain(self.password_file.as_mut()) {
            *file = folder.join(&*file);
        }
    }

    pub(super) fn validate(&self) -> Result<(), (&'static str, &'static str, String)> {
        let is_named = |scheme| self.database.starts_with(scheme);
        if !["sqlite:", "postgres://", "postgresql://"].into_iter().any(is_named) {
            let wanted = "must be sqlite:PATH or postgres://USER@HOST/DATABASE";
            return Err(("store.database", wanted, format!("{:?}", self.database)));
        }
        let days = [
            ("store.retention.unused_voiceprint_days", self.retention.unused_voiceprint_days),
            ("store.retention.gathering_days", self.retention.gathering_days),
        ];
        match days.into_iter().find(|(_, days)| !(1..=36_500).contains(days)) {
            Some((key, days)) => Err((key, "must be 1 to 36500", days.to_string())),
            None => Ok(()),
        }
    }
}
