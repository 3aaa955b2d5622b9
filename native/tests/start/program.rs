//! The program itself, started with a config of the test's.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A gateway that runs until this is dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    /// Where it listens.
    pub(crate) address: String,
    /// Its config.
    pub(crate) file: PathBuf,
}

impl Program {
    /// With this document, which has it listen at a port of its choice, and these variables beside the test's.
    pub(crate) fn start(name: &str, document: &str, variables: &[(&str, String)]) -> Self {
        let file = std::env::temp_dir().join(format!("tollgate-{}-{name}.toml", std::process::id()));
        std::fs::write(&file, document).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["serve", "--workers", "2", "--config"])
            .arg(&file)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(',').next());
        let address = address.unwrap().trim().to_owned();
        Self { child, address, file }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.file);
    }
}
