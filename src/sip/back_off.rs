//! How long to wait after a failure before trying again (RFC 5626 §4.5).

use std::time::Duration;

/// First wait after what may pass by itself; doubles (RFC 5626 §4.5 has 30 s: we are one, not a crowd).
const BACK_OFF: Duration = Duration::from_secs(2);
/// First wait after what needs somebody's hand. Some registrars ban who tries wrong passwords faster.
const LONG_BACK_OFF: Duration = Duration::from_secs(60);
/// No wait is longer, whatever Retry-After says.
const MAX_BACK_OFF: Duration = Duration::from_secs(300);

/// The wait after so many `failures` in a row, by lot between half of it and all, but not below what
/// the other side `asked` for. `slow`: only somebody's hand will mend it.
pub(super) fn back_off(
    slow: bool,
    failures: u32,
    asked: Duration,
    random: &mut fastrand::Rng,
) -> Duration {
    let base = if slow { LONG_BACK_OFF } else { BACK_OFF };
    let longest = base.saturating_mul(1 << failures.min(8)).min(MAX_BACK_OFF);
    longest.mul_f64(0.5 + 0.5 * random.f64()).max(asked.min(MAX_BACK_OFF))
}
