//! The two processes that outlive a command: keeper and supervisor. Hidden verbs of the same binary.

use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use rcompose_machine::{Dirs, LocalHost};
use rcompose_model::ProjectName;

/// `__keeper PROJECT`: the listening socket is standard input.
pub(crate) fn keeper(dirs: Dirs, project: ProjectName) -> i32 {
    rcompose_machine::keeper_main(dirs, project)
}

/// `__supervisor PROJECT`: the keeper's socket is standard input, the listening socket is standard output.
pub(crate) fn supervisor(dirs: Dirs, project: ProjectName) -> i32 {
    match supervise(dirs, project) {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("supervisor: {e}");
            1
        }
    }
}

fn supervise(dirs: Dirs, project: ProjectName) -> std::io::Result<()> {
    let keeper = std::io::stdin().as_fd().try_clone_to_owned()?;
    let listener = std::io::stdout().as_fd().try_clone_to_owned()?;
    // Both copies are ours; the originals would hold the sockets open beyond their use.
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let host = LocalHost::connect(dirs, project, keeper).await?;
        rcompose_supervisor::serve(host, UnixListener::from(listener)).await
    })
}
