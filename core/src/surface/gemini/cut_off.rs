//! The end of a stream whose upstream is not waited for any longer.

use super::frame::Frames;
use crate::surface::{Asked, Begun, SoFar};
use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value, json};

/// Members of a chunk that say whose it is.
const HEAD: &[&str] = &["modelVersion", "responseId", "createTime"];

/// A chunk for each answer that is still open, with `finishReason` `MAX_TOKENS`.
pub(super) fn frames(so_far: &SoFar<'_>, asked: &Asked) -> Bytes {
    let SoFar { content, recent, finished, choices, output: _ } = so_far;
    let mut head = head(content, asked);
    // What was told last is all that is known of the prompt.
    head.extend(recent.iter().rev().find_map(|data| usage(data)));
    let done: Vec<u64> = finished.iter().flat_map(|data| indexes(data)).collect();
    let (mut frames, mut out) = (Frames::after(asked.framing, Begun::Yes), BytesMut::new());
    // More answers than anybody offers are not worth a chunk each.
    for index in (0..(*choices).clamp(1, 128)).filter(|index| !done.contains(index)) {
        let content = json!({"parts": [{"text": ""}], "role": "model"});
        let candidate = json!({"content": content, "finishReason": "MAX_TOKENS", "index": index});
        let mut chunk = Map::from_iter([("candidates".to_owned(), json!([candidate]))]);
        chunk.extend(head.clone());
        frames.put(&Value::Object(chunk), &mut out);
    }
    frames.close(&mut out);
    out.freeze()
}

fn usage(data: &[u8]) -> Option<(String, Value)> {
    let chunk: Map<String, Value> = serde_json::from_slice(data).ok()?;
    let usage = chunk.get("usageMetadata")?.clone();
    Some(("usageMetadata".to_owned(), usage))
}

fn head(content: &[u8], asked: &Asked) -> Map<String, Value> {
    let seen: Map<String, Value> = serde_json::from_slice(content).unwrap_or_default();
    let known = HEAD.iter().filter_map(|key| Some(((*key).to_owned(), seen.get(*key)?.clone())));
    let mut head: Map<_, _> = known.collect();
    for (key, value) in [("modelVersion", &asked.model), ("responseId", &asked.request_id)] {
        head.entry(key).or_insert_with(|| value.as_str().into());
    }
    head
}

/// The answers that a frame has ended.
fn indexes(data: &[u8]) -> Vec<u64> {
    let chunk: Value = serde_json::from_slice(data).unwrap_or_default();
    let candidates = chunk.get("candidates").and_then(Value::as_array).into_iter().flatten();
    let ended = candidates.filter(|candidate| candidate.get("finishReason").is_some());
    ended.map(|candidate| candidate.get("index").and_then(Value::as_u64).unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::UsageChunk;
    use crate::framing::Framing;
    use crate::units::Tokens;

    fn cut(finished: &[&'static str], choices: u64, framing: Framing) -> Bytes {
        let finished: Vec<_> = finished.iter().map(|data| Bytes::from_static(data.as_bytes())).collect();
        let asked = Asked {
            client: crate::surface::Client::Usual,
            model: "m".to_owned(),
            request_id: "r".to_owned(),
            now_secs: 7,
            usage: UsageChunk::Wanted,
            framing,
            body: Default::default(),
        };
        let content = br#"{"candidates":[],"modelVersion":"gemini-x","responseId":"id"}"#;
        let recent = [Bytes::from_static(br#"{"usageMetadata":{"promptTokenCount":4}}"#)];
        frames(&SoFar { content, recent: &recent, finished: &finished, choices, output: Tokens(5) }, &asked)
    }

    #[test]
    fn each_open_answer_stops_for_its_length() {
        let bytes = cut(&[r#"{"candidates":[{"index":1,"finishReason":"STOP"}]}"#], 3, Framing::Events);
        let text = std::str::from_utf8(&bytes).unwrap();
        let chunks: Vec<Value> = text
            .split_terminator("\r\n\r\n")
            .map(|frame| serde_json::from_str(&frame[6..]).unwrap())
            .collect();
        let ended: Vec<_> =
            chunks.iter().map(|chunk| chunk["candidates"][0]["index"].as_u64().unwrap()).collect();
        assert_eq!(ended, [0, 2]);
        assert_eq!(chunks[0]["candidates"][0]["finishReason"], "MAX_TOKENS");
        assert_eq!(chunks[0]["usageMetadata"]["promptTokenCount"], 4);
        assert_eq!(
            (&chunks[0]["modelVersion"], &chunks[0]["responseId"]),
            (&json!("gemini-x"), &json!("id"))
        );
    }

    #[test]
    fn an_array_is_closed() {
        let text = [b"[{}", &cut(&[], 1, Framing::Array)[..]].concat();
        let list: Vec<Value> = serde_json::from_slice(&text).unwrap();
        assert_eq!(list[1]["candidates"][0]["finishReason"], "MAX_TOKENS");
    }
}
