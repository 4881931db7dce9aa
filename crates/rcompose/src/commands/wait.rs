//! `wait`: until containers of services end; the status is that of the last one that ended.

use std::collections::BTreeMap;

use rcompose_plan::{ContainerId, ContainerStatus, DownOptions, Intent};
use rcompose_supervisor::{Client, LifeEvent, Request, Response};

use super::common::project;
use crate::apply::apply;
use crate::args::WaitArgs;
use crate::context::{Context, print, service_names};
use crate::failure::{Failure, status};

pub(crate) fn run(cx: &Context, args: WaitArgs) -> Result<u8, Failure> {
    let (name, desired) = project(cx, &args.services)?;
    let services = service_names(&args.services)?;
    // The supervisor first: what ends after the look at the records is told.
    let client = match cx.connect_existing(&name)? {
        Some(stream) => {
            let mut client = Client::new(stream);
            let sent = client.send(&Request::Follow { containers: Vec::new(), logs: false, life: true });
            // One that ends just now has nothing left to look after: the records say it all.
            (sent.is_ok() && until_following(&mut client).is_ok()).then_some(client)
        }
        None => None,
    };
    let record = cx.record(&name)?;
    let mut open: BTreeMap<ContainerId, String> = BTreeMap::new();
    let mut code = 0;
    for service in &services {
        let mut found = false;
        for (id, c) in record.iter().flat_map(|r| &r.observed.containers) {
            if c.spec.service != *service || c.spec.oneoff {
                continue;
            }
            found = true;
            if matches!(c.state.status, ContainerStatus::Exited | ContainerStatus::Created) {
                code = ended(&c.spec.name, c.state.exit_code.unwrap_or(0))?;
            } else {
                open.insert(id.clone(), c.spec.name.clone());
            }
        }
        if !found {
            return Err(Failure::user(format!("no containers for service \"{service}\"")));
        }
    }
    let any_ended = |open: &BTreeMap<_, _>| args.down_project && open.len() < services.len();
    if let Some(mut client) = client {
        while !open.is_empty() && !any_ended(&open) {
            let Some((response, _)) = client.recv()? else { break };
            let Response::Life { container, event, .. } = response else { continue };
            let exit = match event {
                LifeEvent::Exited { code, restarting: false, .. } => code,
                LifeEvent::Removed => 137,
                _ => continue,
            };
            if let Some(name) = open.remove(&container) {
                code = ended(&name, exit)?;
            }
        }
    }
    if args.down_project {
        let intent = Intent::Down(DownOptions { remove_orphans: true, ..DownOptions::default() });
        apply(cx, &name, desired.as_ref(), &intent, None)?.ok()?;
    }
    Ok(code)
}

fn ended(name: &str, code: i32) -> Result<u8, Failure> {
    print(&format!("container \"{name}\" exited with status code {code}\n"))?;
    Ok(status(code))
}

/// What happens from here on is told.
pub(crate) fn until_following(client: &mut Client) -> Result<(), Failure> {
    while let Some((response, _)) = client.recv()? {
        match response {
            Response::Following => return Ok(()),
            Response::Refused { failure } => return Err(failure.into()),
            _ => {}
        }
    }
    Err(Failure::new(rcompose_engine::FailureKind::Internal, "the project's supervisor ended"))
}
