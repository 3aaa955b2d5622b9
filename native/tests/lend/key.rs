//! An RSA key for one test, made by `openssl`, since nothing else here makes such keys.

use std::io::Write;
use std::process::{Command, Stdio};

/// A key and its public half.
pub(crate) struct Key {
    /// PKCS #8 in PEM.
    pub(crate) private: String,
    /// As it stands in certificates: PKCS #1 in DER.
    pub(crate) public: Vec<u8>,
}

impl Key {
    pub(crate) fn new() -> Self {
        let private = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "");
        let private = String::from_utf8(private).unwrap();
        let public = openssl(&["rsa", "-RSAPublicKey_out", "-outform", "DER"], &private);
        Self { private, public }
    }
}

fn openssl(arguments: &[&str], input: &str) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "openssl {arguments:?}");
    done.stdout
}
