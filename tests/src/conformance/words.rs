//! Placeholders: `{name}` in the texts of a case.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};
use toml::Value;

/// What placeholders stand for.
#[derive(Clone, Debug, Default)]
pub struct Words(BTreeMap<String, String>);

impl Words {
    /// The same with one more; a later one replaces an earlier one.
    #[must_use]
    pub fn with(mut self, name: &str, meaning: &str) -> Self {
        self.set(name, meaning);
        self
    }

    /// Adds or replaces one.
    pub fn set(&mut self, name: &str, meaning: &str) {
        self.0.insert(format!("{{{name}}}"), meaning.to_owned());
    }

    /// A text with every known placeholder replaced; what is not known stays, so that JSON needs no escapes.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, meaning) in &self.0 {
            if filled.contains(name.as_str()) {
                filled = filled.replace(name.as_str(), meaning);
            }
        }
        filled
    }

    /// The same for every text in a value, keys of tables included.
    pub fn fill_value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill(text)),
            Value::Array(all) => Value::Array(all.iter().map(|one| self.fill_value(one)).collect()),
            Value::Table(table) => {
                let filled = table.iter().map(|(name, one)| (self.fill(name), self.fill_value(one)));
                Value::Table(filled.collect())
            }
            other @ (Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_)) => {
                other.clone()
            }
        }
    }
}

const MOMENT: &str = "{now+";

/// A text with `{now+3s}` replaced by that moment, as RFC 3339.
pub fn fill_moments(mut text: String) -> String {
    while let Some(at) = text.find(MOMENT) {
        let rest = &text[at + MOMENT.len()..];
        let Some((seconds, _)) = rest.split_once("s}") else { return text };
        let Ok(ahead) = seconds.parse() else { return text };
        let moment = jiff::Timestamp::try_from(SystemTime::now() + Duration::from_secs(ahead));
        let moment = moment.expect("a moment of this century").strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        text.replace_range(at..at + MOMENT.len() + seconds.len() + 2, &moment);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_stays() {
        let words = Words::default().with("sim", "here");
        assert_eq!(words.fill(r#"{"a": {}} {sim}/{other}"#), r#"{"a": {}} here/{other}"#);
        let moment = fill_moments("at {now+60s}.".into());
        assert!(moment.starts_with("at 20") && moment.ends_with("Z."), "{moment}");
    }
}
