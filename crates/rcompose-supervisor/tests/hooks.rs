//! `post_start` and `pre_stop`, on a machine that isn't there.

mod rig;

use std::collections::BTreeMap;

use rcompose_engine::StepEvent;
use rcompose_model::Hook;
use rcompose_plan::{ContainerSpec, LocalOp};
use rcompose_supervisor::{ProjectMeta, Request, Response};
use rcompose_testkit::{FakeProcess, container_spec, plan_of};
use rig::rig;

fn hooks(names: &[&str]) -> Vec<Hook> {
    names.iter().map(|n| Hook { command: vec![(*n).to_owned()], ..Hook::default() }).collect()
}

/// What is told while these steps are carried out one after the other, and what was done.
fn told(spec: &ContainerSpec, ops: Vec<LocalOp>) -> (Vec<String>, Vec<String>) {
    let commands = [("good", ("one\ntwo", 0)), ("bad", ("10%\r20%\nwhy not\n", 3)), ("last", ("", 0))];
    let commands: BTreeMap<String, (String, i32)> =
        commands.into_iter().map(|(n, (says, code))| (n.to_owned(), (says.to_owned(), code))).collect();
    let rig = rig(vec![(spec.id.clone(), FakeProcess { commands, ..FakeProcess::default() })]);
    let create = LocalOp::CreateContainer { spec: Box::new(spec.clone()), replaces: None };
    let start = LocalOp::StartContainer { id: spec.id.clone() };
    let ops = [create, start].into_iter().chain(ops).enumerate();
    let steps = ops.map(|(i, op)| (op, (0..i).rev().take(1).collect())).collect();
    let mut client = rig.client();
    let plan = plan_of(0, steps);
    client.send(&Request::Apply { plan, meta: ProjectMeta::default(), attach: None }).unwrap();
    let mut out = Vec::new();
    loop {
        match client.recv().unwrap().unwrap().0 {
            Response::Step { event: StepEvent::Output { text, .. } } => out.push(text),
            Response::Step { event: StepEvent::Note { text, .. } } => out.push(format!("note: {text}")),
            Response::Step { event: StepEvent::Failed { failure, .. } } => {
                out.push(format!("failed: {}; {}", failure.message, failure.detail.join(";")));
            }
            Response::Applied { .. } => break,
            _ => {}
        }
    }
    let deeds = rig.deeds();
    client
        .send(&Request::Signal { container: spec.id.clone(), signal: rcompose_model::Signal::KILL })
        .unwrap();
    client.recv().unwrap();
    drop(client);
    rig.ends();
    (out, deeds)
}

#[test]
fn commands_run_in_order_after_the_start_and_before_the_stop() {
    let mut spec = container_spec("web");
    (spec.post_start, spec.pre_stop) = (hooks(&["good", "last"]), hooks(&["last", "good"]));
    let (out, deeds) = told(&spec, vec![LocalOp::StopContainer { id: spec.id.clone(), grace: None }]);
    assert_eq!(out, ["one", "two", "one", "two"]);
    assert_eq!(deeds[..7], ["create", "start", "good", "last", "last", "good", "SIGTERM"]);
}

#[test]
fn what_fails_after_the_start_fails_the_step() {
    let mut spec = container_spec("web");
    spec.post_start = hooks(&["bad", "good"]);
    let (out, deeds) = told(&spec, Vec::new());
    let failed = "failed: service \"web\": post_start[0]: the command exited with status 3; it printed:;  20%;  why not";
    assert_eq!(out, ["20%", "why not", failed]);
    assert_eq!(deeds, ["create", "start", "bad"]);
}

#[test]
fn what_fails_before_the_stop_is_told_and_the_container_stops() {
    let mut spec = container_spec("web");
    spec.pre_stop = hooks(&["nothing", "good"]);
    let (out, deeds) = told(&spec, vec![LocalOp::StopContainer { id: spec.id.clone(), grace: None }]);
    assert_eq!(out, ["note: service \"web\": pre_stop[0]: nothing: not found"]);
    assert_eq!(deeds[..3], ["create", "start", "SIGTERM"]);
}
