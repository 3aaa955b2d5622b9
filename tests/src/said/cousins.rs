//! Readers of the dialects that no surface serves.

use super::{Call, End, Said, add, list, string, texts};
use serde_json::Value;

/// An answer of Cohere's chat.
pub fn cohere(body: &[u8]) -> Said {
    let mut said = Said::default();
    let mut pieces = Vec::new();
    for told in texts(body) {
        let piece = if told["delta"].is_object() { &told["delta"] } else { &told };
        said.failed |= told["type"].is_null() && !told["message"].is_object();
        let message = &piece["message"];
        let one = said.choice(0);
        one.thoughts.push_str(string(&message["tool_plan"]));
        let content = &message["content"];
        for block in content.as_array().map_or(std::slice::from_ref(content), Vec::as_slice) {
            one.text.push_str(string(&block["text"]));
            one.thoughts.push_str(string(&block["thinking"]));
        }
        let calls = &message["tool_calls"];
        let calls = calls.as_array().map_or(std::slice::from_ref(calls), Vec::as_slice);
        for (at, call) in calls.iter().enumerate().filter(|(_, call)| call.is_object()) {
            let at = told["index"].as_u64().unwrap_or(at as u64);
            if let Some(name) = call["function"]["name"].as_str() {
                one.calls.push(Call { name: name.to_owned(), ..Call::default() });
            }
            add(&mut pieces, 0, at, string(&call["function"]["arguments"]));
        }
        match piece["finish_reason"].as_str() {
            None => {}
            Some("MAX_TOKENS") => one.end = End::Length,
            Some("ERROR_TOXIC") => one.end = End::Filter,
            Some("ERROR" | "TIMEOUT") => said.failed = true,
            Some(_) => one.end = End::Done,
        }
        let billed = &piece["usage"]["billed_units"];
        said.prompt = billed["input_tokens"].as_u64().or(said.prompt);
        said.output = billed["output_tokens"].as_u64().or(said.output);
    }
    said.finish(pieces)
}

/// An answer of Ollama's own chat: an object, or one in each line.
pub fn ollama(body: &[u8]) -> Said {
    let mut said = Said::default();
    for told in serde_json::Deserializer::from_slice(body).into_iter::<Value>().map_while(Result::ok) {
        said.failed |= told.get("error").is_some();
        let (message, one) = (&told["message"], said.choice(0));
        one.text.push_str(string(&message["content"]));
        one.thoughts.push_str(string(&message["thinking"]));
        let call = |call: &Value| Call {
            name: string(&call["function"]["name"]).to_owned(),
            arguments: call["function"]["arguments"].clone(),
        };
        one.calls.extend(list(&message["tool_calls"]).iter().map(call));
        one.logprobs.extend(list(&told["logprobs"]).iter().filter_map(|token| token["logprob"].as_f64()));
        if told["done"] == true {
            one.end = if told["done_reason"] == "length" { End::Length } else { End::Done };
            said.prompt = told["prompt_eval_count"].as_u64();
            said.output = told["eval_count"].as_u64();
        }
    }
    said
}
