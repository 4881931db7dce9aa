//! `version`.

use crate::args::VersionArgs;
use crate::context::{Context, print};
use crate::failure::Failure;

pub(crate) fn run(_: &Context, args: VersionArgs) -> Result<u8, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let text = match args.format.as_str() {
        _ if args.short => format!("{version}\n"),
        "json" => format!("{}\n", serde_json::json!({ "version": version })),
        _ => format!("rcompose version {version}\n"),
    };
    print(&text)?;
    Ok(0)
}
