//! What a response consumed.

use crate::provider::{openai, scan};
use crate::units::Requests;
use crate::usage::Usage;
use crate::vendor::Quirks;
use memchr::memmem;

/// The usage in a whole response, or in the event that ends one. Reasoning is within the output with
/// every vendor, whatever its chat counts, so that quirks of chat do not hold.
pub(super) fn find(data: &[u8]) -> Option<Usage> {
    let mut usage = openai::usage::find(data, &Quirks::NONE)?;
    usage.parts.web_searches = usage.parts.web_searches.or_else(|| searches(data));
    Some(usage)
}

/// Searches that are billed apart: as the provider counts them, else one for each item that is one.
fn searches(data: &[u8]) -> Option<Requests> {
    let told = counted(data).filter(|count| *count > 0);
    let count =
        told.or_else(|| u64::try_from(memmem::find_iter(data, b"\"web_search_call\"").count()).ok())?;
    (count > 0).then_some(Requests(count))
}

/// `tool_usage.web_search.num_requests`.
fn counted(data: &[u8]) -> Option<u64> {
    const KEY: &[u8] = b"\"tool_usage\"";
    let value = scan::value_after_key(data, memmem::find(data, KEY)? + KEY.len())?;
    let member = |object: usize, key: &[u8]| {
        scan::members(data, object).find(|member| member.key == key).map(|member| member.value)
    };
    let number = member(member(value, b"web_search")?, b"num_requests")?;
    std::str::from_utf8(data.get(number..scan::skip_value(data, number)?)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Tokens;

    #[test]
    fn counts_are_inclusive_and_searches_are_counted_once() {
        let usage = find(
            br#"{"type":"response.completed","response":{"service_tier":"flex","tool_usage":{"image_gen":{"input_tokens":9},"web_search":{"num_requests":2}},
            "output":[{"type":"web_search_call"}],"usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":60,"cache_write_tokens":10},
            "output_tokens":20,"output_tokens_details":{"reasoning_tokens":5},"total_tokens":120}}}"#,
        )
        .unwrap();
        assert_eq!(
            (usage.fresh_input, usage.cache_read, usage.cache_write_5m),
            (Tokens(30), Tokens(60), Tokens(10))
        );
        assert_eq!((usage.output, usage.parts.reasoning), (Tokens(20), Some(Tokens(5))));
        assert_eq!(
            (usage.parts.web_searches, usage.service_tier.as_deref()),
            (Some(Requests(2)), Some("flex"))
        );
        assert_eq!((usage.reported_total, usage.extras.len()), (None, 0));
        let items = br#"{"output":[{"type":"web_search_call"},{"type":"web_search_call"}],"tool_usage":{"web_search":{"num_requests":0}},"usage":{"input_tokens":1,"output_tokens":1}}"#;
        assert_eq!(find(items).unwrap().parts.web_searches, Some(Requests(2)));
        assert_eq!(find(br#"{"type":"response.created","response":{"usage":null}}"#), None);
    }
}
