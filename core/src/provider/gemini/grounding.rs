//! Searches behind an answer. They are billed, and stand in no count of the usage: only in what the
//! candidates are grounded on.
//!
//! Models before Gemini 3 are billed once for a prompt that was grounded, however many queries it
//! took; later ones for each query (<https://ai.google.dev/gemini-api/docs/pricing>). The answer
//! itself says which model it is.

use crate::units::Requests;
use memchr::memmem;
use serde_json::{Map, Value};

/// Searches that are billed for a chunk, a whole answer or an array of chunks; `None`, cheaply, where
/// there was none. Only what has the name of the field is parsed.
pub(super) fn of_bytes(data: &[u8]) -> Option<Requests> {
    memmem::find(data, b"\"webSearchQueries\"")?;
    match serde_json::from_slice(data).ok()? {
        Value::Object(chunk) => of_chunk(&chunk),
        Value::Array(chunks) => chunks.iter().filter_map(|chunk| of_chunk(chunk.as_object()?)).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// The same of a chunk that is parsed already.
pub(super) fn of_chunk(chunk: &Map<String, Value>) -> Option<Requests> {
    let queries = |candidate: &Value| {
        candidate.pointer("/groundingMetadata/webSearchQueries")?.as_array().map(Vec::len)
    };
    let queries = chunk.get("candidates")?.as_array()?.iter().filter_map(queries).sum();
    billed(chunk.get("modelVersion").and_then(Value::as_str), queries)
}

fn billed(model: Option<&str>, queries: usize) -> Option<Requests> {
    let by_prompt =
        model.is_some_and(|model| model.starts_with("gemini-1.") || model.starts_with("gemini-2."));
    let searches = if by_prompt { queries.min(1) } else { queries };
    u64::try_from(searches).ok().filter(|searches| *searches > 0).map(Requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(model: &str, queries: &str) -> Option<Requests> {
        let text = format!(
            r#"{{"modelVersion":"{model}","candidates":[{{"index":0}},{{"groundingMetadata":{{"webSearchQueries":{queries}}}}}]}}"#
        );
        let parsed: Map<String, Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(of_bytes(text.as_bytes()), of_chunk(&parsed));
        assert_eq!(of_bytes(format!("[{text},{{}}]").as_bytes()), of_chunk(&parsed));
        of_chunk(&parsed)
    }

    #[test]
    fn older_models_are_billed_by_the_grounded_prompt_and_newer_ones_by_the_query() {
        assert_eq!(chunk("gemini-2.5-flash", r#"["a","b"]"#), Some(Requests(1)));
        assert_eq!(chunk("gemini-3.1-pro-preview", r#"["a","b"]"#), Some(Requests(2)));
        assert_eq!(chunk("gemini-3.1-pro-preview", "[]"), None);
        assert_eq!(chunk("gemini-2.5-flash", "null"), None);
    }
}
