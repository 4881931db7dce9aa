use rcompose_model::Origin;
use serde::{Deserialize, Serialize};

/// Whose fault a failure is; decides how it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The request can't be done as asked.
    User,
    /// The Compose file asks for what can't be.
    Compose,
    /// This version or machine can't do it.
    Unsupported,
    /// The machine refused: full disk, taken port, missing rights.
    Environment,
    /// A fault of this program.
    Internal,
}

/// A step that failed, ready to be shown: what we were doing, to what, why, and what helps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct StepFailure {
    /// Kind.
    pub kind: FailureKind,
    /// One line, lower case, causes included.
    pub message: String,
    /// What the user can do about it.
    pub hint: Option<String>,
    /// Where in the Compose file.
    pub origin: Option<Origin>,
    /// Further lines: the last probe's output, the last log lines.
    pub detail: Vec<String>,
    /// Exit status that a container could not be started with (127, 126).
    pub exit_code: Option<i32>,
}

impl StepFailure {
    /// A failure of a kind with its message.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, origin: None, detail: Vec::new(), exit_code: None }
    }

    /// The machine refused: `doing` failed by `cause` and its sources.
    pub fn environment(doing: impl std::fmt::Display, cause: &dyn std::error::Error) -> Self {
        let mut message = format!("{doing}: {cause}");
        let mut source = cause.source();
        while let Some(s) = source {
            message.push_str(&format!(": {s}"));
            source = s.source();
        }
        Self::new(FailureKind::Environment, message)
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a place.
    #[must_use]
    pub fn at(mut self, origin: &Origin) -> Self {
        self.origin = Some(origin.clone());
        self
    }
}
