//! The Dockerfile and the context of a build, as they are found on disk.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::dockerfile::words::nearest;
use crate::dockerfile::{Position, syntax_of};
use crate::ignore::Ignore;
use crate::known;
use crate::select::Source;
use crate::view::View;
use crate::{BuildError, BuildRequest, DockerfileSource};

/// What a Dockerfile that isn't a file is called.
pub const INLINE: &str = "Dockerfile (inline)";

/// Names that are shown of a directory without a Dockerfile.
const SHOWN: usize = 5;

/// The Dockerfile: its name to show, its path, its text.
pub(crate) fn dockerfile(req: &BuildRequest) -> Result<(String, Option<PathBuf>, String), BuildError> {
    let path = match &req.dockerfile {
        DockerfileSource::Inline(text) => {
            other_frontend(req, INLINE, text)?;
            return Ok((INLINE.to_owned(), None, text.clone()));
        }
        DockerfileSource::Path(path) => spelled(tidy(&req.context.join(path))),
    };
    let name = path.display().to_string();
    let bytes = fs::read(&path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound if !req.context.exists() => {
            BuildError::input(format!("there is no build context at {}", tidy(&req.context).display()))
                .help("create the directory, or correct its path")
        }
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => absent(&path),
        io::ErrorKind::IsADirectory => BuildError::input(format!("{name} is a directory, not a Dockerfile"))
            .help(match path.join("Dockerfile").is_file() {
                true => "name the Dockerfile in it, by `dockerfile:` or -f",
                false => "name another file by `dockerfile:` or -f",
            }),
        _ => BuildError::io("read", &path, e),
    })?;
    let text = text(&name, bytes)?;
    other_frontend(req, &name, &text)?;
    Ok((name, Some(path), text))
}

/// docker would run the image of a frontend to read the file; this builder only stands for docker's own.
fn other_frontend(req: &BuildRequest, name: &str, text: &str) -> Result<(), BuildError> {
    let refused = |syntax: &str| {
        let message =
            format!("the frontend `{syntax}` can't be run: only what docker/dockerfile reads is built");
        let own = format!("{}=docker/dockerfile:1", known::SYNTAX);
        BuildError::input(message)
            .help(format!("if it is a copy of docker/dockerfile, say so by the build argument {own}"))
    };
    if let Some(given) = req.known(known::SYNTAX) {
        if known::is_own_frontend(given.trim()) {
            return Ok(());
        }
        return Err(refused(given).help(format!("leave the build argument {} out", known::SYNTAX)));
    }
    match syntax_of(text).filter(|(syntax, _)| !known::is_own_frontend(syntax)) {
        Some((syntax, at)) => Err(refused(&syntax).place(name, text, at)),
        None => Ok(()),
    }
}

/// Without `.`.
fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

/// As docker does, `dockerfile` is taken where there is no `Dockerfile`.
fn spelled(path: PathBuf) -> PathBuf {
    if path.file_name().is_none_or(|n| n != "Dockerfile") || path.symlink_metadata().is_ok() {
        return path;
    }
    let lower = path.with_file_name("dockerfile");
    if lower.is_file() { lower } else { path }
}

fn absent(path: &Path) -> BuildError {
    if let Ok(target) = fs::read_link(path) {
        return BuildError::input(format!(
            "{} is a symbolic link to {}, which doesn't exist",
            path.display(),
            target.display()
        ))
        .help("mend the link, or name another file by `dockerfile:` or -f");
    }
    let error = BuildError::input(format!("there is no Dockerfile at {}", path.display()));
    let entries = path.parent().into_iter().filter_map(|p| fs::read_dir(p).ok()).flatten().flatten();
    let files = entries.filter(|e| e.path().is_file()).map(|e| e.file_name().to_string_lossy().into_owned());
    let files: Vec<String> = files.collect();
    let like = |n: &&String| {
        let lower = n.to_lowercase();
        lower.contains("dockerfile") && !lower.ends_with(".dockerignore") || lower.contains("containerfile")
    };
    let mut named: Vec<&str> = files.iter().filter(like).map(String::as_str).collect();
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    if let Some(near) = nearest(&wanted, named.iter().copied()).filter(|_| wanted != "Dockerfile") {
        return error.help(format!("did you mean `{near}`?"));
    }
    named.sort_unstable();
    error.help(match named.as_slice() {
        [] => "create it, or name another file by `dockerfile:` or -f".to_owned(),
        [one] => format!("there is `{one}`: name it by `dockerfile:` or -f"),
        all => {
            let list = all.iter().take(SHOWN).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
            format!("name one of those that are there by `dockerfile:` or -f: {list}")
        }
    })
}

/// UTF-8, but for comments, which nobody reads but people.
fn text(name: &str, bytes: Vec<u8>) -> Result<String, BuildError> {
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(e) => e.into_bytes(),
    };
    let lossy = String::from_utf8_lossy(&bytes).into_owned();
    for (n, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let Err(e) = std::str::from_utf8(line) else { continue };
        let good = String::from_utf8_lossy(&line[..e.valid_up_to()]).into_owned();
        if good.trim_start().starts_with('#') {
            continue;
        }
        let (what, help) = match bytes.as_slice() {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => ("the Dockerfile is in UTF-16", "save it as UTF-8"),
            all if all.contains(&0) => {
                ("the Dockerfile isn't a text", "name another file by `dockerfile:` or -f")
            }
            _ => ("this isn't UTF-8", "save the file as UTF-8"),
        };
        let at = Position { line: n + 1, column: good.chars().count() + 1 };
        return Err(BuildError::input(what).help(help).place(name, &lossy, at));
    }
    Ok(lossy)
}

/// Is there the directory of a context? `name` says which one.
pub fn check_context(directory: &Path, name: &str) -> Result<(), BuildError> {
    if directory.is_dir() {
        return Ok(());
    }
    let shown = directory.display();
    let (what, help) = match directory.symlink_metadata() {
        Err(_) => ("doesn't exist", "create it, or correct the path"),
        Ok(_) => ("isn't a directory", "name the directory with the files"),
    };
    Err(BuildError::input(format!("{name} {shown} {what}")).help(help))
}

/// A directory as a source; `<Dockerfile>.dockerignore` wins over `.dockerignore`.
pub(crate) fn context(directory: &Path, dockerfile: Option<&Path>, name: &str) -> Result<Source, BuildError> {
    check_context(directory, name)?;
    let own = dockerfile.map(|d| {
        let mut path = d.as_os_str().to_owned();
        path.push(".dockerignore");
        PathBuf::from(path)
    });
    let mut ignore = Ignore::default();
    for path in own.into_iter().chain([tidy(&directory.join(".dockerignore"))]) {
        match fs::read(&path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                ignore = Ignore::parse(&text).map_err(|e| in_line(e, &path, &text))?;
                break;
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => {}
            Err(e) => return Err(BuildError::io("read", &path, e)),
        }
    }
    let view = View::new(vec![directory.to_owned()]);
    Ok(Source { view, ignore, name: name.to_owned(), keep_owner: false })
}

/// Gives a mistake in a `.dockerignore` its line; each stands for itself.
fn in_line(error: BuildError, path: &Path, text: &str) -> BuildError {
    let wrong = text.lines().position(|l| Ignore::parse(l).is_err());
    let at = Position { line: wrong.unwrap_or_default() + 1, column: 1 };
    error.place(&path.display().to_string(), text, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(e: &BuildError) -> String {
        format!("{e} ({})", e.help.as_deref().unwrap_or_default())
    }

    #[test]
    fn what_a_dockerfile_is_written_in() {
        let wrong = |bytes: &[u8]| said(&text("D", bytes.to_vec()).unwrap_err());
        assert_eq!(wrong(b"FROM a\nLABEL b=\xe4\n"), "D:2:9: this isn't UTF-8 (save the file as UTF-8)");
        assert_eq!(wrong(b"\xff\xfeF\0"), "D:1:1: the Dockerfile is in UTF-16 (save it as UTF-8)");
        assert!(wrong(b"\x7fELF\0\x80").starts_with("D:1:6: the Dockerfile isn't a text"));
        assert_eq!(text("D", b"# K\xe4se\nFROM a".to_vec()).unwrap(), "# K\u{fffd}se\nFROM a");
    }

    #[test]
    fn a_dockerfile_that_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let find = |name: &str| {
            let dockerfile = DockerfileSource::Path(name.into());
            let req = BuildRequest { context: dir.path().join("."), dockerfile, ..BuildRequest::default() };
            let place = format!("{}/", dir.path().display());
            let path = |(_, path, _): (_, Option<PathBuf>, _)| path.unwrap().display().to_string();
            super::dockerfile(&req).map(path).unwrap_or_else(|e| said(&e)).replace(&place, "")
        };
        let none = "there is no Dockerfile at";
        assert_eq!(
            find("Dockerfile"),
            format!("{none} Dockerfile (create it, or name another file by `dockerfile:` or -f)")
        );
        let write = |name: &str| fs::write(dir.path().join(name), "FROM a\n").unwrap();
        write("Containerfile");
        assert_eq!(
            find("Dockerfile"),
            format!("{none} Dockerfile (there is `Containerfile`: name it by `dockerfile:` or -f)")
        );
        write("Dockerfile.prod");
        write("Dockerfile.prod.dockerignore");
        assert!(find("Dockerfile").ends_with("or -f: `Containerfile`, `Dockerfile.prod`)"));
        assert_eq!(
            find("Dockerfile.prd"),
            format!("{none} Dockerfile.prd (did you mean `Dockerfile.prod`?)")
        );
        write("dockerfile");
        assert_eq!((find("Dockerfile"), find("./dockerfile")), ("dockerfile".into(), "dockerfile".into()));
        std::os::unix::fs::symlink("nowhere", dir.path().join("Dockerfile")).unwrap();
        assert!(
            find("Dockerfile").starts_with("Dockerfile is a symbolic link to nowhere, which doesn't exist")
        );
        fs::create_dir(dir.path().join("build")).unwrap();
        assert_eq!(
            find("build"),
            "build is a directory, not a Dockerfile (name another file by `dockerfile:` or -f)"
        );
    }

    #[test]
    fn a_wrong_pattern_has_its_line() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".dockerignore"), "# all\nb\n[a\n").unwrap();
        let e = context(&dir.path().join("."), None, "the build context").unwrap_err();
        let want = format!(
            "{}/.dockerignore:3:1: the pattern `[a` has a `[` without an end or",
            dir.path().display()
        );
        assert!(e.to_string().starts_with(&want), "{e}");
    }
}
