//! Picking containers from a project's records: for the commands that look at them without touching them.

use rcompose_model::{ProjectName, ServiceName};
use rcompose_plan::{ContainerStatus, ObservedContainer};

use crate::context::Context;
use crate::failure::Failure;

/// The project's containers as recorded, by name; those of `services` if any are named.
pub(crate) fn recorded(
    cx: &Context,
    project: &ProjectName,
    services: &[String],
) -> Result<Vec<ObservedContainer>, Failure> {
    let record = cx.record(project)?;
    let mut all: Vec<ObservedContainer> =
        record.map(|r| r.observed.containers.into_values().collect()).unwrap_or_default();
    for name in services {
        if !all.iter().any(|c| c.spec.service.as_str() == name) {
            must_exist(cx, name)?;
        }
    }
    all.retain(|c| services.is_empty() || services.iter().any(|s| s == c.spec.service.as_str()));
    all.sort_by(|a, b| natural(&a.spec.name, &b.spec.name));
    Ok(all)
}

/// Names with numbers in the order of the numbers: `a-2` before `a-10`.
fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    let key = |n: &str| match n.rsplit_once('-') {
        Some((stem, number)) => (stem.to_owned(), number.parse::<u32>().unwrap_or(0)),
        None => (n.to_owned(), 0),
    };
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}

/// A service without a container must at least be in the file, if there is one.
pub(crate) fn must_exist(cx: &Context, service: &str) -> Result<(), Failure> {
    let (_, loaded) = cx.load_or_name(&[])?;
    let project = loaded.map(|l| l.project);
    let known = || project.iter().flat_map(|p| p.services.keys().chain(p.disabled_services.keys()));
    if known().any(|s| s.as_str() == service) {
        return Ok(());
    }
    Err(Failure::no_such_service(service, known().map(ServiceName::as_str)))
}

/// The container of a service that `exec` and `port` mean: the one with that number, or (0) the first.
/// It must run.
pub(crate) fn running(
    cx: &Context,
    project: &ProjectName,
    service: &str,
    index: u32,
) -> Result<ObservedContainer, Failure> {
    let all = recorded(cx, project, &[service.to_owned()])?;
    let up =
        |c: &&ObservedContainer| matches!(c.state.status, ContainerStatus::Running | ContainerStatus::Paused);
    let own = || all.iter().filter(|c| !c.spec.oneoff);
    let found = match index {
        // One-off containers come last, as in docker compose.
        0 => own().find(up).or_else(|| all.iter().find(up)),
        n => own().filter(up).find(|c| c.spec.number == n),
    };
    found.cloned().ok_or_else(|| match index {
        0 => Failure::user(format!("service {service:?} is not running")),
        n => Failure::user(format!("service {service:?} is not running container #{n}")),
    })
}

/// The container of a service in any state: the one with that number, or (0) the first.
pub(crate) fn any(
    cx: &Context,
    project: &ProjectName,
    service: &str,
    index: u32,
) -> Result<ObservedContainer, Failure> {
    let all = recorded(cx, project, &[service.to_owned()])?;
    let mut own = all.iter().filter(|c| !c.spec.oneoff).filter(|c| index == 0 || c.spec.number == index);
    own.next().cloned().ok_or_else(|| match index {
        0 => Failure::user(format!("no container found for service {service:?}")),
        n => Failure::user(format!("service {service:?} has no container #{n}")),
    })
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn numbers_count() {
        let mut names = ["p-a-10", "p-a-2", "p-b-1", "p-a-1"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["p-a-1", "p-a-2", "p-a-10", "p-b-1"]);
    }
}
