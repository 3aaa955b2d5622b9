use super::{CONVERSE, CONVERSE_STREAM, INVOKE, INVOKE_STREAM};
use crate::call::{Call, Effort, Part, Role, Signature, Thinking, ToolChoice, UsageChunk};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault, UpstreamClass, UpstreamFault};
use crate::framing::{Framer, Framing};
use crate::json::Tape;
use crate::provider::{Provider as _, Target, bedrock::Bedrock};
use crate::reply::{Choice, Event, Reply, Start, Stop};
use crate::sse::Frame;
use crate::surface::{Asked, Envelope, RequestLine, SoFar, Surface};
use crate::units::Tokens;
use crate::vendor;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use serde_json::{Value, json};

fn line() -> RequestLine {
    RequestLine { model: Some("m".to_owned()), framing: Framing::EventStream, ..RequestLine::default() }
}

fn inspected(body: &Value) -> Result<Envelope, Fault> {
    let text = body.to_string();
    CONVERSE.inspect(&Tape::parse(text.as_bytes()).unwrap(), &line())
}

fn parsed(body: &Value) -> Call {
    inspected(body).unwrap();
    CONVERSE.parse(body.to_string().as_bytes(), &line()).unwrap()
}

fn asked() -> Asked {
    Asked {
        client: crate::surface::Client::Usual,
        model: "m".to_owned(),
        request_id: "r".to_owned(),
        now_secs: 0,
        usage: UsageChunk::Wanted,
        framing: Framing::EventStream,
        body: Bytes::new(),
    }
}

fn streamed(surface: &dyn Surface, events: &[Event]) -> Vec<Frame> {
    let (mut renderer, mut out) = (surface.renderer(asked()), BytesMut::new());
    events.iter().for_each(|event| renderer.on(event, &mut out));
    let mut frames = Vec::new();
    Framer::new(Framing::EventStream).push(out.freeze(), &mut frames).unwrap();
    frames
}

fn names(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(|frame| std::str::from_utf8(frame.event()).unwrap()).collect()
}

fn full() -> Value {
    json!({
        "system": [{"text": "be brief"}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": [
                {"text": "look"},
                {"image": {"format": "png", "source": {"bytes": "aGk="}}},
                {"document": {"name": "d", "format": "txt", "source": {"content": [{"text": "a"}]}, "citations": {"enabled": true}}},
            ]},
            {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
                {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
            ]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": [{"json": {"b": 2}}], "status": "error"}}]},
        ],
        "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"]},
        "toolConfig": {
            "tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}, {"cachePoint": {"type": "default"}}],
            "toolChoice": {"tool": {"name": "f"}},
        },
        "additionalModelRequestFields": {"top_k": 5, "thinking": {"type": "enabled", "budget_tokens": 1024}, "other": 1},
        "outputConfig": {"effort": "low"},
        "requestMetadata": {"a": "b"},
        "guardrailConfig": {"guardrailIdentifier": "g"},
    })
}

#[test]
fn everything_a_call_says_is_understood_and_the_rest_is_kept() {
    let call = parsed(&full());
    let Part::Text(system) = &call.system[0] else { panic!("{:?}", call.system) };
    assert_eq!(system.cache.as_ref().unwrap().ttl.as_deref(), Some("1h"));
    let roles: Vec<Role> = call.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User]);
    assert!(matches!(&call.messages[0].parts[..], [Part::Text(_), Part::Image(_), Part::Document(_)]));
    let Part::ToolResult(result) = &call.messages[2].parts[0] else { panic!("no result") };
    assert_eq!((result.name.as_deref(), result.failed), (Some("f"), Some(true)));
    assert_eq!(call.output.max_tokens, Some(Tokens(9)));
    assert_eq!(call.sampling.top_k.as_ref().and_then(|k| k.as_u64()), Some(5));
    let reasoning = call.reasoning.unwrap();
    assert_eq!((reasoning.budget, reasoning.effort), (Some(Tokens(1024)), Some(Effort::Low)));
    assert_eq!(call.tool_choice, Some(ToolChoice::Named("f".to_owned())));
    let kept: Vec<&str> = call.extras.keys().map(String::as_str).collect();
    assert_eq!(kept, ["guardrailConfig", "additionalModelRequestFields"]);
}

#[test]
fn what_is_wrong_is_told_by_its_path() {
    let with = |path: &str, value: Value| {
        let mut body = full();
        *body.pointer_mut(path).unwrap() = value;
        inspected(&body).unwrap_err().into_parts().param.unwrap()
    };
    for (path, value, named) in [
        ("/messages", json!({}), "messages"),
        ("/messages", json!([]), "messages"),
        ("/messages/0/role", json!("tool"), "messages[0].role"),
        ("/messages/0/content", json!("hi"), "messages[0].content"),
        ("/messages/0/content/0/text", json!(5), "messages[0].content[0].text"),
        ("/messages/0/content/1/image/source", json!(null), "messages[0].content[1].image.source"),
        ("/messages/1/content/1/toolUse/input", json!("{}"), "messages[1].content[1].toolUse.input"),
        (
            "/messages/2/content/0/toolResult/toolUseId",
            json!("u"),
            "messages[2].content[0].toolResult.toolUseId",
        ),
        ("/inferenceConfig/maxTokens", json!(0), "inferenceConfig.maxTokens"),
        ("/inferenceConfig/stopSequences", json!([1]), "inferenceConfig.stopSequences[0]"),
        ("/toolConfig/tools", json!(null), "toolConfig.tools"),
        (
            "/toolConfig/tools/0/toolSpec/inputSchema",
            json!({}),
            "toolConfig.tools[0].toolSpec.inputSchema.json",
        ),
        ("/guardrailConfig", json!("g"), "guardrailConfig"),
    ] {
        assert_eq!(with(path, value), named);
    }
}

#[test]
fn a_cap_is_found_or_has_a_place() {
    let envelope = inspected(&full()).unwrap();
    assert_eq!((envelope.max_tokens, envelope.places.caps.len()), (Some(Tokens(9)), 1));
    assert_eq!(envelope.media.images, 1);
    for config in
        [None, Some(json!({})), Some(json!({"topP": 1})), Some(json!(null)), Some(json!({"maxTokens": null}))]
    {
        let mut body = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
        if let Some(config) = config {
            body["inferenceConfig"] = config;
        }
        let text = body.to_string();
        let place = inspected(&body).unwrap().places.uncapped.unwrap();
        let capped = format!(
            "{}{}7{}{}",
            &text[..place.span.start],
            place.before,
            place.after,
            &text[place.span.end..]
        );
        let capped: Value = serde_json::from_str(&capped).unwrap();
        assert_eq!(capped["inferenceConfig"]["maxTokens"], 7, "{text}");
    }
}

#[test]
fn a_proof_of_another_provider_comes_back_and_never_reaches_bedrock() {
    let signature = Signature { origin: Dialect::Gemini, value: "g".to_owned() };
    let thinking = Thinking { text: "hm".to_owned(), signature: Some(signature.clone()), sealed: None };
    let parts = vec![Part::Thinking(thinking.clone()), Part::Text(crate::call::Text::new("hi"))];
    let reply = Reply { choices: vec![Choice { parts, ..Choice::default() }], ..Reply::default() };
    let told: Value = serde_json::from_slice(&CONVERSE.render(&reply, &asked())).unwrap();
    let content = &told["output"]["message"]["content"];
    let body = json!({"messages": [
        {"role": "user", "content": [{"text": "a"}]},
        {"role": "assistant", "content": content},
        {"role": "user", "content": [{"text": "b"}]},
    ]});
    assert_eq!(parsed(&body).messages[1].parts[0], Part::Thinking(thinking));
    let mut text = body.to_string();
    for cut in inspected(&body).unwrap().cuts.iter().rev() {
        text.replace_range(cut.clone(), "");
    }
    let cut: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(cut["messages"][1]["content"], json!([{"text": "hi"}]));
}

#[test]
fn a_stream_is_bedrocks_own_events_in_order() {
    let tool = |call, id: &str| Event::ToolStart {
        choice: 0,
        call,
        id: id.to_owned(),
        name: "f".to_owned(),
        signature: None,
    };
    let arguments = |call, text: &str| Event::ToolArguments { choice: 0, call, text: text.to_owned() };
    let frames = streamed(
        &CONVERSE_STREAM,
        &[
            Event::Start(Start::default()),
            Event::Thinking { choice: 0, text: "hm".to_owned() },
            Event::Text { choice: 0, text: "hi".to_owned() },
            tool(0, "a"),
            tool(1, "b"),
            arguments(0, "{}"),
            arguments(1, "{\"x\":1}"),
            Event::Stop { choice: 0, stop: Stop::ToolUse, sequence: None },
            Event::Usage(Box::default()),
            Event::End,
        ],
    );
    let (delta, stop) = ("contentBlockDelta", "contentBlockStop");
    assert_eq!(
        names(&frames),
        [
            "messageStart",
            delta,
            stop,
            delta,
            stop,
            "contentBlockStart",
            delta,
            stop,
            "contentBlockStart",
            delta,
            stop,
            "messageStop",
            "metadata"
        ]
    );
    let target = Target { vendor: vendor::find("bedrock").unwrap(), model: "m" };
    let (mut decoder, mut events) = (Bedrock.decoder(&target), Vec::new());
    frames.iter().for_each(|frame| decoder.on(frame, &mut events));
    assert!(events.contains(&arguments(1, "{\"x\":1}")), "{events:?}");
    assert!(events.contains(&Event::Stop { choice: 0, stop: Stop::ToolUse, sequence: None }));
}

#[test]
fn a_fault_has_bedrocks_name_and_status() {
    for (code, status, name) in [
        (Code::BadField, 400, "ValidationException"),
        (Code::InvalidKey, 403, "UnrecognizedClientException"),
        (Code::ModelNotAllowed, 403, "AccessDeniedException"),
        (Code::BudgetExceeded, 400, "ServiceQuotaExceededException"),
        (Code::ModelNotFound, 404, "ResourceNotFoundException"),
        (Code::RpmExceeded, 429, "ThrottlingException"),
        (Code::UpstreamError, 500, "InternalServerException"),
        (Code::NoCapacity, 503, "ServiceUnavailableException"),
        (Code::Deadline, 408, "ModelTimeoutException"),
    ] {
        let fault = Fault::new(code, "no");
        let mut headers = HeaderMap::new();
        CONVERSE.label_fault(&fault, &mut headers);
        assert_eq!(
            (CONVERSE.fault_status(&fault), &headers["x-amzn-errortype"]),
            (status, &name.parse().unwrap())
        );
        assert_eq!(CONVERSE.fault(&fault, "r"), r#"{"message":"no"}"#);
    }
    let mut fault = Fault::new(Code::UpstreamRefused, "too many");
    fault.upstream = Some(Box::new(UpstreamFault::new(UpstreamClass::ContextLength, 400, "too many tokens")));
    assert_eq!(
        CONVERSE.fault(&fault, "r"),
        r#"{"message":"Input is too long for requested model: too many tokens"}"#
    );
    let mut frames = Vec::new();
    let event =
        CONVERSE.fault_event(&Fault::new(Code::UpstreamLimited, "slow"), &asked(), Default::default());
    Framer::new(Framing::EventStream).push(event, &mut frames).unwrap();
    assert_eq!(names(&frames), ["throttlingException"]);
}

#[test]
fn a_stream_that_is_cut_off_ends_well() {
    let recent = [Bytes::from_static(br#"{"contentBlockIndex":2,"delta":{"text":"a"}}"#)];
    let so_far = SoFar { content: b"", finished: &[], recent: &recent, output: Tokens(7), choices: 1 };
    let mut frames = Vec::new();
    Framer::new(Framing::EventStream).push(CONVERSE_STREAM.cut_off(&so_far, &asked()), &mut frames).unwrap();
    assert_eq!(names(&frames), ["contentBlockStop", "messageStop", "metadata"]);
    assert_eq!(frames[1].data(), br#"{"stopReason":"max_tokens"}"#);
}

#[test]
fn invoke_speaks_anthropics_words_with_the_model_of_the_path() {
    let body = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
    let text = body.to_string();
    let envelope = INVOKE_STREAM.inspect(&Tape::parse(text.as_bytes()).unwrap(), &line()).unwrap();
    assert_eq!((envelope.model.as_str(), envelope.max_tokens), ("m", Some(Tokens(5))));
    let call = INVOKE_STREAM.parse(text.as_bytes(), &line()).unwrap();
    assert_eq!((call.model.as_str(), call.origin, call.extras.len()), ("m", Dialect::Anthropic, 0));
    let events = [
        Event::Start(Start::default()),
        Event::Text { choice: 0, text: "hi".to_owned() },
        Event::Stop { choice: 0, stop: Stop::End, sequence: None },
        Event::End,
    ];
    let frames = streamed(&INVOKE_STREAM, &events);
    assert!(frames.iter().all(|frame| frame.event() == b"chunk"));
    let mut said = String::new();
    frames.iter().for_each(|frame| Bedrock.text(frame.data(), &mut said));
    assert_eq!(said, "hi");
}

#[test]
fn invoke_in_other_words_passes_with_its_cap_and_goes_nowhere_else() {
    let text = r#"{"inputText":"hi","textGenerationConfig":{"maxTokenCount":30}}"#;
    let envelope = INVOKE.inspect(&Tape::parse(text.as_bytes()).unwrap(), &line()).unwrap();
    assert_eq!(envelope.max_tokens, Some(Tokens(30)));
    assert_eq!(INVOKE.parse(text.as_bytes(), &line()).unwrap_err().code, Code::Unsupported);
}
