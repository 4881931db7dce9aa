//! RUN.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rcompose_image::Platform;

use crate::dockerfile::{Command, Run, is_heredoc};
use crate::known::{self, is_proxy};
use crate::mounts::Planned;
use crate::scratch::Scratch;
use crate::stage::{Done, Made, Stage};
use crate::view::{Found, View};
use crate::{
    BuildError, BuildErrorKind, BuildEvent, RunNetwork, RunStep, StagedLayer, StepMount, Stream, users,
};

/// Where docker shows the script of a heredoc that names its interpreter.
const PIPES: &str = "/dev/pipes";

/// The host name of RUN, as in docker.
const HOSTNAME: &str = "buildkitsandbox";

/// Bytes of output kept for the error.
const TAIL: usize = 1 << 20;

impl Stage<'_> {
    pub(crate) fn run(&mut self, run: &Run, step: usize) -> Result<Done, BuildError> {
        let solve = self.solve;
        let Some(planned) = self.mounts(run)? else { return Ok(Done::Stopped) };
        let (argv, script) = self.run_argv(run);
        let mut env = self.state.run_env();
        let mut key = self.key("run");
        argv.iter().for_each(|a| key.part(a));
        key.part("env");
        env.iter().for_each(|(n, v)| key.part(format!("{n}={v}")));
        let network = match run.network.as_deref() {
            Some("host") => RunNetwork::Host,
            Some("none") => RunNetwork::None,
            _ => solve.req.network,
        };
        self.entitled(run, network)?;
        self.without_devices(run)?;
        solve.noted(|facts| {
            facts.network |= network != RunNetwork::None;
            crate::mounts::note(&planned, facts);
        });
        let config = &self.state.image.config;
        key.part(format!("{} {} {network:?} {:?}", config.user, config.working_dir, run.security));
        planned.iter().for_each(|m| key.part(&m.key));
        script.iter().for_each(|(_, text)| key.part(text));
        for (name, value) in solve.req.args.iter().filter(|(n, _)| is_proxy(n)) {
            let Some(value) = value else { continue };
            env.extend([name.to_uppercase(), name.to_lowercase()].map(|n| (n, value.clone())));
        }
        let hostname = solve.req.known(known::HOSTNAME).unwrap_or(HOSTNAME);
        if hostname != HOSTNAME {
            key.part(hostname);
        }
        let shown = format!("RUN {}{} # buildkit", self.state.shown_args(), argv.join(" "));
        let cwd = if config.working_dir.is_empty() { "/".to_owned() } else { config.working_dir.clone() };
        let mut request = RunStep {
            argv,
            env,
            user: config.user.clone(),
            cwd,
            hostname: hostname.to_owned(),
            network,
            extra_hosts: solve.req.extra_hosts.clone(),
            shm_size: solve.req.shm_size,
            ulimits: solve.req.ulimits.clone(),
            limits: solve.req.limits.clone(),
            cgroup_parent: solve.req.cgroup_parent.clone(),
            insecure: run.security.as_deref() == Some("insecure"),
            ..RunStep::default()
        };
        self.cached(&key.finish(), shown, |stage, staged| {
            request.lowers.clone_from(&stage.lowers);
            if request.lowers.is_empty() {
                // What a mount brings can run.
                request.lowers.push(solve.empty()?);
            }
            request.upper = staged.upper().to_owned();
            request.work = staged.work().to_owned();
            let mounts = stage.prepare(&planned)?;
            request.mounts.clone_from(&mounts.mounts);
            let script = script.map(|(name, text)| stage.script(&name, &text)).transpose()?;
            request.mounts.extend(script.as_ref().map(|(_, mount)| mount.clone()));
            request.env.extend(mounts.env.iter().cloned());
            stage.execute(&request, step)?;
            stage.drop_mount_points(&request, staged)?;
            stage.unchanged(run, &planned)
        })
    }

    /// What is mounted from a context is the user's own files, which somebody may have changed meanwhile.
    fn unchanged(&self, run: &Run, planned: &[Planned]) -> Result<Made, BuildError> {
        if !planned.iter().any(Planned::shows_context) {
            return Ok(Made::Files);
        }
        // A file that is gone has changed, too.
        let now = self.mounts(run).ok().flatten().unwrap_or_default();
        if now.iter().map(|m| &m.key).eq(planned.iter().map(|m| &m.key)) {
            return Ok(Made::Files);
        }
        let message = "files changed while a RUN had them mounted: its result isn't kept for later builds";
        self.solve.events.event(BuildEvent::Warning { message, line: 0 });
        Ok(Made::Unsure)
    }

    /// What a RUN asks for beyond the usual must have been allowed.
    fn entitled(&self, run: &Run, network: RunNetwork) -> Result<(), BuildError> {
        let allow = &self.solve.req.allow;
        let asked = [
            ("security.insecure", run.security.as_deref() == Some("insecure")),
            ("network.host", network == RunNetwork::Host && self.solve.req.network != RunNetwork::Host),
        ];
        match asked.iter().find(|(name, asked)| *asked && !allow.contains(*name)) {
            None => Ok(()),
            Some((name, _)) => Err(BuildError::input(format!("{name} is not allowed"))
                .help(format!("allow it by `--allow {name}`, or by `entitlements: [{name}]` of the build"))),
        }
    }

    /// There is no way to give RUN a device: those that it can do without, it does without.
    fn without_devices(&self, run: &Run) -> Result<(), BuildError> {
        for (name, required) in &run.devices {
            if *required {
                return Err(BuildError::input(format!("there is no device `{name}` for RUN"))
                    .help("devices of RUN aren't supported: take `required` away if it can do without"));
            }
            let message = format!("RUN goes without the device `{name}`: devices of RUN aren't supported");
            self.solve.events.event(BuildEvent::Warning { message: &message, line: 0 });
        }
        Ok(())
    }

    /// A file that can be executed, where docker shows it, and its directory.
    fn script(&self, name: &str, text: &str) -> Result<(Scratch, StepMount), BuildError> {
        let scratch = Scratch::new(&self.solve.req.cache_root)?;
        let path = scratch.path().join(name);
        let made = fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, PermissionsExt::from_mode(0o755)))
            .and_then(|()| fs::set_permissions(scratch.path(), PermissionsExt::from_mode(0o755)));
        made.map_err(|e| BuildError::io("write the script", &path, e))?;
        let source = Some(scratch.path().to_owned());
        Ok((scratch, StepMount { target: PIPES.to_owned(), source, read_only: true, ..StepMount::default() }))
    }

    fn execute(&self, request: &RunStep, step: usize) -> Result<(), BuildError> {
        let mut tail: Vec<u8> = Vec::new();
        let events = self.solve.events;
        let mut output = |stream: Stream, bytes: &[u8]| {
            tail.extend_from_slice(bytes);
            if tail.len() > 2 * TAIL {
                tail.drain(..tail.len() - TAIL);
            }
            events.event(BuildEvent::Output { step, stream, bytes });
        };
        let status = self.solve.runner.run(request, &mut output).map_err(|e| {
            let error = BuildError::environment(format!("failed to run `{}`", short(&request.argv)), e);
            match Platform::host().rank(&self.platform).is_some() {
                true => match self.lacks(request) {
                    Some(what) => error.help(what),
                    None => error,
                },
                false => error.help(format!(
                    "the image is for {}, this machine is {}: an emulator must be registered with the kernel \
                     (binfmt_misc), as the package qemu-user-static does",
                    self.platform,
                    Platform::host()
                )),
            }
        })?;
        if status == 0 {
            return Ok(());
        }
        let mut error = BuildError::new(
            BuildErrorKind::Step,
            format!("`{}` ended with status {status}", short(&request.argv)),
        );
        error.exit_status = Some(status);
        error.output_tail = String::from_utf8_lossy(&tail[tail.len().saturating_sub(TAIL)..]).into_owned();
        error.help = match status {
            127 => Some("the command wasn't found in the stage's image".to_owned()),
            126 => Some("the command isn't executable".to_owned()),
            137 => Some(match request.limits.memory {
                Some(limit) => format!(
                    "it was killed, perhaps because it took more memory than the {limit} bytes it may"
                ),
                None => "it was killed, perhaps for want of memory".to_owned(),
            }),
            _ => None,
        };
        if self.solve.req.debug_shell {
            self.shell(request, step)?;
        } else {
            let hint = "to look around in its file system, build again with --debug-shell";
            error.help = Some(error.help.take().map_or(hint.to_owned(), |h| format!("{h}; {hint}")));
        }
        Err(error)
    }

    /// What the image of a step that couldn't start has not.
    fn lacks(&self, request: &RunStep) -> Option<String> {
        let program = request.argv.first()?;
        let view = self.view();
        let there = |path: &str| matches!(view.find(Path::new(path), true), Ok(Found::Node(_)));
        let found = match program.contains('/') {
            true => there(program),
            false => {
                let path = self.state.get("PATH").unwrap_or_default();
                path.split(':').any(|d| there(&format!("{d}/{program}")))
            }
        };
        if found {
            return users::resolve(&view, &request.user).err().and_then(|e| e.help.clone());
        }
        let shell = self.state.shell().first() == Some(program) && request.argv.len() > 1;
        Some(match shell {
            _ if self.lowers.is_empty() => format!(
                "the stage is FROM scratch and has no files: COPY {program} into it, or build in another stage and COPY what comes of it"
            ),
            true => format!(
                "the stage's image has no {program}: install it before, or name another shell by SHELL"
            ),
            false => format!("the stage's image has no {program}: install it before, or correct its name"),
        })
    }

    /// A shell where the command has failed. The other stages come to rest.
    fn shell(&self, request: &RunStep, step: usize) -> Result<(), BuildError> {
        self.solve.stopped.store(true, Ordering::Release);
        let program = self.state.shell().into_iter().next().unwrap_or_else(|| "/bin/sh".to_owned());
        let shell = RunStep { argv: vec![program], stdin: None, ..request.clone() };
        self.solve.events.event(BuildEvent::Shell { step, begins: true });
        let ended = self.solve.runner.run_on_terminal(&shell);
        self.solve.events.event(BuildEvent::Shell { step, begins: false });
        ended.map(drop).map_err(|e| BuildError::environment("failed to open a shell in the failed step", e))
    }

    /// The command, and the file that it runs if its heredoc names its interpreter.
    fn run_argv(&self, run: &Run) -> (Vec<String>, Option<(String, String)>) {
        let text = match &run.command {
            Command::Exec(argv) => return (argv.clone(), None),
            Command::Shell(text) => text,
        };
        let mut script = None;
        let mut argv = self.state.shell();
        argv.push(match run.heredocs.as_slice() {
            [] => text.clone(),
            // `RUN <<EOF` alone: the heredoc is the script.
            [only, ..] if is_heredoc(text) => match only.text() {
                text if text.starts_with("#!") => {
                    let target = format!("{PIPES}/{}", only.name);
                    script = Some((only.name.clone(), text));
                    target
                }
                text => text,
            },
            all => {
                let mut whole = text.clone();
                for heredoc in all {
                    whole.push('\n');
                    whole.push_str(&heredoc.content);
                    whole.push_str(&heredoc.name);
                }
                whole
            }
        });
        (argv, script)
    }

    /// Mount points that only this RUN needed don't belong to the layer.
    fn drop_mount_points(&self, request: &RunStep, staged: &dyn StagedLayer) -> Result<(), BuildError> {
        let below = View::new(self.lowers.clone());
        let etc = ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname"].map(str::to_owned);
        for target in request.mounts.iter().map(|m| m.target.clone()).chain(etc) {
            let mut path = PathBuf::from(target);
            while path != Path::new("/") {
                let there = below.find(&path, false);
                if matches!(there, Ok(Found::Node(_))) {
                    break;
                }
                let real = staged.upper().join(path.strip_prefix("/").unwrap_or(&path));
                if !remove_if_empty(&real).map_err(|e| BuildError::io("remove the mount point", &path, e))? {
                    break;
                }
                path.pop();
            }
        }
        Ok(())
    }
}

/// A command as messages name it: a script's first line is enough.
fn short(argv: &[String]) -> String {
    let text = argv.join(" ");
    match text.split_once('\n') {
        Some((first, more)) if !more.trim().is_empty() => format!("{first} …"),
        _ => text.trim_end().to_owned(),
    }
}

fn remove_if_empty(path: &Path) -> io::Result<bool> {
    let meta = match fs::symlink_metadata(path) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(true);
        }
        other => other?,
    };
    if meta.is_file() && meta.len() == 0 {
        return fs::remove_file(path).map(|()| true);
    }
    if !meta.is_dir() {
        return Ok(false);
    }
    match fs::remove_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
        other => other.map(|()| true),
    }
}
