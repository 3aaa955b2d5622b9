//! Where the upstream speaks the client's dialect, both see each other's bytes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use bytes::Bytes;
use serde_json::Value;
use tollgate_tests::replay::{Answer, Replay, Seen};

const ANSWER: &str = "{ \"id\" : \"chatcmpl-1\",\r\n \"choices\":[{\"index\":0,\"x_new\":[1e3,1.0],\
    \"message\":{\"role\":\"assistant\",\"content\":\"\\u00e9\\/\"},\"finish_reason\":\"stop\"}],\
    \"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5,\"x\":12345678901234567890}}\n";

fn good() -> Answer {
    Answer::whole(200, ANSWER)
}

fn sent(replay: &Replay, body: &str) -> Bytes {
    let seen = replay.run(body.to_owned(), &good());
    assert_eq!(seen.status, 200, "{body}: {:?}", seen.body);
    assert_eq!(seen.sent.len(), 1, "{body}");
    seen.sent[0].body.clone()
}

/// The body as it stands and with `model` renamed must both arrive so.
fn goes_as_it_stands(body: &str) {
    assert_eq!(body.matches("\"m-1\"").count(), 1, "the test needs one model to rename");
    assert_eq!(sent(&Replay::new("openai", "m-1"), body), body);
    let renamed = body.replace("\"m-1\"", "\"served-by-another-name\"");
    assert_eq!(sent(&Replay::new("openai", "served-by-another-name").alias("m-1"), body), renamed);
}

#[test]
fn h8_fields_nobody_knows_and_nulls_go_as_they_stand() {
    goes_as_it_stands(
        r#"{"x_first":null,"model":"m-1","top_k":null,"messages":[{"role":"user","content":"hi","x":{"y":[null]}}],"encoding_format":null,"x_last":{"a":{"b":[{},[]]}}}"#,
    );
}

#[test]
fn h8_the_order_of_keys_is_the_clients() {
    goes_as_it_stands(
        r#"{"z":1,"temperature":0.5,"messages":[{"content":"hi","role":"user"}],"a":2,"model":"m-1","M":3}"#,
    );
}

#[test]
fn h8_numbers_are_spelled_as_the_client_spells_them() {
    goes_as_it_stands(
        r#"{"model":"m-1","messages":[{"role":"user","content":"n"}],"temperature":1.0,"top_p":1e0,"seed":12345678901234567890,"x":[1e3,1E+2,-0,-0.0,0.10,100000000000000000000,3.141592653589793238462643383279]}"#,
    );
}

#[test]
fn h8_escapes_and_white_space_are_the_clients() {
    goes_as_it_stands(
        "\n {\t\"model\" :\r\n \"m-1\" , \"messages\" : [ { \"role\":\"user\",\n\"content\":\"\\u00e9\\/\\ud83d\\ude00 \\\"x\\\" é😀 \\u2028\" } ] \n} \r\n",
    );
}

#[test]
fn a_model_written_with_escapes_is_known_and_replaced_whole() {
    let body = r#"{"model":"m\u002d1","messages":[{"role":"user","content":"hi"}]}"#;
    let replay = Replay::new("openai", "served").alias("m-1");
    assert_eq!(sent(&replay, body), body.replace(r#""m\u002d1""#, "\"served\""));
}

#[test]
fn k14_cache_marks_stay_wherever_they_stand() {
    goes_as_it_stands(
        r#"{"model":"m-1","cache_control":{"type":"ephemeral","ttl":"1h"},"messages":[
        {"role":"system","content":[{"type":"text","text":"rules","cache_control":{"ttl":"1h","type":"ephemeral"}}]},
        {"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"5m"}},{"type":"image_url","image_url":{"url":"https://x.test/a.png"},"cache_control":{"type":"ephemeral","scope":"global"}}],"cache_control":{"type":"ephemeral"}},
        {"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{ \"a\": 1.0 }"},"cache_control":{"type":"ephemeral","ttl":"1h"}}]},
        {"role":"tool","tool_call_id":"c","content":[{"type":"text","text":"r","cache_control":{"type":"ephemeral","ttl":"1h"}}],"cache_control":{"type":"ephemeral","ttl":"5m"}}],
        "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral"}},"cache_control":{"type":"ephemeral","ttl":"1h"}}]}"#,
    );
}

#[test]
fn k20_tools_go_in_the_clients_order_each_time() {
    let tool = |name: &str| format!(r#"{{"type":"function","function":{{"name":"{name}"}}}}"#);
    let tools = ["zeta", "alpha", "mid", "beta"].map(tool).join(", ");
    let body =
        format!(r#"{{"model":"m-1","messages":[{{"role":"user","content":"hi"}}],"tools":[{tools}]}}"#);
    (0..3).for_each(|_| goes_as_it_stands(&body));
}

#[test]
fn fallbacks_are_cut_out_wherever_they_stand() {
    let rest = r#""messages":[{"role":"user","content":"hi"}]"#;
    let list = r#""fallbacks" : [ "up/other" , "up/third" ]"#;
    let nothing = [
        (format!(r#"{{{list},"model":"m-1",{rest}}}"#), format!(r#"{{"model":"M",{rest}}}"#)),
        (format!(r#"{{"model":"m-1",{list},{rest}}}"#), format!(r#"{{"model":"M",{rest}}}"#)),
        (format!(r#"{{"model":"m-1",{rest},{list}}}"#), format!(r#"{{"model":"M",{rest}}}"#)),
        (format!(r#"{{{rest},{list},"model":"m-1"}}"#), format!(r#"{{{rest},"model":"M"}}"#)),
        (format!("{{ {list} , \"model\":\"m-1\",\n{rest} }}"), format!("{{ \"model\":\"M\",\n{rest} }}")),
        (format!("{{\"model\":\"m-1\"\n, {list}\n,{rest}\n}}"), format!("{{\"model\":\"M\"\n,{rest}\n}}")),
        (format!(r#"{{"model":"m-1",{rest},"fallbacks":[]}}"#), format!(r#"{{"model":"M",{rest}}}"#)),
        (format!(r#"{{"model":"m-1",{rest},"\u0066allbacks":null}}"#), format!(r#"{{"model":"M",{rest}}}"#)),
    ];
    for (body, expected) in nothing {
        let same = sent(&Replay::new("openai", "m-1"), &body);
        assert_eq!(same, expected.replace("\"M\"", "\"m-1\""), "{body}");
        let renamed = sent(&Replay::new("openai", "served").alias("m-1"), &body);
        assert_eq!(renamed, expected.replace("\"M\"", "\"served\""), "{body}");
        serde_json::from_slice::<Value>(&renamed).unwrap();
    }
}

#[test]
fn fallbacks_below_the_top_are_the_clients_own_words() {
    goes_as_it_stands(
        r#"{"model":"m-1","messages":[{"role":"user","content":"hi","fallbacks":["x"]}],"metadata":{"fallbacks":"y"}}"#,
    );
}

#[test]
fn k14_headers_of_the_dialect_are_the_clients_and_none_is_invented() {
    let body = r#"{"model":"m-1","messages":[{"role":"user","content":"hi"}]}"#;
    let replay = Replay::new("openai", "m-1").header("openai-beta", "x=1").header("cookie", "secret");
    let headers = replay.run(body, &good()).sent.remove(0).headers;
    assert_eq!(headers["openai-beta"], "x=1");
    assert_eq!(headers["authorization"], "Bearer sk-replay-upstream");
    assert!(!headers.contains_key("cookie"));
    let translated = Replay::new("anthropic", "claude-sonnet-4-5").alias("m-1");
    let headers = translated.run(body, &Answer::whole(500, "{}")).sent.remove(0).headers;
    assert!(!headers.contains_key("anthropic-beta") && !headers.contains_key("openai-beta"));
}

#[test]
fn k14_cache_marks_reach_anthropic_where_they_stood() {
    let body = r#"{"model":"m-1","cache_control":{"type":"ephemeral","ttl":"1h"},"messages":[
        {"role":"system","content":[{"type":"text","text":"rules","cache_control":{"type":"ephemeral","ttl":"1h"}}]},
        {"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"5m"}}]},
        {"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"c","content":"r","cache_control":{"type":"ephemeral","ttl":"1h"}}],
        "tools":[{"type":"function","function":{"name":"g"}},{"type":"function","function":{"name":"f"},"cache_control":{"type":"ephemeral","ttl":"1h"}}]}"#;
    let replay = Replay::new("anthropic", "claude-sonnet-4-5").alias("m-1");
    let sent = replay.run(body, &Answer::whole(500, "{}")).sent.remove(0);
    let sent: Value = serde_json::from_slice(&sent.body).unwrap();
    let mark = |ttl: &str| serde_json::json!({"type": "ephemeral", "ttl": ttl});
    assert_eq!(sent["cache_control"], mark("1h"));
    assert_eq!(sent["system"][0]["cache_control"], mark("1h"));
    assert_eq!(sent["messages"][0]["content"][0]["cache_control"], mark("5m"));
    assert_eq!(sent["messages"][2]["content"][0]["cache_control"], mark("1h"));
    assert_eq!((&sent["tools"][0]["name"], &sent["tools"][1]["name"]), (&"g".into(), &"f".into()));
    assert_eq!(sent["tools"][1]["cache_control"], mark("1h"));
    assert_eq!(sent["tools"][0].get("cache_control"), None);
}

fn complete(seen: &Seen) {
    assert!(seen.ended && seen.status == 200, "{seen:?}");
    let usage = seen.record.as_ref().unwrap().usage.as_ref().unwrap();
    assert_eq!((usage.prompt().get(), usage.output.get()), (3, 2));
}

#[test]
fn a_whole_answer_comes_down_byte_for_byte() {
    let body = r#"{"model":"m-1","messages":[{"role":"user","content":"hi"}]}"#;
    for size in [1, 2, 7, 64, ANSWER.len()] {
        let seen = Replay::new("openai", "m-1").run(body, &good().cut(size));
        complete(&seen);
        assert_eq!(seen.body, ANSWER);
    }
}

#[test]
fn h4_a_stream_comes_down_byte_for_byte_however_it_is_cut() {
    let body = r#"{"model":"m-1","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}"#;
    let chunk = |delta: &str, finish: &str| {
        format!(
            "{{ \"id\":\"c\", \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}],\"x\":1.0}}"
        )
    };
    let usage =
        r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"cost":1e-3}}"#;
    for end in ["\n", "\r\n"] {
        let stream = [
            format!(": a comment{end}{end}"),
            format!("id: 1{end}data: {}{end}{end}", chunk(r#"{"role":"assistant","content":""}"#, "null")),
            format!("data:{}{end}{end}", chunk(r#"{"content":"é\u00e9 ✓"}"#, "null")),
            format!(": keep alive{end}{end}event: x_new{end}data: {{\"type\":\"x_new\"}}{end}{end}"),
            format!("data: {}{end}{end}", chunk("{}", "\"stop\"")),
            format!("data: {usage}{end}{end}data: [DONE]{end}{end}"),
        ]
        .concat();
        for size in 1..stream.len() {
            let seen = Replay::new("openai", "m-1").run(body, &Answer::stream(stream.clone()).cut(size));
            complete(&seen);
            assert_eq!(seen.body, stream, "in pieces of {size}");
        }
    }
}

#[test]
fn an_upstreams_refusal_of_the_request_keeps_status_and_words() {
    let body = r#"{"model":"m-1","messages":[{"role":"user","content":"hi"}]}"#;
    let refusal = r#"{"error":{"message":"no such thing","type":"invalid_request_error","param":"messages","code":"x_own"}}"#;
    let seen = Replay::new("openai", "m-1").run(body, &Answer::whole(422, refusal));
    assert_eq!(seen.status, 422);
    let told: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(told, serde_json::from_str::<Value>(refusal).unwrap());
}
