//! How long a container takes from `create` to its end: `cargo run --release --example bench -p rcompose-runtime [count]`.

use std::fs;
use std::time::Instant;

use rcompose_runtime::cgroup::CgroupPath;
use rcompose_runtime::seccomp::Filter;
use rcompose_runtime::{CreateRequest, Rootfs, create, default_spec, docker_capabilities};
use rustix::process::{WaitOptions, waitpid};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: usize = std::env::args().nth(1).map_or(Ok(50), |count| count.parse())?;
    let dir = tempfile::tempdir()?;
    let lower = dir.path().join("lower");
    fs::create_dir_all(lower.join("bin"))?;
    fs::copy("/bin/busybox", lower.join("bin/true"))?;
    let mut spec = default_spec();
    if let Some(process) = spec.process_mut() {
        process.set_args(Some(vec!["/bin/true".into()]));
    }
    let filter = Filter::docker_default(&docker_capabilities());
    let mut times: [Vec<f64>; 5] = Default::default();
    for number in 0..count {
        let (upper, work) = (dir.path().join(format!("{number}u")), dir.path().join(format!("{number}w")));
        fs::create_dir(&upper)?;
        fs::create_dir(&work)?;
        let rootfs = Rootfs::Overlay { lowers: vec![lower.clone()], upper, work, ephemeral: false };
        let start = Instant::now();
        let cgroup = CgroupPath::new(&format!("rcompose-bench/{}-{number}", std::process::id()))?;
        let created = create(&CreateRequest {
            id: "bench",
            spec: &spec,
            rootfs: &rootfs,
            stdin: None,
            stdout: None,
            stderr: None,
            terminal: None,
            init: false,
            cgroup: &cgroup,
            files: Vec::new(),
            seccomp: Some(&filter),
            pdeathsig: true,
        })?;
        times[0].push(start.elapsed().as_secs_f64());
        rustix::io::write(&created.go, &[1])?;
        rustix::io::read(&created.status, &mut [0u8; 8])?;
        times[1].push(start.elapsed().as_secs_f64());
        waitpid(Some(created.pid), WaitOptions::empty())?;
        times[2].push(start.elapsed().as_secs_f64());
        let before = start.elapsed().as_secs_f64();
        cgroup.remove()?;
        times[3].push(start.elapsed().as_secs_f64() - before);
        times[4].push(start.elapsed().as_secs_f64());
    }
    for (name, times) in
        ["create returned", "executed", "reaped", "(cgroup removal)", "all"].into_iter().zip(&mut times)
    {
        times.sort_by(f64::total_cmp);
        println!("{name:>17} {:.2} ms median, {:.2} ms least", times[times.len() / 2] * 1e3, times[0] * 1e3);
    }
    Ok(())
}
