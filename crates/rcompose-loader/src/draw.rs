//! Diagnostics and places as people read them.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Place, Severity};
use crate::why::Answer;

/// Draws diagnostics as rustc does: place, line, the span marked, help.
pub fn render_diagnostics(all: &[Diagnostic], color: bool, width: usize) -> String {
    let mut out = String::new();
    for d in all {
        if !out.is_empty() {
            out.push('\n');
        }
        let level = if d.severity == Severity::Error { Level::ERROR } else { Level::WARNING };
        let places: Vec<(&Place, &str)> = d
            .place
            .iter()
            .map(|p| (p, ""))
            .chain(d.related.iter().map(|(p, word)| (p, word.as_str())))
            .collect();
        out.push_str(&draw(level, &d.message, &places, color, width));
        out.push('\n');
        help(&mut out, &d.help, color);
    }
    out
}

/// Draws answers to `config --why`: the value, where it is written, how it came there, what it replaced.
pub fn render_answers(all: &[Answer], color: bool, width: usize) -> String {
    let mut out = String::new();
    for a in all {
        if !out.is_empty() {
            out.push('\n');
        }
        let lost: Vec<String> = a.replaced.iter().map(|(text, _)| format!("replaced: {text}")).collect();
        let mut places: Vec<(&Place, &str)> = a.place.iter().map(|p| (p, "")).collect();
        places.extend(a.related.iter().map(|(p, word)| (p, word.as_str())));
        let replaced =
            a.replaced.iter().zip(&lost).filter_map(|((_, p), word)| Some((p.as_ref()?, word.as_str())));
        places.extend(replaced);
        let title = format!("{} = {}", a.path, a.value);
        out.push_str(&draw(Level::INFO.no_name(), &title, &places, color, width));
        out.push('\n');
        for note in &a.notes {
            out.push_str(&format!("  {note}\n"));
        }
    }
    out
}

/// Help stands below in lines of its own: the renderer would draw it with a bar that leads nowhere.
fn help(out: &mut String, lines: &[String], color: bool) {
    for line in lines {
        let word = if color { "\x1b[1;96mhelp\x1b[0m" } else { "help" };
        out.push_str(&format!("{word}: {line}\n"));
    }
}

/// A title and places; the first place is the one that matters.
pub(crate) fn draw(
    level: Level<'_>,
    title: &str,
    places: &[(&Place, &str)],
    color: bool,
    width: usize,
) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(width.max(40));
    let paths: Vec<String> = places.iter().map(|(p, _)| p.file.display().to_string()).collect();
    let mut group = Group::with_title(level.primary_title(title));
    let sources: Vec<String> = places.iter().map(|(p, _)| source(p)).collect();
    let mut done = vec![false; places.len()];
    for i in 0..places.len() {
        if done[i] {
            continue;
        }
        let first = places[i].0;
        if first.line == 0 {
            group = group.element(Origin::path(paths[i].as_str()));
            continue;
        }
        // Several places on one line are marked together.
        let start = (first.line as usize).saturating_sub(first.around.0.len());
        let hidden = first.rest.len() > HEAD + TAIL;
        let mut snippet =
            Snippet::source(sources[i].as_str()).line_start(start).path(paths[i].as_str()).fold(hidden);
        if hidden {
            let shown = visible(first).into_iter();
            snippet = snippet.annotations(shown.map(|span| AnnotationKind::Visible.span(span)));
        }
        for j in i..places.len() {
            let (place, word) = places[j];
            let same = (&place.file, place.line, place.cut) == (&first.file, first.line, first.cut);
            if !same || done[j] {
                continue;
            }
            done[j] = true;
            snippet = snippet.annotation(mark(place, word, j == 0));
        }
        group = group.element(snippet);
    }
    renderer.render(&[group])
}

/// Lines shown of the begin and the end of something long.
const HEAD: usize = 6;
const TAIL: usize = 3;

/// All its lines, those around it as well.
fn lines(place: &Place) -> Vec<&str> {
    let (before, after) = &place.around;
    before.iter().chain([&place.text]).chain(&place.rest).chain(after).map(String::as_str).collect()
}

fn source(place: &Place) -> String {
    lines(place).join("\n")
}

/// What is shown of something long: where it begins and ends, and the lines around it.
fn visible(place: &Place) -> Vec<Range<usize>> {
    let lines = lines(place);
    let (head, tail) = (place.around.0.len() + HEAD, TAIL + place.around.1.len());
    let begin: usize = lines[..head].iter().map(|l| l.len() + 1).sum();
    let all: usize = lines.iter().map(|l| l.len() + 1).sum::<usize>() - 1;
    let end: usize = lines[lines.len() - tail..].iter().map(|l| l.len() + 1).sum();
    vec![0..begin - 1, all + 1 - end..all]
}

fn mark<'a>(place: &Place, word: &'a str, primary: bool) -> Annotation<'a> {
    let kind = if primary { AnnotationKind::Primary } else { AnnotationKind::Context };
    let before: usize = place.around.0.iter().map(|line| line.len() + 1).sum();
    let marked = place.marked();
    let end = match place.rest.as_slice() {
        [] => marked.end,
        rest => place.text.len() + rest.iter().map(|l| l.len() + 1).sum::<usize>(),
    };
    let annotation = kind.span(before + marked.start..before + end);
    if word.is_empty() { annotation } else { annotation.label(word) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(lines: usize) -> String {
        let line = |n: usize| format!("line {n}");
        let mut d = Diagnostic::error("no");
        let place = Place::new("Dockerfile".into(), 3, 1, 7, "RUN one \\");
        let around = (vec!["FROM a".to_owned(), String::new()], vec!["CMD b".to_owned()]);
        d.place = Some(place.through((0..lines).map(line).collect()).between(around.0, around.1));
        render_diagnostics(&[d], false, 80)
    }

    #[test]
    fn all_lines_of_an_instruction() {
        let want = "error: no
 --> Dockerfile:3:1
  |
1 |   FROM a
2 |
3 | / RUN one \\
4 | | line 0
5 | | line 1
  | |______^
6 |   CMD b
  |
";
        assert_eq!(drawn(2), want);
    }

    #[test]
    fn begin_and_end_of_a_long_instruction() {
        let want = "error: no
   --> Dockerfile:3:1
    |
  1 |   FROM a
  2 |
  3 | / RUN one \\
  4 | | line 0
  5 | | line 1
  6 | | line 2
  7 | | line 3
  8 | | line 4
...   |
501 | | line 497
502 | | line 498
503 | | line 499
    | |________^
504 |   CMD b
    |
";
        assert_eq!(drawn(500), want);
    }
}
