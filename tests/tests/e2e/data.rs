//! Volumes, bind mounts, tmpfs, read-only roots.

use rcompose_e2e::Project;

use crate::POLITE;

fn keeper_of_data(name: &str) -> Option<Project> {
    let p = Project::new(
        name,
        &format!(
            "services:
  box:
    image: busybox:latest
    command: {POLITE}
    read_only: true
    tmpfs: [/scratch]
    volumes:
      - kept:/kept
      - /loose
      - ./given:/given:ro
volumes:
  kept:
"
        ),
    )?;
    p.file("given/file", "from outside\n");
    Some(p)
}

#[test]
fn volume_survives_down_and_goes_with_v() {
    let Some(p) = keeper_of_data("data-volume") else { return };
    p.run("up -d").ok();
    p.sh("box", "echo precious > /kept/it").ok();
    p.run("down").ok();
    p.nothing_left(false);
    p.run("up -d").ok();
    p.sh("box", "cat /kept/it").ok().out("precious\n");
    p.run("down -v").ok();
    p.nothing_left(true);
    p.run("up -d").ok();
    p.sh("box", "cat /kept/it").code_is(1);
}

#[test]
fn each_place_has_its_rules() {
    let Some(p) = keeper_of_data("data-places") else { return };
    p.run("up -d").ok();
    p.sh("box", "cat /given/file").ok().out("from outside\n");
    p.sh("box", "echo x > /given/file").code_is(1).err("Read-only file system");
    p.sh("box", "echo x > /file").code_is(1).err("Read-only file system");
    p.sh("box", "echo x > /scratch/file && echo x > /loose/file").ok();
    p.sh("box", "grep -c ' /scratch tmpfs ' /proc/mounts").ok().out("1\n");
    p.file("given/file", "changed outside\n");
    p.sh("box", "cat /given/file").ok().out("changed outside\n");
}

#[test]
fn recreated_container_keeps_its_volumes() {
    let Some(p) = keeper_of_data("data-recreate") else { return };
    p.run("up -d").ok();
    p.sh("box", "echo a > /kept/file; echo b > /loose/file").ok();
    p.run("up -d --force-recreate").ok();
    p.sh("box", "cat /kept/file /loose/file").ok().out("a\nb\n");
}

#[test]
fn new_volume_starts_with_the_images_files() {
    let Some(p) = Project::new(
        "data-seed",
        &format!(
            "services:\n  box: {{build: ., command: {POLITE}, volumes: ['seed:/srv/data']}}\nvolumes: {{seed: {{}}}}\n"
        ),
    ) else {
        return;
    };
    p.file("Dockerfile", "FROM busybox:latest\nRUN mkdir -p /srv/data && echo seed > /srv/data/file && chown -R 123:45 /srv/data\n");
    p.run("up -d").ok();
    p.sh("box", "cat /srv/data/file; stat -c %u:%g /srv/data /srv/data/file")
        .ok()
        .out("seed\n123:45\n123:45\n");
    p.run("down -v --rmi local").ok();
}
