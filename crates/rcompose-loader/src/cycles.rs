use std::collections::{BTreeSet, HashMap};

use crate::code::Code;
use crate::cx::Cx;
use crate::tree::{Map, Node};

/// As many names of a loop are shown at each of its ends.
const SHOWN: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// On the way, at this depth.
    Open(usize),
    Done,
}

type Dependencies<'s> = Option<indexmap::map::Iter<'s, String, Node>>;

fn dependencies<'s>(services: &'s Map, name: &str) -> Dependencies<'s> {
    services.get(name)?.get("depends_on")?.as_map().map(|deps| deps.iter())
}

/// Dependency cycles, each named once with its loop. Without recursion: chains may be as long as a file.
pub(crate) fn cycles(cx: &mut Cx<'_>, services: &Map, enabled: &BTreeSet<String>) {
    let mut state: HashMap<&str, State> = HashMap::new();
    for start in services.keys().filter(|n| enabled.contains(*n)) {
        if state.contains_key(start.as_str()) {
            continue;
        }
        let mut trail: Vec<(&str, Dependencies<'_>)> = vec![(start, dependencies(services, start))];
        state.insert(start, State::Open(0));
        while let Some((name, left)) = trail.last_mut() {
            let Some((dep, entry)) = left.as_mut().and_then(Iterator::next) else {
                state.insert(name, State::Done);
                trail.pop();
                continue;
            };
            match state.get(dep.as_str()) {
                Some(State::Done) => {}
                Some(State::Open(from)) => {
                    let ring: Vec<&str> = trail[*from..].iter().map(|(name, _)| *name).collect();
                    tell(cx, &ring, dep, entry);
                }
                None if services.contains_key(dep) => {
                    state.insert(dep, State::Open(trail.len()));
                    trail.push((dep, dependencies(services, dep)));
                }
                None => {}
            }
        }
    }
}

fn tell(cx: &mut Cx<'_>, ring: &[&str], dep: &str, entry: &Node) {
    let span = if entry.key_span.len > 0 { entry.key_span } else { entry.span };
    let shown = if ring.len() > 2 * SHOWN {
        let (first, last) = (&ring[..SHOWN], &ring[ring.len() - SHOWN..]);
        format!("{} -> … -> {}", first.join(" -> "), last.join(" -> "))
    } else {
        ring.join(" -> ")
    };
    cx.error(span, format!("dependency cycle detected: {shown} -> {dep}"))
        .is(Code::Cycle)
        .help
        .push("remove one of these dependencies".into());
}
