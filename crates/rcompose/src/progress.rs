//! What goes on, on stderr: a tree that changes in place on a terminal, else a line for each change, or JSON.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rcompose_engine::StepEvent;
use rcompose_plan::{LocalOp, Plan, WaitCondition};
use serde_json::json;

use crate::context::{Context, Out, ProgressMode, to_stderr};

/// How often the tree is drawn again while something goes on.
pub(crate) const FRAME: Duration = Duration::from_millis(100);

const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Working,
    Done,
    Failed,
}

#[derive(Debug)]
struct Row {
    id: String,
    text: String,
    phase: Phase,
    begun: Instant,
    ended: Option<Instant>,
}

/// Shows the progress of named things.
#[derive(Debug)]
pub(crate) struct Progress {
    out: Out,
    title: String,
    rows: Vec<Row>,
    index: BTreeMap<String, usize>,
    /// Lines of the tree on the screen.
    drawn: usize,
    begun: Instant,
}

impl Progress {
    /// `title` stands above the tree: `up`, `down`, `pull`.
    pub(crate) fn new(cx: &Context, title: &str) -> Self {
        Self {
            out: cx.out.clone(),
            title: title.to_owned(),
            rows: Vec::new(),
            index: BTreeMap::new(),
            drawn: 0,
            begun: Instant::now(),
        }
    }

    /// The tree moves: [`Self::tick`] wants to be called every [`FRAME`].
    pub(crate) fn moves(&self) -> bool {
        self.out.progress == ProgressMode::Tty && self.rows.iter().any(|r| r.phase == Phase::Working)
    }

    pub(crate) fn begin(&mut self, id: &str, text: &str) {
        self.change(id, text, Phase::Working);
    }

    pub(crate) fn done(&mut self, id: &str, text: &str) {
        self.change(id, text, Phase::Done);
    }

    /// The end of something that nothing was said of while it went on.
    pub(crate) fn took(&mut self, id: &str, text: &str, time: Duration) {
        let now = Instant::now();
        self.change_since(now.checked_sub(time).unwrap_or(now), id, text, Phase::Done);
    }

    pub(crate) fn failed(&mut self, id: &str, text: &str) {
        self.change(id, text, Phase::Failed);
    }

    /// Changes the words of something that goes on; a line of its own only in the tree and in JSON.
    pub(crate) fn say(&mut self, id: &str, text: &str) {
        if self.out.progress == ProgressMode::Plain {
            return;
        }
        self.change(id, text, Phase::Working);
    }

    /// The end of something that had no line of its own before.
    pub(crate) fn say_done(&mut self, id: &str, text: &str) {
        if self.out.progress != ProgressMode::Plain {
            self.change(id, text, Phase::Done);
        }
    }

    /// A line for the user that stays.
    pub(crate) fn note(&mut self, id: &str, text: &str) {
        match self.out.progress {
            ProgressMode::Tty => {
                let clear = self.clear();
                to_stderr(&format!("{clear} {id}  {text}\n"));
                self.draw();
            }
            ProgressMode::Plain => to_stderr(&format!(" {id}  {text}\n")),
            ProgressMode::Json => to_stderr(&(json!({"id": id, "text": text}).to_string() + "\n")),
            ProgressMode::Quiet => {}
        }
    }

    /// Prints something that stays above the tree.
    pub(crate) fn above<E>(&mut self, print: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let clear = self.clear();
        if !clear.is_empty() {
            to_stderr(&clear);
        }
        print()?;
        self.tick();
        Ok(())
    }

    /// What a step of a plan does.
    pub(crate) fn step(&mut self, plan: &Plan, event: &StepEvent) {
        let step = match event {
            StepEvent::Started { step }
            | StepEvent::Finished { step, .. }
            | StepEvent::Failed { step, .. }
            | StepEvent::Skipped { step }
            | StepEvent::Note { step, .. }
            | StepEvent::Output { step, .. } => *step,
        };
        let Some(step) = plan.steps.get(step) else { return };
        let Some((doing, did)) = words(&step.op) else { return };
        match event {
            StepEvent::Started { .. } => self.begin(&step.subject, doing),
            StepEvent::Finished { .. } => self.done(&step.subject, did),
            StepEvent::Failed { .. } => self.failed(&step.subject, "Error"),
            StepEvent::Skipped { .. } | StepEvent::Output { .. } => {}
            StepEvent::Note { text, .. } => self.note(&step.subject, text),
        }
    }

    /// Draws the next picture.
    pub(crate) fn tick(&mut self) {
        if self.out.progress == ProgressMode::Tty {
            self.draw();
        }
    }

    /// Leaves the tree as it is; what is shown next comes below.
    pub(crate) fn finish(&mut self) {
        if self.out.progress == ProgressMode::Tty && !self.rows.is_empty() {
            self.draw();
        }
        self.drawn = 0;
        self.rows.clear();
        self.index.clear();
    }

    fn change(&mut self, id: &str, text: &str, phase: Phase) {
        self.change_since(Instant::now(), id, text, phase);
    }

    /// `begun` counts for what is new.
    fn change_since(&mut self, begun: Instant, id: &str, text: &str, phase: Phase) {
        let now = Instant::now();
        let ended = (phase != Phase::Working).then_some(now);
        match self.index.get(id) {
            Some(&i) => {
                let row = &mut self.rows[i];
                if row.phase == phase && row.text == text {
                    return;
                }
                (row.text, row.phase, row.ended) = (text.to_owned(), phase, ended);
            }
            None => {
                self.index.insert(id.to_owned(), self.rows.len());
                let (id, text) = (id.to_owned(), text.to_owned());
                self.rows.push(Row { id, text, phase, begun, ended });
            }
        }
        match self.out.progress {
            ProgressMode::Tty => self.draw(),
            ProgressMode::Plain => to_stderr(&format!(" {id}  {text}\n")),
            ProgressMode::Json => {
                let status = match phase {
                    Phase::Working => "Working",
                    Phase::Done => "Done",
                    Phase::Failed => "Error",
                };
                to_stderr(&(json!({"id": id, "status": status, "text": text}).to_string() + "\n"));
            }
            ProgressMode::Quiet => {}
        }
    }

    /// Takes the tree away: to its first line, and all below cleared.
    fn clear(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            n => format!("\x1b[{n}A\r\x1b[J"),
        }
    }

    fn draw(&mut self) {
        if self.rows.is_empty() {
            return;
        }
        let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
        let width = size.map(|s| usize::from(s.ws_col)).filter(|n| *n > 0).unwrap_or(self.out.width);
        let height = size.map(|s| usize::from(s.ws_row)).filter(|n| *n > 0).unwrap_or(24);
        let mut text = self.clear();
        let lines = self.lines(width, height);
        self.drawn = lines.len();
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
        to_stderr(&text);
    }

    fn lines(&self, width: usize, height: usize) -> Vec<String> {
        let done = self.rows.iter().filter(|r| r.phase == Phase::Done).count();
        let mut lines = vec![self.paint("1", &format!("[+] {} {done}/{}", self.title, self.rows.len()))];
        let names = self.rows.iter().map(|r| r.id.chars().count()).max().unwrap_or(0);
        let words = self.rows.iter().map(|r| r.text.chars().count()).max().unwrap_or(0);
        // What is too long for the screen: done rows go first, the oldest of them first.
        let room = height.saturating_sub(2).max(1);
        let mut hide = self.rows.len().saturating_sub(room);
        let frame = (self.begun.elapsed().as_millis() / FRAME.as_millis()) as usize % SPINNER.len();
        for row in &self.rows {
            if hide > 0 && row.phase == Phase::Done {
                hide -= 1;
                continue;
            }
            let took = row.ended.unwrap_or_else(Instant::now).duration_since(row.begun).as_secs_f64();
            let (mark, color) = match row.phase {
                Phase::Working => (SPINNER[frame], "33"),
                Phase::Done => ('✔', "32"),
                Phase::Failed => ('✘', "31"),
            };
            let time = format!("{took:.1}s");
            let name: String = row.id.chars().take(width.saturating_sub(words + time.len() + 8)).collect();
            let pad = " ".repeat(names.min(width / 2).saturating_sub(name.chars().count()));
            let gap = " ".repeat(words.saturating_sub(row.text.chars().count()));
            lines.push(format!(
                " {} {name}{pad}  {}{gap}  {}",
                self.paint(color, &mark.to_string()),
                self.paint(color, &row.text),
                self.paint("34", &time),
            ));
        }
        lines.truncate(room + 1);
        lines
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.out.color_stderr { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What a step is called while it goes on, and afterwards; `None`: not worth a line.
fn words(op: &LocalOp) -> Option<(&'static str, &'static str)> {
    Some(match op {
        LocalOp::CreateContainer { replaces: Some(_), .. } => ("Recreate", "Recreated"),
        LocalOp::CreateNetwork { .. } | LocalOp::CreateVolume { .. } | LocalOp::CreateContainer { .. } => {
            ("Creating", "Created")
        }
        LocalOp::RemoveNetwork { .. } | LocalOp::RemoveVolume { .. } | LocalOp::RemoveContainer { .. } => {
            ("Removing", "Removed")
        }
        LocalOp::StartContainer { .. } => ("Starting", "Started"),
        LocalOp::WaitFor { condition, .. } => match condition {
            WaitCondition::Healthy => ("Waiting", "Healthy"),
            WaitCondition::Ready => ("Waiting", "Healthy"),
            WaitCondition::Started => ("Waiting", "Started"),
            WaitCondition::CompletedSuccessfully | WaitCondition::Ended => ("Waiting", "Exited"),
        },
        LocalOp::StopContainer { .. } => ("Stopping", "Stopped"),
        LocalOp::KillContainer { .. } => ("Killing", "Killed"),
        LocalOp::PauseContainer { .. } => ("Pausing", "Paused"),
        LocalOp::UnpauseContainer { .. } => ("Unpausing", "Unpaused"),
        LocalOp::RenameContainer { .. } => return None,
    })
}
