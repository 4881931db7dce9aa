//! Commands around a service's life.

use rcompose_model::{Hook, PreStart};

use super::service::{image, user};
use super::value::{flag, opt_text, opt_text_map, strings};
use crate::cx::Cx;
use crate::tree::Node;

/// `post_start` and `pre_stop`.
pub(super) fn hooks(cx: &mut Cx<'_>, n: &Node, key: &str) -> Vec<Hook> {
    let mut out = Vec::new();
    for item in n.get(key).and_then(Node::as_seq).unwrap_or_default() {
        let command = strings(item.get("command"));
        if command.is_empty() {
            cx.error(item.span, format!("{key}: the command is empty"))
                .help
                .push("say what is to be run".into());
        }
        out.push(Hook {
            command,
            environment: opt_text_map(item.get("environment")),
            user: user(cx, item),
            working_dir: opt_text(item, "working_dir").filter(|d| !d.is_empty()),
            privileged: flag(item, "privileged"),
        });
    }
    out
}

pub(super) fn pre_start(cx: &mut Cx<'_>, n: &Node) -> Vec<PreStart> {
    let mut out = Vec::new();
    for item in n.get("pre_start").and_then(Node::as_seq).unwrap_or_default() {
        if let Some(each) = item.get("per_replica").filter(|_| flag(item, "per_replica")) {
            cx.error(each.span, "pre_start: a command for each replica isn't possible, as in docker compose")
                .help
                .push("remove per_replica, or use post_start".into());
        }
        out.push(PreStart {
            image: item.get("image").and_then(|i| image(cx, i)),
            command: strings(item.get("command")),
            environment: opt_text_map(item.get("environment")),
            user: user(cx, item),
            working_dir: opt_text(item, "working_dir").filter(|d| !d.is_empty()),
            privileged: flag(item, "privileged"),
        });
    }
    out
}
