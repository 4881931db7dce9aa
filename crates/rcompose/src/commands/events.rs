//! `events`: what happens in containers' lives, until it is interrupted or nothing of the project runs.

use std::collections::BTreeMap;

use rcompose_model::ProjectName;
use rcompose_plan::{ContainerId, ObservedContainer};
use rcompose_supervisor::{Client, LifeEvent, Request, Response};
use serde_json::{Map, Value, json};

use super::containers;
use crate::args::EventsArgs;
use crate::context::{Context, print};
use crate::failure::Failure;
use crate::render::time;

pub(crate) fn run(cx: &Context, args: EventsArgs) -> Result<u8, Failure> {
    let project = cx.project_name()?;
    let Some(stream) = cx.connect_existing(&project)? else { return Ok(0) };
    let mut client = Client::new(stream);
    client.send(&Request::Follow { containers: Vec::new(), logs: false, life: true })?;
    // Names and images of containers are kept: of a removed one there is no record any more.
    let mut known: BTreeMap<ContainerId, ObservedContainer> = BTreeMap::new();
    let all = containers::recorded(cx, &project, &[])?;
    known.extend(all.into_iter().map(|c| (c.spec.id.clone(), c)));
    while let Some((response, _)) = client.recv()? {
        let Response::Life { container, service, at, event } = response else { continue };
        if !known.contains_key(&container) {
            learn(cx, &project, &mut known)?;
        }
        if args.services.is_empty() || args.services.contains(&service) {
            let line = Line { id: &container, service: &service, at, about: known.get(&container) };
            for (action, code) in actions(&event) {
                print(&if args.json { line.json(&action, code) } else { line.text(&action, code) })?;
            }
        }
        if event == LifeEvent::Removed {
            known.remove(&container);
        }
    }
    Ok(0)
}

fn learn(
    cx: &Context,
    project: &ProjectName,
    known: &mut BTreeMap<ContainerId, ObservedContainer>,
) -> Result<(), Failure> {
    if let Some(record) = cx.record(project)? {
        known.extend(record.observed.containers);
    }
    Ok(())
}

/// Docker's words for an event.
fn actions(event: &LifeEvent) -> Vec<(String, Option<i32>)> {
    match event {
        LifeEvent::Created => vec![("create".into(), None)],
        LifeEvent::Started => vec![("start".into(), None)],
        LifeEvent::Exited { code, stopped: true, .. } => {
            vec![("die".into(), Some(*code)), ("stop".into(), None)]
        }
        LifeEvent::Exited { code, .. } => vec![("die".into(), Some(*code))],
        LifeEvent::Health { status } => vec![(format!("health_status: {status}"), None)],
        LifeEvent::Paused => vec![("pause".into(), None)],
        LifeEvent::Unpaused => vec![("unpause".into(), None)],
        LifeEvent::Removed => vec![("destroy".into(), None)],
    }
}

struct Line<'a> {
    id: &'a ContainerId,
    service: &'a str,
    at: i64,
    about: Option<&'a ObservedContainer>,
}

impl Line<'_> {
    fn attributes(&self, code: Option<i32>) -> Vec<(&'static str, String)> {
        let mut out = Vec::new();
        out.extend(code.map(|c| ("exitCode", c.to_string())));
        if let Some(c) = self.about {
            out.push(("image", c.spec.image.reference.clone()));
            out.push(("name", c.spec.name.clone()));
        }
        out
    }

    fn json(&self, action: &str, code: Option<i32>) -> String {
        let attributes: Map<String, Value> =
            self.attributes(code).into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
        let line = json!({
            "action": action,
            "attributes": attributes,
            "id": self.id.as_str(),
            "service": self.service,
            "time": time::timestamp(self.at),
            "type": "container",
        });
        format!("{line}\n")
    }

    fn text(&self, action: &str, code: Option<i32>) -> String {
        let attributes: Vec<String> =
            self.attributes(code).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        let at = time::event_time(self.at);
        format!("{at} container {action} {} ({})\n", self.id, attributes.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_a_death_and_a_stop() {
        let words = |e| actions(&e).into_iter().map(|(a, _)| a).collect::<Vec<_>>();
        let exited = |stopped| LifeEvent::Exited { code: 3, restarting: false, stopped };
        assert_eq!(words(exited(true)), ["die", "stop"]);
        assert_eq!(words(exited(false)), ["die"]);
        let id = ContainerId::derive(&["x"]);
        let line = Line { id: &id, service: "web", at: 0, about: None };
        let json: Value = serde_json::from_str(&line.json("die", Some(3))).unwrap();
        assert_eq!((&json["action"], &json["attributes"]["exitCode"]), (&"die".into(), &"3".into()));
    }
}
