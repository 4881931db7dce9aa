//! The order of keys in docker compose's output: the order of fields in compose-go's types.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::tree::{Map, Node, Value};

const TOP: &str = "name include services networks volumes secrets configs models";
const SERVICE: &str = "profiles annotations attach build develop blkio_config cap_add cap_drop cgroup_parent cgroup \
    cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpus cpuset cpu_shares command configs \
    container_name credential_spec depends_on deploy device_cgroup_rules devices dns dns_opt dns_search domainname \
    entrypoint provider environment env_file expose extends external_links extra_hosts group_add gpus hostname \
    healthcheck image init ipc isolation labels label_file links logging mem_limit mem_reservation memswap_limit \
    mem_swappiness mac_address models network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform \
    ports privileged pull_policy pull_refresh_after read_only restart runtime scale secrets security_opt shm_size \
    stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits use_api_socket user userns_mode \
    uts volumes volumes_from working_dir pre_start post_start pre_stop";
const BUILD: &str = "context dockerfile dockerfile_inline entitlements args provenance sbom ssh labels cache_from \
    cache_to no_cache no_cache_filter additional_contexts pull extra_hosts isolation network target secrets shm_size \
    tags ulimits platforms privileged";
const DEPLOY: &str =
    "mode replicas labels update_config rollback_config resources restart_policy placement endpoint_mode";
const HEALTHCHECK: &str = "test timeout interval retries start_period start_interval disable";
const PORT: &str = "name mode host_ip target published protocol app_protocol";
const VOLUME_MOUNT: &str = "type source target read_only consistency bind volume tmpfs image";
const FILE_MOUNT: &str = "source target uid gid mode";
const DEPENDENCY: &str = "condition restart required";
const DEVICE: &str = "source target permissions";
const SERVICE_NETWORK: &str = "aliases driver_opts gw_priority interface_name ipv4_address ipv6_address \
    link_local_ips mac_address priority";
const WATCH: &str = "path action target exec include ignore initial_sync";
const LIMITS: &str = "limits reservations cpus memory pids devices generic_resources";
const RESTART: &str = "condition delay max_attempts window";
const UPDATE: &str = "parallelism delay failure_action monitor max_failure_ratio order";
const PLACEMENT: &str = "constraints preferences max_replicas_per_node";
const BLKIO: &str =
    "path weight weight_device device_read_bps device_read_iops device_write_bps device_write_iops rate";
const BIND: &str = "selinux propagation create_host_path recursive";
const LOGGING: &str = "driver options";
const ULIMIT: &str = "single soft hard";
const HOOK: &str = "command image user privileged working_dir environment per_replica";
const NETWORK: &str =
    "name driver driver_opts ipam external internal attachable labels enable_ipv4 enable_ipv6";
const IPAM: &str = "driver config options subnet gateway ip_range aux_addresses";
const VOLUME: &str = "name driver driver_opts external labels";
const OBJECT: &str = "name file environment content external labels driver driver_opts template_driver";
const MODEL: &str = "name model context_size runtime_flags";
const GPU: &str = "capabilities driver count device_ids options";
const ENV_FILE: &str = "path required format";

/// Sorts a mapping by its place in the tree.
pub(super) fn sort(map: &mut Map, path: &[String]) {
    let order = table(path);
    let Some(order) = order else {
        super::natural::sort(map);
        return;
    };
    let ranks = ranks(order);
    let rank = |key: &'_ str| match ranks.get(key) {
        _ if key.starts_with("x-") => (usize::MAX, key.to_owned()),
        Some(at) => (*at, String::new()),
        None => (usize::MAX - 1, key.to_owned()),
    };
    map.sort_by_cached_key(|k, _| rank(k));
}

type Ranks = HashMap<&'static str, usize, foldhash::fast::RandomState>;

/// The places of a table's words; each table is taken apart once.
fn ranks(table: &'static str) -> Rc<Ranks> {
    thread_local! {
        static KNOWN: RefCell<HashMap<*const u8, Rc<Ranks>, foldhash::fast::RandomState>> = RefCell::default();
    }
    let words = || Rc::new(table.split_whitespace().enumerate().map(|(at, word)| (word, at)).collect());
    KNOWN.with_borrow_mut(|known| known.entry(table.as_ptr()).or_insert_with(words).clone())
}

/// All keys everywhere as Go sorts those of a map.
pub(super) fn sort_all(node: &mut Node) {
    match &mut node.value {
        Value::Seq(items) => items.iter_mut().for_each(sort_all),
        Value::Map(map) => {
            super::natural::sort(map);
            map.values_mut().for_each(sort_all);
        }
        _ => {}
    }
}

/// Whether the mapping at this place has fixed keys, so that empty texts in it aren't printed.
pub(super) fn fixed(path: &[String]) -> bool {
    table(path).is_some()
}

fn table(path: &[String]) -> Option<&'static str> {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    Some(match words.as_slice() {
        [] => TOP,
        ["services", _] => SERVICE,
        ["services", _, rest @ ..] => match rest {
            ["build"] => BUILD,
            ["build", "secrets"] => FILE_MOUNT,
            ["deploy"] => DEPLOY,
            ["deploy", "resources", "reservations", "devices"] => GPU,
            ["deploy", "resources", "reservations", "devices", ..] => return None,
            ["deploy", "resources", ..] => LIMITS,
            ["deploy", "restart_policy"] => RESTART,
            ["deploy", "update_config" | "rollback_config"] => UPDATE,
            ["deploy", "placement"] => PLACEMENT,
            ["healthcheck"] => HEALTHCHECK,
            ["ports"] => PORT,
            ["volumes"] => VOLUME_MOUNT,
            ["volumes", "tmpfs"] => "size mode",
            ["volumes", "bind"] => BIND,
            ["blkio_config"] | ["blkio_config", _] => BLKIO,
            ["secrets" | "configs"] => FILE_MOUNT,
            ["depends_on", _] => DEPENDENCY,
            ["devices"] => DEVICE,
            ["networks", _] => SERVICE_NETWORK,
            ["develop", "watch"] => WATCH,
            ["develop", "watch", "exec"] => HOOK,
            ["logging"] => LOGGING,
            ["provider"] => "type options",
            ["ulimits", _] | ["build", "ulimits", _] => ULIMIT,
            ["pre_start" | "post_start" | "pre_stop"] => HOOK,
            ["gpus"] => GPU,
            ["env_file"] => ENV_FILE,
            _ => return None,
        },
        ["networks", _] => NETWORK,
        ["networks", _, "ipam", ..] => IPAM,
        ["volumes", _] => VOLUME,
        ["secrets" | "configs", _] => OBJECT,
        ["models", _] => MODEL,
        _ => return None,
    })
}
