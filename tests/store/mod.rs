//! Where the real models are: `models/store`, which `models/fetch` fills, or what `SIDETONE_MODELS`
//! names. Tests that need them and do not find them say so and pass.

use std::path::PathBuf;

/// Says why a test did nothing.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
pub(crate) fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// The folder of the models, absolute; says so if they are not there.
#[expect(clippy::disallowed_methods, reason = "a test reads the environment")]
pub(crate) fn store() -> Option<PathBuf> {
    let store = std::env::var_os("SIDETONE_MODELS").map_or("models/store".into(), PathBuf::from);
    if store.join("onnxruntime/libonnxruntime.so").is_file() {
        return Some(std::path::absolute(store).expect("a working directory"));
    }
    skip("no models there; models/fetch gets them");
    None
}
