//! The examples and samples do what their READMEs say.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use rcompose_e2e::{Project, examples, free_port, get, post, samples, skip, wait_for_http};

use crate::GRACE;

const LONG: Duration = Duration::from_secs(300);

/// A copy of a folder whose images install packages: skipped where Debian's archive can't be reached.
fn with_packages(name: &str, folder: &std::path::Path) -> Option<Project> {
    let project = Project::copy_of(name, folder)?;
    let reach = ("deb.debian.org", 80).to_socket_addrs().map_err(|e| e.to_string()).and_then(|mut all| {
        let first = all.next().ok_or("no address")?;
        TcpStream::connect_timeout(&first, Duration::from_secs(10)).map_err(|e| e.to_string())
    });
    match reach {
        Ok(_) => Some(project),
        Err(e) => {
            skip(name, &format!("Debian's archive doesn't answer: {e}"));
            None
        }
    }
}

#[test]
fn hello_http() {
    let port = free_port().unwrap();
    let Some(p) = Project::copy_of("ex-hello", &examples().join("hello-http")) else { return };
    let p = p.env("HELLO_PORT", port);
    p.run("up -d").ok();
    let answer = wait_for_http(port, "/", Duration::from_secs(10)).unwrap();
    assert_eq!(answer.body, "Hello from a container.\n");
    p.file("site/index.html", "Changed.\n");
    assert_eq!(get(port, "/").unwrap().body, "Changed.\n");
    p.run("exec -T web touch /site/x").code_is(1).err("Read-only file system");
    p.run("down").ok().within(GRACE);
    p.nothing_left(true);
}

#[test]
fn app_postgres() {
    let port = free_port().unwrap();
    let Some(p) = with_packages("ex-app", &examples().join("app-postgres")) else { return };
    let p = p.env("APP_PORT", port);
    p.cmd("build").limit(LONG).run().unwrap().ok();
    p.cmd("up -d --wait").limit(LONG).run().unwrap().ok();
    let health = get(port, "/health").unwrap();
    assert!(health.body.contains("PostgreSQL 15."), "{health:?}");
    assert_eq!(post(port, "/books", "{\"title\": \"Roadside Picnic\"}").unwrap().status, 201);
    assert_eq!(p.property("db", "Health"), "healthy");
    p.run("logs app").ok().out("Reading room: PostgreSQL 15.");
    p.cmd("run --rm -T test -k validation").limit(LONG).run().unwrap().ok().err("Ran 2 tests");
    p.cmd("run --rm -T -e FAIL=1 test -k failure").limit(LONG).run().unwrap().code_is(1);
    let query = "select title from books order by id";
    let psql = p.cmd_args(["exec", "-T", "db", "psql", "-U", "books", "library", "-Atc", query]);
    psql.run().unwrap().ok().out("Solaris\nRoadside Picnic\n");
    p.run("down").ok().within(GRACE);
    p.cmd("up -d --wait").limit(LONG).run().unwrap().ok();
    assert!(get(port, "/books").unwrap().body.contains("Roadside Picnic"));
    p.run("down -v --rmi local").ok();
    p.nothing_left(true);
}

#[test]
fn thoughts() {
    let port = free_port().unwrap();
    let Some(p) = with_packages("ex-thoughts", &samples().join("thoughts")) else { return };
    let p = p.env("SERVER_PORT", port);
    let sqlite = p.cmd("run --rm -T test-sqlite -k validation").limit(LONG).run().unwrap();
    sqlite.ok().err("Ran 5 tests");
    assert!(p.ps().is_empty(), "test-sqlite needs no database");
    let postgresql = p.cmd("run --rm -T test-postgresql").limit(LONG).run().unwrap();
    postgresql.ok().err("Ran 9 tests").out("store: PostgreSQL");
    p.run("up -d server").ok();
    wait_for_http(port, "/", Duration::from_secs(20)).unwrap();
    let made = post(port, "/thoughts", "{\"author\": \"ada\", \"text\": \"Engines compute.\"}").unwrap();
    assert_eq!(made.status, 201);
    assert!(get(port, "/thoughts?author=ada").unwrap().body.contains("Engines compute."));
    p.run("logs server").ok().out("listens on port 5000");
    p.run("ps").ok().out("ex-thoughts-server-1").not_out("test-sqlite");
    p.run("stop server").ok().within(GRACE);
    let code = p.property("server", "ExitCode");
    assert!(code == "143" || code == "0", "{code}");
    p.run("down --rmi all").ok();
    p.nothing_left(true);
}

#[test]
fn scheduled() {
    let port = free_port().unwrap();
    let Some(p) = with_packages("ex-scheduled", &samples().join("scheduled")) else { return };
    let p = p.env("PROXY_PORT", port);
    p.cmd("up -d --build --wait").limit(LONG).run().unwrap().ok();
    assert_eq!(get(port, "/proxy").unwrap().body, "nginx\n");
    let made = post(port, "/jobs", "{\"text\": \"wake up\", \"in\": 0.2}").unwrap();
    assert_eq!(made.status, 202, "{made:?}");
    let made: serde_json::Value = serde_json::from_str(&made.body).unwrap();
    let path = format!("/jobs/{}", made["id"].as_str().unwrap());
    let deadline = rcompose_e2e::Deadline::after(Duration::from_secs(10));
    while get(port, &path).unwrap().status != 200 && !deadline.passed() {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(get(port, &path).unwrap().body.contains("WAKE UP"));
    assert_eq!(p.property("migrate", "ExitCode"), "0");
    p.run("logs migrate").ok().out("schema 0 -> 3");
    assert_eq!(p.property("proxy", "Health"), "healthy");
    p.run("exec -T proxy getent hosts redis").code_is(2);
    p.run("exec -T redis id -un").ok().out("redis\n");
    p.run("up -d --scale worker=4").ok();
    assert_eq!(p.ps().iter().filter(|c| c["Service"] == "worker").count(), 4);
    p.cmd("down -v --rmi local").limit(LONG).run().unwrap().ok();
    p.nothing_left(true);
}
