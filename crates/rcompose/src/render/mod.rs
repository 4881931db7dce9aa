//! How data is shown: docker's columns, times, sizes, ports and colours.

pub(crate) mod color;
pub(crate) mod ports;
pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod time;

/// JSON as docker's `inspect` prints it: four blanks a level, a newline at the end.
pub(crate) fn inspect(value: &serde_json::Value) -> String {
    use serde::Serialize;
    let mut out = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    match value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, format)) {
        Ok(()) => String::from_utf8_lossy(&out).into_owned() + "\n",
        // Into memory, from a value that is JSON already.
        Err(_) => format!("{value}\n"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn inspect_indents_by_four() {
        assert_eq!(
            super::inspect(&serde_json::json!([{"a": []}])),
            "[\n    {\n        \"a\": []\n    }\n]\n"
        );
    }
}
