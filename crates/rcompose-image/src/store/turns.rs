//! Turns of pulls and pushes that come to the same layer at the same time.

use std::io;
use std::path::PathBuf;

use tokio::sync::oneshot;

use super::temp::entries;
use super::{LayerId, Store, files};
use crate::error::{ImageError, Result};
use crate::{Digest, Turn};

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
    /// dropped.
    pub(crate) async fn turn(&self, path: PathBuf) -> Result<Turn> {
        if let Some(turn) = self.try_turn(path.clone())? {
            return Ok(turn);
        }
        let failed = |e| ImageError::io("lock", &path, e);
        let (done, taken) = oneshot::channel();
        let waited = path.clone();
        let thread = std::thread::Builder::new().spawn(move || drop(done.send(Turn::take(&waited))));
        let thread = thread.map_err(failed)?;
        match taken.await {
            Ok(turn) => turn.map_err(failed),
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
