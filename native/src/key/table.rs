//! How keys are shown to people.

use crate::clerk::{self, plain};
use crate::clock::Clock;
use serde_json::Value;
use std::fmt::Write;
use tollgate_core::api::shape::moment;
use tollgate_core::units::Time;

const TITLES: [&str; 6] = ["NAME", "STATE", "BELONGS TO", "MODELS", "LIMITS", "EXPIRES"];

/// All keys, each in a line.
pub(super) fn table(keys: &[Value]) -> String {
    let now = Clock::start().now();
    let mut rows = vec![TITLES.map(str::to_owned)];
    rows.extend(keys.iter().map(|key| row(key, now)));
    let mut widths = [0_usize; TITLES.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            // Writing to a string does not fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// One key, each field in a line.
pub(super) fn sheet(key: &Value) -> String {
    let fields = key.as_object().into_iter().flatten();
    let width = fields.clone().map(|(name, _)| name.len()).max().unwrap_or_default();
    let mut out = String::new();
    for (name, value) in fields {
        let value = if name == "budget" { budgets(value).join(", ") } else { shown(value) };
        let _ = writeln!(out, "{name:<width$}  {value}");
    }
    out
}

fn row(key: &Value, now: Time) -> [String; TITLES.len()] {
    let text = |name: &str| clerk::text(key, name).map(plain);
    [
        text("name").unwrap_or_default(),
        state(key, now).to_owned(),
        or_none(owners(key).join(" ")),
        text("models").or_else(|| key.get("models").map(shown)).unwrap_or_else(|| "all".to_owned()),
        or_none(limits(key).join(" ")),
        text("expires").unwrap_or_else(|| "never".to_owned()),
    ]
}

fn state(key: &Value, now: Time) -> &'static str {
    let over = clerk::text(key, "expires").and_then(moment).is_some_and(|expires| expires <= now);
    match (key.get("blocked").and_then(Value::as_bool), over) {
        (Some(true), _) => "blocked",
        (_, true) => "expired",
        (_, false) if clerk::text(key, "source") == Some("config") => "in config",
        (_, false) => "valid",
    }
}

fn owners(key: &Value) -> Vec<String> {
    let one = |kind: &&str| Some(format!("{kind}:{}", plain(clerk::text(key, kind)?)));
    let mut owners: Vec<_> = ["organisation", "team", "user"].iter().filter_map(one).collect();
    let tags = key.get("tags").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    owners.extend(tags.map(|tag| format!("tag:{}", plain(tag))));
    owners
}

fn limits(key: &Value) -> Vec<String> {
    let counts =
        ["rpm", "tpm", "tpm_input", "tpm_output", "concurrency", "max_requests", "max_tokens"].into_iter();
    let counts = counts.filter_map(|name| Some(format!("{name}={}", key.get(name)?.as_u64()?)));
    counts.chain(key.get("budget").map(budgets).unwrap_or_default()).collect()
}

fn budgets(value: &Value) -> Vec<String> {
    let one = |budget: &Value| {
        let mut out = {
            let part = |name| budget.get(name).map(shown).unwrap_or_default();
            format!("${}/{}", part("usd"), part("per"))
        };
        let fields = budget.as_object().into_iter().flatten();
        for (name, value) in fields.filter(|(name, _)| !matches!(name.as_str(), "usd" | "per")) {
            let _ = write!(out, ",{name}={}", shown(value));
        }
        out
    };
    value.as_array().into_iter().flatten().map(one).collect()
}

fn or_none(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().map(shown).collect::<Vec<_>>().join(",")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_tells_state_owners_limits_and_expiry() {
        let keys = [
            json!({"name": "a", "team": "search", "tags": ["x"], "models": ["chat", "openai/*"], "rpm": 5,
                "budget": [{"usd": 0.5, "per": "day", "warn": 80}], "source": "store"}),
            json!({"name": "old", "expires": "2020-01-01T00:00:00Z", "source": "store"}),
            json!({"name": "off", "blocked": true, "source": "config"}),
        ];
        let shown = table(&keys);
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        let wanted =
            ["a", "valid", "team:search", "tag:x", "chat,openai/*", "rpm=5", "$0.5/day,warn=80", "never"];
        assert_eq!(lines[1], wanted);
        assert_eq!(lines[2], ["old", "expired", "-", "all", "-", "2020-01-01T00:00:00Z"]);
        assert_eq!(lines[3][1], "blocked");
    }

    #[test]
    fn a_terminal_is_given_no_orders() {
        let shown = sheet(&json!({"name": "a", "note": "\u{1b}[2Jgone", "metadata": {"b": "\u{1b}"}}));
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
}
