use super::*;

fn failure(provider: &str, class: UpstreamClass, status: u16) -> Failure {
    Failure {
        provider: provider.to_owned(),
        model: "m".to_owned(),
        key: "a".to_owned(),
        class,
        status,
        code: None,
    }
}

#[test]
fn k4_what_the_contract_lists_is_retried_and_other_refusals_are_not() {
    for status in [408, 409, 425, 500, 502, 503, 504, 529] {
        assert_eq!(verdict(UpstreamClass::of_status(status)), Verdict::Next, "{status}");
        assert!(may_repeat(UpstreamClass::of_status(status)), "{status}");
    }
    for status in [400, 404, 405, 406, 410, 413, 415, 418, 422, 451] {
        assert_eq!(verdict(UpstreamClass::of_status(status)), Verdict::PassOn, "{status}");
        assert!(!may_repeat(UpstreamClass::of_status(status)), "{status}");
    }
}

#[test]
fn a_refused_key_makes_way_for_the_next_and_only_a_limited_one_is_asked_again() {
    for status in [401, 402, 403, 429] {
        let class = UpstreamClass::of_status(status);
        assert_eq!(verdict(class), Verdict::NextKey, "{status}");
        assert_eq!(may_repeat(class), status == 429, "{status}");
    }
}

#[test]
fn statuses_name_their_class() {
    assert_eq!(UpstreamClass::of_status(408), UpstreamClass::Timeout);
    assert_eq!(UpstreamClass::of_status(504), UpstreamClass::Timeout);
    assert_eq!(UpstreamClass::of_status(503), UpstreamClass::Overloaded);
    assert_eq!(UpstreamClass::of_status(529), UpstreamClass::Overloaded);
    assert_eq!(UpstreamClass::of_status(524), UpstreamClass::Server);
    assert_eq!(UpstreamClass::of_status(302), UpstreamClass::Garbled);
    assert_eq!(UpstreamClass::of_status(0), UpstreamClass::Connection);
}

#[test]
fn backoff_uses_its_whole_range_and_no_more() {
    for (failures, range) in [(0, 250), (1, 250), (2, 500), (3, 1000), (6, 8000), (7, 8000), (u32::MAX, 8000)]
    {
        assert_eq!(backoff(failures, 0), Millis(0), "{failures}");
        assert_eq!(backoff(failures, u64::MAX), Millis(range), "{failures}");
        assert_eq!(backoff(failures, u64::MAX / 2), Millis(range / 2), "{failures}");
    }
}

#[test]
fn k5_the_attempts_are_listed_by_name_class_and_status() {
    let mut second = failure("azure", UpstreamClass::Connection, 0);
    second.code = Some("conn_reset".to_owned());
    let fault = explain(&[failure("openai", UpstreamClass::Overloaded, 503), second], Closed::default());
    assert_eq!(fault.code, Code::UpstreamError);
    assert_eq!(
        fault.message,
        "every attempt failed: openai/m (key a): 503 overloaded; \
         azure/m (key a): connection failed, conn_reset"
    );
}

#[test]
fn a_code_that_is_a_sentence_is_not_repeated() {
    let mut one = failure("openai", UpstreamClass::Server, 500);
    one.code = Some("could not parse: my secret prompt".to_owned());
    assert_eq!(one.to_string(), "openai/m (key a): 500 server error");
}

#[test]
fn only_limits_make_a_429_and_it_says_when_to_come_back() {
    let limited = failure("openai", UpstreamClass::RateLimited, 429);
    let closed = Closed { reopens_in: Some(Millis(7000)), limited: true };
    let fault = explain(&[limited.clone(), limited.clone()], closed);
    assert_eq!((fault.code, fault.retry_after), (Code::UpstreamLimited, Some(Millis(7000))));
    let mixed = explain(&[limited, failure("azure", UpstreamClass::Server, 500)], closed);
    assert_eq!((mixed.code, mixed.retry_after), (Code::UpstreamError, None));
}

#[test]
fn a_timeout_at_the_end_makes_a_504() {
    let failures = [failure("a", UpstreamClass::Server, 500), failure("b", UpstreamClass::Timeout, 0)];
    assert_eq!(explain(&failures, Closed::default()).status(), 504);
}

#[test]
fn k3_a_request_that_reached_no_upstream_is_told_when_to_come_back() {
    let closed = Closed { reopens_in: Some(Millis(1500)), limited: true };
    let limited = explain(&[], closed);
    assert_eq!((limited.status(), limited.retry_after), (429, Some(Millis(1500))));
    let refused = explain(&[], Closed { limited: false, ..closed });
    assert_eq!((refused.status(), refused.retry_after), (503, Some(Millis(1500))));
    let none = explain(&[], Closed::default());
    assert_eq!(none.status(), 503);
    assert!(none.retry_after.is_some());
}

#[test]
fn a_path_that_is_not_there_is_told_from_a_model_that_is_not() {
    use crate::fault::{UpstreamClass, UpstreamFault};
    let told = |class, status, message: &str, code: Option<&str>| {
        let fault = UpstreamFault::new(class, status, message);
        is_no_such_path(&UpstreamFault { code: code.map(str::to_owned), ..fault })
    };
    let missing = UpstreamClass::NotFound;
    assert!(told(missing, 404, "Not Found", None));
    assert!(told(missing, 404, "Unknown request URL: POST /x", Some("unknown_url")));
    assert!(told(missing, 404, "Resource not found", Some("404")));
    assert!(told(UpstreamClass::BadRequest, 405, "Method Not Allowed", None));
    assert!(told(UpstreamClass::Server, 200, "Unexpected endpoint or method. (POST /v1/responses)", None));
    assert!(!told(missing, 404, "The model `m` does not exist", Some("model_not_found")));
    assert!(!told(UpstreamClass::BadRequest, 400, "input: expected a string", None));
}
