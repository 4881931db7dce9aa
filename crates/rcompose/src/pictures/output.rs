//! What builds say, as BuildKit's plain progress: `#5 [app 2/4] RUN make`, `#5 0.123 its output`, `#5 DONE 1.2s`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rcompose_build::{BuildEvent, BuildEvents};
use serde_json::json;

use crate::context::{Context, Out, ProgressMode, to_stderr};

/// Numbers the steps of all builds of a command, and writes to stderr.
pub(super) struct Output {
    out: Out,
    quiet: bool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    steps: BTreeMap<(String, usize), Step>,
}

struct Step {
    number: usize,
    name: String,
    begun: Instant,
    /// What has been written of a line.
    rest: Vec<u8>,
}

/// The events of one build.
pub(super) struct BuildOutput<'a> {
    pub(super) all: &'a Output,
    /// Whose build: stands in front of the steps' names.
    pub(super) label: String,
}

impl Output {
    pub(super) fn new(cx: &Context, quiet: bool) -> Self {
        let quiet = quiet || cx.out.progress == ProgressMode::Quiet;
        Self { out: cx.out.clone(), quiet, inner: Mutex::default() }
    }

    fn say(&self, step: &Step, text: &str) {
        if self.quiet {
            return;
        }
        let n = step.number;
        match self.out.progress {
            ProgressMode::Json => {
                to_stderr(&(json!({"id": format!("#{n} {}", step.name), "text": text}).to_string() + "\n"));
            }
            _ => to_stderr(&format!("#{n} {text}\n")),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.out.color_stderr && self.out.progress != ProgressMode::Json {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

impl BuildEvents for BuildOutput<'_> {
    fn event(&self, event: BuildEvent<'_>) {
        let mut inner = self.all.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let number = inner.steps.len() + 1;
        let key = |step: usize| (self.label.clone(), step);
        match event {
            BuildEvent::Started { step, name, .. } => {
                let name = match name.strip_prefix('[') {
                    Some(rest) if !self.label.is_empty() => format!("[{} {rest}", self.label),
                    _ => name.to_owned(),
                };
                let step_ = Step { number, name: name.clone(), begun: Instant::now(), rest: Vec::new() };
                self.all.say(&step_, &self.all.paint("34", &name));
                inner.steps.insert(key(step), step_);
            }
            BuildEvent::Output { step, bytes, .. } => {
                let Some(s) = inner.steps.get_mut(&key(step)) else { return };
                s.rest.extend_from_slice(bytes);
                let Some(end) = s.rest.iter().rposition(|b| *b == b'\n') else { return };
                let lines: Vec<u8> = s.rest.drain(..=end).collect();
                let time = s.begun.elapsed().as_secs_f64();
                for line in String::from_utf8_lossy(&lines).lines() {
                    self.all.say(s, &format!("{time:.3} {line}"));
                }
            }
            BuildEvent::Finished { step, cached, duration } => {
                let Some(s) = inner.steps.get_mut(&key(step)) else { return };
                let text =
                    if cached { "CACHED".to_owned() } else { format!("DONE {:.1}s", duration.as_secs_f64()) };
                self.all.flush(s);
                self.all.say(s, &self.all.paint("32", &text));
            }
            BuildEvent::Failed { step, message } => {
                let Some(s) = inner.steps.get_mut(&key(step)) else { return };
                self.all.flush(s);
                self.all.say(s, &self.all.paint("31", &format!("ERROR: {message}")));
            }
            BuildEvent::Warning { message, line } => {
                if self.all.quiet {
                    return;
                }
                let place = if line > 0 { format!(" (line {line})") } else { String::new() };
                to_stderr(&format!("{}: {message}{place}\n", self.all.paint("33", "warning")));
            }
        }
    }
}

impl Output {
    /// A last line without its newline.
    fn flush(&self, step: &mut Step) {
        let rest = std::mem::take(&mut step.rest);
        if !rest.is_empty() {
            let time = step.begun.elapsed().as_secs_f64();
            self.say(step, &format!("{time:.3} {}", String::from_utf8_lossy(&rest)));
        }
    }
}
