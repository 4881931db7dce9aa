use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    Mebibytes,
}

/// All values of one piece of work.
#[derive(Debug)]
struct Row {
    work: String,
    unit: Unit,
    values: BTreeMap<&'static str, Vec<f64>>,
}

/// Everything measured, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<Row>,
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

impl Report {
    pub(super) fn add(&mut self, work: &str, engine: &'static str, unit: Unit, value: f64) {
        let at = self.rows.iter().position(|r| r.work == work).unwrap_or_else(|| {
            self.rows.push(Row { work: work.to_owned(), unit, values: BTreeMap::new() });
            self.rows.len() - 1
        });
        self.rows[at].values.entry(engine).or_default().push(value);
    }

    /// Medians side by side, with how many times faster rcompose is than docker and slower than the floor.
    pub(super) fn table(&self) -> String {
        let has = |e: &str| self.rows.iter().any(|r| r.values.contains_key(e));
        let engines: Vec<&str> = ["floor", "rcompose", "docker"].into_iter().filter(|e| has(e)).collect();
        let mut text = format!("| {:34} |", "work (medians)");
        let mut rule = format!("|{:-<36}|", "");
        for e in &engines {
            write!(text, " {e:>11} |").unwrap_or_default();
            rule.push_str("------------:|");
        }
        text.push_str(" docker/rcompose | rcompose/floor |\n");
        text.push_str(&rule);
        text.push_str("----------------:|---------------:|\n");
        for row in &self.rows {
            let of = |e: &str| row.values.get(e).map(|v| median(v));
            write!(text, "| {:34} |", row.work).unwrap_or_default();
            for e in &engines {
                let cell = match (of(e), row.unit) {
                    (Some(v), Unit::Milliseconds) => format!("{v:.1} ms"),
                    (Some(v), Unit::Mebibytes) => format!("{v:.1} MiB"),
                    (None, _) => String::new(),
                };
                write!(text, " {cell:>11} |").unwrap_or_default();
            }
            let ratio = |a: Option<f64>, b: Option<f64>| match (a, b) {
                (Some(a), Some(b)) if b > 0.0 => format!("{:.1}×", a / b),
                _ => String::new(),
            };
            let (gain, cost) = (ratio(of("docker"), of("rcompose")), ratio(of("rcompose"), of("floor")));
            writeln!(text, " {gain:>15} | {cost:>14} |").unwrap_or_default();
        }
        text
    }

    /// All values.
    pub(super) fn json(&self) -> Value {
        let unit = |u| if u == Unit::Milliseconds { "ms" } else { "MiB" };
        let row = |r: &Row| json!({"work": r.work, "unit": unit(r.unit), "values": r.values});
        Value::Array(self.rows.iter().map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_shows_medians_and_ratios() {
        let mut report = Report::default();
        for v in [10.0, 30.0, 20.0] {
            report.add("up", "rcompose", Unit::Milliseconds, v);
            report.add("up", "docker", Unit::Milliseconds, v * 10.0);
        }
        report.add("up", "floor", Unit::Milliseconds, 5.0);
        report.add("memory", "rcompose", Unit::Mebibytes, 4.0);
        let table = report.table();
        let lines: Vec<&str> = table.lines().collect();
        assert!(
            lines[2].contains("20.0 ms") && lines[2].contains("10.0×") && lines[2].contains("4.0×"),
            "{table}"
        );
        assert!(lines[3].contains("4.0 MiB"), "{table}");
        assert_eq!(report.json()[0]["values"]["docker"][1], 300.0);
    }

    #[test]
    fn median_of_even_and_odd() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
