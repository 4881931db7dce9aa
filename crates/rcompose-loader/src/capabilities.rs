//! The one table of what is understood and not, or not wholly, done: the warnings of `up`, `check --strict` and README.md
//! all come from it.

use crate::scalar;

/// When an attribute isn't honoured.
#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    /// Whenever it says something.
    Given,
    /// When it is `false`.
    False,
    /// When its text is none of these.
    Not(&'static [&'static str]),
    /// When its text begins with one of the first and is none of the second.
    Begins(&'static [&'static str], &'static [&'static str]),
    /// When the last key of the path is none of these.
    Key(&'static [&'static str]),
    /// When its text has one of these parts.
    Has(&'static [&'static str]),
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instead {
    /// It is left out, and what happens then.
    Ignored(&'static str),
    /// The command that meets it ends with an error.
    Refused(&'static str),
    /// It needs something of the machine, else the container doesn't start.
    Needs(Need),
}

/// What a machine may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A cgroup controller.
    Controller(&'static str),
    /// The cgroup controller `memory` of version 1.
    MemoryV1,
    /// The right to raise a resource limit above the hard one.
    RaiseLimit,
}

/// The rows of README.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Attributes of services.
    Services,
    /// `build`.
    Builds,
    /// Networks and what joins to them.
    Networks,
    /// Volumes, secrets and configs.
    Storage,
    /// Not in README.md: it depends on the machine.
    Machine,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capability {
    pub(crate) area: Area,
    /// Path in the canonical form; `*` is any key or entry.
    pub(crate) path: &'static str,
    pub(crate) when: When,
    pub(crate) instead: Instead,
    /// In README.md; empty where another line says it already.
    pub(crate) label: &'static str,
}

const NOTHING: &str = "it is ignored";
const WINDOWS: &str = "it is ignored: it only means something on Windows";
const SWARM: &str = "it is ignored: it only means something in a swarm";
const GPU: &str = "it is ignored: the container gets no such device";

const MOUNT: &str = "it is ignored: the `--mount` of a RUN says it";

const UNCONFINED: [&str; 4] =
    ["apparmor=unconfined", "apparmor:unconfined", "label=disable", "label:disable"];

const fn line(
    area: Area,
    path: &'static str,
    when: When,
    instead: Instead,
    label: &'static str,
) -> Capability {
    Capability { area, path, when, instead, label }
}

use Area::{Builds, Machine, Networks, Services, Storage};
use Instead::{Ignored, Needs, Refused};
use When::{Begins, False, Given, Has, Key, Not};

/// Ordered by area, then by path.
pub(crate) const TABLE: &[Capability] = &[
    line(Services, "services.*.blkio_config", Given, Ignored(NOTHING), "`blkio_config`"),
    line(Services, "services.*.cpu_count", Given, Ignored(WINDOWS), "`cpu_count`"),
    line(Services, "services.*.cpu_percent", Given, Ignored(WINDOWS), "`cpu_percent`"),
    line(Services, "services.*.cpu_rt_period", Given, Ignored(NOTHING), "`cpu_rt_*`"),
    line(Services, "services.*.cpu_rt_runtime", Given, Ignored(NOTHING), ""),
    line(Services, "services.*.credential_spec", Given, Ignored(WINDOWS), "`credential_spec`"),
    line(Services, "services.*.deploy.endpoint_mode", Given, Ignored(SWARM), "swarm's part of `deploy`"),
    line(Services, "services.*.deploy.mode", Not(&["replicated", ""]), Ignored(SWARM), ""),
    line(Services, "services.*.deploy.placement", Given, Ignored(SWARM), ""),
    line(Services, "services.*.deploy.resources.reservations.cpus", Given, Ignored(SWARM), ""),
    line(
        Services,
        "services.*.deploy.resources.reservations.devices",
        Given,
        Ignored(GPU),
        "`deploy.resources.reservations.devices`",
    ),
    line(Services, "services.*.deploy.resources.reservations.generic_resources", Given, Ignored(SWARM), ""),
    line(Services, "services.*.deploy.restart_policy.delay", Given, Ignored("delays grow from 100 ms"), ""),
    line(Services, "services.*.deploy.restart_policy.window", Given, Ignored(NOTHING), ""),
    line(Services, "services.*.deploy.rollback_config", Given, Ignored(SWARM), ""),
    line(Services, "services.*.deploy.update_config", Given, Ignored(SWARM), ""),
    line(Services, "services.*.develop", Given, Refused("there is no verb `watch`"), ""),
    line(Services, "services.*.external_links", Given, Ignored(NOTHING), "`external_links`"),
    line(Services, "services.*.gpus", Given, Ignored(GPU), "`gpus`"),
    line(Services, "services.*.isolation", Not(&["default", ""]), Ignored(WINDOWS), "`isolation`"),
    line(
        Services,
        "services.*.logging.driver",
        Not(&["json-file", "local", "none", ""]),
        Ignored("the output is kept in this machine's log"),
        "`logging` drivers but `json-file`, `local` and `none`",
    ),
    line(
        Services,
        "services.*.logging.options.*",
        Key(&["max-file", "max-size"]),
        Ignored(NOTHING),
        "`logging.options` but `max-size` and `max-file`",
    ),
    line(Services, "services.*.models", Given, Ignored(NOTHING), "`models`"),
    line(Services, "services.*.provider", Given, Ignored(NOTHING), "`provider`"),
    line(
        Services,
        "services.*.runtime",
        Not(&["runc", ""]),
        Ignored("containers are made by rcompose's own runtime"),
        "`runtime`",
    ),
    line(
        Services,
        "services.*.security_opt.*",
        Begins(&["label", "apparmor", "writable-cgroups"], &UNCONFINED),
        Ignored("this machine's own protection stays"),
        "`security_opt` for AppArmor and SELinux",
    ),
    line(
        Services,
        "services.*.storage_opt",
        Given,
        Ignored("its writable layer has no limit"),
        "`storage_opt`",
    ),
    line(
        Services,
        "services.*.use_api_socket",
        Given,
        Ignored("there is no engine's socket"),
        "`use_api_socket`",
    ),
    line(Services, "services.*.userns_mode", Not(&["host", ""]), Ignored(NOTHING), "`userns_mode`"),
    line(Builds, "services.*.build.isolation", Not(&["default", ""]), Ignored(WINDOWS), ""),
    line(
        Builds,
        "services.*.build.network",
        Not(&["default", "bridge", "host", "none", ""]),
        Refused("building ends with an error"),
        "networks but `default`, `host` and `none`",
    ),
    line(Builds, "services.*.build.secrets.*.gid", Given, Ignored(MOUNT), ""),
    line(Builds, "services.*.build.secrets.*.mode", Given, Ignored(MOUNT), ""),
    line(Builds, "services.*.build.secrets.*.uid", Given, Ignored(MOUNT), ""),
    line(
        Networks,
        "networks.*.driver",
        Not(&["bridge", "default", ""]),
        Ignored("a bridge is made"),
        "drivers other than bridge",
    ),
    line(
        Networks,
        "networks.*.driver_opts.*",
        Key(&["com.docker.network.driver.mtu"]),
        Ignored(NOTHING),
        "`driver_opts` but the MTU",
    ),
    line(Networks, "networks.*.enable_ipv4", False, Ignored("it has IPv4"), "IPv6"),
    line(Networks, "networks.*.enable_ipv6", Given, Ignored("it has IPv4 only"), ""),
    line(Networks, "networks.*.ipam.config.*.subnet", Has(&[":"]), Ignored("it has IPv4 only"), ""),
    line(
        Networks,
        "networks.*.ipam.driver",
        Not(&["default", ""]),
        Ignored("the default one is used"),
        "`ipam.driver`",
    ),
    line(Networks, "networks.*.ipam.options", Given, Ignored(NOTHING), ""),
    line(Networks, "services.*.networks.*.driver_opts", Given, Ignored(NOTHING), ""),
    line(Networks, "services.*.networks.*.ipv6_address", Given, Ignored("it has IPv4 only"), ""),
    line(
        Networks,
        "services.*.networks.*.link_local_ips",
        Given,
        Ignored("it doesn't get them"),
        "`link_local_ips`",
    ),
    line(
        Storage,
        "configs.*.external",
        Given,
        Refused("a service that uses it doesn't start"),
        "external `configs` and `secrets`",
    ),
    line(
        Storage,
        "configs.*.template_driver",
        Given,
        Ignored("the text stays as it is"),
        "`template_driver`",
    ),
    line(Storage, "secrets.*.driver", Given, Ignored(NOTHING), ""),
    line(Storage, "secrets.*.driver_opts", Given, Ignored(NOTHING), ""),
    line(Storage, "secrets.*.external", Given, Refused("a service that uses it doesn't start"), ""),
    line(Storage, "secrets.*.template_driver", Given, Ignored("the text stays as it is"), ""),
    line(
        Storage,
        "services.*.volumes.*.bind.selinux",
        Given,
        Ignored("files keep their labels"),
        "`bind.selinux`",
    ),
    line(
        Storage,
        "volumes.*.driver",
        Not(&["local", ""]),
        Refused("a service that uses it doesn't start"),
        "volume drivers but `local`",
    ),
    line(Machine, "services.*.cpu_period", Given, Needs(Need::Controller("cpu")), ""),
    line(Machine, "services.*.cpu_quota", Given, Needs(Need::Controller("cpu")), ""),
    line(Machine, "services.*.cpu_shares", Given, Needs(Need::Controller("cpu")), ""),
    line(Machine, "services.*.cpus", Given, Needs(Need::Controller("cpu")), ""),
    line(Machine, "services.*.cpuset", Given, Needs(Need::Controller("cpuset")), ""),
    line(Machine, "services.*.deploy.resources.limits.cpus", Given, Needs(Need::Controller("cpu")), ""),
    line(Machine, "services.*.deploy.resources.limits.memory", Given, Needs(Need::Controller("memory")), ""),
    line(Machine, "services.*.deploy.resources.limits.pids", Given, Needs(Need::Controller("pids")), ""),
    line(
        Machine,
        "services.*.deploy.resources.reservations.memory",
        Given,
        Needs(Need::Controller("memory")),
        "",
    ),
    line(Machine, "services.*.mem_limit", Given, Needs(Need::Controller("memory")), ""),
    line(Machine, "services.*.mem_reservation", Given, Needs(Need::Controller("memory")), ""),
    line(Machine, "services.*.mem_swappiness", Given, Needs(Need::MemoryV1), ""),
    line(Machine, "services.*.memswap_limit", Given, Needs(Need::Controller("memory")), ""),
    line(Machine, "services.*.oom_kill_disable", Given, Needs(Need::MemoryV1), ""),
    line(Machine, "services.*.pids_limit", Given, Needs(Need::Controller("pids")), ""),
    line(Machine, "services.*.ulimits.*", Key(&[]), Needs(Need::RaiseLimit), ""),
];

impl When {
    /// `text` is the value as a scalar, `key` the last part of its path.
    pub(crate) fn holds(self, text: Option<&str>, key: &str) -> bool {
        match self {
            Self::Given => !text.is_some_and(|t| {
                matches!(scalar::resolve(t), scalar::Plain::Value(crate::tree::Value::Bool(false)))
            }),
            Self::False => text == Some("false"),
            Self::Not(words) => text.is_some_and(|t| !words.contains(&t)),
            Self::Begins(begins, but) => {
                text.is_some_and(|t| begins.iter().any(|b| t.starts_with(b)) && !but.contains(&t))
            }
            Self::Key(words) => !words.contains(&key),
            Self::Has(parts) => text.is_some_and(|t| parts.iter().any(|p| t.contains(p))),
        }
    }
}

/// What README.md says isn't done in an area.
pub fn not_yet(area: Area) -> String {
    let labels = TABLE.iter().filter(|c| c.area == area && !c.label.is_empty()).map(|c| c.label);
    labels.collect::<Vec<_>>().join(", ")
}
