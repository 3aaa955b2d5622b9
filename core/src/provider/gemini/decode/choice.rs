//! One candidate of an answer.

use super::{elements, opaque};
use crate::call::{Audio, Extras, Image, MediaSource, Opaque, Part, Signature};
use crate::dialect::Dialect;
use crate::reply::{Event, Level, Stop};
use serde_json::{Map, Value, json};

/// A candidate's state while its chunks come.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) index: u32,
    pub(super) stop: Option<Stop>,
    calls: u32,
    /// Its text so far, which grounding points into.
    said: String,
}

impl Choice {
    pub(super) fn new(index: u32) -> Self {
        Self { index, stop: None, calls: 0, said: String::new() }
    }

    /// `STOP` is said for tool calls too; other reasons stand.
    pub(super) fn stopped(&self) -> Option<Event> {
        let stop = match &self.stop {
            Some(Stop::End) if self.calls > 0 => Stop::ToolUse,
            stop => stop.clone()?,
        };
        Some(Event::Stop { choice: self.index, stop, sequence: None })
    }

    pub(super) fn read(&mut self, candidate: &Value, response_id: Option<&str>, out: &mut Vec<Event>) {
        let Some(candidate) = candidate.as_object() else { return };
        let before = out.len();
        for part in elements(candidate.get("content").and_then(|content| content.get("parts"))) {
            self.part(part, response_id, out);
        }
        let pages = candidate.get("groundingMetadata").map(|grounding| pages(grounding, &self.said));
        if let Some(pages) = pages.filter(|pages| !pages.is_empty()) {
            let citation = Opaque { origin: Dialect::Gemini, value: Value::Array(pages) };
            // With the words, before what proves them.
            let of_text = out.iter().rposition(|event| matches!(event, Event::Text { .. }));
            let at = of_text.map_or(before, |at| at + 1).max(before);
            out.insert(at, Event::Citation { choice: self.index, citation, chars: 0 });
        }
        if let Some(logprobs) = candidate.get("logprobsResult").and_then(logprobs) {
            out.push(Event::LogProbs { choice: self.index, logprobs });
        }
        let fields = kept(candidate);
        if !fields.is_empty() {
            out.push(Event::Extras { level: Level::Choice(self.index), fields });
        }
        if let Some(stop) = candidate.get("finishReason").and_then(stop) {
            self.stop = Some(stop);
        }
    }

    fn part(&mut self, part: &Value, response_id: Option<&str>, out: &mut Vec<Event>) {
        let choice = self.index;
        let signature = signature(part);
        let thought = part.get("thought").and_then(Value::as_bool) == Some(true);
        if let Some(call) = part.get("functionCall").and_then(Value::as_object) {
            return self.call(call, signature, response_id, out);
        }
        if let Some(text) = part.get("text").and_then(Value::as_str) {
            let text = text.to_owned();
            match (thought, text.is_empty()) {
                (_, true) => {}
                (true, false) => out.push(Event::Thinking { choice, text }),
                (false, false) => {
                    self.said.push_str(&text);
                    out.push(Event::Text { choice, text });
                }
            }
            out.extend(signature.map(|signature| match thought {
                true => Event::ThinkingSignature { choice, signature },
                false => Event::TextSignature { choice, signature },
            }));
            return;
        }
        match generated(part).filter(|_| !thought) {
            Some(media) => {
                out.push(Event::Part { choice, part: media });
                // Media have no place for a signature; it follows on an empty text.
                out.extend(signature.map(|signature| Event::TextSignature { choice, signature }));
            }
            // Kept whole, its signature included: code, its result, server tools, draft images.
            None => out.push(Event::Part { choice, part: opaque(part) }),
        }
    }

    fn call(
        &mut self,
        call: &Map<String, Value>,
        signature: Option<Signature>,
        response_id: Option<&str>,
        out: &mut Vec<Event>,
    ) {
        let (choice, number) = (self.index, self.calls);
        self.calls += 1;
        let name = call.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let given = call.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
        let id = given.unwrap_or_else(|| invented(response_id, choice, number, &name));
        let text = match call.get("args") {
            Some(args) if !args.is_null() => args.to_string(),
            Some(_) | None => "{}".to_owned(),
        };
        out.push(Event::ToolStart { choice, call: number, id, name, signature });
        out.push(Event::ToolArguments { choice, call: number, text });
    }
}

/// An id for a call without one, equal each time the same answer is read. Its beginning tells the
/// encoder that the provider does not know it.
fn invented(response_id: Option<&str>, choice: u32, number: u32, name: &str) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let of_choice = if choice == 0 { String::new() } else { format!("{choice}_") };
    match response_id {
        // Clients and other providers take up to 40 characters.
        Some(id) => {
            let id = id.chars().take(24).map(clean).collect::<String>();
            format!("call_{id}_{of_choice}{number}")
        }
        None => {
            let name = name.chars().take(24).map(clean).collect::<String>();
            format!("call_{of_choice}{number}_{name}")
        }
    }
}

fn signature(part: &Value) -> Option<Signature> {
    let value = part.get("thoughtSignature").and_then(Value::as_str).filter(|value| !value.is_empty())?;
    Some(Signature { origin: Dialect::Gemini, value: value.to_owned() })
}

/// A picture or sound that the model made.
fn generated(part: &Value) -> Option<Part> {
    let data = part.get("inlineData")?;
    let media_type = data.get("mimeType").and_then(Value::as_str)?.to_ascii_lowercase();
    let bytes = data.get("data").and_then(Value::as_str)?.to_owned();
    let source = MediaSource::Inline { media_type: media_type.clone(), data: bytes };
    if media_type.starts_with("image/") {
        Some(Part::Image(Image { source, detail: None, cache: None }))
    } else if media_type.starts_with("audio/") {
        Some(Part::Audio(Audio { source: Some(source), id: None, transcript: None, expires_at: None }))
    } else {
        None
    }
}

/// The pages that words of the answer are grounded on, with where these stand in characters. Google
/// counts bytes, of a part.
fn pages(grounding: &Value, said: &str) -> Vec<Value> {
    let chunks = grounding.get("groundingChunks").and_then(Value::as_array);
    let mut pages = Vec::new();
    for support in elements(grounding.get("groundingSupports")) {
        let Some(segment) = support.get("segment") else { continue };
        let Some(text) = segment.get("text").and_then(Value::as_str) else { continue };
        let told = segment.get("startIndex").and_then(Value::as_u64).unwrap_or(0);
        let told = usize::try_from(told).unwrap_or(usize::MAX);
        let is_there = said.get(told..).is_some_and(|rest| rest.starts_with(text));
        let Some(start) = is_there.then_some(told).or_else(|| said.find(text)) else { continue };
        let start = said.get(..start).map_or(0, |before| before.chars().count());
        let end = start + text.chars().count();
        for at in elements(support.get("groundingChunkIndices")).filter_map(Value::as_u64) {
            let chunk = usize::try_from(at).ok().and_then(|at| chunks?.get(at)?.as_object()?.values().next());
            let Some(url) = chunk.and_then(|chunk| chunk.get("uri")) else { continue };
            let title = chunk.and_then(|chunk| chunk.get("title"));
            pages.push(json!({"url": url, "title": title, "start_index": start, "end_index": end}));
        }
    }
    pages
}

/// Candidate fields without a canonical word, by their own names.
fn kept(candidate: &Map<String, Value>) -> Extras {
    const KNOWN: [&str; 5] = ["content", "index", "finishReason", "logprobsResult", "tokenCount"];
    let unknown =
        candidate.iter().filter(|(name, value)| !KNOWN.contains(&name.as_str()) && !value.is_null());
    unknown.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Why a candidate ended; `None` for the word that says nothing.
fn stop(reason: &Value) -> Option<Stop> {
    let word = match (reason.as_str(), reason.as_u64()) {
        (Some(word), _) => word,
        (None, Some(number)) => numbered(number),
        (None, None) => return None,
    };
    Some(match word {
        "" | "FINISH_REASON_UNSPECIFIED" => return None,
        "STOP" => Stop::End,
        "MAX_TOKENS" => Stop::Length,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "LANGUAGE"
        | "MODEL_ARMOR" => Stop::Filtered,
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE" => Stop::Malformed,
        other => Stop::Other(other.to_owned()),
    })
}

/// Vertex's older JSON writes the enum's number.
fn numbered(number: u64) -> &'static str {
    match number {
        0 => "FINISH_REASON_UNSPECIFIED",
        1 => "STOP",
        2 => "MAX_TOKENS",
        3 => "SAFETY",
        4 => "RECITATION",
        6 => "BLOCKLIST",
        7 => "PROHIBITED_CONTENT",
        8 => "SPII",
        9 => "MALFORMED_FUNCTION_CALL",
        10 => "MODEL_ARMOR",
        11 => "IMAGE_SAFETY",
        12 => "IMAGE_PROHIBITED_CONTENT",
        13 => "IMAGE_RECITATION",
        15 => "UNEXPECTED_TOOL_CALL",
        16 => "NO_IMAGE",
        _ => "OTHER",
    }
}

/// `logprobsResult` in OpenAI's form.
fn logprobs(result: &Value) -> Option<Value> {
    let chosen = result.get("chosenCandidates").and_then(Value::as_array)?;
    let mut tops = elements(result.get("topCandidates"));
    let content = chosen.iter().map(|token| {
        let top = tops.next().and_then(|top| top.get("candidates"));
        let mut entry = entry(token);
        if let Some(entry) = entry.as_object_mut() {
            let top = elements(top).map(self::entry).collect();
            entry.insert("top_logprobs".to_owned(), Value::Array(top));
        }
        entry
    });
    Some(json!({"content": content.collect::<Vec<_>>(), "refusal": null}))
}

fn entry(token: &Value) -> Value {
    let text = token.get("token").and_then(Value::as_str).unwrap_or_default();
    // A certain token has probability zero in logs, which this JSON leaves out.
    let logprob = token.get("logProbability").cloned().unwrap_or_else(|| json!(0.0));
    json!({"token": text, "logprob": logprob, "bytes": text.as_bytes()})
}
