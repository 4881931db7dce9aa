/// What kind of thing a diagnostic is about: stable names for tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Code {
    /// A value that its attribute doesn't take.
    #[default]
    InvalidValue,
    /// Text that isn't YAML.
    InvalidYaml,
    /// Not UTF-8, empty, too large, nested too deep.
    UnusableFile,
    /// A file that isn't there or can't be read.
    UnreadableFile,
    /// A key that no attribute has here.
    UnknownKey,
    /// A list where a mapping belongs, and so on.
    WrongType,
    /// The same key, or the same entry, twice.
    Duplicate,
    /// An attribute that has to be there and isn't.
    MissingAttribute,
    /// `networks:` names one that isn't defined.
    UndefinedNetwork,
    /// A mount names a volume that isn't defined.
    UndefinedVolume,
    /// A service that isn't there, or whose profile is off.
    UndefinedService,
    /// A secret, config or model that isn't defined.
    UndefinedResource,
    /// Attributes that exclude each other.
    Conflict,
    /// Services that depend on, extend or include each other in a ring.
    Cycle,
    /// `${…}` that can't be understood.
    InvalidInterpolation,
    /// `${X:?…}` without a value.
    RequiredVariable,
    /// A variable without a value, taken as empty.
    UnsetVariable,
    /// A line of an env file that can't be understood.
    InvalidEnvFile,
    /// The project's name.
    ProjectName,
    /// An old way of saying something.
    Deprecated,
    /// Understood, and not done by this version.
    NotSupported,
    /// Understood, and not possible on this machine.
    NotPossibleHere,
}

impl Code {
    /// All of them, in order.
    pub const ALL: [Self; 22] = [
        Self::InvalidValue,
        Self::InvalidYaml,
        Self::UnusableFile,
        Self::UnreadableFile,
        Self::UnknownKey,
        Self::WrongType,
        Self::Duplicate,
        Self::MissingAttribute,
        Self::UndefinedNetwork,
        Self::UndefinedVolume,
        Self::UndefinedService,
        Self::UndefinedResource,
        Self::Conflict,
        Self::Cycle,
        Self::InvalidInterpolation,
        Self::RequiredVariable,
        Self::UnsetVariable,
        Self::InvalidEnvFile,
        Self::ProjectName,
        Self::Deprecated,
        Self::NotSupported,
        Self::NotPossibleHere,
    ];

    /// The stable name: `unknown-key`.
    pub fn id(self) -> &'static str {
        self.words().0
    }

    /// One sentence for people.
    pub fn summary(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::InvalidValue => ("invalid-value", "A value that its attribute doesn't take"),
            Self::InvalidYaml => ("invalid-yaml", "The text isn't YAML"),
            Self::UnusableFile => ("unusable-file", "A file that is empty, not UTF-8 or too large"),
            Self::UnreadableFile => ("unreadable-file", "A file that isn't there or can't be read"),
            Self::UnknownKey => ("unknown-key", "A key that isn't an attribute here"),
            Self::WrongType => ("wrong-type", "A value of another type than its attribute takes"),
            Self::Duplicate => ("duplicate", "The same key or entry twice"),
            Self::MissingAttribute => ("missing-attribute", "An attribute that has to be there"),
            Self::UndefinedNetwork => ("undefined-network", "A network that isn't defined"),
            Self::UndefinedVolume => ("undefined-volume", "A volume that isn't defined"),
            Self::UndefinedService => ("undefined-service", "A service that isn't defined or enabled"),
            Self::UndefinedResource => ("undefined-resource", "A secret, config or model that isn't defined"),
            Self::Conflict => ("conflict", "Attributes that exclude each other"),
            Self::Cycle => ("cycle", "Services or files that need each other in a ring"),
            Self::InvalidInterpolation => {
                ("invalid-interpolation", "A variable's use that can't be understood")
            }
            Self::RequiredVariable => ("required-variable", "A required variable without a value"),
            Self::UnsetVariable => ("unset-variable", "A variable that isn't set, taken as empty"),
            Self::InvalidEnvFile => ("invalid-env-file", "A line of an env file that can't be understood"),
            Self::ProjectName => ("project-name", "The project's name isn't usable"),
            Self::Deprecated => ("deprecated", "An old way of saying something"),
            Self::NotSupported => ("not-supported", "Understood, but not done by this version"),
            Self::NotPossibleHere => ("not-possible-here", "Understood, but not possible on this machine"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn names_are_unique() {
        let ids: std::collections::BTreeSet<_> = Code::ALL.iter().map(|c| c.id()).collect();
        assert_eq!(ids.len(), Code::ALL.len());
    }
}
