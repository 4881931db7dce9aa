//! RUN.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rcompose_image::Digest;

use crate::apply::{Attributes, NewLayer};
use crate::archive::Scratch;
use crate::copy::Place;
use crate::dockerfile::{Command, Run};
use crate::plan;
use crate::select::{normal, select};
use crate::solve::is_proxy;
use crate::stage::{Done, Stage};
use crate::view::{Found, View};
use crate::{
    BuildError, BuildErrorKind, BuildEvent, RunNetwork, RunStep, SecretSource, StagedLayer, StepMount, Stream,
};

/// Bytes of output kept for the error.
const TAIL: usize = 16 * 1024;

/// What a RUN's mounts hold while it runs.
#[derive(Default)]
struct Mounts {
    mounts: Vec<StepMount>,
    env: Vec<(String, String)>,
    scratch: Vec<Scratch>,
    locks: Vec<File>,
    key: Vec<String>,
}

impl Stage<'_> {
    pub(crate) fn run(&mut self, run: &Run, step: usize) -> Result<Done, BuildError> {
        let solve = self.solve;
        let Some(mut mounts) = self.mounts(run)? else { return Ok(Done::Stopped) };
        let argv = self.run_argv(run);
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
        let config = &self.state.image.config;
        key.part(format!("{} {} {network:?} {:?}", config.user, config.working_dir, run.security));
        mounts.key.iter().for_each(|k| key.part(k));
        let given = solve.req.args.iter().filter(|(n, _)| is_proxy(n));
        env.extend(given.filter_map(|(n, v)| Some((n.clone(), v.clone()?))));
        env.append(&mut mounts.env);
        let args = &self.state.args;
        let shown = match args.len() {
            0 => format!("RUN {} # buildkit", argv.join(" ")),
            n => {
                let list: Vec<String> = args.iter().map(|(n, v)| format!("{n}={v}")).collect();
                format!("RUN |{n} {} {} # buildkit", list.join(" "), argv.join(" "))
            }
        };
        let cwd = if config.working_dir.is_empty() { "/".to_owned() } else { config.working_dir.clone() };
        let mut request = RunStep {
            argv,
            env,
            user: config.user.clone(),
            cwd,
            network,
            extra_hosts: solve.req.extra_hosts.clone(),
            shm_size: solve.req.shm_size,
            mounts: std::mem::take(&mut mounts.mounts),
            ulimits: solve.req.ulimits.clone(),
            insecure: run.security.as_deref() == Some("insecure"),
            ..RunStep::default()
        };
        self.cached(&key.finish(), shown, |stage, staged| {
            request.lowers.clone_from(&stage.lowers);
            request.upper = staged.upper().to_owned();
            request.work = staged.work().to_owned();
            stage.execute(&request, step)?;
            stage.drop_mount_points(&request, staged)?;
            Ok(true)
        })
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
        let status =
            self.solve.runner.run(request, &mut output).map_err(|e| {
                BuildError::environment(format!("failed to run `{}`", request.argv.join(" ")), e)
            })?;
        if status == 0 {
            return Ok(());
        }
        let mut error = BuildError::new(
            BuildErrorKind::Step,
            format!("`{}` ended with status {status}", request.argv.join(" ")),
        );
        error.exit_status = Some(status);
        error.output_tail = String::from_utf8_lossy(&tail[tail.len().saturating_sub(TAIL)..]).into_owned();
        error.help = match status {
            127 => Some("the command wasn't found in the stage's image".to_owned()),
            126 => Some("the command isn't executable".to_owned()),
            137 => Some("it was killed, perhaps for want of memory".to_owned()),
            _ => None,
        };
        Err(error)
    }

    fn run_argv(&self, run: &Run) -> Vec<String> {
        let text = match &run.command {
            Command::Exec(argv) => return argv.clone(),
            Command::Shell(text) => text,
        };
        let mut argv = self.state.shell();
        argv.push(match run.heredocs.as_slice() {
            [] => text.clone(),
            // `RUN <<EOF` alone: the heredoc is the script.
            [only] if is_only_heredoc(text) => match only.text() {
                text if text.starts_with("#!") => script(&text),
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
        argv
    }

    /// `None`: another stage failed.
    fn mounts(&self, run: &Run) -> Result<Option<Mounts>, BuildError> {
        let mut all = Mounts::default();
        for text in &run.mounts {
            let text = self.state.expand(text)?;
            let options: Vec<(&str, &str)> =
                text.split(',').map(|o| o.split_once('=').unwrap_or((o, "true"))).collect();
            let get = |names: &[&str]| options.iter().find(|(n, _)| names.contains(n)).map(|(_, v)| *v);
            let kind = get(&["type"]).unwrap_or("bind");
            let target = get(&["target", "dst", "destination"]);
            let target = target.map(|t| normal(&self.state.absolute(t)).display().to_string());
            let needed =
                || target.clone().ok_or_else(|| BuildError::input(format!("`--mount={text}` has no target")));
            match kind {
                "tmpfs" => {
                    let size = get(&["size"]).map(|s| s.parse()).transpose();
                    let size =
                        size.map_err(|_| BuildError::input(format!("wrong size in `--mount={text}`")))?;
                    all.mounts.push(StepMount { target: needed()?, size, ..StepMount::default() });
                    all.key.push(text.clone());
                }
                "cache" => {
                    let target = needed()?;
                    let id = get(&["id"]).unwrap_or(&target);
                    let locked = get(&["sharing"]).unwrap_or("shared");
                    let source = self.cache_mount(&mut all, id, locked, &get)?;
                    let read_only = get(&["ro", "readonly"]) == Some("true");
                    all.mounts.push(StepMount {
                        target,
                        source: Some(source),
                        read_only,
                        ..StepMount::default()
                    });
                    all.key.push(text.clone());
                }
                "bind" => {
                    if !self.bind_mount(&mut all, &needed()?, &text, &get)? {
                        return Ok(None);
                    }
                }
                "secret" => self.secret(&mut all, target.as_deref(), &text, &get)?,
                "ssh" => self.ssh(&mut all, target, &text, &get)?,
                _ => {
                    return Err(BuildError::input(format!(
                        "`--mount={text}`: the type `{kind}` can't be mounted"
                    ))
                    .help("use bind, cache, tmpfs or secret"));
                }
            }
        }
        Ok(Some(all))
    }

    fn cache_mount<'t>(
        &self,
        all: &mut Mounts,
        id: &str,
        sharing: &str,
        get: &dyn Fn(&[&str]) -> Option<&'t str>,
    ) -> Result<PathBuf, BuildError> {
        let base = self.solve.req.cache_root.join("mounts").join(Digest::of(id.as_bytes()).hex());
        let failed = |e| BuildError::io("make the cache mount", &base, e);
        fs::create_dir_all(&base).map_err(failed)?;
        let mut number = 0;
        loop {
            let lock = File::create(base.join(format!("{number}.lock"))).map_err(failed)?;
            match sharing {
                "locked" => lock.lock().map_err(failed)?,
                "private" if lock.try_lock().is_err() => {
                    number += 1;
                    continue;
                }
                "private" => {}
                // Pruning keeps away while it is used.
                _ => lock.lock_shared().map_err(failed)?,
            }
            all.locks.push(lock);
            break;
        }
        let path = base.join(number.to_string());
        if !path.exists() {
            let number = |name: &str| get(&[name]).and_then(|v| v.parse().ok());
            fs::create_dir_all(&path).map_err(failed)?;
            let mode = get(&["mode"]).and_then(|m| u32::from_str_radix(m, 8).ok()).unwrap_or(0o755);
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).map_err(failed)?;
            std::os::unix::fs::chown(&path, number("uid").or(Some(0)), number("gid").or(Some(0)))
                .map_err(failed)?;
        }
        Ok(path)
    }

    /// A copy of the source, so that it is exactly what the key says and writes to it are lost.
    fn bind_mount<'t>(
        &self,
        all: &mut Mounts,
        target: &str,
        text: &str,
        get: &dyn Fn(&[&str]) -> Option<&'t str>,
    ) -> Result<bool, BuildError> {
        let solve = self.solve;
        let source = match get(&["from"]) {
            None => solve.context.clone(),
            Some(name) => {
                let base = plan::from(&solve.file, solve.req, name, self.number)?;
                match solve.source(&base, &self.platform)? {
                    Some(source) => source,
                    None => return Ok(false),
                }
            }
        };
        let path = get(&["source", "src"]).unwrap_or("/").to_owned();
        let picks = select(&source, std::slice::from_ref(&path), &[], false)?.picks;
        let mut key = crate::cache::Key::new("bind", &[]);
        for pick in &picks {
            self.hash(&mut key, pick, true, &source)?;
        }
        all.key.extend([text.to_owned(), key.finish().hex()]);
        let scratch = Scratch::new(&solve.req.cache_root)?;
        let mut layer = NewLayer::new(scratch.path(), &[]);
        let file = picks.first().is_some_and(|p| !p.node.is_dir());
        let place = Place {
            to: PathBuf::from("/mount"),
            directory: false,
            set: Attributes { owner: None, mode: None },
        };
        for pick in &picks {
            let mut pick = pick.clone();
            pick.root &= file;
            place.put(&mut layer, &pick)?;
        }
        layer.finish()?;
        let read_only = !["rw", "readwrite"].iter().any(|n| get(&[n]) == Some("true"));
        let source = Some(scratch.path().join("mount"));
        all.mounts.push(StepMount { target: target.to_owned(), source, read_only, ..StepMount::default() });
        all.scratch.push(scratch);
        Ok(true)
    }

    /// Its contents are neither in the key nor in the layer.
    fn secret<'t>(
        &self,
        all: &mut Mounts,
        target: Option<&str>,
        text: &str,
        get: &dyn Fn(&[&str]) -> Option<&'t str>,
    ) -> Result<(), BuildError> {
        let from_target = target.and_then(|t| Path::new(t).file_name()).and_then(|n| n.to_str());
        let id = get(&["id"]).or(from_target).unwrap_or_default().to_owned();
        all.key.push(text.to_owned());
        let Some(secret) = self.solve.req.secrets.get(&id) else {
            if get(&["required"]) == Some("true") {
                return Err(BuildError::input(format!("the secret `{id}` isn't given"))
                    .help(format!("give it by `--secret id={id},src=<file>`")));
            }
            return Ok(());
        };
        let content = match secret {
            SecretSource::Value(bytes) => bytes.clone(),
            SecretSource::File(file) => {
                fs::read(file).map_err(|e| BuildError::io("read the secret in", file, e))?
            }
        };
        if let Some(name) = get(&["env"]) {
            let value = String::from_utf8(content.clone()).map_err(|_| {
                BuildError::input(format!(
                    "the secret `{id}` isn't text, so it can't be the variable `{name}`"
                ))
            })?;
            all.env.push((name.to_owned(), value));
            if target.is_none() {
                return Ok(());
            }
        }
        let target = target.map_or_else(|| format!("/run/secrets/{id}"), str::to_owned);
        let (uid, gid, mode) = owner(get, 0o400);
        let mount = StepMount {
            target,
            content: Some(content),
            read_only: true,
            uid,
            gid,
            mode,
            ..StepMount::default()
        };
        all.mounts.push(mount);
        Ok(())
    }

    fn ssh<'t>(
        &self,
        all: &mut Mounts,
        target: Option<String>,
        text: &str,
        get: &dyn Fn(&[&str]) -> Option<&'t str>,
    ) -> Result<(), BuildError> {
        let id = get(&["id"]).unwrap_or("default");
        all.key.push(text.to_owned());
        let Some(agent) = self.solve.req.ssh.get(id) else {
            if get(&["required"]) == Some("true") {
                return Err(BuildError::input(format!("the SSH agent `{id}` isn't given")).help(format!(
                    "give it by `--ssh {id}`, with an agent in SSH_AUTH_SOCK, or `--ssh {id}=<socket or key>`"
                )));
            }
            return Ok(());
        };
        let number = all.mounts.iter().filter(|m| m.agent.is_some()).count();
        let target = target.unwrap_or_else(|| format!("/run/buildkit/ssh_agent.{number}"));
        all.env.push(("SSH_AUTH_SOCK".to_owned(), target.clone()));
        let (uid, gid, mode) = owner(get, 0o600);
        all.mounts.push(StepMount {
            target,
            agent: Some(agent.clone()),
            uid,
            gid,
            mode,
            ..StepMount::default()
        });
        Ok(())
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

/// `uid`, `gid` and `mode` of a mount.
fn owner<'t>(get: &dyn Fn(&[&str]) -> Option<&'t str>, mode: u32) -> (u32, u32, u32) {
    let number = |name: &str| get(&[name]).and_then(|v| v.parse().ok()).unwrap_or(0);
    let mode = get(&["mode"]).and_then(|m| u32::from_str_radix(m, 8).ok()).unwrap_or(mode);
    (number("uid"), number("gid"), mode)
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

fn is_only_heredoc(text: &str) -> bool {
    crate::dockerfile::is_heredoc(text)
}

/// A script with an interpreter of its own: written to a file that goes with it, and run.
fn script(content: &str) -> String {
    let mut end = "RCOMPOSE_END".to_owned();
    while content.lines().any(|l| l == end) {
        end.push('_');
    }
    format!(
        "f=$(mktemp) && cat >\"$f\" <<'{end}' && chmod 700 \"$f\" && \"$f\"; s=$?; rm -f \"$f\"; exit $s\n{content}{end}\n"
    )
}
