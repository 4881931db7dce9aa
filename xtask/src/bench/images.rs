//! Work on images: import, pull from a registry on loopback, builds of a large context.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, sink};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::engine::Engine;
use super::report::{Report, Unit};
use super::work::IMAGE;

/// Layers of the image of many layers.
const LAYERS: usize = 30;
/// Directories of the large context, and files in each.
const CONTEXT: (usize, usize) = (500, 100);

/// Debian's docker-registry with the images to pull, until dropped.
pub(super) struct Images {
    registry: Child,
    base: PathBuf,
    folder: PathBuf,
    /// The base system, and the one of many layers.
    names: [String; 2],
}

impl Drop for Images {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.registry.kill());
        drop(self.registry.wait());
    }
}

impl Images {
    /// Starts the registry and fills it; makes the contexts.
    pub(super) fn prepare(engine: &Engine, base: &Path, folder: &Path) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).context("find a port")?;
        let (folder, data) = (folder.join("images"), folder.join("registry"));
        fs::create_dir_all(&data).context("make the registry's folder")?;
        let config = data.join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n",
            data.display()
        );
        fs::write(&config, text).context("write the registry's configuration")?;
        let mut registry = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("start docker-registry")?;
        let log = registry.stderr.take();
        let names = ["base", "layers"].map(|n| format!("{address}/{n}:latest"));
        let images = Self { registry, base: base.to_owned(), folder, names };
        let mut log = BufReader::new(log.context("read what docker-registry says")?);
        let mut said = String::new();
        while !said.contains("listening on") {
            ensure!(log.read_line(&mut said)? > 0, "docker-registry ended: {said}");
        }
        // It must not block on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut sink()));
        images.contexts()?;
        engine.import(&images.base, &images.names[0])?;
        engine.compose(&images.folder.join("layers"), "build")?;
        for name in &images.names {
            engine.image(&["push", name])?;
            engine.clean_up(name)?;
        }
        // Layers that a build keeps would be there before they are pulled.
        engine.forget_builds()?;
        Ok(images)
    }

    fn contexts(&self) -> Result<()> {
        let (layers, files) = (self.folder.join("layers"), self.folder.join("files"));
        fs::create_dir_all(&layers).context("make a context")?;
        let mut dockerfile = format!("FROM {IMAGE}\n");
        for i in 0..LAYERS {
            writeln!(dockerfile, "COPY {i} /{i}")?;
            let text: String = (0..20_000).map(|n| format!("{i} {n}\n")).collect();
            fs::write(layers.join(i.to_string()), text).context("write a file")?;
        }
        fs::write(layers.join("Dockerfile"), dockerfile).context("write Dockerfile")?;
        let compose = format!("services:\n  s0: {{build: ., image: '{}'}}\n", self.names[1]);
        fs::write(layers.join("compose.yaml"), compose).context("write compose.yaml")?;
        for d in 0..CONTEXT.0 {
            let directory = files.join("context").join(d.to_string());
            fs::create_dir_all(&directory).context("make a context")?;
            for f in 0..CONTEXT.1 {
                fs::write(directory.join(f.to_string()), format!("{d} {f}\n")).context("write a file")?;
            }
        }
        let context = format!("FROM {IMAGE}\nCOPY . /context\n");
        fs::write(files.join("context/Dockerfile"), context).context("write Dockerfile")?;
        fs::write(files.join("compose.yaml"), "services:\n  s0: {build: context}\n")
            .context("write compose.yaml")
    }

    /// All of it, once.
    pub(super) fn round(&self, engine: &Engine, report: &mut Report) -> Result<()> {
        let mut add = |work: &str, took: std::time::Duration| {
            report.add(work, engine.name(), Unit::Milliseconds, took.as_secs_f64() * 1e3);
        };
        let imported = "benchbase:latest";
        add("import of a base system", engine.import(&self.base, imported)?);
        engine.clean_up(imported)?;
        for (name, work) in self.names.iter().zip(["pull of a base system", "pull of 30 layers"]) {
            add(work, engine.image(&["pull", name])?.took);
            engine.clean_up(name)?;
        }
        let files = self.folder.join("files");
        engine.compose(&files, "build")?;
        add("build, 50,000 files as before", engine.compose(&files, "build")?.took);
        let now = format!("{:?}", std::time::SystemTime::now());
        fs::write(files.join("context/0/0"), now).context("change a file")?;
        add("build, one of 50,000 files changed", engine.compose(&files, "build")?.took);
        engine.compose(&files, "down --rmi all").map(drop)
    }
}
