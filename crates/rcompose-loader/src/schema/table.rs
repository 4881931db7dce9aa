//! Every key that the specification has, with the type of its value
//! (compose-spec's JSON schema as compose-go carries it).

use super::Ty::{
    Any, Bool, BoolStr, Collapsed, Command, Enum, Hosts, Int, IntStr, List, ListOrMap, MapOf, Must, Named,
    Num, NumStr, Obj, OrList, OrMap, OrNull, Scalar, Str, StrOrList, StrictBool, StrictInt, StrictNum,
    StrsOrMap, Unique,
};
use super::{Fields, Ty};

const STRS: Ty = List(&Str);
/// Strings, none twice.
const SET: Ty = Unique(&STRS);
/// Strings; one that is there twice counts once.
const BAG: Ty = Collapsed(&STRS);
/// `K=v` pairs, none twice.
const PAIRS: Ty = Unique(&ListOrMap);

const HOOK: Fields = &[
    ("command", Must(&Command)),
    ("environment", PAIRS),
    ("privileged", Bool),
    ("user", Str),
    ("working_dir", Str),
];
const PRE_START: Fields = &[
    ("command", Command),
    ("environment", PAIRS),
    ("image", Str),
    ("per_replica", Bool),
    ("privileged", Bool),
    ("user", Str),
    ("working_dir", Str),
];
const FILE_MOUNT: Fields = &[("gid", Str), ("mode", NumStr), ("source", Str), ("target", Str), ("uid", Str)];
const ULIMITS: Ty = MapOf(&OrMap(&Int, &[("hard", Must(&Int)), ("soft", Must(&Int))]));
const BUILD: Fields = &[
    ("additional_contexts", ListOrMap),
    ("args", ListOrMap),
    ("cache_from", STRS),
    ("cache_to", STRS),
    ("context", Str),
    ("dockerfile", Str),
    ("dockerfile_inline", Str),
    ("entitlements", STRS),
    ("extra_hosts", Hosts),
    ("isolation", Str),
    ("labels", ListOrMap),
    ("network", Str),
    ("no_cache", Bool),
    ("no_cache_filter", Unique(&StrOrList)),
    ("platforms", STRS),
    ("privileged", Bool),
    ("provenance", BoolStr),
    ("pull", Bool),
    ("sbom", BoolStr),
    ("secrets", List(&OrMap(&Str, FILE_MOUNT))),
    ("shm_size", IntStr),
    ("ssh", PAIRS),
    ("tags", STRS),
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
    ("capabilities", Must(&SET)),
    ("count", IntStr),
    ("device_ids", SET),
    ("driver", Str),
    ("options", PAIRS),
];
const GPU: Fields =
    &[("capabilities", SET), ("count", IntStr), ("device_ids", SET), ("driver", Str), ("options", PAIRS)];
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
            ("constraints", STRS),
            ("max_replicas_per_node", Int),
            ("preferences", List(&Obj(&[("spread", Str)]))),
        ]),
    ),
    ("replicas", Int),
    (
        "resources",
        Obj(&[
            ("limits", Obj(&[("cpus", NumStr), ("memory", Str), ("pids", Int)])),
            (
                "reservations",
                Obj(&[
                    ("cpus", NumStr),
                    ("devices", List(&Obj(DEVICE_REQUEST))),
                    (
                        "generic_resources",
                        List(&Obj(&[("discrete_resource_spec", Obj(&[("kind", Str), ("value", Num)]))])),
                    ),
                    ("memory", Str),
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
        ("action", Must(&Enum(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"]))),
        ("exec", Obj(HOOK)),
        ("ignore", Unique(&StrOrList)),
        ("include", Unique(&StrOrList)),
        ("initial_sync", StrictBool),
        ("path", Must(&Str)),
        ("target", Str),
    ])),
)];
const SERVICE_NETWORK: Fields = &[
    ("aliases", BAG),
    ("driver_opts", MapOf(&NumStr)),
    ("gw_priority", StrictNum),
    ("interface_name", Str),
    ("ipv4_address", Str),
    ("ipv6_address", Str),
    ("link_local_ips", BAG),
    ("mac_address", Str),
    ("priority", StrictNum),
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
    ("tmpfs", Obj(&[("mode", Num), ("size", IntStr)])),
    ("type", Must(&Enum(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"]))),
    ("volume", Obj(&[("labels", PAIRS), ("nocopy", Bool), ("subpath", Str)])),
];
const PORT: Fields = &[
    ("app_protocol", Str),
    ("host_ip", Str),
    ("mode", Str),
    ("name", Str),
    ("protocol", Str),
    ("published", IntStr),
    ("target", Int),
];
const DEPENDENCY: Fields = &[
    ("condition", Must(&Enum(&["service_started", "service_healthy", "service_completed_successfully"]))),
    ("required", Bool),
    ("restart", Bool),
];
const HEALTHCHECK: Fields = &[
    ("disable", Bool),
    ("interval", Str),
    ("retries", Num),
    ("start_interval", Str),
    ("start_period", Str),
    ("test", OrList(&Str, &Str)),
    ("timeout", Str),
];

/// A service.
pub(crate) const SERVICE: Fields = &[
    ("annotations", ListOrMap),
    ("attach", Bool),
    ("blkio_config", Obj(BLKIO)),
    ("build", OrMap(&Str, BUILD)),
    ("cap_add", BAG),
    ("cap_drop", BAG),
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
    ("depends_on", StrsOrMap(&Named(&Obj(DEPENDENCY)))),
    ("deploy", OrNull(&Obj(DEPLOY))),
    ("develop", OrNull(&Obj(DEVELOP))),
    ("device_cgroup_rules", SET),
    ("devices", List(&OrMap(&Str, &[("permissions", Str), ("source", Must(&Str)), ("target", Str)]))),
    ("dns", StrOrList),
    ("dns_opt", BAG),
    ("dns_search", StrOrList),
    ("domainname", Str),
    ("entrypoint", Command),
    ("env_file", OrList(&Str, &OrMap(&Str, &[("format", Str), ("path", Must(&Str)), ("required", Bool)]))),
    ("environment", ListOrMap),
    ("expose", Collapsed(&List(&NumStr))),
    ("extends", OrMap(&Str, &[("file", Str), ("service", Must(&Str))])),
    ("external_links", SET),
    ("extra_hosts", Hosts),
    ("gpus", OrList(&Enum(&["all"]), &Obj(GPU))),
    ("group_add", Unique(&List(&NumStr))),
    ("healthcheck", Obj(HEALTHCHECK)),
    ("hostname", Str),
    ("image", Str),
    ("init", Bool),
    ("ipc", Str),
    ("isolation", Str),
    ("label_file", OrList(&Str, &Str)),
    ("labels", ListOrMap),
    ("links", BAG),
    ("logging", Obj(&[("driver", Str), ("options", MapOf(&OrNull(&NumStr)))])),
    ("mac_address", Str),
    ("mem_limit", NumStr),
    ("mem_reservation", IntStr),
    ("mem_swappiness", Int),
    ("memswap_limit", NumStr),
    ("models", StrsOrMap(&MapOf(&OrNull(&Obj(&[("endpoint_var", Str), ("model_var", Str)]))))),
    ("network_mode", Str),
    ("networks", StrsOrMap(&Named(&OrNull(&Obj(SERVICE_NETWORK))))),
    ("oom_kill_disable", Bool),
    ("oom_score_adj", Int),
    ("pid", OrNull(&Str)),
    ("pids_limit", Num),
    ("platform", Str),
    ("ports", Collapsed(&List(&OrMap(&NumStr, PORT)))),
    ("post_start", List(&Obj(HOOK))),
    ("pre_start", List(&Obj(PRE_START))),
    ("pre_stop", List(&Obj(HOOK))),
    ("privileged", Bool),
    ("profiles", BAG),
    ("provider", Obj(&[("options", MapOf(&OrList(&Scalar, &Scalar))), ("type", Must(&Str))])),
    ("pull_policy", Str),
    ("pull_refresh_after", Str),
    ("read_only", Bool),
    ("restart", Str),
    ("runtime", Str),
    ("scale", Int),
    ("secrets", List(&OrMap(&Str, FILE_MOUNT))),
    ("security_opt", SET),
    ("shm_size", NumStr),
    ("stdin_open", Bool),
    ("stop_grace_period", Str),
    ("stop_signal", Str),
    ("storage_opt", MapOf(&Any)),
    ("sysctls", ListOrMap),
    ("tmpfs", StrOrList),
    ("tty", Bool),
    ("ulimits", ULIMITS),
    ("use_api_socket", StrictBool),
    ("user", Str),
    ("userns_mode", Str),
    ("uts", Str),
    ("volumes", Collapsed(&List(&OrMap(&Str, VOLUME_MOUNT)))),
    ("volumes_from", SET),
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
    ("labels", PAIRS),
    ("name", Str),
];
const SECRET: Fields = &[
    ("driver", Str),
    ("driver_opts", MapOf(&NumStr)),
    ("environment", Str),
    ("external", EXTERNAL),
    ("file", Str),
    ("labels", PAIRS),
    ("name", Str),
    ("template_driver", Str),
];
const CONFIG: Fields = &[
    ("content", Str),
    ("environment", Str),
    ("external", EXTERNAL),
    ("file", Str),
    ("labels", PAIRS),
    ("name", Str),
    ("template_driver", Str),
];
const MODEL: Fields =
    &[("context_size", StrictInt), ("model", Must(&Str)), ("name", Str), ("runtime_flags", STRS)];

/// A whole file.
pub(crate) const TOP: Fields = &[
    ("configs", Named(&Obj(CONFIG))),
    (
        "include",
        OrNull(&List(&OrMap(
            &Str,
            &[("env_file", OrNull(&StrOrList)), ("path", StrOrList), ("project_directory", OrNull(&Str))],
        ))),
    ),
    ("models", MapOf(&Obj(MODEL))),
    ("name", Str),
    ("networks", MapOf(&OrNull(&Obj(NETWORK)))),
    ("secrets", Named(&Obj(SECRET))),
    ("services", Named(&Obj(SERVICE))),
    ("version", Str),
    ("volumes", Named(&OrNull(&Obj(VOLUME)))),
];
