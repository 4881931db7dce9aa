//! Times, durations, sizes and states in docker's words.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcompose_plan::{ContainerState, ContainerStatus, HealthStatus};

/// Nanoseconds since 1970, now.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// `2 minutes`, `About an hour` (go-units, `HumanDuration`).
pub(crate) fn human_duration(nanos: i64) -> String {
    let seconds = nanos.max(0) / 1_000_000_000;
    let minutes = seconds / 60;
    // Hours are rounded, all else is cut off.
    let hours = (seconds + 1800) / 3600;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// `2 minutes ago`.
pub(crate) fn ago(at: i64, now: i64) -> String {
    format!("{} ago", human_duration(now - at))
}

/// `12.3MB` (go-units, `HumanSizeWithPrecision` with three digits).
pub(crate) fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    let text = match size {
        s if s >= 999.5 => "1e+03".to_owned(),
        s if s >= 99.95 => format!("{s:.0}"),
        s if s >= 9.995 => trim(&format!("{s:.1}")),
        s => trim(&format!("{s:.2}")),
    };
    format!("{text}{}", UNITS[unit])
}

fn trim(text: &str) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The STATUS column: `Up 5 seconds (healthy)`, `Exited (0) 2 minutes ago`.
pub(crate) fn status(state: &ContainerState, now: i64) -> String {
    let code = state.exit_code.unwrap_or(0);
    let ended = || ago(state.finished_at.or(state.started_at).unwrap_or(state.created_at), now);
    let up = || format!("Up {}", human_duration(now - state.started_at.unwrap_or(now)));
    match state.status {
        ContainerStatus::Created => "Created".to_owned(),
        ContainerStatus::Running => match &state.health {
            None => up(),
            Some(h) => match h.status {
                HealthStatus::Starting => format!("{} (health: starting)", up()),
                HealthStatus::Healthy => format!("{} (healthy)", up()),
                HealthStatus::Unhealthy => format!("{} (unhealthy)", up()),
            },
        },
        ContainerStatus::Paused => format!("{} (Paused)", up()),
        ContainerStatus::Restarting => format!("Restarting ({code}) {}", ended()),
        ContainerStatus::Exited => format!("Exited ({code}) {}", ended()),
        ContainerStatus::Removing => "Removal In Progress".to_owned(),
    }
}

/// `running`, `exited`, … as docker's `State`.
pub(crate) fn state_word(status: ContainerStatus) -> &'static str {
    match status {
        ContainerStatus::Created => "created",
        ContainerStatus::Running => "running",
        ContainerStatus::Paused => "paused",
        ContainerStatus::Restarting => "restarting",
        ContainerStatus::Exited => "exited",
        ContainerStatus::Removing => "removing",
    }
}

/// Year, month, day, hour, minute, second of a time in UTC.
fn civil(at: i64) -> (i64, i64, i64, i64, i64, i64) {
    let seconds = at.div_euclid(1_000_000_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Howard Hinnant's `civil_from_days`.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1, second / 3600, second / 60 % 60, second % 60)
}

/// `2026-08-01T10:00:00.123456789Z`, always nine digits: log timestamps.
pub(crate) fn timestamp(at: i64) -> String {
    let (y, mo, d, h, mi, s) = civil(at);
    format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{:09}Z", at.rem_euclid(1_000_000_000))
}

/// `2026-08-01 10:00:00 +0000 UTC`: docker's `CreatedAt`.
pub(crate) fn created_at(at: i64) -> String {
    let (y, mo, d, h, mi, s) = civil(at);
    format!("{y:04}-{mo:02}-{d:02} {h:02}:{mi:02}:{s:02} +0000 UTC")
}

/// `2026-08-01 10:00:00.123456`: events.
pub(crate) fn event_time(at: i64) -> String {
    let (y, mo, d, h, mi, s) = civil(at);
    format!("{y:04}-{mo:02}-{d:02} {h:02}:{mi:02}:{s:02}.{:06}", at.rem_euclid(1_000_000_000) / 1000)
}

/// RFC 3339 in full or shortened from the right (`2026-08-01T10:00`, `2026-08-01`), to nanoseconds since 1970.
/// Without a zone it is UTC.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, ""));
    let mut d = date.split('-');
    let (y, mo, day) = (digits(d.next()?, 4)?, digits(d.next()?, 2)?, digits(d.next()?, 2)?);
    if d.next().is_some() || !(1..=12).contains(&mo) || !(1..=31).contains(&day) {
        return None;
    }
    let (clock, offset) = zone(time)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.split(':').filter(|_| !clock.is_empty());
    let mut unit = |max| match parts.next() {
        Some(p) => digits(p, 2).filter(|n| *n <= max),
        None => Some(0),
    };
    let (h, mi, s) = (unit(23)?, unit(59)?, unit(60)?);
    if parts.next().is_some() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
    let seconds = days(y, mo, day) * 86_400 + h * 3600 + mi * 60 + s - offset;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Splits the zone off: its offset in seconds east of UTC.
fn zone(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, 0)) };
    let (h, m) = time[at + 1..].split_once(':')?;
    let offset = digits(h, 2)? * 3600 + digits(m, 2)? * 60;
    Some((&time[..at], if time[at..].starts_with('-') { -offset } else { offset }))
}

/// Days from 1970-01-01 (`days_from_civil`).
fn days(y: i64, m: i64, d: i64) -> i64 {
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * (if m > 2 { m - 3 } else { m + 9 }) + 2) / 5 + d - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// `--since`, `--until`: a time, seconds since 1970, or a while ago (`42m`).
pub(crate) fn moment(
    text: &str,
    now: i64,
    duration: &dyn Fn(&str) -> Result<Duration, String>,
) -> Result<i64, String> {
    if let Some(at) = parse_rfc3339(text) {
        return Ok(at);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if let Ok(seconds) = whole.parse::<i64>() {
        let nanos = format!("{fraction:0<9.9}").parse::<i64>();
        return match (seconds.checked_mul(1_000_000_000), nanos) {
            (Some(s), Ok(n)) => Ok(s.saturating_add(n)),
            _ => Err(format!("invalid value for time: {text:?}")),
        };
    }
    let ago = duration(text).map_err(|_| {
        format!("invalid time {text:?}: write it as 2013-01-02T13:23:37Z or, for a while ago, 42m")
    })?;
    Ok(now.saturating_sub(i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcompose_plan::HealthState;

    const S: i64 = 1_000_000_000;

    #[test]
    fn durations() {
        for (seconds, want) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (61, "About a minute"),
            (120, "2 minutes"),
            (3600, "About an hour"),
            (5400, "2 hours"),
            (86_400 * 3, "3 days"),
            (86_400 * 15, "2 weeks"),
            (86_400 * 70, "2 months"),
            (86_400 * 800, "2 years"),
        ] {
            assert_eq!(human_duration(seconds * S), want);
        }
    }

    #[test]
    fn sizes() {
        for (bytes, want) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (12_345_678, "12.3MB"),
            (1_500_000_000, "1.5GB"),
            (133_000_000, "133MB"),
        ] {
            assert_eq!(human_size(bytes), want);
        }
    }

    #[test]
    fn states() {
        let mut s = ContainerState {
            status: ContainerStatus::Running,
            started_at: Some(0),
            health: Some(HealthState { status: HealthStatus::Healthy, ..HealthState::default() }),
            ..ContainerState::default()
        };
        assert_eq!(status(&s, 5 * S), "Up 5 seconds (healthy)");
        s.health = Some(HealthState::default());
        assert_eq!(status(&s, 5 * S), "Up 5 seconds (health: starting)");
        s.status = ContainerStatus::Exited;
        s.finished_at = Some(2 * S);
        s.exit_code = Some(137);
        assert_eq!(status(&s, 122 * S), "Exited (137) 2 minutes ago");
    }

    #[test]
    fn times_are_read_and_written() {
        assert_eq!(parse_rfc3339("2000-02-29T00:00:00Z"), Some(951_782_400 * S));
        assert_eq!(parse_rfc3339("2000-02-29T02:00:00.5+02:00"), Some(951_782_400 * S + S / 2));
        assert_eq!(parse_rfc3339("2000-02-29"), Some(951_782_400 * S));
        assert_eq!(parse_rfc3339("2000-02-29T00:01"), Some(951_782_460 * S));
        assert_eq!(parse_rfc3339("42m"), None);
        assert_eq!(timestamp(951_782_400 * S + 7), "2000-02-29T00:00:00.000000007Z");
        let minutes = |_: &str| Ok(Duration::from_secs(60));
        assert_eq!(moment("1m", 100 * S, &minutes), Ok(40 * S));
        assert_eq!(moment("12.5", 0, &minutes), Ok(12 * S + S / 2));
    }
}
