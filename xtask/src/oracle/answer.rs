//! One engine's answer about a sample; docker's are kept, since it takes its time and doesn't change its mind.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::sample::Sample;
use crate::sh::{ask, say};

/// Where docker looks for plugins, after the home directory.
const PLUGINS: [&str; 3] =
    ["/usr/local/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins"];

/// What `config` gave.
pub(crate) struct Answer {
    /// Exit status 0, in both formats.
    pub(crate) good: bool,
    pub(crate) yaml: String,
    /// `Null` if that format failed.
    pub(crate) json: Value,
    pub(crate) complaint: String,
}

pub(crate) struct Engine {
    program: Vec<String>,
    /// Where answers are kept, and what they depend on beside the sample.
    kept: Option<(PathBuf, String)>,
}

impl Engine {
    /// The plugin itself: started by docker's command line, it would outlive its time limit.
    pub(crate) fn docker(kept: PathBuf) -> Result<Self> {
        fs::create_dir_all(&kept).with_context(|| format!("make {}", kept.display()))?;
        let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".docker/cli-plugins");
        let folders = PLUGINS.iter().map(PathBuf::from);
        let plugin = std::iter::once(home)
            .chain(folders)
            .map(|f| f.join("docker-compose"))
            .find(|p| p.is_file())
            .context("docker compose isn't here: install its plugin")?
            .display()
            .to_string();
        let version = ask(&plugin, &["version", "--short"]).context("docker compose doesn't run")?;
        say(&format!("docker compose {}", version.trim()));
        Ok(Self { program: vec![plugin], kept: Some((kept, version)) })
    }

    pub(crate) fn rcompose(binary: PathBuf) -> Self {
        Self { program: vec![binary.display().to_string()], kept: None }
    }

    pub(crate) fn ask(&self, sample: &Sample) -> Result<Answer> {
        let Some((folder, version)) = &self.kept else { return self.run(sample) };
        let mut hash = DefaultHasher::new();
        (version, &sample.directory, &sample.args, &sample.env).hash(&mut hash);
        fingerprint(&sample.directory, &mut hash);
        let file = folder.join(format!("{:016x}.json", hash.finish()));
        let old = fs::read(&file).ok().and_then(|b| serde_json::from_slice::<Value>(&b).ok());
        if let Some(old) = old.as_ref().and_then(unpack) {
            return Ok(old);
        }
        let answer = self.run(sample)?;
        let packed = json!([answer.good, answer.yaml, answer.json, answer.complaint]);
        fs::write(&file, packed.to_string()).context("keep an answer")?;
        Ok(answer)
    }

    fn run(&self, sample: &Sample) -> Result<Answer> {
        let (good, yaml, complaint) = self.call(sample, &[])?;
        let (json_good, json, json_complaint) = self.call(sample, &["--format", "json"])?;
        // Deeper than any reader goes counts as not printed.
        let json = if json_good { serde_json::from_str(&json).unwrap_or_default() } else { Value::Null };
        Ok(Answer { good, yaml, json, complaint: if good { json_complaint } else { complaint } })
    }

    fn call(&self, sample: &Sample, more: &[&str]) -> Result<(bool, String, String)> {
        // A bomb must not take the whole machine; Go's runtime alone reserves more than a gigabyte.
        let mut command = Command::new("prlimit");
        command
            .args(["--as=6000000000", "timeout", "-k", "1", "20"])
            .args(&self.program)
            .args(&sample.args)
            .args(more)
            .current_dir(&sample.directory);
        command.env_clear().env("PWD", &sample.directory).env("HOME", "/home/user");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(sample.env.iter().map(|(k, v)| (k, v))).stdin(Stdio::null());
        let out = command.output().with_context(|| format!("run {}", self.program[0]))?;
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        Ok((out.status.success(), text(&out.stdout), text(&out.stderr)))
    }
}

fn unpack(v: &Value) -> Option<Answer> {
    Some(Answer {
        good: v[0].as_bool()?,
        yaml: v[1].as_str()?.to_owned(),
        json: v[2].clone(),
        complaint: v[3].as_str()?.to_owned(),
    })
}

/// All files of a sample count, except goldens.
fn fingerprint(dir: &Path, hash: &mut DefaultHasher) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    for entry in entries {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if ["model.json", "model.yaml", "diagnostics.txt", "difference.txt"].contains(&name.as_str()) {
            continue;
        }
        name.hash(hash);
        if entry.is_dir() && !entry.is_symlink() {
            fingerprint(&entry, hash);
        } else {
            fs::read(&entry).ok().hash(hash);
        }
    }
}
