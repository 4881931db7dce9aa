//! From the words of the command line to what they mean.

use std::ffi::OsString;

use clap::error::{Error, ErrorKind};
use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches};

use super::switches::parse_with_switches;
use super::{Cli, Verb};

/// The flag of the whole program behind a verb; the same one may stand in both places.
const DRY_RUN: &str = "dry-run-here";

/// Verbs that have nothing to do with a project, and nothing to show instead of doing it.
const WITHOUT: [&str; 6] = ["builder", "image", "login", "logout", "system", "volume"];

/// Errors: those to be printed, help and version among them.
pub(crate) fn parse(words: Vec<OsString>) -> Result<Cli, Error> {
    parse_with_switches(words, |words| {
        let mut command = command();
        let matches = command.try_get_matches_from_mut(words)?;
        let mut cli = Cli::from_arg_matches(&matches).map_err(|e| e.format(&mut command))?;
        let verb = matches.subcommand();
        // docker compose takes these behind the verb, too.
        cli.global.dry_run |= verb.is_some_and(|(_, m)| {
            m.try_get_one::<bool>(DRY_RUN).is_ok_and(|dry| dry.copied().unwrap_or_default())
        });
        if let Verb::Build(args) = &cli.verb {
            cli.global.progress = args.progress.clone().or(cli.global.progress);
        }
        match verb {
            Some((name, _)) if cli.global.dry_run && WITHOUT.contains(&name) => {
                let message = format!("`rcompose {name}` has no --dry-run: it would really act");
                Err(command.error(ErrorKind::ArgumentConflict, message))
            }
            _ => Ok(cli),
        }
    })
}

fn command() -> Command {
    let command = Cli::command();
    let mut verbs: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    verbs.retain(|v| !WITHOUT.contains(&v.as_str()));
    verbs.into_iter().fold(command, |command, verb| {
        command.mut_subcommand(verb, |verb| {
            let help = "Show what would be done, and do nothing";
            verb.arg(Arg::new(DRY_RUN).long("dry-run").action(ArgAction::SetTrue).help(help))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Cli, Error> {
        parse(line.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn nothing_is_done_wherever_it_is_said() {
        for line in
            ["--dry-run up", "up --dry-run", "down --dry-run -v", "kill a --dry-run", "up --dry-run=true"]
        {
            assert!(words(&format!("rcompose {line}")).unwrap().global.dry_run, "{line}");
        }
        for line in ["up", "run a --dry-run", "exec a b --dry-run", "up --dry-run=false"] {
            assert!(!words(&format!("rcompose {line}")).unwrap().global.dry_run, "{line}");
        }
        for line in ["--dry-run image rm x", "image rm --dry-run x", "--dry-run system prune"] {
            words(&format!("rcompose {line}")).unwrap_err();
        }
        assert_eq!(words("rcompose build --progress plain").unwrap().global.progress.unwrap(), "plain");
    }

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }
}
