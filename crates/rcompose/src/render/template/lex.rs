//! Texts and actions, and the words in actions.

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    /// What stands between `{{` and `}}`.
    Action(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// `.`
    Dot,
    /// `.Name`, with nothing before it but a blank or a bracket.
    Field(String),
    /// `.Name` right behind something.
    Chain(String),
    /// `$` or `$name`
    Variable(String),
    Word(String),
    Text(String),
    Int(i64),
    Float(f64),
    Open,
    Close,
    Pipe,
    Comma,
    /// `:=`
    Declare,
    /// `=`
    Assign,
}

pub(super) fn pieces(template: &str) -> Result<Vec<Piece>, String> {
    let mut out = Vec::new();
    let mut rest = template;
    let mut trim = false;
    while let Some(at) = rest.find("{{") {
        let mut text = &rest[..at];
        let mut action = &rest[at + 2..];
        // `{{- ` takes the blanks before it away, ` -}}` those behind it.
        if action.starts_with("- ") || action.starts_with("-\n") || action.starts_with("-\t") {
            text = text.trim_end();
            action = &action[1..];
        }
        push_text(&mut out, if trim { text.trim_start() } else { text });
        let start = action.trim_start();
        let (tokens, behind) = match start.strip_prefix("/*") {
            Some(comment) => {
                let end = comment.find("*/").ok_or("unclosed comment")?;
                (None, &comment[end + 2..])
            }
            None => {
                let (tokens, behind) = tokens(action)?;
                (Some(tokens), behind)
            }
        };
        let close = behind.trim_start();
        (trim, rest) = match (close.strip_prefix("}}"), close.strip_prefix("-}}")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err("comment ends before closing delimiter".to_owned()),
        };
        out.extend(tokens.map(Piece::Action));
    }
    push_text(&mut out, if trim { rest.trim_start() } else { rest });
    Ok(out)
}

fn push_text(out: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        out.push(Piece::Text(text.to_owned()));
    }
}

/// The words up to the end of the action, and the text from its end on.
fn tokens(action: &str) -> Result<(Vec<Token>, &str), String> {
    let mut out = Vec::new();
    let mut rest = action;
    let mut blank = true;
    loop {
        let trimmed = rest.trim_start();
        blank = blank || trimmed.len() < rest.len();
        if trimmed.starts_with("}}") || (trimmed.len() < rest.len() && trimmed.starts_with("-}}")) {
            return Ok((out, trimmed));
        }
        let first = trimmed.chars().next().ok_or("unclosed action")?;
        let after_one = &trimmed[first.len_utf8()..];
        (rest, blank) = match first {
            '(' => {
                out.push(Token::Open);
                (after_one, true)
            }
            ')' => {
                out.push(Token::Close);
                (after_one, false)
            }
            '|' => {
                out.push(Token::Pipe);
                (after_one, true)
            }
            ',' => {
                out.push(Token::Comma);
                (after_one, true)
            }
            ':' if after_one.starts_with('=') => {
                out.push(Token::Declare);
                (&after_one[1..], true)
            }
            '=' => {
                out.push(Token::Assign);
                (after_one, true)
            }
            '"' | '\'' => {
                let (text, rest) = quoted(after_one, first)?;
                out.push(if first == '"' { Token::Text(text) } else { character(&text)? });
                (rest, false)
            }
            '`' => {
                let end = after_one.find('`').ok_or("unterminated raw quoted string")?;
                out.push(Token::Text(after_one[..end].to_owned()));
                (&after_one[end + 1..], false)
            }
            '.' if !after_one.starts_with(|c: char| c.is_ascii_digit()) => {
                let (name, rest) = name(after_one);
                out.push(match (name.is_empty(), blank) {
                    (true, _) => Token::Dot,
                    (false, true) => Token::Field(name.to_owned()),
                    (false, false) => Token::Chain(name.to_owned()),
                });
                (rest, false)
            }
            '$' => {
                let (name, rest) = name(after_one);
                out.push(Token::Variable(name.to_owned()));
                (rest, false)
            }
            c if c.is_ascii_digit() || matches!(c, '+' | '-' | '.') => {
                let end = trimmed[1..].find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_')));
                let end = end.map_or(trimmed.len(), |e| e + 1);
                out.push(number(&trimmed[..end])?);
                (&trimmed[end..], false)
            }
            c if c.is_alphabetic() || c == '_' => {
                let (name, rest) = name(trimmed);
                out.push(Token::Word(name.to_owned()));
                (rest, false)
            }
            c => return Err(format!("unexpected {c:?} in an action")),
        };
    }
}

fn name(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    text.split_at(end)
}

fn number(text: &str) -> Result<Token, String> {
    let wrong = || format!("bad number syntax: {text:?}");
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let radix = |prefix: &str, radix| {
        let rest = digits.strip_prefix(prefix)?;
        i64::from_str_radix(rest, radix).ok()
    };
    let whole = radix("0x", 16).or_else(|| radix("0b", 2)).or_else(|| radix("0o", 8));
    match whole.or_else(|| digits.parse().ok()) {
        Some(n) => Ok(Token::Int(sign * n)),
        None => plain.parse().map(Token::Float).map_err(|_| wrong()),
    }
}

/// A Go string up to its closing quote.
fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((out, &text[at + c.len_utf8()..])),
            '\n' => break,
            '\\' => {
                let (_, escape) = chars.next().ok_or("unterminated quoted string")?;
                let mut hex = |digits: usize| {
                    let text: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
                    let code = u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == digits);
                    code.and_then(char::from_u32).ok_or_else(|| format!("bad escape \\{escape}{text}"))
                };
                out.push(match escape {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'v' => '\u{b}',
                    '\\' | '"' | '\'' => escape,
                    'x' => hex(2)?,
                    'u' => hex(4)?,
                    'U' => hex(8)?,
                    other => return Err(format!("bad escape \\{other}")),
                });
            }
            c => out.push(c),
        }
    }
    Err("unterminated quoted string".to_owned())
}

fn character(text: &str) -> Result<Token, String> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(Token::Int(i64::from(u32::from(c)))),
        _ => Err(format!("malformed character constant: '{text}'")),
    }
}
