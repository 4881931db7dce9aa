//! What is in an image, package by package, as its package managers and languages recorded it: SPDX 2.3
//! (spdx.github.io/spdx-spec/v2.3).

mod golang;
mod languages;
mod rpm;
mod spdx;
mod system;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rcompose_image::Attestation;

use crate::BuildError;
use crate::export::walk;
use crate::view::View;

/// Records longer than this are nobody's: all of Debian's `status` has less.
const LONGEST: u64 = 64 << 20;

/// What a bill of materials is of.
#[derive(Debug, Clone)]
pub struct SbomSubject {
    /// The image's name, if it has one, else its id.
    pub name: String,
    /// Unique for the image.
    pub id: String,
    /// Its package URL, if it has a name.
    pub purl: Option<String>,
    /// RFC 3339, to the second.
    pub created: String,
    /// What SPDX calls its purpose: `CONTAINER`, `SOURCE`.
    pub purpose: &'static str,
}

/// A package. In this order they are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    /// Of a package URL: `deb`, `apk`, `rpm`, `pypi`, `npm`, `golang`.
    kind: &'static str,
    name: String,
    version: String,
    /// Where it was recorded.
    found: String,
    purl: String,
    license: Option<String>,
    supplier: Option<String>,
}

/// The packages of an image, from its unpacked layers, top first; and what can't be read of it, in words.
pub fn sbom(lowers: &[PathBuf], subject: &SbomSubject) -> Result<(Attestation, Vec<String>), BuildError> {
    sbom_of(lowers, &|_| true, subject)
}

/// As [`sbom`], of the files that are taken.
pub(crate) fn sbom_of(
    lowers: &[PathBuf],
    taken: &dyn Fn(&Path) -> bool,
    subject: &SbomSubject,
) -> Result<(Attestation, Vec<String>), BuildError> {
    let failed = |e| BuildError::environment("failed to look for packages in the image", e);
    let view = View::new(lowers.to_vec());
    let distribution = system::Distribution::read(&view.text("/etc/os-release").map_err(failed)?);
    let mut packages: BTreeSet<Package> = BTreeSet::new();
    let mut warnings = Vec::new();
    let looked = walk(lowers, &mut |node| {
        if !node.meta.is_file() || !taken(&node.path) {
            return Ok(());
        }
        let path = node.path.strip_prefix("/").unwrap_or(&node.path);
        let Some(text) = path.to_str() else { return Ok(()) };
        if let Some(form) = rpm::Form::of(text) {
            match rpm::packages(form, node, &view, &distribution) {
                Ok(found) => packages.extend(found),
                Err(rpm::Unread::Broken(why)) => {
                    warnings.push(format!("the packages in /{text} aren't listed: {why}"));
                }
                Err(rpm::Unread::Io(e)) => return Err(e),
            }
            return Ok(());
        }
        let found = match Record::of(text) {
            Some(record) if node.meta.len() <= LONGEST => {
                record.packages(&read(&node.real)?, text, &distribution)
            }
            Some(_) => Vec::new(),
            None => golang::packages(node, text)?,
        };
        packages.extend(found);
        Ok(())
    });
    looked.map_err(failed)?;
    let predicate = spdx::document(subject, &packages.into_iter().collect::<Vec<_>>());
    Ok((Attestation { predicate_type: "https://spdx.dev/Document".to_owned(), predicate }, warnings))
}

fn read(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

/// A file that packages are recorded in.
enum Record {
    Dpkg,
    Apk,
    Python,
    Node,
}

impl Record {
    fn of(path: &str) -> Option<Self> {
        let (directory, name) = path.rsplit_once('/')?;
        match directory {
            "var/lib/dpkg" if name == "status" => return Some(Self::Dpkg),
            // Distroless images have a file for each package.
            "var/lib/dpkg/status.d" if !name.ends_with(".md5sums") => return Some(Self::Dpkg),
            "lib/apk/db" | "usr/lib/apk/db" if name == "installed" => return Some(Self::Apk),
            _ => {}
        }
        match name {
            "METADATA" if directory.ends_with(".dist-info") => Some(Self::Python),
            "PKG-INFO" if directory.ends_with(".egg-info") => Some(Self::Python),
            _ if name.ends_with(".egg-info") => Some(Self::Python),
            "package.json" => {
                let mut above = directory.rsplit('/');
                let (_, second, third) = (above.next(), above.next()?, above.next());
                let scoped = second.starts_with('@') && third == Some("node_modules");
                (second == "node_modules" || scoped).then_some(Self::Node)
            }
            _ => None,
        }
    }

    fn packages(&self, text: &str, found: &str, distribution: &system::Distribution) -> Vec<Package> {
        match self {
            Self::Dpkg => system::dpkg(text, found, distribution),
            Self::Apk => system::apk(text, found, distribution),
            Self::Python => languages::python(text, found).into_iter().collect(),
            Self::Node => languages::node(text, found).into_iter().collect(),
        }
    }
}

/// Percent-encoded as package URLs want it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-_.~:".contains(&byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests;
