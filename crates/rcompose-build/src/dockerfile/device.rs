//! `RUN --device=…` (frontend/dockerfile/instructions/commands_rundevice.go).

use crate::known::parse_bool;

use super::comma_fields;

/// `[name=]NAME[,required[=true]]`: the name, and whether RUN can't do without.
pub(super) fn device(text: &str) -> Result<(String, bool), String> {
    let (mut name, mut required) = (String::new(), false);
    for field in comma_fields(text)? {
        let (key, value) = field.split_once('=').map_or((field.as_str(), None), |(k, v)| (k, Some(v)));
        match (key.to_lowercase().as_str(), value) {
            ("required", None) => required = true,
            ("required", Some(v)) => {
                required = parse_bool(v).ok_or_else(|| format!("wrong value `{v}` of required"))?;
            }
            ("name", Some(_)) if !name.is_empty() => {
                return Err(format!("the device has the name `{name}` already"));
            }
            ("name", Some(v)) => v.clone_into(&mut name),
            // Names of devices may have the form key=value: vendor.com/class=name.
            _ if name.is_empty() => name.clone_from(&field),
            (_, None) => return Err(format!("`{field}` isn't of the form key=value")),
            (key, Some(_)) => return Err(format!("unexpected key `{key}`")),
        }
    }
    if name.is_empty() { Err("it names no device".to_owned()) } else { Ok((name, required)) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn device() {
        let device = super::device;
        let named = |name: &str, required| Ok((name.to_owned(), required));
        assert_eq!(device("vendor.com/dev=x"), named("vendor.com/dev=x", false));
        assert_eq!(device("name=vendor.com/dev=x,required"), named("vendor.com/dev=x", true));
        assert_eq!(device("required=1,a"), named("a", true));
        for (text, want) in [
            ("a,b", "`b` isn't of the form key=value"),
            ("a,foo=1", "unexpected key `foo`"),
            ("a,name=b", "the device has the name `a` already"),
            ("a,required=x", "wrong value `x` of required"),
            ("required", "it names no device"),
        ] {
            assert_eq!(device(text).unwrap_err(), want, "{text}");
        }
    }
}
