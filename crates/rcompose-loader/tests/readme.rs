//! What README.md says isn't done is what the table of capabilities says.

use std::path::Path;

use rcompose_loader::{Area, not_yet};

#[test]
fn readme_says_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = std::fs::read_to_string(path).unwrap();
    for (row, area) in [
        ("Services", Area::Services),
        ("Builds", Area::Builds),
        ("Networks", Area::Networks),
        ("Volumes, secrets, configs", Area::Storage),
    ] {
        let line = text.lines().find(|l| l.starts_with(&format!("| {row} |")));
        let cell = line.and_then(|l| l.split('|').nth(3)).map(str::trim).unwrap_or_default();
        // Behind a semicolon stands what isn't an attribute.
        let said = cell.split("; ").next().unwrap_or_default();
        let want = not_yet(area);
        assert!(said == want, "in README.md, the last cell of the row {row} must begin with:\n{want}\n");
    }
}
