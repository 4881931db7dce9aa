//! `image ls`.

use rcompose_image::{Image, Reference, Store};
use serde_json::{Value, json};

use super::tree::{Details, Entry, render};
use super::{Filters, Users};
use crate::args::ImageLsArgs;
use crate::commands::images::{created, plain_id};
use crate::context::Context;
use crate::failure::Failure;
use crate::render::table::Table;
use crate::render::{template, time};

const FILTERS: [&str; 6] = ["before", "dangling", "label", "reference", "since", "until"];
/// docker's words above columns that aren't the field's name.
const HEADS: [(&str, &str); 6] = [
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("Containers", "CONTAINERS"),
];

/// As `docker image ls`: one line for each name; an image without any has `<none>`, if it is asked for.
pub(super) fn images(cx: &Context, store: &Store, args: &ImageLsArgs) -> Result<String, Failure> {
    let mut filters = Filters::parse(&args.filter, &FILTERS, store)?;
    if let Some(name) = &args.name {
        filters.named(name);
    }
    // docker's words, also where they are another flag's.
    let flags = [
        (args.quiet, "--quiet"),
        (args.no_trunc, "--no-trunc"),
        (args.digests, "--show-digest"),
        (args.format.is_some(), "--format"),
    ];
    let other = flags.iter().find(|(given, _)| *given);
    if let (true, Some((_, flag))) = (args.tree, other) {
        return Err(Failure::user(format!("{flag} is not yet supported with --tree")));
    }
    let untagged = args.all || filters.dangling == Some(true);
    // What is only part of a name is shown with it.
    let shown =
        |image: &&Image| filters.accepts(image) && (untagged || !image.is_dangling()) && !image.is_part();
    if other.is_none() {
        return tree(cx, store, &filters, args.tree, &shown);
    }
    let now = time::now();
    let mut rows = Vec::new();
    let users = Users::of(cx, store)?;
    let mut ids: Vec<String> = Vec::new();
    for image in store.list()?.iter().filter(shown) {
        let names: Vec<Name> =
            names(image).into_iter().filter(|n| filters.accepts_name(n.reference.as_ref())).collect();
        // As with docker, as often as there are names.
        ids.extend(names.iter().map(|_| shown_id(&image.id.to_string(), args.no_trunc)));
        rows.extend(names.into_iter().map(|n| row(image, n, now, args, &users)));
    }
    if args.quiet {
        return Ok(ids.into_iter().map(|i| i + "\n").collect());
    }
    match args.format.as_deref().unwrap_or_default() {
        "json" => Ok(rows.iter().map(|r| format!("{r}\n")).collect()),
        "table" | "" => {
            let mut fields = vec!["Repository", "Tag", "ID", "CreatedSince", "Size"];
            let mut heads = vec!["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"];
            if args.digests {
                fields.insert(2, "Digest");
                heads.insert(2, "DIGEST");
            }
            let mut t = Table::new(&heads);
            for r in &rows {
                t.row(fields.iter().map(|k| r[*k].as_str().unwrap_or_default().to_owned()));
            }
            Ok(t.render())
        }
        format => template::rows(format, &rows, &HEADS).map_err(Failure::user),
    }
}

fn tree(
    cx: &Context,
    store: &Store,
    filters: &Filters,
    expanded: bool,
    shown: &dyn Fn(&&Image) -> bool,
) -> Result<String, Failure> {
    let users = Users::of(cx, store)?;
    let details = |image: &Image| -> Result<Option<Details>, Failure> {
        let (id, usage, used) = (shown_id(&image.id.to_string(), false), image.size, users.uses(&image.id));
        Ok(store.content_size(image)?.map(|content| Details { id, usage, content, used }))
    };
    let mut entries = Vec::new();
    for image in store.list()?.iter().filter(shown) {
        let accepted: Vec<Name> =
            names(image).into_iter().filter(|n| filters.accepts_name(n.reference.as_ref())).collect();
        if accepted.is_empty() {
            continue;
        }
        for (images, names) in alike(store, image, tags(&accepted))? {
            let mut children = Vec::new();
            for image in &images {
                children.extend(details(image)?.map(|d| (image.config.platform().to_string(), d)));
            }
            // All platforms of a name together.
            let Some((_, first)) = children.first() else { continue };
            let mut about = first.clone();
            for (_, more) in &children[1..] {
                about.usage += more.usage;
                about.content += more.content;
                about.used |= more.used;
            }
            if expanded {
                entries.push(Entry { names, details: about, children });
            } else if names.is_empty() {
                entries.push(Entry { names, details: about, children: Vec::new() });
            } else {
                let entry = |n| Entry { names: vec![n], details: about.clone(), children: Vec::new() };
                entries.extend(names.into_iter().map(entry));
            }
        }
    }
    Ok(render(entries, &cx.out))
}

/// Images with the names that stand for all of them.
type Group = (Vec<Image>, Vec<String>);

/// An image's names by what they stand for: the images of several platforms, or this one alone.
fn alike(store: &Store, image: &Image, names: Vec<String>) -> Result<Vec<Group>, Failure> {
    let mut all: Vec<Group> = Vec::new();
    for name in names {
        let images = store.find_all(&name)?;
        let same = |known: &[Image]| known.iter().map(|i| i.id).eq(images.iter().map(|i| i.id));
        match all.iter_mut().find(|(known, _)| same(known)) {
            Some((_, names)) => names.push(name),
            // It may have been removed a moment ago.
            None if images.is_empty() => {}
            None => all.push((images, vec![name])),
        }
    }
    if all.is_empty() {
        all.push((vec![image.clone()], Vec::new()));
    }
    Ok(all)
}

/// Names with tags, or with digests where a repository has no tag, sorted.
fn tags(names: &[Name]) -> Vec<String> {
    let mut names: Vec<String> =
        names.iter().filter_map(|n| n.reference.as_ref()).map(Reference::to_string).collect();
    names.sort();
    names
}

/// A line's name.
struct Name {
    reference: Option<Reference>,
    repository: String,
    tag: String,
    digest: String,
}

/// An image's names with tags, and with digests where a repository has no tag.
fn names(image: &Image) -> Vec<Name> {
    let none = || "<none>".to_owned();
    let mut out: Vec<Name> = Vec::new();
    for r in &image.refs {
        let digest = image.repo_digests.iter().find(|d| d.same_repository(r)).and_then(Reference::digest);
        out.push(Name {
            reference: Some(r.clone()),
            repository: r.familiar_name(),
            tag: r.tag().map_or_else(none, str::to_owned),
            digest: digest.map_or_else(none, |d| d.to_string()),
        });
    }
    for d in image.repo_digests.iter().filter(|d| !image.refs.iter().any(|r| r.same_repository(d))) {
        out.push(Name {
            reference: Some(d.clone()),
            repository: d.familiar_name(),
            tag: none(),
            digest: d.digest().map_or_else(none, |d| d.to_string()),
        });
    }
    if out.is_empty() {
        out.push(Name { reference: None, repository: none(), tag: none(), digest: none() });
    }
    out
}

pub(super) fn shown_id(id: &str, whole: bool) -> String {
    if whole { id.to_owned() } else { plain_id(id).chars().take(12).collect() }
}

fn row(image: &Image, name: Name, now: i64, args: &ImageLsArgs, users: &Users) -> Value {
    let at = image.created.as_deref().and_then(time::parse_rfc3339);
    json!({
        "Containers": users.count(&image.id).to_string(),
        "CreatedAt": at.map_or("N/A".to_owned(), time::created_at),
        "CreatedSince": created(image.created.as_deref(), now),
        "Digest": name.digest,
        "ID": shown_id(&image.id.to_string(), args.no_trunc),
        "Repository": name.repository,
        "SharedSize": "N/A",
        "Size": time::human_size(image.size),
        "Tag": name.tag,
        "UniqueSize": "N/A",
    })
}
