//! The protocol of credential helpers (docker-credential-helpers, credentials/credentials.go): a verb as argument, a
//! server or JSON on standard input, JSON or an error's words on standard output.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::{Credential, CredentialError};

/// The user name that stands for an identity token.
const TOKEN: &str = "<token>";
const NOT_FOUND: &str = "credentials not found";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Words {
    #[serde(rename = "ServerURL", default)]
    server_url: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

pub(super) fn get(helper: &str, server: &str) -> Result<Credential, CredentialError> {
    let out = match run(helper, "get", server) {
        Err(CredentialError::HelperSays { said, .. }) if said.contains(NOT_FOUND) => {
            return Ok(Credential::None);
        }
        out => out?,
    };
    let words: Words = serde_json::from_str(&out).map_err(|e| CredentialError::HelperSays {
        program: program(helper),
        said: format!("something that is no JSON: {e}"),
    })?;
    Ok(match words.username.as_str() {
        TOKEN => Credential::Identity(words.secret),
        "" if words.secret.is_empty() => Credential::None,
        _ => Credential::Basic(words.username, words.secret),
    })
}

pub(super) fn store(helper: &str, server: &str, credential: &Credential) -> Result<(), CredentialError> {
    let (username, secret) = match credential {
        Credential::None => return Ok(()),
        Credential::Basic(user, password) => (user.clone(), password.clone()),
        Credential::Identity(token) | Credential::Access(token) => (TOKEN.to_owned(), token.clone()),
    };
    let words = Words { server_url: server.to_owned(), username, secret };
    let text = serde_json::to_string(&words)
        .map_err(|e| CredentialError::HelperSays { program: program(helper), said: e.to_string() })?;
    run(helper, "store", &text).map(drop)
}

/// Returns whether there was one.
pub(super) fn erase(helper: &str, server: &str) -> Result<bool, CredentialError> {
    match run(helper, "erase", server) {
        Ok(_) => Ok(true),
        Err(CredentialError::HelperSays { said, .. }) if said.contains(NOT_FOUND) => Ok(false),
        Err(e) => Err(e),
    }
}

fn program(helper: &str) -> String {
    format!("docker-credential-{helper}")
}

fn run(helper: &str, verb: &str, input: &str) -> Result<String, CredentialError> {
    let program = program(helper);
    let failed = |source| CredentialError::Helper { program: program.clone(), source };
    let mut command = Command::new(&program);
    command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(input.as_bytes()) {
            // It knew without reading it all; its answer says what it knew.
            Err(e) if e.kind() != ErrorKind::BrokenPipe => return Err(failed(e)),
            _ => {}
        }
    }
    let out = child.wait_with_output().map_err(failed)?;
    let said = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    match out.status.success() {
        true => Ok(said),
        false if said.is_empty() => Err(CredentialError::HelperSays {
            program,
            said: format!("nothing, and ends with {}", out.status),
        }),
        false => Err(CredentialError::HelperSays { program, said }),
    }
}
