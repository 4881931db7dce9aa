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

fn kinds(text: &str) -> Vec<Kind> {
    let file = parse(text).unwrap_or_else(|e| panic!("{text:?}: {e:?}"));
    file.stages.into_iter().flat_map(|s| s.instructions).map(|i| i.kind).collect()
}

fn one(line: &str) -> Kind {
    kinds(&format!("FROM a\n{line}\n")).remove(0)
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

#[test]
fn heredocs() {
    let text = "FROM a\nRUN <<EOF\necho $A\nEOF\nCOPY <<'one' <<-two /x/\nfirst\none\n\tsecond\n\ttwo\nRUN 3<<\"A B\" cat <<E\\ F\nx\nA B\ny\nE F\nONBUILD RUN <<EOF\n# no comment\nEOF\nRUN [\"a\", \"<<b\"]\nRUN echo '<<a'\n";
    let kinds = kinds(text);
    let Kind::Run(run) = &kinds[0] else { panic!() };
    assert_eq!(run.heredocs[0].content, "echo $A\n");
    let Kind::Copy(copy) = &kinds[1] else { panic!() };
    assert_eq!((copy.heredocs[0].expand, copy.heredocs[1].expand), (false, true));
    assert_eq!((copy.heredocs[0].text(), copy.heredocs[1].text()), ("first\n".into(), "second\n".into()));
    assert_eq!(copy.heredocs[1].content, "\tsecond\n");
    assert_eq!((copy.target.as_str(), copy.sources.len()), ("/x/", 0));
    let Kind::Run(run) = &kinds[2] else { panic!() };
    let names: Vec<(&str, &str)> =
        run.heredocs.iter().map(|h| (h.descriptor.as_str(), h.name.as_str())).collect();
    assert_eq!(names, [("3", "A B"), ("", "E F")]);
    assert_eq!(kinds[3], Kind::Onbuild("RUN <<EOF\n# no comment\nEOF".into()));
    assert!(matches!(&kinds[4], Kind::Run(r) if r.heredocs.is_empty()));
    assert!(matches!(&kinds[5], Kind::Run(r) if r.heredocs.is_empty()));
    // Blanks before the name don't matter.
    assert!(errors("FROM a\nRUN cat << 2\n")[0].starts_with("2:9: unterminated heredoc `2`"));
    assert!(errors("FROM a\nCOPY a <<EOF\nx\nEOF\n")[0].contains("destination of COPY can't be a heredoc"));
}

#[test]
fn lines() {
    let text = "\u{feff}# syntax = docker/dockerfile:1-labs\r\n#escape=`\r\n# check=skip=all;error=true\r\nFROM a\r\n\r\n  # note\r\n#\r\n# kept\r\nRUN a `  \r\n\r\n  # not this\r\n  b\\c\r\nRUN x `\n";
    let file = parse(text).unwrap();
    assert_eq!(file.directives.syntax.as_deref(), Some("docker/dockerfile:1-labs"));
    assert_eq!(file.directives.check.as_deref(), Some("skip=all;error=true"));
    let run = &file.stages[0].instructions[0];
    assert_eq!((run.text.as_str(), run.at.line, run.last_line), ("RUN a   b\\c", 9, 12));
    assert_eq!((run.comments.clone(), file.empty_continuations.clone()), (strings(&["kept"]), vec![12]));
    assert_eq!(file.stages[0].instructions[1].text, "RUN x");
    // Only at the top, each once, and no others between.
    let file = parse("# a comment\n# escape=`\nFROM a\n").unwrap();
    assert_eq!(file.directives.escape, '\\');
    assert_eq!(
        errors("#escape=`\n#escape=`\nFROM a"),
        ["2:1: only one `escape` parser directive can be used"]
    );
    assert_eq!(kinds("FROM a\n\\\nRUN x\n").len(), 1);
    let long = format!("FROM a\nRUN {}\n", "x".repeat(10 << 20));
    assert!(errors(&long)[0].starts_with("2:1: the line is longer than 1024 KiB (put the data into a file"));
}

#[test]
fn forms() {
    let run = |line| match one(line) {
        Kind::Run(run) => run,
        other => panic!("{other:?}"),
    };
    assert_eq!(run("RUN [\"a\", \"b c\"]").command, Command::Exec(strings(&["a", "b c"])));
    assert_eq!(run("RUN ['a']").command, Command::Shell("['a']".into()));
    assert_eq!(run("RUN [\"a\"").command, Command::Shell("[\"a\"".into()));
    assert_eq!(
        run("RUN --mount=type=cache,target=/a --mount=target=/b --network=none x --y").mounts.len(),
        2
    );
    assert_eq!(run("RUN -- --x").command, Command::Shell("--x".into()));
    assert_eq!(run("RUN").command, Command::Shell(String::new()));
    assert_eq!(one("CMD []"), Kind::Cmd(Command::Exec(Vec::new())));
    assert_eq!(one("volume [\"/a b\"]"), Kind::Volume(strings(&["/a b"])));
    assert_eq!(one("VOLUME /a  /b"), Kind::Volume(strings(&["/a", "/b"])));
    assert_eq!(one("EXPOSE 90 80/udp"), Kind::Expose(strings(&["80/udp", "90"])));
    assert_eq!(one("ENV a=1 b='2 3' c=\\ d"), {
        let pair = |(k, v): (&str, &str)| (k.to_owned(), v.to_owned());
        Kind::Env([("a", "1"), ("b", "'2 3'"), ("c", "\\ d")].map(pair).to_vec())
    });
    assert_eq!(one("ARG a b=\"x y\" c="), {
        Kind::Arg(vec![
            ("a".into(), None),
            ("b".into(), Some("\"x y\"".into())),
            ("c".into(), Some(String::new())),
        ])
    });
    assert_eq!(one("USER  a b "), Kind::User("a b".into()));
    assert_eq!(one("HEALTHCHECK --interval=5s NONE"), Kind::Healthcheck(None));
    let Kind::Copy(copy) =
        one("COPY --from=b --chown='a b:c' --exclude=x --exclude=y --link=FALSE [\"a b\", \"c\", \"/d/\"]")
    else {
        panic!()
    };
    assert_eq!((copy.sources.clone(), copy.target.as_str()), (strings(&["a b", "c"]), "/d/"));
    assert_eq!((copy.chown.as_deref(), copy.exclude.len(), copy.link), (Some("a b:c"), 2, false));
    for (line, want) in [
        ("RUN [\"a\", 1]", "2:5: the JSON form takes strings only (put every element into double quotes)"),
        ("COPY --link=1 a b", "2:6: flag `--link` is true or false, not `1`"),
        ("COPY --from a b", "2:6: flag `--from` needs a value"),
        ("COPY --from=a --from=b a b", "2:15: flag `--from` is given twice"),
        ("CMD --x y", "2:5: unknown flag `--x` of CMD (CMD has no flags)"),
        ("ENV A", "2:5: ENV `A` has no value (write `ENV A=value`)"),
        ("ENV =a", "2:5: ENV with an empty name"),
        ("LABEL", "2:1: LABEL needs at least one argument (write `LABEL <name>=<value>`)"),
        ("VOLUME [\"\"]", "2:8: VOLUME with an empty path"),
        ("HEALTHCHECK --interval=1us CMD x", "2:13: `--interval=1us` is shorter than a millisecond"),
        ("HEALTHCHECK --retries=-1 CMD x", "2:13: `--retries=-1` isn't a number"),
        (
            "HEALTHCHECK TCP x",
            "2:13: unknown type `TCP` of HEALTHCHECK (use `HEALTHCHECK CMD command` or `HEALTHCHECK NONE`)",
        ),
        ("ONBUILD ONBUILD RUN x", "2:9: ONBUILD isn't allowed as an ONBUILD trigger"),
        ("RUN --network=mine x", "2:5: unknown network `mine` (use default, none or host)"),
        (
            "FROM a b",
            "2:8: FROM takes one image, or three arguments (write `FROM image` or `FROM image AS name`)",
        ),
    ] {
        assert_eq!(errors(&format!("FROM a\n{line}\n")), [want], "{line}");
    }
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
