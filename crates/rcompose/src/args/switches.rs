//! `--no-cache=false`: docker's flags without a value take one all the same (spf13/pflag).

use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use rcompose_build::parse_bool;

/// Calls `parse` with the words, and again without the values of flags that have none: true ones stay as they are, false
/// ones go, and those of the same name before them.
///
/// Errors: those of the last call.
pub(crate) fn parse_with_switches<T>(
    mut words: Vec<OsString>,
    parse: impl Fn(&[OsString]) -> Result<T, Error>,
) -> Result<T, Error> {
    loop {
        let error = match parse(&words) {
            Err(e) if matches!(e.kind(), ErrorKind::TooManyValues | ErrorKind::UnknownArgument) => e,
            other => return other,
        };
        if !set_one(&mut words, &error) {
            return Err(error);
        }
    }
}

/// Whether there was one to set.
fn set_one(words: &mut Vec<OsString>, error: &Error) -> bool {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let (flag, value) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue));
    let at = match error.kind() {
        ErrorKind::TooManyValues => {
            let whole = format!("{flag}={value}");
            words.iter().position(|w| *w == OsStr::new(&whole))
        }
        // Which one, it doesn't say.
        ErrorKind::UnknownArgument if flag == "-=" => words.iter().position(|w| short(w).is_some()),
        _ => None,
    };
    let word = at.and_then(|at| Some((at, words[at].to_str()?.to_owned())));
    let Some((at, (flag, on))) = word.as_ref().and_then(|(at, w)| Some((*at, switch(w)?))) else {
        return false;
    };
    if on {
        words[at] = flag.into();
        return true;
    }
    // Of several letters, the value is the last one's.
    match flag.char_indices().nth(2).filter(|_| !flag.starts_with("--")) {
        Some(_) => words[at] = flag[..flag.len() - 1].into(),
        None => drop(words.remove(at)),
    }
    let before: Vec<OsString> = words.drain(..at).filter(|w| *w != OsStr::new(flag)).collect();
    words.splice(0..0, before);
    true
}

/// `-q=true`.
fn short(word: &OsStr) -> Option<(&str, bool)> {
    let text = word.to_str().filter(|w| !w.starts_with("--"))?;
    switch(text)
}

/// The flag and its value.
fn switch(word: &str) -> Option<(&str, bool)> {
    let (flag, value) = word.split_once('=')?;
    (flag.len() > 1 && flag.is_ascii() && flag.starts_with('-')).then_some((flag, parse_bool(value)?))
}

#[cfg(test)]
mod tests {
    use clap::{Parser, Subcommand};

    use super::*;

    #[derive(Debug, Parser, PartialEq)]
    #[command(args_override_self = true)]
    struct Words {
        #[command(subcommand)]
        verb: Verb,
    }

    #[derive(Debug, Subcommand, PartialEq)]
    enum Verb {
        Build {
            #[arg(short, long)]
            quiet: bool,
            #[arg(long)]
            no_cache: bool,
            services: Vec<String>,
        },
        Run {
            #[arg(long)]
            no_cache: bool,
            #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
            rest: Vec<String>,
        },
    }

    #[test]
    fn values_of_flags() {
        for (text, want) in [
            ("build --no-cache=false", Some((false, false))),
            ("build --no-cache --no-cache=false", Some((false, false))),
            ("build --no-cache=false --no-cache", Some((false, true))),
            ("build --no-cache=T --quiet=1", Some((true, true))),
            ("build -q=true", Some((true, false))),
            ("build -q=false", Some((false, false))),
            ("build -q --no-cache -q=0 x", Some((false, true))),
            ("build --no-cache=maybe", None),
            ("build --nothing=true", None),
        ] {
            let words = std::iter::once("x").chain(text.split(' ')).map(OsString::from).collect();
            let got = parse_with_switches(words, |w| Words::try_parse_from(w)).ok();
            let got = got.map(|w| match w.verb {
                Verb::Build { quiet, no_cache, .. } => (quiet, no_cache),
                Verb::Run { .. } => panic!("{text}"),
            });
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn what_is_somebody_elses_stays() {
        let words =
            ["x", "run", "--no-cache=false", "run", "--no-cache=false", "-q=false"].map(OsString::from);
        let got = parse_with_switches(words.to_vec(), |w| Words::try_parse_from(w)).unwrap();
        let rest = ["run", "--no-cache=false", "-q=false"].map(str::to_owned).to_vec();
        assert_eq!(got, Words { verb: Verb::Run { no_cache: false, rest } });
    }
}
