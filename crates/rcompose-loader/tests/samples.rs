//! Every sample in `compose-samples/GROUP/NAME` against its goldens.
//!
//! `model.json` and `model.yaml` are docker compose's answers, kept by `cargo xtask oracle --write`; a sample with
//! `difference.txt` differs on purpose. `diagnostics.txt` is what we say to bad input; `UPDATE_GOLDENS=1` rewrites it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use rcompose_loader::{LoadRequest, Loaded, Sources, load, render_diagnostics};

/// Where the goldens say that the samples lie.
const PLACEHOLDER: &str = "/samples";

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose-samples").canonicalize().unwrap()
}

/// The samples' folder at its placeholder.
struct Samples {
    home: PathBuf,
    /// Letters that stand for `@FILL@`, by file: what git shouldn't hold.
    fill: BTreeMap<PathBuf, usize>,
}

impl Samples {
    fn real(&self, path: &Path) -> PathBuf {
        path.strip_prefix(PLACEHOLDER).map_or_else(|_| path.to_owned(), |rest| self.home.join(rest))
    }
}

impl Sources for Samples {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let bytes = fs::read(self.real(path))?;
        let Some(count) = self.fill.get(path) else { return Ok(bytes) };
        Ok(String::from_utf8_lossy(&bytes).replace("@FILL@", &"a".repeat(*count)).into_bytes())
    }
    fn is_file(&self, path: &Path) -> bool {
        self.real(path).is_file()
    }
    fn is_dir(&self, path: &Path) -> bool {
        self.real(path).is_dir()
    }
}

/// The command line of a sample, as its file `args` has it.
fn request(home: &Path, at: &Path) -> LoadRequest {
    let lines = |name: &str| fs::read_to_string(home.join(name)).unwrap_or_default();
    let mut req = LoadRequest { cwd: at.to_owned(), ..Default::default() };
    req.environment.insert("HOME".into(), "/home/user".into());
    req.environment.insert("PWD".into(), at.display().to_string());
    for line in lines("env").lines() {
        let (name, value) = line.split_once('=').unwrap();
        req.environment.insert(name.into(), value.into());
    }
    let args = lines("args");
    let mut args = args.lines();
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap().to_owned();
        match arg {
            "config" => {}
            "-f" => req.files.push(value().into()),
            "-p" => req.project_name = Some(value()),
            "--project-directory" => req.project_directory = Some(value().into()),
            "--profile" => req.profiles.push(value()),
            "--env-file" => req.env_files.push(value().into()),
            "--no-normalize" => req.options.no_normalize = true,
            "--no-path-resolution" => req.options.no_resolve_paths = true,
            "--no-env-resolution" => req.options.no_resolve_env = true,
            "--no-consistency" => req.options.no_consistency = true,
            name if !name.starts_with('-') => req.services.push(name.into()),
            other => panic!("{}: {other} isn't known here", home.display()),
        }
    }
    req
}

/// What is wrong with a sample's answer.
fn check(home: &Path, good: Loaded, services: &[String]) -> Option<String> {
    let mut canonical = good.canonical;
    if !services.is_empty() {
        canonical.keep_services(services, false).unwrap();
    }
    let Ok(golden) = fs::read_to_string(home.join("model.json")) else {
        return Some("it is accepted, but has no model.json".into());
    };
    let want: serde_json::Value = serde_json::from_str(&golden).unwrap();
    let have: serde_json::Value = serde_json::from_str(&canonical.to_json()).unwrap();
    if have != want {
        return Some(format!("model.json differs; this is ours:\n{have:#}"));
    }
    let want = fs::read_to_string(home.join("model.yaml")).unwrap_or_default();
    let have = canonical.to_yaml();
    (have.trim_end() != want.trim_end()).then(|| format!("model.yaml differs; this is ours:\n{have}"))
}

#[test]
fn every_sample_gives_its_goldens() {
    let (home, update) = (home(), std::env::var_os("UPDATE_GOLDENS").is_some());
    let (mut wrong, mut count) = (Vec::new(), 0);
    for sample in samples(&home) {
        let at = Path::new(PLACEHOLDER).join(sample.strip_prefix(&home).unwrap());
        let recipe = fs::read_to_string(sample.join("generate")).unwrap_or_default();
        let fill = recipe.lines().filter_map(|l| l.split_once(' '));
        let fill = fill.map(|(file, n)| (at.join(file), n.parse().unwrap())).collect();
        let sources = Samples { home: home.clone(), fill };
        let req = request(&sample, &at);
        // `config` prints what nobody can carry out; what starts it doesn't.
        let told = match load(&req, &sources) {
            Ok(_) => String::new(),
            Err(e) => render_diagnostics(&e.diagnostics, false, 100),
        };
        let mut lenient = req.clone();
        lenient.options.unusable_warns = true;
        let model = match load(&lenient, &sources) {
            Ok(good) => check(&sample, good, &req.services),
            Err(_) if sample.join("model.json").exists() => {
                Some(format!("it has a model, but is refused:\n{told}"))
            }
            Err(_) => None,
        };
        let diagnostics = sample.join("diagnostics.txt");
        if update && told.is_empty() {
            fs::remove_file(&diagnostics)
                .or_else(|e| (!diagnostics.exists()).then_some(()).ok_or(e))
                .unwrap();
        } else if update {
            fs::write(&diagnostics, &told).unwrap();
        }
        let want = fs::read_to_string(&diagnostics).unwrap_or_default();
        let fault = model
            .or_else(|| (told != want).then(|| format!("diagnostics.txt differs; this is ours:\n{told}")));
        count += 1;
        wrong.extend(fault.map(|f| format!("{}: {f}", at.display())));
    }
    assert!(count >= 150, "only {count} samples");
    assert!(wrong.is_empty(), "{} of {count} samples are wrong\n\n{}", wrong.len(), wrong.join("\n\n"));
}

/// The folders two levels down, but for the examples that are run.
fn samples(home: &Path) -> Vec<PathBuf> {
    let below = |dir: &Path| -> Vec<PathBuf> {
        let mut dirs: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        dirs.retain(|d| d.is_dir());
        dirs.sort();
        dirs
    };
    below(home).iter().filter(|g| !g.join("compose.yaml").exists()).flat_map(|g| below(g)).collect()
}
