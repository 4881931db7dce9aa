use std::time::Duration;

use rcompose_model::RestartPolicy;

/// Docker's back-off: 100 ms, doubled with every restart, at most a minute.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// A run of at least this long sets the delay back.
const GOOD_RUN: Duration = Duration::from_secs(10);

/// When to start an ended container again; `None`: not at all.
pub(crate) fn restart_delay(
    policy: RestartPolicy,
    code: i32,
    restarts: u32,
    ran_for: Duration,
    stopped_by_user: bool,
) -> Option<Duration> {
    let wanted = !stopped_by_user
        && match policy {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure(max) => code != 0 && max.is_none_or(|m| restarts < m),
        };
    if !wanted {
        return None;
    }
    if ran_for >= GOOD_RUN {
        return Some(FIRST_DELAY);
    }
    let factor = 1u32 << restarts.min(16);
    Some((FIRST_DELAY * factor).min(LONGEST_DELAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        let short = Duration::ZERO;
        let on_failure = RestartPolicy::OnFailure(Some(3));
        assert_eq!(restart_delay(RestartPolicy::No, 1, 0, short, false), None);
        assert_eq!(restart_delay(RestartPolicy::Always, 0, 0, short, true), None);
        assert_eq!(restart_delay(RestartPolicy::Always, 0, 1, short, false), Some(FIRST_DELAY * 2));
        assert_eq!(restart_delay(on_failure, 0, 0, short, false), None);
        assert!(restart_delay(on_failure, 1, 2, short, false).is_some());
        assert_eq!(restart_delay(on_failure, 1, 3, short, false), None);
        assert_eq!(restart_delay(RestartPolicy::Always, 1, 40, short, false), Some(LONGEST_DELAY));
        assert_eq!(restart_delay(RestartPolicy::Always, 1, 40, GOOD_RUN, false), Some(FIRST_DELAY));
    }
}
