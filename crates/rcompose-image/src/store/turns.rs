//! Turns of pulls and pushes that come to the same layer at the same time.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{major, minor};
use tokio::sync::oneshot;

use super::temp::entries;
use super::{LayerId, Store, files};
use crate::error::{ImageError, Result};
use crate::{Digest, Turn};

/// So long a turn is waited for before it is looked whether whoever has it goes on.
const LOOK: Duration = Duration::from_secs(2);

impl Store {
    /// The turn to get a layer.
    pub(crate) fn turn_to_pull(&self, layer: &LayerId) -> PathBuf {
        self.turns().join(layer.0.hex())
    }

    /// The turn to send a layer to a registry.
    pub(crate) fn turn_to_push(&self, layer: &LayerId, host: &str) -> PathBuf {
        self.turns().join(format!("{}-{}", layer.0.hex(), &Digest::of(host.as_bytes()).hex()[..16]))
    }

    /// Takes a turn, unless somebody else has it, in this process or another.
    pub(crate) fn try_turn(&self, path: PathBuf) -> Result<Option<Turn>> {
        let taken = match Turn::try_take(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                files::make_dirs(&self.turns(), 0o700)?;
                Turn::try_take(&path)
            }
            other => other,
        };
        taken.map_err(|e| ImageError::io("lock", &path, e))
    }

    /// Takes a turn once nobody else has it. The waiting is done by a thread, which nobody waits for when this is
    /// dropped. `None`: whoever has it is stopped (Ctrl-Z), perhaps for ever; then the work is done twice.
    pub(crate) async fn turn(&self, path: PathBuf) -> Result<Option<Turn>> {
        if let Some(turn) = self.try_turn(path.clone())? {
            return Ok(Some(turn));
        }
        let failed = |e| ImageError::io("lock", &path, e);
        let (done, mut taken) = oneshot::channel();
        let waited = path.clone();
        let thread = std::thread::Builder::new().spawn(move || drop(done.send(Turn::take(&waited))));
        let thread = thread.map_err(failed)?;
        let taken = loop {
            match tokio::time::timeout(LOOK, &mut taken).await {
                Ok(taken) => break taken,
                Err(_) if is_stopped(&path) => return Ok(None),
                Err(_) => {}
            }
        };
        match taken {
            Ok(turn) => turn.map(Some).map_err(failed),
            Err(_) => match thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => unreachable!("it sends before it ends"),
            },
        }
    }

    /// Removes the turns of those that were killed.
    pub(super) fn clear_turns(&self) -> Result<()> {
        for path in entries(&self.turns())? {
            Turn::clear(&path).map_err(|e| ImageError::io("remove", &path, e))?;
        }
        Ok(())
    }

    fn turns(&self) -> PathBuf {
        self.root().join("turns")
    }
}

/// Whether the process that has the lock is stopped, as far as can be told: nothing tells who waits for it.
fn is_stopped(path: &Path) -> bool {
    let Ok(file) = fs::metadata(path) else { return false };
    let file = format!("{:02x}:{:02x}:{}", major(file.dev()), minor(file.dev()), file.ino());
    // proc_locks(5): a number, FLOCK, ADVISORY, WRITE, the process, the file. Who waits has an arrow before FLOCK.
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let holder = locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words.get(1) == Some(&"FLOCK") && words.get(5) == Some(&file.as_str())).then(|| words[4].to_owned())
    });
    let stat = holder.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    let state = stat.as_deref().and_then(|stat| stat.rsplit_once(") ")).map(|(_, rest)| &rest[..1]);
    matches!(state, Some("T" | "t"))
}
