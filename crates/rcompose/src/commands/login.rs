//! `login` and `logout`: credentials for registries, where docker keeps them.

use std::io::{self, BufRead, IsTerminal, Read};

use rcompose_image::{AuthSource, Credential, CredentialError, DockerConfig, Stored};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::args::{LoginArgs, LogoutArgs};
use crate::context::{Context, print, to_stderr};
use crate::failure::{Failure, with_causes};
use crate::pictures::{auth_source, log_in};

/// docker's own registry.
const HUB: &str = "docker.io";

pub(crate) fn login(cx: &Context, args: LoginArgs) -> Result<u8, Failure> {
    let registry = registry(args.server.as_deref());
    let config = config(cx)?;
    warn_of_environment(cx);
    let mut password = args.password;
    if password.is_some() {
        to_stderr("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
    }
    if args.password_stdin {
        if args.username.is_none() {
            return Err(Failure::user("must provide --username with --password-stdin"));
        }
        let mut text = String::new();
        let read = io::stdin().read_to_string(&mut text);
        read.map_err(|e| Failure::io("read the password from standard input", &e))?;
        password = Some(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    let mut suggested = None;
    if args.username.is_none() && password.is_none() {
        let auth = auth_source(&cx.env.registries());
        let kept = auth.credential(&registry).map_err(failed)?;
        if kept != Credential::None {
            if let Credential::Basic(user, _) = &kept {
                to_stderr(&format!("Authenticating with existing credentials... [Username: {user}]\n"));
                suggested = Some(user.clone());
            } else {
                to_stderr("Authenticating with existing credentials...\n");
            }
            match log_in(cx, &registry, auth) {
                Ok(_) => {
                    to_stderr("To log in with another account, run `rcompose logout` first\n");
                    return print("Login Succeeded\n").map(|()| 0);
                }
                Err(f) => to_stderr(&format!("Login did not succeed: {}\n", f.text())),
            }
        }
    }
    let username = match args.username {
        Some(user) => user,
        None => ask_user(suggested)?,
    };
    let password = match password {
        Some(password) => password,
        None => ask_password()?,
    };
    if password.is_empty() {
        return Err(Failure::user("password is empty"));
    }
    let done = log_in(cx, &registry, AuthSource::Basic { username: username.clone(), password })?;
    match config.store(&registry, &done.credential).map_err(failed)? {
        Stored::Helper(_) => {}
        Stored::File(path) => to_stderr(&format!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n\n",
            path.display()
        )),
    }
    print("Login Succeeded\n").map(|()| 0)
}

pub(crate) fn logout(cx: &Context, args: &LogoutArgs) -> Result<u8, Failure> {
    let registry = registry(args.server.as_deref());
    let shown = match registry.as_str() {
        HUB => "https://index.docker.io/v1/",
        host => host,
    };
    warn_of_environment(cx);
    let words = match config(cx)?.erase(&registry).map_err(failed)? {
        true => format!("Removing login credentials for {shown}\n"),
        false => format!("Not logged in to {shown}\n"),
    };
    print(&words).map(|()| 0)
}

/// A host, of what may be an address.
fn registry(server: Option<&str>) -> String {
    let Some(server) = server else { return HUB.to_owned() };
    let bare = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://")).unwrap_or(server);
    match bare.split('/').next().unwrap_or_default() {
        "index.docker.io" | "registry-1.docker.io" | "docker.io" => HUB.to_owned(),
        host => host.to_owned(),
    }
}

fn config(cx: &Context) -> Result<DockerConfig, Failure> {
    match cx.env.docker_config() {
        Some(dir) => Ok(DockerConfig::open(&cx.env.cwd.join(dir))),
        None => {
            Err(Failure::user("there is no place to keep credentials: neither DOCKER_CONFIG nor HOME is set"))
        }
    }
}

fn warn_of_environment(cx: &Context) {
    if cx.env.get("DOCKER_AUTH_CONFIG").is_some() {
        let words =
            "DOCKER_AUTH_CONFIG is set and comes before the credentials that are kept: unset it to use those";
        to_stderr(&format!("warning: {words}\n"));
    }
}

fn failed(e: CredentialError) -> Failure {
    Failure::new(rcompose_engine::FailureKind::Environment, with_causes(&e))
}

fn ask_user(suggested: Option<String>) -> Result<String, Failure> {
    let prompt = match &suggested {
        Some(user) => format!("Username ({user}): "),
        None => "Username: ".to_owned(),
    };
    let user = ask(&prompt)?;
    match (user.is_empty(), suggested) {
        (true, Some(suggested)) => Ok(suggested),
        (true, None) => Err(Failure::user("username is empty")),
        (false, _) => Ok(user),
    }
}

fn ask(prompt: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::user("cannot perform an interactive login from a non TTY device")
            .hint("give --username and --password-stdin"));
    }
    to_stderr(prompt);
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|e| Failure::io("read from the terminal", &e))?;
    Ok(line.trim().to_owned())
}

/// The terminal as it was, whatever happens.
struct Restore(Termios);

impl Drop for Restore {
    fn drop(&mut self) {
        if tcsetattr(io::stdin(), OptionalActions::Flush, &self.0).is_err() {
            // The terminal has gone.
        }
    }
}

/// Without showing it.
fn ask_password() -> Result<String, Failure> {
    let restore = match tcgetattr(io::stdin()) {
        Ok(before) => {
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO);
            tcsetattr(io::stdin(), OptionalActions::Flush, &silent)
                .map_err(|e| Failure::io("hide what is typed", &io::Error::from(e)))?;
            Some(Restore(before))
        }
        // `ask` says that it is no terminal.
        Err(_) => None,
    };
    let password = ask("Password: ")?;
    to_stderr("\n");
    drop(restore);
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::registry;

    #[test]
    fn addresses_are_hosts() {
        assert_eq!(registry(None), "docker.io");
        assert_eq!(registry(Some("https://index.docker.io/v1/")), "docker.io");
        assert_eq!(registry(Some("http://localhost:5000/v2/")), "localhost:5000");
        assert_eq!(registry(Some("ghcr.io")), "ghcr.io");
    }
}
