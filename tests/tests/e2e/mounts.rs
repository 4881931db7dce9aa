//! Mounts of images, of parts of volumes, and of what is mounted below a directory of the host.

use std::path::{Path, PathBuf};
use std::process::Command;

use rcompose_e2e::Project;

use crate::POLITE;

const DATA: &str = "
  data:
    build:
      dockerfile_inline: |
        FROM busybox:latest
        RUN mkdir -p /d/sub /d/deep && echo low > /d/sub/f && echo gone > /d/sub/g && echo old > /d/deep/old
        RUN rm /d/sub/g && echo top > /d/sub/h && ln -s ../../../../d/sub /d/link
        RUN rm -r /d/deep && mkdir /d/deep && echo new > /d/deep/new
    image: e2e-mounts-data
    command: \"true\"
";

#[test]
fn a_part_of_an_image_of_several_layers() {
    let compose = format!(
        "services:{DATA}
  web:
    image: busybox:latest
    command: {POLITE}
    depends_on: [data]
    volumes:
      - {{type: image, source: e2e-mounts-data, target: /whole}}
      - {{type: image, source: data, target: /part, image: {{subpath: d/sub}}}}
      - {{type: image, source: data, target: /link, image: {{subpath: d/link}}}}
      - {{type: image, source: data, target: /opaque, image: {{subpath: d/deep}}}}
      - {{type: image, source: data, target: /file, image: {{subpath: d/sub/h}}}}
"
    );
    let Some(p) = Project::new("mounts-image", &compose) else { return };
    p.run("up -d").ok();
    p.sh("web", "cd /whole && ls d && cat d/sub/*").ok().out("deep\nlink\nsub\nlow\ntop\n");
    for place in ["/part", "/link"] {
        p.sh("web", &format!("cd {place} && echo * && cat f h")).ok().out("f h\nlow\ntop\n");
    }
    p.sh("web", "ls /opaque && cat /file").ok().out("new\ntop\n");
    p.sh("web", "touch /part/x").code_is(1).err("Read-only file system");
    p.run("down").ok();
    p.nothing_left(true);
}

#[test]
fn a_part_that_the_image_does_not_have() {
    let compose = "services:
  web:
    image: busybox:latest
    command: \"true\"
    volumes:
      - {type: image, source: busybox, target: /part, image: {subpath: no/such}}
";
    let Some(p) = Project::new("mounts-missing", compose) else { return };
    p.run("up -d").code_is(1).err("the image for /part has no \"no/such\"").err("compose.yaml:6:");
    p.nothing_left(true);
}

/// What a container leaves in a volume doesn't lead out of it.
#[test]
fn links_in_a_volume_stay_inside() {
    let service = |subpath: &str| {
        format!(
            "services:
  maker:
    image: busybox:latest
    command: [sh, -c, 'mkdir -p /v/etc && echo own > /v/etc/hostname && ln -sfn /etc /v/out && ln -sfn / /v/none']
    volumes: [data:/v]
  web:
    image: busybox:latest
    command: [cat, /part/hostname]
    depends_on: {{maker: {{condition: service_completed_successfully}}}}
    volumes:
      - {{type: volume, source: data, target: /part, volume: {{subpath: {subpath}}}}}
volumes: {{data: }}
"
        )
    };
    let Some(p) = Project::new("mounts-links", &service("out")) else { return };
    p.run("up -d").ok();
    p.await_log("web", "own\n");
    p.file("compose.yaml", &service("none/proc"));
    p.run("up -d").code_is(1).err("volume mounts-links_data has no \"none/proc\"");
    p.run("down -v").ok();
    p.nothing_left(true);
}

/// A tmpfs on the host, gone with this value.
struct Below(PathBuf);

impl Below {
    fn mount(at: PathBuf) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        assert!(Command::new("mount").args(["-t", "tmpfs", "below"]).arg(&at).status().unwrap().success());
        std::fs::write(at.join("file"), "below\n").unwrap();
        Self(at)
    }
}

impl Drop for Below {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(&self.0).status();
        assert!(done.is_ok_and(|s| s.success()), "{} is still mounted", self.0.display());
    }
}

#[test]
fn what_is_mounted_below() {
    let mount = |name: &str, recursive: &str| {
        format!(
            "\n      - {{type: bind, source: ./host, target: /{name}, read_only: true, bind: {{recursive: {recursive}}}}}"
        )
    };
    let words = ["enabled", "disabled", "writable", "readonly"];
    let mounts: String = words.iter().map(|w| mount(w, w)).collect();
    let compose = format!(
        "services:\n  web:\n    image: busybox:latest\n    command: {POLITE}\n    volumes:{mounts}\n      - ./host:/rw\n"
    );
    let Some(p) = Project::new("mounts-below", &compose) else { return };
    let below = Below::mount(Path::new(p.dir()).join("host/below"));
    p.run("up -d").ok();
    let try_all = "for d in enabled disabled writable readonly rw; do \
        echo $d $(cat /$d/below/file 2>/dev/null || echo -) \
        $(touch /$d/x 2>/dev/null && echo w || echo r) $(touch /$d/below/x 2>/dev/null && echo w || echo r); done";
    let want = "enabled below r r\ndisabled - r r\nwritable below r w\nreadonly below r r\nrw below w w\n";
    p.sh("web", try_all).ok().out(want);
    p.run("down").ok();
    drop(below);
    p.nothing_left(true);
}
