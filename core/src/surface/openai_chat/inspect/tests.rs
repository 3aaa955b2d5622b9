use super::*;
use crate::count::Media;
use crate::fault::Code;
use crate::surface::Follows;

fn look(body: &str) -> Result<Envelope, Fault> {
    inspect(&Tape::parse(body.as_bytes()).unwrap(), None)
}

fn refused(body: &str) -> String {
    let fault = look(body).unwrap_err();
    assert_eq!(fault.code, Code::BadField, "{body}");
    fault.into_parts().param.unwrap()
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
    let ModelPlace::Body(span) = envelope.model_place else { panic!("no place") };
    assert_eq!((envelope.model.as_str(), &body[span]), ("m", "\"m\""));
    assert_eq!(envelope.delivery, Delivery::Stream(UsageChunk::Wanted));
    assert_eq!((envelope.max_tokens, envelope.cuts.len()), (Some(Tokens(7)), 0));
    let quiet = look(&with(r#""stream":true,"max_tokens":7,"max_completion_tokens":9"#)).unwrap();
    assert_eq!(quiet.delivery, Delivery::Stream(UsageChunk::Unwanted));
    assert_eq!(quiet.max_tokens, Some(Tokens(9)));
    assert_eq!(look(&with(r#""stream":false"#)).unwrap().delivery, Delivery::Whole);
}

#[test]
fn a_body_without_a_model_has_that_of_its_path() {
    let look = |body: &str| inspect(&Tape::parse(body.as_bytes()).unwrap(), Some("deployed")).unwrap();
    let without = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
    let envelope = look(without);
    assert_eq!((envelope.model.as_str(), envelope.model_place), ("deployed", ModelPlace::Missing));
    let null = r#"{"model":null,"messages":[{"role":"user","content":"hi"}]}"#;
    let envelope = look(null);
    assert_eq!((envelope.model.as_str(), envelope.model_place), ("deployed", ModelPlace::Body(9..13)));
    assert_eq!(look(&with(r#""n":1"#)).model, "m");
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

#[test]
fn c10_media_are_counted_apart_from_text_and_everything_else_is_text() {
    let plain = look(&messages(r#"{"role":"user","content":"hi"}"#)).unwrap();
    let list = r#"[{"role":"user","content":"hi"}]"#;
    assert_eq!((plain.prompt_bytes, plain.media), (list.len() as u64, Media::default()));
    let parts = format!(
        r#"{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{0}"}}}},
        {{"type":"image_url","image_url":"https://x.test/a.png"}},
        {{"type":"input_audio","input_audio":{{"format":"wav","data":"{0}"}}}},
        {{"type":"file","file":{{"file_data":"data:application/pdf;base64,{0}"}}}},
        {{"type":"file","file":{{"file_id":"f"}}}}]}},
        {{"role":"assistant","content":"x","images":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{0}"}}}}]}}"#,
        "A".repeat(100_000)
    );
    let seen = look(&messages(&parts)).unwrap();
    assert!(seen.prompt_bytes < 1000, "{}", seen.prompt_bytes);
    let Media { images, references, file_bytes, audio_bytes } = seen.media;
    assert_eq!((images, references, audio_bytes), (3, 1, 100_002));
    assert!((100_000..100_100).contains(&file_bytes));
    let lists =
        [r#"[{"type":"function","function":{"name":"f"}}]"#, r#"[{"name":"g"}]"#, r#"{"type":"text"}"#];
    let [tools, functions, format] = lists;
    let all = with(&format!(r#""tools":{tools},"functions":{functions},"response_format":{format}"#));
    let tools = look(&all).unwrap().prompt_bytes;
    let bare = look(&with(r#""x":1"#)).unwrap().prompt_bytes;
    assert_eq!(tools - bare, lists.concat().len() as u64, "tools, functions and format as they are written");
    let wide = look(&messages(r#"{"role":"user","content":"é"}"#)).unwrap();
    assert_eq!(wide.prompt_bytes, plain.prompt_bytes + 2);
}

#[test]
fn the_end_user_is_kept_up_to_128_bytes_and_choices_are_one_unless_said() {
    let seen = look(&with(r#""user":"ann","n":3"#)).unwrap();
    assert_eq!((seen.end_user.as_deref(), seen.n), (Some("ann"), 3));
    let long = format!(r#""user":"{}""#, "é".repeat(100));
    assert_eq!(look(&with(&long)).unwrap().end_user.map(|name| name.len()), Some(128));
    let none = look(&with(r#""user":"","n":null"#)).unwrap();
    assert_eq!((none.end_user, none.n), (None, 1));
}

#[test]
fn c12_the_smallest_change_asks_for_usage() {
    let place = |more: &str| {
        let body = with(more);
        let edit = look(&body).unwrap().places.usage?;
        let mut edited = body.clone();
        edited.replace_range(edit.span, edit.text);
        let json: serde_json::Value = serde_json::from_str(&edited).unwrap();
        assert_eq!(json["stream_options"]["include_usage"], true, "{edited}");
        let mut without = json.clone();
        without.as_object_mut().unwrap().remove("stream_options");
        let mut asked: serde_json::Value = serde_json::from_str(&body).unwrap();
        asked.as_object_mut().unwrap().remove("stream_options");
        assert_eq!(without, asked, "nothing else changes");
        Some(json["stream_options"].as_object().unwrap().len())
    };
    assert_eq!(place(r#""stream":true"#), Some(1));
    assert_eq!(place(r#""stream":true,"stream_options":null"#), Some(1));
    assert_eq!(place(r#""stream":true,"stream_options":{ }"#), Some(1));
    assert_eq!(place(r#""stream":true,"stream_options":{"include_usage":false}"#), Some(1));
    assert_eq!(place(r#""stream_options":{"include_usage":null,"x":1},"stream":true"#), Some(2));
    assert_eq!(place(r#""stream":true,"stream_options":{"include_obfuscation":false}"#), Some(2));
    assert_eq!(place(r#""stream":true,"stream_options":{"include_usage":true}"#), None);
    assert_eq!(place(r#""stream":false"#), None);
    assert_eq!(place(r#""x":1"#), None);
}

#[test]
fn caps_are_found_where_they_stand_nulls_too() {
    let body = with(r#""max_tokens":null,"max_completion_tokens": 1e2"#);
    let places = look(&body).unwrap().places;
    let found: Vec<_> =
        places.caps.iter().map(|cap| (cap.field, cap.value, &body[cap.span.clone()])).collect();
    assert_eq!(found, [("max_tokens", None, "null"), ("max_completion_tokens", Some(Tokens(100)), "1e2")]);
    assert_eq!(&body[..places.members], "{");
}
