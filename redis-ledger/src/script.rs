//! The scripts that run in the server, and calls to them.

use std::sync::{Arc, LazyLock};

/// A script, with the digest the server knows it by.
#[derive(Debug)]
pub struct Script {
    /// What runs.
    pub text: &'static str,
    /// SHA-1 of the text, in hexadecimal digits.
    pub digest: String,
}

macro_rules! script {
    ($file:literal) => {
        LazyLock::new(|| Script::new(concat!(include_str!("books.lua"), include_str!($file))))
    };
}

pub(crate) static RESERVE: LazyLock<Script> = script!("reserve.lua");
pub(crate) static SETTLE: LazyLock<Script> = script!("settle.lua");
pub(crate) static SEED: LazyLock<Script> = script!("seed.lua");
pub(crate) static REPORT: LazyLock<Script> = script!("report.lua");

impl Script {
    /// Of a text.
    pub fn new(text: &'static str) -> Self {
        Self { text, digest: sha1_smol::Sha1::from(text).digest().to_string() }
    }
}

/// A command with all its keys in one hash slot.
#[derive(Clone, Debug)]
pub struct Call {
    /// Names the hash slot.
    pub book: Arc<str>,
    /// What is called.
    pub what: What,
    /// The keys.
    pub keys: Vec<String>,
    /// The arguments.
    pub args: Vec<Vec<u8>>,
}

/// What is called.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// A script.
    Script(&'static Script),
    /// A plain command, keys before arguments.
    Command(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_one_that_redis_makes() {
        assert_eq!(Script::new("return 1").digest, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }
}
