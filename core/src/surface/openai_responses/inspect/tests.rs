use super::*;
use crate::surface::Follows;
use serde_json::json;

fn inspected(body: &str) -> Result<Envelope, Fault> {
    inspect(&Tape::parse(body.as_bytes()).unwrap())
}

fn blamed(body: serde_json::Value) -> String {
    inspected(&body.to_string()).unwrap_err().into_parts().param.unwrap()
}

#[test]
fn the_envelope_tells_what_routing_needs() {
    let body = r#"{"model":"gpt-x","input":"hi","stream":true,"max_output_tokens":50,"user":"ann","fallbacks":["a/b"]}"#;
    let envelope = inspected(body).unwrap();
    assert_eq!((envelope.model.as_str(), envelope.delivery), ("gpt-x", Delivery::Stream(UsageChunk::Wanted)));
    assert_eq!((envelope.max_tokens, envelope.end_user.as_deref()), (Some(Tokens(50)), Some("ann")));
    assert_eq!((envelope.fallbacks, envelope.cuts.len()), (vec!["a/b".to_owned()], 1));
    assert_eq!(envelope.places.caps[0].span, 64..66);
    assert!(envelope.places.uncapped.is_none());
    assert_eq!(envelope.conversation.unwrap().follows, Follows::FirstTurn);
}

#[test]
fn a_cap_is_written_where_none_is_and_in_place_of_null() {
    let place = |body: &str| inspected(body).unwrap().places.uncapped.map(|place| place.span);
    assert_eq!(place(r#"{"model":"m","input":"hi"}"#), Some(1..1));
    assert_eq!(place(r#"{"max_output_tokens":null,"model":"m","input":"hi"}"#), Some(21..25));
}

#[test]
fn a_later_turn_follows_its_conversation() {
    let turn = |body: &str| inspected(body).unwrap().conversation.unwrap();
    let first = turn(r#"{"model":"m","input":[{"role":"user","content":"hi"}],"instructions":"x"}"#);
    let later = turn(
        r#"{"model":"m","input":[{"role":"user","content":"hi"},{"role":"assistant","content":"a"},{"role":"user","content":"b"}],"instructions":"x"}"#,
    );
    assert_eq!(first.prefix, later.prefix);
    assert_eq!((first.follows, later.follows), (Follows::FirstTurn, Follows::Earlier));
    let kept = turn(r#"{"model":"m","input":"b","previous_response_id":"r"}"#);
    assert_eq!(kept.follows, Follows::Earlier);
}

#[test]
fn media_are_weighed_apart() {
    let data = "QUJD".repeat(1000);
    let envelope = inspected(&format!(
        r#"{{"model":"m","input":[{{"role":"user","content":[{{"type":"input_image","image_url":"data:image/png;base64,{data}"}},{{"type":"input_file","file_data":"{data}"}},{{"type":"input_file","file_id":"f"}}]}}]}}"#
    ))
    .unwrap();
    assert!(envelope.prompt_bytes < 300, "{}", envelope.prompt_bytes);
    assert_eq!((envelope.media.images, envelope.media.references), (1, 1));
    assert_eq!(envelope.media.file_bytes, 4002);
}

#[test]
fn what_no_provider_could_make_sense_of_is_refused_by_path() {
    let item =
        |item: serde_json::Value| json!({"model": "m", "input": [{"role": "user", "content": "hi"}, item]});
    for (body, path) in [
        (json!({"input": "hi"}), "model"),
        (json!({"model": "", "input": "hi"}), "model"),
        (json!({"model": "m"}), "input"),
        (json!({"model": "m", "input": 7}), "input"),
        (json!({"model": "m", "input": []}), "input"),
        (item(json!("x")), "input[1]"),
        (item(json!({"id": "x"})), "input[1].type"),
        (item(json!({"role": "robot", "content": "x"})), "input[1].role"),
        (item(json!({"role": "user"})), "input[1].content"),
        (item(json!({"role": "user", "content": [{"type": "input_text"}]})), "input[1].content[0].text"),
        (
            item(json!({"role": "user", "content": [{"type": "input_image", "image_url": {"url": "x"}}]})),
            "input[1].content[0].image_url",
        ),
        (
            item(json!({"role": "user", "content": [{"type": "input_image"}]})),
            "input[1].content[0].image_url",
        ),
        (
            item(json!({"role": "user", "content": [{"type": "input_file", "filename": "x"}]})),
            "input[1].content[0].file_data",
        ),
        (item(json!({"type": "function_call", "name": "f", "arguments": "{}"})), "input[1].call_id"),
        (
            item(json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": {}})),
            "input[1].arguments",
        ),
        (item(json!({"type": "function_call_output", "call_id": "c", "output": "x"})), "input[1].call_id"),
        (item(json!({"type": "reasoning", "summary": [{"text": 1}]})), "input[1].summary[0].text"),
        (item(json!({"type": "item_reference"})), "input[1].id"),
        (json!({"model": "m", "input": "hi", "tools": [{"type": "function"}]}), "tools[0].name"),
        (
            json!({"model": "m", "input": "hi", "tools": [{"type": "function", "name": "f", "parameters": 1}]}),
            "tools[0].parameters",
        ),
        (json!({"model": "m", "input": "hi", "tool_choice": {"type": "function"}}), "tool_choice.name"),
        (
            json!({"model": "m", "input": "hi", "text": {"format": {"type": "json_schema", "name": "x"}}}),
            "text.format.schema",
        ),
        (json!({"model": "m", "input": "hi", "reasoning": {"effort": 1}}), "reasoning.effort"),
        (json!({"model": "m", "input": "hi", "max_output_tokens": -1}), "max_output_tokens"),
        (json!({"model": "m", "input": "hi", "include": ["a", 1]}), "include[1]"),
        (json!({"model": "m", "input": "hi", "background": 1}), "background"),
    ] {
        assert_eq!(blamed(body.clone()), path, "{body}");
    }
}

#[test]
fn what_the_provider_keeps_need_not_be_repeated() {
    for body in [
        r#"{"model":"m","previous_response_id":"r","input":[{"type":"function_call_output","call_id":"c","output":"x"}]}"#,
        r#"{"model":"m","input":[{"type":"item_reference","id":"fc_1"},{"type":"function_call_output","call_id":"c","output":"x"}]}"#,
        r#"{"model":"m","prompt":{"id":"p"}}"#,
        r#"{"model":"m","input":[{"type":"compaction","encrypted_content":"x"},{"type":"function_call_output","call_id":"c","output":"x"}]}"#,
        r#"{"model":"m","input":"hi","background":true}"#,
        r#"{"model":"m","input":[{"type":"something_new"}],"tools":[{"type":"something_new"}],"new":1}"#,
    ] {
        assert!(inspected(body).is_ok(), "{body}");
    }
}

#[test]
fn h11_what_an_account_has_made_is_found_and_what_others_have_made_is_cut() {
    let [own, other] = ["a", "b"].map(|key| Maker::of("azure", key));
    let marks = [own, other].map(|maker| format!("tollgate-{maker:?}"));
    let body =
        json!({"model": "m", "previous_response_id": format!("resp_1-{}", marks[0]), "fallbacks": ["x/y"],
        "input": [{"role": "user", "content": "hi"},
            {"type": "reasoning", "summary": [], "encrypted_content": format!("{}.gAAA", marks[0])},
            {"type": "compaction", "encrypted_content": format!("{}.gBBB", marks[1])},
            {"type": "reasoning", "summary": [], "encrypted_content": "gCCC"},
            {"type": "reasoning", "summary": [], "encrypted_content": "tollgate:gemini:call:x"}]})
        .to_string();
    let made = inspected(&body).unwrap().places.made;
    let found: Vec<_> = made.iter().map(|made| (made.pin, &body[made.mark.clone()])).collect();
    let [first, second] = [&marks[0], &marks[1]].map(|mark| format!("{mark}."));
    let last = format!("-{}", marks[0]);
    assert_eq!(
        found,
        [
            (Pin { maker: own, need: Need::Wish }, first.as_str()),
            (Pin { maker: other, need: Need::Must }, second.as_str()),
            (Pin { maker: own, need: Need::Must }, last.as_str()),
        ]
    );
    let kept = |to| {
        let Unfit { cuts, lost } = unfit(body.as_bytes(), to);
        let mut kept = body.clone();
        cuts.iter().rev().for_each(|cut| kept.replace_range(cut.clone(), ""));
        let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
        assert!(kept.get("fallbacks").is_none());
        let kinds = kept["input"].as_array().unwrap().iter().map(|item| item["encrypted_content"].clone());
        (kinds.map(|text| text.as_str().map_or(0, |text| text.len())).collect::<Vec<_>>(), lost)
    };
    let marked = first.len() + 4;
    assert_eq!(kept(own), (vec![0, marked, 4], vec!["input[2]".to_owned()]));
    assert_eq!(kept(other), (vec![0, marked, 4], vec!["input[1]".to_owned()]));
    assert_eq!(
        inspected(r#"{"model":"m","input":"tollgate-0123456i. says nothing"}"#).unwrap().places.made,
        []
    );
}
