use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use rcompose_e2e::{Finished, Run};

/// Something that runs Compose projects.
#[derive(Debug)]
pub(super) struct Engine {
    name: &'static str,
    compose: Run,
    image: Run,
    builder: Option<Run>,
    /// Its installation, if it is ours.
    root: Option<PathBuf>,
}

impl Engine {
    pub(super) fn rcompose(bin: &Path, root: &Path) -> Self {
        let run = Run::new(bin).env("RCOMPOSE_ROOT", root).limit(Duration::from_secs(300));
        let (image, builder) = (run.clone().args(["image"]), Some(run.clone().args(["builder"])));
        Self { name: "rcompose", compose: run, image, builder, root: Some(root.to_owned()) }
    }

    /// Docker, if both the command and an engine answer.
    pub(super) fn docker() -> Option<Self> {
        let run = Run::new("docker").limit(Duration::from_secs(300));
        let answers = |args: [&str; 2]| run.clone().args(args).run().is_ok_and(|f| f.code() == 0);
        (answers(["compose", "version"]) && answers(["info", "--format={{.ID}}"])).then(|| Self {
            name: "docker",
            compose: run.clone().args(["compose"]),
            image: run.clone().args(["image"]),
            builder: None,
            root: None,
        })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Runs a Compose command in a folder; it must succeed.
    pub(super) fn compose(&self, folder: &Path, words: &str) -> Result<Finished> {
        let done = self.compose.clone().dir(folder).args(words.split(' ')).run()?;
        ensure!(done.code() == 0, "{}", done.describe());
        Ok(done)
    }

    /// Runs a command on images; it must succeed.
    pub(super) fn image(&self, words: &[&str]) -> Result<Finished> {
        let done = self.image.clone().args(words).run()?;
        ensure!(done.code() == 0, "{}", done.describe());
        Ok(done)
    }

    pub(super) fn import(&self, tar: &Path, reference: &str) -> Result<Duration> {
        Ok(self.image(&["import", &tar.display().to_string(), reference])?.took)
    }

    /// Removes what builds keep for the next ones, if nobody else's are among them.
    pub(super) fn forget_builds(&self) -> Result<()> {
        if let Some(builder) = &self.builder {
            let done = builder.clone().args(["prune", "-af"]).run()?;
            ensure!(done.code() == 0, "{}", done.describe());
        }
        Ok(())
    }

    /// Removes what was put there for the bench.
    pub(super) fn clean_up(&self, reference: &str) -> Result<()> {
        self.image(&["rm", "-f", reference]).map(drop)
    }

    /// Proportional set size of everything that it keeps alive, containers excluded, in MiB.
    pub(super) fn memory(&self) -> f64 {
        let kilobytes: u64 = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path())
            .filter(|p| self.owns(p))
            .filter_map(|p| {
                let text = fs::read_to_string(p.join("smaps_rollup")).ok()?;
                let line = text.lines().find_map(|l| l.strip_prefix("Pss:"))?;
                line.split_whitespace().next()?.parse::<u64>().ok()
            })
            .sum();
        kilobytes as f64 / 1024.0
    }

    fn owns(&self, process: &Path) -> bool {
        let Ok(exe) = fs::read_link(process.join("exe")) else { return false };
        let name = exe.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match &self.root {
            Some(root) => {
                let wanted = format!("RCOMPOSE_ROOT={}", root.display());
                let environ = fs::read(process.join("environ")).unwrap_or_default();
                name.starts_with("rcompose") && environ.split(|b| *b == 0).any(|v| v == wanted.as_bytes())
            }
            None => ["dockerd", "containerd", "docker-proxy"].iter().any(|p| name.starts_with(p)),
        }
    }
}
