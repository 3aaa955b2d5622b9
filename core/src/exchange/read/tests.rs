use super::super::stage;
use super::*;
use crate::units::Tokens;

const WHOLE: &str = r#"{"model":"m-1","messages":[{"role":"user","content":"hi"}]}"#;

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":9,\"cache_read_input_tokens\":7,\"output_tokens\":1}}}\n\n";

fn delta(text: &str) -> String {
    format!(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
    )
}

#[test]
fn c7_of_a_stream_that_is_assembled_both_report_and_words_are_known_before_its_end() {
    let mut request = stage::request("anthropic", "claude-x", WHOLE);
    let reading = stage::reading(&mut request, &[START, &delta("some "), &delta("words")]);
    assert_eq!(reading.heard().text, "some words");
    let reported = reading.reported().expect("the first frame tells the input");
    assert_eq!((reported.fresh_input, reported.cache_read), (Tokens(9), Tokens(7)));
}

#[test]
fn c7_before_the_first_content_the_input_may_be_known_already() {
    let ask = WHOLE.replace("\"messages\"", "\"stream\":true,\"messages\"");
    let mut request = stage::request("anthropic", "claude-x", &ask);
    let reading = stage::reading(&mut request, &[START]);
    assert_eq!(reading.reported().map(|usage| usage.prompt()), Some(Tokens(16)));
    assert!(reading.heard().is_empty());
}

#[test]
fn c7_of_half_an_answer_what_is_whole_is_heard() {
    let mut request = stage::request("openai", "m-1", WHOLE);
    let half = r#"{"choices":[{"index":0,"message":{"role":"assistant","reasoning_content":"thought","content":"cut in the m"#;
    let reading = stage::reading(&mut request, &[half]);
    assert_eq!((reading.heard().text.as_str(), reading.reported()), ("thought", None));
}

#[test]
fn c7_a_whole_answer_without_usage_is_heard_and_one_with_usage_is_not() {
    let said = |kind: &str, body: &str| {
        let mut request = stage::request(kind, "m-1", WHOLE);
        let (sent, _) = stage::sent(&mut request);
        let mut reading =
            Reading::new(sent, Head { status: http::StatusCode::OK, headers: HeaderMap::new() });
        let _ = reading.on_chunk(Bytes::copy_from_slice(body.as_bytes()), &request, Time(1));
        match reading.on_end(&request, Time(1)) {
            Verdict::Whole(whole) => (whole.heard.text, whole.usage.is_some()),
            other @ (Verdict::More | Verdict::Failed(_) | Verdict::Committed(_)) => panic!("{other:?}"),
        }
    };
    let body = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"words"},"finish_reason":"stop"}]}"#;
    assert_eq!(said("openai", body), ("words".to_owned(), false));
    let counted =
        body.replace("{\"choices\"", "{\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0},\"choices\"");
    assert_eq!(said("openai", &counted), (String::new(), true), "zero is what was reported");
    let gemini =
        r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"words"}]},"finishReason":"STOP"}]}"#;
    assert_eq!(said("gemini", gemini), ("words".to_owned(), false));
}
