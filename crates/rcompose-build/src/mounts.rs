//! `RUN --mount`: what it shows, looked up before the step's key is made; prepared only if the step runs.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rcompose_image::{is_there, make_directory};

use crate::binds::copied;
use crate::cache::{Key, MOUNTS, note_use, open_uses};
use crate::dockerfile::{Mount, MountKind, Run, Sharing};
use crate::error::Culprit;
use crate::expand::Mistake;
use crate::known::CACHE_NAMESPACE;
use crate::plan;
use crate::scratch::Scratch;
use crate::select::{Choice, Pick, normal, select};
use crate::stage::Stage;
use crate::state::State;
use crate::{BuildError, Facts, SecretSource, StepMount};

/// A mount of which the key is known.
pub(crate) struct Planned {
    pub(crate) mount: Mount,
    /// Absolute.
    target: String,
    /// What a bind mount shows, or a cache begins with.
    pub(crate) picks: Vec<Pick>,
    /// Of all that is shown, unless it keeps its own.
    pub(crate) owner: Option<(u32, u32)>,
    pub(crate) key: String,
}

impl Planned {
    /// Files that may change without a build's doing.
    pub(crate) fn shows_context(&self) -> bool {
        self.mount.kind == MountKind::Bind && self.owner.is_some()
    }
}

/// What a RUN's mounts hold while it runs.
#[derive(Default)]
pub(crate) struct Mounts {
    pub(crate) mounts: Vec<StepMount>,
    pub(crate) env: Vec<(String, String)>,
    scratch: Vec<Scratch>,
    locks: Vec<File>,
}

/// The `--mount` of this number, and its target: absolute, or empty for one that needs none.
pub(crate) fn read_mount(state: &State, number: usize, text: &str) -> Result<(Mount, String), BuildError> {
    let wrong =
        |why: &str| mount_mistake(number, text, Mistake { message: why.to_owned(), part: String::new() });
    let mount =
        Mount::parse(text, &|value| state.expand_word(value)).map_err(|e| mount_mistake(number, text, e))?;
    let files = matches!(mount.kind, MountKind::Bind | MountKind::Cache | MountKind::Tmpfs);
    // Without one it is the working directory.
    let target = match mount.target.as_str() {
        "" if !files => String::new(),
        path => normal(&state.absolute(path)).display().to_string(),
    };
    if target == "/" && mount.target.is_empty() {
        return Err(wrong("it has no target").help("say where it appears: target=/path"));
    }
    if target == "/" {
        return Err(wrong("the target can't be the root"));
    }
    Ok((mount, target))
}

fn mount_mistake(number: usize, text: &str, mistake: Mistake) -> BuildError {
    let message = format!("`--mount={text}`: {}", mistake.message);
    BuildError::input(message).about(Culprit::Mount(number, mistake.part))
}

impl Stage<'_> {
    /// `None`: another stage failed.
    pub(crate) fn mounts(&self, run: &Run) -> Result<Option<Vec<Planned>>, BuildError> {
        let mut all = Vec::new();
        for (number, text) in run.mounts.iter().enumerate() {
            let (mount, target) = read_mount(&self.state, number, text)?;
            let reads =
                mount.kind == MountKind::Bind || mount.kind == MountKind::Cache && mount.from.is_some();
            let mut key = Key::new("mount", &[]);
            key.part(format!("{mount:?} {target}"));
            let (mut picks, mut owner) = (Vec::new(), None);
            if reads {
                let source = match &mount.from {
                    None => self.solve.context.clone(),
                    Some(name) => {
                        let base = plan::from(&self.solve.file, self.solve.req, name, self.number)?;
                        match self.solve.source(self.number, &base, &self.platform)? {
                            Some(source) => source,
                            None => return Ok(None),
                        }
                    }
                };
                picks = select(&source, &mount.source, &Choice { literal: true, ..Choice::default() })?;
                owner = (!source.keep_owner).then_some((0, 0));
                for pick in &picks {
                    self.hash(&mut key, pick, source.keep_owner, &source)?;
                }
            }
            all.push(Planned { mount, target, picks, owner, key: key.finish().hex() });
        }
        Ok(Some(all))
    }

    pub(crate) fn prepare(&self, planned: &[Planned]) -> Result<Mounts, BuildError> {
        let mut all = Mounts::default();
        for one in planned {
            let (mount, target) = (&one.mount, one.target.clone());
            let read_only = mount.read_only;
            match mount.kind {
                MountKind::Tmpfs => {
                    all.mounts.push(StepMount {
                        target,
                        size: mount.size,
                        read_only,
                        ..StepMount::default()
                    });
                }
                MountKind::Cache => {
                    let source = Some(self.cache_mount(&mut all, one)?);
                    all.mounts.push(StepMount { target, source, read_only, ..StepMount::default() });
                }
                MountKind::Bind => {
                    let (shown, held) = self.bind(one, target)?;
                    all.mounts.push(shown);
                    all.scratch.extend(held);
                }
                MountKind::Secret => self.secret(&mut all, mount, target)?,
                MountKind::Ssh => self.ssh(&mut all, mount, target)?,
            }
        }
        Ok(all)
    }

    /// The directory of a cache. Another beginning or owner is another cache, even with the same id.
    fn cache_mount(&self, all: &mut Mounts, one: &Planned) -> Result<PathBuf, BuildError> {
        let mount = &one.mount;
        let id = if mount.id.is_empty() { &one.target } else { &mount.id };
        let mut key = Key::new("cache", &[]);
        key.part(id);
        if let Some(namespace) = self.solve.req.known(CACHE_NAMESPACE) {
            key.part(format!("of {namespace}"));
        }
        key.part(format!(
            "{:?} {} {:?} {:?} {:?}",
            mount.from, mount.source, mount.uid, mount.gid, mount.mode
        ));
        let base = self.solve.req.cache_root.join(MOUNTS).join(key.finish().hex());
        let failed = |e| BuildError::io("make the cache mount", &base, e);
        let mut number = 0;
        loop {
            make_directory(&base).map_err(failed)?;
            let name = base.join(format!("{number}.lock"));
            let lock = match open_uses(&name) {
                // It was pruned just now.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(failed)?,
            };
            match mount.sharing {
                Sharing::Locked => lock.lock().map_err(failed)?,
                Sharing::Private => match lock.try_lock() {
                    Ok(()) => {}
                    Err(TryLockError::WouldBlock) => {
                        number += 1;
                        continue;
                    }
                    Err(TryLockError::Error(e)) => return Err(failed(e)),
                },
                Sharing::Shared => lock.lock_shared().map_err(failed)?,
            }
            // It may have been pruned before it was locked.
            if !is_there(&name, &lock) {
                continue;
            }
            note_use(&lock);
            all.locks.push(lock);
            break;
        }
        let path = base.join(number.to_string());
        if !path.exists() {
            // Made beside and renamed: a cache is never seen half.
            let scratch = Scratch::new(&self.solve.req.cache_root)?;
            let new = scratch.path().join("mount");
            copied(one, scratch.path())?;
            fs::create_dir_all(&new).map_err(failed)?;
            if one.picks.is_empty() {
                let mode = mount.mode.unwrap_or(0o755);
                chown(&new, Some(mount.uid.unwrap_or(0)), Some(mount.gid.unwrap_or(0))).map_err(failed)?;
                fs::set_permissions(&new, PermissionsExt::from_mode(mode)).map_err(failed)?;
            }
            // Another build may have been faster.
            fs::rename(&new, &path).or_else(|e| if path.is_dir() { Ok(()) } else { Err(failed(e)) })?;
        }
        Ok(path)
    }

    /// Its contents are neither in the key nor in the layer.
    fn secret(&self, all: &mut Mounts, mount: &Mount, target: String) -> Result<(), BuildError> {
        let id = secret_id(mount);
        let Some(secret) = self.solve.req.secrets.get(&id) else {
            if mount.required {
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
        if let Some(name) = &mount.env {
            let value = String::from_utf8(content.clone()).map_err(|_| {
                BuildError::input(format!(
                    "the secret `{id}` isn't text, so it can't be the variable `{name}`"
                ))
            })?;
            all.env.push((name.clone(), value));
            if target.is_empty() {
                return Ok(());
            }
        }
        let default = || format!("/run/secrets/{}", last(&id));
        let target = if target.is_empty() { default() } else { target };
        let (uid, gid, mode) = owner(mount, 0o400);
        let content = Some(content);
        all.mounts.push(StepMount {
            target,
            content,
            read_only: true,
            uid,
            gid,
            mode,
            ..StepMount::default()
        });
        Ok(())
    }

    fn ssh(&self, all: &mut Mounts, mount: &Mount, target: String) -> Result<(), BuildError> {
        let id = ssh_id(mount);
        let Some(agent) = self.solve.req.ssh.get(id) else {
            if mount.required {
                return Err(BuildError::input(format!("the SSH agent `{id}` isn't given")).help(format!(
                    "give it by `--ssh {id}`, with an agent in SSH_AUTH_SOCK, or `--ssh {id}=<socket or key>`"
                )));
            }
            return Ok(());
        };
        let number = all.mounts.iter().filter(|m| m.agent.is_some()).count();
        let target = if target.is_empty() { format!("/run/buildkit/ssh_agent.{number}") } else { target };
        if number == 0 {
            all.env.push(("SSH_AUTH_SOCK".to_owned(), target.clone()));
        }
        let (uid, gid, mode) = owner(mount, 0o600);
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
}

fn last(path: &str) -> String {
    Path::new(path).file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

pub(crate) fn secret_id(mount: &Mount) -> String {
    let named = [&mount.source, &mount.id].into_iter().find(|i| !i.is_empty());
    named.cloned().unwrap_or_else(|| last(&mount.target))
}

pub(crate) fn ssh_id(mount: &Mount) -> &str {
    if mount.id.is_empty() { "default" } else { &mount.id }
}

/// What a RUN is given that is nobody else's business: noted whether it runs or not.
pub(crate) fn note(mounts: &[Planned], facts: &mut Facts) {
    for mount in mounts.iter().map(|p| &p.mount) {
        match mount.kind {
            MountKind::Secret => drop(facts.secrets.insert(secret_id(mount), !mount.required)),
            MountKind::Ssh => drop(facts.ssh.insert(ssh_id(mount).to_owned(), !mount.required)),
            _ => {}
        }
    }
}

/// `uid`, `gid` and `mode` of a mount.
fn owner(mount: &Mount, mode: u32) -> (u32, u32, u32) {
    (mount.uid.unwrap_or(0), mount.gid.unwrap_or(0), mount.mode.unwrap_or(mode))
}
