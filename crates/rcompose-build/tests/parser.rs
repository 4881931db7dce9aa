//! The Dockerfile language: what is read, and every error with its place.

use rcompose_build::dockerfile::{Command, Kind, parse};

fn errors(text: &str) -> Vec<String> {
    let all = parse(text).expect_err("an error");
    all.into_iter()
        .map(|e| {
            let help = e.help.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
            format!("{e}{help}")
        })
        .collect()
}

#[test]
fn a_python_service() {
    let text = "# syntax=docker/dockerfile:1\nARG V=3.12\nFROM python:${V}-slim AS Build\nRUN pip wheel \\\n    # a comment\n\n    -w /wheels .\nFROM python:${V}-slim\nCOPY --from=build --chown=app:app /wheels /wheels\nUSER app\nHEALTHCHECK --interval=1m30s --retries=3 CMD curl -f http://localhost/ || exit 1\nENTRYPOINT [\"python\", \"-m\", \"app\"]\nENV A=1 B=\"two words\"\nENV OLD the rest of it\n";
    let file = parse(text).unwrap();
    assert_eq!(file.directives.syntax.as_deref(), Some("docker/dockerfile:1"));
    assert_eq!(file.global_args.len(), 1);
    assert_eq!(file.stages[0].from.name.as_deref(), Some("build"));
    let run = &file.stages[0].instructions[0];
    assert_eq!((run.at.line, run.last_line), (4, 7));
    let Kind::Run(inner) = &run.kind else { panic!("{run:?}") };
    assert_eq!(inner.command, Command::Shell("pip wheel     -w /wheels .".to_owned()));
    let kinds: Vec<&Kind> = file.stages[1].instructions.iter().map(|i| &i.kind).collect();
    let Kind::Copy(copy) = kinds[0] else { panic!() };
    assert_eq!((copy.from.as_deref(), copy.chown.as_deref()), (Some("build"), Some("app:app")));
    assert_eq!((copy.sources.clone(), copy.target.as_str()), (vec!["/wheels".to_owned()], "/wheels"));
    let Kind::Healthcheck(Some(health)) = kinds[2] else { panic!() };
    assert_eq!((health.interval, health.retries), (90_000_000_000, 3));
    assert_eq!(kinds[3], &Kind::Entrypoint(Command::Exec(vec!["python".into(), "-m".into(), "app".into()])));
    assert_eq!(kinds[4], &Kind::Env(vec![("A".into(), "1".into()), ("B".into(), "\"two words\"".into())]));
    assert_eq!(kinds[5], &Kind::Env(vec![("OLD".into(), "the rest of it".into())]));
}

#[test]
fn heredocs() {
    let text = "FROM a\nRUN <<EOF\necho $A\nEOF\nCOPY <<'one' <<-two /x/\nfirst\none\n\tsecond\n\ttwo\nRUN cat << 2\n";
    let file = parse(text).unwrap();
    let kinds: Vec<&Kind> = file.stages[0].instructions.iter().map(|i| &i.kind).collect();
    let Kind::Run(run) = kinds[0] else { panic!() };
    assert_eq!(run.heredocs[0].content, "echo $A\n");
    let Kind::Copy(copy) = kinds[1] else { panic!() };
    assert_eq!((copy.heredocs[0].expand, copy.heredocs[1].expand), (false, true));
    assert_eq!(
        (copy.heredocs[0].content.as_str(), copy.heredocs[1].content.as_str()),
        ("first\n", "second\n")
    );
    assert_eq!(copy.target, "/x/");
    assert!(matches!(kinds[2], Kind::Run(r) if r.heredocs.is_empty()));
}

#[test]
fn escape_directive() {
    let file = parse("# escape=`\nFROM a\nRUN dir c:\\ `\n  x\n").unwrap();
    let Kind::Run(run) = &file.stages[0].instructions[0].kind else { panic!() };
    assert_eq!(run.command, Command::Shell("dir c:\\   x".to_owned()));
}

#[test]
fn all_errors_at_once() {
    assert_eq!(
        errors(
            "FROM a\nRUNN x\n  COPY --chwon=a b c\nCOPY one\nHEALTHCHECK --interval=x CMD y\nSHELL sh -c\nENV A=1 B\n"
        ),
        [
            "2:1: unknown instruction `RUNN` (did you mean `RUN`?)",
            "3:8: unknown flag `--chwon` of COPY (did you mean `--chown`?)",
            "4:1: COPY needs at least a source and a destination (write `COPY <source>… <destination>`)",
            "5:13: `--interval=x` isn't a duration such as 30s or 1m30s",
            "6:7: SHELL needs the exec form (write it as a JSON array: SHELL [\"/bin/bash\", \"-c\"])",
            "7:9: `B` isn't of the form name=value (put a value with spaces into quotes)",
        ]
    );
    assert_eq!(errors(""), ["1:1: the Dockerfile is empty (begin with `FROM <image>`)"]);
    assert_eq!(
        errors("RUN x\nFROM a AS 1x\nRUN <<E\n"),
        [
            "1:1: RUN before the first FROM (begin with `FROM <image>`; only ARG may come before it)",
            "2:11: invalid name `1x` for a build stage (a name begins with a letter and has letters, digits, `-`, `_` and `.`)",
            "3:5: unterminated heredoc `E` (end it by a line that is just `E`)",
        ]
    );
}
