use super::*;
use crate::call::{
    DocumentBody, Effort, Format, LogProbs, MediaSource, Message, Part, Reasoning, ReasoningMode,
    ReasoningShown, Role, Tool, ToolChoice,
};
use crate::units::Tokens;
use serde_json::json;

fn line() -> RequestLine {
    RequestLine { model: Some("models/m-1".to_owned()), ..RequestLine::default() }
}

fn parsed(body: Value) -> Call {
    generate(body.to_string().as_bytes(), &line(), Delivery::Whole).unwrap()
}

fn refused(body: Value) -> String {
    generate(body.to_string().as_bytes(), &line(), Delivery::Whole).unwrap_err().into_parts().param.unwrap()
}

fn said(contents: Value) -> Vec<Message> {
    parsed(json!({ "contents": contents })).messages
}

#[test]
fn both_spellings_and_one_alone_are_read_alike() {
    let camel = json!({
        "systemInstruction": {"parts": [{"text": "rules"}]},
        "contents": [{"role": "user", "parts": [{"text": "hi"}, {"inlineData": {"mimeType": "image/PNG", "data": "aGk="}}]}],
        "generationConfig": {"maxOutputTokens": 7, "stopSequences": ["x"], "topP": 0.5, "responseMimeType": "application/json"},
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}],
    });
    let snake = json!({
        "system_instruction": {"parts": {"text": "rules"}},
        "contents": {"role": "user", "parts": [{"text": "hi"}, {"inline_data": {"mime_type": "image/png", "data": "aGk"}}]},
        "generation_config": {"max_output_tokens": "7", "stop_sequences": "x", "top_p": 0.5, "response_mime_type": "application/json"},
        "tools": {"function_declarations": {"name": "f", "parameters": {"type": "OBJECT"}}},
    });
    let (camel, snake) = (parsed(camel), parsed(snake));
    assert_eq!(camel, snake);
    assert_eq!((camel.model.as_str(), camel.output.max_tokens), ("m-1", Some(Tokens(7))));
    assert_eq!(camel.output.format, Some(Format::JsonObject));
    assert_eq!(camel.system, [Part::Text(crate::call::Text::new("rules"))]);
    assert!(camel.extras.is_empty());
}

#[test]
fn calls_in_contents_that_follow_each_other_are_answered_together() {
    let messages = said(json!([
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f"}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "g"}}]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "f", "response": {}}},
            {"functionResponse": {"name": "g", "response": {}}},
        ]},
    ]));
    let mut called = Vec::new();
    let mut answered = Vec::new();
    for part in messages.iter().flat_map(|message| &message.parts) {
        if let Part::ToolCall(call) = part {
            called.push(call.id.as_str());
        }
        if let Part::ToolResult(result) = part {
            answered.push(result.call_id.as_str());
        }
    }
    assert_eq!((called.len(), &called), (2, &answered));
}

#[test]
fn responses_find_their_calls_by_id_or_by_name_and_order() {
    let messages = said(json!([
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [
            {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
            {"functionCall": {"name": "g"}},
            {"functionCall": {"name": "f", "id": "own"}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "f", "id": "own", "response": {"error": "no"}}},
            {"functionResponse": {"name": "f", "response": {"output": "yes"}}},
            {"functionResponse": {"name": "g", "response": {"n": [1]}, "parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}},
            {"text": "and?"},
        ]},
    ]));
    let ids = |message: &Message| -> Vec<String> {
        let id = |part: &Part| {
            let call = if let Part::ToolCall(call) = part { Some(call.id.clone()) } else { None };
            let result =
                if let Part::ToolResult(result) = part { Some(result.call_id.clone()) } else { None };
            call.or(result)
        };
        message.parts.iter().filter_map(id).collect()
    };
    assert_eq!(messages[1].role, Role::Assistant);
    assert_eq!(ids(&messages[1]), ["call_1_0", "call_1_1", "own"]);
    assert_eq!(ids(&messages[2]), ["own", "call_1_0", "call_1_1"]);
    let Part::ToolResult(failed) = &messages[2].parts[0] else { panic!("no result") };
    assert_eq!((failed.failed, failed.parts.len()), (Some(true), 1));
    let Part::ToolResult(object) = &messages[2].parts[2] else { panic!("no result") };
    assert_eq!(object.parts[0], Part::Text(crate::call::Text::new(r#"{"n":[1]}"#)));
    assert!(matches!(&object.parts[1], Part::Image(_)));
}

#[test]
fn a_response_without_a_call_is_refused_by_its_path() {
    let response = |id: Option<&str>| json!({"functionResponse": {"name": "f", "id": id, "response": {}}});
    let after = |parts: Value| json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}, {"role": "user", "parts": parts}]});
    assert_eq!(refused(after(json!([response(None)]))), "contents[1].parts[0].functionResponse.name");
    assert_eq!(refused(after(json!([response(Some("i"))]))), "contents[1].parts[0].functionResponse.id");
}

#[test]
fn thoughts_streamed_in_pieces_come_back_as_one() {
    let proof =
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "tollgate:anthropic:signed:SIG");
    let messages = said(json!([
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [
            {"text": "let ", "thought": true},
            {"text": "me", "thought": true},
            {"text": "", "thought": true, "thoughtSignature": proof},
            {"text": "done"},
        ]},
    ]));
    let Part::Thinking(thinking) = &messages[1].parts[2] else { panic!("{:?}", messages[1].parts) };
    let signature = thinking.signature.as_ref().unwrap();
    assert_eq!((thinking.text.as_str(), signature.origin), ("let me", Dialect::Anthropic));
    assert_eq!(signature.value, "SIG");
    assert_eq!(messages[1].parts.len(), 4, "what is lost keeps its number");
}

#[test]
fn media_are_told_apart_by_type_and_by_who_can_open_them() {
    let part = |part: Value| said(json!([{"parts": [part]}])).remove(0).parts.remove(0);
    let file = |kind: &str, uri: &str| part(json!({"fileData": {"mimeType": kind, "fileUri": uri}}));
    assert!(matches!(file("video/mp4", "https://youtu.be/x"), Part::Video(_)));
    assert!(matches!(file("audio/wav", "https://x.test/a"), Part::Audio(_)));
    let Part::Document(document) = file("application/pdf", "gs://bucket/a.pdf") else {
        panic!("no document")
    };
    let DocumentBody::Media(MediaSource::File { origin, .. }) = document.body else { panic!("no file") };
    assert_eq!(origin, Dialect::Gemini);
    let guessed = part(json!({"fileData": {"fileUri": "https://x.test/a.JPG?y"}}));
    assert!(matches!(guessed, Part::Image(image) if matches!(image.source, MediaSource::Url { .. })));
    let Part::Document(document) = part(json!({"inlineData": {"mimeType": "text/plain", "data": "-_8"}}))
    else {
        panic!("no document")
    };
    let DocumentBody::Media(MediaSource::Inline { data, .. }) = document.body else { panic!("not inline") };
    assert_eq!(data, "+/8=", "others know one alphabet only");
    assert_eq!(
        refused(
            json!({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "no base64!"}}]}]})
        ),
        "contents[0].parts[0].inlineData.data"
    );
}

#[test]
fn what_only_google_understands_is_kept_and_named_by_its_number() {
    let call = parsed(json!({
        "contents": [{"role": "model", "parts": [
            {"executableCode": {"language": "PYTHON", "code": "1"}},
            {"text": "a", "videoMetadata": {"fps": 1}, "xNew": 2},
            {"partMetadata": {"tollgate": {"dialect": "anthropic", "block": {"type": "server_tool_use"}}}, "text": ""},
        ]}],
        "safetySettings": [{"category": "c", "threshold": "t"}],
        "labels": {"a": "b"},
        "generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_LOW", "thinkingConfig": {"x": 1}},
        "toolConfig": {"retrievalConfig": {"languageCode": "de"}},
    }));
    let parts = &call.messages[0].parts;
    assert!(matches!(&parts[0], Part::Opaque(block) if block.origin == Dialect::Gemini));
    assert!(matches!(&parts[2], Part::Opaque(block) if block.origin == Dialect::Anthropic));
    let names: Vec<_> = call.messages[0].extras.keys().collect();
    assert_eq!(names, ["parts[1].videoMetadata", "parts[1].xNew"]);
    let names: Vec<_> = call.extras.keys().collect();
    assert_eq!(names, ["safetySettings", "labels", "generationConfig", "toolConfig"]);
    assert_eq!(call.extras["generationConfig"]["thinkingConfig"], json!({"x": 1}));
}

#[test]
fn every_setting_has_its_place() {
    let call = parsed(json!({
        "contents": [{"parts": [{"text": "x"}]}],
        "serviceTier": "FLEX",
        "store": false,
        "generationConfig": {
            "temperature": 0.5, "topK": 40, "seed": -3, "candidateCount": 2, "presencePenalty": 1, "frequencyPenalty": -1,
            "responseLogprobs": true, "logprobs": 5, "responseModalities": ["TEXT", "AUDIO"],
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
            "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 2048, "thinkingLevel": "HIGH"},
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT", "title": "A b", "properties": {"n": {"type": "INTEGER", "nullable": true}}, "propertyOrdering": ["n"]},
        },
    }));
    assert_eq!((call.sampling.n, call.sampling.logprobs), (Some(2), Some(LogProbs { top: Some(5) })));
    assert_eq!(call.sampling.seed, Some((-3).into()));
    assert_eq!(call.output.modalities, ["text", "audio"]);
    assert_eq!(call.output.audio, Some(json!({"voice": "Kore", "format": "pcm16"})));
    let reasoning = Reasoning {
        mode: ReasoningMode::On,
        effort: Some(Effort::High),
        budget: Some(Tokens(2048)),
        shown: Some(ReasoningShown::Summary),
    };
    assert_eq!(call.reasoning, Some(reasoning));
    let Some(Format::JsonSchema(schema)) = call.output.format else { panic!("no schema") };
    assert_eq!(schema.name.as_deref(), Some("A_b"));
    assert_eq!(schema.schema["properties"]["n"], json!({"type": ["integer", "null"]}));
    assert_eq!(call.attribution.service_tier.as_deref(), Some("flex"));
    assert!(call.extras.is_empty(), "{:?}", call.extras);
}

#[test]
fn thinking_is_switched_by_its_budget() {
    let mode = |budget: i64| {
        let config = json!({"thinkingConfig": {"thinkingBudget": budget}});
        let call = parsed(json!({"contents": [{"parts": [{"text": "x"}]}], "generationConfig": config}));
        call.reasoning.unwrap().mode
    };
    assert_eq!(
        [mode(0), mode(-1), mode(9)],
        [ReasoningMode::Off, ReasoningMode::Adaptive, ReasoningMode::On]
    );
}

#[test]
fn the_choice_of_tools_is_read_in_each_mode() {
    let choice = |config: Value| {
        let tools = json!([{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}, {"googleSearch": {}}]);
        let body = json!({
            "contents": [{"parts": [{"text": "x"}]}], "tools": tools, "toolConfig": {"functionCallingConfig": config},
        });
        let call = parsed(body);
        assert!(matches!(&call.tools[2], Tool::Hosted(_)));
        call.tool_choice
    };
    assert_eq!(choice(json!({"mode": "AUTO"})), Some(ToolChoice::Auto));
    assert_eq!(choice(json!({"mode": "any"})), Some(ToolChoice::Required));
    assert_eq!(choice(json!({"mode": "NONE"})), Some(ToolChoice::None));
    let named = choice(json!({"mode": "ANY", "allowedFunctionNames": ["g"]}));
    assert_eq!(named, Some(ToolChoice::Named("g".to_owned())));
    let names = vec!["f".to_owned(), "g".to_owned()];
    let among = choice(json!({"mode": "ANY", "allowed_function_names": ["f", "g"]}));
    assert_eq!(among, Some(ToolChoice::Allowed { required: true, names: names.clone() }));
    let validated = choice(json!({"mode": "VALIDATED", "allowedFunctionNames": ["f", "g"]}));
    assert_eq!(validated, Some(ToolChoice::Allowed { required: false, names }));
}

#[test]
fn schemas_of_openapi_become_those_of_json() {
    let schema = json!({
        "type": "ARRAY", "minItems": "1", "maxItems": 3, "nullable": true, "example": [1],
        "items": {"any_of": [{"type": "STRING", "enum": ["a"], "nullable": true, "format": "enum"}, {"type": "TYPE_UNSPECIFIED"}]},
    });
    assert_eq!(
        schema::json_schema(schema, "p").unwrap(),
        json!({
            "type": ["array", "null"], "minItems": 1, "maxItems": 3, "examples": [[1]],
            "items": {"anyOf": [{"type": ["string", "null"], "enum": ["a", null], "format": "enum"}, {}]},
        })
    );
    let wrong = |schema: Value| schema::json_schema(schema, "p").unwrap_err().into_parts().param.unwrap();
    assert_eq!(wrong(json!({"properties": {"a": {"type": "DATE"}}})), "p.properties.a.type");
    assert_eq!(wrong(json!({"items": 3})), "p.items");
}

#[test]
fn a_cache_that_only_google_has_is_not_passed_over() {
    let body = json!({"contents": [{"parts": [{"text": "x"}]}], "cachedContent": "cachedContents/a"});
    assert_eq!(refused(body), "cachedContent");
}

#[test]
fn words_that_are_none_are_refused() {
    let config =
        |config: Value| json!({"contents": [{"parts": [{"text": "x"}]}], "generationConfig": config});
    let level = config(json!({"thinkingConfig": {"thinkingLevel": "HUGE"}}));
    assert_eq!(refused(level), "generationConfig.thinkingConfig.thinkingLevel");
    let modality = config(json!({"responseModalities": ["SMELL"]}));
    assert_eq!(refused(modality), "generationConfig.responseModalities[0]");
    assert_eq!(refused(config(json!({"logprobs": 5}))), "generationConfig.logprobs");
    assert_eq!(refused(config(json!({"candidateCount": 0}))), "generationConfig.candidateCount");
}
