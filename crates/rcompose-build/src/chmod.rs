//! `--chmod`: an octal mode, or chmod(1)'s symbolic one with a umask of 0.

use crate::BuildError;

/// What becomes of a mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chmod {
    Octal(u32),
    Symbolic(Vec<Action>),
}

/// `go-w`: whom it is about, what is done, with which bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Action {
    who: u32,
    operator: char,
    bits: u32,
    /// `X`: for directories, and where somebody may execute already.
    execute: bool,
    /// `u`, `g` or `o`: their bits are taken.
    like: Vec<char>,
}

const STICKY: u32 = 0o1000;
const EXECUTE: u32 = 0o111;

impl Chmod {
    pub(crate) fn parse(text: &str) -> Result<Self, BuildError> {
        let octal = text.starts_with(|c: char| c.is_ascii_digit());
        let read = if octal {
            u32::from_str_radix(text, 8).ok().filter(|m| *m <= 0o7777).map(Self::Octal)
        } else {
            text.split(',').map(clause).collect::<Option<Vec<_>>>().map(|c| Self::Symbolic(c.concat()))
        };
        read.ok_or_else(|| {
            BuildError::input(format!("`--chmod={text}` isn't a mode"))
                .help("write it in octal up to 7777, such as 755 or 0644, or as chmod does: u=rwX,go-w")
        })
    }

    pub(crate) fn apply(&self, old: u32, directory: bool) -> u32 {
        let actions = match self {
            Self::Octal(mode) => return *mode,
            Self::Symbolic(actions) => actions,
        };
        let mut mode = old & 0o7777;
        for action in actions {
            let mut bits = action.bits;
            if action.execute && (directory || old & EXECUTE != 0) {
                bits |= EXECUTE;
            }
            for class in &action.like {
                let three = match class {
                    'u' => mode >> 6 & 7,
                    'g' => mode >> 3 & 7,
                    _ => mode & 7,
                };
                bits |= three << 6 | three << 3 | three;
            }
            bits &= action.who;
            match action.operator {
                '+' => mode |= bits,
                '-' => mode &= !bits,
                _ => mode = mode & !(action.who & !STICKY | bits & STICKY) | bits,
            }
        }
        mode
    }

    /// The mode of directories made on the way.
    pub(crate) fn of_parents(&self) -> u32 {
        match self {
            Self::Octal(mode) => mode & 0o777,
            Self::Symbolic(_) => 0o755,
        }
    }
}

/// `ug+rX-w`.
fn clause(text: &str) -> Option<Vec<Action>> {
    let start = text.find(['+', '-', '='])?;
    let mut who = 0;
    for c in text[..start].chars() {
        who |= match c {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o007,
            'a' => 0o6777,
            _ => return None,
        };
    }
    let only_others = who == 0o007;
    let who = if who == 0 { 0o6777 } else { who };
    let mut actions: Vec<Action> = Vec::new();
    for c in text[start..].chars() {
        if matches!(c, '+' | '-' | '=') {
            actions.push(Action { who, operator: c, bits: 0, execute: false, like: Vec::new() });
            continue;
        }
        let action = actions.last_mut()?;
        match c {
            'r' => action.bits |= 0o444,
            'w' => action.bits |= 0o222,
            'x' => action.bits |= EXECUTE,
            'X' if action.operator == '-' => action.bits |= EXECUTE,
            'X' => action.execute = true,
            's' if only_others => {}
            's' => action.bits |= 0o6000,
            't' if only_others => {}
            't' => {
                action.who |= STICKY;
                action.bits |= STICKY;
            }
            'u' | 'g' | 'o' => action.like.push(c),
            _ => return None,
        }
    }
    Some(actions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (text, old, directory, want) in [
            ("755", 0o600, false, 0o755),
            ("4755", 0o600, false, 0o4755),
            ("u+x,go-r", 0o644, false, 0o700),
            ("u=rwX,go=rX", 0o644, false, 0o644),
            ("u=rwX,go=rX", 0o700, true, 0o755),
            ("+t,g=u", 0o644, false, 0o1664),
            ("a=", 0o4755, false, 0),
            ("go=u-w", 0o640, false, 0o644),
            ("ug+s", 0o755, false, 0o6755),
            ("o+s", 0o755, false, 0o755),
            ("-x", 0o755, false, 0o644),
            ("=r+w", 0o755, false, 0o666),
        ] {
            assert_eq!(
                format!("{:o}", Chmod::parse(text).unwrap().apply(old, directory)),
                format!("{want:o}"),
                "{text}"
            );
        }
        for bad in ["999", "17777", "", "u", "z+r", "u+q", "u+r,", "x"] {
            assert!(Chmod::parse(bad).is_err(), "{bad}");
        }
    }
}
