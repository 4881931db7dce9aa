//! Repositories as build contexts and for ADD, from a git daemon on loopback; and ssh with a real agent and a real server.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcompose_e2e::{Project, free_port};

/// Ends with its value, and its socket goes.
struct Running(Child, Option<PathBuf>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        if let Some(socket) = &self.1 {
            fs::remove_file(socket).unwrap();
        }
    }
}

#[track_caller]
fn git(at: &Path, words: &[&str]) -> String {
    let name = ["-c", "user.name=n", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"];
    let out = Command::new("git")
        .args(name)
        .args(words)
        .current_dir(at)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_COMMITTER_DATE", "2001-02-03T04:05:06Z")
        .output()
        .unwrap();
    assert!(out.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

fn commit(at: &Path, file: &str) -> String {
    fs::create_dir_all(at.join(file).parent().unwrap()).unwrap();
    fs::write(at.join(file), file).unwrap();
    git(at, &["add", "."]);
    git(at, &["commit", "-qm", file]);
    git(at, &["rev-parse", "HEAD"])
}

/// `top` has `one` in it, which has `two` in it.
fn repositories(p: &Project) -> (Running, String, PathBuf) {
    let base = p.dir().join("repositories");
    let port = free_port().unwrap();
    let at = |name: &str| base.join(name);
    for name in ["two", "one", "top"] {
        fs::create_dir_all(at(name)).unwrap();
        git(&at(name), &["init", "-q"]);
        git(&at(name), &["config", "uploadpack.allowAnySHA1InWant", "true"]);
        commit(&at(name), name);
    }
    // Itself, not by `git`, which would leave it behind.
    let daemon = Command::new(Path::new(&git(&base, &["--exec-path"])).join("git-daemon"))
        .args(["--export-all", "--listen=127.0.0.1", &format!("--port={port}")])
        .arg(format!("--base-path={}", base.display()))
        .arg(&base)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let daemon = Running(daemon, None);
    let began = std::time::Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed().as_secs() < 10, "git daemon doesn't listen");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let address = format!("git://127.0.0.1:{port}");
    for (name, inner) in [("one", "two"), ("top", "one")] {
        git(&at(name), &["submodule", "--quiet", "add", &format!("{address}/{inner}/.git"), "inner"]);
        commit(&at(name), "dir/file");
    }
    (daemon, format!("{address}/top/.git"), at("top"))
}

/// Without what is in `.git`.
fn files_of(at: &Path) -> Vec<String> {
    let mut find = Command::new("find");
    find.args([".", "-path", "*/.git/*", "-prune", "-o", "-type", "f", "-print"]);
    let out = find.current_dir(at).output().unwrap().stdout;
    String::from_utf8_lossy(&out).lines().map(|l| l.trim_start_matches("./").to_owned()).collect()
}

/// Stages that fetch the same at once; what a command has left that was killed goes.
#[test]
fn one_repository_for_several_stages() {
    let Some(p) = Project::empty("build-git-stages") else { return };
    let (_daemon, address, top) = repositories(&p);
    let stage = |n: u32| format!("FROM scratch AS s{n}\nADD {address} /\n");
    let copies: String = (0..4).map(|n| format!("COPY --from=s{n} /top /{n}\n")).collect();
    p.file("Dockerfile", &format!("{}FROM scratch\n{copies}", (0..4).map(stage).collect::<String>()));
    let kept = p.root().join(format!("lib/build-cache/repositories/{}s", git(&top, &["rev-parse", "HEAD"])));
    let left = kept.join(".1-left/tree");
    fs::create_dir_all(&left).unwrap();
    p.run("image build -q -o out .").ok();
    assert_eq!(files_of(&p.dir().join("out")).len(), 4);
    assert!(!left.exists());
    assert!(kept.exists());
}

/// Repositories that are plain files behind HTTP: they give all or nothing.
#[test]
fn repositories_of_plain_files() {
    let Some(p) = Project::empty("build-git-plain") else { return };
    let port = free_port().unwrap();
    let at = |name: &str| p.dir().join("files").join(name);
    let address = |name: &str| format!("http://127.0.0.1:{port}/{name}/.git");
    for name in ["two", "top"] {
        fs::create_dir_all(at(name)).unwrap();
        git(&at(name), &["init", "-q"]);
        commit(&at(name), name);
    }
    let first = git(&at("top"), &["rev-parse", "HEAD"]);
    let two = at("two/.git").display().to_string();
    git(&at("top"), &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &two, "inner"]);
    git(&at("top"), &["config", "-f", ".gitmodules", "submodule.inner.url", &address("two")]);
    commit(&at("top"), "later");
    for name in ["two", "top"] {
        git(&at(name), &["update-server-info"]);
    }
    let server = Command::new("python3")
        .args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()])
        .current_dir(p.dir().join("files"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _server = Running(server.unwrap(), None);
    let began = std::time::Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed().as_secs() < 10, "the server doesn't listen");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let build = |what: &str| {
        p.file("Dockerfile", &format!("FROM scratch\nADD {what} /\n"));
        drop(fs::remove_dir_all(p.dir().join("out")));
        p.run("image build -q -o out .")
    };
    let files = || {
        let mut files = files_of(&p.dir().join("out"));
        files.sort();
        files.join(" ")
    };
    build(&address("top")).ok();
    assert_eq!(files(), ".gitmodules inner/two later top");
    build(&format!("{}#{first}", address("top"))).ok();
    assert_eq!(files(), "top");
    build(&format!("{}#{}", address("top"), "0".repeat(40)))
        .code_is(1)
        .err("Dockerfile:2:1")
        .err("has the commit 000");
    // What is neither a branch nor a tag.
    git(&at("top"), &["checkout", "-q", "--detach"]);
    commit(&at("top"), "asked");
    git(&at("top"), &["update-ref", "refs/pull/1/head", "HEAD"]);
    git(&at("top"), &["checkout", "-q", "main"]);
    git(&at("top"), &["update-server-info"]);
    build(&format!("{}#refs/pull/1/head", address("top"))).ok();
    assert_eq!(files(), ".gitmodules asked inner/two later top");
}

/// What was fetched is part of what builds keep: seen, pruned, and fetched again.
#[test]
fn repositories_are_pruned() {
    let Some(p) = Project::empty("build-git-prune") else { return };
    let (_daemon, address, top) = repositories(&p);
    p.file("Dockerfile", &format!("FROM scratch\nADD {address} /\n"));
    let id = format!("{}s", git(&top, &["rev-parse", "HEAD"]));
    let du = || p.run(&format!("builder du --verbose --filter id={id}")).ok();
    let build = || p.run("image build -q --no-cache -o out .").ok();
    build();
    build();
    let size: u64 = files_of(&p.dir().join("out"))
        .iter()
        .map(|f| fs::metadata(p.dir().join("out").join(f)).unwrap().len())
        .sum();
    du().out("source.git.checkout").out("Usage count:\t2\n").out(&format!("Size:\t\t{size}B\n"));
    let prune = |kind: &str| p.run(&format!("builder prune -f --filter id={id} --filter type={kind}")).ok();
    prune("source.http").out("Total:\t0B");
    prune("source.git.checkout").out(&id[..25]).out(&format!("Total:\t{size}B"));
    du().out("Reclaimable:\t0B").not_out("source");
    assert!(!p.root().join("lib/build-cache/repositories").join(&id).exists());
    build();
    du().out("Usage count:\t1\n");
    prune("source.git.checkout");
    // Nothing stays of one that could not be fetched.
    let commit = "0".repeat(40);
    p.file("Dockerfile", &format!("FROM scratch\nADD {address}#{commit} /\n"));
    p.run("image build -q -o out .").code_is(1);
    assert!(!p.root().join(format!("lib/build-cache/repositories/{commit}s")).exists());
}

#[test]
fn repositories_with_what_is_in_them() {
    let Some(p) = Project::empty("build-git") else { return };
    let (_daemon, address, top) = repositories(&p);
    let first = git(&top, &["rev-parse", "HEAD"]);
    git(&top, &["tag", "-a", "v1", "-m", "v1"]);
    git(&top, &["branch", "feature/main"]);
    let last = commit(&top, "later");
    let add = |what: &str| {
        p.file("Dockerfile", &format!("FROM scratch\nADD {what} /\n"));
        let out = p.dir().join("out");
        if out.exists() {
            fs::remove_dir_all(&out).unwrap();
        }
        // Times alone make no other step.
        p.run("image build -q --no-cache -o out .").ok();
        let mut files = files_of(&out);
        files.sort();
        (files.join(" "), out)
    };
    let all = ".gitmodules dir/file inner/.gitmodules inner/dir/file inner/inner/two inner/one later top";
    assert_eq!(add(&address).0, all);
    // A branch is meant by its whole name.
    assert_eq!(add(&format!("{address}?branch=main&submodules=false")).0, ".gitmodules dir/file later top");
    assert_eq!(add(&format!("{address}#main:inner")).0, ".gitmodules dir/file inner/two one");
    assert!(!add(&format!("{address}#v1")).0.contains("later"));
    assert!(!add(&format!("{address}?ref=feature/main")).0.contains("later"));
    assert_eq!(add(&format!("--checksum={last} {address}?subdir=dir")).0, "file");
    let (_, out) = add(&format!("{address}?mtime=commit"));
    assert_eq!(fs::metadata(out.join("inner/inner/two")).unwrap().mtime(), 981_173_106);
    let (files, out) = add(&format!("--keep-git-dir {address}?tag=v1"));
    assert!(files.contains("inner/.git "), "{files}");
    assert_eq!(fs::read_to_string(out.join(".git/HEAD")).unwrap().trim(), first);
    assert_eq!(git(&out, &["-c", "safe.directory=*", "describe"]), "v1");
    let (_, out) = add(&format!("{address}?fetch-by-commit&commit={first}&branch=nowhere&keep-git-dir"));
    assert_eq!(fs::read_to_string(out.join(".git/refs/heads/nowhere")).unwrap().trim(), first);
    for (what, said) in [
        (format!("{address}#nowhere"), "has no branch or tag \"nowhere\""),
        (format!("{address}?branch=main&checksum={first}"), "as the checksum says"),
        (format!("{address}?what=1"), "unexpected query `what`"),
        (format!("{address}?fetch-by-commit"), "needs the whole commit"),
        (format!("{address}#main:nowhere"), "has no directory nowhere"),
    ] {
        p.file("Dockerfile", &format!("FROM scratch\nADD {what} /\n"));
        p.run("image build -q .").code_is(1).err(said).err("2 | ADD");
    }
    // A mistake in what was fetched is at a place in it.
    p.run(&format!("image build -q -f top {address}")).code_is(1).err("--> top:1:1");
    // As the context, too.
    commit(&top, "Dockerfile");
    fs::write(top.join("Dockerfile"), "FROM scratch\nCOPY . /\n").unwrap();
    git(&top, &["commit", "-qam", "Dockerfile"]);
    let kept = "--build-arg BUILDKIT_CONTEXT_KEEP_GIT_DIR=1";
    for (flag, query, git_dir) in [
        ("", "", false),
        (kept, "", true),
        (kept, "?keep-git-dir=0", false),
        ("", "?keep-git-dir=1", true),
        ("", "?branch=main&submodules=0", false),
    ] {
        p.run(&format!("image build -q -o context {flag} {address}{query}")).ok();
        let context = p.dir().join("context");
        assert_eq!(context.join(".git").exists(), git_dir);
        assert_eq!(context.join("inner/inner/two").exists(), !query.contains("submodules"));
        fs::remove_dir_all(context).unwrap();
    }
    p.run(&format!("image build -q {address}?checksum={first}")).code_is(1).err("as the checksum says");
}

#[test]
fn provenance_names_the_commits_of_contexts() {
    let Some(p) = Project::empty("build-git-provenance") else { return };
    let (_daemon, address, top) = repositories(&p);
    let head = git(&top, &["rev-parse", "HEAD"]);
    let service = format!(
        "services:\n  a:\n    build:\n      context: .\n      provenance: mode=max\n      additional_contexts:\n        \
         more: {address}#main\n        mine: ./mine\n        unused: {address}\n      \
         dockerfile_inline: |\n        FROM scratch\n        COPY --from=more top /\n        COPY --from=mine / /\n"
    );
    p.file("compose.yaml", &service);
    p.file("mine/file", "");
    p.run("build").ok();
    p.run("image save -o out.tar build-git-provenance-a").ok();
    let tar = Command::new("tar").args(["-xf", "out.tar"]).current_dir(p.dir()).status();
    assert!(tar.unwrap().success());
    let blobs = fs::read_dir(p.dir().join("blobs/sha256")).unwrap();
    let said: serde_json::Value = blobs
        .filter_map(|b| serde_json::from_slice(&fs::read(b.unwrap().path()).unwrap()).ok())
        .find(|v: &serde_json::Value| v["predicateType"] == "https://slsa.dev/provenance/v1")
        .unwrap();
    let definition = &said["predicate"]["buildDefinition"];
    let want = serde_json::json!([{ "uri": format!("{address}#main"), "digest": { "sha1": head } }]);
    assert_eq!(definition["resolvedDependencies"], want, "{said:#}");
    let request = &definition["externalParameters"]["request"];
    assert_eq!(request["args"]["context:more"], format!("{address}#main"));
    assert_eq!(request["args"]["context:mine"], "local:mine");
    let locals: Vec<&str> =
        request["locals"].as_array().unwrap().iter().map(|l| l["name"].as_str().unwrap()).collect();
    assert_eq!(locals, ["context", "dockerfile", "mine"]);
    p.run("down --rmi local").ok();
}

const SERVED: &str = "/usr/sbin/sshd";

/// A server for root with two keys, `allowed` and not `other`.
fn sshd(p: &Project) -> Option<(Running, u16)> {
    if !Path::new(SERVED).exists() {
        eprintln!("SKIP: there is no sshd");
        return None;
    }
    let dir = p.dir().join("ssh");
    fs::create_dir_all(&dir).unwrap();
    fs::create_dir_all("/run/sshd").unwrap();
    for name in ["host", "allowed", "other"] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(dir.join(name))
            .status();
        assert!(made.unwrap().success());
    }
    fs::copy(dir.join("allowed.pub"), dir.join("authorized")).unwrap();
    let port = free_port().unwrap();
    let at = dir.display();
    p.file(
        "ssh/config",
        &format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized\nStrictModes no\n\
             PermitRootLogin yes\nPasswordAuthentication no\nUsePAM no\nPidFile none\n"
        ),
    );
    let child =
        Command::new(SERVED).args(["-D", "-e", "-f"]).arg(dir.join("config")).stderr(Stdio::null()).spawn();
    let running = Running(child.unwrap(), None);
    let began = std::time::Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed().as_secs() < 10, "sshd doesn't listen");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Some((running, port))
}

/// An agent of ssh with these keys.
fn agent(p: &Project, keys: &[&str]) -> (Running, String) {
    let socket = format!("/tmp/rcompose-e2e-agent-{}-{}", std::process::id(), keys.join("-"));
    let child = Command::new("ssh-agent").args(["-D", "-a", &socket]).stdout(Stdio::null()).spawn().unwrap();
    let running = Running(child, Some(PathBuf::from(&socket)));
    let began = std::time::Instant::now();
    while !Path::new(&socket).exists() {
        assert!(began.elapsed().as_secs() < 10, "ssh-agent doesn't listen");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    for key in keys {
        let mut add = Command::new("ssh-add");
        add.arg("-q").arg(p.dir().join("ssh").join(key)).env("SSH_AUTH_SOCK", &socket);
        assert!(add.status().unwrap().success());
    }
    (running, socket)
}

/// This machine's ssh and what it is linked with, for an image that has none.
fn client(p: &Project) {
    let at = p.dir().join("client");
    fs::create_dir_all(&at).unwrap();
    fs::copy("/usr/bin/ssh", at.join("ssh")).unwrap();
    let out = Command::new("ldd").arg("/usr/bin/ssh").output().unwrap().stdout;
    for path in String::from_utf8_lossy(&out).split_whitespace().filter(|w| w.starts_with('/')) {
        fs::copy(path, at.join(Path::new(path).file_name().unwrap())).unwrap();
    }
}

#[test]
fn steps_log_in_by_the_users_agent() {
    let Some(p) = Project::empty("build-ssh") else { return };
    let Some((_server, port)) = sshd(&p) else { return };
    client(&p);
    p.file(".dockerignore", "*\n!client\n");
    let login = format!(
        "/c/ld-linux-x86-64.so.2 --library-path /c /c/ssh -o BatchMode=yes -o StrictHostKeyChecking=no \
         -o UserKnownHostsFile=/dev/null -p {port} root@127.0.0.1 echo logged in"
    );
    let step = |mount: &str| {
        p.file(
            "Dockerfile",
            &format!("FROM busybox:latest\nRUN --network=host --mount=src=client,target=/c --mount=type=ssh{mount} {login}\n"),
        );
    };
    let build = |flags: &str, socket: Option<&str>| {
        let mut command =
            p.cmd(&format!("image build --no-cache --progress plain --allow network.host {flags} ."));
        command = command.env_remove("SSH_AUTH_SOCK");
        if let Some(socket) = socket {
            command = command.env("SSH_AUTH_SOCK", socket);
        }
        command.run().unwrap()
    };
    let (_good, good) = agent(&p, &["allowed"]);
    let (_bad, bad) = agent(&p, &["other"]);
    step("");
    build("--ssh default", Some(&good)).ok().err("logged in");
    build("--ssh default", Some(&bad)).code_is(1).err("Permission denied");
    build(&format!("--ssh default={good}"), Some(&bad)).ok().err("logged in");
    build("--ssh default=ssh/allowed", None).ok().err("logged in");
    build("--ssh default=ssh/other,ssh/allowed", None).ok().err("logged in");
    build("--ssh default", None).code_is(1).err("SSH_AUTH_SOCK isn't set");
    build("--ssh default=ssh/nowhere", None).code_is(1).err("ssh/nowhere");
    // Without an agent the step runs, and can't log in.
    build("", None).code_is(1).err("Permission denied");
    // Several, by their names.
    step(",id=two,required=true");
    build(&format!("--ssh default={bad} --ssh two=ssh/allowed"), None).ok().err("logged in");
    build(&format!("--ssh default={good}"), None)
        .code_is(1)
        .err("the SSH agent `two` isn't given")
        .err("--ssh two");
    // The socket is the step's user's, where it was asked for.
    let look = "--mount=type=ssh,target=/agent,uid=5,gid=6,mode=0640 [ \"$(stat -c %u:%g:%a /agent)\" = 5:6:640 ] && [ $SSH_AUTH_SOCK = /agent ]";
    p.file(
        "Dockerfile",
        &format!("FROM busybox:latest\nRUN {look}\nRUN [ ! -e /agent ] && [ -z \"$SSH_AUTH_SOCK\" ]\n"),
    );
    build("--ssh default", Some(&good)).ok();
    // Nothing of a key is kept.
    let key = fs::read_to_string(p.dir().join("ssh/allowed")).unwrap();
    let line = key.lines().nth(2).unwrap();
    let found = Command::new("grep").args(["-rlF", line]).arg(p.root().join("lib")).output().unwrap();
    assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
    // A repository by ssh, with the same agent.
    fs::create_dir_all(p.dir().join("repository")).unwrap();
    let repository = p.dir().join("repository");
    git(&repository, &["init", "-q"]);
    commit(&repository, "file");
    let address = format!("ssh://root@127.0.0.1:{port}{}/.git", repository.display());
    p.file("Dockerfile", &format!("FROM scratch\nADD {address} /\n"));
    let ssh = "ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null";
    let fetch = |socket: &str| {
        let command =
            p.cmd("image build -q -o out .").env("GIT_SSH_COMMAND", ssh).env("SSH_AUTH_SOCK", socket);
        command.run().unwrap()
    };
    let refused = fetch(&bad).code_is(1).err("Permission denied").err("--ssh default=KEY");
    assert_eq!(refused.stderr.matches("failed to fetch").count(), 1, "{}", refused.stderr);
    fetch(&good).ok();
    assert_eq!(fs::read_to_string(p.dir().join("out/file")).unwrap(), "file");
    // With a key in a file, by both forms of an address, as a context, and as an additional one.
    let scp = format!("root@127.0.0.1:{}/.git", repository.display());
    commit(&repository, "second");
    let with = |file: &str, flags: &str, command: &str| {
        p.file("Dockerfile", file);
        let command = p.cmd(&format!("image build -q -o out {flags}")).env("GIT_SSH_COMMAND", command);
        command.env_remove("SSH_AUTH_SOCK").run().unwrap()
    };
    let port_given = format!("{ssh} -p {port}");
    let add = format!("FROM scratch\nADD {address} /ssh/\n");
    with(&add, "--ssh default=ssh/other .", ssh).code_is(1).err("Permission denied");
    with(&add, "--ssh default=ssh/allowed .", ssh).ok();
    with(&format!("FROM scratch\nADD {scp} /scp/\n"), "--ssh default=ssh/allowed .", &port_given).ok();
    let named = "FROM scratch\nCOPY --from=more second /named/\n";
    with(named, &format!("--ssh default=ssh/allowed --build-context more={address} ."), ssh).ok();
    for place in ["ssh/second", "scp/second", "named/second"] {
        assert_eq!(fs::read_to_string(p.dir().join("out").join(place)).unwrap(), "second", "{place}");
    }
    git(&repository, &["rm", "-q", "second"]);
    fs::write(repository.join("Dockerfile"), "FROM scratch\nCOPY file /context/\n").unwrap();
    git(&repository, &["add", "."]);
    git(&repository, &["commit", "-qm", "Dockerfile"]);
    with("", &format!("--ssh default=ssh/allowed {address}"), ssh).ok();
    assert_eq!(fs::read_to_string(p.dir().join("out/context/file")).unwrap(), "file");
    // Of another server nobody has said that it is the right one.
    let strict = "ssh -o BatchMode=yes -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes";
    with(&add.replace("/ssh/", "/s/"), "--no-cache --ssh default=ssh/allowed .", strict)
        .code_is(1)
        .err("Host key verification failed")
        .err("known_hosts");
    let key = fs::read_to_string(p.dir().join("ssh/host.pub")).unwrap();
    p.file("ssh/known", &format!("[127.0.0.1]:{port} {key}"));
    let strict = strict.replace("/dev/null", &p.dir().join("ssh/known").display().to_string());
    with(&add.replace("/ssh/", "/s/"), "--no-cache --ssh default=ssh/allowed .", &strict).ok();
}
