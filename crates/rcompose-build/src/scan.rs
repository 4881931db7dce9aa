//! What is looked through for packages beside the image (BuildKit, docs/attestations/sbom.md).

use std::path::{Path, PathBuf};

use rcompose_image::{Attestation, Digest};

use crate::known::{SCAN_CONTEXT, SCAN_STAGE, parse_bool};
use crate::sbom::{SbomSubject, sbom_of};
use crate::select::{Source, relative};
use crate::state::State;
use crate::{BuildError, LayerStore};

/// The build context, or a stage that the image isn't made of.
#[derive(Debug, Clone)]
pub struct Scan {
    /// `context`, or the stage's name.
    pub name: String,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Stage(Vec<Digest>),
    Context(PathBuf, Box<Source>),
}

impl Scan {
    pub(crate) fn of_stage(name: String, state: &State) -> Self {
        Self { name, what: What::Stage(state.image.rootfs.diff_ids.clone()) }
    }

    pub(crate) fn of_context(directory: &Path, source: &Source) -> Self {
        Self {
            name: "context".to_owned(),
            what: What::Context(directory.to_owned(), Box::new(source.clone())),
        }
    }

    /// Its packages, and what can't be read of it, in words.
    ///
    /// Errors: something of it can't be read, or a layer has gone.
    pub fn sbom(
        &self,
        store: &dyn LayerStore,
        subject: &SbomSubject,
    ) -> Result<(Attestation, Vec<String>), BuildError> {
        match &self.what {
            What::Context(directory, source) => {
                let taken = |path: &Path| !source.ignore.excludes(&relative(path));
                sbom_of(std::slice::from_ref(directory), &taken, subject)
            }
            What::Stage(layers) => {
                let mut lowers: Vec<PathBuf> = Vec::new();
                for layer in layers.iter().rev() {
                    let failed =
                        |e| BuildError::environment(format!("failed to look up the layer {layer}"), e);
                    let gone = || BuildError::input(format!("the layer {layer} of a stage was removed"));
                    let path = store.layer(layer).map_err(failed)?.ok_or_else(gone)?;
                    if !lowers.contains(&path) {
                        lowers.push(path);
                    }
                }
                sbom_of(&lowers, &|_| true, subject)
            }
        }
    }
}

/// Whether a stage's ARGs, or those before the first FROM, say that its context is looked through.
pub(crate) fn scans_context(state: &State, global: &dyn Fn(&str) -> Option<String>, stage: &str) -> bool {
    is_on(SCAN_CONTEXT, state, global, stage)
}

/// Whether they say so of the stage.
pub(crate) fn scans_stage(state: &State, global: &dyn Fn(&str) -> Option<String>, stage: &str) -> bool {
    is_on(SCAN_STAGE, state, global, stage)
}

/// True, false, or a list of stages.
fn is_on(name: &str, state: &State, global: &dyn Fn(&str) -> Option<String>, stage: &str) -> bool {
    let own = state.args.iter().rev().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.clone());
    let Some(value) = own.or_else(|| global(name)) else { return false };
    parse_bool(&value).unwrap_or_else(|| value.split(',').any(|s| s == stage))
}

#[cfg(test)]
mod tests {
    use rcompose_image::{ImageConfig, Platform};

    use super::*;

    #[test]
    fn stages_by_name() {
        let with = |own: Option<&str>, global: Option<&str>| {
            let mut state = State::new(ImageConfig::new(&Platform::host()), '\\');
            state.args.extend(own.map(|v| (SCAN_STAGE.to_owned(), v.to_owned())));
            let global = global.map(str::to_owned);
            scans_stage(&state, &|_| global.clone(), "one")
        };
        assert!(with(None, Some("true")) && with(Some("1"), Some("false")) && with(None, Some("two,one")));
        assert!(!with(None, None) && !with(Some("false"), Some("true")) && !with(Some("two"), None));
        // Declared without a value it has that of before the first FROM.
        assert!(with(Some(""), Some("true")));
    }
}
