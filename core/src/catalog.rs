//! Which models there are, whose they are, and how much they read and write.
//!
//! A first answer, not the last word: a model that is missing here is reached as `provider/model` all
//! the same, and a provider's own refusal counts for more than a row.

mod rows;

pub use rows::ROWS;

/// A model of a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The vendor's name for it.
    pub name: &'static str,
    /// The vendor whose own API serves it; see [`crate::vendor::Vendor::name`].
    pub vendor: &'static str,
    /// Tokens it reads at most, as the vendor counts; 0 where that is not known.
    pub window: u32,
    /// Tokens it writes at most; 0 where that is not known or does not apply.
    pub output: u32,
}

/// How the names of a vendor's models begin, for those that are newer than the rows.
struct Family {
    prefix: &'static str,
    vendor: &'static str,
}

const fn family(prefix: &'static str, vendor: &'static str) -> Family {
    Family { prefix, vendor }
}

/// The first that fits counts.
const FAMILIES: &[Family] = &[
    // Open weights: others serve them, OpenAI does not.
    family("gpt-oss-", "cerebras"),
    family("gpt-", "openai"),
    family("chatgpt-", "openai"),
    family("ft:", "openai"),
    family("o1-", "openai"),
    family("o3-", "openai"),
    family("o4-", "openai"),
    family("text-embedding-3-", "openai"),
    family("omni-moderation-", "openai"),
    family("dall-e-", "openai"),
    family("tts-", "openai"),
    family("claude-", "anthropic"),
    family("gemini-", "gemini"),
    family("gemma-", "gemini"),
    family("imagen-", "gemini"),
    family("veo-", "gemini"),
    family("mistral-", "mistral"),
    family("open-mistral-", "mistral"),
    family("open-mixtral-", "mistral"),
    family("ministral-", "mistral"),
    family("magistral-", "mistral"),
    family("codestral-", "mistral"),
    family("devstral-", "mistral"),
    family("pixtral-", "mistral"),
    family("voxtral-", "mistral"),
    family("deepseek-", "deepseek"),
    family("grok-", "xai"),
    family("command-", "cohere"),
    family("embed-", "cohere"),
    family("rerank-", "cohere"),
    family("kimi-", "moonshot"),
    family("moonshot-", "moonshot"),
    family("sonar", "perplexity"),
    family("glm-", "zai"),
];

/// The vendors that serve a model of this name, best first: those of its row, else of the row it is
/// a dated version of, else of its family. Empty for a name nobody is known for.
pub fn vendors(name: &str) -> impl Iterator<Item = &'static str> {
    let rows = match rows_of(name) {
        [] => undated(name).map_or(&[] as &[Row], rows_of),
        exact => exact,
    };
    let family = FAMILIES.iter().find(|family| rows.is_empty() && name.starts_with(family.prefix));
    rows.iter().map(|row| row.vendor).chain(family.map(|family| family.vendor))
}

/// The row of a model: the vendor's own, else that of any vendor (an Azure deployment of `gpt-4o` is
/// a `gpt-4o`), exactly or as the dated version of one.
pub fn find(name: &str, vendor: &str) -> Option<&'static Row> {
    [Some(name), undated(name)].into_iter().flatten().find_map(|name| {
        let rows = rows_of(name);
        rows.iter().find(|row| row.vendor == vendor).or_else(|| rows.first())
    })
}

fn rows_of(name: &str) -> &'static [Row] {
    let from = ROWS.partition_point(|row| row.name < name);
    let same = ROWS.get(from..).unwrap_or_default();
    let count = same.iter().take_while(|row| row.name == name).count();
    same.get(..count).unwrap_or_default()
}

/// The name without its version: `-2024-08-06`, `-20250929`, `@20250929`, `-001`, `-latest`.
fn undated(name: &str) -> Option<&str> {
    const VERSIONS: [&str; 5] = ["-dddd-dd-dd", "-dddddddd", "@dddddddd", "-0dd", "-latest"];
    VERSIONS.iter().find_map(|version| {
        let (bare, end) = name.split_at_checked(name.len().checked_sub(version.len())?)?;
        let fits = end.bytes().zip(version.bytes()).all(|(found, wanted)| match wanted {
            b'd' => found.is_ascii_digit(),
            exact => found == exact,
        });
        (fits && !bare.is_empty()).then_some(bare)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vendor(name: &str) -> Option<&'static str> {
        vendors(name).next()
    }

    #[test]
    fn rows_are_sorted_and_each_stands_once() {
        assert!(ROWS.windows(2).all(|pair| (pair[0].name, pair[0].vendor) < (pair[1].name, pair[1].vendor)));
        assert!(ROWS.len() > 300);
    }

    #[test]
    fn a_dated_version_is_the_model_it_is_a_version_of() {
        assert_eq!(find("gpt-4o-2024-08-06", "openai").map(|row| row.name), Some("gpt-4o"));
        assert_eq!(find("claude-sonnet-4-5-20250929", "anthropic").map(|row| row.window), Some(200_000));
        assert_eq!(find("claude-sonnet-4-5@20250929", "vertex").map(|row| row.vendor), Some("anthropic"));
        assert_eq!(find("gpt-4o-2024-8-6", "openai"), None);
        assert_eq!(find("-latest", "openai"), None);
        assert_eq!(find("ü-latest", "openai"), None);
    }

    #[test]
    fn a_model_newer_than_the_rows_belongs_to_its_family() {
        assert_eq!(vendor("gpt-99"), Some("openai"));
        assert_eq!(vendor("claude-zeta-9"), Some("anthropic"));
        assert_eq!(vendor("grok-12-fast"), Some("xai"));
        assert_eq!(vendor("llama-of-mine"), None);
        assert_eq!(vendor(""), None);
    }

    #[test]
    fn a_model_of_several_vendors_names_them_all() {
        let all: Vec<_> = vendors("openai/gpt-oss-120b").collect();
        assert_eq!(all, ["groq", "together"]);
    }
}
