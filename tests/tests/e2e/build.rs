//! Images from Dockerfiles.

use rcompose_e2e::Project;

fn project(name: &str, dockerfile: &str) -> Option<Project> {
    let p = Project::new(name, "services:\n  box: {build: .}\n")?;
    p.file("Dockerfile", dockerfile);
    Some(p)
}

#[test]
fn second_build_runs_nothing() {
    let Some(p) = project(
        "build-cache",
        "FROM busybox:latest\nRUN echo made > /made\nCOPY file /file\nRUN cat /made /file > /both\nCMD [\"cat\", \"/both\"]\n",
    ) else {
        return;
    };
    // An earlier run of this test may have left its steps in the cache.
    let unique = format!("{:?}", std::time::SystemTime::now());
    p.file("file", "first\n");
    p.run("build").ok();
    p.run("run --rm -T box").ok().out("made\nfirst\n");
    p.run("build").ok().err("#1 CACHED").err("#2 CACHED").err("#3 CACHED");
    // What scripts still have from former versions of docker compose.
    p.run("build --parallel --compress=false --force-rm --no-rm --progress quiet box").ok().not_err("CACHED");
    p.file("file", &format!("second {unique}\n"));
    // From its COPY on: the step before it stays.
    p.run("build").ok().err("#1 CACHED").not_err("#2 CACHED").not_err("#3 CACHED");
    p.run("run --rm -T box").ok().out("made\nsecond ");
    p.run("down --rmi all").ok();
}

#[test]
fn failing_step_shows_output_line_and_status() {
    let Some(p) =
        project("build-fail", "FROM busybox:latest\n\nRUN echo working; echo broken >&2; exit 42\n")
    else {
        return;
    };
    let done = p.run("build").code_is(1).err("42").err("--> Dockerfile:3");
    let all = format!("{}{}", done.stdout, done.stderr);
    assert!(all.contains("working") && all.contains("broken"), "{}", done.describe());
    p.run("up -d").code_is(1);
    p.nothing_left(true);
}

#[test]
fn stages_arguments_and_ignored_files() {
    let Some(p) = Project::new(
        "build-stages",
        "services:
  box:
    build:
      context: .
      dockerfile: docker/Box
      target: final
      args: {WORD: hello, UNUSED: x}
",
    ) else {
        return;
    };
    p.file(
        "docker/Box",
        "ARG BASE=busybox
FROM ${BASE}:latest AS maker
ARG WORD=default
WORKDIR /work
COPY . .
RUN echo \"$WORD\" > word && ls > list

FROM ${BASE}:latest AS final
COPY --from=maker --chown=7:8 /work/word /work/list /out/
ENV KIND=\"of magic\" PATH=/out:$PATH
LABEL made.by=test
USER 7:8
WORKDIR /out
ENTRYPOINT [\"sh\", \"-c\"]
CMD [\"cat word list; id -u; echo $KIND; stat -c %u:%g word\"]

FROM final AS never
RUN exit 1
",
    );
    p.file(".dockerignore", "**/*.log\n!keep.log\n");
    p.file("a.log", "");
    p.file("keep.log", "");
    p.file("sub/b.log", "");
    p.run("build").ok();
    let done = p.run("run --rm -T box").ok();
    assert_eq!(
        done.stdout,
        "hello\ncompose.yaml\ndocker\nkeep.log\nlist\nsub\nword\n7\nof magic\n7:8\n",
        "{}",
        done.describe()
    );
    p.run("down --rmi all").ok();
}

#[test]
fn unknown_instruction_and_missing_files_are_placed() {
    let Some(p) = project("build-bad", "FROM busybox:latest\nRUNN echo hi\n") else { return };
    p.run("build").code_is(1).err("Dockerfile:2").err("RUNN");
    p.file("Dockerfile", "FROM busybox:latest\nCOPY nothing /\n");
    p.run("build").code_is(1).err("nothing");
    std::fs::remove_file(p.dir().join("Dockerfile")).unwrap();
    p.run("build").code_is(1).err("Dockerfile");
    p.file("compose.yaml", "services:\n  box: {build: ./nowhere}\n");
    p.run("build").code_is(1).err("nowhere");
}
