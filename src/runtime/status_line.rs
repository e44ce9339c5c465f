//! The appliance's state in one line, as `systemctl status` shows it.

use std::fmt::Write as _;

use crate::runtime::health::Health;

/// `Serving 12 calls; policy office@4. Reload 14:03:12: tokens refused: ..`
pub fn status_line(health: &Health) -> String {
    let calls = health.calls();
    let calls = format!("{calls} {}", if calls == 1 { "call" } else { "calls" });
    if health.is_draining() {
        return format!("Draining, {calls} left.");
    }
    let why = health.not_ready_because();
    if why.as_deref() == Some("starting") {
        return "Starting.".to_owned();
    }
    let mut line = format!("Serving {calls}; policy {}.", health.policy());
    if let Some(why) = why {
        write!(line, " Not ready: {why}.").expect("a string takes everything");
    }
    if let Some(reload) = health.last_reload() {
        write!(line, " {reload}.").expect("a string takes everything");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_many_calls_by_which_policy_and_what_became_of_the_last_reload() {
        let health = Health::default();
        assert_eq!(status_line(&health), "Starting.");
        health.set_policy("office@4");
        health.set_started();
        assert_eq!(status_line(&health), "Serving 0 calls; policy office@4.");
        health.set_calls(1);
        health.set_store(Some("PostgreSQL cannot be reached".to_owned()));
        let reload = "Reload 14:03:12: policy refused: policy.toml: no name".to_owned();
        health.set_last_reload(reload);
        let wanted = "Serving 1 call; policy office@4. Not ready: the store is unavailable: PostgreSQL cannot be \
             reached. Reload 14:03:12: policy refused: policy.toml: no name.";
        assert_eq!(status_line(&health), wanted);
        health.set_draining();
        health.set_calls(3);
        assert_eq!(status_line(&health), "Draining, 3 calls left.");
    }
}
