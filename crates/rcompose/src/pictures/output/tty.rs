//! The picture on a terminal: a line for each step with its time, and the last lines of those that run.

use std::time::Instant;

use super::{How, Inner, Step};
use crate::context::{Out, to_stderr};

/// Lines of output shown of a running step, as BuildKit's view has it.
pub(super) const LINES: usize = 6;

/// What is drawn.
#[derive(Debug)]
pub(super) struct Screen {
    drawn: usize,
    begun: Instant,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { drawn: 0, begun: Instant::now() }
    }
}

impl Inner {
    /// Draws the picture over the last one.
    pub(super) fn draw(&mut self, out: &Out) {
        if self.shell {
            // What is drawn next comes below it.
            self.screen.drawn = 0;
        }
        if self.shell || self.steps.is_empty() {
            return;
        }
        let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
        let width = size.map(|s| usize::from(s.ws_col)).filter(|n| *n > 0).unwrap_or(out.width);
        let height = size.map(|s| usize::from(s.ws_row)).filter(|n| *n > 0).unwrap_or(24);
        let lines = self.lines(out, width, height);
        let mut text = match self.screen.drawn {
            0 => String::new(),
            n => format!("\x1b[{n}A\r\x1b[J"),
        };
        self.screen.drawn = lines.len();
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
        to_stderr(&text);
    }

    fn lines(&self, out: &Out, width: usize, height: usize) -> Vec<String> {
        let paint = |code: &str, text: &str| match out.color_stderr {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        };
        let done = self.steps.values().filter(|s| s.ended.is_some()).count();
        let state = if self.finished && done == self.steps.len() { " FINISHED" } else { "" };
        let total = self.total.max(self.steps.len());
        let title =
            format!("[+] Building {:.1}s ({done}/{total}){state}", self.screen.begun.elapsed().as_secs_f64());
        let mut lines = vec![paint("1", &title)];
        // What is too long for the screen: of what is done the oldest goes first; at the end all is shown.
        let rows: usize = self.steps.values().map(|s| 1 + shown(s)).sum();
        let room = height.saturating_sub(2).max(1);
        let mut hide = if self.finished { 0 } else { rows.saturating_sub(room) };
        for step in self.steps.values() {
            if hide > 0 && step.ended.is_some() {
                hide -= 1;
                continue;
            }
            let (word, color) = match step.ended.map(|e| e.how) {
                None => ("", "0"),
                Some(How::Done) => ("", "34"),
                Some(How::Cached) => ("CACHED ", "34"),
                Some(How::Failed) => ("ERROR ", "31"),
            };
            let took = step.ended.map_or_else(|| step.begun.elapsed(), |e| e.took);
            let time = format!("{:.1}s", took.as_secs_f64());
            let name: String = one_line(&format!("{word}{}", step.name))
                .chars()
                .take(width.saturating_sub(time.len() + 6))
                .collect();
            let gap = " ".repeat(width.saturating_sub(name.chars().count() + time.len() + 5));
            lines.push(paint(color, &format!(" => {name}{gap} {time}")));
            if shown(step) > 0 {
                for line in &step.last {
                    let line: String = one_line(line).chars().take(width.saturating_sub(10)).collect();
                    let mark = if step.export { "" } else { "# " };
                    lines.push(paint("2", &format!(" => => {mark}{line}")));
                }
            }
        }
        if !self.finished {
            lines.truncate(room + 1);
        }
        lines
    }
}

fn shown(step: &Step) -> usize {
    if step.ended.is_some() && !step.export { 0 } else { step.last.len() }
}

/// Without what moves the cursor: after the last carriage return, control characters as spaces.
fn one_line(text: &str) -> String {
    let visible = text.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
    let mut out = String::new();
    let mut escape = false;
    for c in visible.chars() {
        match c {
            '\x1b' => escape = true,
            c if escape => escape = !c.is_ascii_alphabetic(),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_bars_and_colours_stay_on_their_line() {
        assert_eq!(one_line("10%\r20%\r30%\r"), "30%");
        assert_eq!(one_line("\x1b[1;31mred\x1b[0m\ttab"), "red tab");
    }
}
