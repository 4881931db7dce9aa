//! Who may see and use what: the caller's umask is for the caller's files alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcompose_e2e::{Finished, Project, Run};

/// A command of rcompose under a umask.
fn under(p: &Project, umask: &str, words: &str) -> Finished {
    let program = p.cmd("").command().get_program().to_owned();
    let line = format!("umask {umask}; exec \"$0\" \"$@\"");
    let run = Run::new("sh").args(["-c", &line]).args([program]).args(words.split_whitespace());
    let run = run.dir(p.dir()).env("RCOMPOSE_ROOT", p.root()).env("COMPOSE_PROJECT_NAME", p.name());
    run.run().unwrap()
}

fn mode(path: impl AsRef<Path>) -> String {
    let mode = fs::metadata(path.as_ref()).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()));
    format!("{:o}", mode.permissions().mode() & 0o777)
}

#[test]
fn containers_and_images_know_nothing_of_the_callers_umask() {
    let Some(p) = Project::new(
        "rights-umask",
        "services:\n  tool: {image: busybox:latest, init: true, volumes: ['vol:/v', './made:/m']}\n  own: {build: .}\nvolumes: {vol: {}}\n",
    ) else {
        return;
    };
    p.file("file", "x\n");
    p.file(
        "Dockerfile",
        "FROM busybox:latest\nWORKDIR /w/deep\nCOPY file new/\nRUN --mount=type=cache,target=/c,id=rights umask; stat -c %a / /c /w /w/deep/new >/w/said\nUSER 65534\nCMD [\"sh\", \"-c\", \"cd / && id -u && cat /w/said\"]\n",
    );
    let stat = "sh -c id${IFS}-u;umask;stat${IFS}-c${IFS}%a${IFS}/${IFS}/v${IFS}/m";
    let said = under(&p, "077", &format!("run --rm -T --user 65534 tool {stat}")).ok();
    assert_eq!(said.stdout, "65534\n0022\n755\n755\n755\n");
    assert_eq!(mode(p.dir().join("made")), "755");
    under(&p, "077", "build -q").ok();
    assert_eq!(under(&p, "077", "run --rm -T own").ok().stdout, "65534\n755\n755\n755\n755\n");
    p.run("builder prune -af --filter type=exec.cachemount").ok();
    p.run("down -v --rmi local").ok();
}

#[test]
fn the_callers_files_have_the_callers_umask() {
    let Some(p) = Project::new("rights-files", "services: {a: {image: busybox:latest}}\n") else { return };
    p.file("Dockerfile", "FROM scratch\nCOPY compose.yaml /\n");
    for (umask, file, directory) in [("077", "600", "700"), ("022", "644", "755"), ("002", "664", "775")] {
        let at = |name: &str| format!("{umask}-{name}");
        let run = |words: String| under(&p, umask, &words).ok();
        run(format!("config -q -o {}", at("quiet")));
        run(format!("config -o {}", at("config")));
        std::os::unix::fs::symlink(at("target"), p.dir().join(at("link"))).unwrap();
        run(format!("config -o {}", at("link")));
        run(format!(
            "image build -q --iidfile {} --metadata-file {} -o {}/deep .",
            at("id"),
            at("meta"),
            at("out")
        ));
        run(format!("image build -q -o type=tar,dest={} .", at("tar")));
        run(format!("image build -q -o type=oci,tar=false,dest={} .", at("layout")));
        run(format!("image save -o {} busybox:latest", at("saved")));
        let got = |name: &str| mode(p.dir().join(at(name)));
        for name in ["config", "id", "meta", "tar"] {
            assert_eq!(got(name), file, "{name} under {umask}");
        }
        // Never more than the umask leaves; what a link leads to has no more than the engine's either.
        let left = if umask == "077" { "600" } else { "644" };
        assert_eq!(got("target"), left, "under {umask}");
        for name in ["out", "out/deep", "layout"] {
            assert_eq!(got(name), directory, "{name} under {umask}");
        }
        assert_eq!(got("saved"), "600", "under {umask}");
        fs::create_dir(p.dir().join(at("there"))).unwrap();
        run(format!("image build -q -o type=oci,tar=false,dest={} .", at("there")));
        for name in ["there/blobs", "there/blobs/sha256"] {
            assert_eq!(got(name), directory, "{name} under {umask}");
        }
        // Within a group's directory all is the group's.
        let group = p.dir().join(at("group"));
        fs::create_dir(&group).unwrap();
        fs::set_permissions(&group, fs::Permissions::from_mode(0o2775)).unwrap();
        run(format!("image build -q -o {}/deep/er .", at("group")));
        for name in ["deep", "deep/er"] {
            let mode = fs::metadata(group.join(name)).unwrap().permissions().mode() & 0o7777;
            assert_eq!(format!("{mode:o}"), format!("2{directory}"), "{name} under {umask}");
        }
    }
}

/// Files of containers belong to anybody, and may be setuid.
#[test]
fn nobody_else_sees_what_containers_have() {
    let Some(p) = Project::new(
        "rights-rooms",
        "services: {a: {image: busybox:latest, init: true, command: sleep 60, volumes: ['vol:/v']}}\nvolumes: {vol: {}}\n",
    ) else {
        return;
    };
    p.file("Dockerfile", "FROM busybox:latest\nRUN true\n");
    p.run("image build -q .").ok();
    p.run("up -d").ok();
    for room in ["lib/projects", "lib/volumes", "lib/build-cache", "lib/images/layers", "run/projects"] {
        assert_eq!(mode(p.root().join(room)), "700", "{room}");
    }
    p.run("down -v").ok();
}

/// In a container whose own files are an overlay there can't be another one: that is said, with what to do.
#[test]
fn an_overlay_on_an_overlay() {
    let Some(p) = Project::new(
        "rights-overlay",
        "services:\n  a: {image: busybox:latest, command: 'true'}\n  b: {build: .}\n",
    ) else {
        return;
    };
    p.file("Dockerfile", "FROM busybox:latest\nRUN true\n");
    p.run("image save -o image.tar busybox:latest").ok();
    for name in ["lower", "upper", "work", "root"] {
        fs::create_dir(p.dir().join(name)).unwrap();
    }
    let script = r#"
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root
"$1" image load -q -i image.tar >/dev/null
"$1" up -d --quiet-pull a 2>&1 || true
"$1" build b 2>&1 || true
"$1" down 2>&1
"#;
    let program = p.cmd("").command().get_program().to_owned();
    let all = Run::new("unshare").args(["--mount", "sh", "-ec", script, "sh"]).args([program]).dir(p.dir());
    let all = all.env("RCOMPOSE_ROOT", p.dir().join("root")).env("COMPOSE_PROJECT_NAME", p.name());
    let all = all.run().unwrap().ok();
    let told =
        all.stdout.matches("is an overlay itself, as in a container, where the kernel makes no overlay");
    assert_eq!(told.count(), 2, "{}", all.describe());
    assert_eq!(all.stdout.matches("help: keep rcompose's files on ext4").count(), 2, "{}", all.describe());
    assert!(all.stdout.contains(" --> compose.yaml:2:") && all.stdout.contains(" --> Dockerfile:2:1"));
}
