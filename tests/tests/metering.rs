//! What was consumed is known, whether or not the client asked for it, and the client sees only what
//! it asked for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use tollgate_core::units::Tokens;
use tollgate_tests::replay::{Answer, Replay, Seen};

const QUIET: &str = r#"{"model":"m-1","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const ASKING: &str = r#"{"model":"m-1","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}"#;

const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}";

fn chunk(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}],\"usage\":null}}"
    )
}

/// The upstream's stream, and the same without its usage chunk.
fn streams(end: &str) -> [String; 2] {
    let frames = [
        chunk(r#"{"role":"assistant","content":""}"#, "null"),
        chunk(r#"{"content":"\"usage\":{\"prompt_tokens\":9}"}"#, "null"),
        chunk("{}", "\"stop\""),
        USAGE.to_owned(),
        "data: [DONE]".to_owned(),
    ];
    let joined = |frames: &[&String]| frames.iter().map(|frame| format!("{frame}{end}{end}")).collect();
    let all: Vec<_> = frames.iter().collect();
    let shown: Vec<_> = frames.iter().filter(|frame| *frame != USAGE).collect();
    [joined(&all), joined(&shown)]
}

fn metered(seen: &Seen) -> [u64; 2] {
    let usage = seen.record.as_ref().unwrap().usage.as_ref().expect("usage");
    [usage.prompt().get(), usage.output.get()]
}

#[test]
fn c12_usage_is_asked_for_and_a_client_that_did_not_ask_sees_none_of_it() {
    for end in ["\n", "\r\n"] {
        let [stream, shown] = streams(end);
        for size in 1..stream.len() {
            let seen = Replay::new("openai", "m-1").run(QUIET, &Answer::stream(stream.clone()).cut(size));
            assert!(seen.ended, "in pieces of {size}");
            assert_eq!(seen.body, shown, "in pieces of {size}");
            assert_eq!(metered(&seen), [3, 2]);
        }
        let seen = Replay::new("openai", "m-1").run(QUIET, &Answer::stream(stream));
        let sent: Value = serde_json::from_slice(&seen.sent[0].body).unwrap();
        assert_eq!(sent["stream_options"]["include_usage"], true);
        assert_eq!(sent["messages"][0]["content"], "hi");
    }
}

#[test]
fn c12_a_client_that_asks_gets_the_bytes_as_they_are() {
    let [stream, _] = streams("\n");
    let seen = Replay::new("openai", "m-1").run(ASKING, &Answer::stream(stream.clone()));
    assert_eq!((seen.sent[0].body.as_ref(), seen.body.as_ref()), (ASKING.as_bytes(), stream.as_bytes()));
    assert_eq!(metered(&seen), [3, 2]);
}

#[test]
fn c12_a_vendor_that_does_not_know_the_question_is_not_asked() {
    let last = chunk("{}", "\"stop\"")
        .replace("null", r#"{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}"#);
    let stream = format!("{}\n\n{last}\n\ndata: [DONE]\n\n", chunk(r#"{"content":"a"}"#, "null"));
    let seen = Replay::new("mistral", "m-1").run(QUIET, &Answer::stream(stream.clone()));
    assert_eq!((seen.sent[0].body.as_ref(), seen.body.as_ref()), (QUIET.as_bytes(), stream.as_bytes()));
    assert_eq!(metered(&seen), [3, 2]);
}

#[test]
fn the_question_goes_in_beside_everything_else_that_is_spliced() {
    let rest = r#""messages":[{"role":"user","content":"hi"}]"#;
    for (body, sent) in [
        (
            format!(r#"{{"fallbacks":["up/x"],"model":"m-1","stream":true,{rest}}}"#),
            format!(r#"{{"stream_options":{{"include_usage":true}},"model":"served","stream":true,{rest}}}"#),
        ),
        (
            format!(
                r#" {{"stream_options":{{"include_usage":false,"x":1}},"model":"m-1","stream":true,{rest}}}"#
            ),
            format!(
                r#" {{"stream_options":{{"include_usage":true,"x":1}},"model":"served","stream":true,{rest}}}"#
            ),
        ),
        (
            format!(r#"{{"model":"m-1","stream":true,"stream_options":{{"x":{{}}}},{rest},"fallbacks":[]}}"#),
            format!(
                r#"{{"model":"served","stream":true,"stream_options":{{"include_usage":true,"x":{{}}}},{rest}}}"#
            ),
        ),
    ] {
        let [stream, _] = streams("\n");
        let seen = Replay::new("openai", "served").alias("m-1").run(body, &Answer::stream(stream));
        assert_eq!(seen.sent[0].body, sent);
    }
}

#[test]
fn c9_an_explicit_zero_stays_zero() {
    let usage = r#""usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#;
    let whole = format!(
        r#"{{"id":"c","choices":[{{"index":0,"message":{{"role":"assistant","content":"many words"}},"finish_reason":"stop"}}],{usage}}}"#
    );
    let ask = r#"{"model":"m-1","messages":[{"role":"user","content":"hi"}]}"#;
    assert_eq!(metered(&Replay::new("openai", "m-1").run(ask, &Answer::whole(200, whole))), [0, 0]);
    let stream = format!(
        "{}\n\n{}\n\ndata: {{\"id\":\"c\",\"choices\":[],{usage}}}\n\ndata: [DONE]\n\n",
        chunk(r#"{"content":"many words"}"#, "null"),
        chunk("{}", "\"stop\"")
    );
    assert_eq!(metered(&Replay::new("openai", "m-1").run(QUIET, &Answer::stream(stream))), [0, 0]);
    let anthropic = r#"{"id":"m","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"many words"}],"stop_reason":"end_turn","usage":{"input_tokens":0,"output_tokens":0}}"#;
    let replay = Replay::new("anthropic", "claude-sonnet-4-5").alias("m-1");
    assert_eq!(metered(&replay.run(ask, &Answer::whole(200, anthropic))), [0, 0]);
    let gemini = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"many words"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":0,"candidatesTokenCount":0,"totalTokenCount":0}}"#;
    let replay = Replay::new("gemini", "gemini-2.5-flash").alias("m-1");
    assert_eq!(metered(&replay.run(ask, &Answer::whole(200, gemini))), [0, 0]);
}

/// A stream of Anthropic's with these counts at its beginning and at its end.
fn anthropic(first: &str, last: &str) -> Answer {
    Answer::stream(format!(
        "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[],\"usage\":{first}}}}}\n\n\
         event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"text\",\"text\":\"\"}}}}\n\n\
         event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"a\"}}}}\n\n\
         event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":0}}\n\n\
         event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\"}},\"usage\":{last}}}\n\n\
         event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
    ))
}

#[test]
fn c3_c4_cache_writes_of_a_stream_keep_their_life_and_the_last_total_wins() {
    let replay = Replay::new("anthropic", "claude-sonnet-4-5").alias("m-1");
    let usage = |first: &str, last: &str| {
        let seen = replay.run(QUIET, &anthropic(first, last));
        *seen.record.unwrap().usage.unwrap()
    };
    let hour = usage(
        r#"{"input_tokens":3,"cache_creation_input_tokens":30,"cache_read_input_tokens":7,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},"output_tokens":1}"#,
        r#"{"output_tokens":550}"#,
    );
    assert_eq!((hour.fresh_input, hour.cache_read), (Tokens(3), Tokens(7)));
    assert_eq!(
        (hour.cache_write_5m, hour.cache_write_1h, hour.output),
        (Tokens(10), Tokens(20), Tokens(550))
    );
    let tools = usage(
        r#"{"input_tokens":3,"cache_creation_input_tokens":30,"cache_creation":{"ephemeral_5m_input_tokens":30,"ephemeral_1h_input_tokens":0},"output_tokens":1}"#,
        r#"{"input_tokens":9,"cache_creation_input_tokens":90,"cache_read_input_tokens":40,"output_tokens":50}"#,
    );
    assert_eq!(
        (tools.fresh_input, tools.cache_write_5m, tools.cache_read),
        (Tokens(9), Tokens(90), Tokens(40))
    );
    assert_eq!((tools.cache_write_1h, tools.prompt()), (Tokens(0), Tokens(139)));
}

#[test]
fn c6_reasoning_is_part_of_the_output_and_counted_once() {
    let ask = r#"{"model":"m-1","messages":[{"role":"user","content":"hi"}]}"#;
    let gemini = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"x"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":5,"thoughtsTokenCount":20,"totalTokenCount":35}}"#;
    let replay = Replay::new("gemini", "gemini-2.5-flash").alias("m-1");
    assert_eq!(metered(&replay.run(ask, &Answer::whole(200, gemini))), [10, 25]);
    let openai = r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":25,"total_tokens":35,"completion_tokens_details":{"reasoning_tokens":20}}}"#;
    assert_eq!(metered(&Replay::new("openai", "m-1").run(ask, &Answer::whole(200, openai))), [10, 25]);
}
