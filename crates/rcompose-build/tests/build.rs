//! Builds in a small world of directories.

mod world;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rcompose_build::{BuildRequest, CacheKind, cache_records, check, clear_steps, forget_record};
use rcompose_image::Digest;

use world::World;

#[test]
fn a_python_service() {
    let w = World::new();
    w.file("requirements.txt", "flask");
    let text = "ARG V=3.12\nFROM python:${V}-slim AS build\nWORKDIR /src\nCOPY requirements.txt .\nRUN write /wheels/flask.whl wheel\nFROM python:${V}-slim\nCOPY --from=build --chown=app:app /wheels /wheels\nUSER app\nWORKDIR /home/app\nEXPOSE 8000\nHEALTHCHECK --interval=5s CMD curl localhost\nENTRYPOINT [\"python\"]\n";
    let built = w.build(text);
    let config = &built.config.config;
    assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("app", "/home/app"));
    assert_eq!((config.cmd.clone(), config.entrypoint.clone()), (None, Some(vec!["python".to_owned()])));
    assert_eq!(config.healthcheck.as_ref().unwrap().test, ["CMD-SHELL", "curl localhost"]);
    let meta = fs::metadata(w.path(&built, "wheels/flask.whl").unwrap()).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (1000, 1001));
    let home = fs::metadata(w.path(&built, "home/app").unwrap()).unwrap();
    assert_eq!((home.uid(), home.gid()), (1000, 1001));
    let steps = w.runner.steps.lock().unwrap();
    assert_eq!(steps[0].cwd, "/src");
    assert_eq!(steps[0].argv, ["/bin/sh", "-c", "write /wheels/flask.whl wheel"]);
    // Empty mount points of the run don't stay.
    let run = w.store.root.join(Digest::of(b"2").hex());
    assert!(run.join("wheels").exists() && !run.join("etc/resolv.conf").exists());
    let layers = built.config.history.iter().filter(|h| !h.empty_layer).count();
    assert_eq!(layers, built.config.rootfs.diff_ids.len() - 1);
}

#[test]
fn cache() {
    let w = World::new();
    w.file("a", "1");
    w.file("b", "1");
    let text = "FROM base\nARG X=1\nCOPY a /a\nRUN write /one 1\nCOPY b /b\nRUN write /two $X\n";
    let first = w.build(text);
    assert_eq!((first.ran_steps, first.cached_steps), (4, 0));
    let again = w.build(text);
    assert_eq!((again.ran_steps, again.cached_steps, again.image), (0, 4, first.image));
    // Touching changes nothing.
    w.file("b", "1");
    assert_eq!(w.build(text).image, first.image);
    w.file("b", "2");
    assert_eq!((w.build(text).ran_steps, w.build(text).ran_steps), (2, 0));
    let mut req = w.request(text);
    req.args.insert("X".into(), Some("2".into()));
    req.args.insert("UNUSED".into(), Some("2".into()));
    // ARG is in the environment of both RUNs.
    assert!(w.try_build(&req).unwrap().ran_steps >= 2);
    assert!(w.events.lock().unwrap().iter().any(|e| e.contains("`UNUSED` isn't used")));
    req = w.request(text);
    req.no_cache = true;
    assert_eq!(w.try_build(&req).unwrap().ran_steps, 4);
}

#[test]
fn copying() {
    let w = World::new();
    w.file("dir/sub/x.txt", "x");
    w.file("dir/y.md", "y");
    w.file("one.txt", "one");
    w.file("two.txt", "two");
    w.file("secret", "s");
    w.file(".dockerignore", "secret\n**/*.md\n");
    symlink("/etc/passwd", w.temp.path().join("ctx/dir/link")).unwrap();
    let built = w.build(
        "FROM base\nCOPY dir /lib/app\nCOPY *.txt /texts/\nCOPY one.txt /srv/data\nCOPY --chmod=600 one.txt /renamed\nCOPY . /all\nCOPY <<EOF /conf\nhi $PATH\nEOF\nCOPY --parents dir/sub/x.txt /p/\n",
    );
    assert_eq!(w.text(&built, "usr/lib/app/sub/x.txt"), "x");
    assert!(w.path(&built, "usr/lib/app/y.md").is_none());
    assert_eq!(fs::read_link(w.path(&built, "usr/lib/app/link").unwrap()).unwrap(), Path::new("/etc/passwd"));
    assert_eq!(
        (w.text(&built, "texts/one.txt"), w.text(&built, "texts/two.txt")),
        ("one".into(), "two".into())
    );
    assert_eq!(w.text(&built, "srv/data/one.txt"), "one");
    let data = fs::metadata(w.path(&built, "srv/data").unwrap()).unwrap();
    assert_eq!((data.mode() & 0o7777, data.uid(), data.gid()), (0o1777, 5, 6));
    assert_eq!(fs::metadata(w.path(&built, "renamed").unwrap()).unwrap().mode() & 0o7777, 0o600);
    assert!(w.path(&built, "all/secret").is_none() && w.path(&built, "all/one.txt").is_some());
    assert_eq!(w.text(&built, "conf"), "hi /bin\n");
    assert_eq!(w.text(&built, "p/dir/sub/x.txt"), "x");
}

#[test]
fn add_unpacks() {
    let w = World::new();
    let file = fs::File::create(w.temp.path().join("ctx/a.tar.gz")).unwrap();
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o755);
    header.set_uid(7);
    header.set_gid(0);
    tar.append_data(&mut header, "bin/tool", &b"hi"[..]).unwrap();
    tar.into_inner().unwrap().finish().unwrap();
    // Compressed, but no archive: copied as it is.
    let note = fs::File::create(w.temp.path().join("ctx/note.gz")).unwrap();
    let mut note = flate2::write::GzEncoder::new(note, flate2::Compression::fast());
    std::io::Write::write_all(&mut note, b"no archive").unwrap();
    note.finish().unwrap();
    let built = w.build("FROM scratch\nADD note.gz a.tar.gz /opt/\nCOPY a.tar.gz /opt/\n");
    assert_eq!(w.text(&built, "opt/bin/tool"), "hi");
    assert_eq!(fs::metadata(w.path(&built, "opt/bin/tool").unwrap()).unwrap().uid(), 7);
    assert!(w.path(&built, "opt/a.tar.gz").is_some() && w.path(&built, "opt/note.gz").is_some());
}

#[test]
fn only_needed_stages() {
    let w = World::new();
    let text = "FROM base AS a\nRUN write /a a\nFROM base AS b\nRUN fail\nFROM a AS c\nRUN write /c c\n";
    let built = w.build(text);
    assert_eq!((built.ran_steps, w.text(&built, "a")), (2, "a".to_owned()));
    let mut req = w.request(text);
    req.target = Some("a".into());
    assert_eq!(w.try_build(&req).unwrap().ran_steps, 0);
    req.target = Some("cc".into());
    let e = w.try_build(&req).unwrap_err();
    assert_eq!(e.help.as_deref(), Some("the stages are: a, b, c"));
}

#[test]
fn config_semantics() {
    let w = World::new();
    let built = w.build(
        "FROM base\nENV PYTHONPATH \"${PYTHONPATH}:/home\"\nENV A=1 B=$A\nENV C=${A:-2}\nWORKDIR /srv\nWORKDIR ./data\nEXPOSE 80 53/udp 90-91\nVOLUME /x /y\nVOLUME [\"/z\"]\nLABEL a=\"b c\" d=e\nSTOPSIGNAL SIGINT\nSHELL [\"/bin/bash\", \"-c\"]\nCMD echo hi\nMAINTAINER me\n",
    );
    let c = &built.config.config;
    assert_eq!(c.env, ["PATH=/bin", "PYTHONPATH=:/home", "A=1", "B=", "C=1"]);
    assert_eq!(c.working_dir, "/srv/data");
    assert_eq!(c.exposed_ports.iter().cloned().collect::<Vec<_>>(), ["53/udp", "80/tcp", "90/tcp", "91/tcp"]);
    assert_eq!(c.volumes.len(), 3);
    assert_eq!(c.labels["a"], "b c");
    assert_eq!(c.cmd.as_ref().unwrap(), &["/bin/bash", "-c", "echo hi"]);
    assert_eq!(built.config.author.as_deref(), Some("me"));
}

#[test]
fn failures() {
    let w = World::new();
    w.file("app.py", "x");
    w.file("hidden", "x");
    w.file(".dockerignore", "hidden");
    let old = w.build("FROM base\n").image;
    assert_eq!(
        w.fails("FROM base\n\nCOPY ap.py /\n"),
        "Dockerfile (inline):3:1: `ap.py` doesn't exist in the build context (did you mean `app.py`?)"
    );
    assert!(
        w.fails("FROM base\nCOPY hidden /\n").contains("excluded from the build context by .dockerignore")
    );
    assert!(w.fails("FROM ${NONE}\n").contains("`${NONE}` in FROM has no value"));
    assert!(w.fails("FROM missing\n").contains(":1:1: failed to get the image `missing`"));
    assert!(w.fails("FROM base\nCOPY --chown=nobody app.py /\n").contains("unknown user `nobody`"));
    assert!(
        w.fails("FROM base AS a\nCOPY --from=b / /\nFROM base AS b\nCOPY --from=a / /\n")
            .contains("needs itself: ")
    );
    let e = w.try_build(&w.request("FROM base\nRUN echo \\\n  fail\n")).unwrap_err();
    assert_eq!((e.line, e.exit_status), (2, Some(7)));
    assert!(e.output_tail.starts_with("doing echo"));
    assert_eq!(e.snippet.as_deref(), Some("RUN echo \\"));
    assert_eq!(e.rest, ["  fail"]);
    assert_eq!(w.store.tags.lock().unwrap()["app:latest"], old);
}

#[test]
fn a_context_is_mounted_where_it_is() {
    let w = World::new();
    w.file("sub/a", "a");
    w.file("x.log", "");
    let ctx = w.temp.path().join("ctx");
    let mount = |options: &str| {
        w.build(&format!("FROM base\nRUN --mount={options} write /x x\n"));
        let steps = w.runner.steps.lock().unwrap();
        steps.last().unwrap().mounts[0].clone()
    };
    assert_eq!(mount("target=/c").layers, std::slice::from_ref(&ctx));
    assert_eq!(mount("target=/c,source=sub/a").source, Some(ctx.join("sub/a")));
    let written = mount("target=/c,source=sub,rw");
    assert!(written.layers == [ctx.join("sub")] && written.writes.is_some());
    // What differs lies above it.
    w.file(".dockerignore", "*.log\n");
    let layers = mount("target=/c").layers;
    assert_eq!((layers.len(), &layers[1]), (2, &ctx));
    let left: Vec<_> = fs::read_dir(w.temp.path().join("cache/tmp")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_changes_while_it_is_mounted_is_not_cached() {
    let w = World::new();
    w.file("a", "1");
    let path = w.temp.path().join("ctx/a").display().to_string();
    let text = format!("FROM base\nRUN --mount=target=/c outside {path} 2\n");
    assert_eq!(w.build(&text).ran_steps, 1);
    assert!(w.events.lock().unwrap().iter().any(|e| e.contains("files changed while")));
    w.file("a", "1");
    assert_eq!(w.build(&text).ran_steps, 1);
    // Now it stays as it is.
    assert_eq!((w.build(&text).ran_steps, w.build(&text).cached_steps), (1, 1));
}

#[test]
fn a_step_that_another_build_is_doing_is_waited_for() {
    let w = World::new();
    for no_cache in [false, true] {
        w.runner.steps.lock().unwrap().clear();
        let req = BuildRequest { no_cache, ..w.request("FROM base\nRUN slow\n") };
        let (begun, begins) = std::sync::mpsc::channel();
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        *w.runner.slow.lock().unwrap() = Some(Box::new(move || {
            begun.send(()).unwrap();
            // Until the other build stands in the queue.
            let me = format!(" {} ", std::process::id());
            let waits = |l: &str| l.contains("->") && l.contains(&me);
            while !fs::read_to_string("/proc/locks").unwrap().lines().any(waits)
                && !ended.load(Ordering::Relaxed)
            {
                std::thread::yield_now();
            }
        }));
        let (first, second) = std::thread::scope(|scope| {
            let first = scope.spawn(|| w.try_build(&req).unwrap());
            begins.recv().unwrap();
            let second = w.try_build(&req).unwrap();
            over.store(true, Ordering::Relaxed);
            (first.join().unwrap(), second)
        });
        assert_eq!((first.ran_steps, second.ran_steps, second.cached_steps), (1, 0, 1));
        assert_eq!(first.config.rootfs.diff_ids, second.config.rootfs.diff_ids);
        assert_eq!(w.runner.steps.lock().unwrap().len(), 1);
    }
    // Of a build that was killed.
    let steps = w.temp.path().join("cache/steps");
    fs::write(steps.join("0.lock"), "").unwrap();
    let held = fs::File::create(steps.join("1.lock")).unwrap();
    held.lock().unwrap();
    clear_steps(&w.temp.path().join("cache")).unwrap();
    assert!(steps.join("1.lock").exists());
    fs::remove_file(steps.join("1.lock")).unwrap();
    let left = fs::read_dir(steps).unwrap();
    assert!(left.map(|e| e.unwrap().path()).all(|p| p.extension().unwrap() == "json"));
}

#[test]
fn a_cache_mount_stays_while_it_is_used_however_often_it_is_pruned() {
    let w = World::new();
    let cache = w.temp.path().join("cache");
    let done = AtomicBool::new(false);
    let (built, pruned) = std::thread::scope(|scope| {
        let pruning = scope.spawn(|| {
            let mut pruned = 0;
            while !done.load(Ordering::Relaxed) {
                for record in cache_records(&cache).unwrap() {
                    let mount = record.kind == CacheKind::Mount;
                    pruned += u32::from(mount && forget_record(&record).unwrap());
                }
            }
            pruned
        });
        let build = |n: u32| {
            let text = format!("FROM base\nRUN --mount=type=cache,target=/c write /x {n}\n");
            let built = w.try_build(&w.request(&text));
            let there = w.runner.steps.lock().unwrap().last().unwrap().mounts[0].source.clone();
            built.map(|_| there)
        };
        let built: Vec<_> = (0..300).map(build).collect();
        done.store(true, Ordering::Relaxed);
        (built, pruning.join().unwrap())
    });
    assert!(built.into_iter().all(|b| b.unwrap().is_some()));
    assert!(pruned > 0);
}

/// mistakes.txt: after `== NAME` a Dockerfile, behind a FROM if it has none, and after `=>` what is said of it,
/// by the build and, but for what only doing it can tell, by a check.
/// `UPDATE_GOLDENS=1` rewrites it.
#[test]
fn mistakes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes.txt");
    let want = fs::read_to_string(&path).unwrap();
    let w = World::new();
    for (file, text) in [
        ("a", "a"),
        ("d/a", "a"),
        ("hidden", ""),
        ("README.md", ""),
        ("package.json", ""),
        (".dockerignore", "hidden"),
    ] {
        w.file(file, text);
    }
    symlink("/etc/hostname", w.temp.path().join("ctx/outside")).unwrap();
    let mut got = String::new();
    for case in want.split("== ").filter(|c| !c.is_empty()) {
        let (name, rest) = case.split_once('\n').unwrap();
        let lines = |said: bool| rest.lines().filter(move |l| l.starts_with("=> ") == said);
        let dockerfile: String = lines(false).map(|l| format!("{l}\n")).collect();
        let begins =
            dockerfile.contains("FROM ") || ["empty", "comments", "only"].iter().any(|n| name.starts_with(n));
        let whole = if begins { dockerfile.clone() } else { format!("FROM base\n{dockerfile}") };
        got += &format!("== {name}\n{dockerfile}");
        let req = w.request(&whole);
        let checked = check(&req, &w).unwrap().error;
        match w.try_build(&req) {
            Ok(_) => {
                assert!(checked.is_none(), "{name}: {checked:?}");
                got += "=> taken, as by docker\n";
            }
            Err(e) => {
                if checked.is_none() {
                    got += "=> (seen by the build alone, not by a check)\n";
                }
                for e in [&e].into_iter().chain(&e.more) {
                    let cause = std::error::Error::source(e).map(|s| format!(": {s}")).unwrap_or_default();
                    got += &format!("=> {}:{} {}{cause}\n", e.line, e.column, e.message);
                    got.extend(e.help.iter().map(|h| format!("=>   {h}\n")));
                }
            }
        }
    }
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        fs::write(&path, &got).unwrap();
    }
    assert!(got == want, "{got}");
}
