//! What registries may answer, at every step of a pull: what passes is asked for again, the rest is told, and the store
//! stays as it was.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use rcompose_image::{
    AuthSource, Digest, Image, ImageConfig, NoProgress, Platform, PullOptions, RegistryError,
    RegistryOptions, Trouble, pull, push,
};

use crate::common::{Room, Tar, reference};
use crate::proxy::{Parrot, http};

/// An image of one layer as a registry has it: what is asked for, and the answer.
struct Served {
    documents: HashMap<String, String>,
    layer: String,
    length: usize,
}

fn served() -> Served {
    let layer = String::from_utf8(Tar::new().file("file", &b"text\n".repeat(60_000)).done()).unwrap();
    let digest = |text: &str| Digest::of(text.as_bytes());
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        digest(&layer)
    );
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":{}}}]}}"#,
        digest(&config),
        config.len(),
        digest(&layer),
        layer.len()
    );
    let (config_path, layer_path) =
        (format!("/v2/app/blobs/{}", digest(&config)), format!("/v2/app/blobs/{}", digest(&layer)));
    let length = layer.len();
    let documents = HashMap::from([
        ("/v2/".to_owned(), String::new()),
        ("/v2/app/manifests/1".to_owned(), manifest),
        (config_path, config),
        (layer_path.clone(), layer),
    ]);
    Served { documents, layer: layer_path, length }
}

fn attempt(room: &Room, server: &Parrot, retries: u32) -> Result<Image, RegistryError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = PullOptions {
        registry: RegistryOptions { retries, ..RegistryOptions::default() },
        ..PullOptions::default()
    };
    let name = reference(&format!("{}/app:1", server.address));
    runtime.block_on(pull(&room.store, &name, &options, &NoProgress))
}

fn path(request: &str) -> &str {
    request.split(' ').nth(1).unwrap_or_default()
}

fn unchanged(room: &Room) {
    assert_eq!((room.layers(), room.store.list().unwrap().len(), room.leftovers().len()), (0, 0, 0));
}

#[test]
fn at_every_step() {
    let paths: Vec<String> = served().documents.into_keys().collect();
    for (status, headers) in [
        ("408 Request Timeout", ""),
        ("429 Too Many Requests", "Retry-After: 1\r\n"),
        ("429 Too Many Requests", "Retry-After: Thu, 01 Jan 2026 00:00:00 GMT\r\n"),
        ("500 Internal Server Error", ""),
        ("502 Bad Gateway", "Content-Type: text/html\r\n"),
        ("503 Service Unavailable", "Retry-After: 1\r\n"),
        ("504 Gateway Timeout", ""),
        ("401 Unauthorized", ""),
        ("403 Forbidden", ""),
        ("404 Not Found", ""),
        ("501 Not Implemented", ""),
    ] {
        let code: u16 = status[..3].parse().unwrap();
        for at in &paths {
            let (served, place, done) = (served(), at.clone(), Mutex::new(false));
            let server = Parrot::start(move |request| {
                let first = path(request) == place && !std::mem::replace(&mut *done.lock().unwrap(), true);
                match served.documents.get(path(request)) {
                    _ if first => http(status, headers, "<html>busy</html>"),
                    Some(text) => http("200 OK", "", text),
                    None => http("404 Not Found", "", ""),
                }
            });
            // The answer of /v2/ says only how it wants to be told who we are.
            let passes = matches!(code, 408 | 429 | 500 | 502..=504) || (code == 401 && at == "/v2/");
            let room = Room::new();
            match attempt(&room, &server, 1) {
                Ok(image) => {
                    assert!(passes, "{status} at {at}");
                    assert_eq!(image.size, 300_000);
                }
                Err(e) => {
                    assert!(!passes, "{status} at {at}: {e:?}");
                    let right = match (code, at.as_str()) {
                        (401 | 403, _) => matches!(e, RegistryError::Unauthorized { .. }),
                        (404, "/v2/") => matches!(e, RegistryError::NoRegistry { .. }),
                        (404, at) if at.contains("/blobs/") => matches!(e, RegistryError::Malformed { .. }),
                        (404, _) => matches!(e, RegistryError::NotFound { .. }),
                        _ => matches!(e, RegistryError::Failing { .. }),
                    };
                    assert!(right, "{status} at {at}: {e:?}");
                    unchanged(&room);
                }
            }
        }
    }
}

#[test]
fn the_rest_of_a_layer() {
    const HALF: usize = 100_000;
    type Answer = fn(&str) -> String;
    let rest: Answer = |text| http("206 Partial Content", "", &text[HALF..]);
    let whole: Answer = |text| http("200 OK", "", text);
    let lies: Answer = |text| http("206 Partial Content", "", text);
    let nothing: Answer = |_| http("416 Range Not Satisfiable", "", "");
    let more: Answer = |text| http("206 Partial Content", "", &format!("{}more", &text[HALF..]));
    for (n, (answer, right)) in
        [(rest, true), (whole, true), (lies, false), (nothing, false), (more, false)].into_iter().enumerate()
    {
        let (served, asked) = (served(), Mutex::new(0));
        let (layer, length) = (served.layer.clone(), served.length);
        let server = Parrot::start(move |request| {
            let Some(text) = served.documents.get(path(request)) else {
                return http("404 Not Found", "", "");
            };
            if path(request) != served.layer {
                return http("200 OK", "", text);
            }
            *asked.lock().unwrap() += 1;
            match *asked.lock().unwrap() {
                // It says how long it is, and breaks off.
                1 => format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{}",
                    &text[..HALF]
                ),
                _ => answer(text),
            }
        });
        let room = Room::new();
        let result = attempt(&room, &server, 1);
        let of_layer: Vec<String> =
            server.asked.lock().unwrap().iter().filter(|r| path(r) == layer).cloned().collect();
        assert!(of_layer[1].contains(&format!("range: bytes={HALF}-")), "{}", of_layer[1]);
        match result {
            Ok(image) => assert!(right && image.size == 300_000, "{n}"),
            Err(e) => {
                assert!(!right, "{n}: {e:?}");
                let told = matches!(e, RegistryError::Mismatch { .. } | RegistryError::Malformed { .. });
                assert!(told, "{n}: {e:?}");
                unchanged(&room);
            }
        }
    }
}

/// Documents that have no end.
#[test]
fn documents_are_bounded() {
    let server = Parrot::start(|request| match path(request) {
        "/v2/" => http("200 OK", "", ""),
        // More than any manifest has.
        _ => http("200 OK", "", &"x".repeat(9 << 20)),
    });
    let room = Room::new();
    let begun = std::time::Instant::now();
    let error = attempt(&room, &server, 0).unwrap_err();
    assert!(error.to_string().contains("longer than 8 MiB"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    unchanged(&room);
}

/// Everybody may say hello; who we are is asked for an image alone.
#[test]
fn asked_late() {
    let bearer =
        |host: &str| format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"s\"\r\n");
    let basic = |_: &str| "WWW-Authenticate: Basic realm=\"x\"\r\n".to_owned();
    type Asks = fn(&str) -> String;
    for (asks, want) in [(bearer as Asks, "bearer secret"), (basic as Asks, "basic dXNlcjpwYXNz")] {
        let served = served();
        let server = Parrot::start(move |request| {
            let header = |name: &str| {
                let line = request.lines().find(|l| l.to_ascii_lowercase().starts_with(name));
                line.and_then(|l| l.split_once(": ")).map(|(_, v)| v.to_owned()).unwrap_or_default()
            };
            if path(request).starts_with("/token") {
                return http("200 OK", "", r#"{"token":"secret"}"#);
            }
            let known = header("authorization").replacen('B', "b", 1) == want;
            match served.documents.get(path(request)) {
                Some(_) if path(request) != "/v2/" && !known => {
                    http("401 Unauthorized", &asks(&header("host")), "")
                }
                Some(text) => http("200 OK", "", text),
                None => http("404 Not Found", "", ""),
            }
        });
        let room = Room::new();
        let pull_as = |auth: AuthSource| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let options = PullOptions {
                registry: RegistryOptions { retries: 0, auth, ..RegistryOptions::default() },
                ..PullOptions::default()
            };
            let name = reference(&format!("{}/app:1", server.address));
            runtime.block_on(pull(&room.store, &name, &options, &NoProgress))
        };
        if want.starts_with("basic") {
            let error = pull_as(AuthSource::default()).unwrap_err();
            assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error:?}");
        }
        let login = AuthSource::Basic { username: "user".into(), password: "pass".into() };
        assert_eq!(pull_as(login).unwrap().size, 300_000, "{want}");
    }
}

/// A token that is good for longer than there is time.
#[test]
fn tokens_for_ever() {
    let served = served();
    let server = Parrot::start(move |request| {
        let host = request.lines().find_map(|l| l.strip_prefix("host: ")).unwrap_or_default();
        let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"s\"\r\n");
        match (path(request), served.documents.get(path(request))) {
            (at, _) if at.starts_with("/token") => {
                http("200 OK", "", r#"{"token":"secret","expires_in":18446744073709551615}"#)
            }
            _ if !request.contains("secret") => http("401 Unauthorized", &challenge, ""),
            (_, Some(text)) => http("200 OK", "", text),
            (_, None) => http("404 Not Found", "", ""),
        }
    });
    let room = Room::new();
    assert_eq!(attempt(&room, &server, 0).unwrap().size, 300_000);
    let tokens = server.asked.lock().unwrap().iter().filter(|r| path(r).starts_with("/token")).count();
    assert_eq!(tokens, 1);
}

/// The registry is there; who gives its tokens isn't.
#[test]
fn nobody_gives_tokens() {
    let challenge = "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:1/token\",service=\"s\"\r\n";
    let server = Parrot::start(move |_| http("401 Unauthorized", challenge, ""));
    let error = attempt(&Room::new(), &server, 0).unwrap_err();
    let RegistryError::Unreachable { host, .. } = &error else { panic!("{error:?}") };
    assert_eq!(host, "127.0.0.1:1", "{error:?}");
}

/// What is attested of an image doesn't stop its pull: the registry refuses it, or it never ends.
#[test]
fn attestations() {
    const STATEMENT: usize = 30 << 20;
    let statement = |n: u32, length: usize| {
        let text = format!(r#"{{"predicateType":"https://x.y/{n}","predicate":""#);
        format!("{text}{}\"}}", "x".repeat(length - text.len() - 2))
    };
    let mut served = served();
    let manifest = served.documents["/v2/app/manifests/1"].clone();
    let image = Digest::of(manifest.as_bytes());
    served.documents.insert(format!("/v2/app/manifests/{image}"), manifest.clone());
    let mut entries = vec![format!(
        r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{image}","size":{},"platform":{{"os":"linux","architecture":"amd64"}}}}"#,
        manifest.len()
    )];
    let mut blobs = Vec::new();
    for n in 0..5 {
        let text = statement(n, if n == 0 { 1000 } else { STATEMENT });
        let digest = Digest::of(text.as_bytes());
        let about = format!(
            r#"{{"schemaVersion":2,"layers":[{{"mediaType":"application/vnd.in-toto+json","digest":"{digest}","size":{}}}]}}"#,
            text.len()
        );
        blobs.push((format!("/v2/app/blobs/{digest}"), text));
        let digest = Digest::of(about.as_bytes());
        entries.push(format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":{},"annotations":{{"vnd.docker.reference.digest":"{image}","vnd.docker.reference.type":"attestation-manifest"}}}}"#,
            about.len()
        ));
        served.documents.insert(format!("/v2/app/manifests/{digest}"), about);
    }
    let refused = blobs[1].0.clone();
    served.documents.extend(blobs.clone());
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
    served.documents.insert("/v2/app/manifests/1".into(), index);
    let server = Parrot::start(move |request| match served.documents.get(path(request)) {
        _ if path(request) == refused => http("403 Forbidden", "", ""),
        Some(text) => http("200 OK", "", text),
        None => http("404 Not Found", "", ""),
    });
    let room = Room::new();
    attempt(&room, &server, 0).unwrap();
    let index = room.store.find_index(&format!("{}/app:1", server.address)).unwrap().unwrap();
    let kinds: Vec<&str> = index.members[0].attestations.iter().map(|a| &*a.predicate_type).collect();
    // All that fits into 64 MiB together.
    assert_eq!(kinds, ["https://x.y/0", "https://x.y/2", "https://x.y/3"]);
}

/// Messages say what is there instead of an image.
#[test]
fn no_images() {
    for (manifest, says) in [
        ("<html>please log in</html>", "is a web page"),
        (r#"{"schemaVersion":1,"name":"x"}"#, "push it again with a newer program"),
        (r#"{"schemaVersion":2,"mediaType":"application/vnd.acme+json"}"#, "`application/vnd.acme+json`"),
    ] {
        let server = Parrot::start(move |request| match path(request) {
            "/v2/" => http("200 OK", "", ""),
            _ => http("200 OK", "", manifest),
        });
        let room = Room::new();
        let error = attempt(&room, &server, 0).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        unchanged(&room);
    }
    let server = Parrot::start(|request| match path(request) {
        "/v2/" => http("200 OK", "", ""),
        at => http("307 Temporary Redirect", &format!("Location: {at}\r\n"), ""),
    });
    let error = attempt(&Room::new(), &server, 0).unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { why: Trouble::Circle, .. }), "{error:?}");
}

/// An error may be told without an end, too.
#[test]
fn words_are_bounded() {
    let server = Parrot::start(|request| match path(request) {
        "/v2/" => http("200 OK", "", ""),
        // It says that there is much more, and waits.
        _ => format!("HTTP/1.1 403 Forbidden\r\nContent-Length: 9000000000\r\n\r\n{}", "no ".repeat(200_000)),
    });
    let begun = std::time::Instant::now();
    let error = attempt(&Room::new(), &server, 0).unwrap_err();
    let RegistryError::Unauthorized { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.message.len(), 300);
    assert!(begun.elapsed() < Duration::from_secs(20));
    // What broke is said in the fewest words.
    let server = Parrot::start(|request| match path(request) {
        "/v2/" => http("200 OK", "", ""),
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{".to_owned(),
    });
    let error = attempt(&Room::new(), &server, 0).unwrap_err();
    let RegistryError::Broken { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "end of file before message length reached");
}

/// What registries may answer while they are sent something: what passes is done again, from a new upload on.
#[test]
fn at_every_step_of_a_push() {
    let room = Room::new();
    let staging = room.store.new_layer_dir().unwrap();
    std::fs::write(staging.upper().join("f"), "some text").unwrap();
    let layer = room.store.commit_layer(staging).unwrap().id;
    let forgotten =
        r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown to registry"}]}"#;
    let foreign = r#"{"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"blob upload invalid"}]}"#;
    let nameless =
        r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#;
    for (status, headers, body) in [
        ("429 Too Many Requests", "Retry-After: 1\r\n", ""),
        ("503 Service Unavailable", "", ""),
        ("404 Not Found", "", forgotten),
        ("404 Not Found", "", foreign),
        ("404 Not Found", "", nameless),
        ("403 Forbidden", "", ""),
        ("413 Content Too Large", "", "too much"),
    ] {
        for (method, place) in
            [("POST", "/uploads/"), ("PATCH", "/uploads/"), ("PUT", "/uploads/"), ("PUT", "/manifests/")]
        {
            let (done, begun) = (Mutex::new(false), std::sync::atomic::AtomicU32::new(0));
            let server = Parrot::start(move |request| {
                let at = path(request);
                if request.starts_with(method)
                    && at.contains(place)
                    && !std::mem::replace(&mut *done.lock().unwrap(), true)
                {
                    return http(status, headers, body);
                }
                let upload = || {
                    let n = begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    format!("Location: /v2/app/blobs/uploads/{n}\r\n")
                };
                match request.split(' ').next().unwrap() {
                    "GET" => http("200 OK", "", ""),
                    "HEAD" => http("404 Not Found", "", ""),
                    "POST" => http("202 Accepted", &upload(), ""),
                    "PATCH" => http("202 Accepted", &format!("Location: {at}\r\n"), ""),
                    _ => http("201 Created", "", ""),
                }
            });
            let name = reference(&format!("{}/app:1", server.address));
            room.store
                .put_image(&ImageConfig::new(&Platform::host()), &[layer], std::slice::from_ref(&name))
                .unwrap();
            let options = RegistryOptions { retries: 1, ..RegistryOptions::default() };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let pushed = runtime.block_on(push(&room.store, &name, None, &options, &NoProgress));
            let what = format!("{status} {body} at {method} {place}");
            let passes = matches!(&status[..3], "429" | "503") || body == forgotten || body == foreign;
            match pushed {
                Ok(_) => assert!(passes, "{what}"),
                Err(e) => {
                    let right = match &status[..3] {
                        "403" => matches!(e, RegistryError::Unauthorized { .. }),
                        _ => {
                            matches!(&e, RegistryError::Refused { source, .. } if !source.message.is_empty())
                        }
                    };
                    assert!(right && !passes, "{what}: {e:?}");
                }
            }
        }
    }
}
