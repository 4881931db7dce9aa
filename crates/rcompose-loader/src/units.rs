//! Durations, sizes, commands: the small languages inside values.

use std::time::Duration;

/// Reads Go's durations with Compose's `d`, `w` and `y` (`1h30m`, `1.5s`, `500ms`, `1d`).
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("invalid duration {text:?}: write a number and a unit, like 30s, 1m30s or 500ms");
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total: f64 = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(bad)?;
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let seconds = match &rest[..unit_end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            "y" => 31_536_000.0,
            _ => return Err(bad()),
        };
        total += number * seconds;
        rest = &rest[unit_end..];
    }
    Duration::try_from_secs_f64((total * 1e9).round() / 1e9).map_err(|_| bad())
}

/// A duration as Go prints it (`1m30s`, `24h0m0s`, `1.5s`, `500ms`).
pub(crate) fn print_duration(d: Duration) -> String {
    let nanos = d.as_nanos();
    if nanos == 0 {
        return "0s".into();
    }
    let fraction = |value: u128, unit: u128| {
        let (whole, part) = (value / unit, value % unit);
        if part == 0 {
            return whole.to_string();
        }
        let width = unit.ilog10() as usize;
        format!("{whole}.{}", format!("{part:0width$}").trim_end_matches('0'))
    };
    match nanos {
        n if n < 1_000 => format!("{n}ns"),
        n if n < 1_000_000 => format!("{}µs", fraction(n, 1_000)),
        n if n < 1_000_000_000 => format!("{}ms", fraction(n, 1_000_000)),
        n => {
            let minutes = n / 60_000_000_000;
            let seconds = fraction(n % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, m) => format!("{m}m{seconds}s"),
                (h, m) => format!("{h}h{m}m{seconds}s"),
            }
        }
    }
}

/// Reads a size in bytes: `64m`, `1.5g`, `1gb`, `512` (units are powers of 1024, as in docker's go-units).
pub fn parse_bytes(text: &str) -> Result<i64, String> {
    let bad = || format!("invalid size {text:?}: write a number of bytes or a unit, like 512m or 1.5gb");
    let t = text.trim();
    if let Ok(whole) = t.parse() {
        return Ok(whole);
    }
    let end = t.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(t.len());
    let number: f64 = t[..end].parse().map_err(|_| bad())?;
    let unit = t[end..].trim().to_ascii_lowercase();
    let shift = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return Err(bad()),
    };
    Ok((number * (1u64 << shift) as f64) as i64)
}

/// Splits a command as docker compose splits it: quotes and backslashes, no expansion. An unquoted `;`, `&`, `|`, `<`
/// or `>` ends it; `#` has no meaning.
pub fn split_command(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let (mut single, mut double, mut back, mut dollar, mut escaped) = (false, false, false, false, false);
    for c in text.chars() {
        if escaped {
            word.get_or_insert_default().push(c);
            escaped = false;
            continue;
        }
        match c {
            '\\' if !single => escaped = true,
            ' ' | '\t' | '\r' | '\n' if !(single || double || back || dollar) => words.extend(word.take()),
            '"' if !single && !dollar => {
                word.get_or_insert_default();
                double = !double;
            }
            '\'' if !double && !dollar => {
                word.get_or_insert_default();
                single = !single;
            }
            '(' if !(single || double || back) => {
                if dollar || !word.as_deref().unwrap_or_default().ends_with('$') {
                    return Err("an unquoted parenthesis".into());
                }
                dollar = true;
                word.get_or_insert_default().push(c);
            }
            ';' | '&' | '|' | '<' | '>' if !(single || double || back || dollar) => {
                // `2>` is a redirection: the digit belongs to it.
                if c == '>' && word.as_deref().is_some_and(|w| w.starts_with(|d: char| d.is_ascii_digit())) {
                    word = None;
                }
                break;
            }
            c => {
                match c {
                    '`' if !(single || double || dollar) => back = !back,
                    ')' if !(single || double || back) => dollar = !dollar,
                    _ => {}
                }
                word.get_or_insert_default().push(c);
            }
        }
    }
    if single || double || back || dollar || escaped {
        return Err("a quote isn't closed".into());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, print) in [
            ("90s", "1m30s"),
            ("1d", "24h0m0s"),
            ("1.5s", "1.5s"),
            ("500ms", "500ms"),
            ("1h", "1h0m0s"),
            ("2m", "2m0s"),
            ("0", "0s"),
            ("10us", "10µs"),
        ] {
            assert_eq!(print_duration(parse_duration(text).unwrap()), print, "{text}");
        }
        for bad in ["", "5", "s", "1x", "-1s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_and_commands() {
        assert_eq!(parse_bytes("64m"), Ok(64 << 20));
        assert_eq!(parse_bytes("1.5GB"), Ok(3 << 29));
        assert_eq!(parse_bytes("100"), Ok(100));
        assert!(parse_bytes("12q").is_err());
        assert_eq!(
            split_command(r#"sh -c "a 'b' \"c\"" d\ e ''"#).unwrap(),
            ["sh", "-c", "a 'b' \"c\"", "d e", ""]
        );
        assert_eq!(split_command("a #b | c").unwrap(), ["a", "#b"]);
        assert_eq!(split_command("a $(b c) 2>x").unwrap(), ["a", "$(b c)"]);
        for bad in ["a 'b", "(x)", "`a", "a\\"] {
            assert!(split_command(bad).is_err(), "{bad}");
        }
    }
}
