//! What `models/convert.py` refuses and gets right, by its own tests in `conversions.py`.
//!
//! Without Python the test says so and passes.
#![expect(clippy::print_stderr, reason = "a skipped test says why")]

use std::process::Command;

#[test]
fn weights_become_onnx_and_nothing_else_happens() {
    match Command::new("python3").arg("tests/conversions.py").output() {
        Err(error) => eprintln!("skipped: python3 cannot be run: {error}"),
        Ok(done) => {
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
    }
}
