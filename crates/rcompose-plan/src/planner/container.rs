use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use rcompose_model::{
    FileMount, FileObject, FileSource, HealthTest, HostAddress, Mount, MountKind, NamespaceMode, NetworkMode,
    Project, Service, Signal,
};

use crate::planner::order::DEPENDS_ON;
use crate::{
    ContainerId, ContainerSpec, DnsSettings, EndpointSpec, FileContent, FileSpec, HealthSpec, ImageDefaults,
    ImageFacts, ImageRef, MountSource, MountSpec, NetNs, NsMode, PlanError, PortSpec, VolumeSpec, hash_hex,
};

const SHM: u64 = 64 << 20;
const GRACE: Duration = Duration::from_secs(10);

/// Name that a built service's image gets, unless the file names it.
pub fn image_key(project: &Project, service: &Service) -> String {
    match &service.image {
        Some(image) => image.to_string(),
        None => project.name_of(&[service.name.as_str()]),
    }
}

/// Who a container is.
pub(crate) struct Identity {
    pub(crate) id: ContainerId,
    pub(crate) name: String,
    pub(crate) number: u32,
    pub(crate) oneoff: bool,
    pub(crate) config_hash: String,
}

/// What a container gets from outside its own service.
pub(crate) struct Surroundings<'a> {
    pub(crate) project: &'a Project,
    pub(crate) root_hash: &'a str,
    /// What it replaces: anonymous volumes are taken over.
    pub(crate) previous: Option<&'a ContainerSpec>,
    pub(crate) net: NetNs,
    pub(crate) endpoints: Vec<EndpointSpec>,
    pub(crate) pid: NsMode,
    pub(crate) ipc: NsMode,
    pub(crate) uts: NsMode,
    /// Mounts of `volumes_from`.
    pub(crate) borrowed: Vec<MountSpec>,
    /// Lines of /etc/hosts for links.
    pub(crate) links: Vec<(String, Ipv4Addr)>,
    /// Further anonymous volumes' seed: changes with `-V`.
    pub(crate) renew: Option<String>,
}

/// The container's spec, and the anonymous volumes that it needs.
pub(crate) fn spec(
    service: &Service,
    image: &ImageFacts,
    who: Identity,
    around: Surroundings<'_>,
) -> Result<(ContainerSpec, Vec<VolumeSpec>), PlanError> {
    let project = around.project;
    let d = &image.defaults;
    let argv = argv(service, d).ok_or_else(|| PlanError::Refused {
        message: format!(
            "service \"{}\": no command specified: image {} has none",
            service.name, image.reference
        ),
        origin: Some(service.origin.clone()),
    })?;
    let (mounts, anonymous) = mounts(service, image, &who, &around);
    let mut files = Vec::new();
    files.extend(file_specs(&service.secrets, &project.secrets, true, service)?);
    files.extend(file_specs(&service.configs, &project.configs, false, service)?);
    let mut extra_hosts = service.extra_hosts.clone();
    extra_hosts.extend(around.links.iter().map(|(n, a)| (n.clone(), HostAddress::Ip((*a).into()))));
    let labels = labels(service, image, &who, project);
    let container = ContainerSpec {
        id: who.id,
        name: who.name,
        service: service.name.clone(),
        number: who.number,
        oneoff: who.oneoff,
        auto_remove: false,
        config_hash: who.config_hash,
        image: ImageRef {
            reference: image.reference.clone(),
            id: image.id.clone(),
            layers: image.layers.clone(),
        },
        argv,
        env: environment(service, d),
        user: service.user.as_ref().map_or_else(|| d.user.clone(), ToString::to_string),
        groups: service.group_add.clone(),
        cwd: service.working_dir.clone().unwrap_or_else(|| d.working_dir.clone()),
        hostname: service.hostname.clone().unwrap_or_default(),
        domainname: service.domainname.clone().unwrap_or_default(),
        labels,
        annotations: service.annotations.clone(),
        mounts,
        files,
        net: around.net,
        endpoints: around.endpoints,
        ports: service
            .ports
            .iter()
            .map(|p| PortSpec {
                host_ip: p.host_ip,
                host_port: p.published,
                container_port: p.target,
                protocol: p.protocol,
            })
            .collect(),
        exposed: exposed(service, d),
        extra_hosts,
        dns: DnsSettings {
            servers: service.dns.iter().map(ToString::to_string).collect(),
            search: service.dns_search.clone(),
            options: service.dns_opt.clone(),
        },
        health: health(service, d),
        restart: service.restart,
        stop_signal: service.stop_signal.or(d.stop_signal).unwrap_or(Signal::TERM),
        stop_grace: service.stop_grace_period.unwrap_or(GRACE),
        resources: service.resources.clone(),
        ulimits: service.ulimits.clone(),
        read_only: service.read_only,
        cap_add: service.cap_add.clone(),
        cap_drop: service.cap_drop.clone(),
        privileged: service.privileged,
        security: service.security.clone(),
        shm_size: service.shm_size.unwrap_or(SHM),
        sysctls: service.sysctls.clone(),
        devices: service.devices.iter().map(ToString::to_string).collect(),
        logging: service.logging,
        device_rules: service.device_rules.clone(),
        tty: service.tty,
        stdin_open: service.stdin_open,
        init: service.init,
        pid: around.pid,
        ipc: around.ipc,
        cgroup: service.cgroup.as_ref().map(|mode| ns_mode(Some(mode), &|_, _| None)),
        uts: around.uts,
        cgroup_parent: service.cgroup_parent.clone(),
        post_start: service.post_start.clone(),
        pre_stop: service.pre_stop.clone(),
        origin: service.origin.clone(),
        attribute_origins: service.attribute_origins.clone(),
    };
    Ok((container, anonymous))
}

/// A service's entrypoint clears the image's command.
fn argv(service: &Service, d: &ImageDefaults) -> Option<Vec<String>> {
    let entrypoint = service.entrypoint.as_ref().unwrap_or(&d.entrypoint);
    let command = match (&service.command, &service.entrypoint) {
        (Some(c), _) => c.clone(),
        (None, Some(_)) => Vec::new(),
        (None, None) => d.cmd.clone(),
    };
    let argv: Vec<String> = entrypoint.iter().cloned().chain(command).collect();
    (!argv.is_empty()).then_some(argv)
}

fn environment(service: &Service, d: &ImageDefaults) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> =
        d.env.iter().filter(|(k, _)| !service.environment.contains_key(k)).cloned().collect();
    env.extend(service.environment.iter().filter_map(|(k, v)| Some((k.clone(), v.clone()?))));
    env
}

fn exposed(service: &Service, d: &ImageDefaults) -> Vec<String> {
    let with_protocol = |p: &String| if p.contains('/') { p.clone() } else { format!("{p}/tcp") };
    let own = service.expose.iter().map(ToString::to_string);
    let mut all: Vec<String> = d.exposed_ports.iter().map(with_protocol).chain(own).collect();
    all.sort();
    all.dedup();
    all
}

fn labels(
    service: &Service,
    image: &ImageFacts,
    who: &Identity,
    project: &Project,
) -> BTreeMap<String, String> {
    let mut labels = image.defaults.labels.clone();
    labels.extend(service.labels.clone());
    let depends: Vec<String> = service
        .depends_on
        .iter()
        .map(|(name, d)| {
            let condition = match d.condition {
                rcompose_model::DependencyCondition::ServiceStarted => "service_started",
                rcompose_model::DependencyCondition::ServiceHealthy => "service_healthy",
                rcompose_model::DependencyCondition::ServiceCompletedSuccessfully => {
                    "service_completed_successfully"
                }
            };
            format!("{name}:{condition}:{}", d.restart)
        })
        .collect();
    let files: Vec<String> = project.files.iter().map(|f| f.display().to_string()).collect();
    let mut set = |key: &str, value: String| {
        labels.insert(format!("com.docker.compose.{key}"), value);
    };
    set("project", project.name.to_string());
    set("service", service.name.to_string());
    set("container-number", who.number.to_string());
    set("oneoff", if who.oneoff { "True" } else { "False" }.to_owned());
    set("config-hash", who.config_hash.clone());
    set("image", image.id.clone());
    set("project.working_dir", project.working_dir.display().to_string());
    set("project.config_files", files.join(","));
    set("version", "5.5.1".to_owned());
    labels.insert(DEPENDS_ON.to_owned(), depends.join(","));
    labels
}

fn health(service: &Service, d: &ImageDefaults) -> Option<HealthSpec> {
    let own = service.healthcheck.clone().unwrap_or_default();
    if own.disable {
        return None;
    }
    let image = d.healthcheck.clone().unwrap_or_default();
    let argv = match own.test.or(image.test)? {
        HealthTest::Exec(argv) => argv,
        HealthTest::Shell(line) => {
            let mut argv = d.shell.clone();
            if argv.is_empty() {
                argv = vec!["/bin/sh".into(), "-c".into()];
            }
            argv.push(line);
            argv
        }
    };
    let pick = |own: Option<Duration>, image: Option<Duration>, default: u64| {
        own.or(image).filter(|d| !d.is_zero()).unwrap_or(Duration::from_secs(default))
    };
    Some(HealthSpec {
        argv,
        interval: pick(own.interval, image.interval, 30),
        timeout: pick(own.timeout, image.timeout, 30),
        retries: own.retries.or(image.retries).filter(|r| *r > 0).unwrap_or(3),
        start_period: pick(own.start_period, image.start_period, 0),
        start_interval: pick(own.start_interval, image.start_interval, 5),
    })
}

/// The mounts in the order in which they are made, and the anonymous volumes among them.
fn mounts(
    service: &Service,
    image: &ImageFacts,
    who: &Identity,
    around: &Surroundings<'_>,
) -> (Vec<MountSpec>, Vec<VolumeSpec>) {
    let mut anonymous = Vec::new();
    let mut out: Vec<MountSpec> = Vec::new();
    for m in &service.mounts {
        out.push(mount(m, who, around, &mut anonymous));
    }
    for m in &around.borrowed {
        if !out.iter().any(|o| o.target == m.target) {
            out.push(m.clone());
        }
    }
    for target in &image.defaults.volumes {
        let target = format!("/{}", target.trim_matches('/'));
        if out.iter().any(|o| o.target.trim_end_matches('/') == target) {
            continue;
        }
        let source = anonymous_volume(&target, true, None, who, around, &mut anonymous);
        out.push(MountSpec { source, target, read_only: false });
    }
    // What lies deeper is mounted later; equal depths keep the file's order.
    out.sort_by_key(|m| m.target.split('/').filter(|p| !p.is_empty()).count());
    (out, anonymous)
}

fn mount(m: &Mount, who: &Identity, around: &Surroundings<'_>, anonymous: &mut Vec<VolumeSpec>) -> MountSpec {
    let source = match &m.kind {
        MountKind::Bind { source, options } => MountSource::Bind {
            path: source.into(),
            create: options.create_host_path,
            propagation: options.propagation,
            recursive: options.recursive,
        },
        MountKind::Volume { key, options } => MountSource::Volume {
            name: around.project.volumes.get(key).map_or_else(|| key.clone(), |v| v.name.clone()),
            subpath: options.subpath.clone(),
            copy: !options.nocopy,
        },
        MountKind::Anonymous { options } => {
            let source =
                anonymous_volume(&m.target, !options.nocopy, options.subpath.clone(), who, around, anonymous);
            if let Some(volume) = anonymous.last_mut() {
                volume.labels.extend(options.labels.clone());
            }
            source
        }
        MountKind::Tmpfs { options } => {
            MountSource::Tmpfs { size: options.size, mode: options.mode, options: options.options.clone() }
        }
        MountKind::Image { subpath, layers, .. } => {
            MountSource::Image { layers: layers.clone(), subpath: subpath.clone() }
        }
    };
    MountSpec { source, target: m.target.clone(), read_only: m.read_only }
}

fn anonymous_volume(
    target: &str,
    copy: bool,
    subpath: Option<String>,
    who: &Identity,
    around: &Surroundings<'_>,
    anonymous: &mut Vec<VolumeSpec>,
) -> MountSource {
    let before = around.previous.filter(|_| around.renew.is_none()).and_then(|p| {
        p.mounts.iter().find(|m| m.target == target).and_then(|m| match &m.source {
            MountSource::Volume { name, .. } if name.len() == 64 => Some(name.clone()),
            _ => None,
        })
    });
    let name = before.unwrap_or_else(|| {
        hash_hex(&[around.root_hash, who.id.as_str(), target, around.renew.as_deref().unwrap_or_default()])
    });
    let labels = BTreeMap::from([
        ("com.docker.compose.project".to_owned(), around.project.name.to_string()),
        ("com.docker.volume.anonymous".to_owned(), String::new()),
    ]);
    anonymous.push(VolumeSpec {
        name: name.clone(),
        key: String::new(),
        driver: "local".into(),
        driver_opts: BTreeMap::new(),
        labels,
        anonymous: true,
    });
    MountSource::Volume { name, subpath, copy }
}

fn file_specs(
    mounts: &[FileMount],
    objects: &BTreeMap<String, FileObject>,
    secret: bool,
    service: &Service,
) -> Result<Vec<FileSpec>, PlanError> {
    let what = if secret { "secret" } else { "config" };
    let refused = |message: String, origin| PlanError::Refused { message, origin: Some(origin) };
    let mut out = Vec::new();
    for m in mounts {
        let object = objects.get(&m.source).ok_or_else(|| {
            let message = format!("service \"{}\" refers to undefined {what} {}", service.name, m.source);
            refused(message, service.origin.clone())
        })?;
        let content = match &object.source {
            FileSource::File(p) => FileContent::HostFile(p.clone()),
            FileSource::Content(t) => FileContent::Text(t.clone()),
            FileSource::Environment { value: Some(v), .. } => FileContent::Text(v.clone()),
            FileSource::Environment { variable, value: None } => {
                let message = format!("{what} {}: environment variable {variable:?} is not set", m.source);
                return Err(refused(message, object.origin.clone()));
            }
            FileSource::External => {
                let message = format!("{what} {}: external {what}s are not supported", m.source);
                return Err(refused(message, object.origin.clone()));
            }
        };
        out.push(FileSpec {
            target: m.target.clone(),
            content,
            uid: m.uid.unwrap_or(0),
            gid: m.gid.unwrap_or(0),
            mode: m.mode.unwrap_or(0o444),
            secret,
        });
    }
    Ok(out)
}

/// A namespace mode, with services turned into containers.
pub(crate) fn ns_mode(
    mode: Option<&NamespaceMode>,
    find: &dyn Fn(&str, bool) -> Option<ContainerId>,
) -> NsMode {
    match mode {
        Some(NamespaceMode::Host) => NsMode::Host,
        Some(NamespaceMode::Service(s)) => find(s.as_str(), true).map_or(NsMode::Own, NsMode::Container),
        Some(NamespaceMode::Container(c)) => find(c, false).map_or(NsMode::Own, NsMode::Container),
        Some(NamespaceMode::None) => NsMode::Bare,
        None | Some(NamespaceMode::Private | NamespaceMode::Shareable) => NsMode::Own,
    }
}

/// The network namespace, with services turned into containers.
pub(crate) fn net_ns(mode: &NetworkMode, find: &dyn Fn(&str, bool) -> Option<ContainerId>) -> NetNs {
    match mode {
        NetworkMode::Host => NetNs::Host,
        NetworkMode::Service(s) => find(s.as_str(), true).map_or(NetNs::Own, NetNs::Container),
        NetworkMode::Container(c) => find(c, false).map_or(NetNs::Own, NetNs::Container),
        NetworkMode::Networks(_) | NetworkMode::None | NetworkMode::Bridge => NetNs::Own,
    }
}
