//! `usageMetadata`.
//!
//! It is cumulative and stands in every chunk; the last one counts, but a field that stood in an
//! earlier one and not in the last still holds. The prompt contains what was cached; what tools
//! brought back is counted beside the prompt, and thoughts beside the candidates.

use super::grounding;
use crate::float;
use crate::units::{Requests, Tokens};
use crate::usage::{Inclusive, Usage, UsageParts};
use memchr::memmem;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Only the field that counts; everything else is skipped without being built.
#[derive(Deserialize)]
struct Metered {
    #[serde(rename = "usageMetadata")]
    usage: Option<Map<String, Value>>,
}

/// The usage in a chunk, a whole answer or an array of chunks. The look for the name alone could be
/// fooled by a tool call with such an argument, so what has it is parsed.
pub(super) fn of_bytes(data: &[u8], earlier: Option<&Usage>) -> Option<Usage> {
    memmem::find(data, b"\"usageMetadata\"")?;
    let found = match serde_json::from_slice::<Metered>(data) {
        Ok(one) => vec![one],
        Err(_) => serde_json::from_slice::<Vec<Metered>>(data).ok()?,
    };
    let mut all: Option<Map<String, Value>> = None;
    let before = earlier.and_then(|usage| usage.parts.web_searches);
    let searches = grounding::of_bytes(data).max(before);
    for Metered { usage } in found {
        let Some(usage) = usage else { continue };
        all.get_or_insert_with(|| native(earlier)).extend(usage);
    }
    all.map(|all| of(all, searches))
}

/// The tokens that Vertex tells beside each vector.
pub(super) fn of_statistics(predictions: &[Value]) -> Option<Usage> {
    let count = |one: &Value| one.pointer("/embeddings/statistics/token_count").and_then(float::of_value);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count, written as 6 or 6.0"
    )]
    let tokens = predictions.iter().map(|one| count(one).map(|count| Tokens(count as u64)));
    let prompt = tokens.sum::<Option<Tokens>>()?;
    Some(Usage::from(Inclusive { prompt, ..Inclusive::default() }))
}

/// One chunk's counts and searches, together with those before.
pub(super) fn after(
    counts: &Map<String, Value>,
    searches: Option<Requests>,
    earlier: Option<&Usage>,
) -> Usage {
    let mut all = native(earlier);
    all.extend(counts.iter().map(|(name, value)| (name.clone(), value.clone())));
    of(all, searches.max(earlier.and_then(|usage| usage.parts.web_searches)))
}

fn native(earlier: Option<&Usage>) -> Map<String, Value> {
    let native = earlier.and_then(|usage| usage.native.as_deref());
    native.and_then(Value::as_object).cloned().unwrap_or_default()
}

fn of(all: Map<String, Value>, searches: Option<Requests>) -> Usage {
    let count = |name: &str| all.get(name).and_then(Value::as_u64).map(Tokens);
    let prompt = count("promptTokenCount").unwrap_or_default();
    let thoughts = count("thoughtsTokenCount");
    let tool_input = count("toolUsePromptTokenCount").filter(|tokens| !tokens.is_zero());
    let output = count("candidatesTokenCount").unwrap_or_default() + thoughts.unwrap_or_default();
    let prompt = prompt + tool_input.unwrap_or_default();
    let cached = count("cachedContentTokenCount").unwrap_or_default();
    let input = |modality| of_modality(&all, "promptTokensDetails", modality);
    let out = |modality| of_modality(&all, "candidatesTokensDetails", modality);
    let parts = UsageParts {
        reasoning: thoughts,
        audio_input: input(Modality::Audio),
        audio_output: out(Modality::Audio),
        image_input: input(Modality::Image),
        image_output: out(Modality::Image),
        text_input: input(Modality::Text),
        text_output: out(Modality::Text),
        tool_input,
        web_searches: searches,
        ..UsageParts::default()
    };
    Usage {
        parts,
        reported_total: count("totalTokenCount").filter(|total| *total != prompt + output),
        extras: all.iter().filter(|(name, _)| !is_canonical(name)).map(owned).collect(),
        native: Some(Box::new(Value::Object(all))),
        ..Usage::from(Inclusive { prompt, cached, cache_write: Tokens::ZERO, completion: output })
    }
}

fn owned((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

/// Counts with a word of ours. The rest (`serviceTier`, `trafficType`, details of cache and tools)
/// is kept by its own name.
fn is_canonical(name: &str) -> bool {
    matches!(
        name,
        "promptTokenCount"
            | "candidatesTokenCount"
            | "thoughtsTokenCount"
            | "totalTokenCount"
            | "cachedContentTokenCount"
            | "toolUsePromptTokenCount"
            | "promptTokensDetails"
            | "candidatesTokensDetails"
    )
}

#[derive(Clone, Copy)]
enum Modality {
    Text,
    Image,
    Audio,
}

impl Modality {
    /// Old Vertex answers write enums as numbers.
    fn is(self, value: &Value) -> bool {
        let (word, number) = match self {
            Self::Text => ("TEXT", 1),
            Self::Image => ("IMAGE", 2),
            Self::Audio => ("AUDIO", 4),
        };
        value == word || value.as_u64() == Some(number)
    }
}

fn of_modality(all: &Map<String, Value>, details: &str, modality: Modality) -> Option<Tokens> {
    let mut details = all.get(details)?.as_array()?.iter();
    let found = details.find(|detail| detail.get("modality").is_some_and(|value| modality.is(value)))?;
    found.get("tokenCount")?.as_u64().map(Tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c6_thoughts_are_output_and_what_tools_brought_is_input() {
        let data = br#"{"usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":60,
            "candidatesTokenCount":10,"thoughtsTokenCount":30,"toolUsePromptTokenCount":5,"totalTokenCount":145,
            "promptTokensDetails":[{"modality":"TEXT","tokenCount":90},{"modality":"AUDIO","tokenCount":10}],
            "serviceTier":"standard"}}"#;
        let usage = of_bytes(data, None).expect("usage");
        assert_eq!((usage.fresh_input, usage.cache_read, usage.output), (Tokens(45), Tokens(60), Tokens(40)));
        assert_eq!(usage.parts.reasoning, Some(Tokens(30)));
        assert_eq!((usage.parts.tool_input, usage.parts.audio_input), (Some(Tokens(5)), Some(Tokens(10))));
        assert_eq!((usage.reported_total, usage.total()), (None, Tokens(145)));
        assert_eq!(usage.extras.get("serviceTier").and_then(Value::as_str), Some("standard"));
    }

    #[test]
    fn a_field_that_vanishes_later_still_holds_and_the_last_count_wins() {
        let first = of_bytes(br#"{"usageMetadata":{"promptTokenCount":7,"thoughtsTokenCount":3}}"#, None);
        let last =
            of_bytes(br#"{"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":2}}"#, first.as_ref());
        let last = last.expect("usage");
        assert_eq!(
            (last.fresh_input, last.output, last.parts.reasoning),
            (Tokens(8), Tokens(5), Some(Tokens(3)))
        );
    }

    #[test]
    fn a_tool_argument_of_the_same_name_is_not_usage() {
        let data = br#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f",
            "args":{"usageMetadata":{"promptTokenCount":9}}}}]}}]}"#;
        assert_eq!(of_bytes(data, None), None);
    }

    #[test]
    fn chunks_with_only_a_traffic_type_count_nothing() {
        let usage = of_bytes(br#"{"usageMetadata":{"trafficType":"ON_DEMAND"}}"#, None).expect("usage");
        assert_eq!((usage.total(), usage.parts.reasoning), (Tokens::ZERO, None));
    }

    #[test]
    fn an_array_of_chunks_is_one_answer() {
        let data = br#"[{"usageMetadata":{"promptTokenCount":7}},{"a":1},{"usageMetadata":{"candidatesTokenCount":2}}]"#;
        let usage = of_bytes(data, None).expect("usage");
        assert_eq!((usage.fresh_input, usage.output), (Tokens(7), Tokens(2)));
    }
}
