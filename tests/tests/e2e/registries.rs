//! Images by digest, and over TLS: to a real registry and back.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rcompose_e2e::{Finished, Project, Run, skip};

use super::images::Registry;

#[test]
fn by_digest() {
    let Some(p) = Project::empty("images-digest") else { return };
    let p = p.env("DOCKER_CONFIG", "docker-config");
    let Some(registry) = Registry::start(&p) else { return };
    let login = format!("login -u user --password-stdin {}", registry.1);
    p.cmd(&login).stdin("U*U\n").run().unwrap().ok();
    let repository = format!("{}/team/digest", registry.1);
    // An image of this run alone, whatever one that was killed has left.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    p.file("Dockerfile", &format!("FROM busybox\nRUN echo by digest > /f\nCMD cat /f\nLABEL of={now}\n"));
    p.run(&format!("image build -q -t {repository}:1 .")).ok();
    let pushed = p.run(&format!("image push {repository}:1")).ok().stdout;
    let digest = pushed.split_once("digest: ").and_then(|(_, d)| d.split(' ').next()).unwrap().to_owned();
    p.run(&format!("image rm {repository}:1")).ok();
    let (plain, tagged) = (format!("{repository}@{digest}"), format!("{repository}:1@{digest}"));
    for (name, tail) in [(&plain, &plain), (&tagged, &tagged)] {
        // A digest says all there is to say: the tag beside it names nothing.
        let said = p.run(&format!("image pull {name}")).ok().stdout;
        let want = format!(
            "{plain}: Pulling from team/digest\nDigest: {digest}\nStatus: Downloaded newer image for {plain}\n{tail}\n"
        );
        assert_eq!(said, want);
        p.run(&format!("image pull {name}")).ok().out("Status: Image is up to date");
        let inspected = p.run(&format!("image inspect -f {{{{.RepoDigests}}}} {name}")).ok().stdout;
        assert_eq!(inspected, format!("[{plain}]\n"));
        let listed = p.run("image ls --digests").ok().stdout;
        let line = listed.lines().find(|l| l.starts_with(&repository)).unwrap_or_default();
        let fields: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(fields[1..3], ["<none>", &digest], "{listed}");
        p.run("image ls").ok().out(&plain);
        p.run(&format!("image inspect {repository}:1")).code_is(1).err("no such image");
        let gone = p.run(&format!("image rm {name}")).ok().stdout;
        assert!(gone.starts_with(&format!("Untagged: {plain}\nDeleted: sha256:")), "{gone}");
    }
    let yaml = |digest: &str| {
        format!(
            "services:\n  plain: {{image: '{repository}@{digest}'}}\n  tagged: {{image: '{repository}:1@{digest}'}}\n  built: {{image: images-digest-built, build: {{dockerfile_inline: \"FROM {repository}@{digest}\\nRUN echo built on it >> /f\\n\"}}}}\n"
        )
    };
    p.file("compose.yaml", &yaml(&digest));
    p.run("pull plain tagged").ok();
    p.run("up plain tagged").ok().out("plain-1  | by digest").out("tagged-1  | by digest");
    p.run("down").ok();
    p.run(&format!("image rm {plain}")).ok();
    p.run("up --build built").ok().out("by digest").out("built on it");
    p.run("down").ok();
    p.run("image rm images-digest-built").ok();
    p.run(&format!("image rm {plain}")).ok();
    // One that isn't there, and one that is none.
    let wrong = format!("sha256:{}", "0".repeat(64));
    p.file("compose.yaml", &yaml(&wrong));
    let said = p.run("up plain").code_is(1).err(&format!("{repository}@{wrong} is not in its registry"));
    said.err("--> compose.yaml:2:").not_err(&format!("{repository}:1"));
    p.run("build built").code_is(1).err("is not in its registry");
    p.run(&format!("image pull {repository}@sha256:12")).code_is(1).err("malformed digest");
    p.nothing_left(true);
}

/// A service with `image` and `build`: the registry's comes first, and what it doesn't have is built.
#[test]
fn pulled_before_built() {
    let Some(p) = Project::empty("images-or-build") else { return };
    let p = p.env("DOCKER_CONFIG", "docker-config");
    let Some(registry) = Registry::start(&p) else { return };
    p.cmd(&format!("login -u user --password-stdin {}", registry.1)).stdin("U*U\n").run().unwrap().ok();
    let name = format!("{}/team/either:1", registry.1);
    // The first only uses what the second builds.
    let yaml = |policy: &str| {
        format!(
            "services:
  uses: {{image: '{name}', command: cat /f}}
  builds:
    image: '{name}'
    command: 'true'
    pull_policy: {policy}
    build: {{dockerfile_inline: \"FROM busybox\\nRUN echo built here > /f\\n\"}}
"
        )
    };
    let begin = |policy: &str, flags: &str| {
        p.file("compose.yaml", &yaml(policy));
        let done = p.run(&format!("up {flags}"));
        p.run("down").ok();
        done
    };
    begin("missing", "--no-build").code_is(1).err("is not in its registry").err("--> compose.yaml:");
    let built = begin("missing", "").ok().out("uses-1  | built here");
    built.err("is not in its registry").err("it is built instead");
    // It needn't be there each time.
    for (policy, flags) in [("always", ""), ("missing", "--pull always"), ("always", "--no-build")] {
        begin(policy, flags).ok().out("built here").err("the one that is here is used").not_err("Built");
    }
    begin("missing", "").ok().not_err("Pulling");
    p.file("Dockerfile", "FROM busybox\nRUN echo from the registry > /f\n");
    p.run(&format!("image build -q -t {name} --push .")).ok();
    begin("always", "").ok().out("from the registry").not_err("Built");
    p.run(&format!("image rm {name}")).ok();
    begin("missing", "").ok().out("from the registry").not_err("Built");
    begin("build", "").ok().out("built here").not_err("Pulling");
    p.run(&format!("image rm {name}")).ok();
    begin("never", "").ok().out("built here").not_err("Pulling");
    p.run(&format!("image rm {name}")).ok();
    p.nothing_left(true);
}

/// What can be built is built where there is no network, and nobody is asked for it again.
#[test]
fn built_without_a_network() {
    let build = "{dockerfile_inline: \"FROM busybox\\nRUN echo alone > /f\\n\"}";
    // Nothing can be reached in a new network: its loopback is down.
    let yaml = format!(
        "services: {{one: {{image: '127.0.0.1:5000/images-alone', command: cat /f, network_mode: none, build: {build}}}}}\n"
    );
    let Some(p) = Project::new("images-alone", &yaml) else { return };
    let program = p.cmd("").command().get_program().to_owned();
    let alone = |words: &str| {
        let run = Run::new("unshare").args(["--net"]).args([&program]).args(words.split_whitespace());
        let run = run.dir(p.dir()).env("RCOMPOSE_ROOT", p.root()).env("COMPOSE_PROJECT_NAME", p.name());
        run.run().unwrap()
    };
    // What a run that was killed has left.
    drop(p.cmd("image rm -f 127.0.0.1:5000/images-alone").run());
    let made = alone("create").ok();
    made.err("can't be reached: there is no network to it; it is built instead").err("Built");
    alone("create --force-recreate").ok().not_err("Pulling").not_err("Built");
    p.run("up").ok().out("alone\n");
    p.run("down").ok();
    p.run("image rm 127.0.0.1:5000/images-alone").ok();
    p.nothing_left(true);
}

/// A registry with TLS and a password, in a network of its own: its address isn't loopback's, where anything goes.
struct Secure {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

const HOST: &str = "10.9.9.1:5000";

impl Drop for Secure {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Secure {
    fn start(p: &Project) -> Option<Self> {
        for program in ["docker-registry", "openssl", "nsenter", "skopeo"] {
            if Command::new(program).arg("--version").output().is_err() {
                skip(p.name(), &format!("there is no {program}"));
                return None;
            }
        }
        let dir = p.dir().join("registry").display().to_string();
        p.file("registry/htpasswd", "user:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n");
        p.file("registry/names", "subjectAltName=IP:10.9.9.1\n");
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
        for line in [
            format!("req -x509 {key} -subj /CN=test-authority -keyout ca.key -out ca.crt"),
            format!("req {key} -subj /CN=test-registry -keyout server.key -out server.csr"),
            "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt".to_owned(),
        ] {
            let made = Command::new("openssl").current_dir(&dir).args(line.split(' ')).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        p.file(
            "registry/config.yml",
            &format!(
                "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {dir}/data}}}}\nhttp: {{addr: '{HOST}', tls: {{certificate: {dir}/server.crt, key: {dir}/server.key}}}}\nauth: {{htpasswd: {{realm: test, path: {dir}/htpasswd}}}}\n"
            ),
        );
        let line = format!(
            "ip link set lo up && ip address add 10.9.9.1/32 dev lo && exec docker-registry serve {dir}/config.yml"
        );
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", &line])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut from = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("listening on") {
            assert!(from.read_line(&mut said).unwrap() > 0, "the registry ended: {said}");
        }
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = log.clone();
        std::thread::spawn(move || {
            for line in from.lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Some(Self { child, log })
    }

    /// A program where the registry is to be seen.
    fn near(&self, program: &Run) -> Run {
        let command = program.command();
        let mut run = Run::new("nsenter")
            .args(["--net", "-t", &self.child.id().to_string()])
            .args([command.get_program()])
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            run = match value {
                Some(value) => run.env(name, value),
                None => run.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            run = run.dir(dir);
        }
        run
    }

    fn run(&self, program: &Run) -> Finished {
        self.near(program).run().unwrap()
    }

    /// How often a method was used since the last time, by what the registry says of it.
    fn requests(&self, words: &[&str]) -> Vec<usize> {
        // Its log comes a moment after its answers.
        std::thread::sleep(std::time::Duration::from_millis(300));
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        words.iter().map(|w| log.iter().filter(|l| l.contains(w)).count()).collect()
    }
}

#[test]
fn over_tls_with_a_password() {
    let Some(p) = Project::empty("images-tls") else { return };
    let config = p.dir().join("registries").display().to_string();
    let p = p.env("DOCKER_CONFIG", "docker-config").env("RCOMPOSE_REGISTRY_CONFIG", config);
    let Some(registry) = Secure::start(&p) else { return };
    let rc = |words: &str| registry.run(&p.cmd(words));
    let empty = p.dir().join("other");
    let elsewhere = |words: &str| {
        drop(fs::remove_dir_all(&empty));
        registry.run(&p.cmd(words).env("RCOMPOSE_ROOT", &empty))
    };
    let name = format!("{HOST}/team/app:1");
    p.file(
        "Dockerfile",
        "FROM busybox\n\
         RUN mkdir /dir && echo 1 > /dir/a && echo text > /a && ln /a /b && ln -s a /c && mkfifo /pipe && mknod /null c 1 3\n\
         RUN chmod 6755 /a && chown 7:8 /c -h && dd if=/dev/zero of=/sparse bs=1 count=1 seek=5000000 && touch -d '2001-02-03 04:05:06' /a\n\
         RUN rm /etc/group && rm -r /dir && mkdir /dir && echo 2 > /dir/b && printf x > \"$(printf 'caf\\351')\"\n",
    );
    p.run(&format!("image build -q -t {name} .")).ok();
    let id = p.run(&format!("image inspect -f {{{{.Id}}}} {name}")).ok().stdout;
    // Nobody knows who signed its certificate.
    let login = |password: &str| {
        let words = format!("login -u user --password-stdin {HOST}");
        registry.near(&p.cmd(&words)).stdin(password).run().unwrap()
    };
    login("U*U").code_is(1).err("certs.d");
    let authority = fs::read_to_string(p.dir().join("registry/ca.crt")).unwrap();
    p.file(&format!("registries/certs.d/{HOST}/ca.crt"), &authority);
    rc(&format!("image push {name}")).code_is(1).err("wants a login").err(&format!("rcompose login {HOST}"));
    login("wrong").code_is(1).err("refuses the login");
    login("U*U").ok().out("Login Succeeded");
    registry.requests(&[]);
    rc(&format!("image push {name}")).ok().out("digest: sha256:");
    let sent = registry.requests(&["method=PATCH", "method=POST"]);
    assert!(sent.iter().sum::<usize>() >= 5, "{sent:?}");
    rc(&format!("image push {name}")).ok().out("digest: sha256:");
    assert_eq!(registry.requests(&["method=PATCH", "method=POST"]), [0, 0], "it was sent again");
    // Into another repository, without a byte of a layer.
    let other = format!("{HOST}/team/other:1");
    p.run(&format!("image tag {name} {other}")).ok();
    rc(&format!("image push {other}")).ok();
    let moved = registry.requests(&["method=PATCH", "mount="]);
    assert!(moved[0] == 0 && moved[1] >= 4, "{moved:?}");
    for name in [&name, &other] {
        elsewhere(&format!("image pull {name}")).ok();
        let there = p.cmd(&format!("image inspect -f {{{{.Id}}}} {name}")).env("RCOMPOSE_ROOT", &empty);
        assert_eq!(there.run().unwrap().ok().stdout, id);
    }
    through_skopeo(&p, &registry, &name, &id);
    elsewhere(&format!("image pull {HOST}/team/back:1")).ok();
    let there =
        p.cmd(&format!("image inspect -f {{{{.Id}}}} {HOST}/team/back:1")).env("RCOMPOSE_ROOT", &empty);
    assert_eq!(there.run().unwrap().ok().stdout, id);
    p.run(&format!("logout {HOST}")).ok();
    elsewhere(&format!("image pull {name}"))
        .code_is(1)
        .err("wants a login")
        .err(&format!("rcompose login {HOST}"));
    rc(&format!("image push {name}")).code_is(1).err("wants a login");
    for name in [&name, &other] {
        p.run(&format!("image rm {name}")).ok();
    }
    p.nothing_left(true);
}

/// Out of the registry into a directory, whose image is the same, and back under another name.
fn through_skopeo(p: &Project, registry: &Secure, name: &str, id: &str) {
    let certificates = p.dir().join("registries/certs.d").join(HOST).display().to_string();
    let layout = p.dir().join("layout");
    let oci = format!("oci:{}:1", layout.display());
    let copy = ["--insecure-policy", "copy", "--quiet"];
    let of = |side: &str| [format!("--{side}-cert-dir={certificates}"), format!("--{side}-creds=user:U*U")];
    let from = Run::new("skopeo").args(copy).args(of("src")).args([&format!("docker://{name}"), &oci]);
    registry.run(&from).ok();
    let into =
        Run::new("skopeo").args(copy).args(of("dest")).args([&oci, &format!("docker://{HOST}/team/back:1")]);
    registry.run(&into).ok();
    let packed = p.dir().join("layout.tar");
    let tar = Command::new("tar").arg("cf").arg(&packed).arg("-C").arg(&layout).arg(".").status().unwrap();
    assert!(tar.success());
    let root = p.dir().join("third");
    p.cmd("image load -q -i layout.tar").env("RCOMPOSE_ROOT", &root).run().unwrap().ok();
    let ids = p.cmd("image ls -aq --no-trunc").env("RCOMPOSE_ROOT", &root).run().unwrap().ok().stdout;
    assert_eq!(ids, id);
}
