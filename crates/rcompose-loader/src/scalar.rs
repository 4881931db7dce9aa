//! Plain scalars, read as compose-go's YAML library reads them: a mixture of YAML 1.1 and 1.2.

use crate::tree::Value;

/// The value of an unquoted scalar.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    let first = text.as_bytes()[0];
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return Value::Str(text.to_owned());
    }
    if let Some(time) = timestamp(text) {
        return Value::Str(time);
    }
    number(text).unwrap_or_else(|| Value::Str(text.to_owned()))
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
    let signed = |n: i64| Some(Value::Int(if negative { -n } else { n }));
    let lower = digits.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = lower.strip_prefix(prefix) {
            return i64::from_str_radix(rest, radix).ok().and_then(signed);
        }
    }
    if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return i64::from_str_radix(digits, 8).ok().and_then(signed);
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        return digits.parse::<i64>().ok().and_then(signed).or_else(|| plain.parse().ok().map(Value::Float));
    }
    // `1.5`, `1e3`, `.5`; not `1.2.3`, not `1e`, not `.`.
    let shape = digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !shape || !digits.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let f = plain.trim_start_matches('+').parse::<f64>().ok()?;
    // A float that is whole and was written with an exponent or a dot stays a float.
    Some(Value::Float(f))
}

/// `2024-01-31` and its longer forms become Go's print of a time.
fn timestamp(text: &str) -> Option<String> {
    let b = text.as_bytes();
    let digits =
        |from: usize, n: usize| b.len() >= from + n && b[from..from + n].iter().all(u8::is_ascii_digit);
    if b.len() == 10 && digits(0, 4) && b[4] == b'-' && digits(5, 2) && b[7] == b'-' && digits(8, 2) {
        let month: u32 = text[5..7].parse().ok()?;
        let day: u32 = text[8..10].parse().ok()?;
        if (1..=12).contains(&month) && (1..=31).contains(&day) {
            return Some(format!("{text} 00:00:00 +0000 UTC"));
        }
    }
    None
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
        ];
        for (text, want) in cases {
            assert_eq!(&resolve(text), want, "{text}");
        }
    }
}
