use super::*;
use crate::call::{Delivery, UsageChunk};

fn look(body: &str) -> Result<Envelope, Fault> {
    OpenAiCompletions.inspect(&Tape::parse(body.as_bytes()).unwrap(), &RequestLine::default())
}

#[test]
fn prompts_of_every_form_are_taken_and_their_answers_counted() {
    for (fields, answers) in [
        (r#""prompt":"a""#, 1),
        (r#""prompt":["a"],"n":3"#, 3),
        (r#""prompt":["a","b"],"n":2,"best_of":5"#, 10),
        (r#""prompt":[1,2,3]"#, 1),
        (r#""prompt":[[1],[2,3]]"#, 2),
    ] {
        assert_eq!(look(&format!(r#"{{"model":"m",{fields}}}"#)).unwrap().n, answers, "{fields}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (body, path) in [
        (r#"{"prompt":"a"}"#, "model"),
        (r#"{"model":"m"}"#, "prompt"),
        (r#"{"model":"m","prompt":[]}"#, "prompt"),
        (r#"{"model":"m","prompt":["a",1]}"#, "prompt[1]"),
        (r#"{"model":"m","prompt":"a","logprobs":true}"#, "logprobs"),
        (
            r#"{"model":"m","prompt":"a","stream_options":{"include_usage":1}}"#,
            "stream_options.include_usage",
        ),
    ] {
        assert_eq!(look(body).unwrap_err().param.as_deref(), Some(path), "{body}");
    }
}

#[test]
fn a_stream_is_asked_for_its_usage_and_a_cap_has_its_place() {
    let envelope = look(r#"{"model":"m","prompt":"a","stream":true,"max_tokens":null}"#).unwrap();
    assert_eq!(envelope.delivery, Delivery::Stream(UsageChunk::Unwanted));
    assert!(envelope.places.usage.is_some());
    let uncapped = envelope.places.uncapped.unwrap();
    assert_eq!((uncapped.before, uncapped.span.len()), ("", "null".len()));
    let envelope = look(r#"{"model":"m","prompt":"a","max_tokens":5}"#).unwrap();
    assert_eq!((envelope.max_tokens, envelope.places.uncapped), (Some(Tokens(5)), None));
}

#[test]
fn in_chat_the_prompt_is_one_message_and_what_has_no_word_is_refused_by_name() {
    let parse = |body: &str| OpenAiCompletions.parse(body.as_bytes(), &RequestLine::default());
    let call =
        parse(r#"{"model":"m","prompt":["a"],"logprobs":2,"stop":"x","best_of":2,"suffix":""}"#).unwrap();
    assert_eq!((call.messages.len(), call.sampling.stop.as_slice()), (1, &["x".to_owned()][..]));
    assert_eq!(call.sampling.logprobs.and_then(|asked| asked.top), Some(2));
    assert!(call.extras.contains_key("best_of"));
    for (fields, path) in [
        (r#""prompt":["a","b"]"#, "prompt"),
        (r#""prompt":[1]"#, "prompt"),
        (r#""prompt":"a","suffix":"b""#, "suffix"),
    ] {
        let fault = parse(&format!(r#"{{"model":"m",{fields}}}"#)).unwrap_err();
        assert_eq!((fault.code, fault.param.as_deref()), (Code::Unsupported, Some(path)), "{fields}");
    }
}
