//! The end of a stream whose upstream is not waited for any longer.

use super::render;
use crate::surface::{Asked, SoFar};
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value, json};

/// Members of a chunk that say whose it is. A client may check that they do not change.
const HEAD: &[&str] = &["id", "object", "created", "model", "service_tier", "system_fingerprint", "provider"];

/// A chunk for each answer that is still open, with `finish_reason` `length`, and the end mark.
pub(super) fn frames(so_far: &SoFar<'_>, asked: &Asked) -> Bytes {
    let SoFar { content, finished, recent: _, output: _, choices } = so_far;
    let head = head(content, asked);
    let done: Vec<u64> = finished.iter().flat_map(|data| indexes(data)).collect();
    let mut out = BytesMut::new();
    // More answers than anybody offers are not worth a chunk each.
    for index in (0..(*choices).clamp(1, 128)).filter(|index| !done.contains(index)) {
        let mut chunk = head.clone();
        let choice = json!({"index": index, "delta": {}, "logprobs": null, "finish_reason": "length"});
        chunk.insert("choices".to_owned(), Value::Array(vec![choice]));
        out.put_slice(b"data: ");
        out.put_slice(Value::Object(chunk).to_string().as_bytes());
        out.put_slice(b"\n\n");
    }
    out.put_slice(b"data: [DONE]\n\n");
    out.freeze()
}

fn head(content: &[u8], asked: &Asked) -> Map<String, Value> {
    let seen: Map<String, Value> = serde_json::from_slice(content).unwrap_or_default();
    let mut head: Map<_, _> =
        HEAD.iter().filter_map(|key| Some(((*key).to_owned(), seen.get(*key)?.clone()))).collect();
    for (key, value) in [
        ("id", Value::from(render::answer_id(None, asked))),
        ("object", "chat.completion.chunk".into()),
        ("created", asked.now_secs.into()),
        ("model", asked.model.as_str().into()),
    ] {
        head.entry(key).or_insert(value);
    }
    head
}

/// The answers that a frame has ended.
fn indexes(data: &[u8]) -> Vec<u64> {
    let chunk: Value = serde_json::from_slice(data).unwrap_or_default();
    let choices = chunk.get("choices").and_then(Value::as_array).into_iter().flatten();
    let ended = choices.filter(|choice| choice.get("finish_reason").is_some_and(Value::is_string));
    ended.map(|choice| choice.get("index").and_then(Value::as_u64).unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::UsageChunk;
    use crate::framing::Framing;

    fn cut(content: &str, finished: &[&'static str], choices: u64) -> Vec<Value> {
        let finished: Vec<_> = finished.iter().map(|data| Bytes::from_static(data.as_bytes())).collect();
        let asked = Asked {
            client: crate::surface::Client::Usual,
            model: "m".to_owned(),
            request_id: "r".to_owned(),
            now_secs: 7,
            usage: UsageChunk::Wanted,
            framing: Framing::Events,
            body: Default::default(),
        };
        let so_far = SoFar {
            content: content.as_bytes(),
            finished: &finished,
            recent: &[],
            output: crate::units::Tokens::ZERO,
            choices,
        };
        let bytes = frames(&so_far, &asked);
        let text = std::str::from_utf8(&bytes).unwrap().strip_suffix("data: [DONE]\n\n").unwrap();
        text.split_terminator("\n\n").map(|frame| serde_json::from_str(&frame[6..]).unwrap()).collect()
    }

    #[test]
    fn the_last_chunk_belongs_to_the_same_answer_as_those_before() {
        let last = r#"{"id":"c1","object":"chat.completion.chunk","created":5,"model":"gpt-4o-2024","system_fingerprint":"fp","obfuscation":"x","choices":[{"index":0,"delta":{"content":"a"}}]}"#;
        let chunks = cut(last, &[], 1);
        assert_eq!(
            chunks,
            [
                json!({"id":"c1","object":"chat.completion.chunk","created":5,"model":"gpt-4o-2024","system_fingerprint":"fp",
                "choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]})
            ]
        );
    }

    #[test]
    fn only_answers_that_are_open_are_ended() {
        let chunks = cut("no json", &[r#"{"choices":[{"index":1,"finish_reason":"stop"}]}"#], 3);
        let ended: Vec<_> =
            chunks.iter().map(|chunk| chunk["choices"][0]["index"].as_u64().unwrap()).collect();
        assert_eq!(ended, [0, 2]);
        assert_eq!((&chunks[0]["model"], &chunks[0]["created"]), (&"m".into(), &7.into()));
    }
}
