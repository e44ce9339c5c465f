//! The file that the master keys stand in: `store.key_file`, or where `SIDETONE_STORE_KEY_FILE` says.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::vault::keyring::{Keyring, KeyringError, UnwrapError, Wrapped};
use crate::vault::sealed::NONCE;
use crate::vault::secret::Secret;

/// Largest key file that is read, bytes: some hundred keys.
const LONGEST: u64 = 16 * 1024;
/// The environment's word for where systemd puts credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// A key file, and the keys that were read from it last.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    keyring: Keyring,
}

/// Why there are no master keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is not there.
    #[error(
        "there is no key file {} (store.key_file): `sidetone vault init` makes one for a new vault, and an old \
        vault needs its own back",
        .0.display()
    )]
    Missing(PathBuf),
    /// One is there, where a new one was to be made.
    #[error("{} is there already, and is not replaced", .0.display())]
    Exists(PathBuf),
    /// The system refused.
    #[error("cannot {doing} the key file {} (store.key_file): {error}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Others can read it.
    #[error(
        "the key file {} (store.key_file) has mode {mode:04o}: others can read it, at most 0600 needed and 0400 usual",
        .path.display()
    )]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// What it holds is no keys.
    #[error("the key file {} (store.key_file): {error}", .path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        error: KeyringError,
    },
}

impl KeyFile {
    /// Reads `path`, which nobody else may be able to read.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        Ok(Self { path: path.to_owned(), keyring: read(path)? })
    }

    /// Makes `path` with a new key, mode 0400; never in place of another.
    pub fn create(path: &Path, key: Secret) -> Result<Self, KeyFileError> {
        let keyring = Keyring::new(key);
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o400).open(path);
        let io = |doing| move |error| KeyFileError::Io { doing, path: path.to_owned(), error };
        let mut file = file.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_owned()),
            _ => io("make")(error),
        })?;
        let written = file.write_all(keyring.to_text().as_bytes()).and_then(|()| file.sync_all());
        written.and_then(|()| settle(path)).map_err(io("write"))?;
        Ok(Self { path: path.to_owned(), keyring })
    }

    /// Puts `keyring` in place of what stands in the file: a reader sees the old keys or the new ones.
    pub fn replace(&mut self, keyring: Keyring) -> Result<(), KeyFileError> {
        let path = &self.path;
        let io = |error| KeyFileError::Io { doing: "replace", path: path.clone(), error };
        let owner = fs::metadata(path).map_err(io)?;
        let draft = path.with_extension("new");
        // What a crash left.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
            Ok(()) | Err(_) => {}
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o400).open(&draft).map_err(io)?;
        // The service's user has to be able to read what root rotates.
        std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid())).map_err(io)?;
        file.write_all(keyring.to_text().as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        fs::rename(&draft, path).and_then(|()| settle(path)).map_err(io)?;
        self.keyring = keyring;
        Ok(())
    }

    /// The keys that were read.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Where they stand.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Wraps `key`, which is for `purpose`, under the newest master key.
    pub fn wrap(&self, key: &Secret, purpose: &[&str], nonce: [u8; NONCE]) -> Wrapped {
        self.keyring.wrap(key, purpose, nonce)
    }

    /// The key for `purpose` that was wrapped. Where it lies under a key that we have not read, the file is read anew:
    /// somebody else may be rotating.
    pub fn unwrap(&mut self, wrapped: &Wrapped, purpose: &[&str]) -> Result<Secret, UnwrapError> {
        match self.keyring.unwrap(wrapped, purpose) {
            Err(UnwrapError::NoSuchMaster(_)) => {
                if let Ok(keyring) = read(&self.path) {
                    self.keyring = keyring;
                }
                self.keyring.unwrap(wrapped, purpose)
            }
            answer => answer,
        }
    }
}

fn read(path: &Path) -> Result<Keyring, KeyFileError> {
    let io = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => KeyFileError::Missing(path.to_owned()),
        _ => KeyFileError::Io { doing: "read", path: path.to_owned(), error },
    };
    let file = fs::File::open(path).map_err(io)?;
    let mode = file.metadata().map_err(io)?.mode() & 0o7777;
    let others = if is_credential(path) { 0o037 } else { 0o077 };
    if mode & others != 0 {
        return Err(KeyFileError::Open { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LONGEST).read_to_string(&mut text).map_err(io)?;
    Keyring::parse(&text).map_err(|error| KeyFileError::Malformed { path: path.to_owned(), error })
}

/// Whether systemd hands it out (systemd.exec(5), "Credentials"): it lets the service's user read what is root's by an
/// access control list, whose mask shows as the group's bits.
fn is_credential(path: &Path) -> bool {
    std::env::var_os(CREDENTIALS).is_some_and(|folder| path.starts_with(folder))
}

/// What was made or renamed stays so after a power cut.
fn settle(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn secret(byte: u8) -> Secret {
        Secret::new([byte; 32])
    }

    #[test]
    fn a_new_key_is_the_owners_alone_and_replaces_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.key");
        assert!(matches!(KeyFile::read(&path), Err(KeyFileError::Missing(_))));
        let made = KeyFile::create(&path, secret(1)).expect("a key");
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o7777, 0o400);
        assert!(matches!(KeyFile::create(&path, secret(2)), Err(KeyFileError::Exists(_))));
        assert_eq!(KeyFile::read(&path).expect("keys").keyring(), made.keyring());
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.key");
        KeyFile::create(&path, secret(1)).expect("a key");
        for mode in [0o440, 0o404, 0o410, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("our file");
            let error = KeyFile::read(&path).expect_err("too open");
            assert!(error.to_string().contains(&format!("has mode {mode:04o}")), "{error}");
        }
    }

    #[test]
    fn a_key_that_somebody_else_put_first_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.key");
        let mut ours = KeyFile::create(&path, secret(1)).expect("a key");
        let mut theirs = KeyFile::read(&path).expect("keys");
        theirs.replace(theirs.keyring().with_newer(secret(2))).expect("replaced");
        let wrapped = theirs.wrap(&secret(9), &["subject"], [0; NONCE]);
        assert_eq!(ours.unwrap(&wrapped, &["subject"]), Ok(secret(9)));
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o7777, 0o400);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "no draft is left");
    }
}
