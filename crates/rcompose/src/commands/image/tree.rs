//! `image ls` as docker shows it since version 29: names with the room they take, and with `--tree` their platforms.

use crate::context::Out;
use crate::render::time::human_size;

const SPACING: &str = "   ";
const UNTAGGED: &str = "<untagged>";
/// A name has at least so much room on a terminal; columns behind it give way.
const NARROWEST: usize = 12;
const BOLD: &str = "\x1b[1m";
const NAME: &str = "\x1b[34;1m";
const FAINT: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// What is told of an image.
#[derive(Debug, Clone)]
pub(super) struct Details {
    pub(super) id: String,
    /// Bytes of its files.
    pub(super) usage: u64,
    /// Bytes of its layers and documents as they travel.
    pub(super) content: u64,
    /// A container uses it.
    pub(super) used: bool,
}

/// A line, and those below it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) names: Vec<String>,
    pub(super) details: Details,
    /// By platform.
    pub(super) children: Vec<(String, Details)>,
}

struct Column {
    title: &'static str,
    width: usize,
    right: bool,
}

/// The whole view.
pub(super) fn render(mut entries: Vec<Entry>, out: &Out) -> String {
    entries.sort_by_key(|e| (e.names.is_empty(), e.names.first().cloned()));
    let widest = entries.iter().flat_map(|e| {
        // docker counts bytes here.
        let names = e.names.iter().map(String::len);
        let platforms = e.children.iter().map(|(p, _)| p.len() + "└─ ".len());
        names.chain(platforms).chain(e.names.is_empty().then_some(UNTAGGED.len()))
    });
    let widest = widest.max().unwrap_or(0).max("IMAGE".len());
    let any_used = entries.iter().any(|e| e.details.used || e.children.iter().any(|(_, d)| d.used));
    let extra = if out.color_stdout { 3 } else { 1 };
    let mut columns = vec![
        Column { title: "IMAGE", width: widest, right: false },
        Column { title: "ID", width: 12, right: false },
        Column { title: "DISK USAGE", width: 10, right: true },
        Column { title: "CONTENT SIZE", width: 12, right: true },
        Column { title: "EXTRA", width: "EXTRA".len(), right: false },
    ];
    let mut view = View { text: String::new(), colored: out.color_stdout, any_used };
    if out.stdout_tty {
        fit(&mut columns, out.width.max(20));
        view.legend(out.width.max(20));
    }
    let heads: Vec<String> = columns.iter().map(|c| view.cell(c, BOLD, c.title, c.title.len())).collect();
    view.text += &(heads.join(SPACING) + "\n");
    let spaced = entries.iter().any(|e| !e.children.is_empty());
    for entry in &entries {
        view.names(&columns[0], &entry.names);
        view.details(&columns[1..], &entry.details, extra);
        view.text += if spaced { "\n" } else { "" };
        for (n, (platform, details)) in entry.children.iter().enumerate() {
            let branch = if n + 1 == entry.children.len() { "└─ " } else { "├─ " };
            let text = format!("{branch}{platform}");
            view.text += &view.cell(&columns[0], "", &text, text.chars().count());
            view.details(&columns[1..], details, extra);
            view.text.push('\n');
        }
        view.text.push('\n');
    }
    view.text
}

/// Gives names what room there is, and leaves out columns that find none.
fn fit(columns: &mut Vec<Column>, width: usize) {
    let mut left = width;
    for n in 1..columns.len() {
        let takes = columns[n].width + SPACING.len();
        if left < takes + NARROWEST {
            columns.truncate(n);
            break;
        }
        left -= takes;
    }
    columns[0].width = columns[0].width.min(left);
}

struct View {
    text: String,
    colored: bool,
    any_used: bool,
}

impl View {
    fn cell(&self, column: &Column, color: &str, text: &str, length: usize) -> String {
        let blanks = " ".repeat(column.width.saturating_sub(length));
        let text = match self.colored && !color.is_empty() {
            true => format!("{color}{text}{PLAIN}"),
            false => text.to_owned(),
        };
        if column.right { blanks + &text } else { text + &blanks }
    }

    /// Each on a line of its own, and one too long for the column alone on it.
    fn names(&mut self, column: &Column, names: &[String]) {
        if names.is_empty() {
            self.text += &self.cell(column, FAINT, UNTAGGED, UNTAGGED.len());
        }
        for (n, name) in names.iter().enumerate() {
            let (length, last) = (name.chars().count(), n + 1 == names.len());
            self.text += &self.cell(column, NAME, name, length);
            if !last || length > column.width {
                self.text.push('\n');
            }
            if last && length > column.width {
                self.text += &" ".repeat(column.width);
            }
        }
    }

    fn details(&mut self, columns: &[Column], details: &Details, extra: usize) {
        let chip = match (self.any_used, details.used, self.colored) {
            (false, ..) => (String::new(), 0),
            (_, false, _) => (" ".repeat(extra), extra),
            (_, true, false) => ("U".to_owned(), extra),
            (_, true, true) => (format!("\x1b[38;5;0m\x1b[48;5;14m U {PLAIN}"), extra),
        };
        let (usage, content) = (human_size(details.usage), human_size(details.content));
        let cells =
            [(details.id.clone(), 12), (usage.clone(), usage.len()), (content.clone(), content.len()), chip];
        for (column, (text, length)) in columns.iter().zip(cells) {
            self.text += SPACING;
            self.text += &self.cell(column, "", &text, length);
        }
    }

    fn legend(&mut self, width: usize) {
        let (text, length) = match self.colored {
            true => (format!("{BOLD}i Info → {PLAIN} \x1b[38;5;0m\x1b[48;5;14m U {PLAIN} In Use"), 20),
            false => (" Info ->  U In Use".to_owned(), 18),
        };
        self.text += &format!("{}{text}\n", " ".repeat(width.saturating_sub(length)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(used: bool) -> Details {
        Details { id: "0123456789ab".into(), usage: 1_984_000, content: 1_000_000, used }
    }

    fn out(tty: bool, width: usize) -> Out {
        Out {
            color_stdout: false,
            color_stderr: false,
            stdout_tty: tty,
            progress: crate::context::ProgressMode::Plain,
            width,
        }
    }

    #[test]
    fn as_docker_shows_it() {
        let entry = |names: &[&str], used| Entry {
            names: names.iter().map(|n| (*n).to_owned()).collect(),
            details: details(used),
            children: Vec::new(),
        };
        let all = || vec![entry(&[], false), entry(&["other/bb:1"], false), entry(&["bb:1"], true)];
        let want = "\
IMAGE        ID             DISK USAGE   CONTENT SIZE   EXTRA
bb:1         0123456789ab       1.98MB            1MB   U    \n\
other/bb:1   0123456789ab       1.98MB            1MB        \n\
<untagged>   0123456789ab       1.98MB            1MB        \n";
        assert_eq!(render(all(), &out(false, 80)), want);
        let narrow = render(all(), &out(true, 46));
        assert_eq!(narrow.lines().nth(1).unwrap(), "IMAGE        ID             DISK USAGE");
        assert!(narrow.starts_with("                             Info ->  U In Use\n"), "{narrow}");
    }

    #[test]
    fn platforms_are_branches() {
        let child = |platform: &str| (platform.to_owned(), details(false));
        let entry = Entry {
            names: vec!["a:1".into(), "a:2".into()],
            details: details(false),
            children: vec![child("linux/amd64"), child("linux/arm64")],
        };
        let want = "\
IMAGE                ID             DISK USAGE   CONTENT SIZE   EXTRA
a:1               \n\
a:2                  0123456789ab       1.98MB            1MB        \n\
├─ linux/amd64       0123456789ab       1.98MB            1MB        \n\
└─ linux/arm64       0123456789ab       1.98MB            1MB        \n\n";
        assert_eq!(render(vec![entry], &out(false, 80)), want);
    }
}
