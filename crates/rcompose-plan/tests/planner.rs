//! Plans of small projects, carried out on paper.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use proptest::prelude::*;
use rcompose_model::{
    Dependency, DependencyCondition, HealthTest, Healthcheck, Mount, MountKind, Origin, PortMapping, Service,
    ServiceName, VolumeDef, VolumeOptions,
};
use rcompose_plan::{
    BoundPort, CreateOptions, Desired, DownOptions, Intent, LocalOp, Observed, Plan, RecreatePolicy,
    RunOptions, UpOptions, plan, render,
};
use rcompose_testkit::{desired, service, simulate};

fn depends(s: &mut Service, on: &str, condition: DependencyCondition, restart: bool) {
    let d = Dependency { condition, restart, required: true, origin: Origin::default() };
    s.depends_on.insert(ServiceName::new(on).unwrap(), d);
}

fn with_health(mut s: Service) -> Service {
    let test = Some(HealthTest::Shell("check".into()));
    s.healthcheck = Some(Healthcheck { test, ..Healthcheck::default() });
    s
}

fn app_and_db() -> Desired {
    let mut db = with_health(service("db"));
    db.mounts.push(Mount {
        kind: MountKind::Volume { key: "data".into(), options: VolumeOptions::default() },
        target: "/data".into(),
        read_only: false,
    });
    let mut app = service("app");
    depends(&mut app, "db", DependencyCondition::ServiceHealthy, false);
    let mut d = desired("p", vec![app, db]);
    let data = VolumeDef { name: "p_data".into(), ..VolumeDef::default() };
    d.project.volumes.insert("data".into(), data);
    d
}

fn make(d: &Desired, have: &Observed, intent: &Intent) -> Plan {
    plan(&d.project.name, Some(d), have, intent).unwrap()
}

fn up() -> Intent {
    Intent::Up(UpOptions::default())
}

#[test]
fn a_first_up_in_order() {
    let d = app_and_db();
    let text = render(&make(&d, &Observed::default(), &up()));
    let want = "  1  create    Network p_default: not there
  2  create    Volume p_data: not there
  3  create    Container p-db-1 (after 1, 2): not there
  4  start     Container p-db-1 (after 3): not there
  5  create    Container p-app-1 (after 1): not there
  6  healthy?  Container p-db-1 (after 4): its dependants need it healthy
  7  start     Container p-app-1 (after 5, 6): not there
";
    assert_eq!(text, want);
}

#[test]
fn a_second_up_does_nothing() {
    let d = app_and_db();
    let first = make(&d, &Observed::default(), &up());
    let have = simulate(&Observed::default(), &first);
    assert_eq!(render(&make(&d, &have, &up())), "nothing to do\n");
}

#[test]
fn a_changed_service_is_made_anew_and_its_dependant_is_kept() {
    let mut d = app_and_db();
    let have = simulate(&Observed::default(), &make(&d, &Observed::default(), &up()));
    let db = d.project.services.get_mut("db").unwrap();
    db.environment.insert("A".into(), Some("1".into()));
    let text = render(&make(&d, &have, &up()));
    let want = "  1  stop      Container p-db-1: its configuration changed
  2  remove    Container p-db-1 (after 1): its configuration changed
  3  create    Container p-db-1 (after 2): its configuration changed
  4  start     Container p-db-1 (after 3): its configuration changed
";
    assert_eq!(text, want);
    d.project.services.get_mut("app").unwrap().depends_on.values_mut().for_each(|x| x.restart = true);
    let text = render(&make(&d, &have, &up()));
    assert!(text.contains("stop      Container p-app-1: a dependency was recreated"), "{text}");
}

#[test]
fn a_recreated_container_keeps_its_address_and_volumes() {
    let mut d = app_and_db();
    d.images.values_mut().for_each(|i| i.defaults.volumes = vec!["/cache".into()]);
    let have = simulate(&Observed::default(), &make(&d, &Observed::default(), &up()));
    let force = CreateOptions { recreate: RecreatePolicy::Force, ..CreateOptions::default() };
    let again = make(&d, &have, &Intent::Up(UpOptions { create: force, ..UpOptions::default() }));
    let after = simulate(&have, &again);
    let of = |o: &Observed| -> BTreeMap<String, (String, String)> {
        let facts = |c: &rcompose_plan::ObservedContainer| {
            (c.spec.endpoints[0].address.to_string(), format!("{:?}", c.spec.mounts))
        };
        o.containers.values().map(|c| (c.spec.name.clone(), facts(c))).collect()
    };
    assert_eq!(of(&have), of(&after));
    assert_eq!(have.volumes, after.volumes);
}

#[test]
fn down_v_takes_an_anonymous_volume_whose_container_is_gone() {
    let mut d = app_and_db();
    let db = d.project.services.get_mut("db").unwrap();
    let kind = MountKind::Anonymous { options: VolumeOptions::default() };
    db.mounts.push(Mount { kind, target: "/anonymous".into(), read_only: false });
    let mut have = simulate(&Observed::default(), &make(&d, &Observed::default(), &up()));
    let down = |volumes| Intent::Down(DownOptions { volumes, ..DownOptions::default() });
    let of_volumes = |have: &Observed, volumes| {
        let plan = make(&d, have, &down(volumes));
        let is = |op: &LocalOp| matches!(op, LocalOp::RemoveVolume { .. });
        plan.steps.iter().filter(|s| is(&s.op)).count()
    };
    assert_eq!(of_volumes(&have, true), 1, "the anonymous one goes with its container");
    have.containers.retain(|_, c| c.spec.service.as_str() != "db");
    assert_eq!(of_volumes(&have, true), 2);
    assert_eq!(of_volumes(&have, false), 0);
}

#[test]
fn down_takes_dependants_first_and_leaves_nothing() {
    let d = app_and_db();
    let have = simulate(&Observed::default(), &make(&d, &Observed::default(), &up()));
    let all = Intent::Down(DownOptions { volumes: true, ..DownOptions::default() });
    for desired in [Some(&d), None] {
        let p = plan(&d.project.name, desired, &have, &all).unwrap();
        let want = "  1  stop      Container p-app-1: down
  2  remove    Container p-app-1 (after 1): down
  3  stop      Container p-db-1 (after 2): down
  4  remove    Container p-db-1 (after 3): down
  5  remove    Network p_default (after 2, 4): down
  6  remove    Volume p_data (after 2, 4): down -v
";
        assert_eq!(render(&p), want);
        let left = simulate(&have, &p);
        assert!(left.containers.is_empty() && left.networks.is_empty() && left.volumes.is_empty());
    }
}

#[test]
fn run_brings_its_dependencies_and_no_ports() {
    let d = app_and_db();
    let options = RunOptions {
        service: ServiceName::new("app").unwrap(),
        command: vec!["test".into(), "-k".into()],
        entrypoint: None,
        env: vec![("A".into(), Some("b".into()))],
        labels: BTreeMap::new(),
        user: None,
        workdir: None,
        name: None,
        publish: vec![],
        service_ports: false,
        use_aliases: false,
        volumes: vec![],
        cap_add: vec![],
        cap_drop: vec![],
        auto_remove: true,
        tty: false,
        interactive: false,
        slug: "0123456789ab".into(),
        create: CreateOptions::default(),
    };
    let p = make(&d, &Observed::default(), &Intent::Run(Box::new(options)));
    let spec = p
        .steps
        .iter()
        .find_map(|s| match &s.op {
            LocalOp::CreateContainer { spec, .. } if spec.oneoff => Some(spec),
            _ => None,
        })
        .unwrap();
    assert_eq!(spec.name, "p-app-run-0123456789ab");
    assert_eq!(spec.argv, ["test", "-k"]);
    assert!(spec.auto_remove && spec.ports.is_empty());
    assert!(!spec.endpoints[0].names.contains(&"app".to_owned()));
    assert!(render(&p).contains("healthy?  Container p-db-1"));
}

#[test]
fn scaling() {
    let d = app_and_db();
    let scale = |n| {
        let scale = BTreeMap::from([(ServiceName::new("app").unwrap(), n)]);
        Intent::Up(UpOptions { scale, ..UpOptions::default() })
    };
    let three = simulate(&Observed::default(), &make(&d, &Observed::default(), &scale(3)));
    let names: Vec<&str> = three.containers.values().map(|c| c.spec.name.as_str()).collect();
    assert_eq!(names.iter().filter(|n| n.starts_with("p-app-")).count(), 3);
    let one = make(&d, &three, &scale(1));
    assert_eq!(one.steps.len(), 4);
    assert!(render(&one).contains("remove    Container p-app-3"));
}

#[test]
fn a_port_is_given_up_before_another_service_takes_it() {
    let publishing = |name: &str, port: u16| {
        let mut s = service(name);
        s.ports.push(PortMapping { published: Some((port, port)), target: 80, ..PortMapping::default() });
        s
    };
    let d = desired("p", vec![publishing("a", 8001), publishing("b", 8002), publishing("c", 8003)]);
    let mut have = simulate(&Observed::default(), &make(&d, &Observed::default(), &up()));
    for c in have.containers.values_mut() {
        let p = &c.spec.ports[0];
        c.state.ports = vec![BoundPort {
            host_ip: Ipv4Addr::UNSPECIFIED.into(),
            host_port: p.host_port.unwrap().0,
            container_port: 80,
            protocol: p.protocol,
        }];
    }
    let d = desired("p", vec![publishing("a", 8002), publishing("b", 8001), publishing("new", 8003)]);
    let create = CreateOptions { remove_orphans: true, ..CreateOptions::default() };
    let text = render(&make(&d, &have, &Intent::Up(UpOptions { create, ..UpOptions::default() })));
    let want = "  1  stop      Container p-c-1: its service is no longer in the file
  2  remove    Container p-c-1 (after 1): its service is no longer in the file
  3  stop      Container p-b-1: its configuration changed
  4  remove    Container p-b-1 (after 3): its configuration changed
  5  stop      Container p-a-1: its configuration changed
  6  remove    Container p-a-1 (after 5): its configuration changed
  7  create    Container p-new-1: not there
  8  start     Container p-new-1 (after 1, 2, 7): not there
  9  create    Container p-b-1 (after 4): its configuration changed
 10  start     Container p-b-1 (after 5, 6, 9): its configuration changed
 11  create    Container p-a-1 (after 6): its configuration changed
 12  start     Container p-a-1 (after 3, 4, 11): its configuration changed
";
    assert_eq!(text, want);
}

#[test]
fn orphans_are_named_or_removed() {
    let d = app_and_db();
    let have = simulate(&Observed::default(), &make(&d, &Observed::default(), &up()));
    let smaller = desired("p", vec![service("other")]);
    let p = make(&smaller, &have, &up());
    assert!(p.warnings[0].starts_with("Found orphan containers (["), "{:?}", p.warnings);
    let create = CreateOptions { remove_orphans: true, ..CreateOptions::default() };
    let p = make(&smaller, &have, &Intent::Up(UpOptions { create, ..UpOptions::default() }));
    let after = simulate(&have, &p);
    assert_eq!(after.containers.len(), 1);
}

prop_compose! {
    fn projects()(edges in prop::collection::vec((0usize..8, 0usize..8, 0u8..3), 0..14), n in 1usize..8)
        -> Desired
    {
        let mut services: Vec<Service> = (0..n).map(|i| with_health(service(&format!("s{i}")))).collect();
        for (a, b, kind) in edges {
            // Only towards smaller numbers: no cycles.
            let (a, b) = (a.max(b), a.min(b));
            if a < n && a != b {
                let condition = match kind {
                    0 => DependencyCondition::ServiceStarted,
                    1 => DependencyCondition::ServiceHealthy,
                    _ => DependencyCondition::ServiceStarted,
                };
                depends(&mut services[a], &format!("s{b}"), condition, false);
            }
        }
        desired("p", services)
    }
}

proptest! {
    #[test]
    fn apply_then_plan_is_nothing_and_down_leaves_nothing(d in projects()) {
        let first = make(&d, &Observed::default(), &up());
        for (i, s) in first.steps.iter().enumerate() {
            prop_assert!(s.after.iter().chain(&s.after_any).all(|a| *a < i));
        }
        let have = simulate(&Observed::default(), &first);
        prop_assert!(make(&d, &have, &up()).is_empty());
        let gone = simulate(&have, &make(&d, &have, &Intent::Down(DownOptions::default())));
        prop_assert!(gone.containers.is_empty() && gone.networks.is_empty());
    }
}
