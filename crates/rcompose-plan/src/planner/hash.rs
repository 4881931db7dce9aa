use rcompose_model::Service;

use crate::hash_hex;

/// Hash of what a service's containers are made from. Places in files, the number of replicas and what only matters
/// for the build or for other services don't count (docker compose's `ServiceHash` leaves out the same).
pub fn config_hash(service: &Service, image_id: &str) -> String {
    let mut s = service.clone();
    s.origin = rcompose_model::Origin::default();
    s.attribute_origins.clear();
    s.build = None;
    s.pull_policy = None;
    s.replicas = 1;
    s.depends_on.clear();
    s.profiles.clear();
    s.attach = true;
    let text = serde_json::to_string(&s).unwrap_or_default();
    hash_hex(&[&text, image_id])
}
