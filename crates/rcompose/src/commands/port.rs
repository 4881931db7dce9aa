//! `port`: where a container's port is on the host.

use super::containers;
use crate::args::PortArgs;
use crate::context::{Context, print};
use crate::failure::Failure;
use crate::render::ports;

pub(crate) fn run(cx: &Context, args: PortArgs) -> Result<u8, Failure> {
    let project = cx.project_name()?;
    let container = containers::running(cx, &project, &args.service, args.index)?;
    let protocol = args.protocol.to_ascii_lowercase();
    let bound = container
        .state
        .ports
        .iter()
        .find(|p| p.container_port == args.private_port && p.protocol.as_str() == protocol);
    match bound {
        Some(p) => print(&format!("{}\n", ports::join(p.host_ip, &p.host_port.to_string())))?,
        None => {
            return Err(Failure::user(format!(
                "no port {}/{protocol} for container {}",
                args.private_port, container.spec.name
            )));
        }
    }
    Ok(0)
}
