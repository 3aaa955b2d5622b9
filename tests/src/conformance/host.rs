//! Where a gateway runs: the program itself, or a launcher of an edge's.
//!
//! A launcher gets a file that says what to run (`config`, `env`, `persist`, `port`), prints one line with its
//! address when it serves, takes up the file again on SIGHUP, and ends with 0 on SIGTERM.

use super::step::Stop;
use crate::gateway::{Folder, Gateway, command, eventually};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// The hosts there are.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The program.
    Native,
    /// The compiled Worker in workerd.
    Workers,
    /// The compiled component in a WASI host.
    Spin,
}

impl Kind {
    /// All of them, in the order of the table.
    pub const ALL: [Kind; 3] = [Kind::Native, Kind::Workers, Kind::Spin];

    /// As one writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Workers => "workers",
            Self::Spin => "spin",
        }
    }
}

/// How to start gateways on one host.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// Which host.
    pub kind: Kind,
    /// The program, for the native one.
    pub program: String,
}

/// A document and what it refers to.
#[derive(Clone, Debug)]
pub struct Told {
    /// The config.
    pub document: String,
    /// The variables and secrets it names.
    pub env: BTreeMap<String, String>,
    /// How many gateways share what they keep: isolates, instances.
    pub gateways: usize,
}

/// A gateway that runs until this is dropped.
#[derive(Debug)]
pub struct Host {
    launcher: Launcher,
    told: Told,
    folder: Arc<Folder>,
    /// Nothing while it is stopped.
    gateway: Option<Gateway>,
}

impl Host {
    /// Starts one in a folder of its own. An error is what it said instead of serving.
    pub fn start(launcher: &Launcher, told: Told) -> Result<Self, String> {
        let folder = Arc::new(Folder::new());
        let mut host = Self { launcher: launcher.clone(), told, folder, gateway: None };
        host.run()?;
        Ok(host)
    }

    /// Which host it is.
    pub fn kind(&self) -> Kind {
        self.launcher.kind
    }

    /// Where it listens; where each of them does, if it is several and they can be told apart.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let said = self.said();
        let told =
            said.lines().filter_map(|line| line.strip_prefix("listening http://")?.trim().parse().ok());
        let told: Vec<_> = told.take(self.told.gateways).collect();
        if told.is_empty() { vec![self.gateway().address] } else { told }
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        self.gateway().said()
    }

    /// Stops it and starts it with what it has kept.
    pub fn restart(&mut self, stop: Stop) -> Result<(), String> {
        match stop {
            Stop::Orderly => self.stop()?,
            Stop::Killed => {
                self.kill();
                self.gateway = None;
            }
        }
        self.run()
    }

    /// Gives it another document, and waits until it has taken it up or refused it.
    pub fn reload(&mut self, document: &str) {
        self.told.document = document.to_owned();
        self.write();
        let mark = match self.kind() {
            Kind::Native => ["config reloaded", "the old one stays"].as_slice(),
            Kind::Workers | Kind::Spin => ["reloaded"].as_slice(),
        };
        let seen = |gateway: &Gateway| {
            let said = gateway.said();
            mark.iter().map(|mark| said.matches(mark).count()).sum::<usize>()
        };
        let gateway = self.gateway();
        let before = seen(gateway);
        gateway.signal("HUP");
        eventually("the new document is looked at", || seen(gateway) > before);
    }

    /// Stops it in an orderly way; an error if it does not end with 0.
    pub fn stop(&mut self) -> Result<(), String> {
        let Some(mut gateway) = self.gateway.take() else { return Ok(()) };
        gateway.signal("TERM");
        let status = gateway.wait();
        if status.success() { Ok(()) } else { Err(format!("it ended with {status}: {}", gateway.said())) }
    }

    /// Ends it, with whatever a launcher has started.
    fn kill(&self) {
        if let Some(gateway) = &self.gateway
            && self.launcher.kind != Kind::Native
        {
            // A launcher leads a group of its own; that it is gone already is as well.
            let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", gateway.id())]).status();
        }
    }

    fn gateway(&self) -> &Gateway {
        self.gateway.as_ref().expect("it runs")
    }

    fn run(&mut self) -> Result<(), String> {
        self.write();
        let file = self.file();
        let command = match self.kind() {
            Kind::Native => {
                let mut command = command(&self.launcher.program, &self.folder);
                command.args(["serve", "--workers", "2", "--listen", "127.0.0.1:0", "--config"]).arg(file);
                command.envs(&self.told.env);
                command
            }
            Kind::Workers => launch("node", "cloudflare/serve.mjs", &file),
            Kind::Spin => launch("bash", "spin/serve.sh", &file),
        };
        let gateway = self.gateway.insert(Gateway::try_run(command, Arc::clone(&self.folder))?);
        if self.launcher.kind == Kind::Workers {
            // A line for each isolate, the first of which has been read.
            let all = self.told.gateways;
            eventually("every isolate listens", || {
                gateway.said().matches("listening http://").count() >= all
            });
        }
        Ok(())
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(match self.kind() {
            Kind::Native if self.told.document.starts_with('{') => "gateway.json",
            Kind::Native => "gateway.toml",
            Kind::Workers | Kind::Spin => "spec.json",
        })
    }

    fn write(&self) {
        let Told { document, env, gateways } = &self.told;
        let text = match self.kind() {
            Kind::Native => document.clone(),
            Kind::Workers | Kind::Spin => {
                let persist = self.folder.path().join("kept");
                json!({"config": document, "env": env, "persist": persist, "port": 0, "isolates": gateways, "instances": gateways})
                    .to_string()
            }
        };
        std::fs::write(self.file(), text).expect("a file can be written");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
    }
}

fn launch(with: &str, script: &str, file: &Path) -> Command {
    let mut command = Command::new(with);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script)).arg(file);
    command.process_group(0);
    command
}
