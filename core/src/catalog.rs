//! Which models there are, whose they are, how much they read and write, and what they cost.
//!
//! All of it stands in `data/prices.tsv`, compiled in as [`table`] searches it: nothing is read at start, a
//! look-up costs a binary search. `data/prices.py` writes it.
//!
//! A first answer, not the last word: a model that is missing here is reached as `provider/model` all
//! the same, and a provider's own refusal counts for more than a row.

mod table; // the rows as they are compiled in

use crate::units::Tokens;
use table::rows_of;

/// A model of a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The vendor's name for it.
    pub name: &'static str,
    /// The vendor whose API serves it; see [`crate::vendor::Vendor::name`].
    pub vendor: &'static str,
    /// Tokens it reads at most, as the vendor counts; 0 where that is not known.
    pub window: u32,
    /// Tokens it writes at most; 0 where that is not known or does not apply.
    pub output: u32,
    /// Its prices as the file spells them, for [`crate::price`]; empty where they are not known.
    pub(crate) prices: &'static str,
    /// The number of its source.
    source: usize,
}

/// Where a row's figures were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// When: `2026-11-20`, or `last-listed` for a price that is listed no longer.
    pub date: &'static str,
    /// The page.
    pub page: &'static str,
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
    // A region or a maker stands before the names of AWS's.
    family("us.", "bedrock"),
    family("us-gov.", "bedrock"),
    family("eu.", "bedrock"),
    family("apac.", "bedrock"),
    family("jp.", "bedrock"),
    family("au.", "bedrock"),
    family("global.", "bedrock"),
    family("anthropic.", "bedrock"),
    family("amazon.", "bedrock"),
    family("meta.", "bedrock"),
    family("mistral.", "bedrock"),
    family("cohere.", "bedrock"),
    family("ai21.", "bedrock"),
    family("openai.gpt-oss", "bedrock"),
    family("qwen.", "bedrock"),
    family("deepseek.", "bedrock"),
    family("writer.", "bedrock"),
];

/// The vendors that serve a model of this name, best first: the one whose family it is of, then those
/// of its row and of the row it is a dated version of. A name without a row is its family's alone;
/// empty for a name nobody is known for.
pub fn vendors(name: &str) -> impl Iterator<Item = &'static str> {
    let rows = || rows_of(name).chain(undated(name).into_iter().flat_map(rows_of));
    let family = FAMILIES.iter().find(|family| name.starts_with(family.prefix)).map(|family| family.vendor);
    let maker = family.filter(|maker| rows().next().is_none() || rows().any(|row| row.vendor == *maker));
    maker.into_iter().chain(rows().map(|row| row.vendor).filter(move |vendor| Some(*vendor) != maker))
}

/// The row of a model: the vendor's own, else that of any vendor (an Azure deployment of `gpt-4o` is
/// a `gpt-4o`), exactly or as the dated version of one.
pub fn find(name: &str, vendor: &str) -> Option<Row> {
    let name = resource(name);
    [Some(name), undated(name)].into_iter().flatten().find_map(|name| {
        let own = rows_of(name).find(|row| row.vendor == vendor);
        own.or_else(|| rows_of(name).next())
    })
}

/// Tokens a vendor's model writes at most; absent where that is not known.
pub fn most_output(name: &str, vendor: &str) -> Option<Tokens> {
    let row = find(name, vendor)?;
    (row.output > 0).then(|| Tokens(u64::from(row.output)))
}

/// The vendor's own row of a model, exactly or as the dated version of one.
pub fn own(name: &str, vendor: &str) -> Option<Row> {
    let name = resource(name);
    let names = [Some(name), undated(name)];
    names.into_iter().flatten().find_map(|name| rows_of(name).find(|row| row.vendor == vendor))
}

/// The name of a model within the address that AWS gives it: `arn:aws:bedrock:…:inference-profile/NAME`.
/// A profile of the user's own has a name that no row has.
fn resource(name: &str) -> &str {
    let inner = name.strip_prefix("arn:aws").and_then(|rest| rest.rsplit('/').next());
    inner.unwrap_or(name)
}

/// Every row, sorted by name.
pub fn rows() -> impl Iterator<Item = Row> {
    table::rows()
}

impl Row {
    /// Where its figures were read.
    pub fn source(&self) -> Option<Source> {
        table::source(self.source)
    }
}

/// The name without its version: `-2024-08-06`, `-20250929`, `@20250929`, `-001`, `-latest`, `@default`.
fn undated(name: &str) -> Option<&str> {
    const VERSIONS: [&str; 7] =
        ["-NNNN-NN-NN", "-NNNNNNNN", "@NNNNNNNN", "-0NN", "-latest", "@latest", "@default"];
    VERSIONS.iter().find_map(|version| {
        let (bare, end) = name.split_at_checked(name.len().checked_sub(version.len())?)?;
        let fits = end.bytes().zip(version.bytes()).all(|(found, wanted)| match wanted {
            b'N' => found.is_ascii_digit(),
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
    fn a_model_of_awss_is_known_by_its_address_and_by_how_its_name_begins() {
        let name = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
        let arn = format!("arn:aws:bedrock:us-east-1:123456789012:inference-profile/{name}");
        assert_eq!(own(&arn, "bedrock").map(|row| row.name), Some(name));
        assert_eq!(find(&arn, "bedrock"), find(name, "bedrock"));
        let newer: Vec<_> = vendors("eu.anthropic.claude-something-new-v9:0").collect();
        assert_eq!(newer, ["bedrock"]);
    }

    #[test]
    fn rows_are_sorted_and_each_stands_once() {
        let all: Vec<Row> = rows().collect();
        assert!(all.windows(2).all(|pair| pair[0].name <= pair[1].name));
        let unique: std::collections::BTreeSet<_> = all.iter().map(|row| (row.name, row.vendor)).collect();
        assert_eq!(unique.len(), all.len());
        assert!(all.len() > 2_000, "{}", all.len());
        let text = include_str!("../data/prices.tsv");
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines.len(), all.len(), "every line is a row");
        for (line, row) in lines.iter().zip(&all) {
            let Row { name, vendor, window, output, prices, source } = row;
            assert_eq!(*line, format!("{name}\t{vendor}\t{window}\t{output}\t{source}\t{prices}"));
        }
    }

    #[test]
    fn every_row_is_found_by_its_name_and_vendor_and_has_a_source() {
        for row in rows() {
            assert_eq!(own(row.name, row.vendor), Some(row));
            assert!(row.source().is_some(), "{}", row.name);
        }
        assert_eq!(rows_of("~").count() + rows_of("").count() + rows_of("#").count(), 0);
    }

    #[test]
    fn a_dated_version_is_the_model_it_is_a_version_of() {
        assert_eq!(find("gpt-4o-2099-01-01", "openai").map(|row| row.name), Some("gpt-4o"));
        assert_eq!(find("claude-sonnet-4-5-20250929", "anthropic").map(|row| row.window), Some(200_000));
        assert_eq!(find("claude-opus-4@20250514", "vertex").map(|row| row.vendor), Some("anthropic"));
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
    fn a_model_of_several_vendors_names_them_all_its_maker_first() {
        let all: Vec<_> = vendors("gpt-4o").collect();
        assert_eq!(all, ["openai", "azure"]);
        let open: Vec<_> = vendors("openai/gpt-oss-120b").collect();
        assert_eq!(open, ["deepinfra", "groq", "nebius", "novita", "together"]);
    }
}
