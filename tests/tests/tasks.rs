//! What is asked besides text and vectors: passed, governed, metered.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_core::units::{NanoDollars, Tokens};
use tollgate_tests::replay::{Answer, Replay, Seen};

const IMAGES: &str = r#"{"created":5,"data":[{"b64_json":"aGk="}],"usage":{"total_tokens":1100,"input_tokens":100,"output_tokens":1000,"input_tokens_details":{"text_tokens":40,"image_tokens":60}}}"#;
const DALL_E: &str = r#"{"created":5,"data":[{"url":"https://a.test/1"},{"url":"https://a.test/2"}]}"#;
const COHERES: &str = r#"{"id":"r","results":[{"index":1,"relevance_score":0.9}],"meta":{"api_version":{"version":"2"},"billed_units":{"search_units":3}}}"#;
const JINAS: &str =
    r#"{"model":"m-1","usage":{"total_tokens":15},"results":[{"index":0,"relevance_score":0.8}]}"#;
const VERDICT: &str = r#"{"id":"modr-1","model":"m-1","results":[{"flagged":false,"categories":{}}]}"#;

fn asked(kind: &'static str, target: &str, body: &Value, answer: &str) -> Seen {
    Replay::new(kind, "m-1").run_at(target, body.to_string(), &Answer::whole(200, answer.to_owned()))
}

fn priced(prices: &str) -> Replay {
    Replay { tables: format!("[prices.\"up/m-1\"]\n{prices}"), ..Replay::new("openai", "m-1") }
}

fn cost(seen: Seen) -> Option<NanoDollars> {
    assert_eq!(seen.status, 200, "{:?}", seen.body);
    seen.record.unwrap().cost.amount()
}

/// A form with a text for each field and this file.
fn form(fields: &[(&str, &str)], file: (&str, &[u8])) -> Bytes {
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend(
            format!("--xx\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes(),
        );
    }
    let head = format!(
        "--xx\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"a\"\r\nContent-Type: application/octet-stream\r\n\r\n",
        file.0
    );
    body.extend(head.bytes());
    body.extend(file.1);
    body.extend(b"\r\n--xx--\r\n");
    body.into()
}

fn sent_form(replay: &Replay, target: &str, body: Bytes, answer: &Answer) -> Seen {
    let replay = replay.clone().header("content-type", "multipart/form-data; boundary=xx");
    replay.run_at(target, body, answer)
}

/// A second of sound.
fn wav() -> Vec<u8> {
    let mut file =
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\0\0\0\0".to_vec();
    file.resize(32_000, 0xff);
    file
}

#[test]
fn bodies_in_json_pass_but_for_the_models_name_to_the_place_of_their_task() {
    for (target, place, body, answer) in [
        ("/v1/moderations", "/base/moderations", r#"{ "input":["a"], "model":"m-1", "x":1e0 }"#, VERDICT),
        (
            "/v1/images/generations",
            "/base/images/generations",
            r#"{"prompt":"a","model":"m-1","n":2,"x":1e0}"#,
            DALL_E,
        ),
        (
            "/v1/rerank",
            "/base/rerank",
            r#"{"query":"a","documents":["b",{"text":"c"}],"model":"m-1"}"#,
            COHERES,
        ),
        ("/v2/rerank", "/base/rerank", r#"{"query":"a","documents":["b"],"model":"m-1","top_n":1}"#, JINAS),
        (
            "/openai/audio/speech",
            "/base/audio/speech",
            r#"{"input":"a","voice":"alloy","model":"m-1"}"#,
            "{}",
        ),
    ] {
        let renamed = Replay::new("openai", "served").alias("m-1");
        let seen = renamed.run_at(target, body, &Answer::whole(200, answer));
        assert_eq!(seen.sent[0].uri.path(), place);
        assert_eq!(seen.sent[0].body, body.replace("m-1", "served"), "{target}");
        assert_eq!((seen.status, &seen.body[..]), (200, answer.as_bytes()), "{target}");
        assert_eq!(seen.headers["x-tollgate-model"], "served");
    }
}

#[test]
fn where_no_model_is_named_openais_own_default_is_asked() {
    let moderated = Replay::new("openai", "served").alias("omni-moderation-latest");
    let seen = moderated.run_at("/v1/moderations", r#"{"input":"a"}"#, &Answer::whole(200, VERDICT));
    assert_eq!(seen.sent[0].body, r#"{"model":"served","input":"a"}"#);
    let drawn = Replay::new("openai", "served").alias("dall-e-2");
    let seen = drawn.run_at("/v1/images/generations", r#"{"prompt":"a"}"#, &Answer::whole(200, DALL_E));
    assert_eq!(seen.sent[0].body, r#"{"model":"served","prompt":"a"}"#);
}

#[test]
fn a_form_passes_but_for_the_models_name() {
    let file: Vec<u8> = (0..=255).cycle().take(4096).collect();
    for (target, place, field) in [
        ("/v1/audio/transcriptions", "/base/audio/transcriptions", "file"),
        ("/v1/audio/translations", "/base/audio/translations", "file"),
        ("/v1/images/edits", "/base/images/edits", "image"),
        ("/v1/images/variations", "/base/images/variations", "image"),
    ] {
        let fields = |model| [("prompt", "p"), ("model", model)];
        let body = form(&fields("m-1"), (field, &file));
        let renamed = Replay::new("openai", "served").alias("m-1");
        let seen = sent_form(&renamed, target, body, &Answer::whole(200, r#"{"text":"ok"}"#));
        assert_eq!(seen.sent[0].uri.path(), place);
        assert_eq!(seen.sent[0].headers["content-type"], "multipart/form-data; boundary=xx");
        assert_eq!(seen.sent[0].body, form(&fields("served"), (field, &file)), "{target}");
        assert_eq!(seen.body, r#"{"text":"ok"}"#);
    }
}

#[test]
fn fallbacks_of_a_form_are_tried_and_taken_out_wherever_they_stand() {
    let file: Vec<u8> = (0..=255).collect();
    let left = form(&[("prompt", "p"), ("model", "served")], ("file", &file));
    for fields in [
        &[("fallbacks", "up/served"), ("prompt", "p"), ("model", "up/served")][..],
        &[("fallbacks[]", "up/a"), ("fallbacks[]", "up/b"), ("prompt", "p"), ("model", "up/served")],
        &[("prompt", "p"), ("fallbacks[]", "up/a"), ("fallbacks[]", "up/b"), ("model", "up/served")],
        &[("prompt", "p"), ("model", "up/served"), ("fallbacks", "up/a")],
    ] {
        let replay = Replay::new("openai", "served");
        let body = form(fields, ("file", &file));
        let seen = sent_form(&replay, "/v1/audio/transcriptions", body.clone(), &Answer::whole(200, "{}"));
        assert_eq!(seen.sent[0].body, left, "{fields:?}");
        let seen = sent_form(&replay, "/v1/audio/transcriptions", body, &Answer::whole(503, "{}"));
        let second = fields.iter().find(|field| field.0.starts_with("fallbacks")).unwrap().1;
        let second =
            form(&[("prompt", "p"), ("model", second.strip_prefix("up/").unwrap())], ("file", &file));
        assert!(seen.sent.iter().any(|fetch| fetch.body == second), "{fields:?}");
    }
}

#[test]
fn sound_comes_as_it_is_under_its_own_label() {
    let sound: Vec<u8> = (0..=255).rev().cycle().take(70_000).collect();
    let answer = Answer { content_type: "audio/mpeg", ..Answer::whole(200, sound.clone()) }.cut(999);
    let body = json!({"model": "m-1", "input": "read this", "voice": "alloy"});
    let seen = Replay::new("openai", "m-1").run_at("/v1/audio/speech", body.to_string(), &answer);
    assert!(seen.ended);
    assert_eq!(
        (seen.status, &seen.body[..], seen.headers["content-type"].to_str().unwrap()),
        (200, &sound[..], "audio/mpeg")
    );
}

#[test]
fn b8_pictures_are_billed_by_their_tokens_or_one_by_one() {
    let body = json!({"model": "m-1", "prompt": "a", "n": 2}).to_string();
    let at = |prices: &str, answer: &str| {
        let place = "/v1/images/generations";
        cost(priced(prices).run_at(place, body.clone(), &Answer::whole(200, answer.to_owned())))
    };
    // 40 of text at 5, 60 of pictures at 10, 1,000 made at 40 dollars per million.
    assert_eq!(at("input = 5\nimage_input = 10\nimage_output = 40", IMAGES), Some(NanoDollars(40_800_000)));
    assert_eq!(at("per_image = 0.04", DALL_E), Some(NanoDollars(80_000_000)));
}

#[test]
fn b8_pictures_have_their_price_by_quality_and_size() {
    let of = |model: &str| Replay { name: "openai", ..Replay::new("openai", model) };
    let drawn = |model: &str, asked: Value| {
        let mut body = json!({"model": model, "prompt": "a", "n": 2});
        body.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
        let place = "/v1/images/generations";
        cost(of(model).run_at(place, body.to_string(), &Answer::whole(200, DALL_E))).map(NanoDollars::get)
    };
    for (model, asked, cents) in [
        ("dall-e-3", json!({}), Some(8)),
        ("dall-e-3", json!({"quality": "auto", "size": null}), Some(8)),
        ("dall-e-3", json!({"size": "1792x1024"}), Some(16)),
        ("dall-e-3", json!({"quality": "standard", "size": "1024x1792"}), Some(16)),
        ("dall-e-3", json!({"quality": "hd"}), Some(16)),
        ("dall-e-3", json!({"quality": "hd", "size": "1024x1792"}), Some(24)),
        ("dall-e-3", json!({"quality": "hd", "size": "512x512"}), None),
        ("dall-e-3", json!({"quality": "a word of tomorrow"}), None),
        ("dall-e-2", json!({"size": "1024x1024"}), Some(4)),
        ("dall-e-2", json!({"size": "2048x2048"}), None),
    ] {
        assert_eq!(drawn(model, asked.clone()), cents.map(|cents| cents * 10_000_000), "{model}: {asked}");
    }
    assert_eq!(drawn("dall-e-2", json!({"size": "256x256"})), Some(32_000_000));

    let varied = form(&[("model", "dall-e-2"), ("size", "512x512"), ("n", "2")], ("image", &[1, 2]));
    let seen = of("dall-e-2").header("content-type", "multipart/form-data; boundary=xx").run_at(
        "/v1/images/variations",
        varied,
        &Answer::whole(200, DALL_E),
    );
    assert_eq!(cost(seen), Some(NanoDollars(36_000_000)));

    // One's own price holds for all forms, unless one tells them apart as well.
    let own = |prices: &str| {
        let body = json!({"model": "m-1", "prompt": "a", "quality": "hd"}).to_string();
        let place = "/v1/images/generations";
        cost(priced(prices).run_at(place, body, &Answer::whole(200, DALL_E)))
    };
    assert_eq!(own("as = \"openai/dall-e-3\"\nper_image = 0.5"), Some(NanoDollars(500_000_000)));
    assert_eq!(own("as = \"openai/dall-e-3\""), Some(NanoDollars(80_000_000)));
    assert_eq!(own("per_image = 1\n\"@hd\" = { per_image = 2 }"), Some(NanoDollars(2_000_000_000)));
}

#[test]
fn b8_ranks_are_billed_by_search_or_by_tokens() {
    let body = json!({"model": "m-1", "query": "a", "documents": vec!["b"; 101]}).to_string();
    let at = |prices: &str, answer: &str| {
        cost(priced(prices).run_at("/v1/rerank", body.clone(), &Answer::whole(200, answer.to_owned())))
    };
    assert_eq!(at("per_search = 0.002", COHERES), Some(NanoDollars(6_000_000)));
    assert_eq!(at("per_search = 0.002", r#"{"results":[]}"#), Some(NanoDollars(4_000_000)), "two hundreds");
    assert_eq!(at("input = 0.05", JINAS), Some(NanoDollars(750)));
}

#[test]
fn cohere_itself_ranks_at_its_own_place() {
    let body = r#"{ "model":"m-1", "query":"a","documents":["b"] }"#;
    let tables = "[prices.\"up/served\"]\nper_search = 0.002".to_owned();
    let own = Replay { tables, ..Replay::new("cohere", "served").alias("m-1") };
    let seen = own.run_at("/v2/rerank", body, &Answer::whole(200, COHERES));
    assert_eq!((seen.sent[0].uri.path(), &seen.body[..]), ("/base/rerank", COHERES.as_bytes()));
    assert_eq!(seen.sent[0].body, body.replace("m-1", "served"));
    assert_eq!(cost(seen), Some(NanoDollars(6_000_000)));
    let seen = asked("cohere", "/v1/moderations", &json!({"model": "m-1", "input": "a"}), VERDICT);
    assert_eq!((seen.status, seen.sent.len()), (400, 0));
}

#[test]
fn b8_speech_is_billed_by_character_by_length_or_by_tokens() {
    let body = json!({"model": "m-1", "input": "é".repeat(24), "voice": "alloy"});
    let bytes = Answer { content_type: "audio/mpeg", ..Answer::whole(200, "ID3") };
    let at = |prices: &str, answer: &Answer, body: &Value| {
        cost(priced(prices).run_at("/v1/audio/speech", body.to_string(), answer))
    };
    assert_eq!(at("per_character = 0.000015", &bytes, &body), Some(NanoDollars(360_000)));
    assert_eq!(at("input = 0.6\nper_second_output = 0.00025", &bytes, &body), Some(NanoDollars(500_000)));
    let mut events = body.clone();
    events["stream_format"] = json!("sse");
    let told = "data: {\"type\":\"speech.audio.delta\",\"audio\":\"aGk=\"}\n\ndata: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":10,\"output_tokens\":100,\"total_tokens\":110}}\n\n";
    let prices = "input = 1\naudio_output = 12\nper_second_output = 0.00025";
    assert_eq!(at(prices, &Answer::stream(told), &events), Some(NanoDollars(1_210_000)));
}

#[test]
fn b8_recordings_are_billed_by_length_or_by_tokens() {
    let body = form(&[("model", "m-1")], ("file", &wav()));
    let at = |prices: &str, answer: &Answer| {
        let seen = sent_form(&priced(prices), "/v1/audio/transcriptions", body.clone(), answer);
        cost(seen)
    };
    let told = Answer::whole(200, r#"{"text":"hi","usage":{"type":"duration","seconds":7.2}}"#);
    assert_eq!(at("per_second = 0.0001", &told), Some(NanoDollars(800_000)), "a second that has begun");
    let text = Answer { content_type: "text/plain", ..Answer::whole(200, "hi\n") };
    assert_eq!(at("per_second = 0.0001", &text), Some(NanoDollars(100_000)), "by the file's own head");
    let tokens = Answer::whole(
        200,
        r#"{"text":"hi","usage":{"type":"tokens","input_tokens":14,"output_tokens":2,"total_tokens":16,"input_token_details":{"text_tokens":0,"audio_tokens":14}}}"#,
    );
    assert_eq!(at("input = 2.5\noutput = 10", &tokens), Some(NanoDollars(55_000)));
    let events = "data: {\"type\":\"transcript.text.delta\",\"delta\":\"hi\"}\n\ndata: {\"type\":\"transcript.text.done\",\"text\":\"hi\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":14,\"output_tokens\":2,\"total_tokens\":16}}\n\n";
    assert_eq!(at("input = 2.5\noutput = 10", &Answer::stream(events)), Some(NanoDollars(55_000)));
}

#[test]
fn moderation_is_counted_and_costs_what_its_price_says() {
    let body = json!({"model": "m-1", "input": ["a", {"type": "text", "text": "b"}]}).to_string();
    let seen = priced("input = 0\noutput = 0").run_at("/v1/moderations", body, &Answer::whole(200, VERDICT));
    let record = seen.record.clone().unwrap();
    assert!(record.usage.unwrap().prompt() > Tokens::ZERO);
    assert_eq!(cost(seen), Some(NanoDollars::ZERO));
}

#[test]
fn what_has_no_price_is_unknown_and_not_free() {
    let body = json!({"model": "m-1", "prompt": "a"}).to_string();
    let replay = Replay::new("openai", "m-1");
    let seen = replay.run_at("/v1/images/generations", body, &Answer::whole(200, DALL_E));
    assert!(!seen.headers.contains_key("x-tollgate-cost-usd"));
    assert_eq!(cost(seen), None);
}

#[test]
fn errors_are_errors_in_whatever_answer_they_come() {
    let body = json!({"model": "m-1", "prompt": "a"});
    let place = "/v1/images/generations";
    let shown = |seen: &Seen| serde_json::from_slice::<Value>(&seen.body).unwrap()["error"]["code"].clone();
    for answer in [r#"{"error":{"message":"no","type":"server_error"}}"#, ""] {
        let seen = asked("openai", place, &body, answer);
        assert_eq!((seen.status, shown(&seen)), (502, json!("upstream_error")), "{answer}");
    }
    let refused = r#"{"error":{"message":"unsafe","type":"image_generation_user_error","param":null,"code":"moderation_blocked"}}"#;
    let seen = Replay::new("openai", "m-1").run_at(place, body.to_string(), &Answer::whole(400, refused));
    assert_eq!((seen.status, shown(&seen)), (400, json!("moderation_blocked")));
    let event = "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"busy\"}}\n\n";
    let streamed = json!({"model": "m-1", "prompt": "a", "stream": true});
    let seen = Replay::new("openai", "m-1").run_at(place, streamed.to_string(), &Answer::stream(event));
    assert_eq!((seen.status, shown(&seen)), (502, json!("upstream_error")));
}

#[test]
fn providers_without_such_calls_are_refused_by_name() {
    for kind in ["anthropic", "gemini", "bedrock"] {
        let body = json!({"model": "m-1", "input": "a"});
        let replay = match kind {
            "bedrock" => Replay { terms: "region = \"us-east-1\"".to_owned(), ..Replay::new(kind, "m-1") },
            _ => Replay::new(kind, "m-1"),
        };
        let seen = replay.run_at("/v1/moderations", body.to_string(), &Answer::whole(200, VERDICT));
        assert_eq!((seen.status, seen.sent.len()), (400, 0), "{kind}");
        let error: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(
            (&error["error"]["param"], &error["error"]["code"]),
            (&json!("model"), &json!("unsupported"))
        );
    }
}

#[test]
fn forms_that_lack_something_are_refused_by_the_name_of_the_part() {
    let wav = wav();
    for (target, body, param) in [
        ("/v1/audio/transcriptions", form(&[], ("file", &wav)), "model"),
        ("/v1/audio/transcriptions", form(&[("model", "m-1")], ("sound", &wav)), "file"),
        ("/v1/audio/transcriptions", form(&[("model", "m-1"), ("file", "x")], ("other", &wav)), "file"),
        ("/v1/audio/transcriptions", form(&[("model", "m-1"), ("model", "m-2")], ("file", &wav)), "model"),
        (
            "/v1/audio/transcriptions",
            form(&[("model", "m-1"), ("stream", "maybe")], ("file", &wav)),
            "stream",
        ),
        ("/v1/audio/transcriptions", form(&[("language", "en")], ("model", &wav)), "file"),
        ("/v1/images/edits", form(&[("model", "m-1")], ("image", &wav)), "prompt"),
        ("/v1/images/edits", form(&[("model", "m-1"), ("prompt", "p"), ("n", "0")], ("image[]", &wav)), "n"),
        ("/v1/images/variations", form(&[("model", "m-1")], ("picture", &wav)), "image"),
    ] {
        let seen = sent_form(&Replay::new("openai", "m-1"), target, body, &Answer::whole(200, "{}"));
        let error: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(
            (seen.status, seen.sent.len(), &error["error"]["param"]),
            (400, 0, &json!(param)),
            "{error}"
        );
    }
    let json = json!({"model": "m-1"}).to_string();
    let seen = Replay::new("openai", "m-1").run_at("/v1/images/edits", json, &Answer::whole(200, "{}"));
    assert_eq!(seen.status, 400);
}
