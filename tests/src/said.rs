//! What an answer says, read by a few readers that know nothing of the gateway's own code: one for
//! each dialect, as simple as can be. An answer that has been translated must say the same.

mod cousins; // Cohere and Ollama

pub use cousins::{cohere, ollama};

use serde_json::Value;

/// What an answer says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// Each of its answers, in the order of their numbers.
    pub choices: Vec<Choice>,
    /// Tokens of the prompt, cached ones included; absent where nobody says.
    pub prompt: Option<u64>,
    /// Of them, read from a cache.
    pub cached: Option<u64>,
    /// Tokens generated, reasoning included.
    pub output: Option<u64>,
    /// Whether it is an error, or ends in one.
    pub failed: bool,
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// What it says.
    pub text: String,
    /// What it thinks, as far as that can be read.
    pub thoughts: String,
    /// What proves its thoughts and sealed ones, in order.
    pub proofs: Vec<String>,
    /// The tools it asks for.
    pub calls: Vec<Call>,
    /// Whether the model itself declines, where a dialect has a word for that.
    pub refused: bool,
    /// Why it ended.
    pub end: End,
    /// Log probabilities of its tokens.
    pub logprobs: Vec<f64>,
}

/// A tool that is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Its arguments, read as JSON.
    pub arguments: Value,
}

/// Why an answer ended, in words that all dialects have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// Nobody said.
    #[default]
    Unsaid,
    /// It was done, or waits for tools: one dialect does not tell these apart.
    Done,
    /// It was too long.
    Length,
    /// A filter.
    Filter,
}

impl Said {
    fn choice(&mut self, index: u64) -> &mut Choice {
        let index = usize::try_from(index).unwrap_or_default();
        while self.choices.len() <= index {
            self.choices.push(Choice::default());
        }
        &mut self.choices[index]
    }

    /// Texts that hold JSON are calls' arguments in pieces until they are complete.
    fn finish(mut self, pieces: Vec<(u64, u64, String)>) -> Self {
        for (index, call, text) in pieces {
            let at = usize::try_from(call).unwrap_or_default();
            let parsed =
                if text.trim().is_empty() { Value::Object(Default::default()) } else { parsed(&text) };
            if let Some(call) = self.choice(index).calls.get_mut(at) {
                call.arguments = parsed;
            }
        }
        self
    }
}

/// Arguments that are no JSON stand for themselves.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// The JSON texts of an answer: the one it is, the elements of an array, or the data of its events.
pub fn texts(body: &[u8]) -> Vec<Value> {
    if let Ok(whole) = serde_json::from_slice::<Value>(body) {
        return match whole {
            Value::Array(list) => list,
            other => vec![other],
        };
    }
    let text = String::from_utf8_lossy(body);
    let data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

/// A piece of a list of pieces: joined to those of the same call.
fn add(pieces: &mut Vec<(u64, u64, String)>, choice: u64, call: u64, text: &str) {
    match pieces.iter_mut().find(|(at, number, _)| (*at, *number) == (choice, call)) {
        Some((_, _, whole)) => whole.push_str(text),
        None => pieces.push((choice, call, text.to_owned())),
    }
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// An answer of OpenAI's dialect.
pub fn openai(body: &[u8]) -> Said {
    let mut said = Said::default();
    let mut pieces = Vec::new();
    for chunk in texts(body) {
        said.failed |= chunk.get("error").is_some_and(|error| !error.is_null());
        for choice in list(&chunk["choices"]) {
            openai_choice(choice, &mut said, &mut pieces);
        }
        let own = [&chunk["usage"], &chunk["x_groq"]["usage"]].into_iter().find(|usage| usage.is_object());
        if let Some(usage) = own {
            said.prompt = usage["prompt_tokens"].as_u64().or(said.prompt);
            said.output = usage["completion_tokens"].as_u64().or(said.output);
            let details = &usage["prompt_tokens_details"]["cached_tokens"];
            let cached = details.as_u64().or(usage["num_cached_tokens"].as_u64());
            said.cached = cached.or(said.cached);
        }
    }
    said.finish(pieces)
}

fn openai_choice(choice: &Value, said: &mut Said, pieces: &mut Vec<(u64, u64, String)>) {
    let index = choice["index"].as_u64().unwrap_or_default();
    let told = if choice["message"].is_object() { &choice["message"] } else { &choice["delta"] };
    let one = said.choice(index);
    match &told["content"] {
        Value::Array(parts) => {
            for part in parts {
                one.text.push_str(string(&part["text"]));
                list(&part["thinking"])
                    .iter()
                    .for_each(|piece| one.thoughts.push_str(string(&piece["text"])));
            }
        }
        content => one.text.push_str(string(content)),
    }
    one.text.push_str(string(&told["refusal"]));
    one.refused |= told["refusal"].is_string();
    let reasoning =
        [&told["reasoning_content"], &told["reasoning"]].into_iter().find(|text| text.is_string());
    one.thoughts.push_str(reasoning.map(string).unwrap_or_default());
    for block in list(&told["thinking_blocks"]) {
        one.proofs.extend(
            [&block["signature"], &block["data"]].into_iter().filter_map(Value::as_str).map(str::to_owned),
        );
    }
    for (at, call) in list(&told["tool_calls"]).iter().enumerate() {
        let number = match call["index"].as_u64() {
            Some(number) => number,
            // Some name a new call by its id alone.
            None if call["function"]["name"].is_string() => one.calls.len() as u64,
            None => at as u64,
        };
        let known = usize::try_from(number).unwrap_or_default();
        if one.calls.len() <= known {
            one.calls.resize_with(known + 1, Call::default);
        }
        if let Some(name) = call["function"]["name"].as_str().filter(|_| one.calls[known].name.is_empty()) {
            one.calls[known].name = name.to_owned();
        }
        let piece = match &call["function"]["arguments"] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        add(pieces, index, number, &piece);
    }
    for token in list(&choice["logprobs"]["content"]) {
        one.logprobs.extend(token["logprob"].as_f64());
    }
    match choice["finish_reason"].as_str() {
        None => {}
        Some("length" | "model_length") => one.end = End::Length,
        Some("content_filter") => one.end = End::Filter,
        Some(_) => one.end = End::Done,
    }
}

/// An answer of Responses.
pub fn responses(body: &[u8]) -> Said {
    let mut said = Said::default();
    let mut pieces = Vec::new();
    let (mut calls, mut thought) = (Vec::new(), None);
    for event in texts(body) {
        let text = string(&event["delta"]);
        match event["type"].as_str().unwrap_or_default() {
            "" => {
                said.failed |= event["error"].is_object() || event["error"].is_string();
                list(&event["output"]).iter().for_each(|item| responses_item(item, &mut said));
                responses_end(&event, &mut said);
            }
            "error" | "response.failed" => said.failed = true,
            "response.output_text.delta" => {
                said.choice(0).text.push_str(text);
                responses_logprobs(&event["logprobs"], &mut said);
            }
            "response.refusal.delta" => {
                said.choice(0).text.push_str(text);
                said.choice(0).refused = true;
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                let part = (event["output_index"].as_u64(), event["summary_index"].as_u64());
                let between = thought.is_some_and(|(item, index)| item == part.0 && index != part.1);
                said.choice(0).thoughts.push_str(if between { "\n\n" } else { "" });
                said.choice(0).thoughts.push_str(text);
                thought = Some(part);
            }
            "response.output_item.added" if event["item"]["type"] == "function_call" => {
                calls.push(event["output_index"].as_u64());
                add(&mut pieces, 0, calls.len() as u64 - 1, "");
                let name = string(&event["item"]["name"]).to_owned();
                said.choice(0).calls.push(Call { name, arguments: Value::Null });
            }
            "response.function_call_arguments.delta" => {
                let call = calls.iter().position(|call| *call == event["output_index"].as_u64()).unwrap();
                add(&mut pieces, 0, call as u64, text);
            }
            "response.completed" | "response.incomplete" => responses_end(&event["response"], &mut said),
            _ => {}
        }
    }
    said.finish(pieces)
}

fn responses_item(item: &Value, said: &mut Said) {
    let one = said.choice(0);
    match item["type"].as_str() {
        Some("message") => {
            for part in list(&item["content"]) {
                one.text.push_str(string(&part["text"]));
                one.text.push_str(string(&part["refusal"]));
                one.refused |= part["refusal"].is_string();
            }
        }
        Some("reasoning") => {
            let readable = [&item["summary"], &item["content"]].into_iter().find(|all| !list(all).is_empty());
            let texts: Vec<_> =
                readable.map(list).unwrap_or_default().iter().map(|part| string(&part["text"])).collect();
            one.thoughts.push_str(&texts.join("\n\n"));
            one.proofs.extend(item["encrypted_content"].as_str().map(str::to_owned));
        }
        Some("function_call") => {
            let arguments = parsed(string(&item["arguments"]));
            one.calls.push(Call { name: string(&item["name"]).to_owned(), arguments });
        }
        _ => {}
    }
    for part in list(&item["content"]) {
        responses_logprobs(&part["logprobs"], said);
    }
}

fn responses_logprobs(tokens: &Value, said: &mut Said) {
    for token in list(tokens) {
        said.choice(0).logprobs.extend(token["logprob"].as_f64());
    }
}

fn responses_end(response: &Value, said: &mut Said) {
    said.choice(0).end =
        match (response["status"].as_str(), response["incomplete_details"]["reason"].as_str()) {
            (Some("incomplete"), Some("content_filter")) => End::Filter,
            (Some("incomplete"), _) => End::Length,
            _ => End::Done,
        };
    let usage = &response["usage"];
    said.prompt = usage["input_tokens"].as_u64();
    said.output = usage["output_tokens"].as_u64();
    said.cached = usage["input_tokens_details"]["cached_tokens"].as_u64();
}

/// An answer of Anthropic's dialect.
pub fn anthropic(body: &[u8]) -> Said {
    let mut said = Said::default();
    let mut pieces = Vec::new();
    let mut calls = Vec::new();
    for event in texts(body) {
        match event["type"].as_str() {
            Some("error") => said.failed = true,
            Some("message") => {
                list(&event["content"]).iter().for_each(|block| anthropic_block(block, &mut said));
                anthropic_end(&event, &event["usage"], &mut said);
            }
            Some("message_start") => anthropic_end(&event["message"], &event["message"]["usage"], &mut said),
            Some("message_delta") => anthropic_end(&event["delta"], &event["usage"], &mut said),
            Some("content_block_start") => {
                if event["content_block"]["type"] == "tool_use" {
                    calls.push(event["index"].as_u64());
                    add(&mut pieces, 0, calls.len() as u64 - 1, "");
                }
                anthropic_block(&event["content_block"], &mut said);
            }
            Some("content_block_delta") => {
                let (delta, one) = (&event["delta"], said.choice(0));
                one.text.push_str(string(&delta["text"]));
                one.thoughts.push_str(string(&delta["thinking"]));
                one.proofs.extend(delta["signature"].as_str().map(str::to_owned));
                if let Some(call) = calls.iter().position(|call| *call == event["index"].as_u64()) {
                    add(&mut pieces, 0, call as u64, string(&delta["partial_json"]));
                }
            }
            _ => {}
        }
    }
    said.finish(pieces)
}

fn anthropic_block(block: &Value, said: &mut Said) {
    let one = said.choice(0);
    one.text.push_str(string(&block["text"]));
    one.thoughts.push_str(string(&block["thinking"]));
    let proofs = [&block["signature"], &block["data"]].into_iter().filter_map(Value::as_str);
    one.proofs.extend(proofs.filter(|proof| !proof.is_empty()).map(str::to_owned));
    if block["type"] == "tool_use" {
        one.calls.push(Call { name: string(&block["name"]).to_owned(), arguments: block["input"].clone() });
    }
}

fn anthropic_end(told: &Value, usage: &Value, said: &mut Said) {
    match told["stop_reason"].as_str() {
        None => {}
        Some("max_tokens" | "model_context_window_exceeded") => said.choice(0).end = End::Length,
        Some("refusal") => said.choice(0).end = End::Filter,
        Some(_) => said.choice(0).end = End::Done,
    }
    let count = |key: &str| usage[key].as_u64();
    if let Some(fresh) = count("input_tokens") {
        let (read, write) = (count("cache_read_input_tokens"), count("cache_creation_input_tokens"));
        said.prompt = Some(fresh + read.unwrap_or(0) + write.unwrap_or(0));
        said.cached = read;
    }
    said.output = count("output_tokens").or(said.output);
}

/// An answer of Google's dialect.
pub fn gemini(body: &[u8]) -> Said {
    let mut said = Said::default();
    for chunk in texts(body) {
        said.failed |= chunk.get("error").is_some_and(|error| !error.is_null());
        for (at, candidate) in list(&chunk["candidates"]).iter().enumerate() {
            let index = candidate["index"].as_u64().unwrap_or(at as u64);
            gemini_candidate(candidate, said.choice(index));
        }
        if chunk["promptFeedback"]["blockReason"].is_string() {
            said.choice(0).end = End::Filter;
        }
        let usage = &chunk["usageMetadata"];
        let count = |key: &str| usage[key].as_u64();
        if let Some(prompt) = count("promptTokenCount") {
            said.prompt = Some(prompt + count("toolUsePromptTokenCount").unwrap_or(0));
            said.cached = count("cachedContentTokenCount").or(said.cached);
            let candidates = count("candidatesTokenCount").unwrap_or(0);
            said.output = Some(candidates + count("thoughtsTokenCount").unwrap_or(0));
        }
    }
    said
}

fn gemini_candidate(candidate: &Value, one: &mut Choice) {
    for part in list(&candidate["content"]["parts"]) {
        let text = string(&part["text"]);
        if part["thought"] == true {
            one.thoughts.push_str(text)
        } else {
            one.text.push_str(text)
        }
        one.proofs.extend(part["thoughtSignature"].as_str().map(str::to_owned));
        if let Some(call) = part.get("functionCall") {
            let arguments = call.get("args").cloned().unwrap_or_else(|| Value::Object(Default::default()));
            one.calls.push(Call { name: string(&call["name"]).to_owned(), arguments });
        }
    }
    for token in list(&candidate["logprobsResult"]["chosenCandidates"]) {
        one.logprobs.extend(token["logProbability"].as_f64());
    }
    match candidate["finishReason"].as_str() {
        None => {}
        Some("STOP" | "OTHER" | "MALFORMED_FUNCTION_CALL") => one.end = End::Done,
        Some("MAX_TOKENS") => one.end = End::Length,
        Some(_) => one.end = End::Filter,
    }
}

/// The messages of a binary stream: each one's name and JSON. What is no such stream has none.
pub fn messages(body: &[u8]) -> Vec<(String, Value)> {
    let mut messages = Vec::new();
    let mut rest = body;
    while let Some((message, after)) = message(rest) {
        messages.push(message);
        rest = after;
    }
    messages
}

fn message(bytes: &[u8]) -> Option<((String, Value), &[u8])> {
    let length = |at: usize| {
        let bytes: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_be_bytes(bytes)).ok()
    };
    let (whole, headers) = (length(0)?, length(4)?);
    let mut walk = bytes.get(12..12 + headers)?;
    let mut named = String::new();
    while let Some((length, rest)) = walk.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        // All that Bedrock sends are texts.
        let size = usize::from(u16::from_be_bytes([*rest.get(1)?, *rest.get(2)?]));
        let value = rest.get(3..3 + size)?;
        if matches!(name, b":event-type" | b":exception-type") {
            named = String::from_utf8(value.to_vec()).ok()?;
        }
        walk = rest.get(3 + size..)?;
    }
    let payload = bytes.get(12 + headers..whole.checked_sub(4)?)?;
    Some(((named, serde_json::from_slice(payload).unwrap_or_default()), bytes.get(whole..)?))
}

/// An answer of Bedrock's Converse, whole or as a binary stream.
pub fn bedrock(body: &[u8]) -> Said {
    let mut said = Said::default();
    if let Ok(whole) = serde_json::from_slice::<Value>(body) {
        said.failed = !whole["output"].is_object();
        list(&whole["output"]["message"]["content"]).iter().for_each(|block| bedrock_block(block, &mut said));
        bedrock_end(&whole, &mut said);
        return said;
    }
    let (mut pieces, mut calls) = (Vec::new(), Vec::new());
    for (name, data) in messages(body) {
        said.failed |= name.ends_with("Exception");
        let at = &data["contentBlockIndex"];
        if let Some(call) = data["start"].get("toolUse") {
            said.choice(0).calls.push(Call { name: string(&call["name"]).to_owned(), ..Call::default() });
            calls.push(at.clone());
            add(&mut pieces, 0, calls.len() as u64 - 1, "");
        }
        let delta = &data["delta"];
        if let Some(call) = calls.iter().position(|call| call == at) {
            add(&mut pieces, 0, call as u64, string(&delta["toolUse"]["input"]));
        }
        if delta.is_object() {
            let one = said.choice(0);
            one.text.push_str(string(&delta["text"]));
            let content = &delta["reasoningContent"];
            one.thoughts.push_str(string(&content["text"]));
            let proofs = [&content["signature"], &content["redactedContent"]].into_iter();
            one.proofs.extend(proofs.filter_map(Value::as_str).map(str::to_owned));
        }
        bedrock_end(&data, &mut said);
    }
    said.finish(pieces)
}

fn bedrock_block(block: &Value, said: &mut Said) {
    let one = said.choice(0);
    one.text.push_str(string(&block["text"]));
    list(&block["citationsContent"]["content"])
        .iter()
        .for_each(|piece| one.text.push_str(string(&piece["text"])));
    let thought = &block["reasoningContent"];
    one.thoughts.push_str(string(&thought["reasoningText"]["text"]));
    let proofs = [&thought["reasoningText"]["signature"], &thought["redactedContent"]].into_iter();
    one.proofs.extend(proofs.filter_map(Value::as_str).map(str::to_owned));
    if let Some(call) = block.get("toolUse") {
        one.calls.push(Call { name: string(&call["name"]).to_owned(), arguments: call["input"].clone() });
    }
}

fn bedrock_end(told: &Value, said: &mut Said) {
    match told["stopReason"].as_str() {
        None => {}
        Some("max_tokens" | "model_context_window_exceeded") => said.choice(0).end = End::Length,
        Some("content_filtered" | "guardrail_intervened") => said.choice(0).end = End::Filter,
        Some(_) => said.choice(0).end = End::Done,
    }
    let count = |key: &str| told["usage"][key].as_u64();
    if let Some(fresh) = count("inputTokens") {
        let (read, write) = (count("cacheReadInputTokens"), count("cacheWriteInputTokens"));
        said.prompt = Some(fresh + read.unwrap_or(0) + write.unwrap_or(0));
        said.cached = read;
        said.output = count("outputTokens");
    }
}
