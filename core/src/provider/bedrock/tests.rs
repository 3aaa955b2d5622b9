use super::Bedrock;
use crate::call::{Call, Part};
use crate::framing::event_stream::{write_event, write_exception};
use crate::framing::{Framer, Framing};
use crate::provider::{self, Encoded, Glance, Provider as _, Target};
use crate::reply::{Assembler, Event, Reply, Stop};
use crate::sse::Frame;
use crate::surface::{RequestLine, Surface as _, openai_chat::OpenAiChat};
use crate::vendor;
use bytes::BytesMut;
use serde_json::{Value, json};

fn call(body: &Value) -> Call {
    OpenAiChat.parse(body.to_string().as_bytes(), &RequestLine::default()).unwrap()
}

fn encoded(body: &Value, model: &str) -> Encoded {
    let target = Target { vendor: vendor::find("bedrock").unwrap(), model };
    provider::encode(&call(body), &target).unwrap()
}

fn sent(body: &Value, model: &str) -> Value {
    serde_json::from_slice(&encoded(body, model).body).unwrap()
}

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn stream(events: &[(&str, Value)]) -> Vec<Frame> {
    let mut bytes = BytesMut::new();
    for (name, data) in events {
        if name.ends_with("Exception") {
            write_exception(name, data.to_string().as_bytes(), &mut bytes);
        } else {
            write_event(name, data.to_string().as_bytes(), &mut bytes);
        }
    }
    let mut frames = Vec::new();
    Framer::new(Framing::EventStream).push(bytes.freeze(), &mut frames).unwrap();
    frames
}

fn decoded(frames: &[Frame]) -> Vec<Event> {
    let target = Target { vendor: vendor::find("bedrock").unwrap(), model: CLAUDE };
    let (mut decoder, mut events) = (Bedrock.decoder(&target), Vec::new());
    frames.iter().for_each(|frame| decoder.on(frame, &mut events));
    decoder.on_end(&mut events);
    events
}

fn assembled(events: Vec<Event>) -> Reply {
    let mut assembler = Assembler::default();
    events.into_iter().for_each(|event| assembler.on(event));
    assembler.finish().unwrap().unwrap()
}

#[test]
fn a_call_is_written_in_converses_words_and_its_model_into_the_path() {
    let body = json!({
        "model": "m", "max_completion_tokens": 100, "temperature": 0.5, "stop": ["x"], "stream": true,
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call:1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
            {"role": "tool", "tool_call_id": "call:1", "content": "one"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": "", "parameters": {"properties": {}}}}],
        "tool_choice": "required",
    });
    let Encoded { endpoint, body, lost } =
        encoded(&body, "arn:aws:bedrock:us-east-1:1:inference-profile/x.claude-3-haiku");
    assert_eq!(
        endpoint.path,
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx.claude-3-haiku/converse-stream"
    );
    assert!(lost.is_empty(), "{lost:?}");
    let sent: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        sent,
        json!({
            "system": [{"text": "be brief"}],
            "messages": [
                {"role": "user", "content": [{"text": "hi"}]},
                {"role": "assistant", "content": [{"toolUse": {"toolUseId": "tgx_call_3a1", "name": "f", "input": {"a": 1}}}]},
                {"role": "user", "content": [{"toolResult": {"toolUseId": "tgx_call_3a1", "content": [{"text": "one"}]}}]},
            ],
            "toolConfig": {
                "tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {}}}}}],
                "toolChoice": {"any": {}},
            },
            "inferenceConfig": {"maxTokens": 100, "temperature": 0.5, "stopSequences": ["x"]},
        })
    );
}

#[test]
fn tools_that_were_used_are_told_of_even_if_none_are_offered() {
    let messages = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"role": "user", "content": "never mind"},
    ]);
    let sent = sent(&json!({"model": "m", "messages": messages}), CLAUDE);
    assert_eq!(sent["toolConfig"]["tools"][0]["toolSpec"]["name"], "f");
    assert_eq!(
        sent["messages"][2]["content"][0]["toolResult"]["status"], "error",
        "an open call is answered"
    );
}

#[test]
fn what_else_is_said_beside_results_stands_apart_where_the_model_wants_that() {
    let messages = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "user", "content": "and now?"},
    ]);
    let roles = |model: &str| {
        let sent = sent(&json!({"model": "m", "messages": messages}), model);
        sent["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|turn| turn["role"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(roles(CLAUDE), ["user", "assistant", "user"]);
    assert_eq!(roles("meta.llama3-1-70b-instruct-v1:0"), ["user", "assistant", "user", "assistant", "user"]);
}

#[test]
fn thinking_is_asked_for_in_each_makers_words() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": "high", "max_tokens": 20000});
    assert_eq!(
        sent(&body, CLAUDE)["additionalModelRequestFields"]["thinking"],
        json!({"type": "enabled", "budget_tokens": 8192})
    );
    assert_eq!(sent(&body, "us.anthropic.claude-sonnet-5")["outputConfig"]["effort"], "high");
    assert_eq!(
        sent(&body, "openai.gpt-oss-120b-1:0")["additionalModelRequestFields"],
        json!({"reasoning_effort": "high"})
    );
    assert_eq!(encoded(&body, "meta.llama3-1-70b-instruct-v1:0").lost, ["reasoning_effort"]);
}

#[test]
fn a_schema_is_text_where_it_is_known_and_a_tool_where_not() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let body =
        json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "response_format": format});
    let native = sent(&body, CLAUDE);
    let structure = &native["outputConfig"]["textFormat"]["structure"]["jsonSchema"];
    let written: Value = serde_json::from_str(structure["schema"].as_str().unwrap()).unwrap();
    assert_eq!(written["additionalProperties"], false);
    let by_tool = sent(&body, "amazon.nova-pro-v1:0");
    assert_eq!(by_tool["toolConfig"]["toolChoice"]["tool"]["name"], "tollgate_json_output");
}

#[test]
fn an_answer_says_what_its_blocks_say() {
    let body = json!({
        "output": {"message": {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
            {"text": "hi"},
            {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
        ]}},
        "stopReason": "tool_use",
        "usage": {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12},
        "metrics": {"latencyMs": 9},
    });
    let target = Target { vendor: vendor::find("bedrock").unwrap(), model: CLAUDE };
    let reply = Bedrock.decode(body.to_string().as_bytes(), &target).unwrap();
    assert_eq!(reply.choices[0].stop, Some(Stop::ToolUse));
    let [Part::Thinking(thinking), Part::Text(text), Part::ToolCall(call)] = &reply.choices[0].parts[..]
    else {
        panic!("{:?}", reply.choices[0].parts)
    };
    assert_eq!((thinking.text.as_str(), thinking.signature.as_ref().unwrap().value.as_str()), ("hm", "s"));
    assert_eq!((text.text.as_str(), call.arguments.as_str()), ("hi", r#"{"a":1}"#));
    assert_eq!(reply.extras["metrics"]["latencyMs"], 9);
}

#[test]
fn a_stream_says_the_same_and_ends_with_its_usage() {
    let frames = stream(&[
        ("messageStart", json!({"role": "assistant", "p": "abc"})),
        ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"text": ""}})),
        ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}})),
        (
            "contentBlockDelta",
            json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "s"}}}),
        ),
        ("contentBlockStop", json!({"contentBlockIndex": 0})),
        ("contentBlockDelta", json!({"contentBlockIndex": 1, "delta": {"text": "hi"}})),
        ("contentBlockStop", json!({"contentBlockIndex": 1})),
        (
            "contentBlockStart",
            json!({"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}}),
        ),
        ("contentBlockStop", json!({"contentBlockIndex": 2})),
        ("messageStop", json!({"stopReason": "tool_use"})),
        ("metadata", json!({"usage": {"inputTokens": 5, "outputTokens": 7}, "metrics": {"latencyMs": 9}})),
    ]);
    let glances: Vec<_> = frames.iter().map(|frame| Bedrock.glance(frame)).collect();
    assert_eq!(glances[..3], [Glance::Preamble, Glance::Preamble, Glance::Content]);
    assert_eq!(glances[9..], [Glance::Finish, Glance::End]);
    let reply = assembled(decoded(&frames));
    assert_eq!(reply.choices[0].stop, Some(Stop::ToolUse));
    assert_eq!(reply.choices[0].parts.len(), 3);
    assert!(matches!(&reply.choices[0].parts[2], Part::ToolCall(call) if call.arguments == "{}"));
    assert_eq!(reply.usage.unwrap().output.get(), 7);
}

#[test]
fn an_exception_ends_a_stream_and_a_cut_one_is_told() {
    let start = ("messageStart", json!({"role": "assistant"}));
    let slow = ("throttlingException", json!({"message": "slow"}));
    let Some(Event::Fault(fault)) = decoded(&stream(&[start.clone(), slow])).pop() else {
        panic!("no fault")
    };
    assert_eq!((fault.status, fault.message.as_str()), (429, "slow"));
    assert!(matches!(decoded(&stream(&[start])).last(), Some(Event::Fault(_))));
}
