//! Small texts as Go writes and reads them.

/// Nanoseconds of a Go duration (`time.ParseDuration`): `1m30s`, `1.5h`, `500ms`, `0`.
pub(crate) fn go_duration(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let mut total = 0f64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|&n| n > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let units =
            [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];
        let (unit, size) = units.into_iter().find(|(u, _)| rest.starts_with(u))?;
        rest = &rest[unit.len()..];
        total += number * size;
    }
    (!text.is_empty() && total < i64::MAX as f64).then_some(total as i64)
}

/// A duration as Go shows it: `1m30s`, `500ms`, `0s`.
pub(crate) fn shown_duration(nanoseconds: i64) -> String {
    let small = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns")];
    let whole = |value: i64, unit: i64| {
        let digits = format!("{:09}", (value % unit) * (1_000_000_000 / unit));
        let fraction = digits.trim_end_matches('0');
        if fraction.is_empty() { (value / unit).to_string() } else { format!("{}.{fraction}", value / unit) }
    };
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    if nanoseconds < small[0].0 {
        let (unit, name) = small.into_iter().find(|(u, _)| nanoseconds >= *u).unwrap_or((1, "ns"));
        return format!("{}{name}", whole(nanoseconds, unit));
    }
    let minutes = nanoseconds / 60_000_000_000;
    let seconds = format!("{}s", whole(nanoseconds % 60_000_000_000, 1_000_000_000));
    match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, m) => format!("{m}m{seconds}"),
        (h, m) => format!("{h}h{m}m{seconds}"),
    }
}

/// Go's `%q`.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_does() {
        for (text, want) in
            [("1m30s", "1m30s"), ("1.5h", "1h30m0s"), ("1500ms", "1.5s"), ("2ms", "2ms"), ("0", "0s")]
        {
            assert_eq!(shown_duration(go_duration(text).unwrap()), want);
        }
        assert_eq!(quoted("a\"b\\\n\u{1}é"), "\"a\\\"b\\\\\\n\\x01é\"");
    }
}
