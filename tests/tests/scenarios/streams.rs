//! Streams that break, lie, stall, or come in pieces.

use crate::setting::{Setting, assert_refused, chat, stream, tools};
use serde_json::Value;
use tollgate_tests::http::{Answer, Ended};

const ALL: [&str; 3] = ["one", "claude", "gem"];

#[test]
fn h1_an_in_band_error_after_200_falls_over() {
    for provider in ALL {
        let setting = Setting::new(&format!(
            "[models.m]\nstrategy = \"ordered\"\ntargets = [\"{provider}/m+error=server,error_after=0\"]\nfallbacks = [\"two/good\"]\n"
        ));
        let answer = setting.stream("m");
        assert_eq!((answer.status, answer.said().as_str()), (200, "You said: hello"), "{provider}");
        assert_eq!(
            (answer.header("x-tollgate-provider"), answer.header("x-tollgate-attempts")),
            ("two", "2")
        );
    }
}

#[test]
fn h1_an_error_in_a_whole_200_falls_over() {
    let setting = Setting::new(
        "[models.m]\nstrategy = \"ordered\"\ntargets = [\"one/m+status=200,error=server\"]\nfallbacks = [\"two/good\"]\n",
    );
    let answer = setting.chat("m");
    assert_eq!((answer.header("x-tollgate-provider"), answer.said().as_str()), ("two", "You said: hello"));
    for answer in [setting.chat("one/m+json,cut_after_bytes=40"), setting.stream("one/m+end_after_events=0")]
    {
        assert_refused(&answer, 502, "api_error", "upstream_error");
    }
}

#[test]
fn h1_an_in_band_error_after_the_first_token_ends_the_stream_as_an_error() {
    let setting = Setting::new("");
    for provider in ALL {
        let answer =
            setting.stream(&format!("{provider}/m+events=8,chars=80,error_after=4,error=overloaded"));
        assert_broken(&answer, provider);
        assert_eq!(answer.code(), "upstream_error", "{provider}");
    }
}

/// The stream had begun, says what went wrong, and does not look complete.
fn assert_broken(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    assert!(!answer.said().is_empty(), "{what}: {}", answer.text());
    assert!(answer.error()["message"].is_string(), "{what}: {}", answer.text());
    assert!(!answer.events().iter().any(|event| event == "[DONE]"), "{what}: {}", answer.text());
    let finished = |chunk: &Value| chunk["choices"][0]["finish_reason"].is_string();
    assert!(!answer.chunks().iter().any(finished), "{what}: {}", answer.text());
}

#[test]
fn h2_an_error_before_the_first_token_is_json_with_a_status() {
    let setting = Setting::new("");
    for provider in ALL {
        for failure in [
            "status=500",
            "error_after=0,error=server",
            "hangup",
            "cut_after_events=0",
            "first_delay=1,cut_after_bytes=0",
        ] {
            let answer = setting.stream(&format!("{provider}/m+{failure}"));
            assert_refused(&answer, 502, "api_error", "upstream_error");
            assert!(answer.header("content-type").starts_with("application/json"), "{answer:?}");
        }
    }
    let refused = setting.stream("one/m+error=bad_request");
    assert_eq!((refused.status, refused.header("content-type")), (400, "application/json"));
}

#[test]
fn h3_k15_a_truncated_stream_is_an_error_and_the_next_request_is_fine() {
    let setting = Setting::new("");
    let mut client = setting.gateway.connect();
    for provider in ALL {
        for cut in
            ["cut_after_events=4", "end_after_events=4", "cut_after_events=4,reset", "cut_after_bytes=1300"]
        {
            let answer = client.ask(&stream(&format!("{provider}/m+events=9,chars=300,{cut}")));
            assert_broken(&answer, &format!("{provider}+{cut}"));
            let next = client.ask(&stream(&format!("{provider}/fine")));
            assert!(next.is_done() && next.said() == "You said: hello", "{next:?}");
        }
    }
}

#[test]
fn h3_a_missing_end_mark_after_the_finish_is_forgiven() {
    // Gemini's streams have no mark beside the finish.
    let setting = Setting::new("");
    for provider in ["one", "claude"] {
        let answer = setting.stream(&format!("{provider}/m+no_done"));
        assert_eq!(
            (answer.status, answer.said().as_str(), answer.ended),
            (200, "You said: hello", Ended::Whole)
        );
        assert!(answer.error().is_null(), "{}", answer.text());
    }
}

#[test]
fn h4_split_at_any_byte_changes_nothing() {
    let setting = Setting::new("");
    let said = "héllo wörld 🦀🦀 日本語 «quoted» \u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}";
    let ask = |provider: &str, how: &str| {
        let mut question = crate::setting::question(&format!("{provider}/m{how}"));
        question["stream"] = true.into();
        question["stream_options"] = serde_json::json!({"include_usage": true});
        question["messages"][0]["content"] = said.into();
        setting.gateway.ask(&tollgate_tests::http::Request::post("/v1/chat/completions", &question))
    };
    for provider in ALL {
        let whole = ask(provider, "+events=5");
        assert_eq!(whole.said(), format!("You said: {said}"), "{provider}");
        for how in ["split=1", "split=2", "split=3", "split=7", "crlf,split=1", "comments,split=1"] {
            let split = ask(provider, &format!("+events=5,{how}"));
            assert!(split.is_done(), "{provider} {how}");
            assert_eq!(content(&split), content(&whole), "{provider} {how}");
        }
    }
}

/// What a stream says, its ids and times aside.
fn content(answer: &Answer) -> Vec<Value> {
    let mut chunks = answer.chunks();
    for chunk in &mut chunks {
        for own in ["id", "created", "system_fingerprint", "model"] {
            chunk.as_object_mut().map(|chunk| chunk.remove(own));
        }
    }
    chunks
}

#[test]
fn h5_fragmented_parallel_tool_calls_keep_index_id_and_arguments() {
    let setting = Setting::new("");
    let said = "call weather {\"city\":\"Köln\"}\ncall time {\"city\":\"São Paulo\"}";
    for model in ["one/m+split=1", "one/m+interleave,split=3", "claude/m+split=1", "gem/m+split=1"] {
        let answer = setting.gateway.ask(&tools(model, said, true));
        assert!(answer.is_done(), "{model}: {}", answer.text());
        let calls = gathered(&answer);
        let found: Vec<_> = calls.iter().map(|call| (call.name.as_str(), call.arguments())).collect();
        let expected = [
            ("weather", serde_json::json!({"city": "Köln"})),
            ("time", serde_json::json!({"city": "São Paulo"})),
        ];
        assert_eq!(found, expected, "{model}");
        assert!(calls.iter().all(|call| !call.id.is_empty()) && calls[0].id != calls[1].id, "{model}");
        let chunks = answer.chunks();
        assert!(
            chunks.iter().all(|chunk| chunk["choices"][0]["index"].as_u64().unwrap_or(0) == 0),
            "{model}"
        );
        assert!(chunks.iter().any(|chunk| chunk["choices"][0]["finish_reason"] == "tool_calls"), "{model}");
    }
}

#[test]
fn h6_arguments_in_one_piece_are_not_lost() {
    let setting = Setting::new("");
    for provider in ALL {
        let answer =
            setting.gateway.ask(&tools(&format!("{provider}/m"), "call weather {\"city\":\"Rome\"}", false));
        let call = &answer.json()["choices"][0]["message"]["tool_calls"][0]["function"];
        assert_eq!(call["name"], "weather", "{provider}: {}", answer.text());
        let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
        assert_eq!(arguments, serde_json::json!({"city": "Rome"}), "{provider}");
    }
}

#[derive(Default)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

impl Call {
    fn arguments(&self) -> Value {
        serde_json::from_str(&self.arguments).unwrap_or_else(|_| panic!("not JSON: {}", self.arguments))
    }
}

fn gathered(answer: &Answer) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for chunk in answer.chunks() {
        for part in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let at = part["index"].as_u64().expect("an index") as usize;
            calls.resize_with(calls.len().max(at + 1), Call::default);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            calls[at].id += &text(&part["id"]);
            calls[at].name += &text(&part["function"]["name"]);
            calls[at].arguments += &text(&part["function"]["arguments"]);
        }
    }
    calls
}

#[test]
fn h7_empty_choices_do_no_harm() {
    let setting = Setting::new("");
    // The usage chunk has no choices; asked for, it arrives; unasked for, the stream is whole without.
    for provider in ALL {
        let mut question = crate::setting::question(&format!("{provider}/m+usage=double"));
        question["stream"] = true.into();
        question["stream_options"] = serde_json::json!({"include_usage": true});
        let answer =
            setting.gateway.ask(&tollgate_tests::http::Request::post("/v1/chat/completions", &question));
        assert!(answer.is_done() && answer.said() == "You said: hello", "{provider}: {}", answer.text());
        let usage = answer.chunks().into_iter().rfind(|chunk| chunk["usage"].is_object());
        let usage = usage.unwrap_or_else(|| panic!("{provider}: no usage in {}", answer.text()));
        assert!(usage["usage"]["total_tokens"].as_u64().unwrap() > 0);
    }
}

#[test]
fn h9_sse_for_a_whole_request_is_put_together() {
    let setting = Setting::new("");
    for provider in ALL {
        for how in ["sse", "sse,split=1", "sse,content_type=application/json"] {
            let answer = setting.chat(&format!("{provider}/m+{how}"));
            assert_eq!(
                (answer.status, answer.header("content-type")),
                (200, "application/json"),
                "{provider} {how}"
            );
            assert_eq!(
                answer.json()["choices"][0]["message"]["content"],
                "You said: hello",
                "{provider} {how}"
            );
        }
        let cut = setting.chat(&format!("{provider}/m+sse,events=6,chars=60,cut_after_events=3"));
        assert_refused(&cut, 502, "api_error", "upstream_error");
    }
}

#[test]
fn h9_a_whole_answer_for_a_stream_is_streamed() {
    let setting = Setting::new("");
    for provider in ALL {
        let answer = setting.stream(&format!("{provider}/m+json"));
        assert!(answer.is_done() && answer.said() == "You said: hello", "{provider}: {}", answer.text());
        assert!(answer.header("content-type").starts_with("text/event-stream"));
    }
}

const IMPATIENT: &str = r#"
[providers.slow]
kind = "openai"
base_url = "http://{sim}/v1"
keys = [{ value = "k" }]
timeout = { first_byte = "2s", idle = "400ms", total = "900ms" }

[providers.slow-claude]
kind = "anthropic"
base_url = "http://{sim}/v1"
keys = [{ value = "k" }]
timeout = { first_byte = "2s", idle = "400ms", total = "900ms" }
"#;

#[test]
fn k9_an_upstream_that_stalls_ends_at_the_idle_timeout_and_one_that_only_beats_at_the_total() {
    let setting = Setting::new(IMPATIENT);
    for provider in ["slow", "slow-claude"] {
        for how in ["stall_after=5", "stall_after=5,heartbeat=50"] {
            let answer = setting.stream(&format!("{provider}/m+events=8,chars=80,{how}"));
            assert_broken(&answer, how);
            assert_eq!(answer.code(), "upstream_timeout", "{}", answer.text());
            setting.wait_until_ended("client_closed");
        }
    }
}

#[test]
fn k10_a_quota_error_after_the_opening_event_falls_over() {
    for provider in ["one", "claude"] {
        for kind in ["insufficient_quota", "rate_limit", "overloaded"] {
            let setting = Setting::new(&format!(
                "[models.m]\nstrategy = \"ordered\"\ntargets = [\"{provider}/m+preamble_then_error,error={kind}\"]\nfallbacks = [\"two/good\"]\n"
            ));
            let answer = setting.stream("m");
            assert_eq!(
                (answer.header("x-tollgate-provider"), answer.said().as_str()),
                ("two", "You said: hello"),
                "{provider} {kind}: {}",
                answer.text()
            );
            assert!(answer.is_done());
        }
    }
}

#[test]
fn k16_what_breaks_in_one_exchange_touches_no_other() {
    let setting = Setting::new("");
    let mut steady: Vec<_> = (0..6).map(|_| setting.gateway.connect()).collect();
    for (at, client) in steady.iter_mut().enumerate() {
        let provider = ALL[at % 3];
        client.send(&stream(&format!("{provider}/m+chars=4000,events=40,drip=30")).bytes());
        assert_eq!(client.head().status, 200);
    }
    for round in 0..2 {
        for provider in ALL {
            for how in [
                "cut_after_events=3",
                "reset",
                "hangup",
                "cut_after_bytes=300",
                "status=500",
                "error_after=3",
            ] {
                let _ = setting.stream(&format!("{provider}/m+chars=400,events=9,{how}"));
            }
        }
        // A client that leaves in the middle of one, too.
        let mut leaver = setting.gateway.connect();
        leaver.send(&stream("one/m+chars=4000,events=40,drip=30").bytes());
        assert_eq!((round, leaver.head().status), (round, 200));
    }
    for client in &mut steady {
        let mut answer = Answer {
            status: 200,
            headers: vec![("transfer-encoding".into(), "chunked".into())],
            body: Vec::new(),
            ended: Ended::Whole,
        };
        answer.ended = client.body(&mut answer);
        assert!(answer.is_done(), "{}", answer.text());
        assert_eq!(answer.said().len(), 4000);
        assert_eq!(client.ask(&chat("one/m")).said(), "You said: hello");
    }
}

#[test]
fn h8_null_parameters_do_not_reach_another_dialect() {
    let setting = Setting::new("");
    let nulls =
        ["temperature", "top_p", "stop", "tools", "tool_choice", "seed", "user", "response_format", "n"];
    // The simulator refuses what Anthropic and Google do not know, and nulls where they want none.
    for provider in ["claude", "gem"] {
        let mut question = crate::setting::question(&format!("{provider}/m"));
        for name in nulls {
            question[name] = Value::Null;
        }
        question["stream_options"] = Value::Null;
        question["logprobs"] = Value::Null;
        let request = tollgate_tests::http::Request::post("/v1/chat/completions", &question);
        let answer = setting.gateway.ask(&request);
        assert_eq!(
            (answer.status, answer.header("x-tollgate-lost")),
            (200, ""),
            "{provider}: {}",
            answer.text()
        );
        let sent = crate::setting::body_json(&setting.last());
        assert!(!sent.to_string().contains("null"), "{provider}: {sent}");
    }
}
