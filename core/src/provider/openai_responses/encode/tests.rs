use super::*;
use crate::provider;
use crate::surface::{
    RequestLine, Surface, anthropic_messages::MESSAGES, openai_chat::OpenAiChat,
    openai_responses::OpenAiResponses,
};
use crate::vendor;

struct Sent {
    body: Value,
    lost: Vec<String>,
}

fn sent(surface: &dyn Surface, model: &str, body: Value) -> Sent {
    let call = surface.parse(body.to_string().as_bytes(), &RequestLine::default()).unwrap();
    let target = Target { vendor: vendor::find("openai-responses").unwrap(), model };
    let Encoded { endpoint, body, lost } = provider::encode(&call, &target).unwrap();
    assert_eq!(endpoint.path, "/responses");
    Sent { body: serde_json::from_slice(&body).unwrap(), lost }
}

#[test]
fn a_chat_call_becomes_items_in_order() {
    let Sent { body, lost } = sent(
        &OpenAiChat,
        "gpt-4o",
        json!({"model": "m", "max_completion_tokens": 99, "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "https://x/i.png"}}]},
            {"role": "assistant", "content": "hm", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"b\": 1}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "done"},
        ], "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}}, "response_format": {"type": "json_object"}}),
    );
    assert_eq!(lost, Vec::<String>::new());
    assert_eq!(
        body["input"],
        json!([
            {"type": "message", "role": "system", "content": "be kind"},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "image_url": "https://x/i.png", "detail": "auto"}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hm"}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"b\": 1}"},
            {"type": "function_call_output", "call_id": "c1", "output": "done"},
        ])
    );
    // Unsaid, strict means yes here and no there.
    assert_eq!(
        body["tools"],
        json!([{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": false}])
    );
    assert_eq!(body["tool_choice"], json!({"type": "function", "name": "f"}));
    assert_eq!(body["text"], json!({"format": {"type": "json_object"}}));
    assert_eq!((&body["max_output_tokens"], &body["store"]), (&json!(99), &json!(false)));
}

#[test]
fn what_has_no_place_is_named_as_its_client_names_it() {
    let Sent { body, lost } = sent(
        &OpenAiChat,
        "gpt-5",
        json!({"model": "m", "messages": [{"role": "user", "content": "hi", "name": "ann"}], "stop": ["x"], "seed": 1,
            "temperature": 0.5, "frequency_penalty": 0, "presence_penalty": 1, "reasoning_effort": "low", "max_tokens": 3}),
    );
    assert_eq!(lost, ["messages[0].name", "temperature", "seed", "presence_penalty", "stop"]);
    assert_eq!(body["reasoning"], json!({"effort": "low"}));
    assert_eq!(body["include"], json!(["reasoning.encrypted_content"]));
    // A smaller one is refused.
    assert_eq!(body["max_output_tokens"], 16);
}

#[test]
fn more_than_one_answer_is_refused() {
    let body = json!({"model": "m", "n": 2, "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let call = OpenAiChat.parse(body.as_bytes(), &RequestLine::default()).unwrap();
    let target = Target { vendor: vendor::find("openai-responses").unwrap(), model: "m" };
    assert_eq!(provider::encode(&call, &target).unwrap_err().param.as_deref(), Some("n"));
}

#[test]
fn a_messages_call_keeps_its_system_and_a_failed_tools_words() {
    let Sent { body, lost } = sent(
        &MESSAGES,
        "gpt-4o",
        json!({"model": "m", "max_tokens": 50, "system": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "sig"}, {"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "broke", "is_error": true}, {"type": "text", "text": "so?"}]},
        ]}),
    );
    assert_eq!(lost, ["messages[1].content[0]"]);
    assert_eq!(body["instructions"], "a\n\nb");
    assert_eq!(
        body["input"],
        json!([
            {"type": "message", "role": "user", "content": "hi"},
            {"type": "function_call", "call_id": "t", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "t", "output": "{\"error\":\"broke\"}"},
            {"type": "message", "role": "user", "content": "so?"},
        ])
    );
}

#[test]
fn this_dialects_own_call_loses_nothing() {
    let Sent { body, lost } = sent(
        &OpenAiResponses,
        "m",
        json!({"model": "m", "instructions": "be kind", "truncation": "auto", "max_tool_calls": 3,
            "include": ["reasoning.encrypted_content", "web_search_call.action.sources"],
            "text": {"verbosity": "low"}, "reasoning": {"effort": "high", "summary": "detailed"},
            "tools": [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": {}, "strict": true}],
            "input": [{"role": "user", "content": "hi"},
                {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA"},
                {"type": "web_search_call", "id": "ws_1", "status": "completed"},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{ }"},
                {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "file_id": "file_1"}]}]}),
    );
    assert_eq!(lost, Vec::<String>::new());
    assert_eq!((&body["truncation"], &body["max_tool_calls"]), (&json!("auto"), &json!(3)));
    assert_eq!(body["include"], json!(["web_search_call.action.sources"]));
    assert_eq!(body["tools"][0], json!({"type": "web_search"}));
    assert_eq!(body["input"][1]["id"], "rs_1");
    assert_eq!(body["input"][1]["encrypted_content"], "gAAA");
    assert_eq!(body["input"][2]["type"], "web_search_call");
    assert_eq!(
        body["input"][4]["output"],
        json!([{"type": "input_image", "file_id": "file_1", "detail": "auto"}])
    );
}
