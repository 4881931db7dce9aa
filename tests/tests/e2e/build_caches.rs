//! Build caches elsewhere, in BuildKit's form.

use std::fs;
use std::path::Path;

use rcompose_e2e::{Finished, Project};
use serde_json::Value;

use super::images::Registry;

/// Steps of two stages; `what` makes them another project's.
fn project(name: &str) -> Option<Project> {
    let p = Project::empty(name)?;
    p.file(
        "Dockerfile",
        &format!(
            "FROM busybox:latest AS a\nRUN echo of-{name} > /file; head -c 10000 /dev/urandom > /random\n\
             FROM busybox:latest\nCOPY --from=a /file /\nRUN cat /file > /copy\n"
        ),
    );
    Some(p)
}

/// A build in another installation, which has nothing but the base.
fn elsewhere(p: &Project, words: &str) -> Finished {
    let root = p.dir().join("elsewhere").display().to_string();
    let run = |words: &str| p.cmd(words).env("RCOMPOSE_ROOT", &root).run().unwrap().ok();
    let base = std::env::var("RCOMPOSE_E2E_BASE").unwrap();
    run(&format!("image import {base}/busybox.tar busybox:latest"));
    let done = run(words);
    fs::remove_dir_all(&root).unwrap();
    done
}

#[track_caller]
fn hits(done: &Finished, count: usize) {
    assert_eq!(done.stderr.matches("CACHED").count(), count, "{}", done.describe());
    assert!(count == 0 || !done.stderr.contains("warning"), "{}", done.describe());
}

#[test]
fn directories_in_each_form() {
    let Some(p) = project("cache-local") else { return };
    let image = "application/vnd.oci.image.manifest.v1+json";
    let forms = [
        ("latest", "mode=max", image, 3),
        ("min", "mode=min,compression=zstd,force-compression=true", image, 2),
        (
            "idx",
            "mode=max,image-manifest=false,compression=uncompressed,force-compression=true",
            "application/vnd.oci.image.index.v1+json",
            3,
        ),
        (
            "dock",
            "mode=max,oci-mediatypes=false",
            "application/vnd.docker.distribution.manifest.list.v2+json",
            3,
        ),
    ];
    for (tag, options, media_type, layers) in forms {
        p.run(&format!("image build -q --cache-to type=local,dest=cache,tag={tag},{options} .")).ok();
        let blobs = p.dir().join("cache/blobs/sha256");
        let read = |file: &Path| serde_json::from_slice::<Value>(&fs::read(file).unwrap()).unwrap();
        let index = read(&p.dir().join("cache/index.json"));
        let named = |m: &&Value| m["annotations"]["org.opencontainers.image.ref.name"] == tag;
        let entry = index["manifests"].as_array().unwrap().iter().find(named).unwrap();
        assert_eq!(entry["mediaType"], media_type);
        let manifest = read(&blobs.join(entry["digest"].as_str().unwrap().trim_start_matches("sha256:")));
        let (list, own) = match media_type == image {
            true => (manifest["layers"].as_array().unwrap().clone(), manifest["config"].clone()),
            false => {
                let mut list = manifest["manifests"].as_array().unwrap().clone();
                let own = list.pop().unwrap();
                (list, own)
            }
        };
        assert_eq!(
            (list.len(), &own["mediaType"]),
            (layers, &"application/vnd.buildkit.cacheconfig.v0".into())
        );
        let kind = list[0]["mediaType"].as_str().unwrap();
        let want = match tag {
            "min" => "tar+zstd",
            "idx" => "layer.v1.tar",
            "dock" => "image.rootfs.diff.tar.gzip",
            _ => "tar+gzip",
        };
        assert!(kind.ends_with(want) || tag == "dock", "{tag}: {kind}");
    }
    for (tag, count) in [("latest", 3), ("min", 2), ("idx", 3), ("dock", 3)] {
        hits(&elsewhere(&p, &format!("image build --cache-from type=local,src=cache,tag={tag} .")), count);
    }
    // What nothing leads to goes with reset.
    p.file("cache/blobs/sha256/0000", "left over");
    p.run("image build -q --cache-to type=local,dest=cache,mode=max,reset=true .").ok();
    assert!(!p.dir().join("cache/blobs/sha256/0000").exists());
    hits(&elsewhere(&p, "image build --cache-from type=local,src=cache ."), 3);
    // A broken blob costs a step, not the build.
    for file in fs::read_dir(p.dir().join("cache/blobs/sha256")).unwrap() {
        let path = file.unwrap().path();
        if fs::read(&path).unwrap()[0] != b'{' {
            fs::write(path, "broken").unwrap();
        }
    }
    let done = elsewhere(&p, "image build --cache-from type=local,src=cache .");
    assert!(
        done.stderr.contains("of a cache can't be had") && !done.stderr.contains("CACHED"),
        "{}",
        done.describe()
    );
}

#[test]
fn registries_and_images() {
    let Some(p) = project("cache-registry") else { return };
    let p = p.env("DOCKER_CONFIG", "docker-config");
    let Some(registry) = Registry::start(&p) else { return };
    p.cmd(&format!("login -u user --password-stdin {}", registry.1)).stdin("U*U\n").run().unwrap().ok();
    let at = |tag: &str| format!("{}/cache/x:{tag}", registry.1);
    for (tag, options) in [
        ("max", "mode=max"),
        ("idx", "mode=max,image-manifest=false"),
        ("zstd", "mode=max,compression=zstd,compression-level=3,force-compression=true"),
    ] {
        p.run(&format!("image build -q --cache-to type=registry,ref={},{options} .", at(tag))).ok();
        hits(&elsewhere(&p, &format!("image build --cache-from type=registry,ref={} .", at(tag))), 3);
    }
    // Only what is taken is fetched: the other stage's layer isn't.
    hits(&elsewhere(&p, &format!("image build --target a --cache-from {} .", at("max"))), 1);
    p.run(&format!("image build -q -t {} --cache-to type=inline .", at("image"))).ok();
    p.run(&format!("image push -q {}", at("image"))).ok();
    hits(&elsewhere(&p, &format!("image build --cache-from {} .", at("image"))), 2);
    // The image that is here will do.
    p.run(&format!("image build --cache-from {} .", at("image"))).ok().not_err("warning");
    p.run(&format!("image rm {}", at("image"))).ok();
}

#[test]
fn options_and_caches_that_cannot_be_had() {
    let Some(p) = project("cache-options") else { return };
    for (words, said) in [
        ("--cache-to type=local,dest=c,mod=max", "a cache of type local has no option `mod`"),
        ("--cache-to type=local,dest=c,mod=max", "did you mean `mode`?"),
        ("--cache-to type=local,dest=c,mode=all", "mode is min or max, not `all`"),
        ("--cache-to type=local", "a cache of type local needs dest"),
        ("--cache-from type=local", "needs src"),
        ("--cache-from type=registry", "needs ref"),
        ("--cache-to type=local,dest=c,compression=lzma", "gzip, zstd, uncompressed"),
        ("--cache-to type=local,dest=c,compression-level=x", "compression-level is a number"),
        ("--cache-to type=local,dest=c,image-manifest=maybe", "image-manifest is true or false"),
        ("--cache-to type=local,dest=c,image-manifest=true,oci-mediatypes=false", "needs OCI's media types"),
        ("--cache-from type=nonsense", "there is no type `nonsense`"),
        ("--cache-from type=inline", "name the image"),
        ("--cache-to dest=c", "it has no type"),
        ("--cache-to type=s3,bucket=x,region=y", "caches of type s3 aren't supported"),
    ] {
        p.run(&format!("image build -q {words} .")).code_is(1).err(said);
    }
    let none = "127.0.0.1:1/none:x";
    for from in ["type=gha", "type=s3,bucket=x", "type=local,src=nowhere", none] {
        p.run(&format!("image build --cache-from {from} ."))
            .ok()
            .err(&format!("the cache {from} can't be read"));
    }
    p.run(&format!("image build --cache-to type=registry,ref={none} ."))
        .code_is(1)
        .err("failed to write the cache");
    for to in [
        &format!("type=registry,ref={none},ignore-error=true"),
        "type=gha,mode=max",
        "type=azblob,ignore-error=true",
    ] {
        p.run(&format!("image build --cache-to {to} ."))
            .ok()
            .err(&format!("the cache {to} can't be written"));
    }
    // With its place in a project.
    p.file(
        "compose.yaml",
        "services:\n  box:\n    build:\n      context: .\n      cache_to: [\"type=local,dst=c\"]\n",
    );
    p.run("build").code_is(1).err("has no option `dst`").err("compose.yaml:").err("service \"box\"");
}
