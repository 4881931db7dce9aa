//! `--change` of `image import` and `commit`: instructions that change an image's configuration and nothing else.

use rcompose_image::{ContainerConfig, ImageConfig};

use crate::BuildError;
use crate::dockerfile::{Kind, Position, instruction_at};
use crate::select::normal;
use crate::state::State;

/// The configuration of an image once these instructions have changed it. Unlike in a build, nothing else is added.
///
/// Errors: an instruction is wrong, or changes more than the configuration.
pub fn change(image: &ImageConfig, changes: &[String]) -> Result<ContainerConfig, BuildError> {
    let mut state = State::bare(image.clone(), '\\');
    for text in changes {
        let failed = |e: BuildError| {
            let mut named = BuildError::input(format!("--change {text:?}: {}", e.message));
            named.help.clone_from(&e.help);
            named
        };
        let parsed = instruction_at(text, Position { line: 1, column: 1 });
        let parsed = parsed.map_err(|e| failed(BuildError::from_parse("", text, e)))?;
        match &parsed.kind {
            Kind::Workdir(path) => {
                let path = state.expand(path).map_err(failed)?;
                let path = normal(&state.absolute(&path)).display().to_string();
                state.image.config.working_dir = path;
            }
            kind => state.configure(kind).map_err(failed)?,
        }
    }
    let mut config = state.image.config;
    config.args_escaped = image.config.args_escaped;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use rcompose_image::Platform;

    use super::*;

    #[test]
    fn as_docker_import_does() {
        let image = ImageConfig::new(&Platform::host());
        let changed = |changes: &[&str]| {
            let changes: Vec<String> = changes.iter().map(|c| (*c).to_owned()).collect();
            change(&image, &changes).map(|c| serde_json::to_string(&c).unwrap())
        };
        for (text, want) in [
            ("CMD a b", r#"{"Cmd":["/bin/sh","-c","a b"]}"#),
            ("entrypoint [\"e\"]", r#"{"Entrypoint":["e"]}"#),
            ("ENV PATH=/x:$PATH", r#"{"Env":["PATH=/x:"]}"#),
            ("WORKDIR w/../x", r#"{"WorkingDir":"/x"}"#),
            ("EXPOSE 80 90/udp", r#"{"ExposedPorts":{"80/tcp":{},"90/udp":{}}}"#),
            ("ONBUILD RUN x", r#"{"OnBuild":["RUN x"]}"#),
            ("STOPSIGNAL TERM", r#"{"StopSignal":"TERM"}"#),
        ] {
            assert_eq!(changed(&[text]).unwrap(), want);
        }
        assert_eq!(
            changed(&["ENV A=/a", "WORKDIR $A", "WORKDIR b"]).unwrap(),
            r#"{"Env":["A=/a"],"WorkingDir":"/a/b"}"#
        );
        let e = changed(&["ENV A"]).unwrap_err();
        assert_eq!(e.to_string(), "--change \"ENV A\": ENV `A` has no value");
    }
}
