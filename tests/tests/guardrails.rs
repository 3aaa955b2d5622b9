//! Guardrails on every surface: what is asked, what is answered, and what nobody can look at.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use tollgate_core::exchange::{Ending, Record};
use tollgate_tests::replay::{Answer, Replay, Seen};

const RAIL: &str = "[[guardrails]]\nname = \"codenames\"\nphrases = [\"project tiger\"]\n";

fn guarded(kind: &'static str, lines: &str) -> Replay {
    Replay { tables: format!("{RAIL}{lines}"), ..Replay::new(kind, "m-1") }
}

fn record(seen: &Seen) -> &Record {
    seen.record.as_ref().unwrap()
}

/// What guardrails have done, as stores keep it.
fn done(seen: &Seen) -> Vec<String> {
    record(seen).guarded.iter().map(ToString::to_string).collect()
}

/// Every surface: its path, a body with a phrase in one of its places, and how the place is named.
fn asks() -> Vec<(&'static str, String, &'static str)> {
    let said = "about PROJECT \\n tiger";
    let chat = |messages: &str| format!(r#"{{"model":"m-1","messages":[{messages}]}}"#);
    let user = r#"{"role":"user","content":"hi"}"#;
    let messages = |rest: &str| {
        format!(r#"{{"model":"m-1","max_tokens":9,{rest},"messages":[{{"role":"user","content":"hi"}}]}}"#)
    };
    let text = |text: &str| text.replace("SAID", said);
    vec![
        ("/v1/chat/completions", chat(&text(r#"{"role":"user","content":"SAID"}"#)), "messages[0]"),
        (
            "/v1/chat/completions",
            chat(&format!(
                "{user},{}",
                text(r#"{"role":"developer","content":[{"type":"text","text":"SAID"}]}"#)
            )),
            "messages[1]",
        ),
        (
            "/v1/chat/completions",
            chat(&format!(
                "{user},{},{}",
                text(
                    r#"{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":\"project\\u0020tiger\"}"}}]}"#
                ),
                r#"{"role":"tool","tool_call_id":"c","content":"x"}"#
            )),
            "messages[1]",
        ),
        (
            "/v1/chat/completions",
            text(
                r#"{"model":"m-1","messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"project tiger":{"type":"string"}}}}}]}"#,
            ),
            "tools[0]",
        ),
        (
            "/v1/chat/completions",
            text(
                r#"{"model":"m-1","messages":[{"role":"user","content":"hi"}],"unheard_of":{"x":["SAID"]}}"#,
            ),
            "the body",
        ),
        ("/v1/completions", text(r#"{"model":"m-1","prompt":["hi","SAID"]}"#), "prompt[1]"),
        ("/v1/completions", text(r#"{"model":"m-1","prompt":"hi","suffix":"SAID"}"#), "suffix"),
        ("/v1/responses", text(r#"{"model":"m-1","input":"SAID"}"#), "input"),
        ("/v1/responses", text(r#"{"model":"m-1","input":"hi","instructions":"SAID"}"#), "instructions"),
        (
            "/v1/responses",
            text(
                r#"{"model":"m-1","input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"SAID"}]}"#,
            ),
            "input[1]",
        ),
        ("/v1/embeddings", text(r#"{"model":"m-1","input":["SAID"]}"#), "input[0]"),
        ("/v1/moderations", text(r#"{"model":"m-1","input":"SAID"}"#), "input"),
        ("/v1/images/generations", text(r#"{"model":"m-1","prompt":"SAID"}"#), "prompt"),
        ("/v1/audio/speech", text(r#"{"model":"m-1","input":"SAID","voice":"v"}"#), "input"),
        (
            "/v1/rerank",
            text(r#"{"model":"m-1","query":"q","documents":["a",{"text":"SAID"}]}"#),
            "documents[1]",
        ),
        ("/v1/messages", messages(&text(r#""system":[{"type":"text","text":"SAID"}]"#)), "system[0]"),
        ("/v1/messages/count_tokens", messages(&text(r#""system":"SAID""#)), "system"),
        (
            "/v1/messages",
            text(
                r#"{"model":"m-1","max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"SAID"}}]}]}"#,
            ),
            "messages[0]",
        ),
        (
            "/v1beta/models/m-1:generateContent",
            text(r#"{"contents":[{"parts":[{"text":"hi"}]},{"parts":[{"text":"SAID"}]}]}"#),
            "contents[1]",
        ),
        (
            "/v1beta/models/m-1:countTokens",
            text(r#"{"contents":[{"parts":[{"text":"SAID"}]}]}"#),
            "contents[0]",
        ),
        ("/v1beta/models/m-1:embedContent", text(r#"{"content":{"parts":[{"text":"SAID"}]}}"#), "content"),
        (
            "/model/m-1/converse",
            text(r#"{"messages":[{"role":"user","content":[{"text":"SAID"}]}]}"#),
            "messages[0]",
        ),
        (
            "/model/m-1/invoke",
            text(
                r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"SAID"}]}"#,
            ),
            "messages[0]",
        ),
    ]
}

#[test]
fn j2_what_is_asked_is_looked_at_on_every_surface_before_anybody_is_called() {
    for (path, body, place) in asks() {
        let seen = guarded("openai", "").run_at(path, body.clone(), &Answer::whole(200, "{}"));
        let told = String::from_utf8(seen.body.to_vec()).unwrap();
        assert_eq!((seen.status, seen.sent.len()), (400, 0), "{path} {body}: {told}");
        assert!(told.contains("`codenames`") && told.contains(place), "{path} {place}: {told}");
        assert!(!told.to_lowercase().contains("tiger"), "{told}");
        assert_eq!((record(&seen).fault, record(&seen).status), (Some("guardrail_blocked"), 400));
        assert_eq!((done(&seen), record(&seen).attempts), (vec!["block input codenames".to_owned()], 0));
    }
}

#[test]
fn j2_a_form_is_looked_at_field_by_field() {
    let form = |name: &str, text: &str| {
        let field = |name: &str, rest: &str, text: &str| {
            format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"{rest}\r\n\r\n{text}\r\n")
        };
        let all =
            [field("model", "", "m-1"), field("file", "; filename=\"a\"", "RIFF"), field(name, "", text)];
        format!("{}--b--\r\n", all.concat())
    };
    let replay = guarded("openai", "").header("content-type", "multipart/form-data; boundary=b");
    let answer = Answer::whole(200, r#"{"text":"hi"}"#);
    let seen = replay.run_at("/v1/audio/transcriptions", form("prompt", "on Project Tiger"), &answer);
    assert_eq!((seen.status, seen.sent.len()), (400, 0));
    let seen = replay.run_at("/v1/audio/transcriptions", form("prompt", "on something"), &answer);
    assert_eq!((seen.status, done(&seen).len()), (200, 0));
}

#[test]
fn what_nobody_can_look_at_is_refused() {
    let tokens = [
        ("/v1/completions", r#"{"model":"m-1","prompt":[1,2,3]}"#, "prompt"),
        ("/v1/completions", r#"{"model":"m-1","prompt":[[1,2],[3]]}"#, "prompt"),
        ("/v1/embeddings", r#"{"model":"m-1","input":[[1,2],[3]]}"#, "input"),
    ];
    for (path, body, param) in tokens {
        let seen = guarded("openai", "").run_at(path, body, &Answer::whole(200, "{}"));
        let told: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!((seen.status, seen.sent.len()), (400, 0), "{told}");
        assert_eq!(
            (&told["error"]["code"], &told["error"]["param"]),
            (&json!("guardrail_blocked"), &json!(param))
        );
        assert_eq!(done(&seen), ["block input codenames"]);
    }
    let raw = |lines: &str| {
        let replay = guarded("openai", lines);
        replay.run_at("/up/v1/elsewhere", r#"{"model":"m-1"}"#, &Answer::whole(200, "{}"))
    };
    let seen = raw("");
    assert_eq!(
        (seen.status, seen.sent.len(), done(&seen)),
        (400, 0, vec!["block input codenames".to_owned()])
    );
    assert_eq!(raw("action = \"note\"").status, 200, "nothing would be held back");
    assert_eq!(raw("models = [\"up/m-2\"]").status, 200);
    assert_eq!(raw("models = [\"up/m-1\"]").status, 400);
}

#[test]
fn what_is_noted_is_served_and_on_record() {
    let body = r#"{"model":"m-1","messages":[{"role":"user","content":"Project Tiger"}]}"#;
    let seen = guarded("openai", "action = \"note\"").run(body, &chat_whole("on project tiger"));
    assert_eq!(seen.status, 200);
    assert_eq!(done(&seen), ["note input codenames", "note output codenames"]);
    let seen = guarded("openai", "on = \"output\"").run(body, &chat_whole("fine"));
    assert_eq!((seen.status, done(&seen).len()), (200, 0));
}

fn chat_whole(text: &str) -> Answer {
    let body = json!({"id": "c", "object": "chat.completion", "model": "m-1", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}});
    Answer::whole(200, body.to_string())
}

/// A stream of a surface, where its upstream speaks the same: the path, the vendor, the request, and frames
/// that say these pieces; the first and the last say nothing.
struct Form {
    name: &'static str,
    path: &'static str,
    kind: &'static str,
    ask: &'static str,
    frames: fn(&[&str]) -> Vec<Vec<u8>>,
    answer: fn(Vec<u8>) -> Answer,
}

const CHAT: &str = r#"{"model":"m-1","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const ANTHROPIC: &str =
    r#"{"model":"m-1","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const GEMINI: &str = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;
const BEDROCK: &str = r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#;

fn sse(event: &str, data: &Value) -> Vec<u8> {
    match event {
        "" => format!("data: {data}\n\n").into_bytes(),
        event => format!("event: {event}\ndata: {data}\n\n").into_bytes(),
    }
}

fn chat(pieces: &[&str]) -> Vec<Vec<u8>> {
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-1",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let mut frames = vec![sse("", &chunk(json!({"role": "assistant", "content": ""}), Value::Null))];
    frames.extend(pieces.iter().map(|text| sse("", &chunk(json!({"content": text}), Value::Null))));
    frames.push([sse("", &chunk(json!({}), json!("stop"))), b"data: [DONE]\n\n".to_vec()].concat());
    frames
}

fn completions(pieces: &[&str]) -> Vec<Vec<u8>> {
    let chunk = |text: &str, finish: Value| {
        json!({"id": "c", "object": "text_completion", "created": 1, "model": "m-1",
            "choices": [{"text": text, "index": 0, "logprobs": null, "finish_reason": finish}]})
    };
    let mut frames = vec![b": hello\n\n".to_vec()];
    frames.extend(pieces.iter().map(|text| sse("", &chunk(text, Value::Null))));
    frames.push([sse("", &chunk("", json!("stop"))), b"data: [DONE]\n\n".to_vec()].concat());
    frames
}

fn messages(pieces: &[&str]) -> Vec<Vec<u8>> {
    let start = json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
        "model": "m-1", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}});
    let block =
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
    let mut frames = vec![[sse("message_start", &start), sse("content_block_start", &block)].concat()];
    frames.extend(pieces.iter().map(|text| {
        let delta =
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
        sse("content_block_delta", &delta)
    }));
    let stop = json!({"type": "content_block_stop", "index": 0});
    let delta =
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}});
    let end = json!({"type": "message_stop"});
    let end = [sse("content_block_stop", &stop), sse("message_delta", &delta), sse("message_stop", &end)];
    frames.push(end.concat());
    frames
}

fn responses(pieces: &[&str]) -> Vec<Vec<u8>> {
    let whole = pieces.concat();
    let response = |status: &str, output: Value| {
        json!({"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m-1",
            "instructions": "never say Project Tiger", "output": output})
    };
    let item = |text: &str| {
        json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}]})
    };
    let mut number = 0;
    let mut event = |kind: &str, mut fields: Value| {
        fields["type"] = json!(kind);
        fields["sequence_number"] = json!(number);
        number += 1;
        sse(kind, &fields)
    };
    let mut frames = vec![
        [
            event("response.created", json!({"response": response("in_progress", json!([]))})),
            event(
                "response.output_item.added",
                json!({"output_index": 0, "item": {"type": "message", "id": "msg_1", "content": []}}),
            ),
        ]
        .concat(),
    ];
    for text in pieces {
        let delta = json!({"item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": text});
        frames.push(event("response.output_text.delta", delta));
    }
    let done = json!({"item_id": "msg_1", "output_index": 0, "content_index": 0, "text": whole});
    frames.push(
        [
            event("response.output_text.done", done),
            event("response.output_item.done", json!({"output_index": 0, "item": item(&whole)})),
            event("response.completed", json!({"response": response("completed", json!([item(&whole)]))})),
        ]
        .concat(),
    );
    frames
}

fn gemini(pieces: &[&str]) -> Vec<Vec<u8>> {
    let chunk = |text: &str| json!({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}], "modelVersion": "m-1"});
    let mut frames = vec![b": hello\n\n".to_vec()];
    frames.extend(pieces.iter().map(|text| sse("", &chunk(text))));
    let mut last = chunk("");
    last["candidates"][0]["finishReason"] = json!("STOP");
    frames.push(sse("", &last));
    frames
}

fn converse(pieces: &[&str]) -> Vec<Vec<u8>> {
    let message = |event: &str, data: Value| {
        let mut out = bytes::BytesMut::new();
        tollgate_core::framing::event_stream::write_event(event, data.to_string().as_bytes(), &mut out);
        out.to_vec()
    };
    let mut frames = vec![message("messageStart", json!({"role": "assistant", "p": "ab"}))];
    frames.extend(pieces.iter().map(|text| {
        message("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"text": text}, "p": "abcp"}))
    }));
    frames.push(
        [
            message("contentBlockStop", json!({"contentBlockIndex": 0})),
            message("messageStop", json!({"stopReason": "end_turn"})),
            message("metadata", json!({"usage": {"inputTokens": 3, "outputTokens": 9, "totalTokens": 12}, "metrics": {"latencyMs": 1}})),
        ]
        .concat(),
    );
    frames
}

const FORMS: [Form; 6] = [
    Form {
        name: "chat",
        path: "/v1/chat/completions",
        kind: "openai",
        ask: CHAT,
        frames: chat,
        answer: events,
    },
    Form {
        name: "completions",
        path: "/v1/completions",
        kind: "openai",
        ask: r#"{"model":"m-1","prompt":"hi","stream":true}"#,
        frames: completions,
        answer: events,
    },
    Form {
        name: "messages",
        path: "/v1/messages",
        kind: "anthropic",
        ask: ANTHROPIC,
        frames: messages,
        answer: events,
    },
    Form {
        name: "responses",
        path: "/v1/responses",
        kind: "openai",
        ask: r#"{"model":"m-1","input":"hi","stream":true}"#,
        frames: responses,
        answer: events,
    },
    Form {
        name: "gemini",
        path: "/v1beta/models/m-1:streamGenerateContent?alt=sse",
        kind: "gemini",
        ask: GEMINI,
        frames: gemini,
        answer: events,
    },
    Form {
        name: "converse",
        path: "/model/m-1/converse-stream",
        kind: "bedrock",
        ask: BEDROCK,
        frames: converse,
        answer: binary,
    },
];

fn events(body: Vec<u8>) -> Answer {
    Answer::stream(body)
}

fn binary(body: Vec<u8>) -> Answer {
    Answer::event_stream(body)
}

fn streamed(form: &Form, frames: &[Vec<u8>], cut: usize) -> Seen {
    let mut replay = guarded(form.kind, "on = [\"output\"]");
    if form.kind == "bedrock" {
        replay.terms = "region = \"us-east-1\"".to_owned();
    }
    replay.run_at(form.path, form.ask, &(form.answer)(frames.concat()).cut(cut))
}

const SAID: &str = "A project, and then Project  Tiger comes";

#[test]
fn j2_a_stream_ends_with_a_fault_event_before_the_frame_in_which_a_phrase_begins() {
    let begin = SAID.find("Project").unwrap();
    for form in &FORMS {
        for at in begin + 1..SAID.find(" comes").unwrap() {
            let pieces = [&SAID[..begin], &SAID[begin..at], &SAID[at..]];
            let frames = (form.frames)(&pieces);
            let whole = streamed(form, &frames, usize::MAX);
            let seen = streamed(form, &frames, 1);
            let name = form.name;
            assert_eq!(whole.body, seen.body, "{name} {at}: the same however it comes");
            let before = frames[..2].concat();
            assert_eq!((seen.status, seen.body.get(..before.len())), (200, Some(&before[..])), "{name} {at}");
            let event = String::from_utf8_lossy(&seen.body[before.len()..]).into_owned();
            assert!(
                event.contains("codenames") && !event.to_lowercase().contains("tiger"),
                "{name}: {event}"
            );
            assert!(event.matches("\n\n").count() <= 1, "{name}: one fault event and nothing else: {event}");
            assert!(seen.ended);
            let record = record(&seen);
            assert_eq!((record.fault, record.ending), (Some("guardrail_blocked"), Ending::Cut), "{name}");
            assert_eq!(done(&seen), ["block output codenames"]);
            let output = record.usage.as_ref().map(|usage| usage.output.get()).unwrap();
            assert!(output > 0, "{name}: what was generated is charged");
        }
    }
}

#[test]
fn j2_a_stream_that_begins_with_a_phrase_is_answered_with_a_status() {
    for form in &FORMS {
        let seen = streamed(form, &(form.frames)(&["proj", "ect tig", "er"]), 7);
        let told = String::from_utf8_lossy(&seen.body).into_owned();
        // What comes before the first words waits with them.
        assert_eq!((seen.status, seen.sent.len()), (400, 1), "{}: {told}", form.name);
        assert_eq!((done(&seen), record(&seen).status), (vec!["block output codenames".to_owned()], 400));
        assert!(record(&seen).usage.as_ref().is_some_and(|usage| usage.output.get() > 0), "{}", form.name);
    }
}

#[test]
fn j2_what_holds_no_phrase_passes_byte_for_byte() {
    for form in &FORMS {
        for text in
            [&["A project ", "is a project t"][..], &["project tige", "x project"], &["p"], &["no word"]]
        {
            let frames = (form.frames)(text);
            for cut in [1, 5, usize::MAX] {
                let seen = streamed(form, &frames, cut);
                assert_eq!(
                    (seen.status, &seen.body[..]),
                    (200, &frames.concat()[..]),
                    "{} {text:?}",
                    form.name
                );
                assert_eq!((record(&seen).ending, done(&seen).len()), (Ending::Complete, 0));
            }
        }
    }
}

#[test]
fn j2_translated_streams_are_looked_at_as_they_go_out() {
    for from in &FORMS {
        for to in FORMS
            .iter()
            .filter(|to| to.kind != from.kind && !["completions", "responses"].contains(&from.name))
        {
            let pieces = [&SAID[..20], &SAID[20..24], &SAID[24..32], &SAID[32..]];
            let seen = |pieces: &[&str]| {
                let mut replay = guarded(from.kind, "on = [\"output\"]");
                if from.kind == "bedrock" {
                    replay.terms = "region = \"us-east-1\"".to_owned();
                }
                replay.run_at(to.path, to.ask, &(from.answer)((from.frames)(pieces).concat()).cut(11))
            };
            let blocked = seen(&pieces);
            let told = String::from_utf8_lossy(&blocked.body).to_lowercase();
            let ways = format!("{} to {}: {told}", from.name, to.name);
            assert!(!told.contains("tig") && told.contains("codenames"), "{ways}");
            assert_eq!((blocked.status, record(&blocked).fault), (200, Some("guardrail_blocked")), "{ways}");
            assert_eq!(done(&blocked), ["block output codenames"], "{ways}");
            let served = seen(&["A project", " is no tiger"]);
            assert_eq!((served.status, record(&served).ending), (200, Ending::Complete), "{ways}");
        }
    }
}

#[test]
fn j2_whole_answers_are_looked_at_before_their_head_is_sent() {
    let anthropic = json!({"id": "m", "type": "message", "role": "assistant", "model": "m-1",
        "content": [{"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": ["Project Tiger"]}}],
        "stop_reason": "tool_use", "usage": {"input_tokens": 3, "output_tokens": 2}});
    let responses = json!({"id": "r", "object": "response", "model": "m-1", "status": "completed", "instructions": "Project Tiger",
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "fine"}]}]});
    let ask = r#"{"model":"m-1","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    let output = "on = [\"output\"]";
    let cases = [
        ("openai", "/v1/chat/completions", ask, chat_whole("the PROJECT tiger"), 400),
        ("anthropic", "/v1/messages", ask, Answer::whole(200, anthropic.to_string()), 400),
        ("anthropic", "/v1/chat/completions", ask, Answer::whole(200, anthropic.to_string()), 400),
        (
            "openai",
            "/v1/responses",
            r#"{"model":"m-1","input":"hi"}"#,
            Answer::whole(200, responses.to_string()),
            200,
        ),
        ("openai", "/v1/chat/completions", ask, chat_whole("fine"), 200),
    ];
    for (kind, path, ask, answer, status) in cases {
        let seen = guarded(kind, output).run_at(path, ask, &answer);
        assert_eq!((seen.status, seen.sent.len()), (status, 1), "{kind} {path}: {:?}", seen.body);
        assert_eq!(done(&seen).len(), usize::from(status == 400));
        assert!(
            seen.body.len() < 60
                || status == 200
                || !seen.body.windows(5).any(|w| w.eq_ignore_ascii_case(b"tiger"))
        );
        let usage = record(&seen).usage.as_ref();
        assert!(usage.is_some_and(|usage| usage.output.get() > 0), "{path}: it is charged");
    }
}

#[test]
fn j2_transcripts_are_looked_at_as_json_as_text_and_as_a_stream() {
    let field = |name: &str, rest: &str, text: &str| {
        format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"{rest}\r\n\r\n{text}\r\n")
    };
    let form = |more: String| {
        format!("{}{}{more}--b--\r\n", field("model", "", "m-1"), field("file", "; filename=\"a\"", "RIFF"))
    };
    let replay = guarded("openai", "").header("content-type", "multipart/form-data; boundary=b");
    let heard = |answer: Answer, body: String| replay.run_at("/v1/audio/transcriptions", body, &answer);
    let text = |text: &str| Answer { content_type: "text/plain", ..Answer::whole(200, text.to_owned()) };
    let json = |text: &str| Answer::whole(200, json!({"text": text}).to_string());
    for (answer, status) in [
        (json("the project tiger"), 400),
        (json("the tiger"), 200),
        (text("the project\ntiger").cut(4), 400),
        (text("the tiger").cut(4), 200),
    ] {
        let seen = heard(answer, form(String::new()));
        assert_eq!(seen.status, status, "{:?}", seen.body);
    }
    let delta = |text: &str| sse("", &json!({"type": "transcript.text.delta", "delta": text}));
    let pieces = [delta("well, "), delta("proj"), delta("ect ti"), delta("ger")];
    let seen = heard(Answer::stream(pieces.concat()), form(field("stream", "", "true")));
    assert_eq!((seen.status, seen.body.get(..pieces[0].len())), (200, Some(&pieces[0][..])));
    assert!(!String::from_utf8_lossy(&seen.body).contains("ect"));
    assert_eq!(done(&seen), ["block output codenames"]);
}
