//! Credentials of registries where docker keeps them: in its file, with helper programs, in the environment.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rcompose_e2e::Project;

use super::images::Registry;

/// Keeps what it is given in a file for each server, and every verb it is called with.
const HELPER: &str = r#"#!/bin/sh
cd "$KEPT" || exit 1
echo "$1" >> verbs
in=$(cat)
case $1 in
store) printf %s "$in" > "$(printf %s "$in" | sed 's/.*"ServerURL":"\([^"]*\)".*/\1/' | tr / _)";;
get|erase)
    file=$(printf %s "$in" | tr / _)
    if [ ! -f "$file" ]; then echo credentials not found in native keychain; exit 1; fi
    if [ $1 = get ]; then cat "$file"; else rm "$file"; fi;;
esac
"#;

struct Room {
    p: Project,
    registry: Registry,
    name: String,
}

/// A registry with a password and an image in it that isn't here.
fn room(name: &str) -> Option<Room> {
    let p = Project::empty(name)?;
    let path = format!("{}:{}", p.dir().join("bin").display(), std::env::var("PATH").unwrap_or_default());
    let kept = p.dir().join("kept").display().to_string();
    let p = p.env("DOCKER_CONFIG", "docker-config").env("PATH", path).env("KEPT", &kept);
    let registry = Registry::start(&p)?;
    fs::create_dir_all(&kept).unwrap();
    p.file("bin/docker-credential-tester", HELPER);
    fs::set_permissions(p.dir().join("bin/docker-credential-tester"), fs::Permissions::from_mode(0o755))
        .unwrap();
    let image = format!("{}/{name}:1", registry.1);
    p.run(&format!("image tag busybox {image}")).ok();
    let auths = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpVKlU="}}}}}}"#, registry.1);
    p.cmd(&format!("image push -q {image}")).env("DOCKER_AUTH_CONFIG", auths).run().unwrap().ok();
    p.run(&format!("image rm {image}")).ok();
    Some(Room { p, registry, name: image })
}

impl Room {
    fn config(&self) -> String {
        fs::read_to_string(self.p.dir().join("docker-config/config.json")).unwrap_or_default()
    }

    /// Pulled, and away again.
    fn pull(&self) {
        self.p.run(&format!("image pull -q {}", self.name)).ok();
        self.p.run(&format!("image rm {}", self.name)).ok();
    }

    fn no_pull(&self) {
        self.p.run(&format!("image pull -q {}", self.name)).code_is(1).err("wants a login");
    }

    fn login(&self) -> rcompose_e2e::Finished {
        let words = format!("login -u user --password-stdin {}", self.registry.1);
        self.p.cmd(&words).stdin("U*U\n").run().unwrap().ok().out("Login Succeeded")
    }

    fn verbs(&self) -> String {
        let path = self.p.dir().join("kept/verbs");
        let verbs = fs::read_to_string(&path).unwrap_or_default();
        drop(fs::remove_file(path));
        verbs.replace('\n', " ")
    }
}

#[test]
fn helpers_get_store_and_erase() {
    for (name, setting) in [("logins-store", "credsStore"), ("logins-helpers", "credHelpers")] {
        let Some(r) = room(name) else { return };
        let address = &r.registry.1;
        let helper = match setting {
            "credsStore" => r#""tester""#.to_owned(),
            // Another registry's comes from elsewhere.
            _ => format!(r#"{{"{address}": "tester", "other.example": "nowhere"}}"#),
        };
        r.p.file("docker-config/config.json", &format!(r#"{{"psFormat":"kept","{setting}":{helper}}}"#));
        r.no_pull();
        assert_eq!(r.verbs(), "get ");
        let said = r.login();
        assert!(!said.stderr.contains("unencrypted"), "{}", said.stderr);
        assert_eq!(r.verbs(), "store ");
        let (config, plain) = (r.config(), "dXNlcjpVKlU");
        assert!(config.contains(&format!("\"{address}\": {{}}")), "{config}");
        assert!(config.contains("\"psFormat\": \"kept\"") && !config.contains(plain), "{config}");
        let kept = fs::read_to_string(r.p.dir().join("kept").join(address)).unwrap();
        assert!(kept.contains(r#""Username":"user""#) && kept.contains(r#""Secret":"U*U""#), "{kept}");
        r.pull();
        assert_eq!(r.verbs(), "get ");
        r.p.run(&format!("login {address}")).ok().err("existing credentials").out("Login Succeeded");
        assert_eq!(r.verbs(), "get get ");
        r.p.run(&format!("logout {address}")).ok().out("Removing login credentials");
        assert_eq!(r.verbs(), "erase ");
        assert!(!r.p.dir().join("kept").join(address).exists());
        assert!(r.config().contains("\"auths\": {}"), "{}", r.config());
        r.no_pull();
        r.p.run(&format!("logout {address}")).ok().out("Not logged in");
        // A helper that isn't there is told by its name.
        r.p.file("docker-config/config.json", r#"{"credsStore":"nowhere"}"#);
        r.p.run(&format!("image pull -q {}", r.name)).code_is(1).err("docker-credential-nowhere");
    }
}

#[test]
fn files_stay_as_they_are() {
    let Some(r) = room("logins-file") else { return };
    let address = &r.registry.1;
    r.login().err("stored unencrypted");
    let path = r.p.dir().join("docker-config/config.json");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let want = format!(
        "{{\n\t\"auths\": {{\n\t\t\"{address}\": {{\n\t\t\t\"auth\": \"dXNlcjpVKlU=\"\n\t\t}}\n\t}}\n}}"
    );
    assert_eq!(r.config(), want, "as docker writes it");
    r.pull();
    let wrong = format!("login -u user --password-stdin {address}");
    r.p.cmd(&wrong)
        .stdin("no\n")
        .run()
        .unwrap()
        .code_is(1)
        .err("refuses the login")
        .err("user name and the password");
    assert_eq!(r.config(), want, "a login that is refused changes nothing");
    r.p.cmd("login --password-stdin").stdin("x").run().unwrap().code_is(1).err("must provide --username");
    r.p.run(&format!("logout {address}")).ok();
    r.no_pull();
}

#[test]
fn the_environment_comes_first() {
    let Some(r) = room("logins-env") else { return };
    let address = &r.registry.1;
    let pull = |auths: &str| {
        let words = format!("image pull -q {}", r.name);
        r.p.cmd(&words).env("DOCKER_AUTH_CONFIG", auths).run().unwrap()
    };
    let right = format!(r#"{{"auths":{{"{address}":{{"auth":"dXNlcjpVKlU="}}}}}}"#);
    let wrong = format!(r#"{{"auths":{{"{address}":{{"auth":"dXNlcjpubw=="}}}}}}"#);
    pull(&right).ok();
    r.p.run(&format!("image rm {}", r.name)).ok();
    assert_eq!(r.config(), "", "nothing is written");
    let said = r.p.cmd(&format!("login {address}")).env("DOCKER_AUTH_CONFIG", &right).run().unwrap().ok();
    assert!(said.stderr.contains("DOCKER_AUTH_CONFIG is set"), "{}", said.stderr);
    r.login();
    pull(&wrong).code_is(1).err("doesn't suffice");
    // What it doesn't name, or can't be read, is asked for where it is kept.
    pull(r#"{"auths":{"other.example":{"auth":"dXNlcjpubw=="}}}"#).ok();
    r.p.run(&format!("image rm {}", r.name)).ok();
    pull("{").ok().err("DOCKER_AUTH_CONFIG is left out");
    r.p.run(&format!("image rm {}", r.name)).ok();
    let out = r.p.cmd(&format!("logout {address}")).env("DOCKER_AUTH_CONFIG", &right).run().unwrap().ok();
    assert!(out.stderr.contains("DOCKER_AUTH_CONFIG is set") && !r.config().contains(address));
}
