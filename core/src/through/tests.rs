use super::*;
use crate::config;
use http::HeaderValue;

const CONFIG: &str = r#"
[providers.mine]
kind = "openai"
base_url = "https://mine.test/base/v1"
keys = ["k"]
[providers.google]
kind = "gemini"
keys = ["k"]
[providers.aws]
kind = "bedrock"
region = "us-east-1"
keys = ["k"]
"#;

fn found(method: &Method, target: &str) -> Option<Through> {
    let config = config::load(CONFIG.as_bytes(), &|_| Err("none".to_owned())).unwrap();
    find(method, &target.parse().unwrap(), &config)
}

fn sent(target: &str) -> (String, String) {
    match found(&Method::POST, target) {
        Some(Through::Raw { raw, path, .. }) => (raw.below, path),
        other => panic!("{target}: {other:?}"),
    }
}

#[test]
fn a_path_below_a_providers_name_goes_below_its_base_url() {
    assert_eq!(sent("/mine/v1/things/x"), ("/things/x".to_owned(), "/mine/things/x".to_owned()));
    assert_eq!(sent("/mine/things"), ("/things".to_owned(), "/mine/things".to_owned()));
    assert_eq!(sent("/mine/v2/things").0, "/v2/things", "no other version is cut");
    assert_eq!(sent("/mine/v10").0, "/v10");
    assert_eq!(
        sent("/genai/v1beta/cachedContents"),
        ("/cachedContents".to_owned(), "/google/cachedContents".to_owned())
    );
    assert!(found(&Method::POST, "/other/v1/things").is_none(), "no provider has this name");
    assert!(found(&Method::POST, "/anthropic/v1/things").is_none(), "nor is there one of this kind");
    assert!(found(&Method::POST, "/mine").is_none());
}

#[test]
fn a_base_url_cannot_be_left() {
    for target in
        ["/mine/../x", "/mine/v1/%2e%2e/x", "/mine/v1/%2E%2e%2fx", "/mine/.%2e/x", "/mine/a%2f..%2fb"]
    {
        assert!(found(&Method::POST, target).is_none(), "{target}");
    }
    assert_eq!(sent("/mine//evil.test//x").0, "/evil.test/x", "a host is none there");
    assert_eq!(sent("/mine/a%2Fb").0, "/a/b", "rights are those of what is sent");
    assert_eq!(sent("/mine/a%252e%252e%252fb").0, "/a%252e%252e%252fb", "decoded once");
    assert_eq!(sent("/mine/a%5C..%3Bb%3Fc%23d%0d%0a").0, "/a%5C..%3Bb%3Fc%23d%0D%0A");
    assert_eq!(sent("/mine/@evil.test/x").0, "/@evil.test/x");
}

#[test]
fn the_query_passes_without_keys() {
    assert_eq!(sent("/mine/a?x=1&key=tg-secret&y=%20&provider=z").0, "/a?x=1&y=%20");
    assert_eq!(sent("/mine/a?%6bey=tg-secret&b").0, "/a?b", "however they are spelt");
    assert_eq!(sent("/mine/a?").0, "/a");
}

#[test]
fn a_surface_below_a_providers_name_is_that_surface_for_its_models() {
    let through = found(&Method::POST, "/mine/v1/chat/completions");
    let Some(Through::Surface { id, path, provider, .. }) = through else { panic!("{through:?}") };
    assert_eq!((id, path, provider), (SurfaceId::OpenAiChat, "/v1/chat/completions", ProviderId(0)));
    let through = found(&Method::POST, "/mine/v1/batches");
    assert!(matches!(through, Some(Through::Surface { id: SurfaceId::OpenAiBatch, .. })), "{through:?}");
    assert!(
        found(&Method::GET, "/mine/api/keys").is_some_and(|it| matches!(it, Through::Raw { .. })),
        "not ours"
    );
    assert!(found(&Method::GET, "/api/nothing").is_none());
}

#[test]
fn what_a_call_may_cost_is_told_by_its_line() {
    let cost = |method: &Method, target: &str| match found(method, target) {
        Some(Through::Raw { raw, .. }) => (raw.costs, raw.model),
        other => panic!("{target}: {other:?}"),
    };
    assert_eq!(cost(&Method::GET, "/mine/things"), (Costs::Nothing, None));
    assert_eq!(cost(&Method::DELETE, "/mine/models/ft:x"), (Costs::Nothing, Some("ft:x".to_owned())));
    assert_eq!(cost(&Method::POST, "/mine/things/x/cancel"), (Costs::Nothing, None));
    assert_eq!(cost(&Method::POST, "/mine/things"), (Costs::All, None));
    assert_eq!(cost(&Method::PUT, "/mine/things").0, Costs::All);
    assert_eq!(cost(&Method::POST, "/mine/v4/embed").0, Costs::Input);
    assert_eq!(cost(&Method::POST, "/google/models/imagen:predict"), (Costs::All, Some("imagen".to_owned())));
    let invoke = cost(&Method::POST, "/aws/model/arn%3Aaws%3Ax%2Fy/invoke-async");
    assert_eq!(invoke, (Costs::All, Some("arn:aws:x/y".to_owned())));
    assert_eq!(cost(&Method::POST, "/mine/deployments/dep/audio").1, Some("dep".to_owned()));
}

#[test]
fn what_says_who_the_client_is_stays_here() {
    let given = [
        "authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "cookie",
        "host",
        "connection",
        "x-hop",
        "transfer-encoding",
        "content-length",
        "accept-encoding",
        "x-tollgate-user",
        "x-forwarded-for",
        "x-amz-date",
        "x-amz-security-token",
        "proxy-authorization",
        "expect",
        "upgrade",
        "cf-connecting-ip",
    ];
    let mut headers = HeaderMap::new();
    for name in given {
        headers.insert(name, HeaderValue::from_static("x"));
    }
    headers.insert("connection", HeaderValue::from_static("close, X-Hop"));
    for name in ["anthropic-version", "content-type", "accept", "range", "x-goog-user-project", "openai-beta"]
    {
        headers.insert(name, HeaderValue::from_static("y"));
    }
    let kept = forwarded(&headers);
    assert!(kept.values().all(|value| value == "y"), "{kept:?}");
    assert_eq!(kept.len(), 6);
}

#[test]
fn a_route_of_a_key_may_name_paths_of_a_provider() {
    let providers = ["mine", "google"];
    assert!(may_lead("/mine/*", providers.iter()) && may_lead("/google/files", providers.iter()));
    assert!(!may_lead("/other/*", providers.iter()) && !may_lead("/mine", providers.iter()));
}

#[test]
fn what_an_account_keeps_is_told_by_its_path() {
    for kept in [
        "/files/f_1/content",
        "/threads/t/runs",
        "/fine_tuning/jobs?after=x",
        "/models/gemini-2.5-flash:batchGenerateContent",
    ] {
        assert!(is_kept(kept), "{kept}");
    }
    for free in ["/audio/speech", "/models/files-1:predict", "/v4/things?of=files", "/model/x/invoke"] {
        assert!(!is_kept(free), "{free}");
    }
}
