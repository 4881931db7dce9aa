//! `user[:group]` of --chown and USER, by the image's own files (passwd(5), group(5)).

use crate::BuildError;
use crate::view::View;

/// Numeric ids. A group that isn't given is the user's own for `--chown name`, or the same number for `--chown 1000`.
pub(crate) fn resolve(view: &View, spec: &str) -> Result<(u32, u32), BuildError> {
    let (user, group) = spec.split_once(':').map_or((spec, None), |(u, g)| (u, Some(g)));
    let read = |file: &str| {
        view.text(file).map_err(|e| BuildError::environment(format!("failed to read {file} of the image"), e))
    };
    let (uid, own_gid) = match (user.parse::<u32>(), user) {
        (Ok(id), _) => (id, id),
        (_, "") => (0, 0),
        _ => {
            let text = read("/etc/passwd")?;
            let line = text.lines().map(|l| l.split(':').collect::<Vec<_>>()).find(|f| f[0] == user);
            let ids = line.and_then(|f| Some((f.get(2)?.parse().ok()?, f.get(3)?.parse().ok()?)));
            match ids {
                Some(ids) => ids,
                None if user == "root" => (0, 0),
                None => return Err(unknown("user", user, "/etc/passwd")),
            }
        }
    };
    let gid = match group.filter(|g| !g.is_empty()) {
        None => own_gid,
        Some(g) => match g.parse() {
            Ok(id) => id,
            Err(_) => {
                let text = read("/etc/group")?;
                let line = text.lines().map(|l| l.split(':').collect::<Vec<_>>()).find(|f| f[0] == g);
                match line.and_then(|f| f.get(2)?.parse().ok()) {
                    Some(id) => id,
                    None if g == "root" => 0,
                    None => return Err(unknown("group", g, "/etc/group")),
                }
            }
        },
    };
    Ok((uid, gid))
}

fn unknown(what: &str, name: &str, file: &str) -> BuildError {
    BuildError::input(format!("unknown {what} `{name}`: {file} of this stage has no such line"))
        .help(format!("create it by RUN before, or give its number instead of the name {name}"))
}
