//! The floor: what the kernel alone takes. A small C program, so that nothing of ours is in it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rcompose_e2e::Run;

use super::report::{Report, Unit};
use crate::sh::root;

pub(super) fn measure(tar: &Path, home: &Path, sizes: &[usize], report: &mut Report) -> Result<()> {
    let (program, rootfs) = (home.join("floor"), home.join("rootfs"));
    let source = root().join("xtask/floor/floor.c");
    let must = |run: Run| {
        let done = run.run()?;
        ensure!(done.code() == 0, "{}", done.describe());
        Ok(done)
    };
    must(Run::new("cc").args(["-O2", "-o"]).args([&program, &source]))?;
    if !rootfs.exists() {
        fs::create_dir_all(&rootfs).context("make the floor's root")?;
        must(Run::new("tar").args(["-C"]).args([rootfs.as_path(), "-xf".as_ref(), tar]))?;
    }
    for n in sizes {
        let done = must(Run::new(&program).args([rootfs.as_os_str()]).args([n.to_string()]))?;
        let mut numbers = done.stdout.split_whitespace().map(str::parse::<f64>);
        for work in [format!("up -d, {n} services"), format!("down, {n}")] {
            let value = numbers.next().context("the floor printed too little")?.context("no number")?;
            report.add(&work, "floor", Unit::Milliseconds, value);
        }
    }
    Ok(())
}
