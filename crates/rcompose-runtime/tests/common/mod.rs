//! Real containers on a busybox root. Needs root and a static /bin/busybox; without either a test says that it is skipped.

use std::fs;
use std::io::{PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use oci_spec::runtime::Spec;
use rcompose_runtime::cgroup::CgroupPath;
use rcompose_runtime::seccomp::Filter;
use rcompose_runtime::*;
use rustix::process::{WaitOptions, waitpid};

pub(crate) struct Box {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) rootfs: Rootfs,
    pub(crate) cgroup: CgroupPath,
    pub(crate) spec: Spec,
    pub(crate) request: fn(&mut CreateRequest<'_>),
}

pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) output: String,
    pub(crate) error: Option<ChildError>,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Box {
    pub(crate) fn new(script: &str) -> Box {
        Self::with(&["/bin/sh", "-c", script])
    }

    pub(crate) fn with(args: &[&str]) -> Box {
        let dir = tempfile::tempdir().unwrap();
        let lower = dir.path().join("lower");
        for name in ["bin", "etc", "tmp"] {
            fs::create_dir_all(lower.join(name)).unwrap();
        }
        fs::copy("/bin/busybox", lower.join("bin/busybox"))
            .expect("these tests need busybox-static in /bin/busybox");
        for name in "sh cat true false id ls grep echo hostname sleep unshare mount ip tty kill ps dd tail readlink stat touch head awk".split(' ') {
            symlink("busybox", lower.join("bin").join(name)).unwrap();
        }
        fs::write(
            lower.join("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
        )
        .unwrap();
        fs::write(lower.join("bin/notexec"), "").unwrap();
        let (upper, work) = (dir.path().join("upper"), dir.path().join("work"));
        fs::create_dir(&upper).unwrap();
        fs::create_dir(&work).unwrap();
        let name = format!("rcompose-test/{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut spec = default_spec();
        let process = spec.process_mut().as_mut().unwrap();
        process.set_args(Some(args.iter().map(|arg| (*arg).to_owned()).collect()));
        process.set_env(Some(vec!["PATH=/usr/bin:/bin".into()]));
        let rootfs = Rootfs::Overlay { lowers: vec![lower], upper, work, ephemeral: false };
        Box { dir, rootfs, cgroup: CgroupPath::new(&name).unwrap(), spec, request: |_| {} }
    }

    pub(crate) fn process(&mut self) -> &mut oci_spec::runtime::Process {
        self.spec.process_mut().as_mut().unwrap()
    }

    pub(crate) fn filter(&self) -> Filter {
        Filter::docker_default(&docker_capabilities())
    }

    pub(crate) fn create(&self) -> (Created, PipeReader) {
        self.try_create().unwrap()
    }

    fn try_create(&self) -> Result<(Created, PipeReader), CreateError> {
        let (reader, writer) = std::io::pipe().unwrap();
        let filter = self.filter();
        let mut request = CreateRequest {
            id: "test",
            spec: &self.spec,
            rootfs: &self.rootfs,
            stdin: None,
            stdout: Some(writer.as_fd()),
            stderr: Some(writer.as_fd()),
            terminal: None,
            init: false,
            cgroup: &self.cgroup,
            files: Vec::new(),
            seccomp: Some(&filter),
            pdeathsig: true,
        };
        (self.request)(&mut request);
        create(&request).map(|created| (created, reader))
    }

    pub(crate) fn start(&self) -> (Created, PipeReader) {
        let (created, reader) = self.create();
        go(&created);
        (created, reader)
    }

    pub(crate) fn run(&self) -> Ended {
        let (created, mut reader) = match self.try_create() {
            Ok(made) => made,
            Err(CreateError::Child(error)) => {
                return Ended { code: error.exit_code(), output: String::new(), error: Some(error) };
            }
            Err(error) => panic!("{error}"),
        };
        go(&created);
        let error = status(&created);
        let mut output = String::new();
        match &created.console {
            // A terminal whose other side is gone answers EIO.
            Some(console) => {
                let mut bytes = Vec::new();
                let _ = fs::File::from(console.try_clone().unwrap()).read_to_end(&mut bytes);
                output = String::from_utf8(bytes).unwrap();
            }
            None => drop(reader.read_to_string(&mut output).unwrap()),
        }
        Ended { code: wait(created.pid), output, error }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Box {
    fn drop(&mut self) {
        self.cgroup.remove().unwrap();
        for directory in self.cgroup.directories() {
            assert!(!directory.exists());
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.dir.path().to_str().unwrap()), "the host sees the container's mounts");
    }
}

pub(crate) fn go(created: &Created) {
    let _ = rustix::io::write(&created.go, &[1]);
}

pub(crate) fn status(created: &Created) -> Option<ChildError> {
    let mut bytes = Vec::new();
    fs::File::from(created.status.try_clone().unwrap()).read_to_end(&mut bytes).unwrap();
    read_status(&bytes)
}

pub(crate) fn wait(pid: rustix::process::Pid) -> i32 {
    let (_, status) = waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
    status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap())
}
