//! `RUN --mount`: each kind with each of its options.

use std::os::unix::fs::{MetadataExt, chown};

use rcompose_e2e::Project;

#[test]
fn binds_show_files_where_they_are() {
    let Some(p) = Project::empty("mount-bind") else { return };
    p.file(".dockerignore", "left\n!left/in\n*.log\n");
    for (name, text) in
        [("d/own", "o"), ("d/foreign", "f"), ("left/in", "in"), ("left/out", ""), ("x.log", "")]
    {
        p.file(name, text);
    }
    chown(p.dir().join("d/foreign"), Some(1000), Some(1000)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(p.dir().join("d/socket")).unwrap();
    p.file(
        "Dockerfile",
        r#"FROM busybox:latest AS made
RUN mkdir -p /s/t && echo one > /s/t/1 && echo two > /s/t/2
RUN rm /s/t/2 && echo three > /s/t/3
FROM busybox:latest
RUN --mount=target=/c [ "$(find /c | sort | tr '\n' ' ')" = "/c /c/.dockerignore /c/Dockerfile /c/d /c/d/foreign /c/d/own /c/left /c/left/in " ]
RUN --mount=type=bind,source=.,dst=/c ! touch /c/x && [ "$(stat -c %u:%g /c/d/own /c/d/foreign | uniq)" = 0:0 ]
RUN --mount=src=d,destination=/c,rw echo new > /c/own && rm /c/foreign && mkdir /c/sub && cat /c/own
RUN --mount=src=d,target=/c,readwrite=true [ "$(cat /c/own /c/foreign)" = of ] && [ "$(ls /c)" = "$(printf 'foreign\nown')" ]
RUN --mount=source=d/own,target=/f [ "$(cat /f)" = o ] && ! echo x > /f
RUN --mount=source=d/own,target=/f,ro=false echo x > /f && [ "$(cat /f)" = x ]
RUN --mount=from=made,source=/s,target=/m [ "$(ls /m/t | tr '\n' ' ')" = "1 3 " ] && ! touch /m/t/x
RUN --mount=from=made,source=/s,target=/m,rw rm /m/t/1 && touch /m/t/x
RUN --mount=from=made,source=/s,target=/m,readonly [ "$(ls /m/t | tr '\n' ' ')" = "1 3 " ]
RUN --mount=target=/c,rw --mount=type=tmpfs,target=/c/d/deep touch /c/d/deep/x
RUN [ ! -e /c ] && [ ! -e /m ] && [ ! -e /f ]
"#,
    );
    p.run("image build .").ok();
    assert_eq!(std::fs::read_to_string(p.dir().join("d/own")).unwrap(), "o");
    assert_eq!(std::fs::metadata(p.dir().join("d/foreign")).unwrap().uid(), 1000);
    assert!(!p.dir().join("d/deep").exists());
    // The contents are the key, not the times.
    p.file("d/own", "o");
    let again = p.run("image build .").ok();
    assert_eq!(again.stderr.matches("CACHED").count(), 13, "{}", again.describe());
    p.file("d/own", "changed");
    p.run("image build .").code_is(1).err("RUN --mount=src=d,target=/c,readwrite=true");
}

#[test]
fn caches_memory_and_secrets_with_their_options() {
    let Some(p) = Project::empty("mount-options") else { return };
    p.file("secret", "hidden");
    p.file(
        "Dockerfile",
        r#"FROM busybox:latest AS made
RUN mkdir /s && echo begun > /s/f
FROM busybox:latest
RUN --mount=type=cache,target=/c,uid=5,gid=6,mode=0750 [ "$(stat -c %u:%g:%a /c)" = 5:6:750 ] && echo kept > /c/f
RUN --mount=type=cache,dst=/c,uid=5,gid=6,mode=0750 [ "$(cat /c/f)" = kept ]
RUN --mount=type=cache,id=/c,target=/other,uid=5,gid=6,mode=0750,ro [ "$(cat /other/f)" = kept ] && ! touch /other/x
RUN --mount=type=cache,target=/c,from=made,source=/s [ "$(cat /c/f)" = begun ]
RUN --mount=type=tmpfs,target=/t,size=1m [ "$(df -k /t | tail -1 | awk '{print $2}')" = 1024 ]
RUN --mount=type=secret,id=s,target=/t,uid=5,gid=6,mode=0440 [ "$(stat -c %u:%g:%a /t)" = 5:6:440 ] && [ "$(cat /t)" = hidden ]
RUN --mount=type=secret,id=s,env=S,required [ "$S" = hidden ] && [ ! -e /run/secrets/s ]
RUN --mount=type=secret,id=s,env=S,target=/t [ "$S" = "$(cat /t)" ]
RUN --mount=type=secret,id=none [ ! -e /run/secrets/none ]
"#,
    );
    p.run("image build --no-cache --secret id=s,src=secret .").ok();
    p.file("Dockerfile", "FROM busybox:latest\n\nRUN --mount=type=secret,id=none,required=true true\n");
    let wanted = "the secret `none` isn't given";
    p.run("image build .").code_is(1).err(wanted).err("3 | RUN --mount").err("--secret id=none,src=<file>");
}

#[test]
fn caches_are_shared_as_they_say() {
    let Some(p) = Project::empty("mount-sharing") else { return };
    let build = |sharing: &str, both: &str| {
        // An empty cache, whatever other runs have left.
        let id = format!("{sharing}-{}", std::process::id());
        p.file(
            "Dockerfile",
            &format!(
                "FROM busybox:latest AS a\nRUN --mount=type=cache,target=/c,id={id},sharing={sharing} me=a other=b; {both}\n\
                 FROM busybox:latest AS b\nRUN --mount=type=cache,target=/c,id={id},sharing={sharing} me=b other=a; {both}\n\
                 FROM busybox:latest\nCOPY --from=a /etc/passwd /a\nCOPY --from=b /etc/passwd /b\n"
            ),
        );
        p.run("image build --no-cache .").ok();
    };
    // Each waits until it sees the other.
    build(
        "shared",
        "touch /c/$me; n=0; while [ ! -e /c/$other ]; do n=$((n+1)); [ $n -lt 200 ] || exit 1; sleep 0.1; done",
    );
    build("locked", "mkdir /c/lock || exit 1; sleep 0.3; rmdir /c/lock");
    build("private", "touch /c/$me; sleep 0.5; [ ! -e /c/$other ]");
}
