use super::super::relay::{self, Relay};
use super::super::stage;
use super::*;
use crate::count::Besides;
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::fleet::Lane;
use crate::json::Tape;
use crate::multipart;
use crate::surface::{Answers, Asked, Begun, Bodies, Envelope, ModelPlace, Places, RequestLine, Surface};
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
            other @ (Verdict::More | Verdict::Failed(_) | Verdict::Committed(_) | Verdict::Surveyed(_)) => {
                panic!("{other:?}")
            }
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

/// A surface that takes forms and passes on whatever is answered.
struct Forms;

impl Surface for Forms {
    fn name(&self) -> &'static str {
        "forms"
    }
    fn dialect(&self) -> Dialect {
        Dialect::OpenAi
    }
    fn bodies(&self) -> Bodies {
        Bodies::Any
    }
    fn answers(&self) -> Answers {
        Answers::Unread
    }
    fn envelope(&self, body: &[u8], line: &RequestLine) -> Result<Envelope, Fault> {
        let label = line.content_type.as_ref().map_or(&[][..], HeaderValue::as_bytes);
        let parts = multipart::parts(label, body)?;
        let model = multipart::one(&parts, "model")?.unwrap();
        let (name, place) = (model.text().unwrap().to_owned(), ModelPlace::Plain(model.content.clone()));
        let asked = stage::request("openai", "m-2", WHOLE).envelope;
        Ok(Envelope { model: name, model_place: place, places: Places::default(), ..asked })
    }
    fn inspect(&self, _: &Tape<'_>, _: &RequestLine) -> Result<Envelope, Fault> {
        panic!("a form is not JSON")
    }
    fn prompt_text(&self, _: &[u8], _: &mut dyn FnMut(&str)) -> Besides {
        Besides::default()
    }
    fn fault(&self, _: &Fault, _: &str) -> Bytes {
        Bytes::new()
    }
    fn fault_event(&self, _: &Fault, _: &Asked, _: Begun) -> Bytes {
        panic!("raw bytes have no words for a fault")
    }
}

const FORM: &str = "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nm-1\r\n--b\r\n\
                    content-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n\u{0}\u{1}\r\n--b--";

/// A form on its way, and what its answer of this kind is read as.
fn form(label: &'static str, pieces: &[&str]) -> (Request, Sent, Reading, Verdict) {
    let mut request = stage::request("openai", "m-2", WHOLE);
    request.surface = &Forms;
    request.body = Bytes::from_static(FORM.as_bytes());
    request.line.content_type = Some(HeaderValue::from_static("multipart/form-data; boundary=b"));
    request.envelope = Forms.envelope(&request.body, &request.line).unwrap();
    let (sent, fetch) = stage::sent(&mut request);
    assert_eq!(fetch.headers[CONTENT_TYPE], "multipart/form-data; boundary=b");
    assert_eq!(fetch.body, FORM.replace("m-1", "m-2"), "the model as its provider names it");
    let headers = [(CONTENT_TYPE, HeaderValue::from_static(label))].into_iter().collect();
    let mut reading = Reading::new(sent, Head { status: http::StatusCode::OK, headers });
    let mut verdict = Verdict::More;
    for piece in pieces {
        verdict = reading.on_chunk(Bytes::copy_from_slice(piece.as_bytes()), &request, Time(1));
    }
    let (sent, _) = stage::sent(&mut request);
    (request, sent, reading, verdict)
}

#[test]
fn a_form_passes_with_its_model_replaced_and_a_json_answer_comes_whole_with_its_usage() {
    let body = r#"{"error":null,"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
    let (request, _, mut reading, verdict) = form("application/json; charset=utf-8", &[body]);
    assert!(matches!(verdict, Verdict::More));
    let Verdict::Whole(whole) = reading.on_end(&request, Time(1)) else { panic!("not whole") };
    assert_eq!((whole.body, whole.usage.map(|usage| usage.prompt())), (Bytes::from(body), Some(Tokens(7))));
}

#[test]
fn bytes_that_nobody_reads_pass_as_they_come_and_tell_their_usage_in_passing() {
    let events =
        ["data: {\"usage\":{\"prompt_tokens\":7,", "\"completion_tokens\":3}}\n\nda", "ta: [DONE]\n\n"];
    for label in ["text/event-stream", "audio/mpeg"] {
        let (request, _, reading, verdict) = form(label, &events[..1]);
        let Verdict::Committed(opening) = verdict else { panic!("not committed") };
        let (mut relay, first) = Relay::new(reading, *opening, &request, Some(Tokens(1)));
        let mut out = vec![first];
        out.extend(
            events[1..].iter().map(|piece| relay.on_chunk(Bytes::from_static(piece.as_bytes()), Time(2))),
        );
        let out: Vec<_> = out
            .into_iter()
            .map(|verdict| match verdict {
                relay::Verdict::More(bytes) => bytes,
                other @ (relay::Verdict::Complete(_)
                | relay::Verdict::Failed(..)
                | relay::Verdict::Exhausted(_)) => {
                    panic!("{other:?}")
                }
            })
            .collect();
        assert_eq!(out, events, "neither cut nor joined");
        let told = relay.usage().map(|usage| usage.prompt());
        assert_eq!(told, (label == "text/event-stream").then_some(Tokens(7)));
        let fault = Fault::new(crate::fault::Code::UpstreamError, "cut");
        assert_eq!(relay.fault_event(&fault, &request, Begun::Yes), None, "it is broken off");
        assert!(matches!(relay.on_end(), relay::Verdict::Complete(rest) if rest.is_empty()));
    }
}

#[test]
fn errors_are_read_whatever_the_surface_and_other_dialects_are_not_asked() {
    let mut request = stage::request("openai", "m-2", WHOLE);
    request.surface = &Forms;
    let (sent, _) = stage::sent(&mut request);
    let headers = HeaderMap::new();
    let mut reading = Reading::new(sent, Head { status: http::StatusCode::TOO_MANY_REQUESTS, headers });
    let _ = reading.on_chunk(Bytes::from_static(b"{\"error\":{\"message\":\"slow\"}}"), &request, Time(1));
    assert!(matches!(reading.on_end(&request, Time(1)), Verdict::Failed(fault) if fault.status == 429));
    let mut request = stage::request("anthropic", "claude-x", WHOLE);
    request.surface = &Forms;
    let lane = Lane { provider: request.route.targets[0].provider, target: 0, credential: 0 };
    let refused = Sent::new(&mut request, lane, Time(0)).map(drop).unwrap_err();
    assert_eq!(refused.code, crate::fault::Code::Unsupported);
}
