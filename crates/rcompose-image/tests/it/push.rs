//! Pushes to a real registry, and back.

use std::fs;
use std::future::Future;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rcompose_image::{
    AuthSource, Credential, DockerConfig, Image, ImageConfig, LayerId, LayerProgress, LayerState, NoProgress,
    Platform, PullOptions, PullProgress, Pushed, RegistryError, RegistryOptions, RegistrySettings, Trouble,
    login, pull, push, tags,
};

use crate::common::{Room, Tar, reference};
use crate::proxy::{Fault, Proxy, Watch};
use crate::registry::Registry;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn once() -> RegistryOptions {
    RegistryOptions { retries: 1, ..RegistryOptions::default() }
}

#[derive(Default)]
struct Heard(Mutex<Vec<LayerProgress>>);

impl PullProgress for Heard {
    fn layer(&self, progress: &LayerProgress) {
        self.0.lock().unwrap().push(progress.clone());
    }
}

impl Heard {
    /// How each layer ended.
    fn ends(&self) -> Vec<LayerState> {
        let all = self.0.lock().unwrap();
        let mut layers: Vec<LayerId> = all.iter().map(|p| p.layer).collect();
        layers.sort();
        layers.dedup();
        layers.iter().map(|l| all.iter().rfind(|p| p.layer == *l).unwrap().state).collect()
    }
}

fn send(room: &Room, name: &str) -> (Pushed, Vec<LayerState>) {
    let heard = Heard::default();
    let pushed = run(push(&room.store, &reference(name), None, &once(), &heard)).unwrap();
    (pushed, heard.ends())
}

fn get(room: &Room, name: &str, registry: RegistryOptions) -> Result<Image, RegistryError> {
    let options = PullOptions { registry, ..PullOptions::default() };
    run(pull(&room.store, &reference(name), &options, &NoProgress))
}

/// Two layers and the names given.
fn made(room: &Room, names: &[&str]) -> Image {
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(n ^ 2_654_435_761) >> 13) as u8).collect();
    let base = room.import(&Tar::new().dir("etc/").file("etc/a", &bytes).done(), "base");
    let staging = room.store.new_layer_dir().unwrap();
    fs::write(staging.upper().join("f"), "some text").unwrap();
    let layers = [base.layers[0], room.store.commit_layer(staging).unwrap().id];
    let names: Vec<_> = names.iter().map(|n| reference(n)).collect();
    room.store.put_image(&base.config, &layers, &names).unwrap()
}

fn all_streams(room: &Room, image: &Image) -> Vec<Vec<u8>> {
    let stream = |l: &LayerId| {
        let mut out = Vec::new();
        room.store.write_layer(l, &mut out).unwrap();
        out
    };
    image.layers.iter().map(stream).collect()
}

#[test]
fn there_and_back() {
    let Some(registry) = Registry::start(false) else { return };
    let room = Room::new();
    let at = |name: &str| format!("{}/{name}", registry.address);
    let image = made(&room, &[&at("a/app:1"), &at("a/app:2"), &at("b/app:1")]);
    let (first, ends) = send(&room, &at("a/app:1"));
    assert_eq!(ends, [LayerState::Done, LayerState::Done]);
    assert_eq!(registry.blobs("a/app", "1").1, first.digest);
    let digest = reference(&at("a/app:1")).with_digest(first.digest);
    assert!(room.store.get(&digest).unwrap().unwrap().repo_digests.contains(&digest));
    // Only what is missing is sent; what another repository has is taken from there.
    assert_eq!(send(&room, &at("a/app:2")), (first.clone(), vec![LayerState::Present; 2]));
    assert_eq!(send(&room, &at("b/app:1")), (first, vec![LayerState::Mounted; 2]));
    let mut listed = run(tags(&reference(&at("a/app")), &once())).unwrap();
    listed.sort();
    assert_eq!(listed, ["1", "2"]);
    let other = Room::new();
    for name in ["a/app:2", "b/app:1"] {
        let back = get(&other, &at(name), once()).unwrap();
        assert_eq!((back.id, &back.layers), (image.id, &image.layers));
        assert_eq!(all_streams(&other, &back), all_streams(&room, &image));
    }
    assert!(room.leftovers().is_empty() && other.leftovers().is_empty());
    let error = run(push(&room.store, &reference(&at("c/app")), None, &once(), &NoProgress)).unwrap_err();
    assert!(matches!(error, RegistryError::Store(_)), "{error:?}");
}

/// An image that came from a registry keeps its manifest, also in another registry.
#[test]
fn manifests_are_kept() {
    let (Some(from), Some(to)) = (Registry::start(false), Registry::start(false)) else { return };
    let room = Room::new();
    from.fill_from(&room, &made(&room, &["made"]), "app:1");
    let (other, name) = (Room::new(), format!("{}/app:1", from.address));
    let image = get(&other, &name, once()).unwrap();
    let again = reference(&format!("{}/x/app:1", from.address));
    other.store.tag(&image.id, &again).unwrap();
    let (pushed, ends) = send(&other, &again.to_string());
    assert_eq!((pushed.digest, ends), (from.blobs("app", "1").1, vec![LayerState::Mounted; 2]));
    // Elsewhere the layers are compressed anew: another manifest, the same image.
    let there = reference(&format!("{}/app:1", to.address));
    other.store.tag(&image.id, &there).unwrap();
    send(&other, &there.to_string());
    assert_eq!(get(&Room::new(), &there.to_string(), once()).unwrap().id, image.id);
}

#[test]
fn broken_uploads_are_begun_anew() {
    let Some(registry) = Registry::start(false) else { return };
    let proxy = Proxy::start(&registry, Fault::CutRequest { times: 1, after: 20_000 });
    let (room, name) = (Room::new(), format!("{}/app:1", proxy.address));
    let image = made(&room, &[&name]);
    send(&room, &name);
    assert_eq!(proxy.done.load(Ordering::SeqCst), 1);
    assert_eq!(get(&Room::new(), &format!("{}/app:1", registry.address), once()).unwrap().id, image.id);
}

#[test]
fn passwords() {
    let Some(registry) = Registry::start(true) else { return };
    let (room, name) = (Room::new(), format!("{}/app:1", registry.address));
    made(&room, &[&name]);
    let with = |auth: AuthSource| RegistryOptions { auth, ..once() };
    let wrong = || AuthSource::Basic { username: "user".into(), password: "no".into() };
    for (auth, words) in [(AuthSource::Anonymous, "wants a login"), (wrong(), "doesn't suffice")] {
        let error = run(push(&room.store, &reference(&name), None, &with(auth), &NoProgress)).unwrap_err();
        assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = run(login(&registry.address, &with(wrong()))).unwrap_err();
    assert!(matches!(error, RegistryError::LoginRefused { .. }), "{error:?}");
    let right = AuthSource::Basic { username: "user".into(), password: "U*U".into() };
    let done = run(login(&registry.address, &with(right))).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let kept = DockerConfig::open(dir.path());
    kept.store(&registry.address, &done.credential).unwrap();
    assert_eq!(kept.get(&registry.address).unwrap(), Credential::Basic("user".into(), "U*U".into()));
    let kept = || with(AuthSource::DockerConfig(dir.path().to_owned()));
    run(push(&room.store, &reference(&name), None, &kept(), &NoProgress)).unwrap();
    get(&Room::new(), &name, kept()).unwrap();
}

const SECURE: &str = "RCOMPOSE_TEST_SECURE";

/// In a network of its own: a registry that isn't on loopback must show a certificate that is trusted.
#[test]
fn certificates_of_the_owner() {
    let script = r#"ip link set lo up && ip address add 10.9.9.1/32 dev lo && exec "$0" --exact push::secure --nocapture"#;
    let out = Command::new("unshare")
        .args(["--net", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(SECURE, "1")
        .output();
    let Ok(out) = out else { return eprintln!("skipped: there is no unshare") };
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
}

#[test]
fn secure() {
    if std::env::var_os(SECURE).is_none() {
        return;
    }
    let Some(registry) = Registry::secure("10.9.9.1") else { return };
    let (room, name) = (Room::new(), format!("{}/app:1", registry.address));
    let image = made(&room, &[&name]);
    let dir = tempfile::tempdir().unwrap();
    let options = || RegistryOptions {
        auth: AuthSource::Basic { username: "user".into(), password: "U*U".into() },
        settings: RegistrySettings::read(&[dir.path().to_owned()]).unwrap(),
        ..once()
    };
    let there_and_back = || {
        run(push(&room.store, &reference(&name), None, &options(), &NoProgress))?;
        get(&Room::new(), &name, options())
    };
    let error = there_and_back().unwrap_err();
    let untrusted = matches!(&error, RegistryError::Unreachable { why: Trouble::Certificate(_), .. });
    assert!(untrusted, "{error:?}");
    let certificates = dir.path().join("certs.d").join(&registry.address);
    fs::create_dir_all(&certificates).unwrap();
    fs::copy(registry.authority(), certificates.join("ca.crt")).unwrap();
    assert_eq!(there_and_back().unwrap().id, image.id);
    fs::remove_dir_all(&certificates).unwrap();
    there_and_back().unwrap_err();
    let json = format!(r#"{{"insecure-registries":["{}"]}}"#, registry.address);
    fs::write(dir.path().join("daemon.json"), json).unwrap();
    assert_eq!(there_and_back().unwrap().id, image.id);
    // A plain one that isn't listed.
    fs::write(dir.path().join("daemon.json"), "{}").unwrap();
    let plain = std::net::TcpListener::bind("10.9.9.1:0").unwrap();
    let address = plain.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        use std::io::Write;
        for stream in plain.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let error = get(&room, &format!("{address}/x"), options()).unwrap_err();
    assert!(matches!(&error, RegistryError::Unreachable { why: Trouble::Tls(_), .. }), "{error:?}");
}

/// Incompressible, so that all of it travels.
fn noisy(room: &Room, name: &str, seed: u64, layers: &[LayerId]) -> Image {
    let staging = room.store.new_layer_dir().unwrap();
    let mut state = seed;
    let mut bytes = vec![0u8; 2 << 20];
    for byte in &mut bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = (state >> 56) as u8;
    }
    std::fs::write(staging.upper().join("noise"), bytes).unwrap();
    let own = room.store.commit_layer(staging).unwrap().id;
    let config = ImageConfig::new(&Platform::host());
    room.store.put_image(&config, &[layers, &[own]].concat(), &[reference(name)]).unwrap()
}

/// A layer takes longer than a server may be silent: it goes on, so it is sent. One that doesn't go on is given up.
#[test]
fn a_slow_line() {
    let Some(registry) = Registry::start(false) else { return };
    let room = Room::new();
    let silence = Duration::from_secs(1);
    let options = RegistryOptions { retries: 0, silence, ..RegistryOptions::default() };
    let slow = Proxy::start(&registry, Fault::Slow { wait: Duration::from_millis(25) });
    let name = format!("{}/slow:1", slow.address);
    noisy(&room, &name, 1, &[]);
    let begun = std::time::Instant::now();
    run(push(&room.store, &reference(&name), None, &options, &NoProgress)).unwrap();
    assert!(begun.elapsed() > 2 * silence, "it was too fast to tell: {:?}", begun.elapsed());
    let begun = std::time::Instant::now();
    let stuck = Proxy::start(&registry, Fault::Stick { after: 500_000 });
    let name = format!("{}/stuck:1", stuck.address);
    noisy(&room, &name, 2, &[]);
    let error = run(push(&room.store, &reference(&name), None, &options, &NoProgress)).unwrap_err();
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(e) = cause {
        said += &format!(": {e}");
        cause = e.source();
    }
    assert!(said.contains("time"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
}

/// Two pushes with a layer in common, to two repositories: it is sent once, the other repository takes it over.
#[test]
fn pushes_at_once_send_a_layer_once() {
    let Some(registry) = Registry::start(false) else { return };
    let room = Room::new();
    let watch = Watch::start(&registry);
    let names = ["a", "b"].map(|n| format!("{}/{n}:1", watch.address));
    let below = noisy(&room, "below", 1, &[]).layers;
    for (n, name) in (2..).zip(&names) {
        noisy(&room, name, n, &below);
    }
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(|| run(push(&room.store, &reference(name), None, &once(), &NoProgress)).unwrap());
        }
    });
    // Finished: three layers, two configurations. What the compressor made holds no such words.
    let asked = watch.asked();
    let sent = asked.iter().filter(|a| a.starts_with("uploads/") && a.contains("digest=")).count();
    let mounted = asked.iter().filter(|a| a.contains("mount=")).count();
    assert_eq!((sent, mounted), (5, 1), "{asked:#?}");
}
