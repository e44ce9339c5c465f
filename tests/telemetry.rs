//! Whatever loads ONNX Runtime leaves nothing in the home of whoever runs it, where Microsoft's builds put an id of the
//! machine and events to send.

mod appliance;
mod store;

use std::fs;

use appliance::Site;
use store::store;

#[test]
fn a_command_that_loads_the_models_leaves_no_telemetry_at_home() {
    let Some(store) = store() else { return };
    let site = Site::new(&store);
    let home = tempfile::tempdir().expect("a folder");
    let checked = site
        .command(&["check"])
        .env("HOME", home.path())
        .env_remove("XDG_CACHE_HOME")
        .env_remove("ORT_DISABLE_TELEMETRY")
        .output()
        .expect("it runs");
    assert!(checked.status.success(), "{checked:?}");
    let left: Vec<_> = fs::read_dir(&home).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}
