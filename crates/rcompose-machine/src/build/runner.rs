use std::io::{self, BufReader, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rcompose_engine::{FailureKind, StepFailure};

use super::wire::{Kind, recv};
use super::{BuildStep, BuildStream, agent};
use crate::Dirs;

/// Runs steps in helper processes, as many at once as there are callers. Dropped, it waits for their end.
#[derive(Debug)]
pub struct ProcessStepRunner {
    exe: PathBuf,
    dirs: Dirs,
    idle: Mutex<Vec<Helper>>,
}

#[derive(Debug)]
struct Helper {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl ProcessStepRunner {
    /// `exe` is this program; its hidden verb `__build-helper` runs [`super::build_helper_main`].
    pub fn new(dirs: &Dirs, exe: &Path) -> Self {
        Self { exe: exe.to_owned(), dirs: dirs.clone(), idle: Mutex::default() }
    }

    /// Runs one step to its end; the command's status.
    pub fn run(
        &self,
        step: &BuildStep,
        output: &mut dyn FnMut(BuildStream, &[u8]),
    ) -> Result<i32, StepFailure> {
        let lost = |e: &io::Error| StepFailure::environment("run a build step", e);
        let mut step = step.clone();
        let _agents = agent::forward(&self.dirs, &mut step)?;
        let mut helper = match self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            Some(h) => h,
            None => Helper::start(&self.exe).map_err(|e| lost(&e))?,
        };
        let result = helper.run(&step, output);
        match result {
            Ok(done) => {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(helper);
                done
            }
            Err(e) => Err(lost(&e)),
        }
    }
}

impl ProcessStepRunner {
    /// Runs one step on the terminal that is this process's standard input. The caller has put it into raw mode.
    pub fn run_on_terminal(&self, step: &BuildStep) -> Result<i32, StepFailure> {
        let path = rustix::termios::ttyname(io::stdin(), Vec::new())
            .map_err(|e| StepFailure::environment("find the terminal of standard input", &e))?;
        let path = PathBuf::from(std::ffi::OsString::from_vec(path.into_bytes()));
        let mut step = BuildStep { terminal: Some(path), ..step.clone() };
        if !step.env.iter().any(|(name, _)| name == "TERM") {
            step.env.push(("TERM".to_owned(), "xterm".to_owned()));
        }
        self.run(&step, &mut |_, _| {})
    }
}

impl Helper {
    fn start(exe: &Path) -> io::Result<Self> {
        let mut child =
            Command::new(exe).arg("__build-helper").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let missing = || io::Error::other("a pipe is missing");
        let input = Some(child.stdin.take().ok_or_else(missing)?);
        let output = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        Ok(Self { child, input, output })
    }

    /// The outer error: the helper is lost.
    fn run(
        &mut self,
        step: &BuildStep,
        output: &mut dyn FnMut(BuildStream, &[u8]),
    ) -> io::Result<Result<i32, StepFailure>> {
        let json = serde_json::to_vec(step)?;
        let length = u32::try_from(json.len()).map_err(io::Error::other)?;
        let input = self.input.as_mut().ok_or_else(|| io::Error::other("the helper has ended"))?;
        input.write_all(&length.to_le_bytes())?;
        input.write_all(&json)?;
        input.flush()?;
        loop {
            let (kind, bytes) = recv(&mut self.output)?;
            match kind {
                Kind::Stdout => output(BuildStream::Stdout, &bytes),
                Kind::Stderr => output(BuildStream::Stderr, &bytes),
                Kind::Exit => {
                    let code = String::from_utf8_lossy(&bytes).parse().map_err(io::Error::other)?;
                    return Ok(Ok(code));
                }
                Kind::Failure => {
                    let failure = serde_json::from_slice(&bytes).unwrap_or_else(|e| {
                        StepFailure::new(FailureKind::Internal, format!("unreadable failure: {e}"))
                    });
                    return Ok(Err(failure));
                }
            }
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // The end of its input ends it; it removes its network first.
        self.input = None;
        if let Err(e) = self.child.wait() {
            // Only if somebody else has reaped it: it has ended all the same.
            drop(e);
        }
    }
}
