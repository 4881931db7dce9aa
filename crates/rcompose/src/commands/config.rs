//! `config`: the project as it is understood.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use rcompose_image::Digest;
use rcompose_loader::{Canonical, LoadOptions, Loaded, Variable};
use rcompose_model::{Project, ServiceName};
use serde::Serialize;

use crate::args::ConfigArgs;
use crate::context::{Context, print};
use crate::failure::Failure;
use crate::pictures::digest_of;
use crate::render::table::Table;

mod why;

pub(crate) fn run(cx: &Context, mut args: ConfigArgs) -> Result<u8, Failure> {
    if !args.why.is_empty() {
        return why::run(cx, &args);
    }
    args.resolve_image_digests |= args.lock_image_digests;
    args.no_normalize |= cx.global.compatibility;
    let text = listing(cx, &args)?;
    if let Some(text) = text {
        print(&text)?;
        return Ok(0);
    }
    let canonical = if args.no_interpolate { model(cx, &args, false)? } else { whole(cx, &args)? };
    // The process ends when it is printed: taking a large project apart first would take a tenth of its time.
    let mut canonical = std::mem::ManuallyDrop::new(canonical);
    if args.resolve_image_digests {
        pin(cx, &mut canonical)?;
    }
    if args.lock_image_digests {
        for name in canonical.services().iter().filter(|n| !canonical.step_images(n).is_empty()) {
            cx.warn(&format!(
                "the images of {name}'s pre_start steps aren't pinned: an override file would add the steps once more; \
                 --resolve-image-digests alone pins them in the whole project"
            ));
        }
        canonical.keep_images();
    }
    let text = match args.format.as_deref().unwrap_or("yaml") {
        "yaml" | "json" if args.quiet => return Ok(0),
        "yaml" => canonical.to_yaml(),
        "json" => canonical.to_json(),
        other => return Err(bad_format(other)),
    };
    match &args.output {
        Some(path) => {
            let path = cx.env.cwd.join(path);
            let mut file = crate::own::create(&path)
                .map_err(|e| Failure::io(format_args!("create {}", path.display()), &e))?;
            file.write_all(text.as_bytes())
                .map_err(|e| Failure::io(format_args!("write {}", path.display()), &e))?;
        }
        None => print(&text)?,
    }
    Ok(0)
}

/// What is asked for instead of the whole project; the first of docker compose's order counts.
fn listing(cx: &Context, args: &ConfigArgs) -> Result<Option<String>, Failure> {
    let lines = |mut names: Vec<String>| {
        names.iter_mut().for_each(|n| n.push('\n'));
        names.concat()
    };
    if args.services {
        let canonical =
            if args.no_interpolate { model(cx, args, true)? } else { load(cx, args, &[], true)?.canonical };
        return Ok(Some(lines(canonical.services())));
    }
    for (wanted, section) in [(args.volumes, "volumes"), (args.networks, "networks")] {
        if wanted {
            return Ok(Some(lines(load(cx, args, &[], true)?.canonical.names(section))));
        }
    }
    if args.models {
        return Ok(Some(lines(load(cx, args, &[], true)?.canonical.attribute("models", "model"))));
    }
    if let Some(which) = &args.hash {
        return hashes(&load(cx, args, &[], false)?, which).map(Some);
    }
    if args.profiles {
        let project = selected(cx, args)?.project;
        return Ok(Some(lines(profiles(&project).into_iter().collect())));
    }
    if args.images {
        let loaded = selected(cx, args)?;
        return Ok(Some(lines(images(&loaded))));
    }
    if args.variables {
        if !args.names.is_empty() {
            cx.warn("the variables of all services are shown: --variables doesn't choose among them");
        }
        return variables(&model(cx, args, true)?.variables(), args.format.as_deref()).map(Some);
    }
    if args.environment {
        let loaded = selected(cx, args)?;
        if args.quiet {
            return Ok(Some(String::new()));
        }
        return Ok(Some(loaded.canonical.environment().iter().map(|(k, v)| format!("{k}={v}\n")).collect()));
    }
    Ok(None)
}

fn bad_format(format: &str) -> Failure {
    Failure::user(format!("unsupported format {format:?}")).hint("write yaml or json")
}

fn options(args: &ConfigArgs) -> LoadOptions {
    LoadOptions {
        no_normalize: args.no_normalize,
        no_resolve_paths: args.no_path_resolution,
        no_resolve_env: args.no_env_resolution,
        no_consistency: args.no_consistency,
        unusable_warns: true,
        ..LoadOptions::default()
    }
}

/// Names alone need no env file.
fn load(cx: &Context, args: &ConfigArgs, services: &[String], only_names: bool) -> Result<Loaded, Failure> {
    let mut options = options(args);
    options.no_resolve_env |= only_names;
    cx.load_with(services, options)
}

/// The services that are asked for, and what they need.
fn selected(cx: &Context, args: &ConfigArgs) -> Result<Loaded, Failure> {
    let mut loaded = load(cx, args, &args.names, false)?;
    if !args.names.is_empty() {
        loaded
            .canonical
            .keep_services(&args.names, cx.global.all_resources)
            .map_err(|name| Failure::user(format!("no such service: {name}")))?;
    }
    Ok(loaded)
}

fn whole(cx: &Context, args: &ConfigArgs) -> Result<Canonical, Failure> {
    let loaded = selected(cx, args)?;
    std::mem::forget(loaded.project);
    Ok(loaded.canonical)
}

fn model(cx: &Context, args: &ConfigArgs, only_names: bool) -> Result<Canonical, Failure> {
    if !args.names.is_empty() && !only_names {
        cx.warn("all services are shown: --no-interpolate doesn't choose among them");
    }
    let mut request = cx.request(&[])?;
    request.options = options(args);
    let model = rcompose_loader::load_model(&request, &cx.sources())?;
    cx.warn_all(&model.warnings);
    Ok(model.canonical)
}

/// Each service's image, as written or `{project}-{service}` where it is built, and those of its `pre_start` steps.
fn images(loaded: &Loaded) -> Vec<String> {
    let mut out = Vec::new();
    for name in loaded.canonical.services() {
        let own = loaded.canonical.image(&name).unwrap_or_else(|| loaded.project.name_of(&[&name]));
        let steps = loaded.canonical.step_images(&name).into_iter().filter(|i| *i != own).collect::<Vec<_>>();
        out.push(own);
        out.extend(steps);
    }
    out
}

fn profiles(project: &Project) -> BTreeSet<String> {
    let all = project.services.values().chain(project.disabled_services.values());
    all.flat_map(|s| s.profiles.iter().cloned()).collect()
}

fn hashes(loaded: &Loaded, which: &str) -> Result<String, Failure> {
    let mut names: Vec<&str> = match which {
        "*" => loaded.project.services.keys().map(ServiceName::as_str).collect(),
        list => list.split(',').collect(),
    };
    names.sort_unstable();
    names.dedup();
    let mut out = String::new();
    for name in names {
        let text = loaded.canonical.service_json(name);
        let text = text.ok_or_else(|| Failure::user(format!("no such service: {name}")))?;
        out.push_str(&format!("{name} {}\n", Digest::of(text.as_bytes()).hex()));
    }
    Ok(out)
}

fn variables(variables: &BTreeMap<String, Variable>, format: Option<&str>) -> Result<String, Failure> {
    match format.unwrap_or("table") {
        "table" | "pretty" | "" => {
            let mut table = Table::wide(&["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"]);
            for (name, v) in variables {
                let required = v.required.to_string();
                table.row([name.clone(), required, v.default_value.clone(), v.presence_value.clone()]);
            }
            Ok(table.render())
        }
        "json" => {
            let all: BTreeMap<&String, _> = variables
                .iter()
                .map(|(name, v)| {
                    let fields = Fields {
                        name,
                        default_value: &v.default_value,
                        presence_value: &v.presence_value,
                        required: v.required,
                    };
                    (name, fields)
                })
                .collect();
            let mut text = Vec::new();
            let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
            let mut out = serde_json::Serializer::with_formatter(&mut text, indent);
            all.serialize(&mut out).map_err(|e| Failure::io("write the variables", &e))?;
            Ok(String::from_utf8_lossy(&text).into_owned() + "\n")
        }
        "yaml" => Ok(rcompose_loader::variables_yaml(variables)),
        other => Err(bad_format(other)),
    }
}

/// A variable as JSON has it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Fields<'v> {
    name: &'v str,
    default_value: &'v str,
    presence_value: &'v str,
    required: bool,
}

/// Every image by its digest in its registry.
fn pin(cx: &Context, canonical: &mut Canonical) -> Result<(), Failure> {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for image in canonical.images_mut() {
        if !known.contains_key(image) {
            known.insert(image.clone(), digest_of(cx, image)?);
        }
        image.clone_from(&known[image.as_str()]);
    }
    Ok(())
}
