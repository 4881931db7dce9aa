//! `outline` and `targets` say what docker's `--call` says.

use std::collections::BTreeMap;

use rcompose_build::{
    BaseImage, BuildRequest, DockerfileSource, GitSource, ImageSource, OutlineInput, OutsideError, outline,
    targets,
};
use rcompose_image::Platform;

const TEXT: &str = r#"# VERSION which version
ARG VERSION=1.2 OTHER
ARG NOPE=unused
ARG TAG=$VERSION

# base is where all begins
FROM busybox:$TAG AS base
# USER_NAME the user to make
ARG USER_NAME=me
ARG VERSION
RUN --mount=type=secret,id=one,required --mount=type=ssh echo

# build builds it
FROM --platform=$BUILDPLATFORM base AS Build
# something else
# FLAGS flags of the compiler
ARG FLAGS="-O2 \
  -g"
ARG TARGETARCH
RUN --mount=type=cache,target=/c --mount=type=secret,target=/run/two.txt --mount=type=ssh,id=other,required make

FROM scratch AS unused
ARG UNUSED=1
COPY --from=build / /

# final the last one
FROM base AS final
ARG LAST=${USER_NAME}-x BARE
COPY --from=build /x /x
"#;

/// No image is known.
struct Nothing;

impl ImageSource for Nothing {
    fn checkout(&self, _: &GitSource) -> Result<(std::path::PathBuf, String), OutsideError> {
        Err("no repository here".into())
    }

    fn resolve(&self, _: &str, _: &Platform, _: bool) -> Result<BaseImage, OutsideError> {
        Err("no such image".into())
    }
}

fn request(text: &str) -> BuildRequest {
    BuildRequest { dockerfile: DockerfileSource::Inline(text.into()), ..BuildRequest::default() }
}

/// Name, value, description, line.
fn args(req: &BuildRequest) -> Vec<String> {
    let outline = outline(req, &Nothing).unwrap();
    let line = |a: &rcompose_build::OutlineArg| {
        format!("{}={} {} {}..{}", a.name, a.value, a.description, a.lines.start(), a.lines.end())
    };
    outline.args.iter().map(line).collect()
}

fn inputs(all: &[OutlineInput]) -> Vec<String> {
    all.iter().map(|i| format!("{} {} {}", i.name, i.required, i.lines.start())).collect()
}

#[test]
fn what_a_target_takes() {
    let mut req = request(TEXT);
    assert_eq!(
        args(&req),
        [
            "VERSION=1.2 which version 2..2",
            "TAG=1.2  4..4",
            "USER_NAME=me the user to make 9..9",
            "FLAGS=-O2   -g flags of the compiler 17..18",
            "BARE=  28..28",
            "LAST=me-x  28..28",
        ]
    );
    let all = outline(&req, &Nothing).unwrap();
    assert_eq!((all.name.as_deref(), all.description.as_str()), (Some("final"), "the last one"));
    assert_eq!(inputs(&all.secrets), ["one true 11", "two.txt false 20"]);
    assert_eq!(inputs(&all.ssh), ["default false 11", "other true 20"]);

    req.target = Some("base".into());
    let all = outline(&req, &Nothing).unwrap();
    assert_eq!(inputs(&all.secrets), ["one true 11"]);
    // What is given counts where the ARG is declared again, as there.
    req.args = BTreeMap::from([("VERSION".into(), Some("9".into()))]);
    assert_eq!(
        args(&req),
        ["TAG=9  4..4", "USER_NAME=me the user to make 9..9", "VERSION=9  10..10"].map(str::to_owned)
    );
}

#[test]
fn a_context_in_place_of_a_stage_takes_nothing() {
    let mut req = request(TEXT);
    req.additional_contexts.insert("base".into(), "docker-image://busybox".into());
    req.target = Some("base".into());
    let all = outline(&req, &Nothing).unwrap();
    assert_eq!((all.args.len(), all.secrets.len(), all.ssh.len()), (0, 0, 0));
}

#[test]
fn what_can_be_built() {
    let all = targets(&request(TEXT)).unwrap().targets;
    let line = |t: &rcompose_build::Target| {
        let name = t.name.as_deref().unwrap_or("-");
        let platform = t.platform.as_deref().unwrap_or("-");
        format!("{name} {} {} {platform} {} {}", t.default, t.base, t.lines.start(), t.description)
    };
    assert_eq!(
        all.iter().map(line).collect::<Vec<_>>(),
        [
            "base false busybox:$TAG - 7 is where all begins",
            "build false base $BUILDPLATFORM 14 builds it",
            "unused false scratch - 22 ",
            "final true base - 27 the last one",
        ]
    );
}

#[test]
fn what_cannot_be_built() {
    let said = |text: &str| outline(&request(text), &Nothing).unwrap_err().to_string();
    assert!(said("FROM scratch\nRUNN x\n").contains("2:1: unknown instruction `RUNN`"));
    assert!(said("FROM scratch\nRUN --mount=type=secret,id=a,foo=b x\n").contains("unexpected key `foo`"));
    assert!(said("FROM scratch\nCOPY --from=a:1x/::: /a /b\n").contains("2:1: `--from=a:1x/:::` is neither"));
    assert!(said("FROM scratch\nARG A=b\nCOPY --from=$A /a /b\n").contains("`--from=$A` is neither"));
    // Mounts aren't looked at before somebody wants the stage.
    let one = request("FROM scratch\nRUN --mount=type=secret,id=a,foo=b x\n");
    assert_eq!(targets(&one).unwrap().targets.len(), 1);
}
