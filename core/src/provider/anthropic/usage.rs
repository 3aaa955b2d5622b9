//! Token counts. The dialect counts exclusively: `input_tokens` contains no cached tokens.
//!
//! In a stream `message_start` carries the input counts and a placeholder for the output, and
//! `message_delta` the final counts, sometimes with corrected input (server tools). So a later count
//! replaces an earlier one and is never added to it; what is absent or null later stays as it was.

use crate::call::Extras;
use crate::units::{Requests, Tokens};
use crate::usage::{Exclusive, Usage};
use memchr::memmem;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The usage in a whole answer or a frame, put over what came before. `None` if there is none.
pub(in crate::provider) fn find(data: &[u8], earlier: Option<&Usage>) -> Option<Usage> {
    /// Whatever else stands in the text is skipped without being built.
    #[derive(Deserialize)]
    struct Carrier {
        usage: Option<Map<String, Value>>,
        message: Option<Inner>,
    }
    #[derive(Deserialize)]
    struct Inner {
        usage: Option<Map<String, Value>>,
    }
    memmem::find(data, b"\"usage\"")?;
    let Carrier { usage, message } = serde_json::from_slice(data).ok()?;
    let latest = usage.or_else(|| message.and_then(|message| message.usage))?;
    Some(read(merge(earlier, latest)))
}

/// The native counts so far with the latest put over them.
pub(in crate::provider) fn merge(earlier: Option<&Usage>, latest: Map<String, Value>) -> Map<String, Value> {
    let earlier = earlier.and_then(|usage| usage.native.as_deref()).and_then(Value::as_object);
    let Some(mut merged) = earlier.cloned() else { return latest };
    for (key, value) in latest {
        if !value.is_null() {
            merged.insert(key, value);
        }
    }
    merged
}

/// Reads the native counts.
pub(in crate::provider) fn read(native: Map<String, Value>) -> Usage {
    let count = |path: &[&str]| tokens(&native, path);
    let hour = count(&["cache_creation", "ephemeral_1h_input_tokens"]);
    let five = count(&["cache_creation", "ephemeral_5m_input_tokens"]);
    // The split may be older than the total, so the total decides where both are there.
    let (cache_write_5m, cache_write_1h) = match count(&["cache_creation_input_tokens"]) {
        Some(total) => {
            let hour = hour.unwrap_or_default().min(total);
            (total.less(hour), hour)
        }
        None => (five.unwrap_or_default(), hour.unwrap_or_default()),
    };
    let mut usage = Usage::from(Exclusive {
        input: count(&["input_tokens"]).unwrap_or_default(),
        cache_read: count(&["cache_read_input_tokens"]).unwrap_or_default(),
        cache_write_5m,
        cache_write_1h,
        output: count(&["output_tokens"]).unwrap_or_default(),
    });
    usage.parts.reasoning = count(&["output_tokens_details", "thinking_tokens"]);
    usage.parts.web_searches =
        count(&["server_tool_use", "web_search_requests"]).map(|searches| Requests(searches.get()));
    usage.extras = extras(&native);
    usage.native = Some(Box::new(Value::Object(native)));
    usage
}

/// Counts that have a word of their own in [`Usage`].
const KNOWN: &[&str] = &[
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
    "output_tokens_details",
];

fn extras(native: &Map<String, Value>) -> Extras {
    let rest = native.iter().filter(|(key, value)| !value.is_null() && !KNOWN.contains(&key.as_str()));
    rest.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn tokens(native: &Map<String, Value>, path: &[&str]) -> Option<Tokens> {
    let (first, rest) = path.split_first()?;
    let found = rest.iter().try_fold(native.get(*first)?, |value, key| value.get(*key))?;
    found.as_u64().map(Tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &[u8] =
        br#"{"type":"message_start","message":{"id":"msg_1","content":[],"usage":{"input_tokens":10,
        "cache_creation_input_tokens":30,"cache_read_input_tokens":7,
        "cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},
        "output_tokens":28,"service_tier":"standard","inference_geo":"eu"}}}"#;

    #[test]
    fn cache_writes_are_split_by_their_life_and_nothing_overlaps() {
        let usage = find(START, None).unwrap();
        assert_eq!(usage.fresh_input, Tokens(10));
        assert_eq!(usage.cache_read, Tokens(7));
        assert_eq!((usage.cache_write_5m, usage.cache_write_1h), (Tokens(10), Tokens(20)));
        assert_eq!(usage.prompt(), Tokens(47));
        assert_eq!(usage.extras.get("service_tier"), Some(&Value::from("standard")));
        assert_eq!(usage.extras.get("inference_geo"), Some(&Value::from("eu")));
        assert_eq!(usage.extras.len(), 2);
    }

    #[test]
    fn the_final_counts_replace_the_first_ones_and_are_not_added() {
        let first = find(START, None).unwrap();
        let delta = br#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},
            "usage":{"input_tokens":0,"output_tokens":5,"cache_read_input_tokens":null,
            "output_tokens_details":{"thinking_tokens":3},"server_tool_use":{"web_search_requests":2}}}"#;
        let last = find(delta, Some(&first)).unwrap();
        assert_eq!(last.fresh_input, Tokens::ZERO, "an explicit zero stays zero");
        assert_eq!(last.cache_read, Tokens(7), "null says nothing");
        assert_eq!(last.output, Tokens(5));
        assert_eq!(last.parts.reasoning, Some(Tokens(3)));
        assert_eq!(last.parts.web_searches, Some(Requests(2)));
    }

    #[test]
    fn a_total_without_a_split_is_a_five_minute_write() {
        let usage =
            find(br#"{"usage":{"input_tokens":1,"cache_creation_input_tokens":9,"output_tokens":1}}"#, None);
        assert_eq!(usage.unwrap().cache_write_5m, Tokens(9));
    }

    #[test]
    fn text_that_talks_about_usage_is_not_usage() {
        let data = br#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"{\"usage\":{}}"}}"#;
        assert_eq!(find(data, None), None);
        assert_eq!(find(b"\"usage\" is a word", None), None);
    }
}
