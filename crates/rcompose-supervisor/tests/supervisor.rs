//! The supervisor on a machine that isn't there; everything done is written down.

mod rig;

use std::path::Path;

use rcompose_engine::{StepEvent, StepFailure};
use rcompose_model::RestartPolicy;
use rcompose_plan::{ContainerId, ContainerSpec, HealthSpec, LocalOp, Plan, WaitCondition};
use rcompose_supervisor::{Client, LifeEvent, LogReader, ProjectMeta, Request, Response};
use rcompose_testkit::{FakeProcess, container_spec, plan_of};
use rig::rig;

fn apply(client: &mut Client, plan: Plan) -> (bool, Vec<StepFailure>) {
    client.send(&Request::Apply { plan, meta: ProjectMeta::default(), attach: None }).unwrap();
    let mut failures = Vec::new();
    loop {
        match client.recv().unwrap().unwrap().0 {
            Response::Step { event: StepEvent::Failed { failure, .. } } => failures.push(failure),
            Response::Step { .. } => {}
            Response::Applied { success, .. } => return (success, failures),
            other => panic!("{other:?}"),
        }
    }
}

fn start(spec: &ContainerSpec) -> Vec<(LocalOp, Vec<usize>)> {
    vec![
        (LocalOp::CreateContainer { spec: Box::new(spec.clone()), replaces: None }, vec![]),
        (LocalOp::StartContainer { id: spec.id.clone() }, vec![0]),
    ]
}

fn wait(spec: &ContainerSpec, condition: WaitCondition) -> (LocalOp, Vec<usize>) {
    (LocalOp::WaitFor { id: spec.id.clone(), condition, timeout: None }, vec![1])
}

fn log_lines(dir: &Path, id: &ContainerId) -> Vec<String> {
    let mut reader = LogReader::open(&dir.join(id.short())).unwrap().unwrap();
    let mut out = Vec::new();
    while let Some(e) = reader.next_entry().unwrap() {
        out.push(String::from_utf8(e.text).unwrap());
    }
    out
}

#[test]
fn a_one_shot_is_waited_for_and_its_log_is_complete() {
    let spec = container_spec("job");
    let says = "one\ntwo\nno newline".to_owned();
    let rig = rig(vec![(spec.id.clone(), FakeProcess { exits: Some(0), says, ..FakeProcess::default() })]);
    let mut steps = start(&spec);
    steps.push(wait(&spec, WaitCondition::CompletedSuccessfully));
    let mut client = rig.client();
    assert_eq!(apply(&mut client, plan_of(0, steps)), (true, vec![]));
    assert_eq!(rig.deeds(), ["create", "start", "forget", "release"]);
    assert_eq!(log_lines(rig.dir.path(), &spec.id), ["one", "two", "no newline"]);
    drop(client);
    rig.ends();
}

#[test]
fn a_failed_one_shot_fails_its_wait_and_shows_its_last_lines() {
    let spec = container_spec("job");
    let process = FakeProcess { exits: Some(3), says: "boom\n".into(), ..FakeProcess::default() };
    let rig = rig(vec![(spec.id.clone(), process)]);
    let mut steps = start(&spec);
    steps.push(wait(&spec, WaitCondition::CompletedSuccessfully));
    let (success, failures) = apply(&mut rig.client(), plan_of(0, steps));
    assert!(!success);
    assert_eq!(failures[0].message, "service \"job\" didn't complete successfully: exit 3");
    assert_eq!(failures[0].detail, ["the last log lines:", "  boom"]);
    rig.ends();
}

#[test]
fn a_start_that_fails_takes_its_dependants_with_it() {
    let spec = container_spec("web");
    let process = FakeProcess { fails: Some("no such command".into()), ..FakeProcess::default() };
    let rig = rig(vec![(spec.id.clone(), process)]);
    let mut steps = start(&spec);
    steps.push(wait(&spec, WaitCondition::Started));
    let (success, failures) = apply(&mut rig.client(), plan_of(0, steps));
    assert!(!success);
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].message, "no such command");
    rig.ends();
}

fn health(retries: u32) -> HealthSpec {
    let second = std::time::Duration::from_millis(20);
    HealthSpec {
        argv: vec!["probe".into()],
        interval: second,
        timeout: second,
        retries,
        start_period: std::time::Duration::ZERO,
        start_interval: second,
    }
}

#[test]
fn the_first_success_makes_healthy() {
    let spec = ContainerSpec { health: Some(health(3)), ..container_spec("db") };
    let process = FakeProcess { probes: [1, 1, 0].into(), ..FakeProcess::default() };
    let rig = rig(vec![(spec.id.clone(), process)]);
    let mut steps = start(&spec);
    steps.push(wait(&spec, WaitCondition::Healthy));
    let mut client = rig.client();
    assert_eq!(apply(&mut client, plan_of(0, steps)), (true, vec![]));
    let stop = vec![(LocalOp::StopContainer { id: spec.id.clone(), grace: None }, vec![])];
    assert!(apply(&mut client, plan_of(2, stop)).0);
    drop(client);
    rig.ends();
}

#[test]
fn too_many_failures_make_unhealthy_and_say_why() {
    let spec = ContainerSpec { health: Some(health(2)), ..container_spec("db") };
    let process = FakeProcess { probes: [1].into(), ..FakeProcess::default() };
    let rig = rig(vec![(spec.id.clone(), process)]);
    let mut steps = start(&spec);
    steps.push(wait(&spec, WaitCondition::Healthy));
    let mut client = rig.client();
    let (success, failures) = apply(&mut client, plan_of(0, steps));
    assert!(!success);
    assert_eq!(failures[0].message, "container test-db-1 is unhealthy");
    assert_eq!(failures[0].detail, ["the last health probe ended with 1:", "  probe says 1"]);
    let stop = vec![(LocalOp::StopContainer { id: spec.id.clone(), grace: None }, vec![])];
    assert!(apply(&mut client, plan_of(2, stop)).0);
    drop(client);
    rig.ends();
}

#[test]
fn one_without_a_handler_is_killed_at_once() {
    let spec = container_spec("deaf");
    let rig = rig(vec![(spec.id.clone(), FakeProcess { deaf: true, ..FakeProcess::default() })]);
    let mut client = rig.client();
    assert!(apply(&mut client, plan_of(0, start(&spec))).0);
    let begun = std::time::Instant::now();
    let stop = vec![(LocalOp::StopContainer { id: spec.id.clone(), grace: None }, vec![])];
    assert!(apply(&mut client, plan_of(2, stop)).0);
    assert!(begun.elapsed() < spec.stop_grace);
    assert_eq!(rig.deeds()[2..4], ["SIGTERM", "SIGKILL"]);
    drop(client);
    rig.ends();
}

#[test]
fn a_stubborn_one_is_killed_after_its_grace_time() {
    let spec = container_spec("stubborn");
    let rig = rig(vec![(spec.id.clone(), FakeProcess { stubborn: true, ..FakeProcess::default() })]);
    let mut client = rig.client();
    assert!(apply(&mut client, plan_of(0, start(&spec))).0);
    let grace = Some(std::time::Duration::from_millis(30));
    let stop = vec![(LocalOp::StopContainer { id: spec.id.clone(), grace }, vec![])];
    assert!(apply(&mut client, plan_of(2, stop)).0);
    assert_eq!(rig.deeds()[2..4], ["SIGTERM", "SIGKILL"]);
    drop(client);
    rig.ends();
}

#[test]
fn an_old_plan_is_refused() {
    let spec = container_spec("web");
    let rig = rig(vec![(spec.id.clone(), FakeProcess { exits: Some(0), ..FakeProcess::default() })]);
    let mut client = rig.client();
    assert!(apply(&mut client, plan_of(0, start(&spec))).0);
    let request = Request::Apply { plan: plan_of(0, vec![]), meta: ProjectMeta::default(), attach: None };
    client.send(&request).unwrap();
    assert_eq!(client.recv().unwrap().unwrap().0, Response::Stale);
    drop(client);
    rig.ends();
}

#[test]
fn on_failure_restarts_so_often_and_followers_hear_of_it() {
    let spec = ContainerSpec { restart: RestartPolicy::OnFailure(Some(2)), ..container_spec("flaky") };
    let process = FakeProcess { exits: Some(1), says: "try\n".into(), ..FakeProcess::default() };
    let rig = rig(vec![(spec.id.clone(), process)]);
    // Who only follows does not keep an idle supervisor alive: the other client comes first.
    let mut client = rig.client();
    let mut follower = rig.client();
    follower.send(&Request::Follow { containers: vec![], logs: true, life: true }).unwrap();
    assert_eq!(follower.recv().unwrap().unwrap().0, Response::Following);
    let mut steps = start(&spec);
    steps.push(wait(&spec, WaitCondition::Ended));
    assert!(apply(&mut client, plan_of(0, steps)).0);
    drop(client);
    let dir = rig.ends();
    assert_eq!(log_lines(dir.path(), &spec.id), ["try", "try", "try"]);
    let mut ends = 0;
    let mut lines = 0;
    while let Ok(Some((response, _))) = follower.recv() {
        match response {
            Response::Log { text, .. } => lines += usize::from(text == "try"),
            Response::Life { event: LifeEvent::Exited { code, .. }, .. } => ends += code,
            _ => {}
        }
    }
    assert_eq!((lines, ends), (3, 3));
}
