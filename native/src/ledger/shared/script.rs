//! The scripts that run in the server, and calls to them.

use redis::Cmd;
use std::sync::{Arc, LazyLock};

/// A script, with the digest the server knows it by.
#[derive(Debug)]
pub(crate) struct Script {
    text: &'static str,
    digest: String,
}

macro_rules! script {
    ($file:literal) => {
        LazyLock::new(|| Script::new(concat!(include_str!("books.lua"), include_str!($file))))
    };
}

pub(super) static RESERVE: LazyLock<Script> = script!("reserve.lua");
pub(super) static SETTLE: LazyLock<Script> = script!("settle.lua");
pub(super) static SEED: LazyLock<Script> = script!("seed.lua");
pub(super) static REPORT: LazyLock<Script> = script!("report.lua");

impl Script {
    pub(crate) fn new(text: &'static str) -> Self {
        Self { text, digest: redis::Script::new(text).get_hash().to_owned() }
    }
}

/// A command with all its keys in one hash slot.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Names the hash slot.
    pub(crate) book: Arc<str>,
    pub(crate) what: What,
    pub(crate) keys: Vec<String>,
    pub(crate) args: Vec<Vec<u8>>,
}

/// What is called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// A script.
    Script(&'static Script),
    /// A plain command, keys before arguments.
    Command(&'static str),
}

impl Call {
    /// As it is sent first.
    pub(super) fn command(&self) -> Cmd {
        match self.what {
            What::Script(script) => self.script("EVALSHA", &script.digest),
            What::Command(name) => {
                let mut command = redis::cmd(name);
                command.arg(&self.keys).arg(&self.args);
                command
            }
        }
    }

    /// As it is sent to a server that does not know the script; it does then.
    pub(super) fn with_text(&self) -> Option<Cmd> {
        match self.what {
            What::Script(script) => Some(self.script("EVAL", script.text)),
            What::Command(_) => None,
        }
    }

    fn script(&self, verb: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(verb);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.args);
        command
    }
}
