use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is no user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// A number outside the range.
    #[error("{0} isn't an id: users and groups go from 0 to 2147483647")]
    Range(String),
    /// Something behind the group.
    #[error("{0:?} isn't USER[:GROUP]")]
    Parts(String),
}

/// A user or group: by number, or by a name that the image knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// Its id.
    Id(u32),
    /// Its name.
    Name(String),
}

/// `user[:group]`. Names are looked up in the image when a container starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct User {
    /// Who; `None` is root.
    pub user: Option<Account>,
    /// The primary group; `None` is the user's.
    pub group: Option<Account>,
}

fn account(text: &str) -> Result<Option<Account>, UserError> {
    // A name may have digits in it, but isn't a number.
    match text.parse::<i64>() {
        Ok(n) => match u32::try_from(n).ok().filter(|n| *n <= i32::MAX as u32) {
            Some(id) => Ok(Some(Account::Id(id))),
            None => Err(UserError::Range(text.to_owned())),
        },
        Err(_) if text.is_empty() => Ok(None),
        Err(_) => Ok(Some(Account::Name(text.to_owned()))),
    }
}

impl FromStr for User {
    type Err = UserError;
    fn from_str(text: &str) -> Result<Self, UserError> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        if group.contains(':') {
            return Err(UserError::Parts(text.to_owned()));
        }
        Ok(Self { user: account(user)?, group: account(group)? })
    }
}

impl TryFrom<String> for User {
    type Error = UserError;
    fn try_from(text: String) -> Result<Self, UserError> {
        text.parse()
    }
}

impl From<User> for String {
    fn from(user: User) -> Self {
        user.to_string()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            user.fmt(f)?;
        }
        self.group.as_ref().map_or(Ok(()), |group| write!(f, ":{group}"))
    }
}

#[cfg(test)]
mod tests {
    use super::User;

    #[test]
    fn users() {
        for (text, want) in
            [("", ""), ("app", "app"), ("1000:1000", "1000:1000"), ("app:", "app"), (":5", ":5")]
        {
            assert_eq!(text.parse::<User>().unwrap().to_string(), want);
        }
        for bad in ["-1", "9999999999", "a:b:c", "a:2147483648"] {
            assert!(bad.parse::<User>().is_err(), "{bad}");
        }
    }
}
