//! From pieces to a tree.

use std::collections::BTreeMap;

use super::functions;
use super::lex::{Piece, Token, pieces};

/// A whole template.
#[derive(Debug, Default)]
pub(super) struct Template {
    pub(super) body: Vec<Node>,
    /// `define`d ones.
    pub(super) named: BTreeMap<String, Vec<Node>>,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    Print(Pipe),
    If { on: Pipe, then: Vec<Node>, otherwise: Vec<Node> },
    With { on: Pipe, then: Vec<Node>, otherwise: Vec<Node> },
    Range { on: Pipe, then: Vec<Node>, otherwise: Vec<Node> },
    Break,
    Continue,
    Call { name: String, with: Option<Pipe> },
}

/// Commands, each with the value of the one before as its last argument.
#[derive(Debug, Clone)]
pub(super) struct Pipe {
    /// Variables that take the value; two only with `range`.
    pub(super) variables: Vec<String>,
    /// `:=` rather than `=`.
    pub(super) declares: bool,
    pub(super) commands: Vec<Vec<Term>>,
}

#[derive(Debug, Clone)]
pub(super) enum Term {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Function(String),
    Variable(String),
    Pipe(Box<Pipe>),
    /// A field of something; of the dot, if it stands alone.
    Field(Box<Term>, String),
}

/// So deep that no template is and no stack suffers.
const DEEPEST: usize = 100;

/// `escapes`: `\t` and `\n` in the text stand for the characters.
pub(super) fn parse(text: &str, escapes: bool) -> Result<Template, String> {
    let told = |e: String| format!("template parsing error: {e}");
    let mut pieces = pieces(text).map_err(told)?;
    for piece in pieces.iter_mut().filter(|_| escapes) {
        if let Piece::Text(text) = piece {
            *text = text.replace("\\t", "\t").replace("\\n", "\n");
        }
    }
    let mut parser = Parser { pieces: pieces.into_iter(), named: BTreeMap::new(), depth: 0 };
    let (body, end) = parser.nodes().map_err(told)?;
    match end {
        Stop::Text => Ok(Template { body, named: parser.named }),
        Stop::End => Err(told("unexpected {{end}}".to_owned())),
        Stop::Else(_) => Err(told("unexpected {{else}}".to_owned())),
    }
}

/// What ends a list.
enum Stop {
    Text,
    End,
    /// The rest of the action: empty, or another `if` or `with`.
    Else(Vec<Token>),
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    named: BTreeMap<String, Vec<Node>>,
    depth: usize,
}

impl Parser {
    fn nodes(&mut self) -> Result<(Vec<Node>, Stop), String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("it is nested too deeply".to_owned());
        }
        let mut out = Vec::new();
        let end = loop {
            let tokens = match self.pieces.next() {
                None => break Stop::Text,
                Some(Piece::Text(text)) => {
                    out.push(Node::Text(text));
                    continue;
                }
                Some(Piece::Action(tokens)) => tokens,
            };
            let word = match tokens.first() {
                Some(Token::Word(word)) => word.as_str(),
                None => return Err("missing value for command".to_owned()),
                _ => "",
            };
            match word {
                "end" => break Stop::End,
                "else" => break Stop::Else(tokens[1..].to_vec()),
                "if" | "with" | "range" => out.push(self.block(word, &tokens[1..])?),
                "break" => out.push(Node::Break),
                "continue" => out.push(Node::Continue),
                "define" => {
                    let (name, _) = name(&tokens)?;
                    let body = self.until_end("define")?;
                    self.named.insert(name, body);
                }
                "template" => out.push(call(&tokens)?),
                "block" => {
                    let node = call(&tokens)?;
                    let (name, _) = name(&tokens)?;
                    let body = self.until_end("block")?;
                    self.named.insert(name, body);
                    out.push(node);
                }
                _ => out.push(Node::Print(pipe(&tokens)?)),
            }
        };
        self.depth -= 1;
        Ok((out, end))
    }

    fn until_end(&mut self, what: &str) -> Result<Vec<Node>, String> {
        match self.nodes()? {
            (nodes, Stop::End) => Ok(nodes),
            (_, Stop::Else(_)) => Err(format!("unexpected {{{{else}}}} in {what} clause")),
            (_, Stop::Text) => Err("unexpected EOF".to_owned()),
        }
    }

    fn block(&mut self, word: &str, on: &[Token]) -> Result<Node, String> {
        if on.is_empty() {
            return Err(format!("missing value for {word}"));
        }
        let on = pipe(on)?;
        if on.variables.len() > 1 && word != "range" {
            return Err(format!("too many declarations in {word}"));
        }
        let (then, end) = self.nodes()?;
        let otherwise = match end {
            Stop::End => Vec::new(),
            Stop::Text => return Err("unexpected EOF".to_owned()),
            Stop::Else(rest) => match rest.first() {
                None => self.until_end(word)?,
                Some(Token::Word(again)) if again == word && word != "range" => {
                    vec![self.block(word, &rest[1..])?]
                }
                Some(_) => return Err(format!("unexpected words behind {{{{else}}}} in {word}")),
            },
        };
        Ok(match word {
            "if" => Node::If { on, then, otherwise },
            "with" => Node::With { on, then, otherwise },
            _ => Node::Range { on, then, otherwise },
        })
    }
}

fn name(tokens: &[Token]) -> Result<(String, &[Token]), String> {
    match &tokens[1..] {
        [Token::Text(name), rest @ ..] => Ok((name.clone(), rest)),
        _ => Err("a template's name is a quoted text".to_owned()),
    }
}

fn call(tokens: &[Token]) -> Result<Node, String> {
    let (name, rest) = name(tokens)?;
    let with = if rest.is_empty() { None } else { Some(pipe(rest)?) };
    Ok(Node::Call { name, with })
}

fn pipe(tokens: &[Token]) -> Result<Pipe, String> {
    let mut at = 0;
    let pipe = pipe_at(tokens, &mut at, 0)?;
    match tokens.get(at) {
        None => Ok(pipe),
        Some(token) => Err(format!("unexpected {}", shown(token))),
    }
}

fn pipe_at(tokens: &[Token], at: &mut usize, depth: usize) -> Result<Pipe, String> {
    if depth > DEEPEST {
        return Err("it is nested too deeply".to_owned());
    }
    let (variables, declares) = match &tokens[*at..] {
        [Token::Variable(a), Token::Declare, ..] => (vec![a.clone()], true),
        [Token::Variable(a), Token::Assign, ..] => (vec![a.clone()], false),
        [Token::Variable(a), Token::Comma, Token::Variable(b), Token::Declare, ..] => {
            (vec![a.clone(), b.clone()], true)
        }
        _ => (Vec::new(), false),
    };
    *at += variables.len() * 2;
    let mut commands = vec![Vec::new()];
    while let Some(token) = tokens.get(*at) {
        let mut term = match token {
            Token::Close => break,
            Token::Pipe => {
                *at += 1;
                if commands.last().is_some_and(Vec::is_empty) {
                    return Err("missing value for command".to_owned());
                }
                commands.push(Vec::new());
                continue;
            }
            Token::Dot => Term::Dot,
            Token::Field(name) => Term::Field(Box::new(Term::Dot), name.clone()),
            Token::Variable(name) => Term::Variable(name.clone()),
            Token::Text(text) => Term::Text(text.clone()),
            Token::Int(n) => Term::Int(*n),
            Token::Float(n) => Term::Float(*n),
            Token::Word(word) => match word.as_str() {
                "true" => Term::Bool(true),
                "false" => Term::Bool(false),
                "nil" => Term::Nil,
                word if functions::exists(word) => Term::Function(word.to_owned()),
                word => return Err(format!("function {word:?} not defined")),
            },
            Token::Open => {
                *at += 1;
                let inner = pipe_at(tokens, at, depth + 1)?;
                if tokens.get(*at) != Some(&Token::Close) {
                    return Err("unclosed left paren".to_owned());
                }
                Term::Pipe(Box::new(inner))
            }
            other => return Err(format!("unexpected {}", shown(other))),
        };
        *at += 1;
        while let Some(Token::Chain(name)) = tokens.get(*at) {
            term = Term::Field(Box::new(term), name.clone());
            *at += 1;
        }
        if let Some(command) = commands.last_mut() {
            command.push(term);
        }
    }
    if commands.last().is_some_and(Vec::is_empty) {
        return Err("missing value for command".to_owned());
    }
    Ok(Pipe { variables, declares, commands })
}

fn shown(token: &Token) -> String {
    match token {
        Token::Dot => ".".to_owned(),
        Token::Field(n) | Token::Chain(n) => format!(".{n}"),
        Token::Variable(n) => format!("${n}"),
        Token::Word(w) => w.clone(),
        Token::Text(t) => format!("{t:?}"),
        Token::Int(n) => n.to_string(),
        Token::Float(n) => n.to_string(),
        Token::Open => "(".to_owned(),
        Token::Close => "right paren".to_owned(),
        Token::Pipe => "|".to_owned(),
        Token::Comma => ",".to_owned(),
        Token::Declare => ":=".to_owned(),
        Token::Assign => "=".to_owned(),
    }
}

impl Template {
    /// Names of the dot's fields that are asked for.
    pub(super) fn fields(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.named.values().chain([&self.body]).for_each(|nodes| in_nodes(nodes, &mut out));
        out
    }
}

fn in_nodes(nodes: &[Node], out: &mut Vec<String>) {
    for node in nodes {
        match node {
            Node::Print(pipe) => in_pipe(pipe, out),
            Node::If { on, then, otherwise }
            | Node::With { on, then, otherwise }
            | Node::Range { on, then, otherwise } => {
                in_pipe(on, out);
                in_nodes(then, out);
                in_nodes(otherwise, out);
            }
            Node::Call { with, .. } => with.iter().for_each(|p| in_pipe(p, out)),
            Node::Text(_) | Node::Break | Node::Continue => {}
        }
    }
}

fn in_pipe(pipe: &Pipe, out: &mut Vec<String>) {
    for term in pipe.commands.iter().flatten() {
        let mut term = term;
        while let Term::Field(of, name) = term {
            if matches!(**of, Term::Dot) && !out.contains(name) {
                out.push(name.clone());
            }
            term = of;
        }
        if let Term::Pipe(inner) = term {
            in_pipe(inner, out);
        }
    }
}
