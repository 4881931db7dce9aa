//! Every Dockerfile of tests/dockerfiles gives the image that docker builds of it.

use rcompose_e2e::{Dockerfile, Picture, Setting, base_archive, differences, skip};

#[test]
fn corpus() {
    let setting = match Setting::get() {
        Ok(setting) => setting,
        Err(reason) => return skip("corpus", reason),
    };
    let scratch = setting.projects.join("dockerfiles");
    std::fs::create_dir_all(&scratch).unwrap();
    let archive = scratch.join("base.tar");
    base_archive(&setting.base.join("busybox.tar"), &archive).unwrap();
    let base = Picture::read(&archive).unwrap().tree;
    let load =
        setting.command().args(["image".as_ref(), "load".as_ref(), "-i".as_ref(), archive.as_os_str()]);
    let load = load.run().unwrap();
    assert_eq!(load.code(), 0, "{}", load.describe());
    let only = std::env::var("RCOMPOSE_E2E_DOCKERFILE").unwrap_or_default();
    let mut wrong = Vec::new();
    for sample in Dockerfile::all().unwrap().iter().filter(|s| s.name.contains(&only)) {
        let found = sample.build(&setting.command(), &scratch, &base).and_then(|got| {
            if !only.is_empty() {
                eprintln!("{got:#}");
            }
            Ok(differences(&sample.expected()?, &got))
        });
        let lines = found.unwrap_or_else(|e| vec![format!("{e:#}")]);
        if !lines.is_empty() {
            wrong.push(format!("{}\n  {}", sample.name, lines.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
