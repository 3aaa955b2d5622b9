//! The Bedrock dialect: shapes, refusals, signatures.

use serde_json::{Value, json};
use tollgate_sim::Running;

use crate::raw::{Reply, post, sim};

const CONVERSE: &str = "/model/us.anthropic.claude-sim-v1%3A0/converse";

fn hello() -> Value {
    json!({"messages": [{"role": "user", "content": [{"text": "hello"}]}]})
}

fn ask(sim: &Running, body: &Value) -> Reply {
    post(sim, CONVERSE, &[], body)
}

#[test]
fn a_whole_answer_has_the_published_shape() {
    let answer = ask(&sim(), &hello()).json();
    let message = json!({"content": [{"text": "You said: hello"}], "role": "assistant"});
    assert_eq!((&answer["output"]["message"], &answer["stopReason"]), (&message, &json!("end_turn")));
    let usage = &answer["usage"];
    let counts = ["inputTokens", "outputTokens", "totalTokens"].map(|name| usage[name].as_u64());
    assert_eq!(counts, [Some(2), Some(4), Some(6)]);
}

#[test]
fn a_stream_is_binary_messages_with_right_sums() {
    let reply = post(&sim(), &format!("{CONVERSE}-stream"), &[], &hello());
    assert_eq!(reply.header("content-type"), Some("application/vnd.amazon.eventstream"));
    let body = reply.chunks.concat();
    let (mut rest, mut count) = (&body[..], 0);
    let number = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    while !rest.is_empty() {
        let whole = number(rest, 0) as usize;
        assert_eq!(crc32fast::hash(&rest[..8]), number(rest, 8));
        assert_eq!(crc32fast::hash(&rest[..whole - 4]), number(rest, whole - 4));
        rest = &rest[whole..];
        count += 1;
    }
    assert!(count >= 6, "{count}");
}

#[test]
fn what_bedrock_refuses_is_refused_by_its_name() {
    let sim = sim();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = hello();
        change(&mut body);
        ask(&sim, &body)
    };
    let result = json!({"toolResult": {"toolUseId": "t", "content": [{"text": "x"}]}});
    let refused = [
        with(&|body| body["stream"] = json!(true)),
        with(&|body| body["messages"] = json!([])),
        with(&|body| body["messages"][0]["content"][0]["text"] = json!(" ")),
        with(&|body| body["messages"][0]["role"] = json!("assistant")),
        with(&|body| body["messages"][0]["content"] = json!([result])),
        with(&|body| body["messages"][0]["content"][0]["type"] = json!("text")),
        with(&|body| body["inferenceConfig"] = json!({"temperature": 1.5})),
        with(&|body| body["toolConfig"] = json!({"tools": []})),
    ];
    for (at, reply) in refused.iter().enumerate() {
        assert_eq!(reply.status, 400, "{at}: {}", reply.text());
        let name = reply.header("x-amzn-errortype").unwrap_or_default();
        assert!(name.starts_with("ValidationException"), "{at}: {name}");
        assert!(reply.json()["message"].is_string(), "{at}");
    }
}

#[test]
fn a_signature_that_is_not_the_requests_own_is_refused() {
    let authorization = "authorization: AWS4-HMAC-SHA256 Credential=AK/20260102/us-east-1/bedrock/aws4_request, \
                         SignedHeaders=host;x-amz-date, Signature=00ff";
    for date in ["x-amz-date: 20260102T030405Z", "x-amz-date: never"] {
        let reply = post(&sim(), CONVERSE, &[authorization, date], &hello());
        assert_eq!(
            (reply.status, reply.header("x-amzn-errortype")),
            (403, Some("UnrecognizedClientException"))
        );
    }
}

#[test]
fn an_error_in_mid_stream_is_an_exception() {
    let mut body = hello();
    body["messages"][0]["content"][0]["text"] = json!("hello [[sim: error_after=3,error=rate_limit]]");
    let reply = post(&sim(), &format!("{CONVERSE}-stream"), &[], &body);
    let text = String::from_utf8_lossy(&reply.chunks.concat()).into_owned();
    assert!(text.contains("throttlingException") && !text.contains("metadata"), "{text}");
}
