//! What goes upstream, byte for byte: prompt caches live by it.

use crate::setting::{Setting, body, body_json};
use serde_json::{Value, json};
use tollgate_tests::http::Request;

const CHAT: &str = "/v1/chat/completions";

#[test]
fn k14_one_dialect_sends_the_clients_own_bytes() {
    let setting = Setting::new("");
    // Odd spacing, key order, escapes and number spellings, unknown fields at every level.
    let sent = "{ \"temperature\" : 1.50e0,\"zeta\":{\"b\":1,\"a\":[ ] },\n \"messages\":[{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"caf\\u00e9 \\/ \",\
        \"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]},{\"content\":\"hello\",\"role\":\"user\",\"x\":null}], \"model\" : \"one\\/m\", \"seed\": 12345678901234567890 }";
    let answer = setting.gateway.ask(&Request::raw(CHAT, sent));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected = sent.replace("\"one\\/m\"", "\"m\"");
    assert_eq!(String::from_utf8(body(&setting.last())).unwrap(), expected);
}

#[test]
fn k14_the_gateways_own_fields_are_cut_out_and_nothing_else() {
    let setting = Setting::new("");
    let sent = r#"{"fallbacks":["two/x"],"messages":[{"role":"user","content":"hi"}],"model":"one/m","n":1}"#;
    assert_eq!(setting.gateway.ask(&Request::raw(CHAT, sent)).status, 200);
    let got = String::from_utf8(body(&setting.last())).unwrap();
    assert_eq!(got, r#"{"messages":[{"role":"user","content":"hi"}],"model":"m","n":1}"#);
}

#[test]
fn k14_the_answers_bytes_come_back_as_they_are() {
    let setting = Setting::new("");
    let direct = |body: &Value| {
        let mut provider = tollgate_tests::http::Connection::open(setting.sim.addr);
        provider.ask(&Request::post(CHAT, body))
    };
    for streamed in [false, true] {
        // Where the client does not ask for usage the gateway does, and hides the answer.
        let mut question = json!({
            "model": "m", "stream": streamed, "stream_options": {"include_usage": true},
            "messages": [{"role": "user", "content": "hello"}],
        });
        let wanted = direct(&question);
        question["model"] = "one/m".into();
        let got = setting.gateway.ask(&Request::post(CHAT, &question));
        // Ids are made from the request's bytes, which the gateway has put back as they were.
        assert_eq!(got.text(), wanted.text());
    }
}

#[test]
fn k14_cache_marks_stay_where_they_stood() {
    let setting = Setting::new("");
    let mark = json!({"type": "ephemeral", "ttl": "1h"});
    let question = json!({
        "model": "claude/m",
        "max_tokens": 50,
        "tools": [
            {"type": "function", "function": {"name": "zeta", "parameters": {"type": "object"}}},
            {"type": "function", "function": {"name": "alpha", "parameters": {"type": "object"}}, "cache_control": mark},
        ],
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "first  "}, {"type": "text", "text": "second", "cache_control": mark}]},
            {"role": "user", "content": [{"type": "text", "text": "one", "cache_control": mark}, {"type": "text", "text": "two"}]},
        ],
    });
    let answer = setting.gateway.ask(&Request::post(CHAT, &question));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = body_json(&setting.last());
    assert_eq!(sent["tools"][1]["cache_control"], mark, "{sent}");
    assert!(sent["tools"][0]["cache_control"].is_null());
    assert_eq!(
        (&sent["system"][0]["text"], &sent["system"][1]["cache_control"]),
        (&json!("first  "), &mark),
        "{sent}"
    );
    assert_eq!(sent["messages"][0]["content"][0]["cache_control"], mark, "{sent}");
    assert!(sent["messages"][0]["content"][1]["cache_control"].is_null(), "{sent}");
}

#[test]
fn k14_a_conversation_stays_on_one_upstream() {
    let setting = Setting::new("[models.m]\ntargets = [\"one/a\", \"two/b\", \"three/c\"]\n");
    for talk in 0..6 {
        let mut messages = vec![json!({"role": "user", "content": format!("talk {talk}")})];
        let mut homes = Vec::new();
        for turn in 0..5 {
            let answer =
                setting.gateway.ask(&Request::post(CHAT, &json!({"model": "m", "messages": messages})));
            assert_eq!(answer.status, 200);
            homes.push(answer.header("x-tollgate-provider").to_owned());
            messages.push(json!({"role": "assistant", "content": answer.said()}));
            messages.push(json!({"role": "user", "content": format!("turn {turn}")}));
        }
        assert!(homes.iter().all(|home| *home == homes[0]), "{homes:?}");
    }
}

#[test]
fn k14_beta_headers_are_the_clients_own_and_never_invented() {
    let setting = Setting::new("");
    let _ = setting.chat("claude/m");
    assert!(setting.last()["headers"]["anthropic-beta"].is_null());
    assert_eq!(setting.last()["headers"]["anthropic-version"], "2023-06-01");
    let _ = setting.gateway.ask(&crate::setting::chat("one/m").header("openai-beta", "assistants=v2"));
    assert_eq!(setting.last()["headers"]["openai-beta"], "assistants=v2");
}

#[test]
fn k20_tools_go_upstream_in_the_order_they_came() {
    let setting = Setting::new("");
    let names = ["zeta", "alpha", "mid", "beta", "omega", "aa"];
    let tools: Vec<Value> = names
        .iter()
        .map(|name| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "string"}}}}}))
        .collect();
    for provider in ["one", "claude", "gem"] {
        let question = json!({"model": format!("{provider}/m"), "tools": tools, "messages": [{"role": "user", "content": "hi"}]});
        let bodies: Vec<Vec<u8>> = (0..3)
            .map(|_| {
                assert_eq!(setting.gateway.ask(&Request::post(CHAT, &question)).status, 200);
                body(&setting.last())
            })
            .collect();
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{provider}");
        let text = String::from_utf8(bodies[0].clone()).unwrap();
        let places: Vec<_> = names.iter().map(|name| text.find(&format!("\"{name}\"")).unwrap()).collect();
        assert!(places.is_sorted(), "{provider}: {text}");
        assert!(text.find("\"z\"").unwrap() < text.find("\"a\"").unwrap(), "{provider}: {text}");
    }
}
