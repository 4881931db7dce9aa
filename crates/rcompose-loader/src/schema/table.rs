//! Every key that the specification has, with the type of its value
//! (compose-spec's JSON schema as compose-go carries it).

use super::Ty;
use super::Ty::{
    Any, Bool, Command, Enum, Int, IntStr, List, ListOrMap, MapOf, Num, NumStr, Obj, OrMap, OrNull, Str,
    StrOrList, StrictBool, Strs,
};

type Fields = &'static [(&'static str, Ty)];

/// A size: number or string.
const SIZE: Ty = NumStr;

const HOOK: Fields = &[
    ("command", Command),
    ("environment", ListOrMap),
    ("privileged", Bool),
    ("user", Str),
    ("working_dir", Str),
];
const PRE_START: Fields = &[
    ("command", Command),
    ("environment", ListOrMap),
    ("image", Str),
    ("per_replica", Bool),
    ("privileged", Bool),
    ("user", Str),
    ("working_dir", Str),
];
const FILE_MOUNT: Fields = &[("gid", Str), ("mode", NumStr), ("source", Str), ("target", Str), ("uid", Str)];
const ULIMITS: Ty = MapOf(&OrMap(&Int, &[("hard", Int), ("soft", Int)]));
const BUILD: Fields = &[
    ("additional_contexts", ListOrMap),
    ("args", ListOrMap),
    ("cache_from", Strs),
    ("cache_to", Strs),
    ("context", Str),
    ("dockerfile", Str),
    ("dockerfile_inline", Str),
    ("entitlements", Strs),
    ("extra_hosts", ListOrMap),
    ("isolation", Str),
    ("labels", ListOrMap),
    ("network", Str),
    ("no_cache", Bool),
    ("no_cache_filter", StrOrList),
    ("platforms", Strs),
    ("privileged", Bool),
    ("provenance", IntStr),
    ("pull", Bool),
    ("sbom", IntStr),
    ("secrets", List(&OrMap(&Str, FILE_MOUNT))),
    ("shm_size", SIZE),
    ("ssh", ListOrMap),
    ("tags", Strs),
    ("target", Str),
    ("ulimits", ULIMITS),
];
const BLKIO_LIMIT: Ty = List(&Obj(&[("path", Str), ("rate", IntStr)]));
const BLKIO: Fields = &[
    ("device_read_bps", BLKIO_LIMIT),
    ("device_read_iops", BLKIO_LIMIT),
    ("device_write_bps", BLKIO_LIMIT),
    ("device_write_iops", BLKIO_LIMIT),
    ("weight", Int),
    ("weight_device", List(&Obj(&[("path", Str), ("weight", Int)]))),
];
const DEVICE_REQUEST: Fields = &[
    ("capabilities", Strs),
    ("count", IntStr),
    ("device_ids", Strs),
    ("driver", Str),
    ("options", ListOrMap),
];
const ORDER: Ty = Enum(&["start-first", "stop-first"]);
const UPDATE: Fields = &[
    ("delay", Str),
    ("failure_action", Str),
    ("max_failure_ratio", Num),
    ("monitor", Str),
    ("order", ORDER),
    ("parallelism", Int),
];
const DEPLOY: Fields = &[
    ("endpoint_mode", Str),
    ("labels", ListOrMap),
    ("mode", Str),
    (
        "placement",
        Obj(&[
            ("constraints", Strs),
            ("max_replicas_per_node", Int),
            ("preferences", List(&Obj(&[("spread", Str)]))),
        ]),
    ),
    ("replicas", Int),
    (
        "resources",
        Obj(&[
            ("limits", Obj(&[("cpus", NumStr), ("memory", SIZE), ("pids", Int)])),
            (
                "reservations",
                Obj(&[
                    ("cpus", NumStr),
                    ("devices", List(&Obj(DEVICE_REQUEST))),
                    (
                        "generic_resources",
                        List(&Obj(&[("discrete_resource_spec", Obj(&[("kind", Str), ("value", Num)]))])),
                    ),
                    ("memory", SIZE),
                ]),
            ),
        ]),
    ),
    ("restart_policy", Obj(&[("condition", Str), ("delay", Str), ("max_attempts", Int), ("window", Str)])),
    ("rollback_config", Obj(UPDATE)),
    ("update_config", Obj(UPDATE)),
];
const DEVELOP: Fields = &[(
    "watch",
    List(&Obj(&[
        ("action", Enum(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
        ("exec", Obj(HOOK)),
        ("ignore", StrOrList),
        ("include", StrOrList),
        ("initial_sync", Bool),
        ("path", Str),
        ("target", Str),
    ])),
)];
const SERVICE_NETWORK: Fields = &[
    ("aliases", Strs),
    ("driver_opts", MapOf(&NumStr)),
    ("gw_priority", Num),
    ("interface_name", Str),
    ("ipv4_address", Str),
    ("ipv6_address", Str),
    ("link_local_ips", Strs),
    ("mac_address", Str),
    ("priority", Num),
];
const VOLUME_MOUNT: Fields = &[
    (
        "bind",
        Obj(&[
            ("create_host_path", Bool),
            ("propagation", Str),
            ("recursive", Enum(&["enabled", "disabled", "writable", "readonly"])),
            ("selinux", Enum(&["z", "Z"])),
        ]),
    ),
    ("consistency", Str),
    ("image", Obj(&[("subpath", Str)])),
    ("read_only", Bool),
    ("source", Str),
    ("target", Str),
    ("tmpfs", Obj(&[("mode", Num), ("size", SIZE)])),
    ("type", Enum(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"])),
    ("volume", Obj(&[("labels", ListOrMap), ("nocopy", Bool), ("subpath", Str)])),
];
const PORT: Fields = &[
    ("app_protocol", Str),
    ("host_ip", Str),
    ("mode", Str),
    ("name", Str),
    ("protocol", Str),
    ("published", NumStr),
    ("target", Int),
];
const DEPENDENCY: Fields = &[
    ("condition", Enum(&["service_started", "service_healthy", "service_completed_successfully"])),
    ("required", StrictBool),
    ("restart", Bool),
];
const HEALTHCHECK: Fields = &[
    ("disable", Bool),
    ("interval", Str),
    ("retries", Num),
    ("start_interval", Str),
    ("start_period", Str),
    ("test", StrOrList),
    ("timeout", Str),
];

/// A service.
pub(crate) const SERVICE: Fields = &[
    ("annotations", ListOrMap),
    ("attach", Bool),
    ("blkio_config", Obj(BLKIO)),
    ("build", OrMap(&Str, BUILD)),
    ("cap_add", Strs),
    ("cap_drop", Strs),
    ("cgroup", Enum(&["host", "private"])),
    ("cgroup_parent", Str),
    ("command", Command),
    ("configs", List(&OrMap(&Str, FILE_MOUNT))),
    ("container_name", Str),
    ("cpu_count", Int),
    ("cpu_percent", Int),
    ("cpu_period", NumStr),
    ("cpu_quota", NumStr),
    ("cpu_rt_period", NumStr),
    ("cpu_rt_runtime", NumStr),
    ("cpu_shares", Num),
    ("cpus", Num),
    ("cpuset", Str),
    ("credential_spec", Obj(&[("config", Str), ("file", Str), ("registry", Str)])),
    ("depends_on", Ty::StrsOrMap(&Obj(DEPENDENCY))),
    ("deploy", OrNull(&Obj(DEPLOY))),
    ("develop", OrNull(&Obj(DEVELOP))),
    ("device_cgroup_rules", Strs),
    ("devices", List(&OrMap(&Str, &[("permissions", Str), ("source", Str), ("target", Str)]))),
    ("dns", StrOrList),
    ("dns_opt", Strs),
    ("dns_search", StrOrList),
    ("domainname", Str),
    ("entrypoint", Command),
    ("env_file", Ty::StrOrListOf(&[("format", Str), ("path", Str), ("required", Bool)])),
    ("environment", ListOrMap),
    ("expose", List(&NumStr)),
    ("extends", OrMap(&Str, &[("file", Str), ("service", Str)])),
    ("external_links", Strs),
    ("extra_hosts", ListOrMap),
    ("gpus", Ty::StrOrListOf(DEVICE_REQUEST)),
    ("group_add", List(&NumStr)),
    ("healthcheck", Obj(HEALTHCHECK)),
    ("hostname", Str),
    ("image", Str),
    ("init", Bool),
    ("ipc", Str),
    ("isolation", Str),
    ("label_file", StrOrList),
    ("labels", ListOrMap),
    ("links", Strs),
    ("logging", Obj(&[("driver", Str), ("options", MapOf(&OrNull(&NumStr)))])),
    ("mac_address", Str),
    ("mem_limit", SIZE),
    ("mem_reservation", SIZE),
    ("mem_swappiness", Int),
    ("memswap_limit", SIZE),
    ("models", Ty::StrsOrMap(&OrNull(&Obj(&[("endpoint_var", Str), ("model_var", Str)])))),
    ("network_mode", Str),
    ("networks", Ty::StrsOrMap(&OrNull(&Obj(SERVICE_NETWORK)))),
    ("oom_kill_disable", Bool),
    ("oom_score_adj", Int),
    ("pid", Str),
    ("pids_limit", Num),
    ("platform", Str),
    ("ports", List(&OrMap(&NumStr, PORT))),
    ("post_start", List(&Obj(HOOK))),
    ("pre_start", List(&Obj(PRE_START))),
    ("pre_stop", List(&Obj(HOOK))),
    ("privileged", Bool),
    ("profiles", Strs),
    ("provider", Obj(&[("options", MapOf(&Any)), ("type", Str)])),
    ("pull_policy", Str),
    ("pull_refresh_after", Str),
    ("read_only", Bool),
    ("restart", Str),
    ("runtime", Str),
    ("scale", Int),
    ("secrets", List(&OrMap(&Str, FILE_MOUNT))),
    ("security_opt", Strs),
    ("shm_size", SIZE),
    ("stdin_open", Bool),
    ("stop_grace_period", Str),
    ("stop_signal", Str),
    ("storage_opt", MapOf(&NumStr)),
    ("sysctls", ListOrMap),
    ("tmpfs", StrOrList),
    ("tty", Bool),
    ("ulimits", ULIMITS),
    ("use_api_socket", StrictBool),
    ("user", Str),
    ("userns_mode", Str),
    ("uts", Str),
    ("volumes", List(&OrMap(&Str, VOLUME_MOUNT))),
    ("volumes_from", Strs),
    ("working_dir", Str),
];

const EXTERNAL: Ty = OrMap(&Bool, &[("name", Str)]);
const NETWORK: Fields = &[
    ("attachable", Bool),
    ("driver", Str),
    ("driver_opts", MapOf(&NumStr)),
    ("enable_ipv4", Bool),
    ("enable_ipv6", Bool),
    ("external", EXTERNAL),
    ("internal", Bool),
    (
        "ipam",
        Obj(&[
            (
                "config",
                List(&Obj(&[
                    ("aux_addresses", MapOf(&Str)),
                    ("gateway", Str),
                    ("ip_range", Str),
                    ("subnet", Str),
                ])),
            ),
            ("driver", Str),
            ("options", MapOf(&Str)),
        ]),
    ),
    ("labels", ListOrMap),
    ("name", Str),
];
const VOLUME: Fields = &[
    ("driver", Str),
    ("driver_opts", MapOf(&NumStr)),
    ("external", EXTERNAL),
    ("labels", ListOrMap),
    ("name", Str),
];
const SECRET: Fields = &[
    ("driver", Str),
    ("driver_opts", MapOf(&NumStr)),
    ("environment", Str),
    ("external", EXTERNAL),
    ("file", Str),
    ("labels", ListOrMap),
    ("name", Str),
    ("template_driver", Str),
];
const CONFIG: Fields = &[
    ("content", Str),
    ("environment", Str),
    ("external", EXTERNAL),
    ("file", Str),
    ("labels", ListOrMap),
    ("name", Str),
    ("template_driver", Str),
];
const MODEL: Fields = &[("context_size", Int), ("model", Str), ("name", Str), ("runtime_flags", Strs)];

/// A whole file.
pub(crate) const TOP: Fields = &[
    ("configs", MapOf(&OrNull(&Obj(CONFIG)))),
    (
        "include",
        OrNull(&List(&OrMap(
            &Str,
            &[("env_file", StrOrList), ("path", StrOrList), ("project_directory", Str)],
        ))),
    ),
    ("models", MapOf(&OrNull(&Obj(MODEL)))),
    ("name", Str),
    ("networks", MapOf(&OrNull(&Obj(NETWORK)))),
    ("secrets", MapOf(&OrNull(&Obj(SECRET)))),
    ("services", MapOf(&Obj(SERVICE))),
    ("version", NumStr),
    ("volumes", MapOf(&OrNull(&Obj(VOLUME)))),
];
