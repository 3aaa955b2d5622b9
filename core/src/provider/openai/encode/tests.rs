use crate::call::{
    Call, Document, DocumentBody, Image, MediaSource, Message, Part, Role, Signature, Text, Thinking,
    ToolCall, ToolResult,
};
use crate::dialect::Dialect;
use crate::provider::{Provider, Target, openai::OpenAi};
use crate::surface::{RequestLine, Surface, openai_chat::OpenAiChat};
use crate::vendor;
use serde_json::{Value, json};

fn call(body: Value) -> Call {
    OpenAiChat.parse(body.to_string().as_bytes(), &RequestLine::default()).unwrap()
}

struct Sent {
    body: Value,
    lost: Vec<String>,
}

fn sent(call: &Call, vendor: &str) -> Sent {
    let target = Target { vendor: vendor::find(vendor).unwrap(), model: "up" };
    let encoded = OpenAi.encode(call, &target).unwrap();
    Sent { body: serde_json::from_slice(&encoded.body).unwrap(), lost: encoded.lost }
}

fn foreign(parts: Vec<Part>, role: Role) -> Call {
    let mut call = call(json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}));
    call.origin = Dialect::Anthropic;
    call.messages.push(Message { role, name: None, parts, extras: Default::default() });
    call
}

#[test]
fn each_vendor_gets_its_own_words() {
    let all = call(json!({
        "model": "m", "max_tokens": 5, "seed": 1, "tool_choice": "required", "stream": true,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "messages": [{"role": "developer", "content": "d"}, {"role": "user", "name": "n", "content": "hi"}],
    }));
    let openai = sent(&all, "openai").body;
    assert_eq!(
        (&openai["max_completion_tokens"], &openai["messages"][0]["role"]),
        (&json!(5), &json!("developer"))
    );
    assert_eq!(openai["stream_options"], json!({"include_usage": true}));
    let mistral = sent(&all, "mistral").body;
    assert_eq!(
        (&mistral["max_tokens"], &mistral["random_seed"], &mistral["tool_choice"]),
        (&json!(5), &json!(1), &json!("any"))
    );
    assert_eq!((mistral.get("stream_options"), &mistral["messages"][0]["role"]), (None, &json!("system")));
    let groq = sent(&all, "groq");
    assert_eq!(
        (groq.body["messages"][1].get("name"), groq.lost),
        (None, vec!["messages[1].name".to_owned()])
    );
}

#[test]
fn perplexity_gets_alternating_turns() {
    let doubled = call(
        json!({"model": "m", "messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}),
    );
    let body = sent(&doubled, "perplexity").body;
    assert_eq!(
        body["messages"],
        json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}])
    );
}

#[test]
fn a_tools_picture_follows_its_result_as_the_users() {
    let image = Part::Image(Image {
        source: MediaSource::Inline { media_type: "image/png".into(), data: "QUJD".into() },
        detail: None,
        cache: None,
    });
    let result = ToolResult {
        call_id: "a".into(),
        name: None,
        parts: vec![Part::Text(Text::new("no")), image],
        failed: Some(true),
        cache: None,
    };
    let body = sent(&foreign(vec![Part::ToolResult(result)], Role::Tool), "openai").body;
    assert_eq!(
        body["messages"][1],
        json!({"role": "tool", "tool_call_id": "a", "content": "{\"error\":\"no\"}"})
    );
    assert_eq!(body["messages"][2]["content"][0]["image_url"]["url"], "data:image/png;base64,QUJD");
}

#[test]
fn calls_of_turns_that_follow_each_other_stand_together_before_their_results() {
    let tool = |id: &str| {
        let name = "f".to_owned();
        Part::ToolCall(ToolCall { id: id.into(), name, arguments: "{}".into(), signature: None, cache: None })
    };
    let mut call = foreign(vec![Part::Text(Text::new("look")), tool("a")], Role::Assistant);
    let extras = call.messages[0].extras.clone();
    let parts = vec![Part::Text(Text::new("and")), tool("b")];
    call.messages.push(Message { role: Role::Assistant, name: None, parts, extras });
    // Perplexity wants turns to alternate, whatever is in them.
    for vendor in ["openai", "perplexity"] {
        let body = sent(&call, vendor).body;
        let last = body["messages"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(last["tool_calls"].as_array().unwrap().len(), 2, "{vendor}: {body}");
        assert_eq!(last["content"].as_array().unwrap().len(), 2, "{vendor}: {body}");
    }
}

#[test]
fn what_cannot_be_carried_is_named() {
    let signature = Some(Signature { origin: Dialect::Anthropic, value: "s".into() });
    let thinking = Part::Thinking(Thinking { text: "hm".into(), signature, sealed: None });
    let media = MediaSource::File { id: "f".into(), media_type: None, origin: Dialect::Anthropic };
    let document = Document {
        body: DocumentBody::Media(media),
        title: None,
        about: Some("a".into()),
        citations: None,
        cache: None,
    };
    let mut call =
        foreign(vec![thinking, Part::Document(document), Part::Text(Text::new("yes"))], Role::Assistant);
    call.sampling.top_k = Some(3.into());
    call.extras.insert("container".into(), json!("c"));
    let sent = sent(&call, "openai");
    assert_eq!(
        sent.lost,
        [
            "messages[1].content[0]",
            "messages[1].content[1].context",
            "messages[1].content[1]",
            "top_k",
            "container"
        ]
    );
    assert_eq!(sent.body["messages"][1], json!({"role": "assistant", "content": "yes"}));
}

#[test]
fn openrouter_gets_its_own_proofs_back_and_nobody_else_does() {
    let proof = |value: &str| Some(Signature { origin: Dialect::OpenAi, value: value.to_owned() });
    let (signed, sealed) =
        (json!({"type": "reasoning.text", "signature": "SIG"}), json!({"data": "ENC", "id": "c"}));
    let signature = proof(&signed.to_string());
    let thoughts = vec![
        Part::Thinking(Thinking { text: "hm".into(), signature, sealed: None }),
        Part::Thinking(Thinking { sealed: proof(&sealed.to_string()), ..Thinking::default() }),
        Part::Text(Text::new("yes")),
    ];
    let call = foreign(thoughts, Role::Assistant);
    let back = sent(&call, "openrouter");
    let turn = &back.body["messages"][1];
    assert_eq!((&turn["reasoning"], &turn["content"], back.lost), (&json!("hm"), &json!("yes"), vec![]));
    let whole = json!({"type": "reasoning.text", "signature": "SIG", "text": "hm"});
    assert_eq!(turn["reasoning_details"], json!([whole, sealed]));
    let other = sent(&call, "cerebras");
    assert_eq!((other.body["messages"][1].get("reasoning_details"), other.lost.len()), (None, 2));
}

#[test]
fn thinking_is_asked_for_as_each_vendor_understands() {
    let ask = |vendor: &str, reasoning: Value| {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(reasoning.as_object().unwrap().clone());
        sent(&call(body), vendor).body
    };
    let budget = || json!({"reasoning": {"max_tokens": 4000}});
    assert_eq!(ask("openai", budget())["reasoning_effort"], "medium");
    assert_eq!(ask("openrouter", budget())["reasoning"], json!({"max_tokens": 4000}));
    assert_eq!(
        ask("alibaba", json!({"thinking": {"type": "enabled", "budget_tokens": 9}}))["thinking_budget"],
        9
    );
    assert_eq!(
        ask("deepseek", json!({"thinking": {"type": "disabled"}}))["thinking"],
        json!({"type": "disabled"})
    );
}

#[test]
fn k14_cache_marks_stay_wherever_they_stood() {
    let mark = json!({"type": "ephemeral", "ttl": "1h"});
    let body = json!({
        "model": "m", "cache_control": mark,
        "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": mark}],
        "messages": [{"role": "system", "content": [{"type": "text", "text": "s", "cache_control": mark}]}, {"role": "user", "content": "hi"}],
    });
    let encoded = sent(&call(body.clone()), "openrouter").body;
    for path in ["/cache_control", "/tools/0/cache_control", "/messages/0/content/0/cache_control"] {
        assert_eq!(encoded.pointer(path), body.pointer(path), "{path}");
    }
}

/// What is sent, and what is lost, of a Messages request.
fn of_messages(model: &str, more: &Value) -> (Value, Vec<String>) {
    let mut body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let line = crate::surface::RequestLine::default();
    let call =
        crate::surface::anthropic_messages::MESSAGES.parse(body.to_string().as_bytes(), &line).unwrap();
    let target = Target { vendor: crate::vendor::find("openai").unwrap(), model };
    let encoded = crate::provider::encode(&call, &target).unwrap();
    (serde_json::from_slice(&encoded.body).unwrap(), encoded.lost)
}

#[test]
fn settings_of_another_dialect_that_a_model_refuses_are_lost_by_name() {
    let settings = json!({
        "temperature": 0.5, "top_p": 1, "stop_sequences": ["a"], "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"}, "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
    });
    let (sent, lost) = of_messages("gpt-5.4", &settings);
    assert_eq!(
        (&sent["reasoning_effort"], sent.get("temperature"), sent.get("stop")),
        (&"low".into(), None, None)
    );
    assert_eq!(sent.get("parallel_tool_calls"), None, "there are no tools");
    assert_eq!(lost, ["temperature", "stop_sequences"]);
    let (sent, lost) = of_messages("gpt-4o", &settings);
    assert_eq!(
        (sent.get("reasoning_effort"), &sent["temperature"], &sent["stop"]),
        (None, &json!(0.5), &json!(["a"]))
    );
    assert_eq!(lost, ["thinking"]);
}

#[test]
fn five_stop_texts_and_a_long_user_are_more_than_the_dialect_takes() {
    let user = "user_".repeat(30);
    let settings = json!({"stop_sequences": ["a", "b", "c", "d", "e"], "metadata": {"user_id": user}});
    let (sent, lost) = of_messages("gpt-4o", &settings);
    assert_eq!((&sent["stop"], lost), (&json!(["a", "b", "c", "d"]), vec!["stop_sequences".to_owned()]));
    assert_eq!(sent["user"].as_str().map(str::len), Some(64));
}

#[test]
fn results_of_one_turn_become_messages_before_what_the_user_says() {
    let picture =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}});
    let (sent, lost) = of_messages(
        "gpt-4o",
        &json!({"system": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}], "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "a", "name": "f", "input": {}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {"x": 1}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "b", "is_error": true, "content": "no"},
                {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "yes"}, picture]},
                {"type": "text", "text": "and?"}]},
            {"role": "system", "content": "later"},
        ]}),
    );
    let roles: Vec<_> = sent["messages"].as_array().unwrap().iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool", "user", "system"]);
    assert_eq!(sent["messages"][3]["content"], r#"{"error":"no"}"#);
    assert_eq!(sent["messages"][4]["content"], "yes");
    assert_eq!(sent["messages"][5]["content"][0]["type"], "image_url");
    assert_eq!(sent["messages"][5]["content"][1]["text"], "and?");
    assert_eq!(sent["messages"][2]["tool_calls"][1]["function"]["arguments"], r#"{"x":1}"#);
    assert!(lost.is_empty(), "{lost:?}");
}
