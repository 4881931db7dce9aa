//! Several platforms under one name, what is attested of images, and annotations.

use std::fs;

use rcompose_e2e::Project;
use serde_json::Value;

use super::images::Registry;

/// Nothing of it runs anywhere but here.
const DOCKERFILE: &str = "FROM --platform=$BUILDPLATFORM busybox:latest AS maker
ARG TARGETPLATFORM
RUN echo made on $(uname -m) for $TARGETPLATFORM > /made
FROM scratch
ARG TARGETARCH
ENV ARCH=$TARGETARCH
COPY --from=maker /made /made
";

fn project(name: &str) -> Option<Project> {
    let p = Project::empty(name)?;
    p.file("Dockerfile", DOCKERFILE);
    Some(p)
}

fn json(p: &Project, path: &str) -> Value {
    let text = fs::read_to_string(p.dir().join(path)).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}: {text}"))
}

/// A blob of an unpacked archive.
fn blob(p: &Project, directory: &str, descriptor: &Value) -> Value {
    let digest = descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:");
    json(p, &format!("{directory}/blobs/sha256/{digest}"))
}

/// The index of an image, saved and unpacked.
fn saved(p: &Project, name: &str, directory: &str) -> Value {
    p.run(&format!("image save -o {directory}.tar {name}")).ok();
    unpack(p, directory);
    blob(p, directory, &json(p, &format!("{directory}/index.json"))["manifests"][0])
}

fn unpack(p: &Project, directory: &str) {
    let to = p.dir().join(directory);
    fs::create_dir_all(&to).unwrap();
    let file = fs::File::open(p.dir().join(format!("{directory}.tar"))).unwrap();
    assert!(
        std::process::Command::new("tar").arg("x").current_dir(to).stdin(file).status().unwrap().success()
    );
}

/// The in-toto statements about the image of an index.
fn statements(p: &Project, directory: &str, index: &Value, image: usize) -> Vec<Value> {
    let all = index["manifests"].as_array().unwrap();
    let about = &all[image]["digest"];
    let is = |m: &&Value| m["annotations"]["vnd.docker.reference.digest"] == *about;
    let Some(manifest) = all.iter().find(is) else { return Vec::new() };
    assert_eq!(manifest["annotations"]["vnd.docker.reference.type"], "attestation-manifest");
    let manifest = blob(p, directory, manifest);
    let layers = manifest["layers"].as_array().unwrap();
    let read = |l: &Value| {
        let statement = blob(p, directory, l);
        assert_eq!(statement["predicateType"], l["annotations"]["in-toto.io/predicate-type"]);
        assert_eq!(
            format!("sha256:{}", statement["subject"][0]["digest"]["sha256"].as_str().unwrap()),
            about.as_str().unwrap()
        );
        statement
    };
    layers.iter().map(read).collect()
}

fn arch(p: &Project, name: &str, platform: &str) -> String {
    let option = if platform.is_empty() { String::new() } else { format!("--platform {platform}") };
    p.run(&format!("image inspect {option} -f {{{{.Architecture}}}}{{{{.Config.Env}}}} {name}")).ok().stdout
}

#[test]
fn several_platforms_have_one_name() {
    let Some(p) = project("build-platforms") else { return };
    for name in ["box/plat", "box/plat2"] {
        p.run(&format!("image rm -f {name}"));
    }
    p.run("image build -q -t box/plat --platform linux/amd64,linux/arm64 --iidfile id .").ok();
    assert!(arch(&p, "box/plat", "").contains("amd64") && arch(&p, "box/plat", "").contains("ARCH=amd64"));
    assert!(arch(&p, "box/plat", "linux/arm64").contains("ARCH=arm64"));
    p.run("image inspect --platform linux/s390x box/plat").code_is(1).err("linux/amd64, linux/arm64");
    let id = fs::read_to_string(p.dir().join("id")).unwrap();
    assert!(arch(&p, &id, "linux/arm64").contains("ARCH=arm64"));
    let shown = p.run("image ls -q box/plat").ok().stdout;
    assert_eq!(shown.lines().count(), 1, "{shown}");
    // An index that is saved, removed and loaded is the same.
    let index = saved(&p, "box/plat", "first");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 4);
    p.run("image tag box/plat box/plat2").ok();
    p.run("image rm --platform linux/arm64 box/plat2").ok();
    p.run("image inspect --platform linux/arm64 box/plat2").code_is(1);
    assert!(arch(&p, "box/plat", "linux/arm64").contains("ARCH=arm64"));
    let gone = p.run("image rm box/plat2 box/plat").ok().stdout;
    assert_eq!(gone.matches("Deleted: ").count(), 2, "{gone}");
    p.run("image load -i first.tar").ok().out("Loaded image: box/plat:latest");
    assert_eq!(saved(&p, "box/plat", "second"), index);
    // One platform of it, written and read.
    p.run("image save --platform linux/arm64 -o arm.tar box/plat").ok();
    p.run("image rm box/plat").ok();
    p.run("image load -i arm.tar").ok();
    assert!(arch(&p, "box/plat", "").contains("ARCH=arm64"));
    p.run("image rm box/plat").ok();
    p.run("image load --platform linux/arm64 -i first.tar").ok();
    assert!(arch(&p, "box/plat", "").contains("ARCH=arm64"));
    p.run("image rm box/plat").ok();
}

#[test]
fn services_of_several_platforms_run_on_this_one() {
    let Some(p) = project("compose-platforms") else { return };
    p.file(
        "Dockerfile",
        "FROM --platform=$BUILDPLATFORM busybox:latest\nARG TARGETARCH\nENV ARCH=$TARGETARCH\n",
    );
    let compose = "services:\n  a:\n    build:\n      context: .\n      platforms: [linux/arm64, linux/amd64]\n      \
                   provenance: mode=max\n      sbom: true\n    command: sh -c 'echo for $$ARCH'\n";
    p.file("compose.yaml", compose);
    p.run("build").ok();
    p.run("run --rm a").ok().out("for amd64");
    let index = saved(&p, "compose-platforms-a", "saved");
    assert_eq!(index["manifests"][0]["platform"]["architecture"], "arm64");
    let said = statements(&p, "saved", &index, 0);
    assert_eq!(said.len(), 2);
    p.run("build --provenance=false --sbom=false").ok();
    assert_eq!(saved(&p, "compose-platforms-a", "bare")["manifests"].as_array().unwrap().len(), 2);
    p.run("down --rmi local").ok();
}

#[test]
fn lower_variants_stand_for_a_platform() {
    let Some(p) = Project::empty("build-variants") else { return };
    p.run("image rm -f box/variant");
    p.file("Dockerfile", "FROM busybox:latest\nARG TARGETVARIANT\nRUN echo for $TARGETVARIANT > /made\n");
    p.run("image build -q -t box/variant --platform linux/amd64/v2 .").ok();
    let variant = p.run("image inspect -f {{.Architecture}}/{{.Variant}} box/variant").ok().stdout;
    assert_eq!(variant.trim(), "amd64/v2");
    p.file("Dockerfile", "FROM --platform=linux/amd64/v3 box/variant\nRUN grep v2 /made\n");
    p.run("image build -q .").ok();
    p.file(
        "compose.yaml",
        "services: {a: {image: busybox, platform: linux/amd64/v2, command: echo it runs}}\n",
    );
    p.run("run --rm --pull never a").ok().out("it runs");
    // What removes by platform means that one alone.
    p.run("image inspect --platform linux/amd64/v3 box/variant").code_is(1).err("not for linux/amd64/v3");
    p.run("image rm -f box/variant").ok();
}

#[test]
fn provenance_says_how_an_image_was_made() {
    let Some(p) = project("build-provenance") else { return };
    p.run("image rm -f box/prov");
    // A short one is the default, as with docker.
    p.run("image build -q -t box/prov --build-arg SECRET_OR_NOT=value --metadata-file meta.json .").ok();
    let index = saved(&p, "box/prov", "min");
    let said = statements(&p, "min", &index, 0);
    assert_eq!(said.len(), 1);
    assert_eq!(said[0]["predicateType"], "https://slsa.dev/provenance/v1");
    let definition = &said[0]["predicate"]["buildDefinition"];
    assert_eq!(definition["externalParameters"]["configSource"]["path"], "Dockerfile");
    assert_eq!(
        definition["resolvedDependencies"][0]["uri"],
        "pkg:docker/busybox@latest?platform=linux%2Famd64"
    );
    assert!(!said[0].to_string().contains("SECRET_OR_NOT"), "{}", said[0]);
    let completeness = &said[0]["predicate"]["runDetails"]["metadata"]["buildkit_completeness"];
    assert_eq!(completeness["request"], false);
    let meta = json(&p, "meta.json");
    for key in [
        "buildx.build.provenance",
        "buildx.build.ref",
        "containerimage.config.digest",
        "containerimage.descriptor",
        "containerimage.digest",
        "image.name",
    ] {
        assert!(!meta[key].is_null(), "{key}: {meta:#}");
    }
    assert_eq!(meta["containerimage.digest"], json(&p, "min/index.json")["manifests"][0]["digest"]);
    p.run("image build -q -t box/prov --attest type=provenance,mode=max,version=v0.2 --build-arg A=b .").ok();
    let said = statements(&p, "old", &saved(&p, "box/prov", "old"), 0);
    assert_eq!(said[0]["predicateType"], "https://slsa.dev/provenance/v0.2");
    assert_eq!(said[0]["predicate"]["invocation"]["parameters"]["args"]["build-arg:A"], "b");
    // Without attestations a name is a plain manifest.
    p.run("image build -q -t box/prov --provenance=false .").ok();
    assert!(saved(&p, "box/prov", "none")["layers"].is_array());
    // With a date of its own a build is the same to the last byte.
    let dated = |directory: &str| {
        let build = "image build -q --no-cache -t box/prov --sbom=true .";
        p.cmd(build).env("SOURCE_DATE_EPOCH", "1700000000").run().unwrap().ok();
        saved(&p, "box/prov", directory)
    };
    assert_eq!(dated("dated1"), dated("dated2"));
    p.run("image rm -f box/prov").ok();
    for (flags, why) in [
        ("--provenance=mode=nonsense", "invalid mode `nonsense`"),
        ("--attest type=nonsense", "no type `nonsense`"),
        ("--attest mode=max", "has no type"),
        ("--annotation nokey", "KEY=VALUE"),
        ("--annotation bad:a=b", "unknown annotation type"),
        ("--annotation manifest[linux/s390x]:a=b", "nothing is built for linux/s390x"),
        ("--provenance=false --annotation index:a=b", "has no index"),
    ] {
        p.run(&format!("image build -q {flags} .")).code_is(1).err(why);
    }
}

#[test]
fn files_come_with_what_is_attested_of_them() {
    let Some(p) = project("build-attested-files") else { return };
    p.run("image build -q -o plain .").ok();
    assert!(!p.dir().join("plain/provenance.json").exists());
    p.run("image build -q --provenance=true --sbom=true -o files .").ok();
    let said = json(&p, "files/provenance.json");
    assert_eq!(said["subject"][0]["name"], "made");
    assert!(
        said["predicate"]["runDetails"]["metadata"]["buildkit_metadata"]["source"]["infos"][0]["data"]
            .is_string()
    );
    assert_eq!(json(&p, "files/sbom.spdx.json")["predicate"]["spdxVersion"], "SPDX-2.3");
    p.run("image build -q --provenance=true --platform linux/amd64,linux/arm64 -o type=tar,dest=all.tar .")
        .ok();
    unpack(&p, "all");
    assert!(fs::read_to_string(p.dir().join("all/linux_arm64/made")).unwrap().ends_with("linux/arm64\n"));
    assert!(p.dir().join("all/linux_amd64/provenance.json").exists());
}

#[test]
fn packages_are_listed() {
    let Some(p) = Project::empty("build-sbom") else { return };
    p.run("image rm -f box/sbom");
    p.file("status", "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n");
    p.file("METADATA", "Name: Flask\nVersion: 3.0\n");
    p.file(
        "Dockerfile",
        "FROM scratch\nCOPY status /var/lib/dpkg/status\nCOPY METADATA /usr/lib/x.dist-info/METADATA\n",
    );
    p.run("image build -q -t box/sbom --sbom=true .").ok();
    let said = statements(&p, "sbom", &saved(&p, "box/sbom", "sbom"), 0);
    let sbom = said.iter().find(|s| s["predicateType"] == "https://spdx.dev/Document").unwrap();
    let text = sbom.to_string();
    for purl in ["pkg:deb/debian/libc6@2.36-9?arch=amd64", "pkg:pypi/flask@3.0"] {
        assert!(text.contains(purl), "{purl}: {text}");
    }
    p.run("image rm -f box/sbom").ok();
}

#[test]
fn the_context_and_stages_are_looked_through_if_the_dockerfile_says_so() {
    let Some(p) = Project::empty("build-sbom-scans") else { return };
    p.run("image rm -f box/scans");
    for name in ["own", "built", "left", "ignored"] {
        p.file(&format!("{name}/x.dist-info/METADATA"), &format!("Name: {name}\nVersion: 1\n"));
    }
    p.file(".dockerignore", "ignored\n");
    p.file(
        "Dockerfile",
        "ARG BUILDKIT_SBOM_SCAN_STAGE=false\nFROM scratch AS build\nARG BUILDKIT_SBOM_SCAN_STAGE=true\n\
         COPY built /usr/built\nFROM scratch AS other\nCOPY left /usr/left\nFROM scratch AS unused\n\
         ARG BUILDKIT_SBOM_SCAN_STAGE=true\nCOPY left /\nFROM scratch\nARG BUILDKIT_SBOM_SCAN_CONTEXT\n\
         COPY own /usr/own\nCOPY --from=build /usr/built /data\nCOPY --from=other /usr/left /data2\n",
    );
    let documents = |flags: &str| -> Vec<(String, Vec<String>)> {
        p.run(&format!("image build -q -t box/scans --sbom=true {flags} .")).ok();
        let said = statements(&p, "scans", &saved(&p, "box/scans", "scans"), 0);
        let spdx = said.iter().filter(|s| s["predicateType"] == "https://spdx.dev/Document");
        let packages = |s: &Value| {
            let all = s["predicate"]["packages"].as_array().unwrap();
            all.iter().skip(1).map(|p| p["name"].as_str().unwrap().to_owned()).collect()
        };
        spdx.map(|s| (s["predicate"]["name"].as_str().unwrap().to_owned(), packages(s))).collect()
    };
    let of = |name: &str, packages: &[&str]| {
        (name.to_owned(), packages.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>())
    };
    let image = of("box/scans:latest", &["built", "left", "own"]);
    assert_eq!(documents(""), [image.clone(), of("sbom-build", &["built"])]);
    let context = of("sbom-context", &["built", "left", "own"]);
    let flags =
        "--build-arg BUILDKIT_SBOM_SCAN_CONTEXT=true --build-arg BUILDKIT_SBOM_SCAN_STAGE=build,other";
    // A stage that doesn't declare the argument isn't reached from outside, unless all do before the first FROM.
    let stages = [of("sbom-build", &["built"]), of("sbom-other", &["left"])];
    assert_eq!(documents(flags), [vec![image, context], stages.to_vec()].concat());
    p.run(&format!("image build -q -o out --sbom=true {flags} .")).ok();
    for file in ["sbom", "sbom-context", "sbom-build", "sbom-other"] {
        assert_eq!(
            json(&p, &format!("out/{file}.spdx.json"))["predicate"]["spdxVersion"],
            "SPDX-2.3",
            "{file}"
        );
    }
    p.run("image rm -f box/scans").ok();
}

#[test]
fn the_dockerfile_can_date_an_image_and_what_is_attested_of_it() {
    let Some(p) = Project::empty("build-dated") else { return };
    p.run("image rm -f box/dated");
    p.file("file", "x");
    let build = |date: &str, flags: &str| {
        p.file("Dockerfile", &format!("{date}\nFROM scratch\nCOPY file /\n"));
        p.run(&format!("image build -q -t box/dated --no-cache --sbom=true {flags} ."))
    };
    let dates = |date: &str, flags: &str| {
        build(date, flags).ok();
        let index = saved(&p, "box/dated", "dated");
        let said = statements(&p, "dated", &index, 0);
        let created = p.run("image inspect -f {{.Created}} box/dated").ok().stdout.trim().to_owned();
        let sbom = said.iter().find(|s| s["predicateType"] == "https://spdx.dev/Document").unwrap();
        let slsa = said.iter().find(|s| s["predicateType"] != "https://spdx.dev/Document").unwrap();
        [
            created,
            sbom["predicate"]["creationInfo"]["created"].as_str().unwrap().to_owned(),
            slsa["predicate"]["runDetails"]["metadata"]["startedOn"].as_str().unwrap().to_owned(),
        ]
    };
    let all = dates("ARG SOURCE_DATE_EPOCH=1000000000", "");
    assert!(all.iter().all(|d| d.starts_with("2001-09-09T01:46:40")), "{all:?}");
    let given = dates("ARG SOURCE_DATE_EPOCH=1000000000", "--build-arg SOURCE_DATE_EPOCH=1100000000");
    assert!(given.iter().all(|d| d.starts_with("2004-11-09T11:33:20")), "{given:?}");
    for (date, flags) in [
        ("ARG SOURCE_DATE_EPOCH=1000000000", "--build-arg SOURCE_DATE_EPOCH="),
        ("ARG SOURCE_DATE_EPOCH", ""),
    ] {
        let none = dates(date, flags);
        assert!(none.iter().all(|d| !d.starts_with("2001") && !d.starts_with("1970")), "{none:?}");
    }
    build("ARG A=1 SOURCE_DATE_EPOCH=soon", "").code_is(1).err("Dockerfile:1:27").err("seconds since 1970");
    p.run("image rm -f box/dated").ok();
}

#[test]
fn indexes_go_to_registries_and_come_back() {
    let Some(p) = project("build-push-index") else { return };
    let Some(registry) = Registry::start(&p) else { return };
    let auths = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpVKlU="}}}}}}"#, registry.1);
    let p = p.env("DOCKER_AUTH_CONFIG", auths);
    let name = format!("{}/index:1", registry.1);
    let build = "image build -q --platform linux/amd64,linux/arm64 --annotation index:a=1 \
                 --annotation manifest[linux/arm64]:b=2 --metadata-file meta.json --push";
    p.run(&format!("{build} -t {name} .")).ok();
    let digest = json(&p, "meta.json")["containerimage.digest"].as_str().unwrap().to_owned();
    let digests = p.run(&format!("image inspect -f {{{{.RepoDigests}}}} {name}")).ok().stdout;
    assert!(digests.contains(&digest), "{digests}: {digest}");
    let read = |options: &str| {
        let mut skopeo = std::process::Command::new("skopeo");
        skopeo.args(["inspect", "--tls-verify=false", "--creds", "user:U*U"]).args(options.split(' '));
        let out = skopeo.arg(format!("docker://{name}")).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice::<Value>(&out.stdout).unwrap()
    };
    if std::process::Command::new("skopeo").arg("--version").output().is_ok() {
        let index = read("--raw");
        assert_eq!(index["annotations"]["a"], "1");
        assert_eq!(index["manifests"].as_array().unwrap().len(), 4);
        assert_eq!(read("--override-arch arm64")["Architecture"], "arm64");
    } else {
        eprintln!("SKIP: there is no skopeo to read the index with");
    }
    p.run(&format!("image rm {name}")).ok();
    // The platforms of one index gather under its name.
    p.run(&format!("image pull -q {name}")).ok();
    p.run(&format!("image inspect --platform linux/arm64 {name}")).code_is(1);
    p.run(&format!("image pull -q --platform linux/arm64 {name}")).ok();
    assert!(arch(&p, &name, "").contains("ARCH=amd64"));
    assert!(arch(&p, &name, "linux/arm64").contains("ARCH=arm64"));
    // With what is attested of them: elsewhere it is the same index.
    let copy = format!("{}/copied/index:1", registry.1);
    p.run(&format!("image tag {name} {copy}")).ok();
    p.run(&format!("image push {copy}")).ok().out(&format!("digest: {digest}"));
    p.run(&format!("image rm {name} {copy}")).ok();
}

#[test]
fn attestations_come_along_with_a_pull() {
    let Some(p) = project("build-pulled-index") else { return };
    let Some(registry) = Registry::start(&p) else { return };
    let auths = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpVKlU="}}}}}}"#, registry.1);
    let p = p.env("DOCKER_AUTH_CONFIG", auths);
    let (name, copy) = (format!("{}/attested:1", registry.1), format!("{}/copied/attested:2", registry.1));
    p.run(&format!("image build -q -t {name} --provenance=mode=max --sbom=true --annotation a=b .")).ok();
    let digest = |said: String| {
        let after = said.split_once("digest: ").map(|(_, d)| d.to_owned()).unwrap();
        after.split(' ').next().unwrap().to_owned()
    };
    let pushed = digest(p.run(&format!("image push {name}")).ok().stdout);
    p.run(&format!("image save -o before.tar {name}")).ok();
    p.run(&format!("image rm {name}")).ok();
    p.run(&format!("image pull -q {name}")).ok();
    p.run(&format!("image pull {name}")).ok().out("Image is up to date");
    p.run(&format!("image save -o after.tar {name}")).ok();
    let read = |file: &str| std::fs::read(p.dir().join(file)).unwrap();
    assert!(read("before.tar") == read("after.tar"), "the archives differ");
    p.run(&format!("image tag {name} {copy}")).ok();
    assert_eq!(digest(p.run(&format!("image push {copy}")).ok().stdout), pushed);
    // A registry that has lost them still has the image.
    p.run(&format!("image rm {name} {copy}")).ok();
    let blobs = p.dir().join("registry/data/docker/registry/v2/blobs/sha256");
    let mut lost = 0;
    for blob in std::fs::read_dir(&blobs).unwrap().flat_map(|d| std::fs::read_dir(d.unwrap().path()).unwrap())
    {
        let path = blob.unwrap().path().join("data");
        if std::fs::read(&path).is_ok_and(|b| b.windows(13).any(|w| w == b"predicateType")) {
            std::fs::remove_file(path).unwrap();
            lost += 1;
        }
    }
    assert!(lost >= 2, "{lost}");
    p.run(&format!("image pull -q {name}")).ok();
    p.run(&format!("image rm {name}")).ok();
}
