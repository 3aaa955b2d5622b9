//! The Gemini dialect: shapes and refusals.

use serde_json::{Value, json};
use tollgate_sim::Running;

use crate::raw::{Reply, post, sim};

fn hello() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]})
}

fn ask(sim: &Running, model: &str, body: &Value) -> Reply {
    post(sim, &format!("/v1beta/models/{model}:generateContent"), &[], body)
}

fn stream(model: &str, body: &Value) -> Reply {
    post(&sim(), &format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"), &[], body)
}

fn with_tools(text: &str) -> Value {
    let schema = json!({"type": "OBJECT", "properties": {"city": {"type": "STRING"}}});
    json!({"contents": [{"role": "user", "parts": [{"text": text}]}], "tools": [{"functionDeclarations": [
        {"name": "weather", "parameters": schema}, {"name": "time", "parameters": schema}]}]})
}

#[test]
fn a_whole_answer_has_the_published_shape() {
    let answer = ask(&sim(), "gemini-sim", &hello()).json();
    let candidate = json!({"content": {"parts": [{"text": "You said: hello"}], "role": "model"}, "finishReason": "STOP", "index": 0});
    assert_eq!(answer["candidates"], json!([candidate]));
    assert_eq!(answer["modelVersion"], "gemini-sim");
    let usage = &answer["usageMetadata"];
    assert_eq!(
        (&usage["promptTokenCount"], &usage["candidatesTokenCount"], &usage["totalTokenCount"]),
        (&json!(2), &json!(4), &json!(6))
    );
}

#[test]
fn an_sse_stream_is_separated_by_crlf_and_its_usage_grows() {
    let reply = stream("gemini-sim", &hello());
    assert_eq!(reply.text().matches("\r\n\r\n").count(), 3);
    let events = reply.events();
    let counts: Vec<u64> =
        events.iter().map(|event| event["usageMetadata"]["candidatesTokenCount"].as_u64().unwrap()).collect();
    assert!(counts.is_sorted() && counts.last() == Some(&4), "{counts:?}");
    assert!(events[0]["candidates"][0].get("finishReason").is_none());
    assert_eq!(events[2]["candidates"][0]["finishReason"], "STOP");
}

#[test]
fn without_alt_sse_the_stream_is_one_json_array() {
    let reply = post(&sim(), "/v1beta/models/gemini-sim:streamGenerateContent", &[], &hello());
    assert_eq!((reply.header("content-type"), reply.chunks.len()), (Some("application/json"), 3));
    assert_eq!(reply.json().as_array().unwrap().len(), 3);
}

#[test]
fn every_prefix_and_an_encoded_model_are_served() {
    for path in [
        "/v1/models/g:generateContent",
        "/v1beta1/publishers/google/models/g:generateContent",
        "/v1/projects/p/locations/l/publishers/google/models/g%2Bcached=1:generateContent",
    ] {
        let reply = post(&sim(), path, &[], &hello());
        assert_eq!((reply.status, &reply.json()["modelVersion"]), (200, &json!("g")), "{path}");
    }
}

#[test]
fn directives_stand_in_the_path() {
    let reply = ask(&sim(), "gemini-sim+error=rate_limit,retry_after=39", &hello());
    assert_eq!(reply.status, 429);
    let error = reply.json()["error"].clone();
    assert_eq!(
        (&error["status"], &error["details"][0]["retryDelay"]),
        (&json!("RESOURCE_EXHAUSTED"), &json!("39s"))
    );
}

#[test]
fn a_wrong_key_is_a_bad_request() {
    let reply = ask(&sim(), "g+expect_key=good", &hello());
    assert_eq!(
        (reply.status, &reply.json()["error"]["details"][0]["reason"]),
        (400, &json!("API_KEY_INVALID"))
    );
    assert_eq!(
        post(&sim(), "/v1beta/models/g+expect_key=good:generateContent?key=good", &[], &hello()).status,
        200
    );
}

#[test]
fn thoughts_are_parts_and_sign_the_text() {
    let mut body = hello();
    body["generationConfig"] = json!({"thinkingConfig": {"includeThoughts": true}});
    let answer = ask(&sim(), "g", &body).json();
    let parts = answer["candidates"][0]["content"]["parts"].as_array().unwrap().clone();
    assert_eq!((&parts[0]["thought"], parts[1]["thoughtSignature"].is_string()), (&json!(true), true));
    let usage = &answer["usageMetadata"];
    let count = |name: &str| usage[name].as_u64().unwrap();
    assert_eq!(
        count("totalTokenCount"),
        count("promptTokenCount") + count("candidatesTokenCount") + count("thoughtsTokenCount")
    );
}

#[test]
fn calls_end_with_stop_and_newer_models_sign_the_first() {
    let text = "call weather {\"city\":\"Paris\"}\ncall time {\"city\":\"Oslo\"}";
    let candidate = ask(&sim(), "gemini-3-pro", &with_tools(text)).json()["candidates"][0].clone();
    let parts = candidate["content"]["parts"].as_array().unwrap();
    assert_eq!(candidate["finishReason"], "STOP");
    assert_eq!(parts[0]["functionCall"]["args"], json!({"city": "Paris"}));
    assert!(parts[0]["thoughtSignature"].is_string() && parts[1].get("thoughtSignature").is_none());
    assert!(parts[0]["functionCall"]["id"].is_string());
    let older = ask(&sim(), "gemini-2.5-pro", &with_tools(text)).json();
    assert!(older["candidates"][0]["content"]["parts"][0]["functionCall"].get("id").is_none());
    let events = stream("gemini-3-pro", &with_tools(text)).events();
    let last = &events.last().unwrap()["candidates"][0];
    assert_eq!((&last["finishReason"], &last["content"]["parts"][0]["text"]), (&json!("STOP"), &json!("")));
}

#[test]
fn newer_models_demand_the_signature_back() {
    let sim = sim();
    let mut body = with_tools("call weather {}");
    let mut content = ask(&sim, "gemini-3-pro", &body).json()["candidates"][0]["content"].clone();
    let user = body["contents"][0].clone();
    let result = json!({"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"output": "sunny"}}}]});
    body["contents"] = json!([user, content, result]);
    let reply = ask(&sim, "gemini-3-pro", &body);
    assert_eq!(reply.json()["candidates"][0]["content"]["parts"][0]["text"], "weather returned: sunny");
    content["parts"][0].as_object_mut().unwrap().remove("thoughtSignature");
    body["contents"][1] = content;
    assert!(ask(&sim, "gemini-3-pro", &body).text().contains("missing a thought_signature"));
    assert_eq!(ask(&sim, "gemini-2.5-pro", &body).status, 200);
}

#[test]
fn snake_case_is_understood() {
    let mut body = hello();
    body["generation_config"] = json!({"max_output_tokens": 1, "candidate_count": 2});
    let answer = ask(&sim(), "g", &body).json();
    assert_eq!(answer["candidates"].as_array().unwrap().len(), 2);
    assert_eq!(answer["candidates"][0]["finishReason"], "MAX_TOKENS");
}

#[test]
fn a_schema_is_answered_with_an_instance() {
    let mut body = hello();
    body["generationConfig"] = json!({"responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT", "properties": {"ok": {"type": "BOOLEAN"}}}});
    assert_eq!(
        ask(&sim(), "g", &body).json()["candidates"][0]["content"]["parts"][0]["text"],
        "{\"ok\":true}"
    );
}

#[test]
fn errors_come_inside_the_stream() {
    let events = stream("g+error_after=1", &hello()).events();
    assert_eq!((events.len(), &events[1]["error"]["status"]), (2, &json!("UNAVAILABLE")));
}

#[test]
fn what_the_provider_refuses_is_refused_in_its_words() {
    let user = json!({"role": "user", "parts": [{"text": "x"}]});
    let call = json!({"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]});
    let answer = json!({"functionResponse": {"name": "f", "response": {}}});
    let contents = |list: Value| json!({"contents": list});
    let cases = [
        (json!({}), "contents is not specified"),
        (json!({"contents": [user], "nonsense": 1}), "Unknown name \"nonsense\""),
        (contents(json!([{"role": "assistant", "parts": [{"text": "x"}]}])), "valid role: user, model"),
        (contents(json!([{"role": "user", "parts": []}])), "parts must not be empty"),
        (
            contents(json!([user, {"role": "user", "parts": [answer]}])),
            "immediately after a function call turn",
        ),
        (
            contents(json!([user, call, {"role": "user", "parts": [answer, answer]}])),
            "number of function response parts",
        ),
        (contents(json!([user, call, user])), "number of function response parts"),
        (contents(json!([call])), "function call turn comes immediately after"),
    ];
    let sim = sim();
    for (body, words) in cases {
        let reply = ask(&sim, "g", &body);
        assert_eq!(
            (reply.status, &reply.json()["error"]["status"]),
            (400, &json!("INVALID_ARGUMENT")),
            "{body}"
        );
        let message = reply.json()["error"]["message"].clone();
        assert!(message.as_str().unwrap().contains(words), "{message} instead of {words}");
    }
}

#[test]
fn fast_stands_in_the_path() {
    let reply = stream("g+events=5,fast", &hello());
    assert_eq!((reply.chunks.len(), reply.header("x-request-id")), (5, None));
}
