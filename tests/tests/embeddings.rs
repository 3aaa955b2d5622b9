//! Vectors: asked for on either surface, had from either upstream, metered and billed.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::fs;
use tollgate_core::units::{NanoDollars, Tokens};
use tollgate_tests::recordings;
use tollgate_tests::replay::{Answer, Replay, Seen};

const OPENAIS: &str = r#"{"object":"list","data":[{"object":"embedding","index":1,"embedding":[0.25,-1.0]},{"object":"embedding","index":0,"embedding":[0.5,2.0]}],"model":"text-embedding-3-small","usage":{"prompt_tokens":5,"total_tokens":5}}"#;
const GOOGLES: &str =
    r#"{"embeddings":[{"values":[0.5,2.0]},{"values":[0.25,-1.0]}],"usageMetadata":{"promptTokenCount":5}}"#;

const BATCH: &str = "/v1beta/models/m-1:batchEmbedContents";
const ONE: &str = "/v1/models/m-1:embedContent";

fn upstream(kind: &'static str, model: &str) -> Replay {
    let terms = if kind == "vertex" { "project = \"p\"" } else { "" };
    Replay { terms: terms.to_owned(), ..Replay::new(kind, model) }
}

fn asked(kind: &'static str, target: &str, body: &Value, answer: &str) -> Seen {
    upstream(kind, "m-1").run_at(target, body.to_string(), &Answer::whole(200, answer.to_owned()))
}

fn told(seen: &Seen) -> Value {
    assert_eq!(seen.status, 200, "{:?}", seen.body);
    serde_json::from_slice(&seen.body).unwrap()
}

fn sent(seen: &Seen) -> Value {
    serde_json::from_slice(&seen.sent[0].body).unwrap()
}

fn batch() -> Value {
    let request = |text: &str| json!({"model": "models/m-1", "content": {"parts": [{"text": text}]}, "outputDimensionality": 2, "taskType": "RETRIEVAL_QUERY"});
    json!({"requests": [request("a"), request("b")]})
}

#[test]
fn openais_clients_have_vectors_of_googles() {
    let body = json!({"model": "m-1", "input": ["a", "b"], "dimensions": 2, "user": "u"});
    let seen = asked("gemini", "/v1/embeddings", &body, GOOGLES);
    assert_eq!(seen.sent[0].uri.path(), "/base/models/m-1:batchEmbedContents");
    let request = |text: &str| json!({"model": "models/m-1", "content": {"parts": [{"text": text}]}, "outputDimensionality": 2});
    assert_eq!(sent(&seen), json!({"requests": [request("a"), request("b")]}));
    assert_eq!(seen.headers["x-tollgate-lost"], "user");
    let answer = told(&seen);
    assert_eq!(answer["data"][1], json!({"object": "embedding", "index": 1, "embedding": [0.25, -1.0]}));
    assert_eq!(answer["usage"], json!({"prompt_tokens": 5, "total_tokens": 5}));
    let usage = seen.record.unwrap().usage.unwrap();
    assert_eq!((usage.prompt(), usage.output), (Tokens(5), Tokens::ZERO));
}

#[test]
fn base64_is_written_where_it_is_asked_for() {
    let body = json!({"model": "m-1", "input": "a", "encoding_format": "base64"});
    let answer = told(&asked("gemini", "/openai/embeddings", &body, GOOGLES));
    assert_eq!(answer["data"][0]["embedding"], "AAAAPwAAAEA=");
}

#[test]
fn googles_clients_have_vectors_of_openais_in_the_right_order() {
    let seen = asked("openai", BATCH, &batch(), OPENAIS);
    assert_eq!(
        sent(&seen),
        json!({"model": "m-1", "input": ["a", "b"], "dimensions": 2, "encoding_format": "float"})
    );
    assert_eq!(seen.headers["x-tollgate-lost"], "taskType");
    let answer = told(&seen);
    assert_eq!(answer["embeddings"], json!([{"values": [0.5, 2.0]}, {"values": [0.25, -1.0]}]));
    assert_eq!(answer["usageMetadata"]["promptTokenCount"], 5);
    let one = json!({"content": {"parts": [{"text": "a"}, {"text": "b"}]}});
    let seen = asked("openai", ONE, &one, OPENAIS);
    assert_eq!(sent(&seen)["input"], "ab");
    assert_eq!(told(&seen)["embedding"], json!({"values": [0.5, 2.0]}));
}

#[test]
fn where_the_dialects_are_one_bytes_pass_but_for_the_models_name() {
    let body = r#"{ "input" : [[1,2],[3]], "model":"m-1", "x": null }"#;
    let seen = asked("openai", "/v1/embeddings", &serde_json::from_str(body).unwrap(), OPENAIS);
    assert_eq!(seen.body, OPENAIS);
    let renamed = Replay::new("openai", "served").alias("m-1");
    let seen = renamed.run_at("/v1/embeddings", body, &Answer::whole(200, OPENAIS));
    assert_eq!(seen.sent[0].body, body.replace("m-1", "served"));
    let renamed = Replay::new("gemini", "served").alias("m-1");
    let seen = renamed.run_at(BATCH, batch().to_string(), &Answer::whole(200, GOOGLES));
    assert_eq!(seen.sent[0].body, batch().to_string().replace("models/m-1", "models/served"));
    assert_eq!(
        (seen.sent[0].uri.path(), seen.body),
        ("/base/models/served:batchEmbedContents", GOOGLES.into())
    );
}

#[test]
fn b8_vectors_are_billed_by_their_input_and_by_nothing_else() {
    let tables = "[prices.\"up/m-1\"]\ninput = 2.0\noutput = 1000.0";
    let priced = Replay { tables: tables.to_owned(), ..Replay::new("openai", "m-1") };
    let body = json!({"model": "m-1", "input": "a"});
    let seen = priced.run_at("/v1/embeddings", body.to_string(), &Answer::whole(200, OPENAIS));
    assert_eq!(seen.record.unwrap().cost.amount(), Some(NanoDollars(10_000)));
    assert_eq!(seen.headers["x-tollgate-cost-usd"], "0.00001");
}

#[test]
fn usage_that_nobody_reports_is_counted() {
    let body = json!({"requests": [{"content": {"parts": [{"text": "some words of a text"}]}}]});
    let seen = asked("gemini", BATCH, &body, r#"{"embeddings":[{"values":[1.0]}]}"#);
    let record = seen.record.unwrap();
    assert_ne!(record.basis, tollgate_core::count::Basis::Reported);
    assert!(record.usage.unwrap().prompt() > Tokens::ZERO);
}

#[test]
fn what_cannot_be_had_is_refused_by_name() {
    let blamed = |seen: &Seen| {
        assert_eq!((seen.status, seen.sent.len()), (400, 0), "{:?}", seen.body);
        let error: Value = serde_json::from_slice(&seen.body).unwrap();
        let field = &error["error"]["details"][1]["fieldViolations"][0]["field"];
        field.as_str().or(error["error"]["param"].as_str()).unwrap().to_owned()
    };
    let tokens = json!({"model": "m-1", "input": [[1, 2]]});
    assert_eq!(blamed(&asked("gemini", "/v1/embeddings", &tokens, GOOGLES)), "input[0]");
    let words = json!({"model": "m-1", "input": "a"});
    assert_eq!(blamed(&asked("anthropic", "/v1/embeddings", &words, "{}")), "model");
    let picture = json!({"requests": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}}]});
    assert_eq!(blamed(&asked("openai", BATCH, &picture, OPENAIS)), "requests[0].content.parts[0]");
    let mut mixed = batch();
    mixed["requests"][1]["taskType"] = json!("CLUSTERING");
    assert_eq!(blamed(&asked("openai", BATCH, &mixed, OPENAIS)), "requests[1]");
}

#[test]
fn an_error_in_a_good_answer_is_an_error() {
    let body = json!({"model": "m-1", "input": "a"});
    let seen = asked(
        "gemini",
        "/v1/embeddings",
        &body,
        r#"{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}"#,
    );
    assert_eq!(seen.status, 502);
    let seen =
        asked("openai", "/v1/embeddings", &body, r#"{"error":{"message":"no","type":"server_error"}}"#);
    assert_eq!(seen.status, 502);
}

#[test]
fn a_recorded_request_for_vectors_reaches_its_upstream_unchanged_and_is_understood_by_the_other() {
    for path in recordings::files("gemini") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(case) = name.strip_suffix(".request.json").filter(|name| name.starts_with("embed-")) else {
            continue;
        };
        let body = fs::read_to_string(&path).unwrap();
        let answer = fs::read_to_string(path.with_file_name(format!("{case}.response.json"))).unwrap();
        let target = "/v1beta/models/gemini-embedding-2:batchEmbedContents";
        let own = Replay::new("gemini", "gemini-embedding-2");
        let seen = own.run_at(target, body.clone(), &Answer::whole(200, answer.clone()));
        assert_eq!(
            (seen.status, &seen.sent[0].body, &seen.body),
            (200, &body.clone().into(), &answer.clone().into())
        );
        let usage = seen.record.unwrap().usage.unwrap();
        let recorded: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(Some(usage.prompt().get()), recorded["usageMetadata"]["promptTokenCount"].as_u64());
        let other = Replay::new("openai", "gemini-embedding-2");
        let seen = other.run_at(target, body, &Answer::whole(200, OPENAIS));
        assert_eq!(told(&seen)["embeddings"][0]["values"], json!([0.5, 2.0]));
    }
}

const PREDICTED: &str = r#"{"predictions":[{"embeddings":{"values":[0.5,2.0],"statistics":{"token_count":3,"truncated":false}}},{"embeddings":{"values":[0.25,-1.0],"statistics":{"token_count":2.0,"truncated":false}}}],"metadata":{"billableCharacterCount":2}}"#;

#[test]
fn vertex_predicts_vectors_by_its_older_models() {
    let body = json!({"model": "m-1", "input": ["a", "b"], "dimensions": 2, "user": "u"});
    let seen = asked("vertex", "/v1/embeddings", &body, PREDICTED);
    assert_eq!(
        seen.sent[0].uri.path(),
        "/base/v1/projects/p/locations/global/publishers/google/models/m-1:predict"
    );
    assert_eq!(
        sent(&seen),
        json!({"instances": [{"content": "a"}, {"content": "b"}], "parameters": {"outputDimensionality": 2}})
    );
    assert_eq!(seen.headers["x-tollgate-lost"], "user");
    let answer = told(&seen);
    assert_eq!(answer["data"][0]["embedding"], json!([0.5, 2.0]));
    assert_eq!(answer["data"][1]["embedding"], json!([0.25, -1.0]));
    assert_eq!(answer["usage"], json!({"prompt_tokens": 5, "total_tokens": 5}));
    assert_eq!(seen.record.unwrap().usage.unwrap().prompt(), Tokens(5));
    // Google's own clients get it in their words.
    let seen = asked("vertex", BATCH, &batch(), PREDICTED);
    let instance = |text: &str| json!({"content": text, "task_type": "RETRIEVAL_QUERY"});
    assert_eq!(
        sent(&seen),
        json!({"instances": [instance("a"), instance("b")], "parameters": {"outputDimensionality": 2}})
    );
    assert_eq!(told(&seen)["embeddings"], json!([{"values": [0.5, 2.0]}, {"values": [0.25, -1.0]}]));
    let tokens = json!({"model": "m-1", "input": [[1, 2]]});
    let seen = asked("vertex", "/v1/embeddings", &tokens, PREDICTED);
    assert_eq!(seen.status, 400);
    assert!(seen.sent.is_empty());
}

#[test]
fn vertex_embeds_contents_by_its_newer_models() {
    let asked = |target: &str, body: &Value, answer: &str| {
        let gateway = upstream("vertex", "gemini-embedding-2").alias("m-1");
        gateway.run_at(target, body.to_string(), &Answer::whole(200, answer.to_owned()))
    };
    let one = json!({"model": "m-1", "input": "a", "dimensions": 2});
    let seen = asked(
        "/v1/embeddings",
        &one,
        r#"{"embedding":{"values":[0.5,2.0]},"usageMetadata":{"promptTokenCount":4}}"#,
    );
    assert_eq!(
        seen.sent[0].uri.path(),
        "/base/v1/projects/p/locations/global/publishers/google/models/gemini-embedding-2:embedContent"
    );
    let content = |text: &str| json!({"role": "user", "parts": [{"text": text}]});
    assert_eq!(
        sent(&seen),
        json!({"content": content("a"), "embedContentConfig": {"outputDimensionality": 2}})
    );
    assert_eq!(told(&seen)["usage"]["prompt_tokens"], 4);
    let many = json!({"model": "m-1", "input": ["a", "b"]});
    let seen = asked("/v1/embeddings", &many, GOOGLES);
    assert_eq!(
        seen.sent[0].uri.path(),
        "/base/v1/projects/p/locations/global/publishers/google/models/gemini-embedding-2:batchEmbedContents"
    );
    assert_eq!(sent(&seen), json!({"requests": [{"content": content("a")}, {"content": content("b")}]}));
    // As Vertex's own clients ask, also where another provider answers.
    let wishes = json!({"taskType": "RETRIEVAL_QUERY", "auto_truncate": true, "outputDimensionality": 2});
    let body = json!({"content": content("a"), "embedContentConfig": wishes});
    let path = "/v1beta1/projects/p/locations/l/publishers/google/models/m-1:embedContent";
    let seen = asked(path, &body, r#"{"embedding":{"values":[0.5,2.0]}}"#);
    let wishes = json!({"taskType": "RETRIEVAL_QUERY", "autoTruncate": true, "outputDimensionality": 2});
    assert_eq!(sent(&seen), json!({"content": content("a"), "embedContentConfig": wishes}));
    let seen =
        Replay::new("openai", "m-1").run_at(path, body.to_string(), &Answer::whole(200, OPENAIS.to_owned()));
    assert_eq!(sent(&seen)["dimensions"], 2);
    assert_eq!(seen.headers["x-tollgate-lost"], "taskType, autoTruncate");
}
