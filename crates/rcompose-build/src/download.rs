//! What ADD fetches by HTTP. It is kept, and fetched again only if the server says that it has changed.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rcompose_image::{Digest, Download, Hasher, RegistryError, without_password};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use serde::{Deserialize, Serialize};

use crate::access::of_file;
use crate::cache::DOWNLOADS;
use crate::digests::write_atomic;
use crate::ignore::Ignore;
use crate::kept::Kept;
use crate::remote::one;
use crate::scratch::Scratch;
use crate::select::Pick;
use crate::stage::Stage;
use crate::{BuildError, BuildRequest, Material};

/// `downloads/<hash of the address>/` below the cache root: what is known, and the file below its digest.
struct Place(Kept);

/// What is known.
const KNOWN: &str = "known.json";

#[derive(Debug, Serialize, Deserialize)]
struct Known {
    version: u32,
    /// The server's entity tag.
    tag: Option<String>,
    digest: Digest,
}

/// Keeps a download from being removed.
pub(crate) struct Held(#[expect(dead_code, reason = "it is held")] Place);

impl Place {
    fn open(cache_root: &Path, url: &str) -> io::Result<Self> {
        let path = cache_root.join(DOWNLOADS).join(Digest::of(url.as_bytes()).hex());
        Kept::open(path, KNOWN, sweep).map(Self)
    }

    /// What can't be read is as good as nothing.
    fn known(&self) -> Option<Known> {
        let known: Known = serde_json::from_slice(&fs::read(self.0.path().join(KNOWN)).ok()?).ok()?;
        (known.version == 1 && self.file(&known.digest).is_dir()).then_some(known)
    }

    /// The directory with the file of this digest.
    fn file(&self, digest: &Digest) -> PathBuf {
        self.0.path().join(digest.hex())
    }
}

/// Removes what has been replaced. Nobody else has the lock.
fn sweep(path: &Path) -> io::Result<()> {
    let known = fs::read(path.join(KNOWN)).unwrap_or_default();
    let now = serde_json::from_slice::<Known>(&known).ok().map(|k| k.digest.hex());
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name().to_str() != now.as_deref() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

impl Stage<'_> {
    /// A file from an address: readable by its owner alone, as old as the server says.
    pub(crate) fn download(
        &self,
        url: &str,
        name: &str,
        checksum: Option<&Digest>,
    ) -> Result<(Held, Pick), BuildError> {
        let shown = without_password(url);
        let (held, directory, digest) = fetched(self.solve.req, url, name, checksum)?;
        self.solve.note(Material::Http(shown.clone()), Some(("sha256", digest.hex())));
        let pick = one(&directory, &format!("/{name}"), &Ignore::default(), &shown)?;
        Ok((held, pick))
    }
}

/// A file from an address, in a directory of its own. One of which the checksum is known isn't asked for again.
pub(crate) fn fetched(
    req: &BuildRequest,
    url: &str,
    name: &str,
    checksum: Option<&Digest>,
) -> Result<(Held, PathBuf, Digest), BuildError> {
    let shown = without_password(url);
    let failed = |e: &dyn std::fmt::Display| BuildError::input(format!("failed to fetch `{shown}`: {e}"));
    let broken = |e: io::Error| failed(&e).help("try again; the connection broke off or the disk is full");
    let kept = Place::open(&req.cache_root, url).map_err(broken)?;
    let known = kept.known();
    let digest = match (&known, checksum) {
        (Some(known), Some(want)) if known.digest == *want => known.digest,
        _ => {
            let tag = known.as_ref().and_then(|k| k.tag.as_deref());
            let authorization = of_file(url, &req.secrets)?;
            let asked = Download::open_changed(url, tag, authorization.as_deref());
            let asked = asked.map_err(|e| match e {
                RegistryError::Download { why, .. } => failed(&why),
                e => failed(&e),
            })?;
            match (asked, known) {
                (None, Some(known)) => known.digest,
                (None, None) => return Err(failed(&"the answer is empty")),
                (Some(download), _) => kept.fill(&req.cache_root, download, name).map_err(broken)?,
            }
        }
    };
    if let Some(want) = checksum.filter(|want| **want != digest) {
        return Err(BuildError::input(format!("`{shown}` is {digest}, not {want} as --checksum says"))
            .help("the file has changed: look at it, and then correct the checksum"));
    }
    let directory = kept.file(&digest);
    Ok((Held(kept), directory, digest))
}

impl Place {
    /// Fetches the file to its place, where it is never seen half.
    fn fill(&self, cache_root: &Path, mut from: Download, name: &str) -> io::Result<Digest> {
        let scratch = Scratch::new(cache_root).map_err(io::Error::other)?;
        let new = scratch.path().join("new");
        fs::create_dir(&new)?;
        let path = new.join(name);
        let mut hashed = Hashed { file: File::create_new(&path)?, hasher: Hasher::new() };
        io::copy(&mut from, &mut hashed)?;
        let digest = hashed.hasher.finish();
        let since = from.modified().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        let time = Timespec { tv_sec: since.as_secs().cast_signed(), tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        rustix::fs::utimensat(CWD, &path, &times, AtFlags::empty())?;
        let at = self.file(&digest);
        // The same contents may be there, with another date.
        if let Err(e) = fs::rename(&new, &at)
            && !at.is_dir()
        {
            return Err(e);
        }
        rustix::fs::utimensat(CWD, at.join(name), &times, AtFlags::empty())?;
        let known = Known { version: 1, tag: from.tag().map(str::to_owned), digest };
        write_atomic(&self.0.path().join(KNOWN), &serde_json::to_vec(&known)?)?;
        Ok(digest)
    }
}

struct Hashed {
    file: File,
    hasher: Hasher,
}

impl io::Write for Hashed {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.file.write(buf)?;
        self.hasher.update(&buf[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
