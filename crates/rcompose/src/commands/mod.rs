//! One file for each verb.

pub(crate) mod build;
mod builder;
mod check;
mod commit;
mod common;
mod config;
mod containers;
mod create;
mod down;
mod events;
mod exec;
mod export;
mod image;
mod images;
mod kill;
mod login;
mod logs;
mod ls;
mod pause;
mod port;
mod ps;
mod pull;
mod push;
mod restart;
mod rm;
mod run;
mod scale;
mod start;
mod stop;
mod system;
mod top;
mod unknown;
mod up;
mod version;
mod volume;
mod volumes;
mod wait;

use crate::args::Verb;
use crate::context::Context;
use crate::failure::Failure;

/// Does what the command line says; the exit status.
pub(crate) fn run(cx: &Context, verb: Verb) -> Result<u8, Failure> {
    match verb {
        Verb::Build(args) => build::run(cx, &args),
        Verb::Builder { verb } => builder::run(cx, &verb),
        Verb::Check(args) => check::run(cx, args),
        Verb::Commit(args) => commit::run(cx, &args),
        Verb::Export(args) => export::run(cx, &args),
        Verb::Config(args) => config::run(cx, args),
        Verb::Create(args) => create::run(cx, args),
        Verb::Down(args) => down::run(cx, args),
        Verb::Events(args) => events::run(cx, args),
        Verb::Exec(args) => exec::run(cx, args),
        Verb::Images(args) => images::run(cx, args),
        Verb::Kill(args) => kill::run(cx, args),
        Verb::Logs(args) => logs::run(cx, args),
        Verb::Ls(args) => ls::run(cx, args),
        Verb::Pause(args) => pause::pause(cx, args),
        Verb::Port(args) => port::run(cx, args),
        Verb::Ps(args) => ps::run(cx, args),
        Verb::Pull(args) => pull::run(cx, args),
        Verb::Push(args) => push::run(cx, args),
        Verb::Login(args) => login::login(cx, args),
        Verb::Logout(args) => login::logout(cx, &args),
        Verb::Restart(args) => restart::run(cx, args),
        Verb::Rm(args) => rm::run(cx, args),
        Verb::Run(args) => run::run(cx, *args),
        Verb::Scale(args) => scale::run(cx, args),
        Verb::Start(args) => start::run(cx, args),
        Verb::Stop(args) => stop::run(cx, args),
        Verb::Top(args) => top::run(cx, args),
        Verb::Unpause(args) => pause::unpause(cx, args),
        Verb::Up(args) => up::run(cx, *args),
        Verb::Version(args) => version::run(cx, args),
        Verb::Volumes(args) => volumes::run(cx, args),
        Verb::Wait(args) => wait::run(cx, args),
        Verb::Image { verb } => image::run(cx, verb),
        Verb::System { verb } => system::run(cx, verb),
        Verb::Volume { verb } => volume::run(cx, verb),
        Verb::Other(words) => Err(unknown::failure(&words)),
    }
}
