//! Facts about encoding.

use super::*;
use crate::call::{
    CacheMark, Document, DocumentBody, Effort, Format, Image, JsonSchema, LogProbs, MediaSource, Opaque,
    ParallelTools, Reasoning, Signature, Thinking, Tool, ToolCall, ToolChoice, ToolFunction, ToolResult,
    UsageChunk,
};
use crate::fault::Code;
use crate::provider::Purpose;
use crate::units::Tokens;
use crate::vendor::Vendor;
use serde_json::json;

fn asks(id: &str, name: &str, signature: Option<&str>) -> Part {
    let signature = signature.map(|value| Signature { origin: Dialect::Gemini, value: value.to_owned() });
    Part::ToolCall(ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: r#"{"x": 1.0}"#.to_owned(),
        signature,
        cache: None,
    })
}

fn says(id: &str, words: &str) -> Message {
    let parts = vec![Part::Text(Text::new(words))];
    let result = ToolResult { call_id: id.to_owned(), name: None, parts, failed: None, cache: None };
    message(Role::Tool, vec![Part::ToolResult(result)])
}

fn function(name: &str) -> ToolFunction {
    ToolFunction {
        name: name.to_owned(),
        description: None,
        parameters: Some(json!({"type": "object", "properties": {"x": {"type": "number"}}})),
        strict: None,
        cache: None,
        extras: Extras::new(),
    }
}

fn image(source: MediaSource) -> Call {
    call(vec![message(Role::User, vec![Part::Image(Image { source, detail: None, cache: None })])])
}

fn link(url: &str) -> MediaSource {
    MediaSource::Url { url: url.to_owned(), media_type: None }
}

#[test]
fn the_method_follows_the_delivery() {
    let whole = Gemini.endpoint(&target("models/gemini-2.5-flash"), Purpose::chat(Delivery::Whole)).unwrap();
    assert_eq!(whole.path, "/models/gemini-2.5-flash:generateContent");
    let stream = Gemini
        .endpoint(&target("gemini-2.5-flash"), Purpose::chat(Delivery::Stream(UsageChunk::Wanted)))
        .unwrap();
    assert_eq!(stream.path, "/models/gemini-2.5-flash:streamGenerateContent?alt=sse");
}

#[test]
fn c14_instructions_stay_where_they_stood_and_equal_roles_join_without_joining_texts() {
    let call = call(vec![
        text(Role::System, "a"),
        text(Role::User, "b"),
        text(Role::User, "c"),
        text(Role::Developer, "d"),
        text(Role::Assistant, "e"),
    ]);
    assert_eq!(
        body(&call, "gemini-2.5-flash"),
        json!({
            "contents": [
                {"role": "user", "parts": [{"text": "b"}, {"text": "c"}, {"text": "<system>\nd\n</system>"}]},
                {"role": "model", "parts": [{"text": "e"}]}
            ],
            "systemInstruction": {"parts": [{"text": "a"}]}
        })
    );
    assert_eq!(encoded(&call, "gemini-2.5-flash").lost, ["messages[3].role"]);
}

#[test]
fn contents_begin_with_the_user_and_are_never_empty() {
    let blank = json!({"role": "user", "parts": [{"text": " "}]});
    assert_eq!(body(&call(vec![text(Role::System, "a")]), "m")["contents"], json!([blank]));
    let model_first = body(&call(vec![text(Role::Assistant, "a")]), "m");
    assert_eq!(model_first["contents"][0], blank);
    assert_eq!(body(&call(vec![text(Role::User, "")]), "m")["contents"], json!([blank]));
}

#[test]
fn h5_responses_stand_in_the_order_of_the_calls_and_alone() {
    let call = call(vec![
        text(Role::User, "go"),
        message(Role::Assistant, vec![asks("call_1", "f", None), asks("call_2", "g", None)]),
        says("call_2", "two"),
        says("call_1", r#"{"n": 1e2}"#),
        text(Role::User, "and now"),
    ]);
    let contents = &body(&call, "gemini-2.5-flash")["contents"];
    assert_eq!(
        contents[1]["parts"][0],
        json!({"functionCall": {"name": "f", "args": {"x": serde_json::from_str::<Value>("1.0").expect("number")}}})
    );
    assert_eq!(
        contents[2],
        json!({"role": "user", "parts": [
            {"functionResponse": {"name": "f", "response": serde_json::from_str::<Value>(r#"{"n": 1e2}"#).expect("object")}},
            {"functionResponse": {"name": "g", "response": {"output": "two"}}}
        ]})
    );
    assert_eq!(contents[3]["parts"], json!([{"text": "and now"}]));
}

#[test]
fn a_failed_result_is_an_error_object() {
    let failed = ToolResult {
        call_id: "call_1".to_owned(),
        name: None,
        parts: vec![Part::Text(Text::new("boom"))],
        failed: Some(true),
        cache: None,
    };
    let call = call(vec![
        text(Role::User, "go"),
        message(Role::Assistant, vec![asks("call_1", "f", None)]),
        message(Role::Tool, vec![Part::ToolResult(failed)]),
    ]);
    let response = &body(&call, "m")["contents"][2]["parts"][0]["functionResponse"];
    assert_eq!(*response, json!({"name": "f", "response": {"error": "boom"}}));
}

#[test]
fn a_tool_result_without_its_call_is_refused_by_field() {
    let call = call(vec![text(Role::User, "go"), says("call_9", "x")]);
    assert_eq!(refused(&call, "m").param.as_deref(), Some("messages[1].tool_call_id"));
}

#[test]
fn a_call_without_its_result_is_refused_by_field_unless_it_is_the_last_word() {
    let asked = vec![text(Role::User, "go"), message(Role::Assistant, vec![asks("call_1", "f", None)])];
    let mut more = asked.clone();
    more.push(text(Role::User, "well?"));
    assert_eq!(refused(&call(more), "m").param.as_deref(), Some("messages[1].tool_calls[0]"));
    encoded(&call(asked), "m");
}

#[test]
fn ids_go_back_only_where_gemini_gave_them() {
    let turn = |first: Part| {
        let id = if let Part::ToolCall(call) = &first { call.id.clone() } else { String::new() };
        call(vec![text(Role::User, "go"), message(Role::Assistant, vec![first]), says(&id, "x")])
    };
    let theirs = body(&turn(asks("x8i00o1q", "f", Some("sig"))), "gemini-3-flash");
    assert_eq!(theirs["contents"][1]["parts"][0]["functionCall"]["id"], "x8i00o1q");
    assert_eq!(theirs["contents"][2]["parts"][0]["functionResponse"]["id"], "x8i00o1q");
    for ours in [asks("call_r_0", "f", Some("sig")), asks("toolu_1", "f", None)] {
        let body = body(&turn(ours), "gemini-3-flash");
        assert_eq!(body["contents"][1]["parts"][0]["functionCall"].get("id"), None);
        assert_eq!(body["contents"][2]["parts"][0]["functionResponse"].get("id"), None);
    }
}

#[test]
fn a_signature_stays_on_its_part_and_a_missing_one_is_waived_from_three_on() {
    let turn = |signature| {
        call(vec![
            text(Role::User, "go"),
            message(Role::Assistant, vec![asks("call_1", "f", signature), asks("call_2", "g", None)]),
        ])
    };
    let parts = |call: &Call, model: &str| body(call, model)["contents"][1]["parts"].clone();
    let signed = parts(&turn(Some("sig")), "gemini-3-flash");
    assert_eq!((&signed[0]["thoughtSignature"], signed[1].get("thoughtSignature")), (&json!("sig"), None));
    let waived = parts(&turn(None), "gemini-3-flash");
    let waiver = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";
    assert_eq!((&waived[0]["thoughtSignature"], waived[1].get("thoughtSignature")), (&json!(waiver), None));
    assert_eq!(parts(&turn(None), "gemini-2.5-flash")[0].get("thoughtSignature"), None);
}

#[test]
fn thoughts_of_the_history_are_not_sent_but_their_proof_is() {
    let sign = |origin| Some(Signature { origin, value: "sig".to_owned() });
    let thought = |signature| Part::Thinking(Thinking { text: "hm".to_owned(), signature, sealed: None });
    let call = call(vec![
        text(Role::User, "go"),
        message(
            Role::Assistant,
            vec![thought(None), thought(sign(Dialect::Gemini)), thought(sign(Dialect::Anthropic))],
        ),
    ]);
    let encoded = encoded(&call, "gemini-3-flash");
    let body: Value = serde_json::from_slice(&encoded.body).expect("is JSON");
    let proof = json!([{"text": "", "thought": true, "thoughtSignature": "sig"}]);
    assert_eq!(body["contents"][1]["parts"], proof);
    assert_eq!(encoded.lost, ["messages[1].content[2]"]);
}

#[test]
fn media_are_inline_or_files_and_other_addresses_are_refused_by_field() {
    let inline = MediaSource::Inline { media_type: "image/png".to_owned(), data: "AAAA".to_owned() };
    let part = |source| body(&image(source), "m")["contents"][0]["parts"][0].clone();
    assert_eq!(part(inline), json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}));
    let video = "https://www.youtube.com/watch?v=1";
    assert_eq!(part(link(video)), json!({"fileData": {"fileUri": video}}));
    let fault = refused(&image(link("https://example.com/cat.png")), "m");
    assert_eq!(
        (fault.code, fault.param.as_deref()),
        (Code::Unsupported, Some("messages[0].content[0].image_url"))
    );
}

#[test]
fn vertex_fetches_any_address() {
    let vendor = Vendor { name: "vertex", ..target("m").vendor.clone() };
    let target = Target { vendor: &vendor, model: "m" };
    let encoded = Gemini.encode(&image(link("https://example.com/cat.PNG?x")), &target).expect("encodes");
    let body: Value = serde_json::from_slice(&encoded.body).expect("is JSON");
    let file = json!({"mimeType": "image/png", "fileUri": "https://example.com/cat.PNG?x"});
    assert_eq!(body["contents"][0]["parts"][0]["fileData"], file);
}

#[test]
fn a_text_document_is_text() {
    let document = Document {
        body: DocumentBody::Text(Text::new("words")),
        title: None,
        about: None,
        citations: None,
        cache: None,
    };
    let body = body(&call(vec![message(Role::User, vec![Part::Document(document)])]), "m");
    assert_eq!(body["contents"][0]["parts"], json!([{"text": "words"}]));
}

#[test]
fn tools_and_formats_take_the_schema_form_of_the_model() {
    let mut call = call(vec![text(Role::User, "go")]);
    let mut none = function("none");
    none.parameters = Some(json!({"type": "object", "properties": {}, "additionalProperties": false}));
    call.tools = vec![Tool::Function(function("f")), Tool::Function(none)];
    let new = body(&call, "gemini-2.5-flash");
    let schema = json!({"type": "object", "properties": {"x": {"type": "number"}}});
    assert_eq!(
        new["tools"],
        json!([{"functionDeclarations": [{"name": "f", "parametersJsonSchema": schema}, {"name": "none"}]}])
    );
    let old = body(&call, "gemini-2.0-flash");
    let schema = json!({"type": "OBJECT", "properties": {"x": {"type": "NUMBER"}}});
    assert_eq!(old["tools"][0]["functionDeclarations"][0]["parameters"], schema);
}

#[test]
fn a_json_schema_is_carried_and_lost_beside_tools_before_three() {
    let mut call = call(vec![text(Role::User, "go")]);
    let schema = json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}});
    let format =
        JsonSchema { name: Some("n".to_owned()), description: None, schema: schema.clone(), strict: None };
    call.output.format = Some(Format::JsonSchema(format));
    let config = body(&call, "gemini-2.5-flash")["generationConfig"].clone();
    assert_eq!(config, json!({"responseMimeType": "application/json", "responseJsonSchema": schema}));
    let config = body(&call, "gemini-2.0-flash")["generationConfig"].clone();
    assert_eq!(config["responseSchema"]["properties"]["a"], json!({"type": "STRING", "nullable": true}));
    call.tools = vec![Tool::Function(function("f"))];
    assert_eq!(encoded(&call, "gemini-2.5-flash").lost, ["response_format"]);
    assert!(encoded(&call, "gemini-3-flash").lost.is_empty());
}

#[test]
fn every_choice_of_tools_has_its_mode() {
    let names = || vec!["f".to_owned()];
    for (choice, config) in [
        (ToolChoice::Auto, json!({"mode": "AUTO"})),
        (ToolChoice::None, json!({"mode": "NONE"})),
        (ToolChoice::Required, json!({"mode": "ANY"})),
        (ToolChoice::Named("f".to_owned()), json!({"mode": "ANY", "allowedFunctionNames": ["f"]})),
        (
            ToolChoice::Allowed { required: true, names: names() },
            json!({"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ),
        (
            ToolChoice::Allowed { required: false, names: names() },
            json!({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
        ),
    ] {
        let mut call = call(vec![text(Role::User, "go")]);
        call.tools = vec![Tool::Function(function("f"))];
        call.tool_choice = Some(choice);
        assert_eq!(body(&call, "gemini-2.5-flash")["toolConfig"], json!({"functionCallingConfig": config}));
    }
}

#[test]
fn a_strict_function_is_validated_and_no_function_means_no_config() {
    let mut call = call(vec![text(Role::User, "go")]);
    call.tools = vec![Tool::Function(ToolFunction { strict: Some(true), ..function("f") })];
    assert_eq!(body(&call, "gemini-2.5-flash")["toolConfig"]["functionCallingConfig"]["mode"], "VALIDATED");
    assert_eq!(encoded(&call, "gemini-2.0-flash").lost, ["tools[0].function.strict"]);
    call.tools = vec![Tool::Hosted(Opaque { origin: Dialect::Gemini, value: json!({"googleSearch": {}}) })];
    call.tool_choice = Some(ToolChoice::Required);
    let encoded = encoded(&call, "gemini-2.5-flash");
    let body: Value = serde_json::from_slice(&encoded.body).expect("is JSON");
    assert_eq!((&body["tools"], body.get("toolConfig")), (&json!([{"googleSearch": {}}]), None));
    assert_eq!(encoded.lost, ["tool_choice"]);
}

#[test]
fn sampling_keeps_the_spelling_of_numbers() {
    let number = |text: &str| serde_json::from_str(text).expect("a number");
    let mut call = call(vec![text(Role::User, "go")]);
    call.sampling = Sampling {
        temperature: Some(number("1.0")),
        top_p: Some(number("0.90")),
        top_k: Some(number("40")),
        seed: Some(number("7")),
        presence_penalty: Some(number("-1")),
        frequency_penalty: Some(number("2")),
        logit_bias: None,
        stop: vec!["a".to_owned()],
        n: Some(2),
        logprobs: Some(LogProbs { top: Some(3) }),
    };
    call.output.max_tokens = Some(Tokens(9));
    call.output.modalities = vec!["text".to_owned(), "image".to_owned()];
    let body = encoded(&call, "gemini-2.5-flash").body;
    let expected = concat!(
        r#""generationConfig":{"temperature":1.0,"topP":0.90,"topK":40,"seed":7,"presencePenalty":-1,"#,
        r#""frequencyPenalty":2,"stopSequences":["a"],"candidateCount":2,"responseLogprobs":true,"logprobs":3,"#,
        r#""maxOutputTokens":9,"responseModalities":["TEXT","IMAGE"]}"#
    );
    assert!(String::from_utf8_lossy(&body).contains(expected), "{}", String::from_utf8_lossy(&body));
}

#[test]
fn more_than_five_stop_texts_are_refused_by_field() {
    let mut call = call(vec![text(Role::User, "go")]);
    call.sampling.stop = vec!["a".to_owned(); 6];
    assert_eq!(refused(&call, "m").param.as_deref(), Some("stop"));
}

#[test]
fn what_cannot_be_carried_is_named_once_and_in_order() {
    let mut call = call(vec![text(Role::User, "go")]);
    let mark = CacheMark { ttl: None, extras: Extras::new() };
    if let Part::Text(text) = &mut call.messages[0].parts[0] {
        text.cache = Some(mark.clone());
    }
    call.messages[0].name = Some("bob".to_owned());
    call.parallel_tools = Some(ParallelTools::Forbidden);
    call.sampling.logit_bias = Some(json!({}));
    call.sampling.seed = serde_json::from_str("9999999999").ok();
    call.output.verbosity = Some("low".to_owned());
    call.output.prediction = Some(json!({}));
    call.reasoning = Some(Reasoning { effort: Some(Effort::Max), ..Reasoning::default() });
    call.attribution.user = Some("u".to_owned());
    call.attribution.metadata = Some(json!({}));
    call.attribution.service_tier = Some("scale".to_owned());
    call.cache = Some(mark);
    call.extras = Extras::from_iter([("web_search_options".to_owned(), json!({}))]);
    assert_eq!(
        encoded(&call, "gemini-3-flash").lost,
        [
            "messages[0].name",
            "messages[0].content[0].cache_control",
            "parallel_tool_calls",
            "logit_bias",
            "seed",
            "verbosity",
            "prediction",
            "reasoning_effort",
            "user",
            "metadata",
            "service_tier",
            "cache_control",
            "web_search_options",
        ]
    );
}

#[test]
fn its_own_extras_go_verbatim_and_join_what_is_there() {
    let mut call = call(vec![text(Role::User, "go")]);
    call.origin = Dialect::Gemini;
    call.output.max_tokens = Some(Tokens(9));
    call.extras = Extras::from_iter([
        ("safetySettings".to_owned(), json!([{"category": "C", "threshold": "T"}])),
        ("generationConfig".to_owned(), json!({"mediaResolution": "LOW", "maxOutputTokens": 1})),
    ]);
    let encoded = encoded(&call, "m");
    let body: Value = serde_json::from_slice(&encoded.body).expect("is JSON");
    assert_eq!(body["safetySettings"], json!([{"category": "C", "threshold": "T"}]));
    assert_eq!(body["generationConfig"], json!({"maxOutputTokens": 9, "mediaResolution": "LOW"}));
    assert!(encoded.lost.is_empty());
}

#[test]
fn the_tier_is_carried_on_ai_studio() {
    for (tier, sent) in [("flex", Some("flex")), ("priority", Some("priority")), ("auto", None)] {
        let mut call = call(vec![text(Role::User, "go")]);
        call.attribution.service_tier = Some(tier.to_owned());
        assert_eq!(body(&call, "m").get("serviceTier").and_then(Value::as_str), sent);
    }
}

#[test]
fn arguments_that_are_no_object_are_refused_by_field() {
    let mut asked = asks("call_1", "f", None);
    if let Part::ToolCall(call) = &mut asked {
        call.arguments = "[1]".to_owned();
    }
    let fault = refused(&call(vec![message(Role::Assistant, vec![asked])]), "m");
    assert_eq!(fault.param.as_deref(), Some("messages[0].tool_calls[0].function.arguments"));
}

#[test]
fn pictures_from_a_tool_stand_in_the_response_from_three_on_and_after_it_before() {
    let source = MediaSource::Inline { media_type: "image/png".to_owned(), data: "AAAA".to_owned() };
    let parts = vec![Part::Image(Image { source, detail: None, cache: None })];
    let result = ToolResult { call_id: "call_1".to_owned(), name: None, parts, failed: None, cache: None };
    let call = call(vec![
        text(Role::User, "go"),
        message(Role::Assistant, vec![asks("call_1", "f", None)]),
        message(Role::Tool, vec![Part::ToolResult(result)]),
    ]);
    let picture = json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}});
    let new = body(&call, "gemini-3-flash");
    assert_eq!(new["contents"][2]["parts"][0]["functionResponse"]["parts"], json!([picture]));
    let old = body(&call, "gemini-2.5-flash");
    assert_eq!(old["contents"][3], json!({"role": "user", "parts": [picture]}));
}

#[test]
fn k20_equal_calls_are_equal_bytes() {
    let call = call(vec![text(Role::System, "s"), text(Role::User, "go")]);
    assert_eq!(encoded(&call, "gemini-3-flash").body, encoded(&call.clone(), "gemini-3-flash").body);
}
