use super::check::{At, wrong};
use crate::code::Code;
use crate::cx::Cx;
use crate::scalar::{Plain, resolve};
use crate::tree::{Node, Value};

pub(super) fn cast_bool(cx: &mut Cx<'_>, node: &mut Node, at: At<'_>) {
    let text = match &node.value {
        Value::Bool(_) => return,
        Value::Str(s) => s.clone(),
        _ => return wrong(cx, node, at, "a boolean"),
    };
    let (new, old_style) = match text.to_ascii_lowercase().as_str() {
        "true" => (true, false),
        "false" => (false, false),
        "y" | "yes" | "on" => (true, true),
        "n" | "no" | "off" => (false, true),
        _ => {
            cx.error(node.span, format!("{at} must be a boolean, not {text:?}"))
                .is(Code::WrongType)
                .help
                .push("write true or false".into());
            return;
        }
    };
    if old_style {
        cx.warn(node.span, format!("{text:?} for boolean is not supported by YAML 1.2, please use `{new}`"))
            .is(Code::Deprecated);
    }
    node.value = Value::Bool(new);
}

pub(super) fn cast_number(cx: &mut Cx<'_>, node: &mut Node, at: At<'_>, whole: bool) {
    let want = if whole { "a whole number" } else { "a number" };
    match &node.value {
        Value::Int(_) => {}
        Value::Float(f) if !whole || f.fract() == 0.0 => {
            if whole {
                node.value = Value::Int(*f as i64);
            }
        }
        Value::Str(s) => match resolve(s.trim()) {
            Plain::Value(v @ Value::Int(_)) => node.value = v,
            Plain::Value(v @ Value::Float(_)) if !whole => node.value = v,
            _ => {
                let s = s.clone();
                cx.error(node.span, format!("{at} must be {want}, not {s:?}")).is(Code::WrongType);
            }
        },
        _ => wrong(cx, node, at, want),
    }
}
