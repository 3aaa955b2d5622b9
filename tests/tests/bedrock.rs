//! InvokeModel before Bedrock itself and before others: passed as it is, counted all the same.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tollgate_core::framing::event_stream::{write_event, write_exception};
use tollgate_tests::replay::{Answer, Replay, Seen};
use tollgate_tests::said;

const MODEL: &str = "anthropic.claude-3-haiku-20240307-v1:0";
const CLAUDES: &str = r#"{"anthropic_version":"bedrock-2023-05-31", "max_tokens":50,"messages":[{"role":"user","content":"hi"}]}"#;
const TITANS: &str = r#"{"inputText":"hi", "textGenerationConfig":{"maxTokenCount":50}}"#;

fn invoked(verb: &str, body: &str, answer: &Answer) -> Seen {
    Replay::new("bedrock", MODEL).run_at(
        &format!("/model/{}/{verb}", MODEL.replace(':', "%3A")),
        body.to_owned(),
        answer,
    )
}

fn counts(seen: &Seen) -> [u64; 2] {
    let usage = seen.record.as_ref().unwrap().usage.as_ref().unwrap();
    [usage.prompt().get(), usage.output.get()]
}

fn chunks(events: &[Value]) -> Bytes {
    let mut out = BytesMut::new();
    for event in events {
        let chunk = json!({"bytes": STANDARD.encode(event.to_string()), "p": "abc"});
        write_event("chunk", chunk.to_string().as_bytes(), &mut out);
    }
    out.freeze()
}

fn claudes_events() -> Vec<Value> {
    let metrics =
        json!({"inputTokenCount": 9, "outputTokenCount": 4, "invocationLatency": 5, "firstByteLatency": 3});
    vec![
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
            "content": [], "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 9, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ok"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 4}}),
        json!({"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics}),
    ]
}

#[test]
fn an_invocation_passes_both_ways_and_is_counted_in_each_makers_words() {
    let claude = r#"{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":"an \"error\""}],"stop_reason":"end_turn","usage":{"input_tokens":9,"output_tokens":4}}"#;
    let titan = r#"{"inputTextTokenCount":9,"results":[{"tokenCount":4,"outputText":"ok","completionReason":"FINISH"}]}"#;
    for (body, answer) in [(CLAUDES, claude), (TITANS, titan)] {
        let seen = invoked("invoke", body, &Answer::whole(200, answer));
        assert_eq!((seen.status, &seen.body[..]), (200, answer.as_bytes()));
        assert_eq!(seen.sent[0].body, body);
        assert!(
            seen.sent[0].uri.path().ends_with("claude-3-haiku-20240307-v1%3A0/invoke"),
            "{}",
            seen.sent[0].uri
        );
        assert_eq!(counts(&seen), [9, 4]);
    }
}

#[test]
fn a_streamed_invocation_passes_wherever_it_is_cut_and_is_counted_once() {
    let titans = [
        json!({"outputText": "ok", "index": 0, "totalOutputTextTokenCount": null, "completionReason": null, "inputTextTokenCount": null}),
        json!({"outputText": "", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 9, "outputTokenCount": 4}}),
    ];
    for (body, events) in [(CLAUDES, claudes_events()), (TITANS, titans.to_vec())] {
        let stream = chunks(&events);
        for size in [1, 7, 100, stream.len()] {
            let answer = Answer::event_stream(stream.clone()).cut(size);
            let seen = invoked("invoke-with-response-stream", body, &answer);
            assert_eq!((seen.status, seen.ended), (200, true));
            assert_eq!(seen.body, stream, "in pieces of {size}");
            assert_eq!(seen.headers["content-type"], "application/vnd.amazon.eventstream");
            assert_eq!(counts(&seen), [9, 4], "in pieces of {size}");
        }
    }
}

#[test]
fn claude_is_invoked_at_another_provider_too_and_other_models_are_not() {
    let answer = r#"{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#;
    let replay = Replay::new("openai", "m");
    let seen = replay.run_at("/model/m/invoke", CLAUDES, &Answer::whole(200, answer));
    let message: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!((seen.status, &message["content"][0]["text"]), (200, &json!("ok")), "{message}");
    let seen = replay.run_at("/model/m/invoke-with-response-stream", CLAUDES, &Answer::whole(200, answer));
    let inner = |(_, chunk): (String, Value)| STANDARD.decode(chunk["bytes"].as_str().unwrap()).unwrap();
    let events: Vec<Value> = said::messages(&seen.body)
        .into_iter()
        .map(inner)
        .map(|event| serde_json::from_slice(&event).unwrap())
        .collect();
    assert_eq!(
        (&events[0]["type"], &events[events.len() - 1]["type"]),
        (&json!("message_start"), &json!("message_stop"))
    );
    let seen = replay.run_at("/model/m/invoke", TITANS, &Answer::whole(200, answer));
    assert_eq!((seen.status, seen.sent.len()), (400, 0));
}

#[test]
fn a_stream_that_is_corrupt_ends_in_an_exception_and_one_of_bedrocks_keeps_its_name() {
    let body = r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#;
    let mut stream = BytesMut::new();
    write_event("messageStart", br#"{"role":"assistant"}"#, &mut stream);
    write_event("contentBlockDelta", br#"{"contentBlockIndex":0,"delta":{"text":"ok"}}"#, &mut stream);
    let whole = stream.len();
    write_exception("modelStreamErrorException", br#"{"message":"it broke"}"#, &mut stream);
    let last = |seen: &Seen| said::messages(&seen.body).pop().unwrap();
    let run = |bytes: &[u8]| {
        let answer = Answer::event_stream(bytes.to_vec()).cut(whole);
        Replay::new("bedrock", MODEL).run_at(&format!("/model/{MODEL}/converse-stream"), body, &answer)
    };
    let seen = run(&stream);
    assert_eq!(last(&seen), ("modelStreamErrorException".to_owned(), json!({"message": "it broke"})));
    let mut corrupt = stream.to_vec();
    corrupt[whole + 20] ^= 1;
    let seen = run(&corrupt);
    assert_eq!(last(&seen).0, "internalServerException");
    let seen = run(&stream[..whole + 9]);
    assert_eq!(last(&seen).0, "internalServerException", "a stream that is cut");
}
