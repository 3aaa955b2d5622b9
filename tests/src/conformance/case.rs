//! A case as its file says it, and all cases there are.

use super::host::Kind;
use super::step::Step;
use super::words::Words;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Where the cases are.
pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance");

/// What every gateway of a case is told, its own part apart.
pub const BASE: &str = include_str!("../../conformance/base.toml");

/// One case, for one choice of what its `over` lists.
#[derive(Clone, Debug)]
pub struct Case {
    /// The folder it is in: `limits`.
    pub area: String,
    /// Its file's name, and what was chosen: `parallel-0`.
    pub name: String,
    /// What its placeholders stand for.
    pub words: Words,
    /// What it says.
    pub script: Script,
}

/// The content of a case's file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The fact it shows.
    pub about: String,
    /// Promises and scenarios it stands for.
    #[serde(default)]
    pub covers: Vec<String>,
    /// Values for placeholders: the case is played for every combination of them.
    #[serde(default)]
    pub over: BTreeMap<String, Vec<String>>,
    /// What its gateway is told.
    #[serde(default)]
    pub place: Place,
    /// Its own key's lines in the document, beside name and value.
    #[serde(default)]
    pub key: String,
    /// Its own part of the document.
    #[serde(default)]
    pub config: String,
    /// More lines under `[server]`; not for shared gateways.
    #[serde(default)]
    pub server: String,
    /// More variables of the gateway; not for shared ones.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// How many gateways share what they keep; more than one are for a place of its own.
    #[serde(default = "one")]
    pub gateways: usize,
    /// The document is wrong, and what is said of that has these parts.
    #[serde(default)]
    pub refused: Vec<String>,
    /// Hosts on which it makes no sense, with the reason.
    #[serde(default)]
    pub not_on: BTreeMap<Kind, String>,
    /// What happens, in order; placeholders are filled when a step's turn comes.
    #[serde(default)]
    pub steps: Vec<Value>,
}

fn one() -> usize {
    1
}

/// What the gateway of a case is told.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The usual providers, and what all cases of the area say that share it.
    #[default]
    Shared,
    /// The usual providers, and what this case says.
    Alone,
    /// What this case says, and nothing else: not even its key.
    Bare,
}

impl Case {
    /// The secret of the case's own key; empty where it has none.
    pub fn secret(&self) -> String {
        match self.script.place {
            Place::Shared | Place::Alone => format!("tg-planted-{}", self.id()),
            Place::Bare => String::new(),
        }
    }

    /// Names the case among all of them.
    pub fn id(&self) -> String {
        format!("{}-{}", self.area, self.name)
    }

    /// Its own part of a document, with `config` in place of what its file says.
    pub fn part(&self, config: &str) -> String {
        let key = match self.script.place {
            Place::Bare => String::new(),
            Place::Shared | Place::Alone => {
                let Script { key, .. } = &self.script;
                format!("\n[[keys]]\nname = \"{}\"\nvalue = \"{}\"\n{key}\n", self.id(), self.secret())
            }
        };
        format!("{key}\n{config}\n")
    }

    /// The step with its placeholders filled.
    pub fn step(&self, step: &Value, words: &Words) -> Result<Step, String> {
        words.fill_value(step).try_into().map_err(|error: toml::de::Error| error.message().to_owned())
    }

    /// Every step must make sense before the first is done.
    fn check(&self) -> Result<(), String> {
        let Script { place, refused, steps, env, server, gateways, .. } = &self.script;
        if steps.is_empty() == refused.is_empty() {
            return Err("a case has either `steps` or `refused`".into());
        }
        let plain = env.is_empty() && refused.is_empty() && server.is_empty() && *gateways == 1;
        if *place == Place::Shared && !plain {
            return Err("`env`, `server`, `gateways` and `refused` are for a gateway of its own".into());
        }
        for (at, step) in steps.iter().enumerate() {
            let planned = self.step(step, &self.words).and_then(|step| step.plan(&self.secret()));
            planned.map_err(|why| format!("step {}: {why}", at + 1))?;
        }
        Ok(())
    }
}

/// All cases, by area and name. An error names the file, and what in it cannot be understood.
pub fn all() -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    for area in entries(Path::new(FOLDER))?.iter().filter(|path| path.is_dir()) {
        for file in entries(area)?.iter().filter(|path| path.extension().is_some_and(|end| end == "toml")) {
            cases.extend(read(area, file).map_err(|why| format!("{}: {why}", file.display()))?);
        }
    }
    Ok(cases)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    Ok(paths)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn read(area: &Path, file: &Path) -> Result<Vec<Case>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let over: BTreeMap<String, Vec<String>> = match table.get("over") {
        Some(over) => over.clone().try_into().map_err(|error: toml::de::Error| error.to_string())?,
        None => BTreeMap::new(),
    };
    let several = !over.is_empty();
    let choices = combinations(&over);
    let cases = choices.into_iter().enumerate().map(|(at, words)| {
        let name = if several { format!("{}-{at}", stem(file)) } else { stem(file) };
        let id = format!("{}-{name}", stem(area));
        let words = words.with("case", &id).with("secret", &format!("tg-planted-{id}"));
        let filled = words.fill_value(&Value::Table(table.clone()));
        let script: Script = filled.try_into().map_err(|error: toml::de::Error| error.to_string())?;
        let case = Case { area: stem(area), name, words, script };
        case.check()?;
        Ok(case)
    });
    cases.collect()
}

fn combinations(over: &BTreeMap<String, Vec<String>>) -> Vec<Words> {
    let mut all = vec![Words::default()];
    for (name, values) in over {
        let longer = |words: Words| values.iter().map(move |value| words.clone().with(name, value));
        all = all.into_iter().flat_map(longer).collect();
    }
    all
}
