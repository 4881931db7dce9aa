//! What pulls have done when they break off is not done again, and nothing of it stays forever.

use std::fs::{self, File};
use std::process::Child;
use std::time::{Duration, SystemTime};

use rcompose_image::{LayerId, RegistryError, RemoveOptions};

use crate::common::{Room, reference};
use crate::faults::{is_whole, layered, pull_in_child, pull_now};
use crate::proxy::Watch;
use crate::registry::Registry;

/// A registry with an image of five layers, and who watches over it.
struct Setting {
    registry: Registry,
    watch: Watch,
    name: String,
    /// The blobs of the layers, bottom first.
    blobs: Vec<String>,
    layers: Vec<LayerId>,
}

impl Setting {
    fn new() -> Option<Self> {
        let registry = Registry::start(false)?;
        let source = Room::new();
        let image = layered(&source);
        registry.fill_from(&source, &image, "app:1");
        // Another of the same, and one layer more.
        let staging = source.store.new_layer_dir().unwrap();
        fs::write(staging.upper().join("more"), "x").unwrap();
        let more = source.store.commit_layer(staging).unwrap().id;
        let layers = [&image.layers[..], &[more]].concat();
        let other = source.store.put_image(&image.config, &layers, &[reference("other")]).unwrap();
        registry.fill_from(&source, &other, "app:2");
        let watch = Watch::start(&registry);
        let (files, _) = registry.blobs("app", "1");
        let digest = |f: &std::path::PathBuf| {
            format!("sha256:{}", f.parent().unwrap().file_name().unwrap().to_str().unwrap())
        };
        let name = format!("{}/app:1", watch.address);
        Some(Self { name, blobs: files.iter().map(digest).collect(), watch, registry, layers: image.layers })
    }

    /// Kills a pull that has got four layers of five.
    fn kill_one(&self, room: &Room) {
        self.stick(4);
        let mut child = pull_in_child(room, &self.name);
        wait_for(room, 4);
        kill(&mut child);
        self.watch.stuck.lock().unwrap().clear();
    }

    fn stick(&self, layer: usize) {
        self.watch.stuck.lock().unwrap().push(self.blobs[layer].clone());
    }

    /// Which layers were asked for since the last time.
    fn asked(&self) -> Vec<usize> {
        let asked = self.watch.asked();
        let mut out: Vec<usize> =
            asked.iter().filter_map(|a| self.blobs.iter().position(|b| b == a)).collect();
        out.sort_unstable();
        out
    }
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn wait_for(room: &Room, layers: usize) {
    let begun = std::time::Instant::now();
    while room.layers() < layers {
        assert!(begun.elapsed() < Duration::from_secs(30), "{} layers came", room.layers());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_killed_pull_goes_on() {
    let Some(setting) = Setting::new() else { return };
    let room = Room::new();
    setting.kill_one(&room);
    assert_eq!(setting.asked(), [0, 1, 2, 3, 4]);
    assert_eq!((room.store.list().unwrap().len(), room.store.loose_layers().unwrap().len()), (0, 4));
    is_whole(&room.store);
    // Whatever is done between, what a build's end does among it.
    room.store.prune_layers().unwrap();
    let image = pull_now(&room.store, &setting.name).unwrap();
    assert_eq!((setting.asked(), image.layers), (vec![4], setting.layers.clone()));
    assert_eq!((room.layers(), room.store.pulled_layers().unwrap().len()), (5, 0));
    is_whole(&room.store);
    let options = RemoveOptions { force: false, in_use: &|_| false };
    assert_eq!(room.store.remove(&setting.name, &options).unwrap().layers.len(), 5);
    assert_eq!(room.layers(), 0);
}

/// One layer fails for good.
#[test]
fn a_failed_pull_goes_on() {
    let Some(setting) = Setting::new() else { return };
    let room = Room::new();
    let (files, _) = setting.registry.blobs("app", "1");
    let aside = files[4].with_extension("aside");
    fs::rename(&files[4], &aside).unwrap();
    pull_now(&room.store, &setting.name).unwrap_err();
    let there: Vec<usize> = (0..5).filter(|n| room.store.layer_path(&setting.layers[*n]).is_some()).collect();
    assert!(!there.is_empty() && room.leftovers().is_empty());
    setting.asked();
    fs::rename(&aside, &files[4]).unwrap();
    pull_now(&room.store, &setting.name).unwrap();
    let missing: Vec<usize> = (0..5).filter(|n| !there.contains(n)).collect();
    assert_eq!(setting.asked(), missing);
    is_whole(&room.store);
}

#[test]
fn what_no_pull_goes_on_with_goes() {
    let Some(setting) = Setting::new() else { return };
    let room = Room::new();
    setting.kill_one(&room);
    let pruned = room.store.prune(&|i| i.is_dangling(), &|_| false).unwrap();
    assert_eq!((pruned.layers.len(), room.layers(), room.store.pulled_layers().unwrap().len()), (4, 0, 0));
    assert!(pruned.freed > 3_000_000, "{}", pruned.freed);
    // By age, with the start of whatever operation comes next.
    for age in [Duration::from_secs(25 * 3600), Duration::from_secs(23 * 3600)] {
        setting.kill_one(&room);
        for mark in fs::read_dir(room.store.root().join("pulled")).unwrap() {
            let mark = File::options().write(true).open(mark.unwrap().path()).unwrap();
            mark.set_modified(SystemTime::now() - age).unwrap();
        }
        drop(room.store.hold().unwrap());
        let want = if age > Duration::from_secs(24 * 3600) { 0 } else { 4 };
        assert_eq!((room.layers(), room.store.pulled_layers().unwrap().len()), (want, want));
    }
}

/// A pruning during a pull leaves what it has got, and what it would go on with.
#[test]
fn a_live_pull_keeps_its_layers() {
    let Some(setting) = Setting::new() else { return };
    let room = Room::new();
    setting.stick(4);
    let mut child = pull_in_child(&room, &setting.name);
    wait_for(&room, 4);
    for _ in 0..3 {
        let pruned = room.store.prune(&|_| true, &|_| false).unwrap();
        assert_eq!((pruned.layers.len(), pruned.freed, room.layers()), (0, 0, 4));
    }
    kill(&mut child);
    setting.watch.stuck.lock().unwrap().clear();
    setting.asked();
    pull_now(&room.store, &setting.name).unwrap();
    assert_eq!(setting.asked(), [4]);
    is_whole(&room.store);
}

/// Two pulls with layers in common; one is killed.
#[test]
fn of_two_pulls_one_is_killed() {
    let Some(setting) = Setting::new() else { return };
    let room = Room::new();
    let other = setting.name.replace(":1", ":2");
    setting.stick(3);
    let mut children = [pull_in_child(&room, &setting.name), pull_in_child(&room, &other)];
    // Both have got what they can.
    let held = |n: &std::path::PathBuf| fs::read_dir(n.join("holds")).map_or(0, Iterator::count);
    let all = || room.leftovers().iter().map(held).sum::<usize>();
    let begun = std::time::Instant::now();
    while all() < 4 + 5 {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", room.leftovers());
        std::thread::sleep(Duration::from_millis(5));
    }
    kill(&mut children[0]);
    // The other one lives, and so do its layers.
    room.store.prune(&|_| true, &|_| false).unwrap();
    assert!(room.layers() >= 4);
    kill(&mut children[1]);
    setting.watch.stuck.lock().unwrap().clear();
    setting.asked();
    let both = [pull_now(&room.store, &setting.name), pull_now(&room.store, &other)];
    assert_eq!(both.map(|i| i.map(|i| i.layers.len())).map(Result::<usize, RegistryError>::unwrap), [5, 6]);
    assert_eq!(setting.asked(), [3]);
    assert_eq!((room.layers(), room.store.pulled_layers().unwrap().len()), (6, 0));
    is_whole(&room.store);
}

/// Four pulls with layers in common, two of them in one process: each layer is asked for once.
#[test]
fn pulls_at_once_get_a_layer_once() {
    let Some(setting) = Setting::new() else { return };
    let room = Room::new();
    let other = setting.name.replace(":1", ":2");
    let mut children = [pull_in_child(&room, &setting.name), pull_in_child(&room, &other)];
    std::thread::scope(|scope| {
        for name in [&setting.name, &other] {
            scope.spawn(|| pull_now(&room.store, name).unwrap());
        }
    });
    assert!(children.iter_mut().all(|c| c.wait().unwrap().success()));
    assert_eq!(setting.asked(), [0, 1, 2, 3, 4]);
    assert_eq!((room.layers(), room.store.pulled_layers().unwrap().len()), (6, 0));
    assert_eq!(fs::read_dir(room.store.root().join("turns")).unwrap().count(), 0);
    is_whole(&room.store);
}

/// A pull that is stopped in the middle of a layer keeps no other one waiting.
#[test]
fn nobody_waits_for_a_stopped_pull() {
    let Some(setting) = Setting::new() else { return };
    let room = Room::new();
    setting.stick(4);
    let mut child = pull_in_child(&room, &setting.name);
    wait_for(&room, 4);
    let signal = |signal| {
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
    };
    signal(rustix::process::Signal::STOP);
    setting.watch.stuck.lock().unwrap().clear();
    assert_eq!(pull_now(&room.store, &setting.name).unwrap().layers, setting.layers);
    signal(rustix::process::Signal::CONT);
    kill(&mut child);
    is_whole(&room.store);
}
