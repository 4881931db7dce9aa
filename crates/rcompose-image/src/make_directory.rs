use std::fs;
use std::io;
use std::path::Path;

/// Makes a directory and those above it, also while somebody else removes them.
pub fn make_directory(path: &Path) -> io::Result<()> {
    const TRIES: usize = 100;
    let mut tried = 1;
    loop {
        match fs::create_dir_all(path) {
            Err(e) if tried < TRIES && went_meanwhile(&e, path) => tried += 1,
            other => return other,
        }
    }
}

/// It was there when it was to be made, and gone when it was looked at; or what is above it went.
fn went_meanwhile(e: &io::Error, path: &Path) -> bool {
    match e.kind() {
        io::ErrorKind::NotFound => true,
        io::ErrorKind::AlreadyExists => path.is_dir() || fs::symlink_metadata(path).is_err(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn made_while_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    drop(fs::remove_dir(&path));
                    drop(fs::remove_dir(dir.path().join("a")));
                }
            });
            let made: io::Result<Vec<()>> = (0..20_000).map(|_| make_directory(&path)).collect();
            done.store(true, Ordering::Relaxed);
            made.unwrap();
        });
        fs::write(dir.path().join("file"), "").unwrap();
        make_directory(&dir.path().join("file")).unwrap_err();
        make_directory(&dir.path().join("file/below")).unwrap_err();
    }
}
