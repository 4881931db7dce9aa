//! Images of containers, and images on their way to a registry and back.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcompose_e2e::{Deadline, Project};

#[test]
fn a_container_becomes_an_image() {
    let yaml = format!(
        "services:\n  box:\n    image: busybox:latest\n    command: {}\n    volumes: [data:/data]\nvolumes: {{data: {{}}}}\n",
        super::POLITE
    );
    let Some(p) = Project::new("images-commit", &yaml) else { return };
    p.run("up -d").ok();
    p.sh("box", "mkdir /made; echo text > /made/file; echo kept > /data/kept; rm /etc/group").ok();
    p.run("export -o box.tar box").ok();
    let listed = Command::new("tar").arg("tf").arg(p.dir().join("box.tar")).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let has = |name: &str| listed.lines().any(|l| l == name);
    assert!(has("made/file") && has("bin/sh") && has("data/") && !has("data/kept") && !has("etc/group"));
    let change =
        ["commit", "-m", "as it is", "-c", "CMD [\"cat\", \"/made/file\"]", "box", "images-commit:1"];
    p.cmd_args(change).run().unwrap().ok().out("sha256:");
    p.run("image inspect -f {{.Config.Cmd}} images-commit:1").ok().out("[cat /made/file]\n");
    p.run("image history --format {{.Comment}} images-commit:1").ok().out("as it is\n");
    p.run("down -v").ok();
    p.file("compose.yaml", "services:\n  again: {image: images-commit:1}\n");
    p.run("run --rm -T again").ok().out("text\n");
    p.run("run --rm -T again ls /etc/group").code_is(1);
    p.run("down -v --remove-orphans").ok();
    p.run("image rm images-commit:1").ok().out("Untagged: images-commit:1\nDeleted: sha256:");
    p.nothing_left(true);
}

/// Debian's docker-registry on loopback with `user`, `U*U`: a test vector of crypt_blowfish.
pub(crate) struct Registry(Child, pub(crate) String);

impl Drop for Registry {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Registry {
    pub(crate) fn start(p: &Project) -> Option<Self> {
        if Command::new("docker-registry").arg("--version").output().is_err() {
            eprintln!("SKIP: there is no docker-registry");
            return None;
        }
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let dir = p.dir().join("registry").display().to_string();
        p.file("registry/htpasswd", "user:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n");
        p.file(
            "registry/config.yml",
            &format!(
                "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {dir}/data}}}}\nhttp: {{addr: '{address}'}}\nauth: {{htpasswd: {{realm: test, path: {dir}/htpasswd}}}}\n"
            ),
        );
        let mut child = Command::new("docker-registry")
            .args(["serve", &format!("{dir}/config.yml")])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("listening on") {
            assert!(log.read_line(&mut said).unwrap() > 0, "the registry ended: {said}");
        }
        // It must not block on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Some(Self(child, address))
    }
}

#[test]
fn to_a_registry_with_a_password_and_back() {
    let Some(p) = Project::empty("images-push") else { return };
    let p = p.env("DOCKER_CONFIG", "docker-config");
    let Some(registry) = Registry::start(&p) else { return };
    let name = format!("{}/team/app:1", registry.1);
    let yaml = format!(
        "services:\n  app: {{image: '{name}', build: {{dockerfile_inline: \"FROM busybox\\nRUN echo pushed > /f\\nCMD cat /f\\n\"}}}}\n  other: {{image: busybox}}\n"
    );
    p.file("compose.yaml", &yaml);
    p.run("build app").ok();
    p.run("push").code_is(1).err("wants a login").err(&format!("rcompose login {}", registry.1));
    p.run("push --ignore-push-failures").ok();
    p.run(&format!("image tag {name} 127.0.0.1:1/away")).ok();
    p.run("image push 127.0.0.1:1/away").code_is(1).err("help: check the network\n");
    p.run(&format!("image tag {name} 127.0.0.1:1/away:2")).ok();
    // Each that failed by its name.
    let away = p.run("image push -a 127.0.0.1:1/away").code_is(1).err("127.0.0.1:1/away:latest: registry");
    away.err("127.0.0.1:1/away:2: registry 127.0.0.1:1 can't be reached");
    p.run("image rm 127.0.0.1:1/away 127.0.0.1:1/away:2").ok();
    let from = format!("FROM {}/team/base\n", registry.1);
    let built = p.cmd("image build -").stdin(from).run().unwrap().code_is(1).err(":1:1");
    built.err(&format!("\nhelp: check the name; log in with `rcompose login {}`", registry.1));
    p.run(&format!("login -u user -p wrong {}", registry.1)).code_is(1).err("refuses the login");
    let login = format!("login -u user --password-stdin {}", registry.1);
    p.cmd(&login).stdin("U*U\n").run().unwrap().ok().out("Login Succeeded").err("stored unencrypted");
    p.run("push").ok().err("Pushed");
    p.run(&format!("image push {name}")).ok().out("digest: sha256:");
    p.file("Dockerfile", "FROM busybox\nRUN echo quiet > /f\n");
    let quiet = p.run(&format!("image build -q --push -t {} .", name.replace(":1", ":quiet"))).ok();
    assert_eq!((quiet.stderr.as_str(), quiet.stdout.lines().count()), ("", 1), "{}", quiet.describe());
    p.run(&format!("image rm {}", name.replace(":1", ":quiet"))).ok();
    p.run(&format!("image rm {name}")).ok();
    p.run("up --no-build app").ok().out("pushed");
    p.run(&format!("image pull {name}"))
        .ok()
        .out(&format!("Status: Image is up to date for {name}\n{name}\n"));
    // Not --rmi all: busybox is the other tests', too.
    p.run("down").ok();
    p.run(&format!("image rm {name}")).ok();
    p.run(&format!("logout {}", registry.1)).ok().out("Removing login credentials");
    p.run("pull app").code_is(1).err("wants a login");
    p.nothing_left(true);
}

/// A layer of one file.
fn layer(content: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append_data(&mut header, "file", content.as_bytes()).unwrap();
    tar.into_inner().unwrap()
}

#[test]
fn lists_as_dockers() {
    let Some(p) = Project::empty("images-lists") else { return };
    let import = |content: &str| {
        let id = p.cmd("image import -m made - images-lists:1").stdin(layer(content)).run().unwrap().ok();
        id.stdout.trim().to_owned()
    };
    let (first, second) = (import("first"), import("second"));
    let short = |id: &str| id["sha256:".len()..][..12].to_owned();
    p.run("image tag images-lists:1 images-lists:two").ok();
    p.run("image tag images-lists:1 images-lists/other:1").ok();
    let id = short(&second);
    let want = format!(
        "IMAGE              ID             DISK USAGE   CONTENT SIZE   EXTRA\n\
         images-lists:1     {id}           6B"
    );
    let listed = p.run("image ls images-lists").ok().stdout;
    assert!(listed.starts_with(&want), "{listed}");
    assert!(listed.contains("images-lists:two") && !listed.contains("other"), "{listed}");
    let tree = p.run("image ls --tree images-lists*").ok().stdout;
    assert!(tree.contains("\nimages-lists:two") && tree.contains("\n└─ linux/amd64"), "{tree}");
    p.run("image ls --tree -q").code_is(1).err("--quiet is not yet supported with --tree");
    assert_eq!(p.run("image ls -q images-lists").ok().stdout, format!("{id}\n{id}\n"));
    let rows = p.run("image ls --format table images-lists").ok().stdout;
    assert!(rows.starts_with("REPOSITORY     TAG       IMAGE ID       CREATED"), "{rows}");
    // What has lost its name is shown only if that is asked for.
    let has = |words: &str| p.run(words).ok().stdout.contains(&short(&first));
    assert!(!has("image ls") && !has("image ls -q") && !has("image ls -f dangling=false"));
    assert!(has("image ls -a") && has("image ls -aq") && has("image ls -f dangling=true --format json"));
    let plain = p.run("image history -H=false images-lists:1").ok().stdout;
    assert!(plain.starts_with("IMAGE          CREATED AT             CREATED BY"), "{plain}");
    assert!(plain.contains("Z ") && plain.contains("   6         made"), "{plain}");
    let format = "{{range .Images}}{{.Repository}}:{{.Tag}} {{.Size}};{{end}}";
    let all = p.cmd_args(["system", "df", "-v", "--format", format]).run().unwrap().ok().stdout;
    assert!(all.contains("images-lists/other:1 6B;") && !all.contains("images-lists:"), "{all}");
    for name in ["images-lists:1", "images-lists:two", "images-lists/other:1", &first] {
        p.run(&format!("image rm {name}")).ok();
    }
}

#[test]
fn ids_and_names() {
    let yaml = format!("services:\n  box: {{image: images-ids, command: {}}}\n", super::POLITE);
    let Some(p) = Project::new("images-ids", &yaml) else { return };
    // Of which nobody else has the first four digits.
    let alone = |n: u32| {
        p.file("Dockerfile", &format!("FROM busybox\nLABEL images=ids-{n}\n"));
        let id = p.run("image build -q -t images-ids .").ok().stdout.trim().to_owned();
        let all = p.run("image ls -aq --no-trunc").ok().stdout;
        (all.matches(&id[..11]).count() == 1).then_some(id)
    };
    let id = (0..20).find_map(alone).unwrap();
    let short = &id["sha256:".len()..][..12];
    // A short name may look like the beginning of an id.
    p.run(&format!("image inspect {}", &short[..3])).code_is(1).err("no such image");
    p.run(&format!("image inspect -f {{{{.Id}}}} {}", &short[..4])).ok().out(&id);
    p.run("up -d").ok();
    p.run("image rm images-ids").code_is(1).err("(must be forced)");
    // Scripts that remove all images leave those of running containers with their names.
    for forced in [short, &id, &short[..4]] {
        p.run(&format!("image rm -f {forced}")).code_is(1).err("(cannot be forced)");
    }
    assert_eq!(p.run("image ls -q images-ids").ok().stdout.trim(), short);
    p.run("image rm -f images-ids").ok().out("Untagged: images-ids:latest\n");
    p.run("down").ok();
    p.file("compose.yaml", &yaml.replace("image: images-ids", &format!("image: '{short}'")));
    p.run("up -d").ok();
    p.run("down --rmi all").ok();
    p.run(&format!("image rm {short}")).ok().out(&format!("Deleted: {id}\n"));
    p.nothing_left(true);
}

/// What is empty is left out, and is empty in a template.
#[test]
fn inspected_as_dockers() {
    let Some(p) = Project::empty("images-inspect") else { return };
    p.file("Dockerfile", "FROM scratch\nCOPY Dockerfile /f\n");
    p.file("Full", "FROM scratch\nMAINTAINER me\nCOPY Dockerfile /f\nLABEL a=b\nSTOPSIGNAL USR1\nENTRYPOINT [\"/f\"]\nSHELL [\"/f\"]\nEXPOSE 1\n");
    p.run("image build -q -t images-inspect:plain .").ok();
    p.run("image build -q -t images-inspect:full -f Full .").ok();
    p.cmd("image import - images-inspect:imported").stdin(layer("x")).run().unwrap().ok();
    let inspect = |tag: &str| -> serde_json::Map<String, serde_json::Value> {
        let out = p.run(&format!("image inspect images-inspect:{tag}")).ok().stdout;
        serde_json::from_str::<Vec<_>>(&out).unwrap().remove(0)
    };
    let keys = |of: &serde_json::Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let (start, end) = ("Id RepoTags RepoDigests", "Config Architecture Os Size RootFS Metadata");
    let image = inspect("plain");
    assert_eq!(keys(&image.clone().into()), format!("{start} Comment Created {end}"));
    assert_eq!(keys(&image["Config"]), "Env WorkingDir");
    let image = inspect("full");
    assert_eq!(keys(&image.clone().into()), format!("{start} Comment Created Author {end}"));
    assert_eq!(keys(&image["Config"]), "ExposedPorts Env Entrypoint WorkingDir Labels StopSignal Shell");
    let image = inspect("imported");
    assert_eq!(keys(&image.clone().into()), format!("{start} Comment Created {end}"));
    assert_eq!(image["Config"], serde_json::json!({}));
    for (format, want) in [
        ("[{{.Author}}{{.Variant}}{{.Parent}}]", "[]\n"),
        ("{{.Config.Labels}} {{.Config.Cmd}} {{.Config.User}}.", "map[] [] .\n"),
        ("{{len .Config.Env}}{{range .Config.Volumes}}no{{end}} {{json .Config.Healthcheck}}", "0 null\n"),
        ("{{json .Config.Cmd}} {{.Config.Labels | json}} {{json .Config.User}}", "null null \"\"\n"),
        ("{{if .Config.Healthcheck}}yes{{else}}no{{end}}", "no\n"),
        ("{{.Config.Healthcheck}} {{.Descriptor}}", "<nil> <nil>\n"),
    ] {
        let out = p.cmd_args(["image", "inspect", "-f", format, "images-inspect:imported"]).run().unwrap();
        assert_eq!(out.ok().stdout, want);
    }
    for field in [".Config.Foo", ".Foo", ".Config.Author", ".Metadata.Labels", ".RootFS.User"] {
        let format = format!("{{{{{field}}}}}");
        let out = p.cmd_args(["image", "inspect", "-f", &format, "images-inspect:imported"]).run().unwrap();
        let out = out.code_is(1).err("there is no field");
        assert!(!out.stderr.contains("there are \n"), "{}", out.stderr);
    }
    for tag in ["plain", "full", "imported"] {
        p.run(&format!("image rm images-inspect:{tag}")).ok();
    }
}

/// How often what is in the build cache was used.
#[test]
fn uses_of_the_build_cache() {
    let Some(p) = Project::empty("images-uses") else { return };
    // The cache outlives the test.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    p.file("Dockerfile", &format!("# {}\nFROM scratch\nCOPY Dockerfile /images-uses\n", now.as_nanos()));
    let ids = |uses: &str| -> Vec<String> {
        let out = p.run("system df -v --format json").ok().stdout;
        let all: serde_json::Value = serde_json::from_str(&out).unwrap();
        let rows = all["BuildCache"].as_array().unwrap().iter();
        rows.filter(|r| r["UsageCount"] == uses).map(|r| r["ID"].as_str().unwrap().to_owned()).collect()
    };
    let before = ids("1");
    p.run("image build -q -t images-uses .").ok();
    let new: Vec<String> = ids("1").into_iter().filter(|id| !before.contains(id)).collect();
    assert!(!new.is_empty());
    for uses in ["2", "3"] {
        p.run("image build -q -t images-uses .").ok();
        let now = ids(uses);
        assert!(new.iter().any(|id| now.contains(id)), "{new:?} are not in {now:?}");
    }
    let table = p.run("system df -v").ok().stdout;
    assert!(table.contains("LAST USED") && table.contains("USAGE     SHARED"), "{table}");
    p.run("image rm images-uses").ok();
}

/// A container that is made while somebody waits to remove its image keeps it.
#[test]
fn kept_for_containers_that_come_meanwhile() {
    let yaml = format!("services:\n  box: {{image: images-kept, command: {}}}\n", super::POLITE);
    let Some(p) = Project::new("images-kept", &yaml) else { return };
    p.file("Dockerfile", "FROM busybox\nLABEL images=kept\nRUN echo kept > /kept\n");
    p.run("image build -q -t images-kept .").ok();
    let lock = std::fs::File::open(p.root().join("lib/images/lock")).unwrap();
    for (words, status) in [
        ("image prune -a -f --filter label=images=kept", 0),
        ("system prune -a -f --filter label=images=kept", 0),
        ("image rm images-kept", 1),
    ] {
        lock.lock_shared().unwrap();
        let removing = p.cmd(words).start().unwrap();
        let waits = || {
            let locks = std::fs::read_to_string("/proc/locks").unwrap();
            let pid = format!(" {} ", removing.pid());
            locks.lines().any(|l| l.contains("-> FLOCK") && l.contains(&pid))
        };
        let deadline = Deadline::after(Duration::from_secs(60));
        while !waits() {
            assert!(!deadline.passed(), "{words} doesn't wait");
            std::thread::sleep(Duration::from_millis(5));
        }
        p.run("up -d").ok();
        lock.unlock().unwrap();
        let done = removing.end().unwrap();
        assert_eq!(done.code(), status, "{}", done.describe());
        p.sh("box", "cat /kept").ok().out("kept\n");
        p.run("down").ok();
    }
    p.run("image rm images-kept").ok();
    p.nothing_left(true);
}
