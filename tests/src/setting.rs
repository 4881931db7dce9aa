use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::Run;

/// Says that a test doesn't run, past the test runner's capture, so that it can be counted.
pub fn skip(test: &str, reason: &str) {
    // A lost line changes nothing but the count.
    drop(writeln!(std::io::stderr(), "SKIP {test}: {reason}"));
}

/// What the tests of this process run with: the binary, and one installation for all of them with the base images in it.
#[derive(Debug)]
pub struct Setting {
    /// The binary: `RCOMPOSE_BIN`.
    pub bin: PathBuf,
    /// Where the base images' files are: `RCOMPOSE_E2E_BASE`.
    pub base: PathBuf,
    /// `RCOMPOSE_ROOT` of all tests.
    pub root: PathBuf,
    /// Where the projects' files are written.
    pub projects: PathBuf,
    /// Held while the process lives: two runs of the tests at once would meet in the projects' names.
    _lock: fs::File,
}

static SETTING: OnceLock<Result<Setting, String>> = OnceLock::new();

impl Setting {
    /// The setting, made once; else the reason why nothing can run.
    pub fn get() -> Result<&'static Self, &'static str> {
        SETTING.get_or_init(|| Self::make().map_err(|e| format!("{e:#}"))).as_ref().map_err(String::as_str)
    }

    fn make() -> Result<Self> {
        let bin =
            std::env::var_os("RCOMPOSE_BIN").context("RCOMPOSE_BIN is not set (cargo xtask ci does)")?;
        let base = std::env::var_os("RCOMPOSE_E2E_BASE")
            .context("RCOMPOSE_E2E_BASE is not set (cargo xtask ci does)")?;
        ensure!(rustix::process::geteuid().is_root(), "needs root");
        let bin = fs::canonicalize(&bin).with_context(|| format!("find {}", Path::new(&bin).display()))?;
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        fs::create_dir_all(&target)?;
        let home = fs::canonicalize(&target)?.join("e2e");
        let (root, projects) = (home.join("root"), home.join("projects"));
        fs::create_dir_all(&root)?;
        fs::create_dir_all(&projects)?;
        let lock = fs::File::create(home.join("lock"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).context("lock")?;
        let setting = Self { bin, base: base.into(), root, projects, _lock: lock };
        for (file, reference) in [("busybox.tar", "busybox:latest"), ("debian.tar", "debian:bookworm")] {
            setting.import(&setting.base.join(file), reference)?;
        }
        Ok(setting)
    }

    /// Imports a base image, unless this very file was imported before.
    fn import(&self, file: &Path, reference: &str) -> Result<()> {
        let meta = fs::metadata(file).with_context(|| format!("find {}", file.display()))?;
        let stamp = format!("{} {:?}", meta.len(), meta.modified()?);
        let record = self.root.join(format!("{}.stamp", reference.replace([':', '/'], "-")));
        let same = fs::read_to_string(&record).is_ok_and(|r| r == stamp);
        if same && self.command().args(["image", "inspect", reference]).run()?.code() == 0 {
            return Ok(());
        }
        let done = self
            .command()
            .args(["image", "import"])
            .args([file.as_os_str(), reference.as_ref()])
            .limit(Duration::from_secs(120))
            .run()?;
        ensure!(done.code() == 0, "{}", done.describe());
        fs::write(&record, stamp).context("write the stamp")
    }

    /// The binary in this installation, without arguments; nothing of the caller's environment changes what it does.
    pub fn command(&self) -> Run {
        let mut run = Run::new(&self.bin).env("RCOMPOSE_ROOT", &self.root).env("COLUMNS", "200");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("COMPOSE_") || name == "NO_COLOR" {
                run = run.env_remove(&name);
            }
        }
        run
    }
}
