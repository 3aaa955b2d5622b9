//! One test for each directive.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::raw::{Client, Ending, Reply, chat, get, hello, hello_stream, post, sim};

const PATH: &str = "/v1/chat/completions";

fn streamed(directives: &str) -> Reply {
    chat(&sim(), directives, &hello_stream())
}

fn whole(directives: &str) -> Reply {
    chat(&sim(), directives, &hello())
}

fn content(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}

/// Reads the head and one chunk of an answer that then falls silent.
fn until_silence(directives: &str, patience: Duration) -> Reply {
    let sim = sim();
    let mut client = Client::connect(sim.addr);
    client.patience(patience);
    client.send("POST", PATH, &[&format!("x-sim: {directives}")], hello_stream().to_string().as_bytes());
    client.reply()
}

const SOON: Duration = Duration::from_millis(120);

#[test]
fn directives_are_read_from_the_header_the_model_and_the_last_message() {
    let sim = sim();
    let mut body = hello();
    assert_eq!(chat(&sim, "status=503", &body).status, 503);
    body["model"] = json!("gpt-sim+status=429,retry_after=7");
    let reply = post(&sim, PATH, &[], &body);
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("7")));
    body["model"] = json!("gpt-sim");
    body["messages"][0]["content"] =
        json!([{"type": "text", "text": "hi [[sim: status=500; retry_after=2]]"}]);
    assert_eq!(post(&sim, PATH, &[], &body).status, 500);
    body["messages"][0]["content"] = json!("hi [[sim: cached=3]]");
    assert_eq!(post(&sim, PATH, &[], &body).json()["choices"][0]["message"]["content"], "You said: hi");
}

#[test]
fn an_answer_names_its_model_without_the_directives() {
    let body = json!({"model": "gpt-sim+events=2", "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(post(&sim(), PATH, &[], &body).json()["model"], "gpt-sim");
}

#[test]
fn an_unknown_directive_is_refused_by_name() {
    let reply = whole("statis=503");
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("statis=503"));
}

#[test]
fn chars_and_events_give_a_text_of_that_size_in_that_many_deltas() {
    let reply = streamed("chars=1000; events=50");
    let events = reply.events();
    let texts: Vec<&str> = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .filter(|text| !text.is_empty())
        .collect();
    assert_eq!((texts.len(), texts.concat().len()), (50, 1000));
    assert_eq!(reply.chunks.len(), 53, "the role, the end and [DONE] besides, each a write of its own");
    assert_eq!(whole("chars=1000").json()["choices"][0]["message"]["content"].as_str().unwrap().len(), 1000);
}

#[test]
fn giant_is_one_event_of_that_size() {
    let reply = streamed("giant=1000000");
    let longest = reply.data().into_iter().map(|line| line.len()).max().unwrap();
    assert!((1_000_000..1_001_000).contains(&longest), "{longest}");
    assert_eq!(reply.ending, Ending::Complete);
}

#[test]
fn finish_is_reported_as_asked() {
    assert_eq!(whole("finish=length").json()["choices"][0]["finish_reason"], "length");
    assert_eq!(whole("finish=content_filter").json()["choices"][0]["finish_reason"], "content_filter");
}

#[test]
fn usage_comes_in_every_wrong_way() {
    let sim = sim();
    let mut body = hello_stream();
    body["stream_options"] = json!({"include_usage": true});
    let counts = |directive: &str| {
        let events = chat(&sim, directive, &body).events();
        let told: Vec<Value> = events.iter().map(|event| event["usage"]["total_tokens"].clone()).collect();
        let first = told.first().is_some_and(Value::is_u64);
        (told.into_iter().filter(Value::is_u64).collect::<Vec<_>>(), first)
    };
    assert_eq!(counts("cached=0"), (vec![json!(6)], false));
    assert_eq!(counts("usage=none"), (vec![], false));
    assert_eq!(counts("usage=null"), (vec![], false));
    assert_eq!(counts("usage=zero"), (vec![json!(0)], false));
    assert_eq!(counts("usage=double"), (vec![json!(6), json!(6)], false));
    assert_eq!(counts("usage=early"), (vec![json!(6)], true));
    assert!(whole("usage=none").json().get("usage").is_none());
    assert_eq!(whole("usage=null").json().get("usage"), Some(&Value::Null));
}

#[test]
fn cached_tokens_are_reported() {
    let usage = whole("cached=1; cache_write=2").json()["usage"]["prompt_tokens_details"].clone();
    assert_eq!((&usage["cached_tokens"], &usage["cache_write_tokens"]), (&json!(1), &json!(2)));
}

#[test]
fn strict_refuses_a_field_the_api_does_not_have() {
    let sim = sim();
    let mut body = hello();
    body["top_k"] = json!(3);
    assert_eq!(chat(&sim, "cached=0", &body).status, 200);
    let refused = chat(&sim, "strict", &body);
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("top_k")));
}

#[test]
fn uncapped_writes_past_the_cap() {
    let sim = sim();
    let mut body = hello();
    body["max_tokens"] = json!(2);
    let written = |directives: &str| {
        let choice = chat(&sim, directives, &body).json()["choices"][0].clone();
        let text = choice["message"]["content"].as_str().unwrap().len();
        (text, choice["finish_reason"].as_str().unwrap().to_owned())
    };
    assert_eq!(written("chars=400"), (8, "length".to_owned()));
    assert_eq!(written("chars=400; uncapped"), (400, "stop".to_owned()));
}

#[test]
fn every_status_has_the_dialects_error_shape() {
    for status in [400, 401, 402, 403, 404, 408, 409, 413, 422, 425, 429, 500, 502, 503, 504, 529] {
        let reply = whole(&format!("status={status}"));
        assert_eq!(reply.status, status);
        assert!(reply.json()["error"]["message"].is_string(), "{status}");
    }
}

#[test]
fn every_error_kind_has_its_status_and_code() {
    let kinds = [
        ("bad_request", 400, Value::Null),
        ("invalid_key", 401, json!("invalid_api_key")),
        ("permission", 403, json!("model_not_allowed")),
        ("insufficient_quota", 429, json!("insufficient_quota")),
        ("model_not_found", 404, json!("model_not_found")),
        ("context_length", 400, json!("context_length_exceeded")),
        ("content_filter", 400, json!("content_policy_violation")),
        ("too_large", 413, json!("request_too_large")),
        ("rate_limit", 429, json!("rate_limit_exceeded")),
        ("server", 500, Value::Null),
        ("overloaded", 503, json!("server_is_overloaded")),
        ("timeout", 504, json!("timeout")),
    ];
    for (kind, status, code) in kinds {
        let reply = whole(&format!("error={kind}"));
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (status, &code), "{kind}");
    }
    assert_eq!(whole("error=overloaded; status=500").status, 500);
}

#[test]
fn error_bodies_come_in_other_shapes() {
    assert!(whole("error=string").json()["error"].is_string());
    let html = whole("error=html; status=502");
    assert_eq!((html.status, html.header("content-type")), (502, Some("text/html")));
    assert_eq!(whole("error=empty").text(), "");
    assert_eq!(whole("status=500; body=oops").text(), "oops");
}

#[test]
fn headers_are_sent_as_given() {
    let reply = whole("status=429; retry_after=2; retry_after_ms=1500; header=x-should-retry: false");
    assert_eq!(reply.header("retry-after"), Some("2"));
    assert_eq!(reply.header("retry-after-ms"), Some("1500"));
    assert_eq!(reply.header("x-should-retry"), Some("false"));
    let date = "Wed, 21 Oct 2026 07:28:00 GMT";
    assert_eq!(whole(&format!("status=503; retry_after={date}")).header("retry-after"), Some(date));
}

#[test]
fn fail_first_fails_as_often_as_asked_for_each_id() {
    let sim = sim();
    let ask = |directives: &str| chat(&sim, directives, &hello()).status;
    let statuses: Vec<u16> = (0..4).map(|_| ask("fail_first=2; id=a; status=429")).collect();
    assert_eq!(statuses, [429, 429, 200, 200]);
    assert_eq!(ask("fail_first=1; id=b"), 503);
    assert_eq!(ask("fail_first=1; id=b"), 200);
    assert_eq!(get(&sim, "/sim/count?id=a").json()["count"], 4);
    assert_eq!(get(&sim, "/sim/count?id=b").json()["count"], 2);
}

#[test]
fn fail_key_refuses_one_key_and_serves_the_others() {
    let sim = sim();
    let with = |key: &str, directives: &str| {
        post(
            &sim,
            PATH,
            &[&format!("authorization: Bearer {key}"), &format!("x-sim: {directives}")],
            &hello(),
        )
        .status
    };
    assert_eq!(with("bad", "fail_key=bad"), 401);
    assert_eq!(with("bad", "fail_key=bad; status=429"), 429);
    assert_eq!(with("good", "fail_key=bad; status=429"), 200);
}

#[test]
fn expect_key_refuses_every_other_key_and_none() {
    let sim = sim();
    let with = |header: &str| post(&sim, PATH, &[header, "x-sim: expect_key=good"], &hello()).status;
    assert_eq!(with("authorization: Bearer good"), 200);
    assert_eq!(with("x-api-key: good"), 200);
    assert_eq!(with("authorization: Bearer bad"), 401);
    assert_eq!(with("accept: */*"), 401);
}

#[test]
fn head_delay_holds_the_head_back() {
    let began = Instant::now();
    assert_eq!(whole("head_delay=60").status, 200);
    assert!(began.elapsed() >= Duration::from_millis(60));
}

#[test]
fn head_silence_never_answers() {
    let reply = until_silence("head_silence", SOON);
    assert_eq!((reply.status, reply.ending), (0, Ending::Silent));
}

#[test]
fn first_silence_sends_the_head_and_nothing_more() {
    let reply = until_silence("first_silence", SOON);
    assert_eq!((reply.status, reply.chunks.len(), reply.ending), (200, 0, Ending::Silent));
}

#[test]
fn first_delay_lets_the_head_go_first() {
    let sim = sim();
    let mut client = Client::connect(sim.addr);
    client.send("POST", PATH, &["x-sim: first_delay=60"], hello_stream().to_string().as_bytes());
    let mut reply = client.head();
    let headed = Instant::now();
    assert!(client.chunk(&mut reply).is_some());
    assert!(headed.elapsed() >= Duration::from_millis(30));
}

#[test]
fn stall_after_sends_so_many_events_and_then_nothing() {
    let reply = until_silence("stall_after=3", SOON);
    assert_eq!((reply.events().len(), reply.ending), (3, Ending::Silent));
    let at_the_end = until_silence("stall_after=99", SOON);
    assert_eq!((at_the_end.data().last().unwrap().as_str(), at_the_end.ending), ("[DONE]", Ending::Silent));
}

#[test]
fn k9_a_heartbeat_goes_on_while_nothing_else_does() {
    let sim = sim();
    for directives in ["stall_after=1; heartbeat=5", "first_silence; heartbeat=5"] {
        let mut client = Client::connect(sim.addr);
        let header = format!("x-sim: {directives}");
        client.send("POST", PATH, &[&header], hello_stream().to_string().as_bytes());
        let mut reply = client.head();
        while reply.chunks.len() < 5 {
            client.chunk(&mut reply).unwrap();
        }
        assert!(reply.chunks[1..].iter().all(|chunk| chunk == b": heartbeat\n\n"));
    }
}

#[test]
fn drip_waits_between_events() {
    let began = Instant::now();
    let reply = streamed("drip=10; events=4");
    assert_eq!(reply.ending, Ending::Complete);
    assert!(began.elapsed() >= Duration::from_millis(60));
}

#[test]
fn split_and_drip_bytes_write_small_pieces() {
    let sim = sim();
    let plain = chat(&sim, "cached=0", &hello_stream());
    for directives in ["split=7", "drip_bytes=7"] {
        let reply = chat(&sim, directives, &hello_stream());
        assert!(reply.chunks.iter().all(|chunk| chunk.len() <= 7));
        assert_eq!(reply.text(), plain.text());
    }
}

#[test]
fn hangup_closes_and_reset_resets_without_an_answer() {
    let closed = whole("hangup");
    assert_eq!((closed.status, closed.ending), (0, Ending::Cut));
    let reset = whole("reset");
    assert_eq!((reset.status, reset.ending), (0, Ending::Reset));
}

#[test]
fn h3_a_cut_comes_at_exactly_the_byte_asked_for() {
    let sim = sim();
    let full = chat(&sim, "cached=0", &hello_stream());
    let bytes = full.chunks.concat();
    for cut in (0..=bytes.len()).step_by(37).chain([bytes.len(), bytes.len() - 1]) {
        let reply = chat(&sim, &format!("cut_after_bytes={cut}"), &hello_stream());
        assert_eq!((reply.status, reply.ending), (200, Ending::Cut), "{cut}");
        assert_eq!(reply.chunks.concat(), bytes[..cut], "{cut}");
    }
}

#[test]
fn a_whole_answer_can_be_cut_too() {
    let reply = whole("cut_after_bytes=20");
    assert_eq!((reply.status, reply.chunks.concat().len(), reply.ending), (200, 20, Ending::Cut));
}

#[test]
fn a_cut_comes_after_the_event_asked_for() {
    let reply = streamed("cut_after_events=2");
    assert_eq!((reply.events().len(), reply.ending), (2, Ending::Cut));
    assert_eq!(streamed("cut_after_events=0").chunks.len(), 0);
    let late = streamed("cut_after_events=99");
    assert_eq!((late.data().last().unwrap().as_str(), late.ending), ("[DONE]", Ending::Cut));
}

#[test]
fn a_cut_with_reset_is_a_reset() {
    assert_eq!(streamed("cut_after_events=2; reset").ending, Ending::Reset);
}

#[test]
fn a_giant_event_is_cut_where_asked() {
    let reply = streamed("giant=3000000; cut_after_bytes=2500000");
    assert_eq!((reply.chunks.concat().len(), reply.ending), (2_500_000, Ending::Cut));
}

#[test]
fn end_after_events_ends_cleanly_without_finish_or_mark() {
    let reply = streamed("end_after_events=2");
    assert_eq!((reply.data().len(), reply.ending), (2, Ending::Complete));
    assert!(!reply.text().contains("[DONE]"));
}

#[test]
fn h1_an_error_comes_inside_the_stream() {
    let reply = streamed("error_after=2; error=rate_limit");
    let events = reply.events();
    assert_eq!((reply.status, events.len(), reply.ending), (200, 3, Ending::Complete));
    assert_eq!(events[2]["error"]["code"], "rate_limit_exceeded");
    assert!(!reply.text().contains("[DONE]"));
    assert_eq!(streamed("error_after=0").events()[0]["error"]["code"], "server_is_overloaded");
}

#[test]
fn k10_an_error_comes_right_after_the_preamble() {
    let events = streamed("preamble_then_error; error=insufficient_quota").events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(events[1]["error"]["type"], "insufficient_quota");
}

#[test]
fn no_done_leaves_out_the_end_mark_alone() {
    let reply = streamed("no_done");
    assert!(!reply.text().contains("[DONE]"));
    assert_eq!(reply.events().last().unwrap()["choices"][0]["finish_reason"], "stop");
}

#[test]
fn close_closes_after_the_answer() {
    assert_eq!(whole("close").header("connection"), Some("close"));
}

#[test]
fn h9_a_stream_comes_unasked_and_a_whole_answer_instead_of_a_stream() {
    let stream = whole("sse");
    assert!(stream.header("content-type").unwrap().starts_with("text/event-stream"));
    assert_eq!(content(&stream.events()), "You said: hello");
    let whole = streamed("json");
    assert_eq!(whole.header("content-type"), Some("application/json"));
    assert_eq!(whole.json()["object"], "chat.completion");
}

#[test]
fn the_content_type_is_the_one_asked_for() {
    assert_eq!(streamed("content_type=text/plain").header("content-type"), Some("text/plain"));
}

#[test]
fn crlf_and_comments_change_the_form_alone() {
    let sim = sim();
    let plain = chat(&sim, "cached=0", &hello_stream());
    let crlf = chat(&sim, "crlf", &hello_stream());
    assert_eq!(crlf.text().replace("\r\n", "\n"), plain.text());
    let comments = chat(&sim, "comments", &hello_stream());
    assert_eq!(comments.text().replace(": comment\n\n", ""), plain.text());
    assert_ne!(comments.text(), plain.text());
}

#[test]
fn fast_answers_from_memory_and_is_not_logged() {
    let sim = sim();
    let mut body = hello_stream();
    body["model"] = json!("gpt-sim+fast,events=50,chars=1000");
    for _ in 0..2 {
        let reply = post(&sim, PATH, &[], &body);
        assert_eq!((reply.chunks.len(), content(&reply.events()).len()), (53, 1000));
    }
    body["stream"] = json!(false);
    assert_eq!(
        post(&sim, PATH, &[], &body).json()["choices"][0]["message"]["content"].as_str().unwrap().len(),
        1000
    );
    assert_eq!(get(&sim, "/sim/log").json()["requests"].as_array().unwrap().len(), 0);
    assert_eq!(get(&sim, "/sim/count").json()["count"], 3);
}

#[test]
fn prompt_tokens_is_what_usage_says_of_the_prompt() {
    let told = chat(&sim(), "prompt_tokens=7000", &hello()).json();
    assert_eq!(
        (&told["usage"]["prompt_tokens"], &told["usage"]["completion_tokens"]),
        (&json!(7000), &json!(4))
    );
}
