//! What builds do, on stderr: steps that change in place on a terminal, lines elsewhere, or JSON.

mod raw;
mod tty;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rcompose_build::{BuildEvent, BuildEvents, Stream};
use rcompose_image::{Digest, Reference};
use serde_json::json;

use crate::context::{Context, Out, ProgressMode, to_stderr};
use crate::progress::FRAME;

pub(super) use raw::base64;

/// Numbers the steps of all builds of a command, and writes to stderr.
pub(super) struct Output {
    shared: Arc<Shared>,
    /// Draws the time that goes by.
    clock: Option<JoinHandle<()>>,
}

struct Shared {
    out: Out,
    mode: Mode,
    inner: Mutex<Inner>,
    change: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Tty,
    Plain,
    Json,
    /// BuildKit's `rawjson`.
    Raw,
    Quiet,
}

struct Inner {
    /// Those that are known to come, too.
    total: usize,
    steps: BTreeMap<usize, Step>,
    numbers: BTreeMap<(String, usize), usize>,
    warnings: Vec<String>,
    screen: tty::Screen,
    finished: bool,
    /// A shell has the terminal.
    shell: bool,
}

#[derive(Debug)]
struct Step {
    number: usize,
    name: String,
    begun: Instant,
    ended: Option<Ended>,
    /// What has been written of a line.
    rest: Vec<u8>,
    /// The last lines, for the terminal.
    last: std::collections::VecDeque<String>,
    /// It is the build's end: its lines stay.
    export: bool,
}

#[derive(Debug, Clone, Copy)]
struct Ended {
    took: Duration,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Done,
    Cached,
    Failed,
}

/// The events of one build.
pub(super) struct BuildOutput<'a> {
    pub(super) all: &'a Output,
    /// Whose build: stands in front of the steps' names.
    pub(super) label: String,
}

/// The step that keeps the result.
const EXPORT: usize = usize::MAX;

impl BuildOutput<'_> {
    /// The result is kept: as what, and under which names.
    pub(super) fn kept(&self, image: &Digest, names: &[Reference], duration: Duration) {
        let step = EXPORT;
        self.event(BuildEvent::Started { step, name: "exporting to image", line: 0 });
        let mut text = format!("writing image {image}\n");
        text.extend(names.iter().map(|name| format!("naming to {name}\n")));
        self.event(BuildEvent::Output { step, stream: Stream::Stdout, bytes: text.as_bytes() });
        self.event(BuildEvent::Finished { step, cached: false, duration });
    }
}

impl Output {
    /// `raw`: BuildKit's JSON, whatever else the mode is.
    pub(super) fn new(cx: &Context, quiet: bool, raw: bool) -> Self {
        let mode = match cx.out.progress {
            _ if quiet => Mode::Quiet,
            _ if raw => Mode::Raw,
            ProgressMode::Quiet => Mode::Quiet,
            ProgressMode::Json => Mode::Json,
            ProgressMode::Plain => Mode::Plain,
            ProgressMode::Tty => Mode::Tty,
        };
        let inner = Inner {
            total: 0,
            steps: BTreeMap::new(),
            numbers: BTreeMap::new(),
            warnings: Vec::new(),
            screen: tty::Screen::new(),
            finished: false,
            shell: false,
        };
        let shared =
            Arc::new(Shared { out: cx.out.clone(), mode, inner: Mutex::new(inner), change: Condvar::new() });
        let clock = (mode == Mode::Tty).then(|| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.tick())
        });
        Self { shared, clock }
    }

    /// The last picture, and what was doubtful.
    pub(super) fn finish(&mut self) {
        let mut inner = self.shared.lock();
        if std::mem::replace(&mut inner.finished, true) {
            return;
        }
        self.shared.change.notify_all();
        if self.shared.mode == Mode::Tty {
            inner.draw(&self.shared.out);
        }
        let warnings = std::mem::take(&mut inner.warnings);
        drop(inner);
        if let Some(clock) = self.clock.take() {
            // It can't panic, and there would be nothing left to draw.
            drop(clock.join());
        }
        if !warnings.is_empty() && matches!(self.shared.mode, Mode::Tty | Mode::Plain) {
            let n = warnings.len();
            let title = format!("{n} warning{} found:", if n == 1 { "" } else { "s" });
            let mut text = format!("\n {}\n", self.shared.paint("33", &title));
            text.extend(warnings.iter().map(|w| format!(" - {w}\n")));
            to_stderr(&text);
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self) {
        let mut inner = self.lock();
        while !inner.finished {
            inner.draw(&self.out);
            let waited = self.change.wait_timeout(inner, FRAME);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn say(&self, step: &Step, text: &str) {
        let n = step.number;
        match self.mode {
            Mode::Json => {
                to_stderr(&(json!({"id": format!("#{n} {}", step.name), "text": text}).to_string() + "\n"));
            }
            Mode::Plain => to_stderr(&format!("#{n} {text}\n")),
            Mode::Tty | Mode::Raw | Mode::Quiet => {}
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.out.color_stderr && self.mode != Mode::Json {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn line(&self, step: &mut Step, line: &str) {
        let time = step.begun.elapsed().as_secs_f64();
        match step.export {
            true => self.say(step, line),
            false => self.say(step, &format!("{time:.3} {line}")),
        }
        if self.mode == Mode::Tty {
            step.last.push_back(line.to_owned());
            if step.last.len() > tty::LINES && !step.export {
                step.last.pop_front();
            }
        }
    }

    fn end(&self, step: &mut Step, ended: Ended, text: &str) {
        // A last line without its newline.
        let rest = std::mem::take(&mut step.rest);
        if !rest.is_empty() {
            self.line(step, &String::from_utf8_lossy(&rest));
        }
        step.ended = Some(ended);
        self.say(step, text);
    }
}

impl BuildEvents for BuildOutput<'_> {
    fn event(&self, event: BuildEvent<'_>) {
        let shared = &*self.all.shared;
        let mut inner = shared.lock();
        let inner = &mut *inner;
        if shared.mode == Mode::Raw {
            raw::say(&self.label, &event, &mut inner.numbers, &mut inner.steps);
        }
        let step = match &event {
            BuildEvent::Started { step, name, .. } => {
                let number = inner.steps.len() + 1;
                let name = match name.strip_prefix('[') {
                    _ if self.label.is_empty() => (*name).to_owned(),
                    Some(rest) => format!("[{} {rest}", self.label),
                    None => format!("[{}] {name}", self.label),
                };
                inner.numbers.insert((self.label.clone(), *step), number);
                let (begun, rest, last) = (Instant::now(), Vec::new(), std::collections::VecDeque::new());
                let export = *step == EXPORT;
                let step = Step { number, name, begun, ended: None, rest, last, export };
                shared.say(&step, &shared.paint("34", &step.name));
                inner.steps.insert(number, step);
                return;
            }
            BuildEvent::Planned { steps } => {
                inner.total += steps;
                return;
            }
            BuildEvent::Warning { message, line } => {
                let place = if *line > 0 { format!(" (line {line})") } else { String::new() };
                if shared.mode == Mode::Json {
                    to_stderr(
                        &(json!({"warning": true, "text": format!("{message}{place}")}).to_string() + "\n"),
                    );
                }
                let warning = format!("{message}{place}");
                if !inner.warnings.contains(&warning) {
                    inner.warnings.push(warning);
                }
                return;
            }
            BuildEvent::Shell { begins, .. } => {
                inner.shell = *begins;
                if *begins {
                    let exit = "a shell in the failed step's file system; `exit` ends it";
                    to_stderr(&format!("{}\n", shared.paint("33", exit)));
                }
                return;
            }
            BuildEvent::Output { step, .. }
            | BuildEvent::Finished { step, .. }
            | BuildEvent::Failed { step, .. } => *step,
        };
        let number = inner.numbers.get(&(self.label.clone(), step));
        let Some(s) = number.and_then(|n| inner.steps.get_mut(n)) else { return };
        match event {
            BuildEvent::Output { bytes, .. } => {
                s.rest.extend_from_slice(bytes);
                let Some(end) = s.rest.iter().rposition(|b| *b == b'\n') else { return };
                let lines: Vec<u8> = s.rest.drain(..=end).collect();
                for line in String::from_utf8_lossy(&lines).lines() {
                    shared.line(s, line);
                }
            }
            BuildEvent::Finished { cached, duration, .. } => {
                let how = if cached { How::Cached } else { How::Done };
                let text =
                    if cached { "CACHED".to_owned() } else { format!("DONE {:.1}s", duration.as_secs_f64()) };
                shared.end(s, Ended { took: duration, how }, &shared.paint("32", &text));
            }
            BuildEvent::Failed { message, .. } => {
                let ended = Ended { took: s.begun.elapsed(), how: How::Failed };
                shared.end(s, ended, &shared.paint("31", &format!("ERROR: {message}")));
            }
            _ => {}
        }
    }
}
