//! Pulls from a real registry, and from unkind ones.

use std::fs;
use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rcompose_image::{
    AuthSource, Digest, Image, ImportOptions, LayerProgress, LayerState, NoProgress, PullOptions,
    PullProgress, RegistryError, RegistryOptions, RegistrySettings, pull,
};

use crate::common::{Room, Tar, reference, stream};
use crate::proxy::{Fault, Parrot, Proxy, http};
use crate::registry::Registry;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn attempt(room: &Room, name: &str, options: &PullOptions) -> Result<Image, RegistryError> {
    run(pull(&room.store, &reference(name), options, &NoProgress))
}

fn once() -> PullOptions {
    PullOptions {
        registry: RegistryOptions { retries: 1, ..RegistryOptions::default() },
        ..PullOptions::default()
    }
}

fn with_auth(auth: AuthSource) -> PullOptions {
    PullOptions {
        registry: RegistryOptions { retries: 1, auth, ..RegistryOptions::default() },
        ..PullOptions::default()
    }
}

/// Bytes that don't compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(next).collect()
}

fn three_layers(room: &Room) -> Image {
    let base = room.import(&Tar::new().dir("etc/").file("etc/a", &noise(3_000_000)).done(), "base");
    let mut layers = base.layers.clone();
    for n in 0..2 {
        let staging = room.store.new_layer_dir().unwrap();
        fs::write(staging.upper().join(format!("f{n}")), noise(400_000 + n)).unwrap();
        layers.push(room.store.commit_layer(staging).unwrap().id);
    }
    room.store.put_image(&base.config, &layers, &[reference("made")]).unwrap()
}

/// Nothing but layers that are whole, for the next pull, and these go with a pruning.
fn nothing_left(room: &Room) {
    assert_eq!(room.store.list().unwrap(), []);
    let waiting = room.store.pulled_layers().unwrap();
    assert_eq!(room.layers(), waiting.len());
    for layer in waiting {
        room.store.write_layer(&layer, &mut std::io::sink()).unwrap();
    }
    room.store.prune(&|_| true, &|_| false).unwrap();
    assert_eq!(room.layers(), 0);
    assert!(room.leftovers().is_empty(), "{:?}", room.leftovers());
}

#[derive(Default)]
struct Heard(Mutex<Vec<LayerProgress>>);

impl PullProgress for Heard {
    fn layer(&self, progress: &LayerProgress) {
        self.0.lock().unwrap().push(progress.clone());
    }
}

#[test]
fn whole_images() {
    let Some(registry) = Registry::start(false) else { return };
    let source = Room::new();
    let image = three_layers(&source);
    registry.fill_from(&source, &image, "dir/app:1");
    let (_, manifest) = registry.blobs("dir/app", "1");
    let room = Room::new();
    let name = reference(&format!("{}/dir/app:1", registry.address));
    let heard = Heard::default();
    let pulled = run(pull(&room.store, &name, &PullOptions::default(), &heard)).unwrap();
    assert_eq!((pulled.id, &pulled.layers, pulled.size), (image.id, &image.layers, image.size));
    assert_eq!(
        (pulled.refs.clone(), pulled.repo_digests.clone()),
        (vec![name.clone()], vec![name.with_digest(manifest)])
    );
    assert_eq!(stream(&room.store, &pulled), stream(&source.store, &image));
    let done =
        heard.0.lock().unwrap().iter().filter(|p| p.state == LayerState::Done && p.bytes == p.total).count();
    assert_eq!(done, 3);
    assert!(room.leftovers().is_empty());
    // By digest; everything is there already.
    let by_digest = name.with_digest(manifest);
    assert_eq!(room.store.get(&by_digest).unwrap().unwrap().id, image.id);
    let (heard, start) = (Heard::default(), std::time::Instant::now());
    assert_eq!(run(pull(&room.store, &by_digest, &PullOptions::default(), &heard)).unwrap().id, image.id);
    println!("pull of what is there already: {:?}", start.elapsed());
    assert!(heard.0.lock().unwrap().iter().all(|p| p.state == LayerState::Present));
}

#[test]
fn damaged_on_the_server() {
    let Some(registry) = Registry::start(false) else { return };
    let source = Room::new();
    registry.fill_from(&source, &three_layers(&source), "app:1");
    let name = format!("{}/app:1", registry.address);
    let room = Room::new();
    let file = &registry.blobs("app", "1").0[0];
    let good = fs::read(file).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    fs::write(file, bad).unwrap();
    let error = attempt(&room, &name, &once()).unwrap_err();
    assert!(matches!(error, RegistryError::Mismatch { .. }), "{error:?}");
    nothing_left(&room);
    fs::write(file, &good[..good.len() / 2]).unwrap();
    let error = attempt(&room, &name, &once()).unwrap_err();
    assert!(matches!(error, RegistryError::Malformed { .. } | RegistryError::Mismatch { .. }), "{error:?}");
    nothing_left(&room);
    fs::write(file, good).unwrap();
    attempt(&room, &name, &once()).unwrap();
}

#[test]
fn broken_connections_are_taken_up_again() {
    let Some(registry) = Registry::start(false) else { return };
    let source = Room::new();
    let image = three_layers(&source);
    registry.fill_from(&source, &image, "app:1");
    // More often than there are retries: what counts is that it goes on.
    let proxy = Proxy::start(&registry, Fault::Cut { times: 4, after: 600_000 });
    let room = Room::new();
    let pulled = attempt(&room, &format!("{}/app:1", proxy.address), &once()).unwrap();
    assert_eq!(proxy.done.load(Ordering::SeqCst), 4);
    assert_eq!(pulled.layers, image.layers);
    assert!(room.leftovers().is_empty());
}

#[test]
fn an_unkind_line() {
    let Some(registry) = Registry::start(false) else { return };
    let source = Room::new();
    registry.fill_from(&source, &three_layers(&source), "app:1");
    let room = Room::new();
    let through = |fault| {
        let proxy = Proxy::start(&registry, fault);
        attempt(&room, &format!("{}/app:1", proxy.address), &once())
    };
    let error = through(Fault::Corrupt { at: 900_000 }).unwrap_err();
    assert!(matches!(error, RegistryError::Mismatch { .. }), "{error:?}");
    nothing_left(&room);
    // It never stops: then it is told.
    let error = through(Fault::Cut { times: usize::MAX, after: 0 }).unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. } | RegistryError::Broken { .. }), "{error:?}");
    nothing_left(&room);
    through(Fault::Slow { wait: Duration::from_millis(1) }).unwrap();
}

#[test]
fn who_is_busy_is_asked_again() {
    let Some(registry) = Registry::start(false) else { return };
    let source = Room::new();
    registry.fill_from(&source, &three_layers(&source), "app:1");
    let through = |status, headers| {
        let proxy = Proxy::start(&registry, Fault::Busy { times: 1, status, headers });
        let begun = Instant::now();
        let result = attempt(&Room::new(), &format!("{}/app:1", proxy.address), &once());
        (result, begun.elapsed())
    };
    let (result, took) = through("429 Too Many Requests", "Retry-After: 2\r\n");
    result.unwrap();
    assert!(took >= Duration::from_secs(2), "{took:?}");
    through("503 Service Unavailable", "").0.unwrap();
    // Nobody waits for an hour.
    let (result, took) = through("429 Too Many Requests", "Retry-After: 3600\r\n");
    let error = result.unwrap_err();
    assert!(error.to_string().contains("try again in 3600 seconds"), "{error}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn mirrors_come_first_and_may_fail() {
    let Some(registry) = Registry::start(false) else { return };
    let source = Room::new();
    let image = three_layers(&source);
    registry.fill_from(&source, &image, "library/app:1");
    let broken = Parrot::start(|_| http("500 Internal Server Error", "", ""));
    let dir = tempfile::tempdir().unwrap();
    let json =
        format!(r#"{{"registry-mirrors":["http://{}/","http://{}"]}}"#, broken.address, registry.address);
    fs::write(dir.path().join("daemon.json"), json).unwrap();
    let options = PullOptions {
        registry: RegistryOptions {
            retries: 0,
            settings: RegistrySettings::read(&[dir.path().to_owned()]).unwrap(),
            ..RegistryOptions::default()
        },
        ..PullOptions::default()
    };
    let room = Room::new();
    let pulled = attempt(&room, "app:1", &options).unwrap();
    assert_eq!((pulled.id, pulled.refs), (image.id, vec![reference("app:1")]));
    assert!(!broken.asked.lock().unwrap().is_empty());
}

#[test]
fn given_up_by_the_caller() {
    let Some(registry) = Registry::start(false) else { return };
    struct Tell(tokio::sync::Notify);
    impl PullProgress for Tell {
        fn layer(&self, progress: &LayerProgress) {
            if progress.bytes > 0 {
                self.0.notify_one();
            }
        }
    }
    let source = Room::new();
    registry.fill_from(&source, &three_layers(&source), "app:1");
    let (room, tell) = (Room::new(), Tell(tokio::sync::Notify::new()));
    let (name, options) = (reference(&format!("{}/app:1", registry.address)), once());
    run(async {
        tokio::select! {
            biased;
            () = tell.0.notified() => {}
            done = pull(&room.store, &name, &options, &tell) => panic!("{done:?}"),
        }
    });
    nothing_left(&room);
}

#[test]
fn logins() {
    let Some(registry) = Registry::start(true) else { return };
    let source = Room::new();
    let image = three_layers(&source);
    registry.fill_from(&source, &image, "secret:1");
    let name = format!("{}/secret:1", registry.address);
    let room = Room::new();
    let with = |auth: AuthSource| attempt(&room, &name, &with_auth(auth));
    let wrong = AuthSource::Basic { username: "user".into(), password: "no".into() };
    for auth in [AuthSource::Anonymous, wrong] {
        let error = with(auth).unwrap_err();
        assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error:?}");
        nothing_left(&room);
    }
    let dir = tempfile::tempdir().unwrap();
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpVKlU="}}}}}}"#, registry.address);
    fs::write(dir.path().join("config.json"), config).unwrap();
    assert_eq!(with(AuthSource::DockerConfig(dir.path().to_owned())).unwrap().id, image.id);
}

#[test]
fn distinct_errors() {
    let Some(registry) = Registry::start(false) else { return };
    let room = Room::new();
    let error = attempt(&room, &format!("{}/nothing:1", registry.address), &once()).unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = attempt(&room, &format!("{closed}/x"), &once()).unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("registry {closed} can't be reached"));
    let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
    for body in [body, "slow down"] {
        let busy = Parrot::start(move |request| match request.starts_with("GET /v2/ ") {
            true => http("200 OK", "", ""),
            false => http("429 Too Many Requests", "", body),
        });
        let error = attempt(&room, &format!("{}/x", busy.address), &once()).unwrap_err();
        assert!(matches!(error, RegistryError::RateLimited { .. }), "{error:?}");
    }
    nothing_left(&room);
}

#[test]
fn identity_tokens_are_exchanged() {
    let room = Room::new();
    let server = Parrot::start(|request| {
        let host = request.lines().find_map(|l| l.strip_prefix("host: ")).unwrap_or_default();
        let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"s e\"\r\n");
        if request.starts_with("POST /token") {
            http("200 OK", "", r#"{"access_token":"granted"}"#)
        } else if request.contains("authorization: Bearer granted") {
            http("404 Not Found", "", r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#)
        } else {
            http("401 Unauthorized", &challenge, "")
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let config = format!(r#"{{"auths":{{"{}":{{"identitytoken":"refresh/me"}}}}}}"#, server.address);
    fs::write(dir.path().join("config.json"), config).unwrap();
    let auth = AuthSource::DockerConfig(dir.path().to_owned());
    let error = attempt(&room, &format!("{}/x", server.address), &with_auth(auth)).unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
    let asked = server.asked.lock().unwrap();
    assert!(
        asked
            .iter()
            .any(|r| r.contains("service=s+e&grant_type=refresh_token") && r.contains("refresh%2Fme"))
    );
}

#[test]
fn one_platform_of_several() {
    let Some(registry) = Registry::start(false) else { return };
    let source = Room::new();
    let mut images = Vec::new();
    for platform in ["linux/amd64", "linux/arm64"] {
        let options = ImportOptions {
            platform: platform.parse().unwrap(),
            ..ImportOptions::new(Some(reference(&platform.replace("linux/", "a/"))))
        };
        let tar = Tar::new().file("platform", platform.as_bytes()).done();
        images.push(source.store.import(&tar[..], &options).unwrap());
    }
    let (mut archive, dir) = (Vec::new(), tempfile::tempdir().unwrap());
    source.store.save(&["a/amd64".into(), "a/arm64".into()], None, &mut archive).unwrap();
    tar::Archive::new(&archive[..]).unpack(dir.path()).unwrap();
    let path = dir.path().join("index.json");
    let mut index: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for (entry, architecture) in index["manifests"].as_array_mut().unwrap().iter_mut().zip(["amd64", "arm64"])
    {
        entry.as_object_mut().unwrap().remove("annotations");
        entry["platform"] = serde_json::json!({ "os": "linux", "architecture": architecture });
    }
    let inner = index.to_string();
    let digest = Digest::of(inner.as_bytes());
    fs::write(dir.path().join("blobs/sha256").join(digest.hex()), &inner).unwrap();
    index["manifests"] =
        serde_json::json!([{ "mediaType": index["mediaType"], "digest": digest, "size": inner.len() }]);
    fs::write(&path, index.to_string()).unwrap();
    registry.fill(&format!("oci:{}", dir.path().display()), "multi:1", &["--multi-arch", "all"]);
    let name = reference(&format!("{}/multi:1", registry.address));
    for (image, platform) in images.iter().zip(["linux/amd64", "linux/arm64"]) {
        let room = Room::new();
        let options = PullOptions { platform: platform.parse().unwrap(), ..once() };
        let pulled = attempt(&room, &name.to_string(), &options).unwrap();
        assert_eq!((pulled.id, pulled.repo_digests.len()), (image.id, 1));
        assert_eq!(fs::read_to_string(room.top(&pulled).join("platform")).unwrap(), platform);
    }
    let room = Room::new();
    let options = PullOptions { platform: "linux/s390x".parse().unwrap(), ..once() };
    let error = attempt(&room, &name.to_string(), &options).unwrap_err();
    assert!(matches!(error, RegistryError::Platform { .. }), "{error:?}");
    // The same layout as an archive: the platform is chosen there too.
    let mut packed = tar::Builder::new(Vec::new());
    fs::remove_file(dir.path().join("manifest.json")).unwrap();
    packed.append_dir_all(".", dir.path()).unwrap();
    let packed = packed.into_inner().unwrap();
    let loaded = room.store.load(&packed[..], Some(&"linux/arm64".parse().unwrap())).unwrap();
    assert_eq!(loaded.iter().map(|l| l.image.id).collect::<Vec<_>>(), vec![images[1].id]);
    assert_eq!(room.layers(), 1);
}
