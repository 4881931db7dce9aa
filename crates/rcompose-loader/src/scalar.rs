//! Plain scalars, read as compose-go's YAML library reads them: a mixture of YAML 1.1 and 1.2.

use crate::tree::Value;

/// What an unquoted scalar is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plain {
    Value(Value),
    /// A time or a number over 63 bits, as Go prints it where text is wanted.
    Typed(String),
}

/// The value of an unquoted scalar.
pub(crate) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Value(Value::Null),
        "true" | "True" | "TRUE" => return Plain::Value(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Plain::Value(Value::Bool(false)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Plain::Value(Value::Float(f64::INFINITY));
        }
        "-.inf" | "-.Inf" | "-.INF" => return Plain::Value(Value::Float(f64::NEG_INFINITY)),
        ".nan" | ".NaN" | ".NAN" => return Plain::Value(Value::Float(f64::NAN)),
        _ => {}
    }
    let first = text.as_bytes()[0];
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return Plain::Value(Value::Str(text.to_owned()));
    }
    if let Some(time) = timestamp(text) {
        return Plain::Typed(time);
    }
    match number(text) {
        Some(Value::Str(digits)) => Plain::Typed(digits),
        Some(value) => Plain::Value(value),
        None => Plain::Value(Value::Str(text.to_owned())),
    }
}

/// Whether a plain scalar of this text is the text itself.
pub(crate) fn is_text(text: &str) -> bool {
    matches!(resolve(text), Plain::Value(Value::Str(_)))
}

/// A time in Go's print, as JSON and YAML have it (RFC 3339); a number stays.
pub(crate) fn typed(text: &str) -> String {
    let mut words = text.split(' ');
    match (words.next(), words.next(), words.next()) {
        (Some(date), Some(clock), Some(zone)) if zone.len() == 5 => {
            let zone =
                if zone == "+0000" { "Z".to_owned() } else { format!("{}:{}", &zone[..3], &zone[3..]) };
            format!("{date}T{clock}{zone}")
        }
        _ => text.to_owned(),
    }
}

fn number(text: &str) -> Option<Value> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let (negative, digits) = match plain.as_bytes().first()? {
        b'-' => (true, &plain[1..]),
        b'+' => (false, &plain[1..]),
        _ => (false, plain.as_str()),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let signed = |n: i64| {
        Some(if negative && n == 0 { Value::Float(-0.0) } else { Value::Int(if negative { -n } else { n }) })
    };
    let lower = digits.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = lower.strip_prefix(prefix) {
            let large = || u64::from_str_radix(rest, radix).ok().filter(|_| !negative);
            return i64::from_str_radix(rest, radix)
                .ok()
                .and_then(signed)
                .or_else(|| large().map(|n| Value::Str(n.to_string())));
        }
    }
    if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return i64::from_str_radix(digits, 8).ok().and_then(signed);
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        // Whole numbers of 64 bits without a sign keep their digits.
        return digits
            .parse::<i64>()
            .ok()
            .and_then(signed)
            .or_else(|| plain.parse::<i64>().ok().map(Value::Int))
            .or_else(|| digits.parse::<u64>().ok().filter(|_| !negative).map(|n| Value::Str(n.to_string())))
            .or_else(|| plain.parse().ok().map(Value::Float));
    }
    // `1.5`, `1e3`, `.5`; not `1.2.3`, not `1e`, not `.`.
    let shape = digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !shape || !digits.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let f = plain.trim_start_matches('+').parse::<f64>().ok()?;
    // Too large for a float: a string.
    f.is_finite().then_some(Value::Float(f))
}

/// `2024-01-31` and its longer forms become Go's print of a time.
fn timestamp(text: &str) -> Option<String> {
    let (date, clock) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((&text[at..=at], &text[at + 1..]))),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, small(parts.next()?)?, small(parts.next()?)?);
    let four = year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit());
    if !four || parts.next().is_some() || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let leap = year.parse::<u32>().is_ok_and(|y| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
    let longest = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day > longest {
        return None;
    }
    let day = format!("{year}-{month:02}-{day:02}");
    let Some((separator, clock)) = clock else { return Some(format!("{day} 00:00:00 +0000 UTC")) };
    let at = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(at);
    // With a space, there is no zone; with a T, there must be one.
    if zone.is_empty() != (separator == " ") {
        return None;
    }
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.split(':').map(small);
    let (h, m, s) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || h > 23 || m > 59 || s > 59 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction = match fraction.trim_end_matches('0') {
        "" => String::new(),
        digits => format!(".{digits}"),
    };
    let zone = match zone {
        "" | "Z" => "+0000 UTC".to_owned(),
        z => {
            let (hours, minutes) = z[1..].split_once(':')?;
            if hours.len() != 2 || minutes.len() != 2 || small(hours)? > 23 || small(minutes)? > 59 {
                return None;
            }
            let short = format!("{}{hours}{minutes}", &z[..1]);
            format!("{short} {short}")
        }
    };
    Some(format!("{day} {h:02}:{m:02}:{s:02}{fraction} {zone}"))
}

/// A number of one or two digits.
fn small(text: &str) -> Option<u32> {
    let ok = matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit());
    ok.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_docker_compose_reads_them() {
        let cases: &[(&str, Value)] = &[
            ("0777", Value::Int(511)),
            ("0o777", Value::Int(511)),
            ("007", Value::Int(7)),
            ("08", Value::Int(8)),
            ("0b11", Value::Int(3)),
            ("0xff", Value::Int(255)),
            ("1_000", Value::Int(1000)),
            ("-5", Value::Int(-5)),
            ("1e3", Value::Float(1000.0)),
            ("1.10", Value::Float(1.1)),
            ("~", Value::Null),
            ("yes", Value::Str("yes".into())),
            ("22:22", Value::Str("22:22".into())),
            ("1.2.3", Value::Str("1.2.3".into())),
            ("15-alpine", Value::Str("15-alpine".into())),
            ("-", Value::Str("-".into())),
            ("2024-01-31", Value::Str("2024-01-31 00:00:00 +0000 UTC".into())),
            ("2024-1-2", Value::Str("2024-01-02 00:00:00 +0000 UTC".into())),
            ("2024-02-30", Value::Str("2024-02-30".into())),
            ("2024-01-31T10:00:00Z", Value::Str("2024-01-31 10:00:00 +0000 UTC".into())),
            ("2001-12-14t21:59:43.10-05:00", Value::Str("2001-12-14 21:59:43.1 -0500 -0500".into())),
            ("1e400", Value::Str("1e400".into())),
        ];
        for (text, want) in cases {
            let have = match resolve(text) {
                Plain::Value(value) => value,
                Plain::Typed(text) => Value::Str(text),
            };
            assert_eq!(&have, want, "{text}");
        }
        assert_eq!(typed("2024-01-31 10:00:00 +0000 UTC"), "2024-01-31T10:00:00Z");
        assert_eq!(typed("2001-12-14 21:59:43.1 -0500 -0500"), "2001-12-14T21:59:43.1-05:00");
    }
}
