//! What `models/convert.py` refuses and gets right, by its own tests in `conversions.py`.
//!
//! Without Python the test says so and passes.

mod store;

use std::process::Command;

use store::skip;

#[test]
fn weights_become_onnx_and_nothing_else_happens() {
    match Command::new("python3").arg("tests/conversions.py").output() {
        Err(error) => skip(&format!("python3 cannot be run: {error}")),
        Ok(done) => {
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
    }
}
