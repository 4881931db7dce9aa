//! What several verbs share.

use std::collections::BTreeMap;
use std::time::Duration;

use rcompose_loader::Loaded;
use rcompose_model::{ProjectName, ServiceName};
use rcompose_plan::{Desired, Intent, ScopeOptions};

use crate::apply::{Outcome, apply};
use crate::context::{Context, service_names};
use crate::failure::Failure;

/// `--timeout` and the like.
pub(crate) fn seconds(n: Option<u64>) -> Option<Duration> {
    n.map(Duration::from_secs)
}

/// `SERVICE=N` of `--scale`.
pub(crate) fn scales(words: &[String]) -> Result<BTreeMap<ServiceName, u32>, Failure> {
    words
        .iter()
        .map(|w| {
            let wrong = || Failure::user(format!("invalid --scale option \"{w}\": it is SERVICE=NUMBER"));
            let (name, n) = w.split_once('=').ok_or_else(wrong)?;
            let n = n.parse().map_err(|_| wrong())?;
            Ok((ServiceName::new(name).map_err(|_| wrong())?, n))
        })
        .collect()
}

/// A project for verbs that deal with containers that are there: images don't matter.
pub(crate) fn without_images(loaded: Loaded) -> Desired {
    Desired { project: loaded.project, images: BTreeMap::new(), further: BTreeMap::new() }
}

/// Plans and does something with the containers of some services; also works when the Compose file is gone.
pub(crate) fn on_services(
    cx: &Context,
    services: &[String],
    intent: impl FnOnce(ScopeOptions) -> Intent,
) -> Result<Outcome, Failure> {
    let (project, desired) = project(cx, services)?;
    let scope = ScopeOptions { services: service_names(services)?, ..ScopeOptions::default() };
    apply(cx, &project, desired.as_ref(), &intent(scope), None)?.ok()
}

/// The project, if there is a file, and its name.
pub(crate) fn project(cx: &Context, services: &[String]) -> Result<(ProjectName, Option<Desired>), Failure> {
    let (name, loaded) = cx.load_or_name(services)?;
    Ok((name, loaded.map(without_images)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_words() {
        let words = |w: &[&str]| scales(&w.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        let got = words(&["web=3"]).unwrap();
        assert_eq!(got.values().copied().collect::<Vec<_>>(), [3]);
        assert!(words(&["web"]).is_err());
        assert!(words(&["web=-1"]).is_err());
    }
}
