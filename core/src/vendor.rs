//! Vendors: rows of base URL, authentication and quirks on a known dialect.

mod quirks;
mod rows;

pub use quirks::{
    CacheMarks, ChatPath, CompletionCount, DeveloperRole, EmbeddingWords, MaxTokensField, MessageNames,
    PlainCompletions, PromptCount, Quirks, ReasoningAsk, RequiredWord, SeedField, StreamOptions,
    StreamedToolIndex, ThinkingBack, ToolIds, TopK, Turns,
};
pub use rows::VENDORS;

use crate::dialect::Dialect;

/// One vendor. Adding one is adding a row to [`VENDORS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vendor {
    /// Its name in the config (`kind`) and in `provider/model`.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// The wire format it speaks.
    pub dialect: Dialect,
    /// Everything before the dialect's own path; empty where only the user knows it. `{region}` stands
    /// for AWS's.
    pub base_url: &'static str,
    /// How it wants its key.
    pub auth: Auth,
    /// Environment variables that may hold the key, first found wins. In zero-config they turn the
    /// vendor on, if it has a base URL.
    pub env: &'static [&'static str],
    /// Environment variables that may hold its address. In zero-config they stand in for `base_url`,
    /// and turn on a vendor that needs no key.
    pub address: Address,
    /// Where it departs from its dialect.
    pub quirks: Quirks,
    /// The same vendor as it speaks another dialect at the same base URL, with the same key.
    pub also: Option<&'static Vendor>,
}

impl Vendor {
    /// The row by which this vendor speaks the dialect, if it does.
    pub fn speaking(&'static self, dialect: Dialect) -> Option<&'static Vendor> {
        [Some(self), self.also].into_iter().flatten().find(|row| row.dialect == dialect)
    }
}

/// Where a vendor's address may be found in the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// First found wins.
    pub env: &'static [&'static str],
    /// Added to an address that has no path: people write hosts into these variables.
    pub path: &'static str,
}

impl Address {
    /// In no variable.
    pub const NONE: Self = Self { env: &[], path: "/v1" };

    /// In this one; the path is `/v1`.
    pub const fn of(env: &'static [&'static str]) -> Self {
        Self { env, path: "/v1" }
    }
}

/// How a vendor wants its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer …`
    Bearer,
    /// `Authorization: Token …`
    Token,
    /// A header of this name (lower case) with the bare key.
    Header(&'static str),
    /// A signature of AWS's, or `Authorization: Bearer …` where the key is an API key.
    Aws,
    /// No key: local servers. One is sent as a bearer token if configured.
    Optional,
}

/// The row of this name.
pub fn find(name: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| vendor.name == name)
}

/// The row for a server that speaks the dialect and is no known vendor: its base URL is the user's
/// to give, and nothing is assumed of it but what every server of the dialect understands.
pub fn custom(dialect: Dialect) -> &'static Vendor {
    match dialect {
        Dialect::OpenAi => &rows::CUSTOM_OPENAI,
        Dialect::OpenAiResponses => &rows::CUSTOM_RESPONSES,
        Dialect::Anthropic => &rows::CUSTOM_ANTHROPIC,
        Dialect::Gemini => &rows::CUSTOM_GEMINI,
        Dialect::Bedrock => &rows::CUSTOM_BEDROCK,
        Dialect::Cohere => &rows::CUSTOM_COHERE,
        Dialect::Ollama => &rows::CUSTOM_OLLAMA,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_vendor_has_a_name_of_its_own() {
        let names: BTreeSet<_> = VENDORS.iter().map(|vendor| vendor.name).collect();
        assert_eq!(names.len(), VENDORS.len());
        assert!(names.iter().all(|name| {
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        }));
    }

    #[test]
    fn every_base_url_is_https_unless_it_is_local_and_has_no_trailing_slash() {
        for vendor in VENDORS.iter().filter(|vendor| !vendor.base_url.is_empty()) {
            let local = vendor.base_url.starts_with("http://localhost:");
            assert!(local || vendor.base_url.starts_with("https://"), "{}", vendor.name);
            assert!(!vendor.base_url.ends_with('/'), "{}", vendor.name);
            assert_eq!(local, vendor.auth == Auth::Optional, "{}", vendor.name);
        }
    }

    #[test]
    fn a_header_for_a_key_is_a_lower_case_header_name() {
        for vendor in VENDORS {
            if let Auth::Header(name) = vendor.auth {
                assert_eq!(http::HeaderName::from_static(name).as_str(), name);
            }
        }
    }

    #[test]
    fn a_vendor_that_speaks_two_dialects_is_one_vendor() {
        for vendor in VENDORS {
            let Some(also) = vendor.also else { continue };
            assert_eq!((also.name, also.base_url, also.auth), (vendor.name, vendor.base_url, vendor.auth));
            assert_ne!(also.dialect, vendor.dialect);
            assert_eq!(vendor.speaking(also.dialect), Some(also));
            assert_eq!(vendor.speaking(vendor.dialect), Some(vendor));
        }
    }

    #[test]
    fn no_two_vendors_are_turned_on_by_one_variable() {
        let all: Vec<_> = VENDORS.iter().flat_map(|vendor| vendor.env).collect();
        let unique: BTreeSet<_> = all.iter().collect();
        assert_eq!(all.len(), unique.len());
    }

    #[test]
    fn a_dialect_is_found_by_its_name_and_has_a_custom_row() {
        for (dialect, name) in Dialect::ALL {
            assert_eq!(find(name).map(|vendor| vendor.dialect), Some(dialect));
            assert_eq!(custom(dialect).dialect, dialect);
            assert_eq!(custom(dialect).base_url, "");
        }
    }
}
