//! `image pull` and `image push`.

use rcompose_image::{Reference, Store};

use super::{find_for, platform};
use crate::args::{ImagePullArgs, ImagePushArgs};
use crate::context::{Context, print};
use crate::failure::Failure;
use crate::pictures::{ToPush, Wanted, parse_reference, pull_all, push_each_for, tags};

pub(super) fn pull(cx: &Context, store: &Store, args: &ImagePullArgs) -> Result<(), Failure> {
    let first = parse_reference(&args.image)?;
    let platform = platform(args.platform.as_deref())?;
    let mut references = vec![first.clone()];
    if args.all_tags {
        if has_tag(&args.image, &first) {
            return Err(Failure::user("tag can't be used with --all-tags/-a"));
        }
        references = tags(cx, &first)?.iter().filter_map(|t| first.with_tag(t)).collect();
    } else if !has_tag(&args.image, &first) && !args.quiet {
        print("Using default tag: latest\n")?;
    }
    let mut before = Vec::new();
    for reference in &references {
        before.push(store.get(reference)?.map(|i| i.id));
    }
    let wanted: Vec<Wanted> = references
        .into_iter()
        .map(|reference| Wanted { reference, platform: platform.clone(), service: None })
        .collect();
    let images = pull_all(cx, store, &wanted, args.quiet)?;
    for ((w, image), before) in wanted.iter().zip(&images).zip(before) {
        let status = match before == Some(image.id) {
            true => "Image is up to date",
            false => "Downloaded newer image",
        };
        let digest =
            image.repo_digests.iter().find(|d| d.same_repository(&w.reference)).and_then(Reference::digest);
        if let (false, Some(digest)) = (args.quiet, digest) {
            // A digest says all there is to say.
            let name = w.reference.digest().map_or(w.reference.clone(), |d| w.reference.with_digest(d));
            let what = name.tag().map_or_else(|| name.to_string(), str::to_owned);
            print(&format!("{what}: Pulling from {}\nDigest: {digest}\n", name.path()))?;
            print(&format!("Status: {status} for {name}\n"))?;
        }
    }
    print(&format!("{}\n", if args.all_tags { first.familiar_name() } else { first.canonical() }))
}

pub(super) fn push(cx: &Context, store: &Store, args: &ImagePushArgs) -> Result<(), Failure> {
    let first = parse_reference(&args.image)?;
    let platform = platform(args.platform.as_deref())?;
    if first.digest().is_some() {
        return Err(
            Failure::user("cannot push a digest reference").hint("give the image a tag and push that")
        );
    }
    let mut references = vec![first.clone()];
    if args.all_tags {
        if has_tag(&args.image, &first) {
            return Err(Failure::user("tag can't be used with --all-tags/-a"));
        }
        let all = store.list()?.into_iter().flat_map(|image| image.refs);
        references = all.filter(|r| r.same_repository(&first)).collect();
        references.sort();
    }
    for reference in &references {
        let missing = || {
            Failure::user(format!("an image does not exist locally with the tag: {}", first.familiar_name()))
                .hint("`rcompose image ls` shows the names; `rcompose image tag` gives one more")
        };
        store.get(reference)?.ok_or_else(missing)?;
        find_for(store, &reference.to_string(), platform.as_ref())?;
    }
    if references.is_empty() {
        return Err(Failure::user(format!("no tags of {} are here", first.familiar_name())));
    }
    let images: Vec<ToPush> =
        references.iter().map(|r| ToPush { reference: r.clone(), service: None }).collect();
    if !args.quiet {
        let repository = format!("{}/{}", first.domain(), first.path());
        print(&format!("The push refers to repository [{repository}]\n"))?;
    }
    let mut failed: Option<Failure> = None;
    for (reference, result) in
        references.iter().zip(push_each_for(cx, store, &images, platform.as_ref(), args.quiet))
    {
        match result {
            Ok(_) if args.quiet => print(&format!("{}\n", reference.canonical()))?,
            Ok(pushed) => {
                let tag = reference.tag().unwrap_or("latest");
                print(&format!("{tag}: digest: {} size: {}\n", pushed.digest, pushed.size))?;
            }
            Err(f) => {
                failed = Some(match failed.take() {
                    Some(first) => first.and(f),
                    None => f,
                });
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Whether a tag or a digest was written.
fn has_tag(text: &str, reference: &Reference) -> bool {
    reference.digest().is_some() || reference.tag().is_some_and(|t| text.ends_with(&format!(":{t}")))
}
