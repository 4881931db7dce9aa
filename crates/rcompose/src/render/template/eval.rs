//! From a tree and data to text.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::functions::{self, is_true, print};
use super::parse::{Node, Pipe, Template, Term};

/// Longest text that a template makes, bytes: a template may range over what it likes as often as it likes.
const LONGEST: usize = 64 << 20;
const DEEPEST: usize = 100;

/// `heads`: the data are the words above a table's columns, and functions leave them as they are.
pub(super) fn run(
    template: &Template,
    data: &Value,
    heads: bool,
    default: Default,
) -> Result<String, String> {
    let mut run = Run {
        template,
        default,
        omitted: Cell::new(false),
        root: data,
        heads,
        out: String::new(),
        variables: vec![(String::new(), data.clone())],
        depth: 0,
    };
    run.nodes(&template.body, data)?;
    Ok(run.out)
}

/// What a field is that an object doesn't have; none if it isn't one.
pub(super) type Default = fn(&Map<String, Value>, &str) -> Option<Value>;

struct Run<'a> {
    template: &'a Template,
    default: Default,
    /// The last field is one that its object leaves out.
    omitted: Cell<bool>,
    root: &'a Value,
    heads: bool,
    out: String,
    /// `$` has no name.
    variables: Vec<(String, Value)>,
    depth: usize,
}

#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl Run<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, String> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if self.out.len() > LONGEST {
                return Err("template: it makes more than 64 MiB".to_owned());
            }
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    /// A list with variables of its own.
    fn scope(&mut self, nodes: &[Node], dot: &Value, mark: usize) -> Result<Flow, String> {
        let flow = self.nodes(nodes, dot);
        self.variables.truncate(mark);
        flow
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, String> {
        let mark = self.variables.len();
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Print(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.variables.is_empty() {
                    match value {
                        // Of Go's fields it is a pointer that leads nowhere.
                        Value::Null if !self.omitted.get() => self.out.push_str("<no value>"),
                        value => self.out.push_str(&print(&value)),
                    }
                }
            }
            Node::If { on, then, otherwise } => {
                let branch = if is_true(&self.pipe(on, dot)?) { then } else { otherwise };
                return self.scope(branch, dot, mark);
            }
            Node::With { on, then, otherwise } => {
                let value = self.pipe(on, dot)?;
                return match is_true(&value) {
                    true => self.scope(then, &value, mark),
                    false => self.scope(otherwise, dot, mark),
                };
            }
            Node::Range { on, then, otherwise } => return self.range(on, then, otherwise, dot),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Call { name, with } => {
                let value = match with {
                    Some(pipe) => self.pipe(pipe, dot)?,
                    None => Value::Null,
                };
                let template = self.template;
                let body =
                    template.named.get(name).ok_or_else(|| format!("template: {name:?} not defined"))?;
                if self.depth == DEEPEST {
                    return Err(format!("template: {name:?} calls itself too deeply"));
                }
                self.depth += 1;
                let outer = std::mem::replace(&mut self.variables, vec![(String::new(), value.clone())]);
                self.nodes(body, &value)?;
                self.variables = outer;
                self.depth -= 1;
            }
        }
        Ok(Flow::On)
    }

    fn range(&mut self, on: &Pipe, then: &[Node], otherwise: &[Node], dot: &Value) -> Result<Flow, String> {
        let mark = self.variables.len();
        let value = self.commands(on, dot)?;
        let items: Vec<(Value, Value)> = match value {
            Value::Array(items) => items.into_iter().enumerate().map(|(i, v)| (Value::from(i), v)).collect(),
            Value::Object(map) => {
                let mut items: Vec<_> = map.into_iter().collect();
                items.sort_by(|a, b| a.0.cmp(&b.0));
                items.into_iter().map(|(k, v)| (Value::from(k), v)).collect()
            }
            Value::Number(n) => {
                let n = n.as_u64().filter(|n| *n <= LONGEST as u64).unwrap_or_default();
                (0..n).map(|i| (Value::from(i), Value::from(i))).collect()
            }
            Value::Null => Vec::new(),
            Value::String(_) if self.heads => Vec::new(),
            other => return Err(format!("template: range can't iterate over {}", print(&other))),
        };
        if items.is_empty() {
            return self.scope(otherwise, dot, mark);
        }
        for (key, value) in items {
            match on.variables.as_slice() {
                [v] if on.declares => self.variables.push((v.clone(), value.clone())),
                [v] => self.assign(v, value.clone())?,
                [k, v] => {
                    self.variables.push((k.clone(), key));
                    self.variables.push((v.clone(), value.clone()));
                }
                _ => {}
            }
            if self.scope(then, &value, mark)? == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, String> {
        let value = self.commands(pipe, dot)?;
        for name in &pipe.variables {
            match pipe.declares {
                true => self.variables.push((name.clone(), value.clone())),
                false => self.assign(name, value.clone())?,
            }
        }
        Ok(value)
    }

    fn assign(&mut self, name: &str, value: Value) -> Result<(), String> {
        let found = self.variables.iter_mut().rev().find(|(n, _)| n == name);
        found.ok_or_else(|| undefined(name))?.1 = value;
        Ok(())
    }

    fn commands(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, String> {
        let mut value: Option<Value> = None;
        for command in &pipe.commands {
            value = Some(self.command(command, value, dot)?);
        }
        Ok(value.unwrap_or_default())
    }

    fn command(&mut self, command: &[Term], last: Option<Value>, dot: &Value) -> Result<Value, String> {
        let (Some(first), rest) = (command.first(), command.get(1..).unwrap_or_default()) else {
            return Ok(Value::Null);
        };
        let Term::Function(name) = first else {
            if !rest.is_empty() || last.is_some() {
                return Err(format!("template: can't give arguments to the non-function {}", shown(first)));
            }
            return self.term(first, dot);
        };
        // Both see no more arguments than they need.
        if matches!(name.as_str(), "and" | "or") {
            let mut value = Value::Null;
            for term in rest {
                value = self.term(term, dot)?;
                if is_true(&value) == (name == "or") {
                    return Ok(value);
                }
            }
            return Ok(last.unwrap_or(value));
        }
        let mut arguments = rest.iter().map(|t| self.term(t, dot)).collect::<Result<Vec<_>, _>>()?;
        arguments.extend(last);
        if self.heads {
            return Ok(functions::on_head(arguments));
        }
        // Go's nil list prints as an empty one, but not in JSON.
        let empty = |v: &Value| v == &serde_json::json!([]) || v == &serde_json::json!({});
        let omitted = self.omitted.replace(false);
        if omitted && matches!(name.as_str(), "json" | "printjson") && arguments.iter().all(empty) {
            return Ok(Value::from("null"));
        }
        functions::call(name, &arguments).map_err(|e| format!("template: error calling {name}: {e}"))
    }

    fn term(&mut self, term: &Term, dot: &Value) -> Result<Value, String> {
        Ok(match term {
            Term::Dot => dot.clone(),
            Term::Nil => Value::Null,
            Term::Bool(b) => Value::from(*b),
            Term::Int(n) => Value::from(*n),
            Term::Float(n) => Value::from(*n),
            Term::Text(text) => Value::from(text.as_str()),
            Term::Function(_) => return self.command(std::slice::from_ref(term), None, dot),
            Term::Variable(name) => {
                let found = self.variables.iter().rev().find(|(n, _)| n == name);
                found.ok_or_else(|| undefined(name))?.1.clone()
            }
            Term::Pipe(pipe) => self.pipe(pipe, dot)?,
            Term::Field(of, name) => {
                let value = self.term(of, dot)?;
                return self.field(&value, name);
            }
        })
    }

    fn field(&self, value: &Value, name: &str) -> Result<Value, String> {
        self.omitted.set(false);
        match value {
            Value::Object(map) => match map.get(name) {
                Some(found) => Ok(found.clone()),
                // Names of Go's fields are capitals; those of labels and the like hardly ever.
                None if !name.starts_with(|c: char| c.is_uppercase()) => Ok(Value::Null),
                None => {
                    if let Some(value) = (self.default)(map, name) {
                        self.omitted.set(true);
                        return Ok(value);
                    }
                    let known: Vec<&str> = map.keys().map(String::as_str).collect();
                    let near = rcompose_loader::nearest(name, known.iter().copied());
                    let known = match near {
                        _ if known.is_empty() => String::new(),
                        Some(near) if known.len() > 12 => format!("; did you mean {near:?}?"),
                        _ => format!("; there are {}", known.join(", ")),
                    };
                    Err(format!("template: there is no field {name:?}{known}"))
                }
            },
            Value::Null => Ok(Value::Null),
            _ if self.heads => Ok(Value::from(name.to_uppercase())),
            _ if std::ptr::eq(value, self.root) => Err(format!("template: there is no field {name:?}")),
            other => Err(format!("template: can't evaluate field {name} of {}", print(other))),
        }
    }
}

fn undefined(name: &str) -> String {
    format!("template: undefined variable: ${name}")
}

fn shown(term: &Term) -> String {
    match term {
        Term::Field(_, name) => format!(".{name}"),
        Term::Variable(name) => format!("${name}"),
        Term::Text(text) => format!("{text:?}"),
        Term::Int(n) => n.to_string(),
        _ => "value".to_owned(),
    }
}
