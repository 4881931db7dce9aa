//! A supervisor to talk to.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;

use rcompose_plan::ContainerId;
use rcompose_supervisor::{Client, serve};
use rcompose_testkit::{FakeHost, FakeProcess};

/// A supervisor in a thread of its own.
pub(crate) struct Rig {
    pub(crate) dir: tempfile::TempDir,
    socket: PathBuf,
    server: JoinHandle<()>,
}

/// A supervisor in a thread of its own.
pub(crate) fn rig(scripts: Vec<(ContainerId, FakeProcess)>) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let logs = dir.path().to_owned();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            let host = FakeHost::new(&logs);
            for (id, process) in scripts {
                host.script(&id, process);
            }
            serve(host, listener).await.unwrap();
        });
    });
    Rig { dir, socket, server }
}

impl Rig {
    pub(crate) fn client(&self) -> Client {
        Client::new(UnixStream::connect(&self.socket).unwrap())
    }

    pub(crate) fn deeds(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("deeds")).unwrap_or_default();
        text.lines().map(|l| l.split(' ').next().unwrap_or_default().to_owned()).collect()
    }

    /// Everything has ended, so it ends, too.
    pub(crate) fn ends(self) -> tempfile::TempDir {
        self.server.join().unwrap();
        self.dir
    }
}
