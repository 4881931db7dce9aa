//! What builds for one or several platforms are together: an image or an index, with what is attested of it.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rcompose_build::{BuildError, BuildRequest, Built, Invocation, Provenance, SbomSubject};
use rcompose_image::{
    Attestation, Digest, Hold, Image, Index, Indexed, LayerId, Member, Platform, Reference, Store, ToSave,
    image_purl, rfc3339,
};
use rcompose_machine::ProcessStepRunner;
use serde_json::Value;

use super::adapters::{Layers, Runner};
use super::annotations::Annotations;
use super::attests::Attests;
use super::cached::bound;
use super::caches::Caches;
use super::output::{BuildOutput, Output};
use crate::context::Context;
use crate::failure::Failure;

/// What is said of a build besides its result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) attests: Attests,
    pub(crate) annotations: Annotations,
}

/// The result of builds.
pub(crate) struct Assembly {
    /// One for each platform.
    pub(crate) builds: Vec<Built>,
    /// It is for several platforms, or looks as if it were.
    pub(crate) multi: bool,
    /// All of them, as it is kept.
    pub(crate) index: Index,
    /// The provenance as `--metadata-file` has it, for each platform.
    pub(crate) summaries: Vec<Value>,
    /// Which build it was.
    pub(crate) invocation: String,
    pub(crate) attests: Attests,
    /// Until it is dropped, nobody removes the layers.
    _hold: Hold,
}

impl Assembly {
    /// The first image, and its id.
    pub(crate) fn first(&self) -> &Built {
        &self.builds[0]
    }

    /// Keeps the result in the store, under these names.
    pub(crate) fn keep(&self, store: &Store, names: &[Reference]) -> Result<Indexed, Failure> {
        let configs: Vec<_> = self.builds.iter().map(|b| b.config.clone()).collect();
        Ok(store.put_index(&self.index, &configs, names)?)
    }

    /// Keeps the result, and says so.
    pub(super) fn keep_told(
        &self,
        store: &Store,
        names: &[Reference],
        output: &BuildOutput<'_>,
    ) -> Result<Indexed, Failure> {
        let begun = Instant::now();
        let kept = self.keep(store, names)?;
        // Of several platforms, the index is what was built.
        let id = if self.builds.len() > 1 { kept.digest } else { self.first().image };
        output.kept(&id, names, begun.elapsed());
        Ok(kept)
    }

    /// Puts the images into the store for a while, without any name.
    pub(crate) fn lay_down(&self, store: &Store) -> Result<(), Failure> {
        for built in &self.builds {
            let layers: Vec<LayerId> = built.config.rootfs.diff_ids.iter().copied().map(LayerId).collect();
            store.put_image(&built.config, &layers, &[])?;
        }
        Ok(())
    }

    /// The result as an archive has it. Of one platform, what nobody asked for is left out.
    pub(crate) fn to_save(&self, image: Image) -> ToSave {
        let mut index = self.index.clone();
        if self.attests.inline_only && index.members.len() == 1 {
            index.members[0].attestations.retain(|a| !is_provenance(a));
            index.flat = !self.multi && index.members[0].attestations.is_empty();
        }
        match index.is_plain() {
            true => ToSave::Image(Box::new(image)),
            false => ToSave::Index(Box::new(index)),
        }
    }

    /// The attestations of a platform as files beside the image's.
    pub(crate) fn files(&self, n: usize) -> Vec<(String, &Attestation)> {
        let all = self.index.members[n].attestations.iter();
        let shown = all.filter(|a| !(self.attests.inline_only && is_provenance(a)));
        // The image's own list comes first; the others have names.
        let name = |n: usize, a: &Attestation| match (is_provenance(a), &a.predicate["name"]) {
            (true, _) => self.attests.filename.clone().unwrap_or_else(|| "provenance.json".to_owned()),
            (false, serde_json::Value::String(more)) if n > 0 => format!("{more}.spdx.json"),
            (false, _) => "sbom.spdx.json".to_owned(),
        };
        shown.enumerate().map(|(n, a)| (name(n, a), a)).collect()
    }

    /// For which platform a build is.
    pub(crate) fn platform(&self, n: usize) -> &Platform {
        &self.index.members[n].platform
    }
}

fn is_provenance(attestation: &Attestation) -> bool {
    attestation.predicate_type.starts_with("https://slsa.dev/provenance/")
}

/// Builds all requests, which differ by their platforms alone. `names` are those that attestations speak of.
pub(super) fn assemble(
    cx: &Context,
    store: &Store,
    requests: &[BuildRequest],
    (names, caches, said): (&[Reference], &Caches, &Said),
    (output, label): (&Output, &dyn Fn(&BuildRequest) -> String),
) -> Result<Assembly, Failure> {
    let multi = requests[0].multi_platform()?;
    if multi == Some(false) && requests.len() > 1 {
        return Err(Failure::user("BUILDKIT_MULTI_PLATFORM is false, and there are several platforms"));
    }
    let multi = multi == Some(true) || requests.len() > 1;
    rcompose_machine::make_room(&cx.dirs.build_cache())?;
    let mut layers = Layers::new(cx, store)?;
    let runner = Runner(ProcessStepRunner::new(&cx.dirs, &cx.exe()?));
    let started = SystemTime::now();
    let mut builds: Vec<Built> = Vec::new();
    for request in requests {
        let events = BuildOutput { all: output, label: label(request) };
        let request =
            BuildRequest { inline_cache: request.inline_cache || caches.inline(), ..request.clone() };
        layers.elsewhere = super::caches::read(cx, store, &caches.from, request.platform.as_ref(), &events);
        // One after the other: what they have in common is done once.
        let built = rcompose_build::build(&layers, &request, &runner, &layers.bases(), &events);
        let built = built.map_err(|e| {
            from_here(&cx.env.cwd, request.context_source.as_ref().map(|_| &*request.context), e)
        })?;
        super::caches::write(cx, store, &caches.to, &built, &events)?;
        builds.push(built);
    }
    if builds.iter().any(|b| b.ran_steps > 0) {
        bound(cx, store)?;
    }
    let epoch = builds.iter().find_map(|b| b.source_date_epoch);
    let epoch = epoch.map(|s| SystemTime::UNIX_EPOCH + Duration::from_secs(s));
    let invocation = Invocation {
        id: match epoch {
            // The same build is the same then.
            Some(_) => word(&builds.iter().flat_map(|b| b.image.hex().into_bytes()).collect::<Vec<_>>()),
            None => random()?,
        },
        started: epoch.unwrap_or(started),
        finished: epoch.unwrap_or_else(SystemTime::now),
    };
    let mut index = Index { subjects: names.to_vec(), ..Index::default() };
    let mut summaries = Vec::new();
    for (request, built) in requests.iter().zip(&builds) {
        let platform = request.platform.clone().unwrap_or_else(|| built.config.platform());
        let mut member = Member::new(platform, built.image);
        let provenance = Provenance { request, facts: &built.facts, invocation: &invocation };
        if said.attests.sbom {
            let about = (&member, names, invocation.finished);
            let sboms = sboms(cx, (store, &layers), built, about)?;
            member.attestations.extend(sboms);
        }
        member.attestations.extend(said.attests.provenance.as_ref().map(|o| provenance.attestation(o)));
        summaries.push(provenance.summary());
        index.members.push(member);
    }
    index.flat = builds.len() == 1 && !multi && index.members[0].attestations.is_empty();
    said.annotations.apply(&mut index)?;
    let attests = said.attests.clone();
    Ok(Assembly {
        builds,
        multi,
        index,
        summaries,
        invocation: invocation.id,
        attests,
        _hold: layers.into_hold(),
    })
}

/// Unpacked layers, top first.
pub(super) fn layers(store: &Store, built: &Built) -> Result<Vec<std::path::PathBuf>, Failure> {
    let mut paths = Vec::new();
    for layer in built.config.rootfs.diff_ids.iter().rev() {
        let path = store
            .layer_path(&LayerId(*layer))
            .ok_or_else(|| Failure::user(format!("the layer {layer} was removed while it was written")))?;
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// The packages of the image, then of what else its Dockerfile wants looked through.
fn sboms(
    cx: &Context,
    (store, all): (&Store, &Layers<'_>),
    built: &Built,
    (member, names, at): (&Member, &[Reference], SystemTime),
) -> Result<Vec<Attestation>, Failure> {
    let time = rfc3339(at);
    let subject = SbomSubject {
        name: names.first().map_or_else(|| built.image.to_string(), Reference::to_string),
        id: built.image.hex(),
        purl: names.first().map(|n| image_purl(n, Some(&member.platform))),
        created: time.get(..19).map_or(time.clone(), |t| format!("{t}Z")),
        purpose: "CONTAINER",
    };
    let mut found = vec![rcompose_build::sbom(&layers(store, built)?, &subject)?];
    for scan in &built.scans {
        let more = SbomSubject {
            name: format!("sbom-{}", scan.name),
            id: format!("{}-{}", subject.id, scan.name),
            purl: None,
            purpose: if scan.name == "context" { "SOURCE" } else { subject.purpose },
            ..subject.clone()
        };
        found.push(scan.sbom(all, &more)?);
    }
    found.iter().flat_map(|(_, warnings)| warnings).for_each(|w| cx.warn(w));
    Ok(found.into_iter().map(|(attestation, _)| attestation).collect())
}

/// Names the Dockerfile as a person in this directory would; of a context from elsewhere, by its place in it.
fn from_here(cwd: &Path, fetched: Option<&Path>, mut e: BuildError) -> BuildError {
    let name = |file: &mut String| {
        let path = Path::new(&*file);
        let short = fetched.and_then(|f| path.strip_prefix(f).ok()).or_else(|| path.strip_prefix(cwd).ok());
        if let Some(short) = short.map(|s| s.display().to_string()) {
            *file = short;
        }
    };
    name(&mut e.file);
    e.more.iter_mut().for_each(|m| name(&mut m.file));
    e
}

fn random() -> Result<String, Failure> {
    let mut bytes = [0u8; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| Failure::io("get random numbers", &std::io::Error::from(e)))?;
    Ok(word(&bytes))
}

/// A word of BuildKit's kind.
fn word(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let hex = Digest::of(bytes).hex();
    let pair = |n: usize| usize::from(u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap_or_default());
    (0..25).map(|n| char::from(LETTERS[pair(n) % 36])).collect()
}
