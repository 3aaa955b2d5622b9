use super::*;
use crate::call::{Format, Part, Role, ToolChoice};
use crate::surface::{Asked, Surface, openai_chat::OpenAiChat};
use serde_json::json;

fn call(message: Value) -> Call {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}, message]});
    parse(body.to_string().as_bytes(), None).unwrap()
}

fn refused(body: Value) -> String {
    parse(body.to_string().as_bytes(), None).unwrap_err().into_parts().param.unwrap()
}

#[test]
fn what_is_rendered_is_accepted_back() {
    let proof = |origin, value: &str| crate::call::Signature { origin, value: value.into() };
    let parts = vec![
        Part::Thinking(crate::call::Thinking {
            text: "hm".into(),
            signature: Some(proof(Dialect::Anthropic, "s")),
            sealed: None,
        }),
        Part::Thinking(crate::call::Thinking {
            sealed: Some(proof(Dialect::Anthropic, "d")),
            ..Default::default()
        }),
        Part::Text(crate::call::Text {
            signature: Some(proof(Dialect::Gemini, "t")),
            ..crate::call::Text::new("yes")
        }),
        Part::Opaque(crate::call::Opaque {
            origin: Dialect::Anthropic,
            value: json!({"type": "server_tool_use", "id": "x"}),
        }),
        Part::ToolCall(crate::call::ToolCall {
            id: "a".into(),
            name: "f".into(),
            arguments: "{}".into(),
            signature: Some(proof(Dialect::Gemini, "g")),
            cache: None,
        }),
    ];
    let choice = crate::reply::Choice { parts: parts.clone(), ..Default::default() };
    let reply = crate::reply::Reply { choices: vec![choice], ..Default::default() };
    let asked = Asked {
        client: crate::surface::Client::Usual,
        model: "m".into(),
        request_id: "r".into(),
        now_secs: 1,
        usage: UsageChunk::Unwanted,
        framing: Default::default(),
        body: Default::default(),
    };
    let answer: Value = serde_json::from_slice(&OpenAiChat.render(&reply, &asked)).unwrap();
    let back = call(answer["choices"][0]["message"].clone());
    assert_eq!(back.messages[1].parts, parts);
    assert!(back.messages[1].extras.is_empty());
}

#[test]
fn a_tool_result_knows_its_functions_name() {
    let body = json!({"model": "m", "messages": [
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "r"}]},
    ]});
    let call = parse(body.to_string().as_bytes(), None).unwrap();
    let Part::ToolResult(result) = &call.messages[1].parts[0] else { panic!() };
    assert_eq!((result.name.as_deref(), call.messages[1].name.as_deref()), (Some("f"), None));
    let Part::ToolCall(asked) = &call.messages[0].parts[0] else { panic!() };
    assert_eq!(asked.arguments, "{\"x\": 1}");
}

#[test]
fn the_older_function_fields_mean_the_same() {
    let body = json!({"model": "m", "functions": [{"name": "f", "parameters": {}}], "function_call": {"name": "f"}, "messages": [
        {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "r"},
    ]});
    let call = parse(body.to_string().as_bytes(), None).unwrap();
    assert_eq!((call.tools.len(), call.tool_choice), (1, Some(ToolChoice::Named("f".into()))));
    let (Part::ToolCall(asked), Part::ToolResult(result)) =
        (&call.messages[0].parts[0], &call.messages[1].parts[0])
    else {
        panic!()
    };
    assert_eq!((&asked.id, call.messages[1].role), (&result.call_id, Role::Tool));
}

#[test]
fn h8_nulls_are_absent_and_unknown_fields_are_kept() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "new": 1}], "also": 2}],
        "temperature": null, "unknown": null, "more": 3, "fallbacks": ["x"]});
    let call = parse(body.to_string().as_bytes(), None).unwrap();
    assert_eq!(Value::Object(call.extras), json!({"more": 3}));
    assert_eq!(Value::Object(call.messages[0].extras.clone()), json!({"also": 2, "content[0].new": 1}));
}

#[test]
fn choices_among_tools_are_read_in_all_forms() {
    let choice = |value: Value| {
        let body =
            json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tool_choice": value});
        parse(body.to_string().as_bytes(), None).unwrap().tool_choice
    };
    assert_eq!(choice(json!("any")), Some(ToolChoice::Required));
    let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}});
    assert_eq!(choice(allowed), Some(ToolChoice::Allowed { required: true, names: vec!["f".into()] }));
    assert_eq!(choice(json!({"type": "custom", "custom": {"name": "c"}})), None);
}

#[test]
fn an_error_names_the_path() {
    let user = json!([{"role": "user", "content": "hi"}]);
    for (body, path) in [
        (
            json!({"model": "m", "messages": user, "response_format": {"type": "json_schema"}}),
            "response_format.json_schema",
        ),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}),
            "messages[0].content[0].image_url.url",
        ),
        (
            json!({"model": "m", "messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]}),
            "messages[0].tool_calls[0].function",
        ),
        (json!({"model": "m", "messages": user, "tool_choice": "sometimes"}), "tool_choice"),
        (json!({"model": "m", "messages": user, "stop": 1}), "stop"),
    ] {
        assert_eq!(refused(body), path);
    }
}

#[test]
fn a_schema_is_kept_verbatim() {
    let schema = json!({"z": 1, "a": {"$ref": "#/x"}});
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}}});
    let call = parse(body.to_string().as_bytes(), None).unwrap();
    let Some(Format::JsonSchema(read)) = call.output.format else { panic!() };
    assert_eq!((read.schema.to_string(), read.strict), (schema.to_string(), Some(true)));
}

#[test]
fn empty_notes_on_an_answer_that_is_repeated_say_nothing() {
    let back = call(json!({"role": "assistant", "content": "a", "annotations": [], "refusal": null}));
    assert!(back.messages[1].extras.is_empty());
    let noted = call(json!({"role": "assistant", "content": "a", "annotations": [{"type": "url_citation"}]}));
    assert!(noted.messages[1].extras.contains_key("annotations"));
}
