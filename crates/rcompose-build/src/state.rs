//! What a stage is so far: the image's configuration, the variables in scope, and its history.

use std::collections::BTreeMap;

use rcompose_image::{ContainerConfig, History, ImageConfig};

use crate::BuildError;
use crate::expand::{Expanded, Lex, Mistake, expand};
use crate::known::is_for_scans;
use crate::select::normal;

/// docker's PATH for a Linux image that has none (moby oci/defaults.go).
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) image: ImageConfig,
    /// ENVs and ARGs with a value, whichever came last.
    vars: Vec<(String, String)>,
    /// ARGs in order of declaration, as the history of RUN shows them.
    pub(crate) args: Vec<(String, String)>,
    pub(crate) escape: char,
    /// A CMD of this stage stays when ENTRYPOINT follows; an inherited one goes.
    pub(crate) own_cmd: bool,
    /// When the newest layer was made, RFC 3339.
    pub(crate) created: Option<String>,
}

impl State {
    /// As BuildKit does, every image gets a PATH: `ENV PATH=/x:$PATH` works on any base.
    pub(crate) fn new(mut image: ImageConfig, escape: char) -> Self {
        // It is the base's.
        image.cache = None;
        if !image.config.env.iter().any(|e| e.starts_with("PATH=")) {
            image.config.env.push(format!("PATH={PATH}"));
        }
        Self::bare(image, escape)
    }

    /// An image as it is.
    pub(crate) fn bare(image: ImageConfig, escape: char) -> Self {
        let created = image.created.clone();
        let pair =
            |e: &String| e.split_once('=').map_or((e.clone(), String::new()), |(n, v)| (n.into(), v.into()));
        let vars = image.config.env.iter().map(pair).collect();
        Self { image, vars, args: Vec::new(), escape, own_cmd: false, created }
    }

    /// A stage on top of another one: it sees its variables; the triggers are taken by who asks for it.
    pub(crate) fn on(mut base: Self) -> Self {
        base.own_cmd = false;
        base
    }

    pub(crate) fn config(&mut self) -> &mut ContainerConfig {
        &mut self.image.config
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.vars.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())
    }

    /// The variables that are set.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.vars.iter().map(|(n, _)| n.as_str())
    }

    pub(crate) fn expand(&self, text: &str) -> Result<String, BuildError> {
        Ok(self.expand_word(text)?)
    }

    /// As [`Self::expand`], with the mistake as it is.
    pub(crate) fn expand_word(&self, text: &str) -> Result<String, Mistake> {
        expand(text, self.escape, &|n| self.get(n))
    }

    /// Words after expansion.
    pub(crate) fn expand_words(&self, text: &str) -> Result<Vec<String>, BuildError> {
        let Expanded { words, .. } = Lex::new(self.escape).process(text, &|n| self.get(n))?;
        Ok(words)
    }

    /// What RUN sees.
    pub(crate) fn run_env(&self) -> Vec<(String, String)> {
        self.vars.clone()
    }

    pub(crate) fn shell(&self) -> Vec<String> {
        let own = &self.image.config.shell;
        if own.is_empty() { vec!["/bin/sh".to_owned(), "-c".to_owned()] } else { own.clone() }
    }

    /// An absolute path, relative ones below WORKDIR.
    pub(crate) fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') {
            return path.to_owned();
        }
        let base = self.image.config.working_dir.trim_end_matches('/');
        format!("{base}/{path}")
    }

    /// WORKDIR: where it is now.
    pub(crate) fn enter(&mut self, path: &str) -> Result<String, BuildError> {
        let path = self.expand(path)?;
        let path = match path.starts_with('/') {
            true => path,
            false => normal(&self.absolute(&path)).display().to_string(),
        };
        self.image.config.working_dir.clone_from(&path);
        Ok(path)
    }

    pub(crate) fn history(&mut self, created_by: String, empty_layer: bool) {
        let created = self.created.clone();
        self.image.history.push(History {
            created,
            created_by: Some(created_by),
            comment: Some("buildkit.dockerfile.v0".to_owned()),
            empty_layer,
            ..History::default()
        });
    }

    fn set_var(&mut self, name: &str, value: &str) {
        match self.vars.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.vars.push((name.to_owned(), value.to_owned())),
        }
    }

    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        self.set_var(name, value);
        let line = format!("{name}={value}");
        let env = &mut self.config().env;
        match env.iter_mut().find(|e| e.split_once('=').is_some_and(|(n, _)| n == name)) {
            Some(old) => *old = line,
            None => env.push(line),
        }
    }

    /// ARG: what is given, else the default, else the global value.
    pub(crate) fn declare(
        &mut self,
        pairs: &[(String, Option<String>)],
        given: &BTreeMap<String, Option<String>>,
        globals: &BTreeMap<String, String>,
    ) -> Result<(), BuildError> {
        let mut shown = Vec::new();
        for (name, default) in pairs {
            let value = match (given.get(name).cloned().flatten(), default) {
                (Some(v), _) => Some(v),
                (None, Some(text)) => Some(self.expand(text)?),
                (None, None) => globals.get(name).cloned(),
            };
            shown.push(value.as_ref().map_or_else(|| name.clone(), |v| format!("{name}={v}")));
            if let Some(value) = value.as_ref().filter(|_| !is_for_scans(name)) {
                self.set_var(name, value);
            }
            let value = value.unwrap_or_default();
            match self.args.iter_mut().find(|(n, _)| n == name) {
                Some((_, old)) => *old = value,
                None => self.args.push((name.clone(), value)),
            }
        }
        self.history(format!("ARG {}", shown.join(" ")), true);
        Ok(())
    }

    /// `|2 A=1 B=2` in the history of a RUN: the ARGs with what their names mean now.
    pub(crate) fn shown_args(&self) -> String {
        if self.args.is_empty() {
            return String::new();
        }
        let pair = |(n, v): &(String, String)| format!("{n}={}", self.get(n).unwrap_or_else(|| v.clone()));
        let list: Vec<String> = self.args.iter().map(pair).collect();
        format!("|{} {} ", list.len(), list.join(" "))
    }
}
