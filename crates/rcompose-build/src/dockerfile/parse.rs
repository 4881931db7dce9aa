use super::instruction::{Parsed, instruction};
use super::lines::{Lines, Logical, logical_lines};
use super::{Dockerfile, Instruction, Kind, ParseError, Position, Stage};

/// Reads a Dockerfile. All errors at once, in order of their places.
pub fn parse(text: &str) -> Result<Dockerfile, Vec<ParseError>> {
    let (file, errors) = parse_partly(text);
    if errors.is_empty() { Ok(file) } else { Err(errors) }
}

/// What of a Dockerfile can be read, and all errors in order of their places.
pub(crate) fn parse_partly(text: &str) -> (Dockerfile, Vec<ParseError>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Lines { directives, logical, mut errors } = logical_lines(text, None);
    let mut file = Dockerfile {
        directives,
        global_args: Vec::new(),
        stages: Vec::new(),
        empty_continuations: Vec::new(),
    };
    for line in &logical {
        match instruction(line, file.directives.escape) {
            Ok(parsed) => place(&mut file, line, parsed, &mut errors),
            Err(mut e) => {
                errors.append(&mut e);
                if starts_with_from(line) {
                    // What follows belongs to a stage, if a broken one.
                    file.stages.push(broken_stage(line));
                }
            }
        }
    }
    if logical.is_empty() && errors.is_empty() {
        let what = match text.trim().is_empty() {
            true => "the Dockerfile is empty",
            false => "the Dockerfile has nothing but comments",
        };
        errors.push(ParseError::new(Position { line: 1, column: 1 }, what).help("begin with `FROM <image>`"));
    } else if file.stages.is_empty() && errors.is_empty() {
        errors.push(
            ParseError::new(logical[0].position(0), "no build stage in the Dockerfile: FROM is missing")
                .help("begin with `FROM <image>`"),
        );
    }
    errors.sort_by_key(|e| e.at);
    (file, errors)
}

fn place(file: &mut Dockerfile, line: &Logical, parsed: Parsed, errors: &mut Vec<ParseError>) {
    let at = line.position(0);
    match parsed {
        Parsed::From(from) => {
            let (text, comments) = (line.text.clone(), line.comments.clone());
            let empty = line.empty_continuation;
            file.stages.push(Stage {
                from,
                at,
                last_line: line.last,
                text,
                comments,
                instructions: Vec::new(),
            });
            file.empty_continuations.extend(empty);
        }
        Parsed::Other(kind) => {
            file.empty_continuations.extend(line.empty_continuation);
            let (text, comments) = (line.text.clone(), line.comments.clone());
            let one = Instruction { at, last_line: line.last, text, comments, kind };
            match file.stages.last_mut() {
                Some(stage) => stage.instructions.push(one),
                None if matches!(one.kind, Kind::Arg(_)) => file.global_args.push(one),
                None => {
                    let word = one.text.split_whitespace().next().unwrap_or("").to_uppercase();
                    errors.push(
                        ParseError::new(at, format!("{word} before the first FROM"))
                            .help("begin with `FROM <image>`; only ARG may come before it"),
                    );
                }
            }
        }
    }
}

fn starts_with_from(line: &Logical) -> bool {
    line.text.split_whitespace().next().is_some_and(|w| w.eq_ignore_ascii_case("FROM"))
}

fn broken_stage(line: &Logical) -> Stage {
    let from = super::From { image: String::new(), platform: None, name: None };
    let (text, comments) = (line.text.clone(), Vec::new());
    Stage { from, at: line.position(0), last_line: line.last, text, comments, instructions: Vec::new() }
}
