//! What was played where, and what became of it: for a reader, for a file, for the table in the README.

use super::case::{Case, FOLDER};
use super::host::Kind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

/// A case that was played, or not.
#[derive(Clone, Debug)]
pub struct Played {
    /// Its area.
    pub area: String,
    /// Its name in that.
    pub name: String,
    /// What became of it.
    pub verdict: Verdict,
    /// How long it took.
    pub millis: u128,
}

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All came as expected.
    Passed,
    /// Something did not.
    Failed(String),
    /// It makes no sense on this host.
    NotHere(String),
}

impl Verdict {
    /// The same with more to say of a failure.
    #[must_use]
    pub fn with(self, more: impl FnOnce() -> String) -> Self {
        match self {
            Self::Failed(why) => Self::Failed(why + &more()),
            other @ (Self::Passed | Self::NotHere(_)) => other,
        }
    }
}

impl Played {
    /// With the time since it was begun.
    pub fn new(case: &Case, verdict: Verdict, begun: Instant) -> Self {
        let Case { area, name, .. } = case;
        Self { area: area.clone(), name: name.clone(), verdict, millis: begun.elapsed().as_millis() }
    }
}

/// The results of one host, as they are kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Results {
    /// Where the cases were played.
    pub host: Kind,
    /// By area.
    pub areas: BTreeMap<String, Area>,
}

/// What became of one area's cases.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct Area {
    /// How many held.
    pub passed: usize,
    /// Those that did not.
    pub failed: Vec<String>,
    /// Those that were not played, by reason.
    pub not_here: BTreeMap<String, usize>,
}

impl Results {
    /// Of all that was played on one host.
    pub fn of(host: Kind, played: &[Played]) -> Self {
        let mut areas: BTreeMap<String, Area> = BTreeMap::new();
        for one in played {
            let area = areas.entry(one.area.clone()).or_default();
            match &one.verdict {
                Verdict::Passed => area.passed += 1,
                Verdict::Failed(_) => area.failed.push(one.name.clone()),
                Verdict::NotHere(why) => *area.not_here.entry(why.clone()).or_default() += 1,
            }
        }
        Self { host, areas }
    }

    /// How many held.
    pub fn passed(&self) -> usize {
        self.areas.values().map(|area| area.passed).sum()
    }

    /// How many did not.
    pub fn failed(&self) -> usize {
        self.areas.values().map(|area| area.failed.len()).sum()
    }
}

/// An area and what its cases are about.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The folder.
    pub name: String,
    /// In the words of the table.
    pub about: String,
}

/// All areas in the order of the table: `tests/conformance/areas.toml`.
pub fn subjects() -> Result<Vec<Subject>, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct List {
        areas: Vec<Subject>,
    }
    let file = Path::new(FOLDER).join("areas.toml");
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let list: List = toml::from_str(&text).map_err(|error| format!("areas.toml: {error}"))?;
    Ok(list.areas)
}

/// The table of what runs where. Below it stand the reasons why something does not.
pub fn table(subjects: &[Subject], results: &[Results]) -> String {
    let mut out = "| what |".to_owned();
    for one in results {
        let _ = write!(out, " {} |", one.host.name());
    }
    out += "\n|---|";
    out += &"--:|".repeat(results.len());
    out += "\n";
    let mut reasons: Vec<String> = Vec::new();
    for Subject { name, about } in subjects {
        let _ = write!(out, "| {about} |");
        for one in results {
            let _ = write!(out, " {} |", cell(one.areas.get(name), &mut reasons));
        }
        out += "\n";
    }
    out += "| all |";
    for one in results {
        let _ = write!(out, " {} |", one.passed());
    }
    out += "\n";
    if !reasons.is_empty() {
        out += "\n";
    }
    for (at, why) in reasons.iter().enumerate() {
        let _ = writeln!(out, "{}. {why}", at + 1);
    }
    out
}

fn cell(area: Option<&Area>, reasons: &mut Vec<String>) -> String {
    let Some(Area { passed, failed, not_here }) = area else { return "none".into() };
    let all = passed + failed.len() + not_here.values().sum::<usize>();
    if not_here.is_empty() && failed.is_empty() {
        return passed.to_string();
    }
    let mut marks = Vec::new();
    for why in not_here.keys() {
        let known = reasons.iter().position(|known| known == why).unwrap_or_else(|| {
            reasons.push(why.clone());
            reasons.len() - 1
        });
        marks.push((known + 1).to_string());
    }
    format!("{passed} of {all} ({})", marks.join(", "))
}

/// The document with what stands between the table's marks replaced.
pub fn with_table(document: &str, table: &str) -> Result<String, String> {
    let (open, close) = ("<!-- conformance -->\n", "<!-- end of conformance -->");
    let (before, rest) = document.split_once(open).ok_or("no mark where the table begins")?;
    let (_, after) = rest.split_once(close).ok_or("no mark where the table ends")?;
    Ok(format!("{before}{open}{table}{close}{after}"))
}
