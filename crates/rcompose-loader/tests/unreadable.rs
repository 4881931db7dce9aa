//! Files that are there and can't be read.

use std::io;
use std::path::{Path, PathBuf};

use rcompose_loader::{Code, LoadRequest, MemorySources, Sources, load, render_diagnostics};

/// One of the files is another user's.
struct Locked(MemorySources, &'static str);

impl Sources for Locked {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path.ends_with(self.1) { Err(io::ErrorKind::PermissionDenied.into()) } else { self.0.read(path) }
    }
    fn is_file(&self, path: &Path) -> bool {
        self.0.is_file(path)
    }
    fn is_dir(&self, path: &Path) -> bool {
        self.0.is_dir(path)
    }
}

#[test]
fn each_is_told_where_it_is_asked_for() {
    let main = "include: [inc.yaml]
services:
  a:
    extends: {file: base.yaml, service: a}
    env_file: a.env
    label_file: a.labels
";
    for (locked, want) in [
        (
            "compose.yaml",
            "error: can't read compose.yaml: permission denied\nhelp: let this user read it, or run the command as one who may\n",
        ),
        (
            "inc.yaml",
            "error: can't read inc.yaml: permission denied\n --> compose.yaml:1:11\n  |\n1 | include: [inc.yaml]\n  |           ^^^^^^^^\nhelp: let this user read it, or run the command as one who may\n",
        ),
        (
            "base.yaml",
            "error: can't read base.yaml: permission denied\n --> compose.yaml:4:21\n  |\n4 |     extends: {file: base.yaml, service: a}\n  |                     ^^^^^^^^^\nhelp: let this user read it, or run the command as one who may\n",
        ),
        (
            "a.env",
            "error: env file a.env can't be read: permission denied\n --> compose.yaml:5:15\n  |\n5 |     env_file: a.env\n  |               ^^^^^\nhelp: let this user read it, or run the command as one who may\n",
        ),
        (
            "a.labels",
            "error: label file a.labels can't be read: permission denied\n --> compose.yaml:6:17\n  |\n6 |     label_file: a.labels\n  |                 ^^^^^^^^\nhelp: let this user read it, or run the command as one who may\n",
        ),
        (
            ".env",
            "error: env file .env can't be read: permission denied\nhelp: let this user read it, or run the command as one who may\n",
        ),
    ] {
        let files = MemorySources::default()
            .with("/p/compose.yaml", main)
            .with("/p/inc.yaml", "services: {i: {image: i}}")
            .with("/p/base.yaml", "services: {a: {image: a}}")
            .with("/p/a.env", "A=1")
            .with("/p/a.labels", "l=1")
            .with("/p/.env", "");
        let req = LoadRequest { cwd: PathBuf::from("/p"), ..LoadRequest::default() };
        let error = load(&req, &Locked(files, locked)).unwrap_err();
        assert_eq!(render_diagnostics(&error.diagnostics, false, 100), want);
        assert_eq!(error.diagnostics[0].code, Some(Code::UnreadableFile), "{locked}");
    }
}
