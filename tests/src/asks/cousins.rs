//! Readers of the dialects that no surface serves.

use super::{Asks, Calls, Piece, list, media, plain, string, text_of};
use serde_json::Value;

/// A request of Cohere's chat.
pub fn cohere(body: &Value) -> Asks {
    let mut asks = super::openai(body);
    let only = asks.tools.first().filter(|_| body["tool_choice"] == "REQUIRED");
    asks.forced = only.map(|tool| tool.name.clone());
    let schema = &body["response_format"]["json_schema"];
    asks.schema = schema.is_object().then(|| plain(schema));
    asks.thinks = body["thinking"]["type"] == "enabled";
    asks
}

/// A request of Ollama's own chat.
pub fn ollama(body: &Value) -> Asks {
    let mut asks = Asks::default();
    let mut calls = Calls::default();
    for message in list(&body["messages"]) {
        match string(&message["role"]) {
            "system" => asks.system.push_str(&text_of(&message["content"])),
            "tool" => asks.say(false, calls.result(&message["tool_name"], text_of(&message["content"]))),
            role => {
                let model = role == "assistant";
                let text = string(&message["content"]);
                if !text.is_empty() {
                    asks.say(model, Piece::Text(text.to_owned()));
                }
                for data in list(&message["images"]) {
                    asks.say(model, media(&format!("data:image/png;base64,{}", string(data))));
                }
                for call in list(&message["tool_calls"]) {
                    let function = &call["function"];
                    // Its calls go by their tools' names.
                    let call =
                        calls.call(&function["name"], &function["name"], function["arguments"].clone());
                    asks.say(model, call);
                }
            }
        }
    }
    list(&body["tools"]).iter().for_each(|tool| asks.tool(&tool["function"], "parameters"));
    asks.schema = body["format"].is_object().then(|| plain(&body["format"]));
    asks.thinks = body["think"] == true;
    asks.cap = body["options"]["num_predict"].as_u64();
    asks
}
