use super::*;
use crate::call::{
    Effort, Format, JsonSchema, LogProbs, ParallelTools, Reasoning, ReasoningMode, ReasoningShown,
    ToolChoice, UsageChunk,
};
use crate::fault::Code;
use crate::provider::Purpose;
use crate::units::Tokens;
use serde_json::Number;

fn number(value: f64) -> Option<Number> {
    Number::from_f64(value)
}

fn effort(effort: Effort) -> Option<Reasoning> {
    Some(Reasoning { effort: Some(effort), ..Reasoning::default() })
}

fn json_schema() -> Option<Format> {
    Some(Format::JsonSchema(JsonSchema {
        name: Some("person".to_owned()),
        description: None,
        schema: json!({"type": "object", "properties": {"name": {"type": "string"}}}),
        strict: Some(true),
    }))
}

#[test]
fn the_path_and_the_version_are_all_that_the_dialect_adds() {
    let endpoint = Anthropic
        .endpoint(&Target { vendor: &vendor(), model: OLD }, Purpose::chat(Delivery::Whole))
        .unwrap();
    assert_eq!(endpoint.path, "/messages");
    assert_eq!(endpoint.headers.get("anthropic-version").unwrap(), "2023-06-01");
    assert_eq!(endpoint.headers.len(), 1, "no beta is invented");
}

#[test]
fn k14_k20_the_same_call_gives_the_same_bytes() {
    let mut call = call(vec![system("Be brief."), user("Hello")]);
    call.tools = tools(&["zebra", "ant", "bee"]);
    call.sampling.temperature = number(0.5);
    let target = Target { vendor: &vendor(), model: SONNET_45 };
    let first = Anthropic.encode(&call, &target).unwrap();
    assert_eq!(first, Anthropic.encode(&call.clone(), &target).unwrap());
    let sent = encode(&call, SONNET_45);
    let names: Vec<_> =
        sent.at("/tools").as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!(names, ["zebra", "ant", "bee"]);
}

#[test]
fn the_cap_is_the_calls_or_the_models() {
    let mut call = hello();
    assert_eq!(encode(&call, OLD).at("/max_tokens"), json!(64_000));
    assert_eq!(encode(&call, "unheard-of").at("/max_tokens"), json!(4096));
    call.output.max_tokens = Some(Tokens(77));
    assert_eq!(encode(&call, OLD).at("/max_tokens"), json!(77));
}

#[test]
fn a_stream_is_asked_for_and_nothing_else() {
    let mut call = hello();
    assert_eq!(encode(&call, OLD).at("/stream"), Value::Null);
    call.delivery = Delivery::Stream(UsageChunk::Unwanted);
    let sent = encode(&call, OLD);
    assert_eq!(sent.at("/stream"), json!(true));
    assert_eq!(sent.at("/stream_options"), Value::Null);
}

#[test]
fn a_temperature_above_one_is_clamped_and_told() {
    let mut call = hello();
    call.sampling.temperature = number(1.7);
    let sent = encode(&call, OLD);
    assert_eq!((sent.at("/temperature"), sent.lost), (json!(1), vec!["temperature".to_owned()]));
}

#[test]
fn since_claude_4_1_temperature_and_top_p_exclude_each_other() {
    let mut call = hello();
    call.sampling.temperature = number(0.2);
    call.sampling.top_p = number(0.9);
    let old = encode(&call, OLD);
    assert_eq!((old.at("/top_p"), old.lost.len()), (json!(0.9), 0));
    let new = encode(&call, SONNET_45);
    assert_eq!((new.at("/temperature"), new.at("/top_p")), (json!(0.2), Value::Null));
    assert_eq!(new.lost, ["top_p"]);
    call.sampling.temperature = Some(1.into());
    let new = encode(&call, SONNET_45);
    assert_eq!((new.at("/temperature"), new.at("/top_p")), (Value::Null, json!(0.9)), "a default gives way");
    assert!(new.lost.is_empty());
}

#[test]
fn models_that_reject_sampling_get_none_and_it_is_told() {
    let mut call = hello();
    call.sampling.temperature = number(0.2);
    call.sampling.top_p = Some(1.into());
    call.sampling.top_k = Some(5.into());
    for model in ["claude-opus-4-7", "claude-sonnet-5", "claude-fable-5-1"] {
        let sent = encode(&call, model);
        assert_eq!(sent.lost, ["temperature", "top_k"], "{model}: top_p 1 is what it does anyway");
        assert_eq!((sent.at("/temperature"), sent.at("/top_p"), sent.at("/top_k")), Default::default());
    }
}

#[test]
fn what_the_dialect_has_no_word_for_is_told() {
    let mut call = hello();
    call.sampling = Sampling {
        seed: Some(7.into()),
        presence_penalty: number(0.5),
        frequency_penalty: Some(0.into()),
        logit_bias: Some(json!({"5": 1})),
        logprobs: Some(LogProbs { top: Some(3) }),
        n: Some(1),
        ..Sampling::default()
    };
    call.output.modalities = vec!["text".to_owned(), "audio".to_owned()];
    call.output.audio = Some(json!({"voice": "alloy"}));
    call.output.verbosity = Some("low".to_owned());
    call.output.prediction = Some(json!({"type": "content"}));
    call.attribution.store = Some(true);
    call.attribution.prompt_cache_key = Some("k".to_owned());
    call.attribution.metadata = Some(json!({"a": "b"}));
    call.extras.insert("web_search_options".to_owned(), json!({}));
    let mut lost = encode(&call, OLD).lost;
    lost.sort_unstable();
    let mut expected = [
        "seed",
        "presence_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "modalities",
        "audio",
        "verbosity",
        "prediction",
        "store",
        "prompt_cache_key",
        "metadata",
        "web_search_options",
    ];
    expected.sort_unstable();
    assert_eq!(lost, expected);
}

#[test]
fn several_answers_are_refused_by_field() {
    let mut call = hello();
    call.sampling.n = Some(2);
    let fault = try_encode(&call, OLD).unwrap_err();
    assert_eq!((fault.code, fault.param.as_deref()), (Code::Unsupported, Some("n")));
}

#[test]
fn stop_texts_of_white_space_are_dropped_and_told() {
    let mut call = hello();
    call.sampling.stop = vec!["END".to_owned(), "\n".to_owned()];
    let sent = encode(&call, OLD);
    assert_eq!((sent.at("/stop_sequences"), sent.lost), (json!(["END"]), vec!["stop".to_owned()]));
}

#[test]
fn the_end_user_and_the_tier_have_their_words() {
    let mut call = hello();
    call.attribution.user = Some("u-1".to_owned());
    call.attribution.service_tier = Some("default".to_owned());
    let sent = encode(&call, OLD);
    assert_eq!(sent.at("/metadata"), json!({"user_id": "u-1"}));
    assert_eq!(sent.at("/service_tier"), json!("standard_only"));
    call.attribution.safety_identifier = Some("s-1".to_owned());
    call.attribution.service_tier = Some("flex".to_owned());
    let sent = encode(&call, OLD);
    assert_eq!(sent.at("/metadata/user_id"), json!("s-1"));
    assert_eq!(sent.lost, ["user", "service_tier"]);
}

#[test]
fn extras_of_the_dialect_go_back_and_others_are_told() {
    let mut call = hello();
    call.extras.insert("container".to_owned(), json!("c_1"));
    call.extras.insert("output_config".to_owned(), json!({"task_budget": {"total": 9}, "effort": "max"}));
    assert_eq!(encode(&call, OPUS_48).lost, ["container", "output_config"]);
    call.origin = Dialect::Anthropic;
    call.reasoning =
        Some(Reasoning { mode: ReasoningMode::Adaptive, effort: Some(Effort::Low), ..Reasoning::default() });
    let sent = encode(&call, OPUS_48);
    assert_eq!(sent.at("/container"), json!("c_1"));
    assert_eq!(sent.at("/output_config"), json!({"effort": "low", "task_budget": {"total": 9}}));
    assert!(sent.lost.is_empty());
}

#[test]
fn efforts_become_adaptive_thinking_on_new_models() {
    let mut call = hello();
    for (asked, model, sent_as) in [
        (Effort::Minimal, OPUS_48, "low"),
        (Effort::High, OPUS_48, "high"),
        (Effort::XHigh, OPUS_48, "xhigh"),
        (Effort::XHigh, "claude-sonnet-4-6", "max"),
        (Effort::Max, OPUS_5, "max"),
    ] {
        call.reasoning = effort(asked);
        let sent = encode(&call, model);
        assert_eq!(sent.at("/thinking"), json!({"type": "adaptive"}));
        assert_eq!(sent.at("/output_config"), json!({"effort": sent_as}));
        assert!(sent.lost.is_empty());
    }
    call.reasoning.as_mut().unwrap().shown = Some(ReasoningShown::Summary);
    assert_eq!(encode(&call, OPUS_48).at("/thinking/display"), json!("summarized"));
}

#[test]
fn efforts_become_budgets_below_the_cap_on_old_models() {
    let mut call = hello();
    call.reasoning = effort(Effort::High);
    call.output.max_tokens = Some(Tokens(10_000));
    let sent = encode(&call, SONNET_45);
    assert_eq!(sent.at("/thinking"), json!({"type": "enabled", "budget_tokens": 8192}));
    assert_eq!((sent.at("/max_tokens"), sent.at("/output_config")), (json!(10_000), Value::Null));
    call.output.max_tokens = Some(Tokens(500));
    assert_eq!(encode(&call, SONNET_45).at("/max_tokens"), json!(8692), "the answer keeps its room");
    call.reasoning = Some(Reasoning { budget: Some(Tokens(5)), ..Reasoning::default() });
    assert_eq!(encode(&call, SONNET_45).at("/thinking/budget_tokens"), json!(1024), "the least there is");
}

#[test]
fn a_budget_never_exceeds_what_the_model_can_write() {
    let mut call = hello();
    call.reasoning = Some(Reasoning { budget: Some(Tokens(60_000)), ..Reasoning::default() });
    call.output.max_tokens = Some(Tokens(20_000));
    let sent = encode(&call, "claude-opus-4-1");
    assert_eq!((sent.at("/max_tokens"), sent.at("/thinking/budget_tokens")), (json!(32_000), json!(16_000)));
}

#[test]
fn a_budget_is_kept_where_the_model_takes_one_and_an_effort_where_it_does_not() {
    let mut call = hello();
    call.reasoning = Some(Reasoning { budget: Some(Tokens(9000)), ..Reasoning::default() });
    let sent = encode(&call, "claude-opus-4-6");
    assert_eq!(sent.at("/thinking"), json!({"type": "enabled", "budget_tokens": 9000}));
    let sent = encode(&call, OPUS_48);
    assert_eq!(
        (sent.at("/thinking/type"), sent.at("/output_config/effort")),
        (json!("adaptive"), json!("high"))
    );
    assert_eq!(sent.lost, ["reasoning.max_tokens"]);
}

#[test]
fn thinking_is_turned_off_where_it_can_be() {
    let mut call = hello();
    call.reasoning = effort(Effort::None);
    for model in [SONNET_45, OPUS_48] {
        assert_eq!(encode(&call, model).at("/thinking"), Value::Null, "{model}: off unless asked for");
    }
    assert_eq!(encode(&call, OPUS_5).at("/thinking"), json!({"type": "disabled"}));
    let sent = encode(&call, "claude-fable-5");
    assert_eq!((sent.at("/thinking"), sent.at("/output_config/effort")), (Value::Null, json!("low")));
    assert_eq!(sent.lost, ["reasoning_effort"]);
}

#[test]
fn a_model_that_cannot_think_is_not_asked_to() {
    let mut call = hello();
    call.reasoning = effort(Effort::High);
    let sent = encode(&call, "claude-3-5-sonnet-20241022");
    assert_eq!((sent.at("/thinking"), sent.lost), (Value::Null, vec!["reasoning_effort".to_owned()]));
}

#[test]
fn thinking_with_a_budget_takes_sampling_and_forced_tools_away() {
    let mut call = hello();
    call.reasoning = effort(Effort::Low);
    call.sampling.temperature = number(0.3);
    call.sampling.top_k = Some(4.into());
    call.tools = tools(&["a", "b"]);
    call.tool_choice = Some(ToolChoice::Named("b".to_owned()));
    let sent = encode(&call, SONNET_45);
    assert_eq!((sent.at("/temperature"), sent.at("/top_k")), Default::default());
    assert_eq!(sent.at("/tool_choice"), json!({"type": "auto"}));
    assert_eq!(sent.at("/tools/0/name"), json!("b"));
    assert_eq!(sent.at("/tools/1"), Value::Null, "it is at least the only one");
    assert_eq!(sent.lost, ["tool_choice", "temperature", "top_k"]);
}

#[test]
fn every_tool_choice_has_its_form() {
    let mut call = hello();
    call.tools = tools(&["a", "b", "c"]);
    let names = vec!["c".to_owned(), "a".to_owned()];
    for (choice, form) in [
        (ToolChoice::Auto, json!({"type": "auto"})),
        (ToolChoice::None, json!({"type": "none"})),
        (ToolChoice::Required, json!({"type": "any"})),
        (ToolChoice::Named("b".to_owned()), json!({"type": "tool", "name": "b"})),
        (ToolChoice::Allowed { required: false, names: names.clone() }, json!({"type": "auto"})),
        (ToolChoice::Allowed { required: true, names }, json!({"type": "any"})),
    ] {
        let few = matches!(choice, ToolChoice::Allowed { .. });
        call.tool_choice = Some(choice);
        let sent = encode(&call, OLD);
        assert_eq!(sent.at("/tool_choice"), form);
        assert_eq!(sent.at("/tools").as_array().unwrap().len(), if few { 2 } else { 3 });
        assert!(sent.lost.is_empty());
    }
    call.tools.clear();
    assert_eq!(encode(&call, OLD).at("/tool_choice"), Value::Null, "a choice of nothing is refused");
}

#[test]
fn one_tool_at_a_time_is_said_in_the_choice() {
    let mut call = hello();
    call.tools = tools(&["a"]);
    call.parallel_tools = Some(ParallelTools::Forbidden);
    let sent = encode(&call, OLD);
    assert_eq!(sent.at("/tool_choice"), json!({"type": "auto", "disable_parallel_tool_use": true}));
    call.tool_choice = Some(ToolChoice::None);
    assert_eq!(encode(&call, OLD).at("/tool_choice"), json!({"type": "none"}));
}

#[test]
fn tools_always_have_a_typed_schema() {
    let mut call = hello();
    let bare = ToolFunction { parameters: None, ..function("bare") };
    let untyped = ToolFunction { parameters: Some(json!({"properties": {"b": {}}})), ..function("untyped") };
    call.tools = vec![Tool::Function(bare), Tool::Function(untyped)];
    let sent = encode(&call, OLD);
    assert_eq!(
        sent.at("/tools/0"),
        json!({"name": "bare", "input_schema": {"type": "object", "properties": {}}})
    );
    assert_eq!(sent.at("/tools/1/input_schema"), json!({"type": "object", "properties": {"b": {}}}));
}

#[test]
fn k14_cache_marks_stand_where_the_client_put_them() {
    let marked = |words: &str, ttl| Part::Text(Text { cache: Some(mark(ttl)), ..Text::new(words) });
    let mut call = call(vec![
        message(Role::System, vec![marked("Long rules.", Some("1h"))]),
        message(Role::User, vec![marked("Question", None), text("more")]),
        message(Role::Assistant, vec![tool_call("t1", "{}")]),
        message(
            Role::Tool,
            vec![Part::ToolResult(ToolResult {
                cache: Some(mark(Some("5m"))),
                ..tool_result("t1", vec![text("ok")])
            })],
        ),
    ]);
    call.tools = vec![Tool::Function(ToolFunction { cache: Some(mark(Some("1h"))), ..function("look") })];
    call.cache = Some(mark(None));
    let sent = encode(&call, OLD);
    for (pointer, cache) in [
        ("/system/0", json!({"type": "ephemeral", "ttl": "1h"})),
        ("/messages/0/content/0", json!({"type": "ephemeral"})),
        ("/messages/0/content/1", Value::Null),
        ("/messages/2/content/0", json!({"type": "ephemeral", "ttl": "5m"})),
        ("/tools/0", json!({"type": "ephemeral", "ttl": "1h"})),
        ("", json!({"type": "ephemeral"})),
    ] {
        assert_eq!(sent.at(&format!("{pointer}/cache_control")), cache, "{pointer}");
    }
}

#[test]
fn strictness_is_sent_where_it_is_known_and_told_where_not() {
    let mut call = hello();
    call.tools = vec![Tool::Function(ToolFunction { strict: Some(true), ..function("a") })];
    assert_eq!(encode(&call, SONNET_45).at("/tools/0/strict"), json!(true));
    let old = encode(&call, OLD);
    assert_eq!((old.at("/tools/0/strict"), old.lost), (Value::Null, vec!["tools[0].strict".to_owned()]));
}

#[test]
fn hosted_tools_go_to_their_own_provider_only() {
    let mut call = hello();
    let search = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 3});
    call.tools = vec![
        Tool::Hosted(opaque(Dialect::OpenAi, json!({"type": "web_search"}))),
        Tool::Hosted(opaque(Dialect::Anthropic, search.clone())),
    ];
    let sent = encode(&call, OLD);
    assert_eq!((sent.at("/tools"), sent.lost), (json!([search]), vec!["tools[0]".to_owned()]));
}

#[test]
fn a_schema_is_the_formats_on_new_models() {
    let mut call = hello();
    call.output.format = json_schema();
    let schema =
        json!({"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": false});
    let sent = encode(&call, SONNET_45);
    assert_eq!(sent.at("/output_config"), json!({"format": {"type": "json_schema", "schema": schema}}));
    assert!(sent.lost.is_empty());
}

#[test]
fn a_schema_is_a_forced_tools_on_old_models() {
    let mut call = hello();
    call.output.format = json_schema();
    let sent = encode(&call, OLD);
    assert_eq!(sent.at("/tools/0/name"), json!("tollgate_json_output"));
    assert_eq!(sent.at("/tools/0/input_schema/properties/name/type"), json!("string"));
    assert_eq!(sent.at("/tool_choice"), json!({"type": "tool", "name": "tollgate_json_output"}));
    call.tools = tools(&["look"]);
    let sent = encode(&call, OLD);
    assert_eq!(sent.at("/tool_choice"), json!({"type": "any"}), "the client's tools stay within reach");
    call.reasoning = effort(Effort::Low);
    let sent = encode(&call, OLD);
    assert_eq!(sent.at("/tool_choice"), json!({"type": "auto"}));
    assert!(sent.at("/system/0/text").as_str().unwrap().contains("tollgate_json_output"));
}

#[test]
fn any_json_object_is_asked_for_in_words_after_the_clients_own() {
    let mut call = call(vec![system("Be kind."), user("Hello")]);
    call.output.format = Some(Format::JsonObject);
    let sent = encode(&call, OPUS_48);
    assert_eq!(sent.at("/system/0/text"), json!("Be kind."));
    assert!(sent.at("/system/1/text").as_str().unwrap().contains("JSON object"));
}
