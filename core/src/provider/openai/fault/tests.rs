use super::*;

fn class(status: u16, body: &str) -> UpstreamClass {
    read(status, &HeaderMap::new(), body.as_bytes()).class
}

fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn every_shape_of_error_body_gives_its_words() {
    for (body, message, code) in [
        (r#"{"error":{"message":"a","type":"t","param":"p","code":"c"}}"#, "a", Some("c")),
        (r#"{"error":{"message":"a","code":401}}"#, "a", Some("401")),
        (r#"{"code":"invalid-argument","error":"a"}"#, "a", Some("invalid-argument")),
        (r#"{"error":"a"}"#, "a", None),
        (r#"{"detail":"a"}"#, "a", None),
        (r#"{"detail":[{"loc":["body","n"],"msg":"a"},{"msg":"b"}]}"#, "body.n: a; b", None),
        (r#"{"object":"error","message":"a","code":"c"}"#, "a", Some("c")),
        (r#"{"message":{"detail":[{"msg":"a"}]}}"#, "a", None),
        (r#"[{"error":{"message":"a"}}]"#, "a", None),
        (r#"{"error":{"message":"a","metadata":{"raw":"b"}}}"#, "a: b", None),
        ("bad gateway", "bad gateway", None),
        ("<html>", "an HTML page instead of an error", None),
        ("", "no error body", None),
        ("{}", "an error without words", None),
    ] {
        let fault = read(400, &HeaderMap::new(), body.as_bytes());
        assert_eq!((fault.message.as_str(), fault.code.as_deref()), (message, code), "{body}");
        assert_eq!(fault.body, body.as_bytes());
    }
}

#[test]
fn i3_a_prompt_that_is_too_long_is_known_by_every_vendors_words() {
    for body in [
        r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#,
        r#"{"error":{"message":"This model's maximum context length is 8 tokens. However, you requested 9"}}"#,
        r#"{"error":{"message":"This endpoint's maximum context length is 200000 tokens.","code":400}}"#,
        r#"{"error":{"message":"prompt too long; exceeded max context length by 4 tokens"}}"#,
        r#"{"error":{"message":"x","type":"too_many_prompt_tokens","code":400}}"#,
        r#"{"error":{"message":"The input token count (9) exceeds the maximum number of tokens allowed (8)."}}"#,
        r#"{"object":"error","message":"Prompt contains 9 tokens ... too large for model with 8 maximum context length"}"#,
    ] {
        assert_eq!(class(400, body), UpstreamClass::ContextLength, "{body}");
    }
    assert_eq!(
        class(429, r#"{"error":{"code":"RateLimitReached","message":"exceeded rate limit"}}"#),
        UpstreamClass::RateLimited
    );
}

#[test]
fn classes_follow_status_and_words() {
    for (status, body, expected) in [
        (400, r#"{"code":"invalid-argument","error":"Incorrect API key provided: xx"}"#, UpstreamClass::Auth),
        (400, r#"{"error":{"code":"content_filter","message":"x"}}"#, UpstreamClass::ContentFilter),
        (
            400,
            r#"{"error":{"message":"Content Exists Risk","code":"invalid_request_error"}}"#,
            UpstreamClass::ContentFilter,
        ),
        (
            403,
            r#"{"code":"The caller does not have permission","error":"Content violates usage guidelines. Model: x"}"#,
            UpstreamClass::ContentFilter,
        ),
        (
            403,
            r#"{"error":{"message":"Your chosen model requires moderation and your input was flagged","code":403}}"#,
            UpstreamClass::ContentFilter,
        ),
        (400, r#"{"error":{"message":"bad"}}"#, UpstreamClass::BadRequest),
        (401, r#"{"detail":"Unauthorized"}"#, UpstreamClass::Auth),
        (402, r#"{"error":{"message":"Insufficient Balance"}}"#, UpstreamClass::Billing),
        (403, "{}", UpstreamClass::Forbidden),
        (404, r#"{"error":{"code":"DeploymentNotFound","message":"x"}}"#, UpstreamClass::NotFound),
        (408, "", UpstreamClass::Timeout),
        (413, "{}", UpstreamClass::TooLarge),
        (
            413,
            r#"{"error":{"message":"Request too large on tokens per minute (TPM)"}}"#,
            UpstreamClass::RateLimited,
        ),
        (422, r#"{"detail":[{"msg":"x"}]}"#, UpstreamClass::BadRequest),
        (429, r#"{"error":{"type":"insufficient_quota","message":"x"}}"#, UpstreamClass::Billing),
        (429, "{}", UpstreamClass::RateLimited),
        (498, "{}", UpstreamClass::Overloaded),
        (500, r#"{"error":{"message":"maximum context length"}}"#, UpstreamClass::Server),
        (503, "{}", UpstreamClass::Overloaded),
    ] {
        assert_eq!(class(status, body), expected, "{status} {body}");
    }
}

#[test]
fn h1_an_error_inside_a_success_takes_its_own_status() {
    let groq = r#"{"error":{"message":"x","code":"tool_use_failed","status_code":400}}"#;
    let fault = read(200, &HeaderMap::new(), groq.as_bytes());
    assert_eq!((fault.status, fault.class), (400, UpstreamClass::BadRequest));
    let openrouter = read(200, &HeaderMap::new(), br#"{"error":{"message":"x","code":502}}"#);
    assert_eq!((openrouter.status, openrouter.class), (502, UpstreamClass::Server));
    assert_eq!(
        class(200, r#"{"error":{"message":"x","type":"rate_limit_error"}}"#),
        UpstreamClass::RateLimited
    );
    assert_eq!(class(200, r#"{"error":{"message":"x"}}"#), UpstreamClass::Server);
}

#[test]
fn k4_the_time_to_come_back_is_read_from_wherever_it_stands() {
    for (list, message, expected) in [
        (&[("retry-after-ms", "1500"), ("retry-after", "9")][..], "", Some(1500)),
        (&[("retry-after-ms", "0"), ("retry-after", "1")], "", Some(1000)),
        (&[("retry-after", "0.5")], "", Some(500)),
        (&[], "Please try again in 1.2s. Visit", Some(1200)),
        (&[], "Please try again in 6m0s.", Some(360_000)),
        (&[], "Please retry after 20 seconds.", Some(20_000)),
        (&[], "Please try again in 30ms.", Some(30)),
        (
            &[
                ("x-ratelimit-reset-requests", "17ms"),
                ("x-ratelimit-reset-tokens", "6m0s"),
                ("x-ratelimit-remaining-tokens", "0"),
            ],
            "",
            Some(360_000),
        ),
        (&[("x-ratelimit-reset-requests", "2.5s"), ("x-ratelimit-reset-tokens", "10s")], "", Some(2500)),
        (&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], "", None),
        (&[], "no", None),
    ] {
        let body = serde_json::json!({"error": {"message": message}}).to_string();
        let fault = read(429, &headers(list), body.as_bytes());
        assert_eq!(fault.retry_after, expected.map(Millis), "{list:?} {message}");
    }
}

#[test]
fn durations_are_gos() {
    for (text, expected) in [
        ("1h2m3s", Some(3_723_000)),
        ("26ms", Some(26)),
        ("0", Some(0)),
        ("1x", None),
        ("", None),
        ("ms", None),
    ] {
        assert_eq!(duration(text), expected.map(Millis), "{text}");
    }
}

#[test]
fn i7_a_quoted_key_is_taken_out_of_the_message() {
    for key in ["sk-proj-abcdefghijklmnop", "sk-ab***********wxyz.", "\"xai-0123456789abcdef\","] {
        let body =
            serde_json::json!({"error": {"message": format!("Incorrect API key provided: {key} See docs.")}});
        let fault = read(401, &HeaderMap::new(), body.to_string().as_bytes());
        assert_eq!(fault.message, "Incorrect API key provided: [key] See docs.");
    }
}
