//! The goldens of a sample: `model.json` and `model.yaml`, with `/samples` for the folder of all samples.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::answer::Answer;
use super::sample::Sample;

/// What the golden test calls the folder of all samples.
const PLACEHOLDER: &str = "/samples";

/// Writes an answer; a refusal leaves no model.
pub(crate) fn goldens(sample: &Sample, answer: &Answer) -> Result<()> {
    let (json, yaml) = (sample.home.join("model.json"), sample.home.join("model.yaml"));
    if !answer.good {
        for file in [json, yaml].iter().filter(|f| f.exists()) {
            fs::remove_file(file).with_context(|| format!("remove {}", file.display()))?;
        }
        return Ok(());
    }
    // GROUP/NAME stays, so that names that come from the folder's are the same anywhere.
    let all = sample.directory.ancestors().nth(2).unwrap_or(Path::new("/")).display().to_string();
    let anywhere = |text: String| text.replace(&format!("{all}/"), &format!("{PLACEHOLDER}/"));
    put(&json, anywhere(format!("{:#}\n", answer.json)))?;
    put(&yaml, anywhere(answer.yaml.clone()))
}

fn put(file: &Path, text: String) -> Result<()> {
    fs::write(file, text).with_context(|| format!("write {}", file.display()))
}
