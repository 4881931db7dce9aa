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
}
