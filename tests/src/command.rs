use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// A point in time until which something must have happened.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// So far from now.
    pub fn after(patience: Duration) -> Self {
        Self(Instant::now() + patience)
    }

    /// What is left; zero when it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// True when nothing is left.
    pub fn passed(self) -> bool {
        self.left().is_zero()
    }
}

/// A command to run: arguments, environment, directory, standard input, time limit.
#[derive(Debug, Clone)]
pub struct Run {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, Option<OsString>)>,
    dir: Option<PathBuf>,
    stdin: Option<Vec<u8>>,
    limit: Duration,
}

impl Run {
    /// A program without arguments, with 60 s to run.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
            stdin: None,
            limit: Duration::from_secs(60),
        }
    }

    /// More arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Without a variable of ours.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), None));
        self
    }

    /// Its working directory.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// What it reads; nothing unless given.
    #[must_use]
    pub fn stdin(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(data.into());
        self
    }

    /// How long it may take; then it is killed and that is an error.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The command as a person would type it.
    pub fn line(&self) -> String {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let args = self.args.iter().map(|a| {
            let a = a.to_string_lossy();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
            if !a.is_empty() && a.chars().all(plain) { a.into_owned() } else { format!("'{a}'") }
        });
        std::iter::once(name).chain(args).collect::<Vec<_>>().join(" ")
    }

    /// The command for the standard library; standard streams are the caller's.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args);
        for (name, value) in &self.env {
            match value {
                Some(v) => command.env(name, v),
                None => command.env_remove(name),
            };
        }
        if let Some(d) = &self.dir {
            command.current_dir(d);
        }
        command
    }

    /// Starts it, with its output collected.
    pub fn start(&self) -> Result<Running> {
        let mut command = self.command();
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = command.spawn().with_context(|| format!("start {}", self.line()))?;
        let (send, chunks) = channel();
        let out = child.stdout.take().context("no stdout")?;
        let err = child.stderr.take().context("no stderr")?;
        let second = send.clone();
        std::thread::spawn(move || read_all(out, |data| send.send((Stream::Out, data)).is_ok()));
        std::thread::spawn(move || read_all(err, |data| second.send((Stream::Err, data)).is_ok()));
        if let (Some(data), Some(mut pipe)) = (self.stdin.clone(), child.stdin.take()) {
            // The program may end without reading; then nobody misses the rest.
            std::thread::spawn(move || drop(pipe.write_all(&data)));
        }
        Ok(Running {
            line: self.line(),
            child,
            chunks,
            out: Vec::new(),
            err: Vec::new(),
            deadline: Deadline::after(self.limit),
            begun,
            done: false,
        })
    }

    /// Runs it to its end.
    pub fn run(&self) -> Result<Finished> {
        self.start()?.end()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stream {
    Out,
    Err,
}

fn read_all(mut from: impl Read, mut to: impl FnMut(Vec<u8>) -> bool) {
    let mut buffer = [0; 8192];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 || !to(buffer[..n].to_vec()) {
            return;
        }
    }
}

/// A command that runs. Dropped, it is killed.
#[derive(Debug)]
pub struct Running {
    line: String,
    child: Child,
    chunks: Receiver<(Stream, Vec<u8>)>,
    out: Vec<u8>,
    err: Vec<u8>,
    deadline: Deadline,
    begun: Instant,
    done: bool,
}

impl Running {
    /// Its process.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(0)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid()).context("no process")?;
        kill_process(pid, signal).with_context(|| format!("signal {}", self.line))
    }

    /// Waits until its output, both streams together, contains a text.
    pub fn wait_for(&mut self, text: &str, patience: Duration) -> Result<()> {
        let deadline = Deadline::after(patience);
        loop {
            if self.output().contains(text) {
                return Ok(());
            }
            match self.chunks.recv_timeout(deadline.left()) {
                Ok(chunk) => self.keep(chunk),
                Err(RecvTimeoutError::Timeout) => {
                    bail!("`{}`: no {text:?} within {patience:?} in:\n{}", self.line, self.output())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("`{}` ended its output without {text:?}:\n{}", self.line, self.output())
                }
            }
        }
    }

    /// What it has printed so far, standard output first.
    pub fn output(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.out), String::from_utf8_lossy(&self.err))
    }

    fn keep(&mut self, (stream, data): (Stream, Vec<u8>)) {
        match stream {
            Stream::Out => self.out.extend(data),
            Stream::Err => self.err.extend(data),
        }
    }

    fn wait_pid(&mut self) -> Result<ExitStatus> {
        let pid = Pid::from_raw(self.pid()).context("no process")?;
        let fd = pidfd_open(pid, PidfdFlags::empty()).context("pidfd_open")?;
        loop {
            let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
            let left = rustix::event::Timespec::try_from(self.deadline.left()).context("time limit")?;
            match rustix::event::poll(&mut fds, Some(&left)) {
                Ok(0) => {
                    self.child.kill().context("kill")?;
                    self.child.wait().context("wait")?;
                    while let Ok(chunk) = self.chunks.recv_timeout(Duration::from_millis(200)) {
                        self.keep(chunk);
                    }
                    self.done = true;
                    bail!("`{}` took longer than its limit; so far:\n{}", self.line, self.output());
                }
                Ok(_) => return self.child.wait().context("wait"),
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e).context("poll"),
            }
        }
    }

    /// Waits for its end and for the end of its output.
    pub fn end(mut self) -> Result<Finished> {
        let status = self.wait_pid()?;
        let took = self.begun.elapsed();
        self.done = true;
        // Whoever a command leaves running must not hold its output: `x=$(rcompose up -d)` would never return.
        let deadline = Deadline::after(Duration::from_secs(5));
        loop {
            match self.chunks.recv_timeout(deadline.left()) {
                Ok(chunk) => self.keep(chunk),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("`{}` has ended, but somebody holds its output open:\n{}", self.line, self.output())
                }
            }
        }
        Ok(Finished {
            line: self.line.clone(),
            status,
            stdout: String::from_utf8_lossy(&self.out).into_owned(),
            stderr: String::from_utf8_lossy(&self.err).into_owned(),
            took,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.done {
            // It may have ended by itself.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// A command that has ended. The checks panic with everything that it printed.
#[derive(Debug)]
pub struct Finished {
    /// As typed.
    pub line: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// From start to exit.
    pub took: Duration,
}

impl Finished {
    /// Exit status; 128 + n for signal n.
    pub fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Everything, for messages.
    pub fn describe(&self) -> String {
        format!(
            "$ {}\nstatus {} after {:?}\n--- stdout\n{}--- stderr\n{}",
            self.line,
            self.code(),
            self.took,
            self.stdout,
            self.stderr
        )
    }

    /// It must have ended with this status.
    #[track_caller]
    pub fn code_is(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "expected status {code}\n{}", self.describe());
        self
    }

    /// It must have succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.code_is(0)
    }

    /// Standard output must contain a text.
    #[track_caller]
    pub fn out(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "no {text:?} in stdout\n{}", self.describe());
        self
    }

    /// Standard error must contain a text.
    #[track_caller]
    pub fn err(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} in stderr\n{}", self.describe());
        self
    }

    /// Standard output must not contain a text.
    #[track_caller]
    pub fn not_out(self, text: &str) -> Self {
        assert!(!self.stdout.contains(text), "{text:?} in stdout\n{}", self.describe());
        self
    }

    /// Standard error must not contain a text.
    #[track_caller]
    pub fn not_err(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "{text:?} in stderr\n{}", self.describe());
        self
    }

    /// It must have been this quick.
    #[track_caller]
    pub fn within(self, limit: Duration) -> Self {
        assert!(self.took <= limit, "took longer than {limit:?}\n{}", self.describe());
        self
    }
}
