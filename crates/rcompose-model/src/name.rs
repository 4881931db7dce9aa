use serde::{Deserialize, Serialize};

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A project name outside `[a-z0-9][a-z0-9_-]*`.
    #[error(
        "invalid project name {0:?}: must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number"
    )]
    Project(String),
    /// A service name outside `[a-zA-Z0-9._-]+`.
    #[error("invalid service name {0:?}: letters, digits, dots, hyphens and underscores only")]
    Service(String),
}

/// A project's name: `[a-z0-9][a-z0-9_-]*` (Compose specification, "Name top-level element").
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectName(String);

impl ProjectName {
    /// Takes a name as given; fails unless it is already in normal form.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        let ok = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
        if ok { Ok(Self(name)) } else { Err(NameError::Project(name)) }
    }

    /// Lower-cases and drops what a project name can't have, as docker compose
    /// does with directory names (`My.App 2` becomes `myapp2`).
    pub fn normalized(name: &str) -> Result<Self, NameError> {
        let cleaned: String = name
            .to_lowercase()
            .chars()
            .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_' || *c == '-')
            .collect();
        Self::new(cleaned.trim_start_matches(['_', '-']).to_owned())
            .map_err(|_| NameError::Project(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A service's name: `[a-zA-Z0-9._-]+` (Compose specification, "Services top-level elements").
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(String);

impl ServiceName {
    /// Checks and takes a service name.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        let ok = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if ok { Ok(Self(name)) } else { Err(NameError::Service(name)) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_newtype {
    ($name:ident) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(value: String) -> Result<Self, NameError> {
                Self::new(value)
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}
text_newtype!(ProjectName);
text_newtype!(ServiceName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_names() {
        assert!(ProjectName::new("app-1_x").is_ok());
        for bad in ["", "App", "-a", "a b", "_a"] {
            assert!(ProjectName::new(bad).is_err(), "{bad}");
        }
        for (from, to) in [("My.App Dir", "myappdir"), ("My_App 2", "my_app2"), ("--x", "x")] {
            assert_eq!(ProjectName::normalized(from).unwrap().as_str(), to);
        }
    }

    #[test]
    fn service_names() {
        assert!(ServiceName::new("Web.1-a_b").is_ok());
        assert!(ServiceName::new("a b").is_err());
        assert!(ServiceName::new("").is_err());
    }
}
