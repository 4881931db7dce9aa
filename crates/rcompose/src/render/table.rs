//! Columns as docker prints them: Go's `text/tabwriter` with blanks.

/// A table that is printed whole.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    min_width: usize,
    padding: usize,
}

impl Table {
    /// As `docker ps` and `docker compose ps`: columns at least 10 wide, 3 blanks between.
    pub(crate) fn new(head: &[&str]) -> Self {
        Self::with_layout(head, 10, 3)
    }

    /// As `docker compose ls` and `images`: columns at least 20 wide.
    pub(crate) fn wide(head: &[&str]) -> Self {
        Self::with_layout(head, 20, 3)
    }

    /// Columns at least `min_width` wide, `padding` blanks between.
    pub(crate) fn with_layout(head: &[&str], min_width: usize, padding: usize) -> Self {
        Self { rows: vec![head.iter().map(|h| (*h).to_owned()).collect()], min_width, padding }
    }

    /// Adds a line.
    pub(crate) fn row<I: IntoIterator<Item = S>, S: Into<String>>(&mut self, cells: I) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The text, every line with its newline; the last cell of a line isn't padded.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |c: usize| {
            let cells = self.rows.iter().filter(|r| c + 1 < r.len());
            let longest = cells.map(|r| r[c].chars().count()).max().unwrap_or(0);
            (longest + self.padding).max(self.min_width)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            for (i, cell) in row.iter().enumerate() {
                out.push_str(cell);
                if i + 1 < row.len() {
                    let used = cell.chars().count();
                    out.extend(std::iter::repeat_n(' ', widths[i].saturating_sub(used)));
                }
            }
            out.push('\n');
        }
        out
    }
}

/// Cuts a text to `max` characters, the last of them an ellipsis, as docker does.
pub(crate) fn ellipsis(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// Fills a template of `{{.Name}}` fields (with `table ` in front: a table with heads), which is
/// what people write in `--format`; also `{{json .}}`, `\t` and `\n`.
///
/// # Errors
/// A field that doesn't exist, or an expression beyond fields.
pub(crate) fn template(format: &str, rows: &[serde_json::Value]) -> Result<String, String> {
    let (format, head) = match format.strip_prefix("table ") {
        Some(rest) => (rest, true),
        None => (format, false),
    };
    let parts = parse(&format.replace("\\t", "\t").replace("\\n", "\n"))?;
    let mut lines: Vec<String> = Vec::new();
    for row in rows {
        let mut line = String::new();
        for part in &parts {
            match part {
                Part::Text(t) => line.push_str(t),
                Part::Json(None) => line.push_str(&row.to_string()),
                Part::Json(Some(f)) => line.push_str(&field(row, f)?.to_string()),
                Part::Field(f) => match field(row, f)? {
                    serde_json::Value::String(s) => line.push_str(s),
                    other => line.push_str(&other.to_string()),
                },
            }
        }
        lines.push(line);
    }
    if !head {
        return Ok(lines.into_iter().map(|l| l + "\n").collect());
    }
    let heads: String = parts
        .iter()
        .map(|p| match p {
            Part::Text(t) => t.clone(),
            Part::Json(f) => f.clone().unwrap_or_default().to_uppercase(),
            Part::Field(f) => f.to_uppercase(),
        })
        .collect();
    let mut table = Table::new(&heads.split('\t').collect::<Vec<_>>());
    for line in &lines {
        table.row(line.split('\t'));
    }
    Ok(table.render())
}

enum Part {
    Text(String),
    Field(String),
    Json(Option<String>),
}

fn parse(format: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find("{{") {
        if at > 0 {
            parts.push(Part::Text(rest[..at].to_owned()));
        }
        let Some(end) = rest[at..].find("}}") else {
            return Err(format!("template parsing error: unclosed action in {format:?}"));
        };
        let action = rest[at + 2..at + end].trim();
        let part = match action.split_whitespace().collect::<Vec<_>>()[..] {
            ["json", "."] => Part::Json(None),
            ["json", f] if f.starts_with('.') => Part::Json(Some(f[1..].to_owned())),
            [f] if f.len() > 1 && f.starts_with('.') => Part::Field(f[1..].to_owned()),
            _ => {
                return Err(format!(
                    "template parsing error: {action:?} is not a field such as {{{{.Name}}}}"
                ));
            }
        };
        parts.push(part);
        rest = &rest[at + end + 2..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

fn field<'a>(row: &'a serde_json::Value, name: &str) -> Result<&'a serde_json::Value, String> {
    row.get(name).ok_or_else(|| {
        let known: Vec<&str> =
            row.as_object().map(|o| o.keys().map(String::as_str).collect()).unwrap_or_default();
        format!("template: there is no field {name:?}; there are {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_gos() {
        let mut t = Table::new(&["NAME", "STATUS", "PORTS"]);
        t.row(["a-long-name-1", "Up", ""]);
        assert_eq!(t.render(), "NAME            STATUS    PORTS\na-long-name-1   Up        \n");
    }

    #[test]
    fn texts_are_cut() {
        assert_eq!(ellipsis("\"sleep 1000000 and more\"", 20), "\"sleep 1000000 and …");
        assert_eq!(ellipsis("short", 20), "short");
    }

    #[test]
    fn templates_are_filled() {
        let rows = [serde_json::json!({"Name": "a", "Ports": [1]})];
        assert_eq!(template("{{.Name}}: {{json .Ports}}", &rows).unwrap(), "a: [1]\n");
        assert_eq!(
            template(r"table {{.Name}}\t{{.Ports}}", &rows).unwrap(),
            "NAME      PORTS\na         [1]\n"
        );
        assert!(template("{{.Nam}}", &rows).unwrap_err().contains("Name, Ports"));
        assert!(template("{{.Name", &rows).is_err());
    }
}
