//! `ls`: the projects that have containers.

use std::collections::BTreeMap;

use serde_json::json;

use crate::args::LsArgs;
use crate::context::{Context, print};
use crate::failure::Failure;
use crate::render::table::Table;
use crate::render::template;
use crate::render::time::state_word;

pub(crate) fn run(cx: &Context, args: LsArgs) -> Result<u8, Failure> {
    let mut wanted = Vec::new();
    for filter in &args.filter {
        match filter.split_once('=') {
            Some(("name", value)) => wanted.push(value),
            _ => {
                return Err(
                    Failure::user(format!("unknown filter {filter:?}")).hint("`ls` filters by name=…")
                );
            }
        }
    }
    let mut rows = Vec::new();
    for name in rcompose_machine::list_projects(&cx.dirs)? {
        if !wanted.is_empty() && !wanted.iter().any(|w| name.as_str().contains(w)) {
            continue;
        }
        let Some(record) = cx.record(&name)? else { continue };
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        for c in record.observed.containers.values().filter(|c| !c.spec.oneoff) {
            *states.entry(state_word(c.state.status)).or_default() += 1;
        }
        if !args.all {
            states.retain(|s, _| matches!(*s, "running" | "paused" | "restarting"));
        }
        if states.is_empty() {
            continue;
        }
        let status: Vec<String> = states.iter().map(|(s, n)| format!("{s}({n})")).collect();
        let files: Vec<String> = record.meta.config_files.iter().map(|f| f.display().to_string()).collect();
        rows.push(json!({
            "Name": name.as_str(),
            "Status": status.join(", "),
            "ConfigFiles": files.join(","),
        }));
    }
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let shown = match args.format.as_str() {
        _ if args.quiet => rows.iter().map(|r| text(r, "Name") + "\n").collect(),
        "json" => format!("{}\n", serde_json::Value::from(rows)),
        "table" | "" => {
            let mut t = Table::wide(&["NAME", "STATUS", "CONFIG FILES"]);
            for r in &rows {
                t.row([text(r, "Name"), text(r, "Status"), text(r, "ConfigFiles")]);
            }
            t.render()
        }
        format => template::rows(format, &rows, &[]).map_err(Failure::user)?,
    };
    print(&shown)?;
    Ok(0)
}
