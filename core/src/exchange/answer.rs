//! The heads of answers: status and headers, in one place.

use super::read::Reading;
use super::request::Request;
use super::{Record, RequestIdText};
use crate::cache::{Form, StoredHead};
use crate::count::Basis;
use crate::fault::{Code, Fault, UpstreamFault};
use crate::fleet::Lane;
use crate::ledger::{Level, Standing};
use crate::price;
use crate::retry::Failure;
use crate::units::{Millis, NanoDollars, Time};
use bytes::Bytes;
use http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-tollgate-request-id");
const PROVIDER: HeaderName = HeaderName::from_static("x-tollgate-provider");
const MODEL: HeaderName = HeaderName::from_static("x-tollgate-model");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-tollgate-attempts");
const CACHE: HeaderName = HeaderName::from_static("x-tollgate-cache");
const COST: HeaderName = HeaderName::from_static("x-tollgate-cost-usd");
const BASIS: HeaderName = HeaderName::from_static("x-tollgate-basis");
const LOST: HeaderName = HeaderName::from_static("x-tollgate-lost");
const UPSTREAM_ID: HeaderName = HeaderName::from_static("x-tollgate-upstream-id");
const REQUESTS: RateNames = RateNames {
    limit: HeaderName::from_static("x-ratelimit-limit-requests"),
    left: HeaderName::from_static("x-ratelimit-remaining-requests"),
    reset: HeaderName::from_static("x-ratelimit-reset-requests"),
};
const TOKENS: RateNames = RateNames {
    limit: HeaderName::from_static("x-ratelimit-limit-tokens"),
    left: HeaderName::from_static("x-ratelimit-remaining-tokens"),
    reset: HeaderName::from_static("x-ratelimit-reset-tokens"),
};

/// How many headers an answer has, so that their table is made once.
const USUAL_HEADERS: usize = 16;

const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Where providers put their own request id, most telling first.
const UPSTREAM_IDS: [HeaderName; 5] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("apim-request-id"),
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("x-goog-request-id"),
];

/// A whole answer with its body.
pub(super) fn whole(
    request: &Request,
    reading: &Reading,
    body: Bytes,
    record: &Record,
) -> Response<Option<Bytes>> {
    let mut response = Response::new(Some(body));
    *response.status_mut() = status(request, reading);
    let headers = response.headers_mut();
    headers.reserve(USUAL_HEADERS);
    label(headers, request, reading, "application/json");
    common(headers, request, record.attempts);
    served_by(headers, request, reading);
    if let Some(cost) = record.cost.amount() {
        insert(headers, COST, &price::plain(cost));
    }
    response
}

/// What an answer is said to be.
fn label(headers: &mut HeaderMap, request: &Request, reading: &Reading, usual: &'static str) {
    if !request.passes_unread() {
        headers.insert(CONTENT_TYPE, reading.content_type(usual));
        return;
    }
    headers.extend(reading.own_words(request).map(|(name, value)| (name, value.clone())));
}

/// The status of an answer: its upstream's own where that passes, too.
fn status(request: &Request, reading: &Reading) -> StatusCode {
    let own = StatusCode::from_u16(reading.status()).ok();
    own.filter(|_| request.is_raw()).unwrap_or_default()
}

/// The beginning of a stream.
pub(super) fn stream(request: &Request, reading: &Reading, calls: u32) -> Response<Option<Bytes>> {
    let mut response = Response::new(None);
    *response.status_mut() = status(request, reading);
    let headers = response.headers_mut();
    headers.reserve(USUAL_HEADERS);
    label(headers, request, reading, request.line.framing.content_type());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    common(headers, request, calls);
    served_by(headers, request, reading);
    response
}

/// The head of an answer that was kept.
pub(super) fn kept(request: &Request, stored: &StoredHead, now: Time) -> Response<()> {
    let StoredHead { at, expires: _, form, content_type, provider, model, lost } = stored;
    let mut response = Response::new(());
    let headers = response.headers_mut();
    insert(headers, CONTENT_TYPE, content_type);
    if *form == Form::Stream {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    common(headers, request, 0);
    headers.insert(AGE, HeaderValue::from(now.since(*at).get() / 1000));
    insert(headers, COST, &price::plain(NanoDollars::ZERO));
    insert(headers, PROVIDER, provider);
    insert(headers, MODEL, model);
    lost.iter().for_each(|lost| insert(headers, LOST, lost));
    response
}

/// What is kept of the head of an answer; [`kept`] makes a head of it again.
pub(super) fn to_keep(headers: &HeaderMap, form: Form, at: Time, expires: Time) -> StoredHead {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    StoredHead {
        at,
        expires,
        form,
        content_type: text(CONTENT_TYPE).unwrap_or_default(),
        provider: text(PROVIDER).unwrap_or_default(),
        model: text(MODEL).unwrap_or_default(),
        lost: text(LOST),
    }
}

/// The answer to a request for a count, which the gateway has counted itself.
pub(super) fn tally(request: &Request, body: Bytes, basis: Basis, calls: u32) -> Response<Option<Bytes>> {
    let mut response = Response::new(Some(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    common(headers, request, calls);
    headers.insert(BASIS, HeaderValue::from_static(basis.word()));
    response
}

/// The answer to a handshake whose upstream has opened.
pub(super) fn opened(
    request: &Request,
    lane: Lane,
    model: &str,
    upstream: &HeaderMap,
    calls: u32,
) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    common(headers, request, calls);
    insert(headers, PROVIDER, request.provider_name(lane));
    insert(headers, MODEL, model);
    if let Some(id) = upstream_id(upstream) {
        headers.insert(UPSTREAM_ID, id.clone());
    }
    response
}

/// What has been tried before a refusal.
pub(super) struct Tried<'a> {
    /// Upstream calls made.
    pub(super) calls: u32,
    /// How they failed.
    pub(super) failures: &'a [Failure],
    /// The last upstream's own request id.
    pub(super) upstream_id: Option<HeaderValue>,
}

/// An error answer in the surface's shape.
pub(super) fn refusal(request: &Request, fault: &Fault, tried: Tried<'_>) -> Response<Option<Bytes>> {
    let Tried { calls, failures, upstream_id } = tried;
    let id = RequestIdText::new(request.id);
    let mut response = Response::new(Some(request.surface.fault(fault, id.as_str())));
    let status = request.surface.fault_status(fault);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = response.headers_mut();
    request.surface.label_fault(fault, headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    common(headers, request, calls);
    if let Some(last) = failures.last() {
        insert(headers, PROVIDER, &last.provider);
        insert(headers, MODEL, &last.model);
    }
    if let Some(id) = upstream_id {
        headers.insert(UPSTREAM_ID, id);
    }
    retry_hints(headers, fault);
    response
}

/// `retry-after` on every 429 and 503, and a word to SDKs that the gateway has tried already.
pub(crate) fn retry_hints(headers: &mut HeaderMap, fault: &Fault) {
    let status = fault.status();
    let upstream_wait = fault.upstream.as_ref().and_then(|upstream| upstream.retry_after);
    let wait = fault.retry_after.or(upstream_wait);
    if let Some(wait) = wait {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.ceil_secs().max(1)));
    } else if status == 429 || status == 503 {
        headers.insert(RETRY_AFTER, HeaderValue::from(1));
    }
    if matches!(fault.code, Code::UpstreamError | Code::UpstreamTimeout | Code::Deadline) {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
}

/// The headers of one rate limit, in OpenAI's form.
struct RateNames {
    limit: HeaderName,
    left: HeaderName,
    reset: HeaderName,
}

impl RateNames {
    fn write(self, headers: &mut HeaderMap, limit: u64, left: u64, reset: Millis) {
        headers.insert(self.limit, HeaderValue::from(limit));
        headers.insert(self.left, HeaderValue::from(left));
        headers.insert(self.reset, span(reset));
    }
}

/// How close the caller is to its rate limits; nothing where it has none.
pub(crate) fn rate_limits(headers: &mut HeaderMap, standing: &Standing) {
    if let Some(Level { limit, left, reset }) = standing.requests {
        REQUESTS.write(headers, limit.get(), left.get(), reset);
    }
    if let Some(Level { limit, left, reset }) = standing.tokens {
        TOKENS.write(headers, limit.get(), left.get(), reset);
    }
}

/// A span as OpenAI writes it: `120ms`, `1s`, `6m0s`. Rounded up to whole seconds above one.
fn span(wait: Millis) -> HeaderValue {
    let text = match (wait.get(), wait.ceil_secs()) {
        // What is asked for now leaves in a minute: by far the most frequent.
        (_, 60) => return HeaderValue::from_static("1m0s"),
        (0, _) => return HeaderValue::from_static("0ms"),
        (below @ 1..1000, _) => format!("{below}ms"),
        (_, seconds @ 0..60) => format!("{seconds}s"),
        (_, seconds @ 60..3600) => format!("{}m{}s", seconds / 60, seconds % 60),
        (_, seconds) => format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60),
    };
    // Digits and letters are always a value.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("0ms"))
}

/// What every answer carries.
fn common(headers: &mut HeaderMap, request: &Request, calls: u32) {
    let id = RequestIdText::new(request.id);
    insert(headers, REQUEST_ID, id.as_str());
    if let Some(name) = request.surface.id_header() {
        insert(headers, name, id.as_str());
    }
    headers.insert(ATTEMPTS, HeaderValue::from(calls));
    headers.insert(CACHE, HeaderValue::from_static(request.cache.word()));
    rate_limits(headers, &request.standing);
}

fn served_by(headers: &mut HeaderMap, request: &Request, reading: &Reading) {
    insert(headers, PROVIDER, request.provider_name(reading.sent.lane));
    if !reading.sent.model.is_empty() {
        insert(headers, MODEL, &reading.sent.model);
    }
    if let Some(id) = upstream_id(&reading.headers) {
        headers.insert(UPSTREAM_ID, id.clone());
    }
    if !reading.sent.lost.is_empty() {
        insert(headers, LOST, &reading.sent.lost.join(", "));
    }
}

/// The request id among an upstream's headers.
pub(super) fn upstream_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    UPSTREAM_IDS.iter().find_map(|name| headers.get(name))
}

/// Names may hold characters that a header cannot; such a header is left out.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The upstream's own refusal of what the client asked.
pub(super) fn passed_on(upstream: UpstreamFault) -> Fault {
    let mut fault = Fault::new(Code::UpstreamRefused, upstream.message.clone());
    fault.param.clone_from(&upstream.param);
    fault.upstream = Some(Box::new(upstream));
    fault
}

/// What ends a stream that its upstream broke.
pub(super) fn mid_stream_fault(upstream: UpstreamFault) -> Fault {
    use crate::fault::UpstreamClass as Class;
    let code = match upstream.class {
        Class::Timeout => Code::UpstreamTimeout,
        Class::RateLimited => Code::UpstreamLimited,
        Class::BadRequest
        | Class::ContextLength
        | Class::ContentFilter
        | Class::Auth
        | Class::Billing
        | Class::Forbidden
        | Class::NotFound
        | Class::TooLarge
        | Class::Overloaded
        | Class::Server
        | Class::Connection
        | Class::Garbled => Code::UpstreamError,
    };
    let mut fault = Fault::new(code, format!("the upstream's stream failed: {}", upstream.message));
    fault.upstream = Some(Box::new(upstream));
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_openai_writes_them() {
        let spans = [0, 120, 1000, 1001, 59_001, 360_000, 86_399_999].map(|wait| span(Millis(wait)));
        assert_eq!(spans, ["0ms", "120ms", "1s", "2s", "1m0s", "6m0s", "24h0m0s"]);
    }
}
