//! `image rm` and `image prune`.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};

use rcompose_image::{Digest, Image, ImageError, Platform, Pruned, RemoveOptions, Removed, Store};
use rcompose_plan::{ContainerStatus, MountSource};

use super::{Filters, find_for, platform};
use crate::args::{ImagePruneArgs, ImageRmArgs};
use crate::context::{Context, print, to_stderr};
use crate::failure::Failure;
use crate::render::time::human_size;

const FILTERS: [&str; 4] = ["dangling", "label", "label!", "until"];

/// Which containers use which images.
pub(crate) struct Users {
    /// By image: a container's short id, and whether it runs.
    by_image: BTreeMap<String, (String, bool)>,
    /// How many containers were made from each.
    made: BTreeMap<String, usize>,
}

impl Users {
    /// Of all projects. An image counts as used if a container was made from it or mounts it.
    pub(crate) fn of(cx: &Context, store: &Store) -> Result<Self, Failure> {
        let mut by_image: BTreeMap<String, (String, bool)> = BTreeMap::new();
        let mut mounted: BTreeMap<String, (String, bool)> = BTreeMap::new();
        let mut made: BTreeMap<String, usize> = BTreeMap::new();
        for project in rcompose_machine::list_projects(&cx.dirs)? {
            let Some(record) = cx.record(&project)? else { continue };
            for (id, c) in record.observed.containers {
                let runs = !matches!(c.state.status, ContainerStatus::Created | ContainerStatus::Exited);
                let user = (id.to_string().chars().take(12).collect::<String>(), runs);
                *made.entry(c.spec.image.id.clone()).or_default() += 1;
                note(&mut by_image, c.spec.image.id.clone(), &user);
                for m in &c.spec.mounts {
                    if let MountSource::Image { layers, .. } = &m.source {
                        let paths = layers.iter().map(|p| p.display().to_string());
                        paths.for_each(|path| note(&mut mounted, path, &user));
                    }
                }
            }
        }
        // What no project records keeps is looked at only where something is mounted.
        if !mounted.is_empty() {
            for image in store.list()? {
                let paths: BTreeSet<String> = match store.layer_paths(&image) {
                    Ok(paths) => paths.iter().map(|p| p.display().to_string()).collect(),
                    Err(ImageError::LayerMissing(_)) => continue,
                    Err(e) => return Err(e.into()),
                };
                if let Some(user) = mounted.iter().find(|(p, _)| paths.contains(*p)).map(|(_, u)| u.clone()) {
                    note(&mut by_image, image.id.to_string(), &user);
                }
            }
        }
        Ok(Self { by_image, made })
    }

    /// How many containers were made from an image.
    pub(crate) fn count(&self, image: &Digest) -> usize {
        self.made.get(&image.to_string()).copied().unwrap_or(0)
    }

    pub(crate) fn uses(&self, image: &Digest) -> bool {
        self.by_image.contains_key(&image.to_string())
    }

    fn runs(&self, image: &Digest) -> bool {
        self.by_image.get(&image.to_string()).is_some_and(|(_, runs)| *runs)
    }
}

/// Which containers use which images when that is asked for the first time.
pub(crate) struct LaterUsers<'a> {
    cx: &'a Context,
    store: &'a Store,
    found: OnceCell<Result<Users, Failure>>,
}

impl<'a> LaterUsers<'a> {
    pub(crate) fn new(cx: &'a Context, store: &'a Store) -> Self {
        Self { cx, store, found: OnceCell::new() }
    }

    /// If it can't be told, an image counts as used.
    pub(crate) fn uses(&self, image: &Digest) -> bool {
        let users = self.found.get_or_init(|| Users::of(self.cx, self.store));
        users.as_ref().map_or(true, |users| users.uses(image))
    }

    /// What was done with the answers, unless it couldn't be told.
    pub(crate) fn told<T>(self, done: Result<T, ImageError>) -> Result<Result<T, ImageError>, Failure> {
        match self.found.into_inner() {
            Some(Err(f)) => Err(f),
            _ => Ok(done),
        }
    }
}

fn note(map: &mut BTreeMap<String, (String, bool)>, key: String, user: &(String, bool)) {
    let entry = map.entry(key).or_insert_with(|| user.clone());
    if user.1 && !entry.1 {
        *entry = user.clone();
    }
}

fn removed_lines(removed: &Removed, untagged: &str, deleted: &str) -> String {
    let names = removed.untagged.iter().map(|n| format!("{untagged}: {n}\n"));
    names.chain(removed.deleted.iter().map(|id| format!("{deleted}: {id}\n"))).collect()
}

/// Removes what can be removed; the failures come together at the end.
pub(super) fn remove(cx: &Context, store: &Store, args: &ImageRmArgs) -> Result<(), Failure> {
    let platform = platform(args.platform.as_deref())?;
    let users = Users::of(cx, store)?;
    let mut failed: Option<Failure> = None;
    for text in &args.images {
        let failure = match find_for(store, text, platform.as_ref()) {
            // `image rm -f $(image ls -q)` doesn't take its names from what runs.
            Ok(image) if users.runs(&image.id) && !is_name(store, text)? => {
                refused(ImageError::InUse(text.clone()), (text, false), &image.id, &users)
            }
            Ok(image) => {
                let then = LaterUsers::new(cx, store);
                let options = RemoveOptions { force: args.force, in_use: &|id| then.uses(id) };
                let done = gone(store, text, platform.as_ref(), &options);
                match then.told(done) {
                    Ok(Ok(removed)) => {
                        print(&removed_lines(&removed, "Untagged", "Deleted"))?;
                        continue;
                    }
                    Ok(Err(e)) => refused(e, (text, is_name(store, text)?), &image.id, &users),
                    Err(f) => f,
                }
            }
            // As with docker, --force is content with what is gone already.
            Err(_) if args.force && store.find(text)?.is_none() => {
                to_stderr(&format!("no such image: {text}\n"));
                continue;
            }
            Err(f) => f,
        };
        failed = Some(match failed.take() {
            Some(first) => first.and(failure),
            None => failure,
        });
    }
    failed.map_or(Ok(()), Err)
}

/// Of an index, only one platform's image if one is asked for.
fn gone(
    store: &Store,
    text: &str,
    platform: Option<&Platform>,
    options: &RemoveOptions<'_>,
) -> Result<Removed, ImageError> {
    match platform {
        Some(platform) => store.remove_platform(text, platform, options),
        None => store.remove(text, options),
    }
}

/// A name of an image rather than an id.
fn is_name(store: &Store, text: &str) -> Result<bool, Failure> {
    match text.parse() {
        Ok(reference) => Ok(store.get(&reference)?.is_some()),
        Err(_) => Ok(false),
    }
}

/// In docker's words, with the container that needs it.
fn refused(error: ImageError, (text, named): (&str, bool), id: &Digest, users: &Users) -> Failure {
    let short = id.short();
    match &error {
        ImageError::InUse(_) => {
            let Some((container, runs)) = users.by_image.get(&id.to_string()) else { return error.into() };
            let (how, state, hint) = match (runs, named) {
                (true, false) => ("cannot be forced", "running", "stop and remove the container first"),
                (true, true) => (
                    "must be forced",
                    "running",
                    "stop and remove the container first, or take the name away with -f",
                ),
                (false, _) => {
                    ("must be forced", "stopped", "remove the container first, or take the names away with -f")
                }
            };
            Failure::user(format!(
                "conflict: unable to delete {text} ({how}) - image {short} is being used by {state} container {container}"
            ))
            .hint(hint)
        }
        ImageError::SeveralNames { names, .. } => Failure::user(format!(
            "conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
        ))
        .hint(format!("remove it by one of its names, {}, or all of them with -f", names.join(", "))),
        _ => error.into(),
    }
}

pub(super) fn prune(cx: &Context, store: &Store, args: &ImagePruneArgs) -> Result<(), Failure> {
    let mut filters = Filters::parse(&args.filter, &FILTERS, store)?;
    let all = args.all || filters.dangling == Some(false);
    let which = if all {
        "all images without at least one container associated to them"
    } else {
        "all dangling images"
    };
    if !args.force && !ask(&format!("WARNING! This will remove {which}."))? {
        return Ok(());
    }
    filters.dangling = None;
    let users = LaterUsers::new(cx, store);
    let chosen = |i: &Image| (all || i.is_dangling()) && filters.accepts(i);
    let pruned = store.prune(&chosen, &|id| users.uses(id));
    let pruned = users.told(pruned)??;
    let lines = prune_lines(&pruned);
    print(&format!("{lines}Total reclaimed space: {}\n", human_size(pruned.freed)))
}

/// What a pruning removed, with an empty line behind it.
pub(crate) fn prune_lines(pruned: &Pruned) -> String {
    if pruned.images.is_empty() {
        return String::new();
    }
    let mut text = "Deleted Images:\n".to_owned();
    text.extend(pruned.images.iter().map(|r| removed_lines(r, "untagged", "deleted")));
    text + "\n"
}

/// Asks whether to go on.
pub(crate) fn ask(warning: &str) -> Result<bool, Failure> {
    to_stderr(&format!("{warning}\nAre you sure you want to continue? [y/N] "));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|e| Failure::io("read the answer from standard input", &e))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
