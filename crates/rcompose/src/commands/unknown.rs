//! Words that are no verb of ours.

use clap::CommandFactory;

use crate::args::Cli;
use crate::failure::Failure;

/// Verbs of docker compose and docker that this version doesn't have.
const LATER: [&str; 18] = [
    "alpha",
    "attach",
    "bridge",
    "container",
    "cp",
    "diff",
    "history",
    "info",
    "inspect",
    "load",
    "network",
    "publish",
    "rename",
    "save",
    "stats",
    "tag",
    "update",
    "watch",
];

/// Why a word can't be done.
pub(crate) fn failure(words: &[String]) -> Failure {
    let word = words.first().map_or("", String::as_str);
    if LATER.contains(&word) {
        return Failure::unsupported(format!("`{word}` is not supported in this version"));
    }
    let failure = Failure::user(format!("unrecognized subcommand `{word}`"));
    let near = Cli::command()
        .get_subcommands()
        .flat_map(|c| c.get_name_and_visible_aliases().into_iter().map(str::to_owned).collect::<Vec<_>>())
        .map(|name| (distance(word, &name), name))
        .min();
    match near {
        Some((d, name)) if d <= 1 + word.len() / 4 => failure.hint(format!("did you mean `{name}`?")),
        _ => failure.hint("`rcompose --help` lists all commands"),
    }
}

/// Levenshtein's distance, with a swap of neighbours as one step.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_verb_is_named() {
        let f = failure(&["pusll".to_owned()]);
        assert_eq!(f.diagnostics[0].help, ["did you mean `pull`?"]);
        let f = failure(&["cp".to_owned()]);
        assert_eq!(f.kind, rcompose_engine::FailureKind::Unsupported);
    }

    #[test]
    fn swaps_count_once() {
        assert_eq!(distance("dwon", "down"), 1);
        assert_eq!(distance("", "up"), 2);
    }
}
