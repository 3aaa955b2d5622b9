use crate::call::Call;
use crate::fault::UpstreamClass;
use crate::framing::{Framer, Framing};
use crate::provider::{self, Encoded, Target};
use crate::reply::{Assembler, Event, Reply, Stop};
use crate::surface::{RequestLine, Surface as _, anthropic_messages, openai_chat::OpenAiChat};
use crate::units::Tokens;
use crate::vendor;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

const COHERE: (&str, &str) = ("cohere", "command-a-03-2025");
const OLLAMA: (&str, &str) = ("ollama-native", "llama3.1");

fn target((kind, model): (&str, &'static str)) -> Target<'static> {
    Target { vendor: vendor::find(kind).unwrap(), model }
}

fn encoded(to: (&str, &'static str), call: &Call) -> (Value, Vec<String>, String) {
    let Encoded { endpoint, body, lost } = provider::encode(call, &target(to)).unwrap();
    (serde_json::from_slice(&body).unwrap(), lost, endpoint.path.into_owned())
}

fn chat(body: &Value) -> Call {
    OpenAiChat.parse(body.to_string().as_bytes(), &RequestLine::default()).unwrap()
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}, "strict": true}})
}

fn conversation() -> Value {
    json!({
        "model": "m", "max_completion_tokens": 100, "temperature": 0.5, "top_p": 1, "top_k": 3, "stop": ["x"],
        "seed": 7, "n": 1, "logit_bias": {"5": 1}, "user": "u", "parallel_tool_calls": false, "stream": true,
        "stream_options": {"include_usage": true},
        "tools": [tool("look"), tool("find")],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "name": "ann", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]},
            {"role": "assistant", "content": null, "reasoning_content": "I look.", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"a\": 1}"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        ],
    })
}

#[test]
fn a_call_is_written_in_coheres_words() {
    let (body, lost, path) = encoded(COHERE, &chat(&conversation()));
    assert_eq!(path, "/chat");
    let schema = json!({"type": "object"});
    let expected = json!({
        "model": "command-a-03-2025", "max_tokens": 100, "temperature": 0.5, "p": 0.99, "k": 3,
        "stop_sequences": ["x"], "seed": 7, "stream": true, "strict_tools": true, "tool_choice": "REQUIRED",
        "tools": [{"type": "function", "function": {"name": "look", "parameters": schema}}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]},
            {"role": "assistant", "tool_plan": "I look.", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"a\": 1}"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        ],
    });
    assert_eq!(body, expected);
    let expected = ["messages[1].name", "parallel_tool_calls", "logit_bias", "user"];
    assert_eq!(lost, expected);
}

#[test]
fn a_call_is_written_in_ollamas_words() {
    let (body, lost, path) = encoded(OLLAMA, &chat(&conversation()));
    assert_eq!(path, "/chat");
    let options = json!({
        "num_predict": 100, "temperature": 0.5, "top_p": 1, "top_k": 3, "seed": 7, "stop": ["x"],
    });
    assert_eq!(body["options"], options);
    assert_eq!(body["stream"], true);
    let messages = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is this?", "images": ["AAAA"]},
        {"role": "assistant", "content": "", "thinking": "I look.", "tool_calls": [
            {"type": "function", "function": {"name": "look", "arguments": {"a": 1}}},
        ]},
        {"role": "tool", "tool_name": "look", "content": "a cat"},
    ]);
    assert_eq!(body["messages"], messages);
    assert!(lost.contains(&"tool_choice".to_owned()), "{lost:?}");
    assert_eq!(body["tools"].as_array().unwrap().len(), 1, "the one that must be called");
    assert!(body.get("tool_choice").is_none());
    let (body, lost, _) = encoded(
        OLLAMA,
        &chat(&json!({
            "model": "m", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": "high",
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        })),
    );
    assert_eq!(
        (&body["think"], &body["format"], &body["stream"]),
        (&json!(true), &json!({"type": "object"}), &json!(false))
    );
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn media_they_do_not_take_are_refused_by_name() {
    let with = |part: Value| {
        chat(
            &json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, part]}]}),
        )
    };
    let sound = json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}});
    let file = json!({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}});
    let far = json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}});
    for (to, part) in [(COHERE, &sound), (COHERE, &file), (OLLAMA, &sound), (OLLAMA, &file), (OLLAMA, &far)] {
        let fault = provider::encode(&with(part.clone()), &target(to)).unwrap_err();
        assert_eq!((fault.status(), fault.param.as_deref()), (400, Some("messages[0].content[1]")), "{part}");
    }
    assert!(provider::encode(&with(far), &target(COHERE)).is_ok());
}

#[test]
fn arguments_that_are_no_object_are_refused_for_ollama_and_verbatim_for_cohere() {
    let mut body = conversation();
    body["messages"][2]["tool_calls"][0]["function"]["arguments"] = json!("{oops");
    let fault = provider::encode(&chat(&body), &target(OLLAMA)).unwrap_err();
    assert_eq!(fault.status(), 400);
    assert!(!fault.message.contains("oops"));
    let (sent, ..) = encoded(COHERE, &chat(&body));
    assert_eq!(sent["messages"][2]["tool_calls"][0]["function"]["arguments"], "{oops");
}

#[test]
fn thinking_is_asked_for_and_sent_back_as_each_model_takes_it() {
    let body = json!({
        "model": "m", "max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 1500},
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": ""}, {"type": "text", "text": "Yes?"}]},
            {"role": "user", "content": "go on"},
        ],
    });
    let call =
        anthropic_messages::MESSAGES.parse(body.to_string().as_bytes(), &RequestLine::default()).unwrap();
    let (sent, ..) = encoded(("cohere", "command-a-reasoning-08-2025"), &call);
    assert_eq!(sent["thinking"], json!({"type": "enabled", "token_budget": 1500}));
    assert_eq!(
        sent["messages"][1]["content"],
        json!([
        {"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes?"}])
    );
    let (sent, lost, _) = encoded(
        ("ollama-native", "gpt-oss:20b"),
        &chat(&json!({
        "model": "m", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": "minimal"})),
    );
    assert_eq!((&sent["think"], lost.len()), (&json!("low"), 0));
    let (sent, ..) = encoded(
        OLLAMA,
        &chat(&json!({
        "model": "m", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": "none"})),
    );
    assert_eq!(sent["think"], false);
}

#[test]
fn what_a_client_adds_of_the_providers_own_is_kept() {
    let body = json!({
        "model": "m", "messages": [{"role": "user", "content": "hi"}], "safety_mode": "STRICT",
        "documents": [{"data": {"text": "d"}}], "keep_alive": "5m", "options": {"num_ctx": 9}, "max_tokens": 5,
    });
    let (sent, lost, _) = encoded(COHERE, &chat(&body));
    assert_eq!(
        (&sent["safety_mode"], &sent["documents"][0]["data"]["text"]),
        (&json!("STRICT"), &json!("d"))
    );
    assert_eq!(lost, ["keep_alive", "options"]);
    let (sent, lost, _) = encoded(OLLAMA, &chat(&body));
    assert_eq!(
        (&sent["keep_alive"], &sent["options"]),
        (&json!("5m"), &json!({"num_ctx": 9, "num_predict": 5}))
    );
    assert_eq!(lost, ["safety_mode", "documents"]);
}

fn decoded(from: (&str, &'static str), framing: Framing, text: &str) -> Vec<Event> {
    let (target, mut events) = (target(from), Vec::new());
    for size in [1, text.len()] {
        let mut again = Vec::new();
        let (mut framer, mut frames) = (Framer::new(framing), Vec::new());
        for piece in text.as_bytes().chunks(size) {
            framer.push(Bytes::copy_from_slice(piece), &mut frames).unwrap();
        }
        frames.extend(framer.finish());
        let mut decoder = provider::of(target.vendor.dialect).decoder(&target);
        frames.iter().for_each(|frame| decoder.on(frame, &mut again));
        decoder.on_end(&mut again);
        assert!(events.is_empty() || events == again, "cut at every byte it says the same");
        events = again;
    }
    events
}

fn assembled(events: Vec<Event>) -> Reply {
    let mut assembler = Assembler::default();
    events.into_iter().for_each(|event| assembler.on(event));
    assembler.finish().unwrap().unwrap()
}

fn whole(from: (&str, &'static str), body: &Value) -> Reply {
    let target = target(from);
    provider::of(target.vendor.dialect).decode(body.to_string().as_bytes(), &target).unwrap()
}

#[test]
fn an_answer_of_coheres_says_the_same_whole_and_streamed() {
    let cited = json!({"start": 0, "end": 2, "text": "It", "sources": []});
    let call = json!({"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let usage = json!({"billed_units": {"input_tokens": 5, "output_tokens": 3},
        "tokens": {"input_tokens": 500, "output_tokens": 30}, "cached_tokens": 400});
    let reply = whole(
        COHERE,
        &json!({"id": "a", "finish_reason": "TOOL_CALL", "usage": usage, "message": {
        "role": "assistant", "tool_plan": "I look.", "citations": [cited], "tool_calls": [call],
        "content": [{"type": "text", "text": "It is."}]}}),
    );
    let mut text = String::new();
    let mut say = |kind: &str, rest: Value| {
        let mut event = json!({"type": kind});
        event.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        text.push_str(&format!("event: {kind}\ndata: {event}\n\n"));
    };
    let message = |message: Value| json!({"index": 0, "delta": {"message": message}});
    say("message-start", json!({"id": "a", "delta": {"message": {"role": "assistant", "content": []}}}));
    say("tool-plan-delta", message(json!({"tool_plan": "I look."})));
    say("content-start", message(json!({"content": {"type": "text", "text": ""}})));
    say("content-delta", message(json!({"content": {"text": "It is."}})));
    say("citation-start", message(json!({"citations": cited})));
    say("citation-end", json!({"index": 0}));
    say("content-end", json!({"index": 0}));
    let mut begun = call.clone();
    begun["function"]["arguments"] = json!(null);
    say("tool-call-start", message(json!({"tool_calls": begun})));
    say("tool-call-delta", message(json!({"tool_calls": {"function": {"arguments": "{}"}}})));
    say("tool-call-end", json!({"index": 0}));
    say("message-end", json!({"delta": {"finish_reason": "TOOL_CALL", "usage": usage}}));
    let streamed = assembled(decoded(COHERE, Framing::Events, &format!("{text}data: [DONE]\n\n")));
    assert_eq!(assembled(decoded(COHERE, Framing::Events, &text)), streamed, "the end mark may be missing");
    assert_eq!(streamed, reply);
    let usage = reply.usage.unwrap();
    assert_eq!(
        (usage.prompt(), usage.cache_read, usage.output),
        (Tokens(5), Tokens(0), Tokens(3)),
        "as billed"
    );
    assert_eq!(reply.choices[0].stop, Some(Stop::ToolUse));
    assert_eq!(reply.choices[0].parts.len(), 3, "{:?}", reply.choices[0].parts);
}

#[test]
fn coheres_ends_are_told_apart_and_an_error_at_the_end_is_one() {
    for (word, stop) in [
        ("COMPLETE", Stop::End),
        ("STOP_SEQUENCE", Stop::Sequence),
        ("MAX_TOKENS", Stop::Length),
        ("ERROR_TOXIC", Stop::Filtered),
        ("NEW_ONE", Stop::Other("NEW_ONE".to_owned())),
    ] {
        let body = json!({"id": "a", "finish_reason": word, "message": {"content": [{"type": "text", "text": "x"}]}});
        assert_eq!(whole(COHERE, &body).choices[0].stop, Some(stop), "{word}");
    }
    let text =
        "data: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"ERROR\",\"error\":\"gone\"}}\n\n";
    let events = decoded(COHERE, Framing::Events, text);
    let [Event::Fault(fault)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((fault.class, fault.message.as_str()), (UpstreamClass::Server, "gone"));
    let cut =
        decoded(COHERE, Framing::Events, "data: {\"type\":\"message-start\",\"id\":\"a\",\"delta\":{}}\n\n");
    assert!(matches!(cut.last(), Some(Event::Fault(fault)) if fault.class == UpstreamClass::Connection));
}

#[test]
fn coheres_errors_are_sorted() {
    let target = target(COHERE);
    for (status, body, class) in [
        (
            400,
            r#"{"error_type":"TOO_MANY_TOKENS","message":"too many tokens: size limit exceeded"}"#,
            UpstreamClass::ContextLength,
        ),
        (
            400,
            r#"{"message":"too many tokens: the prompt cannot exceed 128000"}"#,
            UpstreamClass::ContextLength,
        ),
        (400, r#"{"message":"invalid request: p must be between 0.01 and 0.99"}"#, UpstreamClass::BadRequest),
        (401, r#"{"message":"invalid api token"}"#, UpstreamClass::Auth),
        (404, r#"{"message":"model 'x' not found"}"#, UpstreamClass::NotFound),
        (
            429,
            r#"{"message":"You are using a Trial key, which is limited to 10 API calls / minute"}"#,
            UpstreamClass::RateLimited,
        ),
        (498, r#"{"message":"blocked"}"#, UpstreamClass::ContentFilter),
        (500, r#"{"message":"internal server error"}"#, UpstreamClass::Server),
        (503, "", UpstreamClass::Overloaded),
    ] {
        let provider = provider::of(target.vendor.dialect);
        let fault = provider.fault(status, &HeaderMap::new(), body.as_bytes(), &target);
        assert_eq!(fault.class, class, "{status} {body}");
    }
}

#[test]
fn an_answer_of_ollamas_says_the_same_whole_and_streamed() {
    let call = json!({"function": {"name": "look", "arguments": {"a": 1}}});
    let counts = json!({"done": true, "done_reason": "stop", "prompt_eval_count": 13, "eval_count": 10});
    let with = |message: Value, rest: &Value| {
        let mut line =
            json!({"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": false});
        line.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        line
    };
    let none = json!({});
    let lines = [
        with(json!({"role": "assistant", "content": "", "thinking": "Hm."}), &none),
        with(json!({"role": "assistant", "content": "It"}), &none),
        with(json!({"role": "assistant", "content": " is."}), &none),
        with(json!({"role": "assistant", "content": "", "tool_calls": [call]}), &none),
        with(json!({"role": "assistant", "content": ""}), &counts),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let streamed = assembled(decoded(OLLAMA, Framing::Lines, &text));
    let message = json!({"role": "assistant", "content": "It is.", "thinking": "Hm.", "tool_calls": [call]});
    assert_eq!(streamed, whole(OLLAMA, &with(message, &counts)));
    let usage = streamed.usage.unwrap();
    assert_eq!((usage.prompt(), usage.output), (Tokens(13), Tokens(10)));
    assert_eq!(streamed.choices[0].stop, Some(Stop::ToolUse));
    let cut = decoded(OLLAMA, Framing::Lines, &format!("{}\n{{\"mod", lines[1]));
    assert!(matches!(cut.last(), Some(Event::Fault(fault)) if fault.class == UpstreamClass::Connection));
    let failed = decoded(OLLAMA, Framing::Lines, &format!("{}\n{{\"error\":\"out of memory\"}}\n", lines[1]));
    assert!(matches!(failed.last(), Some(Event::Fault(fault)) if fault.message == "out of memory"));
}
