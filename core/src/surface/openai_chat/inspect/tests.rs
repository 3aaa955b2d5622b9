use super::*;
use crate::fault::Code;

fn look(body: &str) -> Result<Envelope, Fault> {
    inspect(&Tape::parse(body.as_bytes()).unwrap())
}

fn refused(body: &str) -> String {
    let fault = look(body).unwrap_err();
    assert_eq!(fault.code, Code::BadField, "{body}");
    fault.param.unwrap()
}

fn with(field: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}],{field}}}"#)
}

fn messages(list: &str) -> String {
    format!(r#"{{"model":"m","messages":[{list}]}}"#)
}

#[test]
fn a_plain_request_tells_model_and_delivery() {
    let body = with(r#""stream":true,"stream_options":{"include_usage":true},"max_tokens":7"#);
    let envelope = look(&body).unwrap();
    assert_eq!((envelope.model.as_str(), &body[envelope.model_span]), ("m", "\"m\""));
    assert_eq!(envelope.delivery, Delivery::Stream(UsageChunk::Wanted));
    assert_eq!((envelope.max_tokens, envelope.cuts.len()), (Some(Tokens(7)), 0));
    let quiet = look(&with(r#""stream":true,"max_tokens":7,"max_completion_tokens":9"#)).unwrap();
    assert_eq!(quiet.delivery, Delivery::Stream(UsageChunk::Unwanted));
    assert_eq!(quiet.max_tokens, Some(Tokens(9)));
    assert_eq!(look(&with(r#""stream":false"#)).unwrap().delivery, Delivery::Whole);
}

#[test]
fn fallbacks_are_read_and_cut_out() {
    let body = with(r#""fallbacks":["a/b","c"],"n":1"#);
    let envelope = look(&body).unwrap();
    assert_eq!(envelope.fallbacks, ["a/b", "c"]);
    let mut left = body.clone();
    for cut in envelope.cuts.into_iter().rev() {
        left.replace_range(cut, "");
    }
    assert_eq!(left, with(r#""n":1"#));
    assert_eq!(look(&with(r#""fallbacks":null"#)).unwrap().cuts.len(), 1);
}

#[test]
fn a_wrong_field_is_refused_by_name() {
    for (field, name) in [
        (r#""stream":"yes""#, "stream"),
        (r#""n":0"#, "n"),
        (r#""n":1.5"#, "n"),
        (r#""max_tokens":-1"#, "max_tokens"),
        (r#""max_completion_tokens":"9""#, "max_completion_tokens"),
        (r#""temperature":"hot""#, "temperature"),
        (r#""stop":[1]"#, "stop"),
        (r#""stream_options":true"#, "stream_options"),
        (r#""stream_options":{"include_usage":1}"#, "stream_options.include_usage"),
        (r#""fallbacks":"x""#, "fallbacks"),
        (r#""tools":{}"#, "tools"),
        (r#""tools":[1]"#, "tools[0]"),
        (r#""tools":[{}]"#, "tools[0].type"),
        (r#""tools":[{"type":"function"}]"#, "tools[0].function"),
        (r#""tools":[{"type":"function","function":{}}]"#, "tools[0].function.name"),
        (r#""functions":[{}]"#, "functions[0].name"),
    ] {
        assert_eq!(refused(&with(field)), name, "{field}");
    }
    for nothing in ["stream", "n", "max_tokens", "temperature", "stop", "tools", "stream_options"] {
        assert!(look(&with(&format!("\"{nothing}\":null"))).is_ok(), "{nothing}");
    }
}

#[test]
fn a_body_without_model_or_messages_is_refused_by_field() {
    for (body, name) in [
        ("[]", "body"),
        ("{}", "model"),
        (r#"{"model":1,"messages":[]}"#, "model"),
        (r#"{"model":"","messages":[]}"#, "model"),
        (r#"{"model":null,"messages":[]}"#, "model"),
        (r#"{"model":"m"}"#, "messages"),
        (r#"{"model":"m","messages":"hi"}"#, "messages"),
        (r#"{"model":"m","messages":[]}"#, "messages"),
    ] {
        assert_eq!(refused(body), name, "{body}");
    }
}

#[test]
fn a_message_of_the_wrong_shape_is_refused_by_path() {
    for (list, name) in [
        ("1", "messages[0]"),
        ("{}", "messages[0].role"),
        (r#"{"role":1}"#, "messages[0].role"),
        (r#"{"role":"robot","content":""}"#, "messages[0].role"),
        (r#"{"role":"user","content":1}"#, "messages[0].content"),
        (r#"{"role":"user","content":[1]}"#, "messages[0].content[0]"),
        (r#"{"role":"user","content":[{}]}"#, "messages[0].content[0].type"),
        (r#"{"role":"user","content":[{"type":"text"}]}"#, "messages[0].content[0].text"),
        (
            r#"{"role":"user","content":[{"type":"image_url","image_url":1}]}"#,
            "messages[0].content[0].image_url",
        ),
        (r#"{"role":"assistant","tool_calls":1}"#, "messages[0].tool_calls"),
        (r#"{"role":"assistant","tool_calls":[{}]}"#, "messages[0].tool_calls[0].id"),
    ] {
        assert_eq!(refused(&messages(list)), name, "{list}");
    }
    assert!(look(&messages(r#"{"role":"user","content":[{"type":"hologram","x":1}]}"#)).is_ok());
}

#[test]
fn a_tool_result_without_its_call_is_refused_by_field() {
    let call = r#"{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#;
    let result = |id: &str| format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"x"}}"#);
    assert!(look(&messages(&format!("{call},{}", result("a")))).is_ok());
    assert_eq!(refused(&messages(&format!("{call},{}", result("b")))), "messages[1].tool_call_id");
    assert_eq!(refused(&messages(&format!("{},{call}", result("a")))), "messages[0].tool_call_id");
    assert_eq!(refused(&messages(r#"{"role":"tool","content":"x"}"#)), "messages[0].tool_call_id");
}

#[test]
fn k14_a_conversation_keeps_its_hash_from_turn_to_turn() {
    let first = r#"{"role":"system","content":"s"},{"role":"user","content":"a"}"#;
    let later = format!(r#"{first},{{"role":"assistant","content":"b"}},{{"role":"user","content":"c"}}"#);
    let hash = |list: &str| look(&messages(list)).unwrap().conversation.unwrap();
    assert_eq!(hash(first).prefix, hash(&later).prefix);
    assert_eq!((hash(first).follows, hash(&later).follows), (Follows::FirstTurn, Follows::Earlier));
    assert_ne!(
        hash(first).prefix,
        hash(r#"{"role":"system","content":"t"},{"role":"user","content":"a"}"#).prefix
    );
    let marked =
        r#"{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}"#;
    assert_eq!(hash(marked).follows, Follows::Earlier);
}

#[test]
fn i7_no_refusal_quotes_what_was_sent() {
    for body in
        [messages(r#"{"role":"secret"}"#), with(r#""temperature":"secret""#), with(r#""stop":{"secret":1}"#)]
    {
        assert!(!look(&body).unwrap_err().message.contains("secret"));
    }
}
