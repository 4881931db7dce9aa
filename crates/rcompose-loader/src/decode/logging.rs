//! `logging`: what is kept of the output, with docker's defaults for each driver.

use rcompose_model::Logging;

use super::value::opt_text;
use crate::cx::Cx;
use crate::tree::Node;

/// What the driver `local` keeps unless told otherwise: five files of 20 MB.
const LOCAL: (u64, u32) = (20_000_000, 5);

pub(super) fn logging(cx: &mut Cx<'_>, n: &Node) -> Logging {
    let Some(node) = n.get("logging") else { return Logging::default() };
    let driver = opt_text(node, "driver").unwrap_or_default();
    let (size, files) = match driver.as_str() {
        "none" => return Logging::Nothing,
        "" | "json-file" => (None, 1),
        "local" => (Some(LOCAL.0), LOCAL.1),
        // The table of capabilities tells that there is no such driver.
        _ => return Logging::Whole,
    };
    let option = |key| node.get("options").and_then(|o| o.get(key));
    let size = match option("max-size") {
        None => size,
        Some(given) => match given.scalar_text().as_deref().map(human_size) {
            Some(Some(size)) if size > 0 => Some(size),
            // Docker's word for “no end”.
            Some(_) if given.scalar_text().as_deref() == Some("-1") && driver != "local" => None,
            _ => {
                let text = given.scalar_text().unwrap_or_default();
                let d = cx.error(given.span, format!("logging: max-size {text:?} isn't a size above 0"));
                d.help.push("write a number and a unit, like 500k, 10m or 1g".into());
                None
            }
        },
    };
    let files = match option("max-file") {
        None => files,
        Some(given) => match given.scalar_text().and_then(|t| t.parse().ok()).filter(|f| *f > 0) {
            Some(files) => files,
            None => {
                let text = given.scalar_text().unwrap_or_default();
                cx.error(given.span, format!("logging: max-file {text:?} isn't a number above 0"))
                    .help
                    .push("write how many files may be kept, like \"3\"".into());
                1
            }
        },
    };
    size.map_or(Logging::Whole, |size| Logging::Rotated { size, files })
}

/// go-units' `FromHumanSize`, which the log drivers use: powers of 1000, unlike every other size in a Compose file.
fn human_size(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let unit = text[end..].trim_start_matches(' ').to_ascii_lowercase();
    let prefix = unit.strip_suffix('b').unwrap_or(&unit);
    let prefix = prefix.strip_suffix('i').unwrap_or(prefix);
    let power = match prefix {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative; a number too large becomes the largest"
    )]
    let bytes = (number * 1000f64.powi(power)) as u64;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_decimal() {
        let sizes = ["10", "10k", "1.5m", "2 GB", "1MiB", "x", "1x", ""].map(human_size);
        let wanted =
            [Some(10), Some(10_000), Some(1_500_000), Some(2_000_000_000), Some(1_000_000), None, None, None];
        assert_eq!(sizes, wanted);
    }
}
