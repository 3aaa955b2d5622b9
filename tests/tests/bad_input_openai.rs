//! Every field of OpenAI's other surfaces with everything that may be wrong with it: the answer is a 400
//! that names the field, before any upstream is asked. Forms are broken byte by byte.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_tests::replay::{Answer, Replay, Seen};

/// A surface, and a request with every field that it checks.
struct Surface {
    path: &'static str,
    full: fn() -> Value,
    /// What has to be there.
    needed: &'static [&'static str],
    /// What may be a text or a list, and what a text or an object.
    listed: &'static [&'static str],
    either: &'static [&'static str],
}

const SURFACES: &[Surface] = &[
    Surface {
        path: "/v1/completions",
        full: || {
            json!({"model": "m-1", "prompt": ["a", "b"], "suffix": "c", "max_tokens": 5, "temperature": 1, "top_p": 0.5,
                "n": 2, "best_of": 3, "stream": false, "stream_options": {}, "logprobs": 1, "echo": true, "stop": ["x"],
                "presence_penalty": 0.1, "frequency_penalty": 0.1, "logit_bias": {}, "seed": 1, "user": "u",
                "fallbacks": []})
        },
        needed: &["model", "prompt"],
        listed: &["prompt", "stop"],
        either: &[],
    },
    Surface {
        path: "/v1/embeddings",
        full: || json!({"model": "m-1", "input": ["a", "b"], "encoding_format": "float", "dimensions": 2, "user": "u", "fallbacks": []}),
        needed: &["model", "input"],
        listed: &["input"],
        either: &[],
    },
    Surface {
        path: "/v1/moderations",
        full: || json!({"model": "m-1", "input": ["a", {"type": "text", "text": "b"}], "fallbacks": []}),
        needed: &["input"],
        listed: &["input"],
        either: &[],
    },
    Surface {
        path: "/v1/images/generations",
        full: || {
            json!({"model": "m-1", "prompt": "a", "n": 2, "size": "auto", "quality": "high", "style": "vivid",
                "background": "opaque", "moderation": "low", "response_format": "url", "output_format": "png",
                "output_compression": 50, "partial_images": 1, "stream": false, "user": "u", "fallbacks": []})
        },
        needed: &["prompt"],
        listed: &[],
        either: &[],
    },
    Surface {
        path: "/v1/audio/speech",
        full: || {
            json!({"model": "m-1", "input": "a", "voice": "alloy", "instructions": "b", "response_format": "mp3",
                "speed": 1.5, "stream_format": "audio", "fallbacks": []})
        },
        needed: &["model", "input", "voice"],
        listed: &[],
        either: &["voice"],
    },
    Surface {
        path: "/v1/rerank",
        full: || {
            json!({"model": "m-1", "query": "a", "documents": ["b", {"text": "c"}], "top_n": 1,
                "max_tokens_per_doc": 9, "return_documents": true, "fallbacks": []})
        },
        needed: &["model", "query", "documents"],
        listed: &[],
        either: &[],
    },
];

fn asked(path: &str, body: impl Into<Bytes>) -> Seen {
    // Named by its default where a surface has one.
    let tables = r#"
[models.omni-moderation-latest]
targets = ["up/m-1"]
[models.dall-e-2]
targets = ["up/m-1"]"#;
    let replay = Replay { tables: tables.to_owned(), ..Replay::new("together", "m-1") };
    replay.run_at(path, body, &Answer::whole(200, r#"{"data":[],"choices":[],"results":[]}"#))
}

fn blamed(seen: &Seen) -> String {
    let error: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(error.pointer("/error/type").unwrap(), "invalid_request_error", "{error}");
    let field = error.pointer("/error/param").and_then(Value::as_str);
    field.unwrap_or_else(|| panic!("no field is named: {error}")).to_owned()
}

#[test]
fn a_wrong_type_is_refused_by_the_name_of_its_field() {
    let mut checked = 0;
    for Surface { path, full, listed, either, .. } in SURFACES {
        assert_eq!(asked(path, full().to_string()).status, 200, "{path}");
        for (field, value) in full().as_object().unwrap() {
            let wrong = [json!(true), json!(-7.5), json!("word"), json!([[[]]]), json!({"x": 7})];
            for other in wrong {
                let same = std::mem::discriminant(&other) == std::mem::discriminant(value);
                let text_too = listed.contains(&field.as_str()) && other.is_string();
                let object_too = either.contains(&field.as_str()) && other.is_object();
                let number = value.is_number() && other.is_number() && !value.is_u64();
                let whole = value.is_u64() && !["temperature", "seed"].contains(&field.as_str());
                if text_too
                    || object_too
                    || number
                    || (same && !value.is_array() && !(whole && other.is_number()))
                {
                    continue;
                }
                let mut body = full();
                body.as_object_mut().unwrap().insert(field.clone(), other.clone());
                let seen = asked(path, body.to_string());
                assert_eq!((seen.status, seen.sent.len()), (400, 0), "{path}: {field} = {other}");
                let name = blamed(&seen);
                assert!(name == *field || name == format!("{field}[0]"), "{path}: {field} = {other}: {name}");
                checked += 1;
            }
        }
    }
    assert!(checked > 180, "only {checked} were checked");
}

#[test]
fn what_is_needed_and_missing_is_named_and_anything_else_may_be_null() {
    for Surface { path, full, needed, .. } in SURFACES {
        for (field, _) in full().as_object().unwrap() {
            let mut absent = full();
            absent.as_object_mut().unwrap().shift_remove(field);
            let mut null = full();
            null.as_object_mut().unwrap().insert(field.clone(), Value::Null);
            for body in [absent, null] {
                let seen = asked(path, body.to_string());
                if needed.contains(&field.as_str()) {
                    assert_eq!((seen.status, blamed(&seen)), (400, field.clone()), "{path}: {body}");
                } else {
                    assert_eq!(seen.status, 200, "{path}: {body}: {:?}", seen.body);
                }
            }
        }
    }
}

#[test]
fn what_is_no_request_at_all_is_refused_too() {
    for Surface { path, .. } in SURFACES {
        for text in ["", "{", "[]", "7", "null", r#"{"model":"m","model":"m"}"#, "\u{feff}{}", "\0"] {
            assert_eq!(asked(path, text).status, 400, "{path}: {text}");
        }
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert_eq!(asked(path, deep).status, 400, "{path}");
    }
}

const FORM: &str = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm-1\r\n--b\r\n\
    Content-Disposition: form-data; name=\"prompt\"\r\n\r\np\r\n--b\r\n\
    Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nsound\r\n--b\r\n\
    Content-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\npicture\r\n--b--\r\n";

const FORMS: [&str; 4] =
    ["/v1/images/edits", "/v1/images/variations", "/v1/audio/transcriptions", "/v1/audio/translations"];

fn sent(path: &str, label: &'static str, body: Vec<u8>) -> Seen {
    let replay = Replay::new("together", "m-1").header("content-type", label);
    replay.run_at(path, body, &Answer::whole(200, r#"{"text":"ok"}"#))
}

#[test]
fn a_form_that_is_cut_or_changed_anywhere_passes_as_it_is_or_is_refused() {
    const LABEL: &str = "multipart/form-data; boundary=b";
    for path in FORMS {
        assert_eq!(sent(path, LABEL, FORM.into()).status, 200, "{path}");
        // Only the last line end may be missing.
        for end in 0..FORM.len() - 2 {
            let cut = FORM.as_bytes().get(..end).unwrap().to_vec();
            assert_eq!(sent(path, LABEL, cut).status, 400, "{path}: cut at {end}");
        }
        for at in 0..FORM.len() {
            for byte in [0, b'"', b'-', b'\n', 0xff] {
                let mut body = FORM.as_bytes().to_vec();
                *body.get_mut(at).unwrap() = byte;
                let seen = sent(path, LABEL, body.clone());
                match seen.status {
                    200 => assert_eq!(seen.sent.last().unwrap().body, body, "{path}: {byte} at {at}"),
                    // Another model is none that there is.
                    status => assert!(matches!(status, 400 | 404), "{path}: {byte} at {at}: {status}"),
                }
            }
        }
    }
}

#[test]
fn a_form_by_any_other_name_is_refused() {
    for path in FORMS {
        for label in [
            "application/json",
            "multipart/form-data",
            "multipart/mixed; boundary=b",
            "multipart/form-data; boundary=c",
            "text/plain",
        ] {
            assert_eq!(sent(path, label, FORM.into()).status, 400, "{path}: {label}");
        }
    }
}
