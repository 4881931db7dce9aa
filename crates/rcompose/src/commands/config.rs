//! `config`: the project as it is understood.

use std::collections::BTreeSet;
use std::io::Write;

use rcompose_loader::LoadOptions;
use rcompose_model::{Project, Service, ServiceName};

use crate::args::ConfigArgs;
use crate::context::{Context, print, service_names};
use crate::failure::Failure;

pub(crate) fn run(cx: &Context, args: ConfigArgs) -> Result<u8, Failure> {
    let options = LoadOptions {
        no_interpolate: args.no_interpolate,
        no_normalize: args.no_normalize,
        no_resolve_paths: args.no_path_resolution,
        no_resolve_env: args.no_env_resolution,
        no_consistency: args.no_consistency,
        ..LoadOptions::default()
    };
    let mut loaded = cx.load_with(&args.names, options)?;
    if !args.names.is_empty() {
        loaded.canonical.keep_services(&args.names);
    }
    let project = &loaded.project;
    for name in service_names(&args.names)? {
        if !project.services.contains_key(&name) {
            return Err(Failure::user(format!("no such service: {name}")));
        }
    }
    let chosen = |s: &ServiceName| args.names.is_empty() || args.names.iter().any(|n| n == s.as_str());
    let lines = |names: &mut dyn Iterator<Item = String>| names.map(|n| n + "\n").collect::<String>();
    let text = if args.quiet {
        return Ok(0);
    } else if args.services {
        lines(&mut project.services.keys().filter(|s| chosen(s)).map(ToString::to_string))
    } else if args.volumes {
        lines(&mut project.volumes.keys().cloned())
    } else if args.networks {
        lines(&mut project.networks.keys().cloned())
    } else if args.images {
        let services = project.services.values().filter(|s| chosen(&s.name));
        lines(&mut services.map(|s| image_name(project, s)))
    } else if args.profiles {
        lines(&mut profiles(project).into_iter())
    } else if let Some(which) = &args.hash {
        hashes(project, which)?
    } else if args.environment {
        loaded.canonical.environment().iter().map(|(k, v)| format!("{k}={v}\n")).collect()
    } else if args.format == "json" {
        loaded.canonical.to_json()
    } else {
        loaded.canonical.to_yaml()
    };
    let text = if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" };
    match &args.output {
        Some(path) => {
            let path = cx.env.cwd.join(path);
            let mut file = std::fs::File::create(&path)
                .map_err(|e| Failure::io(format_args!("create {}", path.display()), &e))?;
            file.write_all(text.as_bytes())
                .map_err(|e| Failure::io(format_args!("write {}", path.display()), &e))?;
        }
        None => print(&text)?,
    }
    Ok(0)
}

/// The image's name: as written, or `{project}-{service}` where it is built.
fn image_name(project: &Project, service: &Service) -> String {
    service.image.clone().unwrap_or_else(|| format!("{}-{}", project.name, service.name))
}

fn profiles(project: &Project) -> BTreeSet<String> {
    let all = project.services.values().chain(project.disabled_services.values());
    all.flat_map(|s| s.profiles.iter().cloned()).collect()
}

fn hashes(project: &Project, which: &str) -> Result<String, Failure> {
    let names: Vec<&str> = match which {
        "*" => project.services.keys().map(ServiceName::as_str).collect(),
        list => list.split(',').collect(),
    };
    let mut out = String::new();
    for name in names {
        let service =
            project.service(name).ok_or_else(|| Failure::user(format!("no such service: {name}")))?;
        // Without the image: what runs may be built or pulled later.
        out.push_str(&format!("{name} {}\n", rcompose_plan::config_hash(service, "")));
    }
    Ok(out)
}
