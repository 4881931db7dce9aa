//! Where the results of builds go, and how builds are shown.

use rcompose_e2e::Project;

const DOCKERFILE: &str = "FROM busybox:latest AS maker
RUN mkdir -p /out/sub && echo hi > /out/sub/x && ln -s sub/x /out/link && echo $((6*7)) from the step
FROM scratch
COPY --from=maker /out /
";

fn project(name: &str) -> Option<Project> {
    let p = Project::empty(name)?;
    p.file("Dockerfile", DOCKERFILE);
    Some(p)
}

#[test]
fn directories_archives_and_layouts() {
    let Some(p) = project("build-outputs") else { return };
    // A test that broke off may have left it.
    p.run("image rm box/x:1");
    p.run("image build -o out .").ok();
    assert_eq!(std::fs::read_to_string(p.dir().join("out/link")).unwrap(), "hi\n");
    let tar = p.run("image build -q -o - .").ok();
    assert!(tar.stdout.contains("ustar") && tar.stdout.contains("sub/x"), "{}", tar.describe());
    p.run("image build -q -t box/x:1 -o type=oci,dest=image.tar .").ok();
    // Only the archive has the name.
    p.run("image inspect box/x:1").code_is(1);
    p.run("image load -i image.tar").ok().out("box/x:1");
    p.run("image rm box/x:1").ok();
    p.run("image build -q -t box/x:1 -o type=oci,tar=false,dest=layout .").ok();
    p.file("From", "FROM base\nENV A=b\n");
    p.run("image build -q -t box/y -f From --build-context base=oci-layout://layout .").ok();
    p.run("image inspect box/y").ok().out("\"A=b\"");
    p.run("image rm -f box/y").ok();
    p.run("image build -o type=nonsense .").code_is(1).err("unknown type `nonsense`");
}

#[test]
fn identities_and_forms_of_output() {
    let Some(p) = project("build-metadata") else { return };
    let id = p.run("image build -q -t box/meta --iidfile id --metadata-file meta.json .").ok().stdout;
    let read = |name: &str| std::fs::read_to_string(p.dir().join(name)).unwrap();
    assert_eq!(read("id"), id.trim());
    assert!(read("meta.json").contains(id.trim()) && read("meta.json").contains("docker.io/box/meta:latest"));
    let raw = p.run("image build --no-cache --progress rawjson .").ok();
    assert!(
        raw.stderr.contains("\"vertexes\":[{") && raw.stderr.contains("\"logs\":[{"),
        "{}",
        raw.describe()
    );
    let plain = p.run("image build --no-cache --progress plain .").ok();
    assert!(plain.stderr.contains("42 from the step"), "{}", plain.describe());
    let quiet = p.run("image build --no-cache -q .").ok();
    assert_eq!(quiet.stderr, "");
    p.run("image rm -f box/meta").ok();
}

#[test]
fn a_failure_shows_the_lines_around() {
    let Some(p) = project("build-around") else { return };
    p.file("Dockerfile", "FROM busybox:latest\n\nRUN echo first && \\\n    exit 7\nCMD [\"x\"]\n");
    p.run("image build .")
        .code_is(1)
        .err("3 | / RUN echo first")
        .err("4 | |     exit 7")
        .err("5 |   CMD")
        .err("status 7");
}

#[test]
fn contexts_on_standard_input() {
    let Some(p) = project("build-stdin") else { return };
    p.cmd("image build -q -").stdin("FROM busybox:latest\nRUN true\n").run().unwrap().ok();
    let tar =
        std::process::Command::new("tar").args(["-cz", "Dockerfile"]).current_dir(p.dir()).output().unwrap();
    p.cmd("image build -o from-tar -").stdin(tar.stdout).run().unwrap().ok();
    assert_eq!(std::fs::read_to_string(p.dir().join("from-tar/link")).unwrap(), "hi\n");
    p.file("file", "content\n");
    let done =
        p.cmd("image build -o from-file -f - .").stdin("FROM scratch\nCOPY file /\n").run().unwrap().ok();
    assert_eq!(
        std::fs::read_to_string(p.dir().join("from-file/file")).unwrap(),
        "content\n",
        "{}",
        done.describe()
    );
}

#[test]
fn the_cache_outlives_the_image_until_it_is_pruned() {
    let Some(p) = Project::empty("build-prune") else { return };
    p.file("Dockerfile", "FROM busybox:latest\nRUN echo of build-prune > /file\n");
    p.run("image build -q -t box/prune .").ok();
    p.run("image rm box/prune").ok();
    p.run("image build -t box/prune .").ok().err("CACHED");
    p.run("image rm box/prune").ok();
    p.run("builder prune -f --filter until=1h").ok();
    p.run("image build -t box/prune .").ok().err("CACHED");
    p.run("builder du").ok().out("Reclaimable:");
    let listed = p.run("builder du --verbose --filter type=regular").ok().out("Type:\t\tregular\n").stdout;
    assert!(!listed.contains("exec.cachemount"), "{listed}");
    let none =
        ["--filter id=nobody", "--filter type=exec.cachemount --filter id=nobody", "--min-free-space 1"];
    for few in none.into_iter().chain(["--max-used-space 1000tb", "--keep-storage 1000tb"]) {
        p.run(&format!("builder prune -af --builder default {few}")).ok().out("Total:");
    }
    p.run("image build -t box/prune .").ok().err("CACHED");
    for wrong in ["--filter nonsense", "--filter type=foo", "--filter shared=foo", "--min-free-space foo"] {
        p.run(&format!("builder prune {wrong}")).code_is(1).err("invalid ");
    }
    // Where nothing was built yet.
    let new = p.cmd("builder prune -f --min-free-space 1gb").env("RCOMPOSE_ROOT", p.dir().join("new"));
    new.run().unwrap().ok().out("Total:");
    p.run("image rm box/prune").ok();
}

#[test]
fn the_same_date_gives_the_same_image() {
    let Some(p) = Project::empty("build-date") else { return };
    let p = p.env("SOURCE_DATE_EPOCH", 1_700_000_000);
    p.file(
        "Dockerfile",
        "FROM busybox:latest\nRUN echo x > /x && mkdir /d\nCOPY Dockerfile /y\nWORKDIR /z\n",
    );
    let first = p.run("image build -q --no-cache .").ok().stdout;
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let second = p.run("image build -q --no-cache .").ok().stdout;
    assert_eq!(first, second);
    p.run(&format!("image inspect {}", first.trim())).ok().out("2023-11-14T22:13:20Z");
}

#[test]
fn a_shell_for_the_failed_step_needs_a_terminal() {
    let Some(p) = Project::empty("build-shell") else { return };
    p.file("Dockerfile", "FROM busybox:latest\nRUN echo here > /left && false\n");
    p.run("image build .").code_is(1).err("--debug-shell");
    p.run("image build --debug-shell .").code_is(1).err("no terminal");
}

#[test]
fn checks_tell_the_rules_and_build_nothing() {
    let Some(p) = Project::new(
        "build-check",
        "services:\n  a: {build: .}\n  b: {build: {dockerfile_inline: FROM scratch}}\n",
    ) else {
        return;
    };
    p.file("Dockerfile", "FROM busybox:latest\nRUN exit 1\nCMD echo hi\n");
    let found =
        "WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/";
    p.run("image build --check .").code_is(1).out(found).out("   3 | >>> CMD echo hi");
    p.run("build --check").code_is(1).out("Check complete, 1 warning has been found!").out(found);
    p.run("build --check b").ok().out("Check complete, no warnings found.");
    p.file("Dockerfile", "FROM busybox:latest\nCMD echo hi\n");
    p.run("image build .").ok().err("JSONArgsRecommended").err("(line 2)");
    p.run("image build --call check,format=json .").code_is(1).out("\"ruleName\": \"JSONArgsRecommended\"");
    p.run("image build --call=check,ignorestatus=true .").ok().out(found);
}

#[test]
fn calls_say_what_a_dockerfile_takes_and_build_nothing() {
    let Some(p) = Project::new("build-call", "services: {}\n") else { return };
    p.file(
        "Dockerfile",
        "# base the first\nFROM busybox:latest AS base\n# A an argument\nARG A=1\nFROM base\nRUN --mount=type=secret,id=s,required exit 1\n",
    );
    p.run("image build --call outline .")
        .ok()
        .out("BUILD ARG   VALUE   DESCRIPTION\nA           1       an argument\n\nSECRET   REQUIRED\ns        true\n\n");
    p.run("image build --call outline --target base --build-arg A=2 .")
        .ok()
        .out("TARGET:      base\nDESCRIPTION: the first\n\nBUILD ARG   VALUE   DESCRIPTION\nA           2 ");
    p.run("image build --call targets --metadata-file said.json .")
        .ok()
        .out("TARGET    DESCRIPTION\nbase      the first\n(default) \n");
    assert!(
        std::fs::read_to_string(p.dir().join("said.json"))
            .unwrap()
            .contains("\"result.json\": {\n    \"targets\": [")
    );
    p.run("image build --call targets,format=json .").ok().out("\"base\": \"busybox:latest\"");
    p.run("image build --call nonsense .").code_is(1).err("there is no method `nonsense`");
}
