//! What a build takes from outside its files: secrets, SSH agents, contexts from elsewhere. What had to be made for it goes
//! with [`Inputs`].

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use rcompose_build::{ContextSource, GitAccess, GitSource, Kept, Scratch, SecretSource};
use rcompose_image::{Download, Store, without_password};
use rcompose_model::FileSource;
use serde_json::Value;

use crate::context::Context;
use crate::failure::Failure;
use crate::remote::Checkout;

/// More than this isn't a secret (BuildKit, session/secrets).
const SECRET_LIMIT: usize = 500 * 1024;

/// Directories and agents that a build needs while it runs.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    directories: Vec<Scratch>,
    repositories: Vec<Kept>,
    agents: Vec<Child>,
    /// Where contexts come from, by their addresses.
    sources: BTreeMap<String, ContextSource>,
    /// What logs in where contexts are fetched: secrets, and agents of SSH.
    pub(crate) secrets: BTreeMap<String, SecretSource>,
    /// By their ids.
    pub(crate) ssh: BTreeMap<String, PathBuf>,
}

impl Inputs {
    /// A directory of its own, below the installation's.
    pub(crate) fn directory(&mut self, cx: &Context) -> Result<PathBuf, Failure> {
        let room = cx.dirs.build_cache();
        rcompose_machine::make_room(&room)?;
        let base = room.join("contexts");
        let made = Scratch::within(&base)
            .map_err(|e| Failure::io(format_args!("make a directory in {}", base.display()), &e))?;
        let path = made.path().to_owned();
        self.directories.push(made);
        Ok(path)
    }

    /// A build context, or an additional one: a directory as it is, a repository checked out, an archive unpacked.
    pub(crate) fn context(&mut self, cx: &Context, place: &str) -> Result<PathBuf, Failure> {
        self.context_with(cx, place, false)
    }

    /// With `.git` in it if it is a repository and that is wished for.
    pub(crate) fn context_with(
        &mut self,
        cx: &Context,
        place: &str,
        keep_git_dir: bool,
    ) -> Result<PathBuf, Failure> {
        match GitSource::context(place)? {
            Some(mut source) => {
                source.keep_git_dir.get_or_insert(keep_git_dir);
                source.access = GitAccess::of(&source.repository, &self.secrets, &self.ssh)?;
                let found = self::repository(cx, &source)?;
                let time = u64::try_from(found.time).ok();
                let source = ContextSource { uri: without_password(place), commit: Some(found.commit), time };
                self.sources.insert(place.to_owned(), source);
                self.repositories.push(found.kept);
                Ok(found.at)
            }
            None if place.starts_with("http://") || place.starts_with("https://") => self.fetched(cx, place),
            None if place.contains("://") => Err(Failure::user(format!(
                "the build context {} is neither a directory, nor an archive, nor a git repository",
                without_password(place)
            ))
            .hint("write a path, or https://… of an archive or a repository; git:// and ssh:// go for repositories, too")),
            None => Ok(cx.env.cwd.join(place)),
        }
    }

    /// Where a context comes from that isn't this machine's own.
    pub(crate) fn source(&self, place: &str) -> Option<ContextSource> {
        self.sources.get(place).cloned()
    }

    /// What is at an address: an archive with the context, or a Dockerfile alone.
    fn fetched(&mut self, cx: &Context, url: &str) -> Result<PathBuf, Failure> {
        let shown = without_password(url);
        let failed = |e: std::io::Error| Failure::io(format_args!("fetch the build context {shown}"), &e);
        let mut body = Download::open(url).map_err(|e| Failure::io("fetch the build context", &e))?;
        let mut head = Vec::new();
        body.by_ref().take(512).read_to_end(&mut head).map_err(failed)?;
        let modified = body.modified();
        let archive = is_archive(&head);
        let mut whole = head.as_slice().chain(body);
        let newest = |at: &Path| if modified.is_some() { Ok(modified) } else { newest_file(at) };
        if archive {
            let at = self.archive(cx, whole)?;
            let time = newest(&at).map_err(failed)?;
            self.note(url, time);
            return Ok(at);
        }
        self.note(url, modified);
        let directory = self.directory(cx)?;
        let mut file = std::fs::File::create(directory.join("Dockerfile")).map_err(failed)?;
        std::io::copy(&mut whole, &mut file).map_err(failed)?;
        Ok(directory)
    }

    fn note(&mut self, url: &str, time: Option<SystemTime>) {
        let time = time.and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok()).map(|t| t.as_secs());
        let source = ContextSource { uri: without_password(url), commit: None, time };
        self.sources.insert(url.to_owned(), source);
    }

    /// The context in a tar archive, perhaps compressed.
    pub(crate) fn archive(&mut self, cx: &Context, mut archive: impl Read) -> Result<PathBuf, Failure> {
        let base = self.directory(cx)?;
        let (file, context) = (base.join("archive"), base.join("context"));
        let failed = |e: std::io::Error| Failure::io("keep the archive with the build context", &e);
        std::fs::create_dir(&context).map_err(failed)?;
        let mut copy = std::fs::File::create(&file).map_err(failed)?;
        std::io::copy(&mut archive, &mut copy).map_err(failed)?;
        rcompose_build::unpack(&file, &context)?;
        std::fs::remove_file(&file).map_err(failed)?;
        Ok(context)
    }

    /// `oci-layout://DIRECTORY[:TAG][@DIGEST]`: the image's id, once it is in the store, where it gets no name.
    pub(crate) fn layout(&mut self, cx: &Context, store: &Store, place: &str) -> Result<String, Failure> {
        let (bare, digest) = match place.split_once('@') {
            Some((bare, digest)) => (bare, Some(digest)),
            None => (place, None),
        };
        let (directory, tag) = match bare.rsplit_once(':') {
            Some((directory, tag)) if !tag.contains('/') => (directory, Some(tag)),
            _ => (bare, None),
        };
        let path = cx.env.cwd.join(directory);
        let failed =
            |e: std::io::Error| Failure::io(format_args!("read the OCI layout {}", path.display()), &e);
        let index = std::fs::read(path.join("index.json")).map_err(|e| {
            failed(e).hint(
                "name a directory with `index.json` and `blobs`, as `--output type=oci,tar=false` writes",
            )
        })?;
        let index = chosen(&index, tag, digest)
            .ok_or_else(|| Failure::user(format!("oci-layout://{place} has no such image")))?;
        let (read, write) = std::io::pipe().map_err(failed)?;
        let from = path.clone();
        let writer = std::thread::spawn(move || {
            let mut tar = tar::Builder::new(std::io::BufWriter::new(write));
            tar.append_dir_all("blobs", from.join("blobs"))?;
            let mut header = tar::Header::new_gnu();
            header.set_size(index.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, "index.json", index.as_slice())?;
            tar.into_inner()?.flush()
        });
        let loaded = store.load(read, None);
        let written = writer.join();
        let loaded = loaded.map_err(|e| Failure::from(e).context(format!("oci-layout://{place}")))?;
        if let Ok(Err(e)) = written {
            return Err(failed(e));
        }
        let first =
            loaded.first().ok_or_else(|| Failure::user(format!("oci-layout://{place} has no image")))?;
        Ok(first.image.id.hex())
    }

    /// `--ssh` and `build.ssh`: the socket of an agent. Key files get an agent of their own.
    pub(crate) fn agent(&mut self, cx: &Context, id: &str, path: Option<&str>) -> Result<PathBuf, Failure> {
        let Some(path) = path else {
            return match cx.env.get("SSH_AUTH_SOCK") {
                Some(socket) => Ok(socket.into()),
                None => Err(Failure::user(format!("no SSH agent for `{id}`: SSH_AUTH_SOCK isn't set"))
                    .hint("start one by ssh-agent, or name a socket or a key: ID=PATH")),
            };
        };
        let paths: Vec<PathBuf> = path.split(',').map(|p| cx.env.cwd.join(p)).collect();
        let is_socket = |p: &PathBuf| {
            use std::os::unix::fs::FileTypeExt;
            std::fs::metadata(p).map(|m| m.file_type().is_socket())
        };
        for p in &paths {
            match is_socket(p) {
                Ok(true) if paths.len() == 1 => return Ok(p.clone()),
                Ok(_) => {}
                Err(e) => {
                    return Err(Failure::io(format_args!("read the SSH key {}", p.display()), &e)
                        .hint("name an agent's socket or a key: ID=PATH"));
                }
            }
        }
        self.agent_with(cx, &paths)
    }

    fn agent_with(&mut self, cx: &Context, keys: &[PathBuf]) -> Result<PathBuf, Failure> {
        let failed = |what: &str, e: &std::io::Error| {
            let f = Failure::io(format_args!("run {what}"), e);
            match e.kind() {
                std::io::ErrorKind::NotFound => f.hint("install OpenSSH's client, or give an agent's socket"),
                _ => f,
            }
        };
        let socket = self.directory(cx)?.join("agent");
        let mut agent = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| failed("ssh-agent", &e))?;
        // It says where it listens once it does.
        let mut said = [0u8; 1];
        let listens = agent.stdout.as_mut().map(|o| o.read_exact(&mut said));
        self.agents.push(agent);
        if !matches!(listens, Some(Ok(()))) {
            return Err(Failure::user("ssh-agent ended without listening"));
        }
        let out = Command::new("ssh-add")
            .arg("-q")
            .args(keys)
            .env("SSH_AUTH_SOCK", &socket)
            .env("SSH_ASKPASS_REQUIRE", "never")
            .stdin(Stdio::null())
            .output()
            .map_err(|e| failed("ssh-add", &e))?;
        match out.status.success() {
            true => Ok(socket),
            false => {
                let said = String::from_utf8_lossy(&out.stderr).trim().replace('\n', "; ");
                Err(Failure::user(format!("ssh-add can't use the key: {said}"))
                    .hint("a key with a passphrase must be in an agent: ssh-add it, and give the agent"))
            }
        }
    }
}

/// A layout's index with one of its images alone, and without its name.
fn chosen(index: &[u8], tag: Option<&str>, digest: Option<&str>) -> Option<Vec<u8>> {
    let mut index: Value = serde_json::from_slice(index).ok()?;
    let named = |m: &Value| match (digest, tag) {
        (Some(digest), _) => m["digest"] == digest,
        (None, Some(tag)) => m["annotations"]["org.opencontainers.image.ref.name"] == tag,
        (None, None) => true,
    };
    let mut manifest = index["manifests"].as_array()?.iter().find(|m| named(m))?.clone();
    manifest.as_object_mut()?.remove("annotations");
    index["manifests"] = Value::from(vec![manifest]);
    serde_json::to_vec(&index).ok()
}

impl Drop for Inputs {
    fn drop(&mut self) {
        for agent in &mut self.agents {
            if agent.kill().and_then(|()| agent.wait()).is_err() {
                // It has ended already.
            }
        }
    }
}

/// A tar archive, plain or compressed by gzip, bzip2, xz or zstd.
pub(crate) fn is_archive(head: &[u8]) -> bool {
    let magics: [&[u8]; 4] =
        [&[0x1f, 0x8b], b"BZh", &[0xfd, b'7', b'z', b'X', b'Z', 0], &[0x28, 0xb5, 0x2f, 0xfd]];
    magics.iter().any(|m| head.starts_with(m)) || head.get(257..262) == Some(b"ustar")
}

/// The files of a repository that is a build context, and which commit they are.
fn repository(cx: &Context, source: &GitSource) -> Result<Checkout, Failure> {
    source.check()?;
    let found = cx.sources().source(source).map_err(fetch_failure)?;
    match source.checksum.as_ref().filter(|want| want.len() < 7 || !found.commit.starts_with(*want)) {
        None => Ok(found),
        Some(want) => Err(Failure::user(format!(
            "{} is at {}, not at {want} as the checksum says",
            without_password(&source.repository),
            found.commit
        ))
        .hint("give the commit as the reference, or correct the checksum")),
    }
}

/// When the youngest file below a directory was changed.
fn newest_file(directory: &Path) -> std::io::Result<Option<SystemTime>> {
    let mut newest = None;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        let time = match () {
            () if meta.is_dir() => newest_file(&entry.path())?,
            () if meta.is_file() => Some(meta.modified()?),
            () => None,
        };
        newest = newest.max(time);
    }
    Ok(newest)
}

fn fetch_failure(e: rcompose_loader::FetchError) -> Failure {
    e.help.iter().fold(Failure::user(e.message.clone()), |f, h| f.hint(h.clone()))
}

/// `--secret id=NAME[,src=FILE][,env=VARIABLE][,type=file|env]`.
pub(crate) fn secret(cx: &Context, text: &str) -> Result<(String, SecretSource), Failure> {
    let wrong = |why: &str| {
        Failure::user(format!("--secret {text}: {why}"))
            .hint("write id=NAME,src=FILE or id=NAME,env=VARIABLE")
    };
    let mut fields: BTreeMap<&str, &str> = BTreeMap::new();
    for field in text.split(',') {
        let (key, value) = field.split_once('=').ok_or_else(|| wrong(&format!("`{field}` has no value")))?;
        let key = match key.to_ascii_lowercase().as_str() {
            "id" => "id",
            "src" | "source" => "src",
            "env" => "env",
            "type" => "type",
            _ => return Err(wrong(&format!("unexpected key `{key}`"))),
        };
        fields.insert(key, value);
    }
    let id = fields.get("id").filter(|i| !i.is_empty()).ok_or_else(|| wrong("it has no id"))?;
    let (mut src, mut env) = (fields.get("src").copied(), fields.get("env").copied());
    match fields.get("type").copied() {
        Some("env") if env.is_none() => env = src.take().or(Some(id)),
        None | Some("file" | "env") => {}
        Some(other) => return Err(wrong(&format!("unsupported type `{other}`"))),
    }
    if src.is_none() && env.is_none() {
        match cx.env.all.contains_key(*id) {
            true => env = Some(id),
            false => src = Some(id),
        }
    }
    let source = match (env, src) {
        (Some(name), _) => SecretSource::Value(
            cx.env
                .all
                .get(name)
                .ok_or_else(|| wrong(&format!("the variable {name} isn't set")))?
                .clone()
                .into(),
        ),
        (None, src) => SecretSource::File(cx.env.cwd.join(src.unwrap_or(id))),
    };
    check(id, &source)?;
    Ok(((*id).to_owned(), source))
}

/// A secret of the project.
pub(super) fn project_secret(id: &str, source: &FileSource) -> Result<SecretSource, Failure> {
    let source = match source {
        FileSource::File(path) => SecretSource::File(path.clone()),
        FileSource::Environment { value: Some(value), .. } => SecretSource::Value(value.clone().into()),
        FileSource::Environment { variable, value: None } => {
            return Err(Failure::user(format!("secret \"{id}\": the variable {variable} isn't set"))
                .hint("set it in the shell or in .env"));
        }
        FileSource::Content(text) => SecretSource::Value(text.clone().into()),
        _ => {
            return Err(Failure::unsupported(format!(
                "secret \"{id}\" is external, which a build can't see"
            )));
        }
    };
    check(id, &source)?;
    Ok(source)
}

fn check(id: &str, source: &SecretSource) -> Result<(), Failure> {
    let size = match source {
        SecretSource::Value(bytes) => bytes.len() as u64,
        SecretSource::File(path) => {
            let failed = |e| {
                Failure::io(format_args!("read the secret `{id}` in {}", path.display()), &e)
                    .hint("create the file, or correct its path")
            };
            let meta = std::fs::metadata(path).map_err(failed)?;
            if !meta.is_file() {
                return Err(Failure::user(format!("secret `{id}`: {} isn't a file", path.display())));
            }
            meta.len()
        }
    };
    match size > SECRET_LIMIT as u64 {
        true => {
            Err(Failure::user(format!("secret `{id}` has {size} bytes, at most {SECRET_LIMIT} are allowed")))
        }
        false => Ok(()),
    }
}
