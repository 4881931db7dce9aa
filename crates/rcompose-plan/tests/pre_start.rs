//! `pre_start`: what runs before the first container of a service.

use rcompose_model::{Mount, MountKind, NetworkMode, PreStart, VolumeOptions};
use rcompose_plan::{
    ContainerSpec, ContainerStatus, Desired, Intent, LocalOp, MountSource, Observed, Plan, PlanError,
    ScopeOptions, UpOptions, plan, render,
};
use rcompose_testkit::{desired, service, simulate};

fn project(replicas: u32) -> Desired {
    let mut web = service("web");
    web.replicas = replicas;
    web.environment.insert("A".into(), Some("service".into()));
    web.environment.insert("B".into(), Some("service".into()));
    web.cap_add.push("NET_ADMIN".into());
    web.mounts.push(Mount {
        kind: MountKind::Anonymous { options: VolumeOptions::default() },
        target: "/own".into(),
        read_only: false,
    });
    if let NetworkMode::Networks(map) = &mut web.network_mode {
        map.values_mut().for_each(|a| a.ipv4_address = Some([172, 18, 0, 9].into()));
    }
    let step = |command: &str| PreStart { command: vec![command.into()], ..PreStart::default() };
    let mut first = step("one");
    first.environment.insert("B".into(), Some("step".into()));
    web.pre_start = vec![first, step("two")];
    desired("p", vec![web])
}

fn up(d: &Desired, have: &Observed) -> Plan {
    plan(&d.project.name, Some(d), have, &Intent::Up(UpOptions::default())).unwrap()
}

fn made<'a>(plan: &'a Plan, name: &str) -> &'a ContainerSpec {
    let specs = plan.steps.iter().filter_map(|s| match &s.op {
        LocalOp::CreateContainer { spec, .. } => Some(&**spec),
        _ => None,
    });
    specs.into_iter().find(|s| s.name == name).unwrap()
}

#[test]
fn each_ends_well_before_the_next_and_all_before_the_first_start() {
    let d = project(2);
    let text = render(&up(&d, &Observed::default()));
    let text: String = text.lines().map(|l| l.replace(": not there", "") + "\n").collect();
    let want = "  1  create    Network p_default
  2  create    Volume VOLUME: an anonymous volume
  3  create    Container p-web-1 (after 1, 2)
  4  create    Container p-web-pre_start-0 (after 1, 3): before the first start
  5  start     Container p-web-pre_start-0 (after 4): before the first start
  6  complete? Container p-web-pre_start-0 (after 5): before the first start
  7  remove    Container p-web-pre_start-0 (after 6): before the first start
  8  create    Container p-web-pre_start-1 (after 1, 7): before the first start
  9  start     Container p-web-pre_start-1 (after 8): before the first start
 10  complete? Container p-web-pre_start-1 (after 9): before the first start
 11  remove    Container p-web-pre_start-1 (after 10): before the first start
 12  start     Container p-web-1 (after 3, 11)
 13  create    Volume VOLUME: an anonymous volume
 14  create    Container p-web-2 (after 1, 13)
 15  start     Container p-web-2 (after 11, 14)
";
    let hex = |w: &str| w.len() >= 64 && w.trim_end_matches(':').bytes().all(|b| b.is_ascii_hexdigit());
    let words = |l: &str| {
        let named = l
            .split(' ')
            .map(|w| if hex(w) { w.replace(w.trim_end_matches(':'), "VOLUME") } else { w.into() });
        named.collect::<Vec<String>>().join(" ") + "\n"
    };
    assert_eq!(text.lines().map(words).collect::<String>(), want);
}

#[test]
fn it_sees_the_first_containers_volumes_and_is_else_plain() {
    let d = project(1);
    let plan = up(&d, &Observed::default());
    let (web, step) = (made(&plan, "p-web-1"), made(&plan, "p-web-pre_start-0"));
    assert_eq!(step.argv, ["one"]);
    assert!(matches!(&step.mounts[0].source, MountSource::Volume { .. }));
    assert_eq!(step.mounts, web.mounts);
    assert!(step.cap_add.is_empty() && step.oneoff);
    let b: Vec<&str> = step.env.iter().map(|(_, v)| v.as_str()).collect();
    assert_eq!(b, ["service", "step"]);
    assert_eq!(step.labels["com.docker.compose.hook"], "pre_start");
    assert_ne!(step.endpoints[0].address, web.endpoints[0].address);
    assert_eq!(step.endpoints[0].names[0], "web");
    // What the service has is its own.
    let removed =
        plan.steps.iter().filter(|s| matches!(s.op, LocalOp::RemoveContainer { volumes: true, .. }));
    assert_eq!(removed.count(), 0);
}

#[test]
fn only_when_none_of_the_service_runs() {
    let first = up(&project(1), &Observed::default());
    let mut have = simulate(&Observed::default(), &first);
    assert_eq!(render(&up(&project(1), &have)), "nothing to do\n");
    assert!(!render(&up(&project(2), &have)).contains("pre_start"));
    let changed = {
        let mut d = project(1);
        let web = d.project.services.values_mut().next().unwrap();
        web.environment.insert("C".into(), None);
        d
    };
    assert!(render(&up(&changed, &have)).contains("pre_start-1"));
    for c in have.containers.values_mut() {
        c.state.status = ContainerStatus::Exited;
    }
    let again = render(&up(&project(1), &have));
    assert!(again.contains("pre_start-0") && !again.contains("p-web-2"), "{again}");
}

#[test]
fn what_failed_is_removed_before_the_next_try() {
    let d = project(1);
    let mut first = up(&d, &Observed::default());
    first.steps.truncate(6);
    let have = simulate(&Observed::default(), &first);
    assert_eq!(have.containers.len(), 2);
    let text = render(&up(&d, &have));
    assert!(text.contains("remove    Container p-web-pre_start-0: it failed the last time"), "{text}");
}

#[test]
fn start_does_it_too_and_restart_does_not() {
    let d = project(2);
    let mut have = simulate(&Observed::default(), &up(&d, &Observed::default()));
    let act = |have: &Observed, intent: fn(ScopeOptions) -> Intent| {
        let plan = plan(&d.project.name, Some(&d), have, &intent(ScopeOptions::default()))?;
        Ok::<_, PlanError>(render(&plan))
    };
    let all: Vec<_> = have.containers.keys().cloned().collect();
    have.containers.get_mut(&all[0]).unwrap().state.status = ContainerStatus::Exited;
    let text = act(&have, Intent::Start).unwrap();
    assert!(text.contains("start") && !text.contains("pre_start"), "one of them runs: {text}");
    have.containers.get_mut(&all[1]).unwrap().state.status = ContainerStatus::Exited;
    assert!(!act(&have, Intent::Restart).unwrap().contains("pre_start"));
    let want = "  1  create    Container p-web-pre_start-0: before the first start
  2  start     Container p-web-pre_start-0 (after 1): before the first start
  3  complete? Container p-web-pre_start-0 (after 2): before the first start
  4  remove    Container p-web-pre_start-0 (after 3): before the first start
  5  create    Container p-web-pre_start-1 (after 4): before the first start
  6  start     Container p-web-pre_start-1 (after 5): before the first start
  7  complete? Container p-web-pre_start-1 (after 6): before the first start
  8  remove    Container p-web-pre_start-1 (after 7): before the first start
  9  start     Container p-web-1 (after 8): start
 10  start     Container p-web-2 (after 8): start
";
    assert_eq!(act(&have, Intent::Start).unwrap(), want);
    // How the file has the network by now is `up`'s affair.
    have.networks.values_mut().for_each(|n| n.config_hash = "another".into());
    assert_eq!(act(&have, Intent::Start).unwrap(), want);
    have.networks.clear();
    let e = act(&have, Intent::Start).unwrap_err();
    assert_eq!(e.to_string(), "network p_default isn't there: `up` makes it");
}
