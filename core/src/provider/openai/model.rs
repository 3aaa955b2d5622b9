//! What OpenAI's own models refuse, by their names: <https://platform.openai.com/docs/guides/reasoning>.
//!
//! A client of this dialect knows its model. One of another dialect sends settings that its own models
//! take, and would be refused for them.

/// Whether a model reasons before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Reasons {
    /// It does, refuses stop texts, and draws as it sees fit.
    Yes,
    /// It does not, and refuses to be asked to.
    No,
    /// It is not one of OpenAI's, or not one that is known.
    Unknown,
}

impl Reasons {
    /// By the model's name: bare, with its vendor before it, or fine-tuned.
    pub(in crate::provider) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let name = name.strip_prefix("ft:").unwrap_or(name);
        let begins = |words: &[&str]| words.iter().any(|word| name.starts_with(word));
        let is_series = ["o1", "o3", "o4"].iter().any(|series| {
            name.strip_prefix(series).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        });
        if begins(&["gpt-3.5", "gpt-35", "gpt-4", "chatgpt-"])
            || (begins(&["gpt-5"]) && name.contains("-chat"))
        {
            Self::No
        } else if is_series || begins(&["gpt-5"]) {
            Self::Yes
        } else {
            Self::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_known_by_their_names() {
        for (name, reasons) in [
            ("gpt-4o-mini", Reasons::No),
            ("openai/gpt-4.1", Reasons::No),
            ("ft:gpt-4o:acme::x", Reasons::No),
            ("gpt-5-chat-latest", Reasons::No),
            ("gpt-5.4", Reasons::Yes),
            ("o3", Reasons::Yes),
            ("o4-mini", Reasons::Yes),
            ("o1ympus", Reasons::Unknown),
            ("deepseek-chat", Reasons::Unknown),
        ] {
            assert_eq!(Reasons::of(name), reasons, "{name}");
        }
    }
}
