//! What systemd is told (sd_notify(3)); the only file that names `sd_notify`. Where nobody listens nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

/// Longest status that is told, bytes: a message of more than 4096 is refused as a whole.
const LONGEST_STATUS: usize = 2_000;

/// Everything is there: the unit is active.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&line(status))]);
}

/// Something is being read again; [`ready`] follows.
pub fn reloading() {
    // Asked for by Type=notify-reload (systemd 253), and harmless to who does not know it.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// What `systemctl status` shows.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(&line(status))]);
}

/// The end has begun.
pub fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(&line(status))]);
}

/// The end takes so much longer, counted from now.
pub fn more_time(longer: Duration) {
    let micros = u32::try_from(longer.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::ExtendTimeoutUsec(micros)]);
}

/// All goes on.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] has to be said at least, where it has to be (`WatchdogSec=`).
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn tell(state: &[NotifyState<'_>]) {
    // A service manager that has gone is no reason to end calls.
    let _ = sd_notify::notify(state);
}

/// One line, and no longer than may be told.
fn line(text: &str) -> String {
    let mut line = text.replace(['\n', '\r'], " ");
    line.truncate(line.floor_char_boundary(LONGEST_STATUS));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_of_bounded_length() {
        assert_eq!(line("a\nb"), "a b");
        let long = line(&"\u{e4}".repeat(LONGEST_STATUS));
        assert_eq!(long.len(), LONGEST_STATUS);
    }
}
