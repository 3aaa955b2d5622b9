//! Calls from browsers: which origins may make them.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

/// What a browser may show to the page that called.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-tollgate-request-id, x-tollgate-provider, x-tollgate-model, x-tollgate-attempts, x-tollgate-cache, \
     x-tollgate-cost-usd, x-tollgate-lost, x-tollgate-upstream-id, x-ratelimit-limit-requests, \
     x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, \
     x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, retry-after",
);

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE, OPTIONS");

/// A day; browsers cap it.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// A page that may see answers.
#[derive(Clone, Debug)]
pub struct Page {
    allow: HeaderValue,
}

impl Page {
    /// The page a request comes from, if the config lets it call.
    pub fn of(headers: &HeaderMap, origins: &[String]) -> Option<Self> {
        let origin = headers.get(header::ORIGIN)?;
        let wanted = origin.to_str().ok()?;
        if origins.iter().any(|allowed| allowed == "*") {
            return Some(Self { allow: HeaderValue::from_static("*") });
        }
        let allowed = origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(wanted));
        allowed.then(|| Self { allow: origin.clone() })
    }

    /// The answer to a browser that asks whether it may, if this is one.
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response<Bytes>> {
        if method != Method::OPTIONS || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        let out = answer.headers_mut();
        out.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        out.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        // A star does not cover `authorization`, so what is asked for is what is allowed.
        let asked: HeaderName = header::ACCESS_CONTROL_REQUEST_HEADERS;
        if let Some(names) = headers.get(asked) {
            out.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        self.mark(out);
        Some(answer)
    }

    /// Lets the page read an answer.
    pub fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.allow.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(origin: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))])
    }

    #[test]
    fn only_listed_origins_may_read() {
        let listed = ["https://app.example".to_owned()];
        assert!(Page::of(&from("https://app.example"), &listed).is_some());
        assert!(Page::of(&from("https://evil.example"), &listed).is_none());
        assert!(Page::of(&from("https://app.example.evil.example"), &listed).is_none());
        assert!(Page::of(&HeaderMap::new(), &listed).is_none());
        assert!(Page::of(&from("null"), &["*".to_owned()]).is_some());
    }

    #[test]
    fn a_preflight_is_answered_with_the_headers_it_asked_for() {
        let mut headers = from("https://app.example");
        headers.insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
        headers.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static("authorization"));
        let page = Page::of(&headers, &["*".to_owned()]).unwrap();
        let answer = page.preflight(&Method::OPTIONS, &headers).unwrap();
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.headers()["access-control-allow-headers"], "authorization");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        assert!(page.preflight(&Method::POST, &headers).is_none());
    }
}
