//! Build arguments that are for the builder itself, and what a Dockerfile may ask for and not get.

use rcompose_e2e::Project;

#[test]
fn arguments_for_the_builder() {
    let Some(p) = Project::new("build-arguments", "services: {}\n") else { return };
    p.file(
        "Dockerfile",
        "FROM busybox:latest\nARG SOURCE_DATE_EPOCH\nRUN touch /new && echo \"host $(hostname), date $SOURCE_DATE_EPOCH\"\nCMD echo\n",
    );
    let build = |more: &str| p.run(&format!("image build --progress plain -t rc-arguments {more} ."));
    let date = |want: &str| p.run("image inspect -f {{.Created}} rc-arguments").ok().out(want);
    build("--no-cache --build-arg SOURCE_DATE_EPOCH=1000 --build-arg BUILDKIT_SANDBOX_HOSTNAME=box")
        .ok()
        .err("host box, date 1000")
        .err("1 warning found")
        .err("JSONArgsRecommended");
    date("1970-01-01T00:16:40Z");
    build("--build-arg SOURCE_DATE_EPOCH=x").code_is(1).err("invalid SOURCE_DATE_EPOCH `x`");
    let quiet =
        build("--build-arg BUILDKIT_DOCKERFILE_CHECK=skip=all --build-arg BUILDKIT_INLINE_CACHE=1").ok();
    quiet.not_err("warning");
    build("--build-arg BUILDKIT_DOCKERFILE_CHECK=error=true")
        .code_is(1)
        .err("the checks found JSONArgsRecommended");
    build("--build-arg BUILDKIT_MULTI_PLATFORM=1 -o out").ok();
    let platform = std::fs::read_dir(p.dir().join("out")).unwrap().next().unwrap().unwrap();
    assert!(platform.file_name().to_string_lossy().starts_with("linux_"), "{platform:?}");

    p.file("Dated", "ARG SOURCE_DATE_EPOCH=2000\nFROM busybox:latest\nRUN touch /new\n");
    build("-f Dated").ok();
    date("1970-01-01T00:33:20Z");

    p.file("Cache", "FROM busybox:latest\nRUN --mount=type=cache,target=/c echo x >> /c/f && echo \"is $(wc -l < /c/f)\"\n");
    // Caches stay between runs of the tests.
    let run = std::process::id();
    for (namespace, want) in [("a", "is 1"), ("b", "is 1"), ("a", "is 2")] {
        build(&format!("-f Cache --no-cache --build-arg BUILDKIT_CACHE_MOUNT_NS={run}-{namespace}"))
            .ok()
            .err(want);
    }
}

#[test]
fn frontends_and_devices_there_are_none_of() {
    let Some(p) = Project::new("build-frontends", "services: {}\n") else { return };
    p.file("Own", "# syntax = mirror.example/docker/dockerfile:1-labs\nFROM busybox:latest\n");
    p.run("image build -f Own .").ok().not_err("warning");
    p.file("Other", "#syntax=me/frontend:1\nFROM busybox:latest\n");
    let refused = "the frontend `me/frontend:1` can't be run";
    p.run("image build -f Other .").code_is(1).err(refused).err("Other:1:9");
    p.run("image build --check -f Other .").code_is(1).err(refused);
    // A copy of docker's by another name.
    let own = "--build-arg BUILDKIT_SYNTAX=docker/dockerfile:1";
    p.run(&format!("image build {own} -f Other .")).ok().not_err("warning");
    p.run("image build --build-arg BUILDKIT_SYNTAX=me/frontend:1 -f Own .")
        .code_is(1)
        .err(refused)
        .err("leave the build argument BUILDKIT_SYNTAX out");
    for text in [
        "#!/usr/bin/env x\n# escape=`\n# syntax=me/frontend:1 --more\nhello: world\n",
        "// syntax=me/frontend:1\nlet x = 1\n",
        "{\"syntax\": \"me/frontend:1\"}\n",
    ] {
        p.file("Other", text);
        p.run("image build -f Other .")
            .code_is(1)
            .err("the frontend `me/frontend:1")
            .not_err("unknown instruction");
    }
    p.file("Other", "FROM busybox:latest\n# syntax=me/frontend:1\n");
    p.run("image build -f Other .").ok().not_err("warning");
    // A trigger that nobody knows harms only who builds on top of it, as with docker.
    p.file("Trigger", "FROM busybox:latest\nONBUILD CPOY a b\n");
    p.run("image build -t box/trigger -f Trigger .")
        .ok()
        .err("unknown instruction `CPOY` (did you mean `COPY`?)");
    p.file("Top", "FROM box/trigger\nRUN true\n");
    p.run("image build -f Top .").code_is(1).err("Top:1:1").err("unknown instruction `CPOY`");
    p.run("image rm -f box/trigger").ok();
    p.file("Device", "FROM busybox:latest\nRUN --device=vendor.com/dev=x true\n");
    p.run("image build -f Device .").ok().err("RUN goes without the device `vendor.com/dev=x`");
    p.file("Device", "FROM busybox:latest\nRUN --device=vendor.com/dev=x,required true\n");
    p.run("image build -f Device .")
        .code_is(1)
        .err("there is no device `vendor.com/dev=x` for RUN")
        .err("Device:2:");
}

/// Each with what is wrong and what to do, before anything is built.
#[test]
fn mistakes_on_the_command_line() {
    let Some(p) = Project::empty("build-mistakes") else { return };
    p.file("Dockerfile", "FROM scratch\nCOPY Dockerfile /\nFROM scratch AS named\nCOPY Dockerfile /\n");
    let digest = format!("a@sha256:{}", "0".repeat(64));
    for (flags, wrong, help) in [
        (&["--platform", "foo"][..], "`foo` is not a platform", "os/architecture"),
        (&["--label", ""], "--label : the name is empty", "NAME=VALUE"),
        (&["--build-context", "=x"], "--build-context =x: ", "NAME=PATH"),
        (&["--build-context", "a=/nowhere"], "/nowhere doesn't exist", "create it"),
        (&["--build-context", "a=alpine:3"], "alpine:3 doesn't exist", "docker-image://"),
        (&["--build-context", "a=docker-image://A B"], "invalid image reference \"A B\"", "upper-case"),
        (&["--build-context", "a=oci-layout://nowhere"], "the OCI layout", "index.json"),
        (&["--tag", &digest], "can't be given a digest", "leave the digest out"),
        (&["--tag", "My/App"], "upper-case letters", "write `my/app`"),
        (&["--tag", "https://x.y/z"], "malformed at `https:`", "write x.y/z"),
        (&["--attest", "sbom"], "`sbom` has no value", "type=sbom"),
        (&["--provenance", "xx"], "invalid value `xx` for provenance", "mode=min"),
        (&["--sbom", "xx"], "invalid value `xx` for sbom", "true or false"),
        (&["--secret", "id=x,src=/nowhere"], "the secret `x` in /nowhere", "correct its path"),
        (&["--shm-size", "x"], "--shm-size x: ", "like 512m"),
        (&["--target", "0"], "no stage `0`", "a target is a name"),
        (&["--target", "other"], "no stage `other`", "the stages are: named\n"),
    ] {
        let failed =
            p.cmd_args(["image", "build"].iter().chain(flags).chain(&["."])).run().unwrap().code_is(1);
        let failed = failed.err(wrong).err(help);
        assert!(!failed.stderr.contains("#1 "), "{}", failed.describe());
    }
    p.run("image build nowhere").code_is(1).err("nowhere doesn't exist").err("help: create it");
    // An empty name is none.
    p.cmd_args(["image", "build", "-q", "--target", "", "."]).run().unwrap().ok();
    let to = "--iidfile made/a/id --metadata-file made/b/facts -o type=tar,dest=made/c/all.tar";
    p.run(&format!("image build -q {to} .")).ok();
    for file in ["a/id", "b/facts", "c/all.tar"] {
        assert!(p.dir().join("made").join(file).is_file(), "{file}");
    }
    let service = |name: &str, uses: &str| {
        format!("  {name}:\n    build: {{context: ., additional_contexts: {{x: 'service:{uses}'}}}}\n")
    };
    p.file("compose.yaml", &format!("services:\n{}", service("a", "a")));
    let own = p.run("build").code_is(1).err("the build of service \"a\" needs its own image");
    own.err("compose.yaml:3:5").err("help: take a `service:`");
    p.file("compose.yaml", &format!("services:\n{}{}", service("a", "b"), service("b", "a")));
    p.run("build").code_is(1).err("need each other: b, a").err("compose.yaml:5:5");
    for (attribute, wrong, help) in [
        ("entitlements: [foo]", "unknown entitlement `foo`", "there are: network.host"),
        ("ulimits: {nofile: {soft: 5, hard: 1}}", "nofile is above the hard one: 5 > 1", "lower `soft`"),
    ] {
        p.file("compose.yaml", &format!("services:\n  a:\n    build: {{context: ., {attribute}}}\n"));
        p.run("build").code_is(1).err(wrong).err("compose.yaml:3:5").err(help);
    }
    p.file("none.tar", "nothing");
    p.run("image load -i none.tar").code_is(1).err("it isn't whole").err("`image save` writes");
    p.run("image inspect nowhere").code_is(1).err("no such image: nowhere").err("`rcompose image ls`");
}
