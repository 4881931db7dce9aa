//! How an image is built.

use rcompose_model::{Build, BuildSecret};

use super::hosts;
use super::security::ulimits;
use super::service::{image, platform, size};
use super::value::{flag, opt_text, opt_text_map, strings, text_map};
use crate::cx::Cx;
use crate::tree::{Node, Style};

fn items<'n>(n: &'n Node, key: &str) -> &'n [Node] {
    n.get(key).and_then(Node::as_seq).unwrap_or_default()
}

/// `${UNSET:-}` says nothing.
fn said(n: &Node, key: &str) -> Option<String> {
    opt_text(n, key).filter(|t| !t.is_empty())
}

fn said_all(n: &Node, key: &str) -> Vec<String> {
    strings(n.get(key)).into_iter().filter(|t| !t.is_empty()).collect()
}

pub(super) fn build(cx: &mut Cx<'_>, n: &Node) -> Build {
    let args = opt_text_map(n.get("args"))
        .into_iter()
        .map(|(k, v)| {
            // A bare name takes the shell's value.
            let value = v.or_else(|| cx.env.get(&k).cloned());
            (k, value)
        })
        .collect();
    if let Some(size) = n.get("shm_size").filter(|s| s.scalar_text().is_some_and(|t| t.starts_with('-'))) {
        let d = cx.error(size.span, "shm_size: a size can't be negative");
        d.help.push("write a number of bytes or a unit, like 512m or 1.5gb".into());
    }
    Build {
        context: opt_text(n, "context").unwrap_or_default(),
        dockerfile: said(n, "dockerfile"),
        dockerfile_inline: said(n, "dockerfile_inline"),
        dockerfile_inline_at: n
            .get("dockerfile_inline")
            .filter(|text| text.style == Style::Literal)
            .map(|text| cx.origin(text.key_span)),
        args,
        target: said(n, "target"),
        labels: text_map(n.get("labels")),
        tags: items(n, "tags").iter().filter_map(|t| image(cx, t)).collect(),
        network: opt_text(n, "network"),
        no_cache: flag(n, "no_cache"),
        pull: flag(n, "pull"),
        extra_hosts: hosts(cx, n.get("extra_hosts")),
        shm_size: size(n, "shm_size"),
        platforms: items(n, "platforms").iter().filter_map(|p| platform(cx, p)).collect(),
        additional_contexts: text_map(n.get("additional_contexts")),
        ssh: opt_text_map(n.get("ssh")).into_iter().map(|(k, v)| (k, v.filter(|v| !v.is_empty()))).collect(),
        cache_from: said_all(n, "cache_from"),
        cache_to: said_all(n, "cache_to"),
        no_cache_filter: said_all(n, "no_cache_filter"),
        secrets: items(n, "secrets").iter().filter_map(secret).collect(),
        ulimits: ulimits(cx, n),
        privileged: flag(n, "privileged"),
        entitlements: said_all(n, "entitlements"),
        provenance: opt_text(n, "provenance"),
        sbom: opt_text(n, "sbom"),
        origin: cx.origin(if n.key_span.line > 0 { n.key_span } else { n.span }),
    }
}

fn secret(item: &Node) -> Option<BuildSecret> {
    let source = opt_text(item, "source")?;
    let id = opt_text(item, "target").filter(|t| !t.is_empty()).unwrap_or_else(|| source.clone());
    Some(BuildSecret { source, id })
}
