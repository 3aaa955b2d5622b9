//! Token counts. The dialect counts exclusively: `inputTokens` contains no cached tokens.
//!
//! InvokeModel reports in the words of the model's maker; a stream of it ends in the same words for
//! every model (`amazon-bedrock-invocationMetrics`).

use super::invoke;
use crate::call::Extras;
use crate::provider::anthropic;
use crate::units::Tokens;
use crate::usage::{Exclusive, Usage};
use memchr::memmem;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The usage in a whole answer or in a frame. `None` if there is none.
pub(super) fn find(data: &[u8], earlier: Option<&Usage>) -> Option<Usage> {
    if let Some(inner) = invoke::chunk(data) {
        return of_invoke(&inner, earlier);
    }
    /// Whatever else stands in the text is skipped without being built.
    #[derive(Deserialize)]
    struct Carrier {
        usage: Option<Map<String, Value>>,
        #[serde(rename = "serviceTier")]
        tier: Option<Tier>,
    }
    #[derive(Deserialize)]
    struct Tier {
        #[serde(rename = "type")]
        kind: Option<Box<str>>,
    }
    if memmem::find(data, b"\"usage\"").is_none() {
        return of_invoke(data, earlier);
    }
    let Carrier { usage, tier } = serde_json::from_slice(data).ok()?;
    match usage {
        Some(counts) if counts.contains_key("inputTokens") || counts.contains_key("outputTokens") => {
            Some(Usage { service_tier: tier.and_then(|tier| tier.kind), ..read(counts) })
        }
        Some(_) | None => of_invoke(data, earlier),
    }
}

/// Reads the native counts.
pub(super) fn read(native: Map<String, Value>) -> Usage {
    let count = |key: &str| native.get(key).and_then(Value::as_u64).map(Tokens);
    let details = native.get("cacheDetails").and_then(Value::as_array).into_iter().flatten();
    let hour: Tokens = details
        .filter(|detail| detail.get("ttl").is_some_and(|ttl| ttl == "1h"))
        .filter_map(|detail| detail.get("inputTokens")?.as_u64().map(Tokens))
        .sum();
    let written = count("cacheWriteInputTokens").or_else(|| count("cacheWriteInputTokenCount"));
    let written = written.unwrap_or_default();
    let hour = hour.min(written);
    let mut usage = Usage::from(Exclusive {
        input: count("inputTokens").unwrap_or_default(),
        cache_read: count("cacheReadInputTokens")
            .or_else(|| count("cacheReadInputTokenCount"))
            .unwrap_or_default(),
        cache_write_5m: written.less(hour),
        cache_write_1h: hour,
        output: count("outputTokens").unwrap_or_default(),
    });
    usage.reported_total = count("totalTokens").filter(|total| *total != usage.total());
    usage.extras = extras(&native);
    usage.native = Some(Box::new(Value::Object(native)));
    usage
}

/// Counts that have a word of their own in [`Usage`], or say one again.
const KNOWN: &[&str] = &[
    "inputTokens",
    "outputTokens",
    "totalTokens",
    "cacheReadInputTokens",
    "cacheReadInputTokenCount",
    "cacheWriteInputTokens",
    "cacheWriteInputTokenCount",
    "cacheDetails",
];

fn extras(native: &Map<String, Value>) -> Extras {
    let says = |value: &Value| !value.is_null() && value.as_object().is_none_or(|fields| !fields.is_empty());
    let rest = native.iter().filter(|(key, value)| says(value) && !KNOWN.contains(&key.as_str()));
    rest.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The usage in an answer of InvokeModel, or in one event of its stream.
fn of_invoke(data: &[u8], earlier: Option<&Usage>) -> Option<Usage> {
    if let Some(usage) = anthropic::usage::find(data, earlier) {
        return Some(usage);
    }
    // What a stream reports at its end is less than what Anthropic's events have told before.
    if earlier.is_some() {
        return None;
    }
    const METRICS: [(&str, &str); 3] = [
        ("inputTokenCount", "outputTokenCount"),
        ("prompt_token_count", "generation_token_count"),
        ("inputTextTokenCount", "tokenCount"),
    ];
    METRICS.iter().find(|(input, _)| memmem::find(data, input.as_bytes()).is_some())?;
    let answer: Map<String, Value> = serde_json::from_slice(data).ok()?;
    let metrics = answer.get("amazon-bedrock-invocationMetrics").and_then(Value::as_object);
    let fields = metrics.unwrap_or(&answer);
    METRICS.iter().find_map(|(input, output)| {
        let input = fields.get(*input)?.as_u64().map(Tokens)?;
        let results = fields.get("results").and_then(Value::as_array).into_iter().flatten();
        let written: Tokens = results.filter_map(|one| one.get(*output)?.as_u64().map(Tokens)).sum();
        let output = fields.get(*output).and_then(Value::as_u64).map_or(written, Tokens);
        Some(Usage::from(Exclusive { input, output, ..Exclusive::default() }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    fn counts(usage: &Usage) -> [u64; 5] {
        [usage.fresh_input, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h, usage.output]
            .map(Tokens::get)
    }

    #[test]
    fn cached_tokens_are_apart_and_written_ones_split_by_their_life() {
        let body =
            br#"{"usage":{"inputTokens":2,"outputTokens":5,"totalTokens":1329,"cacheReadInputTokens":10,
            "cacheWriteInputTokens":1312,"cacheWriteInputTokenCount":1312,"serverToolUsage":{},
            "cacheDetails":[{"ttl":"1h","inputTokens":1000},{"ttl":"5m","inputTokens":312}]},
            "serviceTier":{"type":"flex"}}"#;
        let usage = find(body, None).unwrap();
        assert_eq!(counts(&usage), [2, 10, 312, 1000, 5]);
        assert_eq!((usage.reported_total, usage.total()), (None, Tokens(1329)));
        assert_eq!(usage.service_tier.as_deref(), Some("flex"));
        assert!(usage.extras.is_empty(), "{:?}", usage.extras);
    }

    #[test]
    fn what_invoke_tells_is_found_in_each_makers_words() {
        let chunk = |json: &str| format!(r#"{{"bytes":"{}","p":"abc"}}"#, STANDARD.encode(json)).into_bytes();
        let metrics = r#"{"outputText":"","amazon-bedrock-invocationMetrics":{"inputTokenCount":25,"outputTokenCount":4}}"#;
        assert_eq!(counts(&find(&chunk(metrics), None).unwrap()), [25, 0, 0, 0, 4]);
        let claude = r#"{"type":"message_start","message":{"usage":{"input_tokens":9,"output_tokens":1,"cache_read_input_tokens":3}}}"#;
        let first = find(&chunk(claude), None).unwrap();
        assert_eq!(counts(&first), [9, 3, 0, 0, 1]);
        assert_eq!(find(&chunk(metrics), Some(&first)), None, "not counted twice");
        let llama = br#"{"generation":"hi","prompt_token_count":7,"generation_token_count":3}"#;
        assert_eq!(counts(&find(llama, None).unwrap()), [7, 0, 0, 0, 3]);
        let titan = br#"{"inputTextTokenCount":6,"results":[{"tokenCount":2,"outputText":"hi"}]}"#;
        assert_eq!(counts(&find(titan, None).unwrap()), [6, 0, 0, 0, 2]);
        assert_eq!(find(br#"{"delta":{"text":"\"usage\": 5"}}"#, None), None);
    }
}
