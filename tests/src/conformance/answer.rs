//! What an answer says, on whichever surface it came.

use crate::http::{Answer, Ended};
use crate::said::messages;
use serde_json::{Value, json};

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With its surface's end mark, and nothing after it.
    Done,
    /// With its surface's error event as the last one, or cut on the wire.
    Broken,
    /// As if all were well, without the end mark: what must never be.
    Silent,
}

/// The events of a stream that have come as a whole, as data. Of a binary message it is an object with
/// one member, by the message's name.
pub fn events(body: &[u8]) -> Vec<String> {
    // Their length comes first, and is less than 2^24.
    if body.first() == Some(&0) {
        return messages(body).into_iter().map(|(name, data)| json!({ name: data }).to_string()).collect();
    }
    let text = String::from_utf8_lossy(body).replace("\r\n", "\n");
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
    let frames = whole.split("\n\n");
    frames.filter_map(data).collect()
}

fn data(frame: &str) -> Option<String> {
    let lines = frame.lines().filter_map(|line| line.strip_prefix("data:"));
    let lines: Vec<_> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The events that are JSON, parsed.
pub fn parsed(answer: &Answer) -> Vec<Value> {
    events(&answer.body).iter().filter_map(|event| serde_json::from_str(event).ok()).collect()
}

/// The text of the answer: the first choice or candidate, without thinking.
pub fn said(answer: &Answer) -> String {
    let whole = answer.json();
    let pieces = match &whole {
        Value::Null => parsed(answer),
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    };
    pieces.iter().map(text_of).collect()
}

fn text_of(piece: &Value) -> String {
    let choice = &piece["choices"][0];
    let openai = [&choice["message"]["content"], &choice["delta"]["content"], &choice["text"]];
    let anthropic = piece["content"].as_array().into_iter().flatten().map(|block| &block["text"]);
    let delta = &piece["delta"]["text"];
    let gemini = piece["candidates"][0]["content"]["parts"].as_array();
    let gemini =
        gemini.into_iter().flatten().filter(|part| part["thought"] != true).map(|part| &part["text"]);
    let items = piece["output"].as_array().into_iter().flatten();
    let parts = items.filter_map(|item| item["content"].as_array()).flatten().map(|part| &part["text"]);
    let spoken = (piece["type"] == "response.output_text.delta").then_some(&piece["delta"]);
    let bedrock = piece["output"]["message"]["content"].as_array();
    let bedrock = bedrock.into_iter().flatten().map(|block| &block["text"]);
    let bedrock = bedrock.chain([&piece["contentBlockDelta"]["delta"]["text"]]);
    let texts = openai
        .into_iter()
        .chain(anthropic)
        .chain([delta])
        .chain(gemini)
        .chain(parts)
        .chain(spoken)
        .chain(bedrock);
    texts.filter_map(Value::as_str).collect()
}

/// How the stream ended.
pub fn end(answer: &Answer) -> End {
    let all = events(&answer.body);
    let last = all.last().map_or("", String::as_str);
    let parsed: Value = serde_json::from_str(last).unwrap_or_default();
    let marked = last == "[DONE]"
        || parsed["type"] == "message_stop"
        || parsed["type"] == "response.completed"
        || parsed["type"] == "response.incomplete"
        || parsed["type"] == "image_generation.completed"
        || parsed["type"] == "transcript.text.done"
        || parsed["type"] == "speech.audio.done"
        || parsed["candidates"][0]["finishReason"].is_string()
        || parsed["metadata"].is_object();
    let excepted =
        parsed.as_object().is_some_and(|fields| fields.keys().any(|name| name.ends_with("Exception")));
    if answer.ended == Ended::Whole && marked {
        End::Done
    } else if answer.ended == Ended::Cut || !parsed["error"].is_null() || excepted {
        End::Broken
    } else {
        End::Silent
    }
}

/// The error of the body, or of the stream's last event.
pub fn error(answer: &Answer) -> Value {
    let whole = answer.json()["error"].clone();
    if whole.is_null() {
        parsed(answer).last().map_or(Value::Null, |last| last["error"].clone())
    } else {
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(body: &str, ended: Ended) -> Answer {
        Answer { status: 200, headers: Vec::new(), body: body.into(), ended }
    }

    #[test]
    fn an_event_counts_when_all_of_it_is_there() {
        assert_eq!(events(b"data: a\n\ndata: b\n").len(), 1);
        assert_eq!(events(b": beat\r\n\r\nevent: x\r\ndata: a\r\n\r\n"), ["a"]);
    }

    #[test]
    fn an_end_is_clean_only_with_the_mark() {
        let frames = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n";
        let done = format!("{frames}data: [DONE]\n\n");
        assert_eq!(end(&stream(&done, Ended::Whole)), End::Done);
        assert_eq!(end(&stream(frames, Ended::Whole)), End::Silent);
        assert_eq!(end(&stream(frames, Ended::Cut)), End::Broken);
        let broken = format!("{frames}data: {{\"error\":{{}}}}\n\n");
        assert_eq!(end(&stream(&broken, Ended::Whole)), End::Broken);
        assert_eq!(said(&stream(&done, Ended::Whole)), "a");
    }
}
