//! `logging`: what is kept of the output.

use rcompose_e2e::Project;

fn chatty(name: &str, logging: &str) -> Option<Project> {
    Project::new(
        name,
        &format!(
            "services:
  box:
    image: busybox:latest
    command: [sh, -c, 'trap \"exit 0\" TERM; i=0; while [ $$i -lt 400 ]; do i=$$((i+1)); echo line $$i; done; echo ready; while :; do sleep 1 & wait $$!; done']
    logging: {logging}
"
        ),
    )
}

#[test]
fn rotation_keeps_the_end() {
    let Some(p) = chatty("output-rotated", "{driver: json-file, options: {max-size: 2k, max-file: '3'}}")
    else {
        return;
    };
    p.run("up -d").ok().not_err("logging");
    p.await_log("box", "ready\n");
    let lines =
        |command: &str| -> Vec<String> { p.run(command).ok().stdout.lines().map(str::to_owned).collect() };
    let all = lines("logs --no-log-prefix box");
    assert!((50..250).contains(&all.len()), "{} lines", all.len());
    let first: usize = all[0].strip_prefix("line ").and_then(|n| n.parse().ok()).unwrap();
    let wanted: Vec<String> = (first..=400).map(|n| format!("line {n}")).chain(["ready".into()]).collect();
    assert_eq!(all, wanted);
    assert_eq!(lines("logs --no-log-prefix --tail 100 box"), all[all.len() - 100.min(all.len())..]);
    let mut follow = p.cmd("logs -f --no-log-prefix box").start().unwrap();
    follow.wait_for("ready", std::time::Duration::from_secs(10)).unwrap();
    p.sh("box", "i=400; while [ $i -lt 800 ]; do i=$((i+1)); echo line $i; done > /proc/1/fd/1; echo again > /proc/1/fd/1")
        .ok();
    follow.wait_for("again", std::time::Duration::from_secs(10)).unwrap();
    p.run("stop -t 2").ok();
    let seen = follow.end().unwrap().ok();
    let wanted: Vec<String> = wanted
        .into_iter()
        .chain((401..=800).map(|n| format!("line {n}")))
        .chain(["again".to_owned()])
        .collect();
    assert_eq!(seen.stdout.lines().collect::<Vec<_>>(), wanted);
    p.run("down").ok();
    p.nothing_left(true);
}

#[test]
fn none_keeps_nothing_and_says_so() {
    let Some(p) = chatty("output-none", "{driver: none}") else { return };
    p.run("up -d").ok().not_err("logging");
    p.run("logs").ok().not_out("line").err("can't retrieve logs for \"output-none-box-1\"");
    p.run("down").ok();
    // An attached `up` shows what comes.
    let mut attached = p.cmd("up").start().unwrap();
    attached.wait_for("box-1  | ready", std::time::Duration::from_secs(10)).unwrap();
    p.run("down -t 2").ok();
    attached.end().unwrap();
    p.nothing_left(true);
}
