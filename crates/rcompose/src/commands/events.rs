//! `events`: what happens in containers' lives, until it is interrupted.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;

use rcompose_model::ProjectName;
use rcompose_plan::{ContainerId, ObservedContainer};
use rcompose_supervisor::{Client, LifeEvent, Request, Response};
use rustix::fs::inotify;
use serde_json::{Map, Value, json};

use super::containers::must_exist;
use crate::args::EventsArgs;
use crate::context::{Context, print};
use crate::failure::Failure;
use crate::render::time;

pub(crate) fn run(cx: &Context, args: EventsArgs) -> Result<u8, Failure> {
    let project = cx.project_name()?;
    for service in &args.services {
        must_exist(cx, service)?;
    }
    let mut watch = Watch { cx, known: recorded(cx, &project)?, project, args };
    loop {
        let mut client = Client::new(supervisor(cx, &watch.project)?);
        client.send(&Request::Follow { containers: Vec::new(), logs: false, life: true })?;
        watch.follow(&mut client)?;
        // Nothing of the project runs any more; it may be started again.
    }
}

/// Connects to the project's supervisor, as soon as there is one.
fn supervisor(cx: &Context, project: &ProjectName) -> Result<UnixStream, Failure> {
    let dir = cx.dirs.project_run(project);
    let parent = dir.parent().unwrap_or(&dir);
    let failed = |e: rustix::io::Errno| {
        Failure::io(format_args!("watch {}", parent.display()), &std::io::Error::from(e))
    };
    loop {
        // The watches come first: what appears between the look and the wait is noticed.
        std::fs::create_dir_all(parent)
            .map_err(|e| Failure::io(format_args!("make the directory {}", parent.display()), &e))?;
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).map_err(failed)?;
        inotify::add_watch(&watch, parent, inotify::WatchFlags::CREATE).map_err(failed)?;
        match inotify::add_watch(&watch, &dir, inotify::WatchFlags::CREATE) {
            Ok(_) | Err(rustix::io::Errno::NOENT) => {}
            Err(e) => return Err(failed(e)),
        }
        if let Some(stream) = cx.connect_existing(project)? {
            return Ok(stream);
        }
        let mut news = [0u8; 4096];
        match rustix::io::read(&watch, &mut news[..]) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(failed(e)),
        }
    }
}

type Known = BTreeMap<ContainerId, ObservedContainer>;

fn recorded(cx: &Context, project: &ProjectName) -> Result<Known, Failure> {
    Ok(cx.record(project)?.map(|r| r.observed.containers).unwrap_or_default())
}

struct Watch<'a> {
    cx: &'a Context,
    project: ProjectName,
    args: EventsArgs,
    /// Containers whose making was told, or that were there from the start.
    known: Known,
}

impl Watch<'_> {
    /// Until the supervisor ends.
    fn follow(&mut self, client: &mut Client) -> Result<(), Failure> {
        while let Some((response, _)) = client.recv()? {
            match response {
                Response::Following => self.catch_up()?,
                Response::Life { container, at, event, .. } => self.life(&container, at, &event)?,
                _ => {}
            }
        }
        self.catch_up()
    }

    /// A supervisor that had nothing to look after made and removed containers before we were connected.
    fn catch_up(&mut self) -> Result<(), Failure> {
        let now = recorded(self.cx, &self.project)?;
        let gone: Vec<ContainerId> = self.known.keys().filter(|id| !now.contains_key(*id)).cloned().collect();
        for id in gone {
            self.life(&id, time::now(), &LifeEvent::Removed)?;
        }
        for (id, c) in now {
            if !self.known.contains_key(&id) {
                self.tell(&c, c.state.created_at, &LifeEvent::Created)?;
                self.known.insert(id, c);
            }
        }
        Ok(())
    }

    fn life(&mut self, id: &ContainerId, at: i64, event: &LifeEvent) -> Result<(), Failure> {
        if !self.known.contains_key(id) {
            self.catch_up()?;
            if *event == LifeEvent::Created {
                return Ok(());
            }
        } else if *event == LifeEvent::Created {
            return Ok(());
        }
        let Some(c) = self.known.get(id) else { return Ok(()) };
        self.tell(c, at, event)?;
        if *event == LifeEvent::Removed {
            self.known.remove(id);
        }
        Ok(())
    }

    fn tell(&self, about: &ObservedContainer, at: i64, event: &LifeEvent) -> Result<(), Failure> {
        let service = about.spec.service.as_str();
        if !self.args.services.is_empty() && !self.args.services.iter().any(|s| s == service) {
            return Ok(());
        }
        let line = Line { about, at };
        for (action, code) in actions(event) {
            print(&if self.args.json { line.json(&action, code) } else { line.text(&action, code) })?;
        }
        Ok(())
    }
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
    about: &'a ObservedContainer,
    at: i64,
}

impl Line<'_> {
    fn attributes(&self, code: Option<i32>) -> Vec<(&'static str, String)> {
        let spec = &self.about.spec;
        let mut out = Vec::new();
        out.extend(code.map(|c| ("exitCode", c.to_string())));
        out.push(("image", spec.image.reference.clone()));
        out.push(("name", spec.name.clone()));
        out
    }

    fn json(&self, action: &str, code: Option<i32>) -> String {
        let attributes: Map<String, Value> =
            self.attributes(code).into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
        let line = json!({
            "action": action,
            "attributes": attributes,
            "id": self.about.spec.id.as_str(),
            "service": self.about.spec.service.as_str(),
            "time": time::timestamp(self.at),
            "type": "container",
        });
        format!("{line}\n")
    }

    fn text(&self, action: &str, code: Option<i32>) -> String {
        let attributes: Vec<String> =
            self.attributes(code).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        let at = time::event_time(self.at);
        format!("{at} container {action} {} ({})\n", self.about.spec.id, attributes.join(", "))
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
    }
}
