//! Which tokenizer a model has.

/// Which tokenizer a model has, as far as it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// OpenAI's newer models.
    O200k,
    /// OpenAI's older ones.
    Cl100k,
    /// None that is published: counts are estimates.
    Unknown,
}

/// Names that begin like this have OpenAI's newer tokenizer.
const O200K: &[&str] = &[
    "gpt-4o",
    "chatgpt-4o",
    "gpt-4.1",
    "gpt-4.5",
    "gpt-5",
    "gpt-oss",
    "gpt-audio",
    "gpt-realtime",
    "codex-mini",
    "computer-use-preview",
];

/// These are whole names, or names before a `-`: nothing else may follow.
const O200K_WORDS: &[&str] = &["o1", "o3", "o4"];

/// Names that begin like this have the older one.
const CL100K: &[&str] =
    &["gpt-3.5", "gpt-35", "text-embedding-3-", "text-embedding-ada-002", "davinci-002", "babbage-002"];

impl Family {
    /// The family of a model, by its name: bare, with its vendor before it (`openai/gpt-4o`), or
    /// fine-tuned (`ft:gpt-4o-mini:acme::x`).
    pub fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let name = name.strip_prefix("ft:").unwrap_or(name);
        let is = |word: &str| name.strip_prefix(word).is_some_and(ends_word);
        if O200K.iter().any(|prefix| name.starts_with(prefix)) || O200K_WORDS.iter().any(|word| is(word)) {
            Self::O200k
        } else if CL100K.iter().any(|prefix| name.starts_with(prefix)) || is("gpt-4") {
            Self::Cl100k
        } else {
            Self::Unknown
        }
    }
}

fn ends_word(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['-', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_known_by_their_names_however_they_are_written() {
        for (name, family) in [
            ("gpt-4o", Family::O200k),
            ("gpt-4o-mini-2024-07-18", Family::O200k),
            ("chatgpt-4o-latest", Family::O200k),
            ("gpt-4.1-nano", Family::O200k),
            ("gpt-5.2-pro", Family::O200k),
            ("o1", Family::O200k),
            ("o3-mini", Family::O200k),
            ("o4-mini-deep-research", Family::O200k),
            ("openai/gpt-oss-120b", Family::O200k),
            ("ft:gpt-4o-mini:acme::a1", Family::O200k),
            ("gpt-4", Family::Cl100k),
            ("gpt-4-turbo", Family::Cl100k),
            ("ft:gpt-4:acme", Family::Cl100k),
            ("gpt-3.5-turbo", Family::Cl100k),
            ("gpt-35-turbo-16k", Family::Cl100k),
            ("text-embedding-3-large", Family::Cl100k),
            ("text-embedding-ada-002", Family::Cl100k),
            ("claude-sonnet-4-5", Family::Unknown),
            ("gemini-2.5-pro", Family::Unknown),
            ("o1ympus", Family::Unknown),
            ("gpt-40", Family::Unknown),
            ("", Family::Unknown),
        ] {
            assert_eq!(Family::of(name), family, "{name}");
        }
    }
}
