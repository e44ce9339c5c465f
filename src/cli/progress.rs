//! How far something is that takes long, on standard error: a bar for whoever watches, nothing for a file or a pipe.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Between two drawings of a bar on which nothing moves.
const TICK: Duration = Duration::from_millis(250);

/// A bar, gone when it is dropped.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Of `total` things, each one of `unit`; with rate and time left.
    pub fn new(doing: &str, total: u64, unit: &str) -> Self {
        let bar = ProgressBar::new(total);
        let template = format!(
            "{doing} {{bar:30}} {{human_pos}} of {{human_len}} {unit}, {{per_sec}}, {{eta}} left"
        );
        bar.set_style(ProgressStyle::with_template(&template).expect("a template of ours"));
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// `done` of them are done.
    pub fn reach(&self, done: u64) {
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
