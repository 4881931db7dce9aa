//! An image's configuration as facts for the planner.

use std::time::Duration;

use rcompose_image::{HealthConfig, Image, Store};
use rcompose_model::{HealthTest, Signal};
use rcompose_plan::{ImageDefaults, ImageFacts, ImageHealth};

use crate::failure::Failure;

/// What the planner wants to know of an image.
pub(crate) fn image_facts(store: &Store, reference: &str, image: &Image) -> Result<ImageFacts, Failure> {
    let c = &image.config.config;
    let pair = |e: &String| match e.split_once('=') {
        Some((k, v)) => (k.to_owned(), v.to_owned()),
        None => (e.clone(), String::new()),
    };
    let defaults = ImageDefaults {
        env: c.env.iter().map(pair).collect(),
        entrypoint: c.entrypoint.clone().unwrap_or_default(),
        cmd: c.cmd.clone().unwrap_or_default(),
        user: c.user.clone(),
        working_dir: c.working_dir.clone(),
        volumes: c.volumes.iter().cloned().collect(),
        exposed_ports: c.exposed_ports.iter().cloned().collect(),
        labels: c.labels.clone(),
        stop_signal: c.stop_signal.as_deref().and_then(|s| Signal::parse(s).ok()),
        shell: c.shell.clone(),
        healthcheck: c.healthcheck.as_ref().and_then(health),
    };
    Ok(ImageFacts {
        reference: reference.to_owned(),
        id: image.id.to_string(),
        layers: store.layer_paths(image)?,
        defaults,
    })
}

/// `None`: it says nothing (an empty test inherits, and there is nothing to inherit from).
fn health(h: &HealthConfig) -> Option<ImageHealth> {
    let test = match h.test.split_first() {
        None => return None,
        Some((kind, rest)) => match kind.as_str() {
            "NONE" => None,
            "CMD-SHELL" => Some(HealthTest::Shell(rest.join(" "))),
            "CMD" => Some(HealthTest::Exec(rest.to_vec())),
            _ => Some(HealthTest::Exec(h.test.clone())),
        },
    };
    let time = |nanos: i64| u64::try_from(nanos).ok().filter(|n| *n > 0).map(Duration::from_nanos);
    Some(ImageHealth {
        test,
        interval: time(h.interval),
        timeout: time(h.timeout),
        retries: u32::try_from(h.retries).ok().filter(|n| *n > 0),
        start_period: time(h.start_period),
        start_interval: time(h.start_interval),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_checks() {
        let h = |test: &[&str]| {
            let test = test.iter().map(|s| (*s).to_owned()).collect();
            health(&HealthConfig { test, interval: 2_000_000_000, ..HealthConfig::default() })
        };
        assert_eq!(h(&[]), None);
        assert_eq!(h(&["NONE"]).and_then(|h| h.test), None);
        assert!(h(&["NONE"]).is_some());
        let shell = h(&["CMD-SHELL", "exit 0"]).unwrap();
        assert_eq!(shell.test, Some(HealthTest::Shell("exit 0".into())));
        assert_eq!(shell.interval, Some(Duration::from_secs(2)));
        assert_eq!(shell.timeout, None);
    }
}
