//! Every field of Google's surface with everything that may be wrong with it: the answer is a 400 that
//! names the field, whichever provider would have been asked.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Map, Value, json};
use tollgate_core::surface::gemini::form::{Field, Form, GENERATE, Presence};
use tollgate_tests::replay::{Answer, Replay, Seen};

const GOOGLES: &str = r#"{"candidates":[{"content":{"parts":[{"text":"ok"}],"role":"model"},"finishReason":"STOP","index":0}]}"#;
const OPENAIS: &str = r#"{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}"#;
const ANTHROPICS: &str = r#"{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;

const UPSTREAMS: [(&str, &str); 3] = [("gemini", GOOGLES), ("openai", OPENAIS), ("anthropic", ANTHROPICS)];

fn asked(kind: &'static str, answer: &str, body: &Value) -> Seen {
    let target = "/v1beta/models/m-1:generateContent";
    Replay::new(kind, "m-1").run_at(target, body.to_string(), &Answer::whole(200, answer.to_owned()))
}

/// The field that an error blames.
fn blamed(seen: &Seen) -> String {
    let error: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(error["error"]["code"], seen.status, "{error}");
    assert!(error["error"]["status"].is_string(), "{error}");
    let details = error["error"]["details"].as_array().unwrap();
    let field = details.iter().find_map(|detail| detail["fieldViolations"][0]["field"].as_str());
    field.unwrap_or_else(|| panic!("no field is named: {error}")).to_owned()
}

/// A value of this form, with nothing in it that may be left out.
fn sample(name: &str, form: &Form) -> Value {
    match form {
        Form::Flag => json!(true),
        Form::Number => json!(0.5),
        Form::Whole => json!(3),
        Form::Integer => json!(1),
        Form::Text => match name {
            "data" | "thoughtSignature" => json!("aGk="),
            "mimeType" => json!("image/png"),
            "responseMimeType" => json!("text/plain"),
            "fileUri" => json!("https://x.test/a.png"),
            "role" => json!("user"),
            _ => json!("f"),
        },
        Form::Word => match name {
            "mode" => json!("AUTO"),
            "thinkingLevel" => json!("LOW"),
            "responseModalities" => json!("TEXT"),
            "serviceTier" => json!("STANDARD"),
            _ => json!("SOME_WORD"),
        },
        Form::Struct => json!({}),
        Form::Any => json!({"type": "object"}),
        Form::Object(fields) => object(fields),
        Form::Many(form) => json!([sample(name, form)]),
    }
}

fn object(fields: &[Field]) -> Value {
    let needed = fields.iter().filter(|field| field.presence == Presence::Needed);
    let mut object: Map<_, _> =
        needed.map(|field| (field.name.to_owned(), sample(field.name, &field.form))).collect();
    // A content that says nothing is one, and nothing that others could be asked.
    if fields.iter().any(|field| field.name == "role") {
        object.insert("parts".to_owned(), json!([{"text": "x"}]));
    }
    Value::Object(object)
}

/// What is not of this form.
fn wrong(form: &Form) -> Vec<Value> {
    match form {
        Form::Flag => vec![json!("true"), json!(1), json!([]), json!({})],
        Form::Number => vec![json!("much"), json!(true), json!([1]), json!({})],
        Form::Whole => vec![json!(-1), json!(1.5), json!("x"), json!(false), json!({})],
        Form::Integer => vec![json!(1.5), json!("x"), json!(false), json!([])],
        Form::Text => vec![json!(7), json!(true), json!({}), json!(["a"])],
        Form::Word => vec![json!(true), json!({}), json!([])],
        Form::Struct | Form::Object(_) => vec![json!(7), json!("x"), json!(true), json!([])],
        Form::Any => Vec::new(),
        Form::Many(_) => vec![json!(7), json!(true)],
    }
}

/// One place in a body: how to write a value there, and what it is called.
#[derive(Clone)]
struct Place {
    fields: &'static [Field],
    steps: Vec<(&'static [Field], usize)>,
    path: String,
}

impl Place {
    fn body(&self, name: &str, value: Option<Value>) -> Value {
        let mut inner = object(self.fields);
        let fields = inner.as_object_mut().unwrap();
        match value {
            Some(value) => drop(fields.insert(name.to_owned(), value)),
            None => drop(fields.shift_remove(name)),
        }
        for (fields, at) in self.steps.iter().rev() {
            let field = &fields[*at];
            let mut outer = object(fields);
            let value = if matches!(field.form, Form::Many(_)) { json!([inner]) } else { inner };
            outer.as_object_mut().unwrap().insert(field.name.to_owned(), value);
            inner = outer;
        }
        inner
    }
}

/// Every object of the form, however deep.
fn places(fields: &'static [Field], steps: &[(&'static [Field], usize)], path: &str, all: &mut Vec<Place>) {
    all.push(Place { fields, steps: steps.to_vec(), path: path.to_owned() });
    for (at, field) in fields.iter().enumerate() {
        let dot = if path.is_empty() { "" } else { "." };
        let (inner, suffix) = match field.form {
            Form::Object(inner) => (inner, ""),
            Form::Many(Form::Object(inner)) => (*inner, "[0]"),
            _ => continue,
        };
        let mut steps = steps.to_vec();
        steps.push((fields, at));
        places(inner, &steps, &format!("{path}{dot}{}{suffix}", field.name), all);
    }
}

fn all() -> Vec<Place> {
    let mut all = Vec::new();
    places(GENERATE, &[], "", &mut all);
    all
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[test]
fn a_wrong_type_is_refused_by_the_path_of_its_field() {
    let mut checked = 0;
    for place in all() {
        for field in place.fields {
            let path = joined(&place.path, field.name);
            for value in wrong(&field.form) {
                let body = place.body(field.name, Some(value));
                for (kind, answer) in UPSTREAMS {
                    checked += 1;
                    let seen = asked(kind, answer, &body);
                    assert_eq!((seen.status, seen.sent.len()), (400, 0), "{kind}: {body}");
                    assert_eq!(blamed(&seen), path, "{kind}: {body}");
                }
            }
            if let Form::Many(inner) = field.form {
                for value in wrong(inner) {
                    let body = place.body(field.name, Some(json!([value])));
                    let seen = asked("openai", OPENAIS, &body);
                    assert_eq!((seen.status, blamed(&seen)), (400, format!("{path}[0]")), "{body}");
                }
            }
        }
    }
    assert!(checked > 800, "only {checked} were checked");
}

#[test]
fn what_is_needed_and_missing_is_named_and_anything_else_may_be_null() {
    for place in all() {
        for field in place.fields {
            let path = joined(&place.path, field.name);
            for value in [None, Some(Value::Null)] {
                let body = place.body(field.name, value.clone());
                for (kind, answer) in UPSTREAMS {
                    let seen = asked(kind, answer, &body);
                    let needed = field.presence == Presence::Needed;
                    // What answers nothing, or says nothing, is refused elsewhere for what it is.
                    let orphan = seen.status == 400 && kind != "gemini" && {
                        let blamed = blamed(&seen);
                        blamed.contains("functionResponse") || blamed == "contents"
                    };
                    match (needed, seen.status) {
                        (true, 400) => assert_eq!(blamed(&seen), path, "{kind}: {body}"),
                        (false, 200) => {}
                        (false, 400) if orphan => {}
                        (_, status) => panic!("{kind} {status}: {body}"),
                    }
                }
            }
        }
    }
}

#[test]
fn a_field_nobody_knows_passes_to_google_and_is_named_as_lost_elsewhere() {
    for place in all() {
        let body = place.body("xUnknown", Some(json!({"a": 1})));
        let seen = asked("gemini", GOOGLES, &body);
        assert_eq!((seen.status, &seen.sent[0].body), (200, &body.to_string().into_bytes().into()), "{body}");
        for (kind, answer) in UPSTREAMS.into_iter().skip(1) {
            let seen = asked(kind, answer, &body);
            if seen.status == 400 {
                // An orphan, or a content with nothing in it that the provider could be told.
                let blamed = blamed(&seen);
                assert!(blamed.contains("functionResponse") || blamed == "contents", "{kind}: {body}");
                continue;
            }
            assert_eq!(seen.status, 200, "{kind}: {body}");
            let lost = seen.headers.get("x-tollgate-lost").map(|lost| lost.to_str().unwrap().to_owned());
            let lost = lost.unwrap_or_default();
            let named = lost.split(", ").any(|name| {
                // Of some the whole is lost, and named.
                name == joined(&place.path, "xUnknown")
                    || (!name.is_empty() && place.path.starts_with(name.trim_end_matches("[0]")))
            });
            assert!(named, "{kind}: {body}: lost {lost:?}");
        }
    }
}

#[test]
fn words_nobody_knows_are_refused_or_named_where_they_must_be_understood() {
    let config = |field: &str, value: Value| json!({"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {field: value}});
    for (body, path) in [
        (json!({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}), "contents[0].role"),
        (config("responseModalities", json!(["SMELL"])), "generationConfig.responseModalities[0]"),
        (
            config("thinkingConfig", json!({"thinkingLevel": "HUGE"})),
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        (
            json!({"contents": [{"parts": [{"text": "x"}]}], "toolConfig": {"functionCallingConfig": {"mode": "MAYBE"}}}),
            "toolConfig.functionCallingConfig.mode",
        ),
        (
            json!({"contents": [{"parts": [{"text": "x"}]}], "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "DATE"}}]}]}),
            "tools[0].functionDeclarations[0].parameters.type",
        ),
    ] {
        for (kind, answer) in UPSTREAMS.into_iter().skip(1) {
            let seen = asked(kind, answer, &body);
            assert_eq!((seen.status, blamed(&seen)), (400, path.to_owned()), "{kind}: {body}");
        }
    }
}

#[test]
fn contradictions_are_refused_by_name() {
    let text = json!([{"parts": [{"text": "x"}]}]);
    let response = json!({"functionResponse": {"name": "f", "response": {}}});
    for (body, path) in [
        (
            json!({"contents": [{"role": "user", "parts": [response]}]}),
            "contents[0].parts[0].functionResponse.name",
        ),
        (json!({"contents": text, "generationConfig": {"logprobs": 3}}), "generationConfig.logprobs"),
        (json!({"contents": text, "cachedContent": "cachedContents/x"}), "cachedContent"),
        (json!({"contents": text, "systemInstruction": {}, "system_instruction": {}}), "systemInstruction"),
        (json!({"contents": []}), "contents"),
    ] {
        let seen = asked("anthropic", ANTHROPICS, &body);
        assert_eq!((seen.status, blamed(&seen)), (400, path.to_owned()), "{body}");
    }
    let many = json!({"contents": text, "generationConfig": {"candidateCount": 2}});
    let seen = asked("anthropic", ANTHROPICS, &many);
    assert_eq!((seen.status, blamed(&seen)), (400, "generationConfig.candidateCount".to_owned()));
}

#[test]
fn texts_of_any_length_are_no_reason_to_fail() {
    let long = "x".repeat(300_000);
    let body = json!({"contents": [{"parts": [{"text": long}]}], "generationConfig": {"stopSequences": vec!["a"; 50]}});
    for (kind, answer) in UPSTREAMS {
        let seen = asked(kind, answer, &body);
        assert!(matches!(seen.status, 200 | 400), "{kind}: {}", seen.status);
    }
    let role = json!({"contents": [{"role": long, "parts": []}]});
    let seen = asked("gemini", GOOGLES, &role);
    assert!(seen.status == 400 && seen.body.len() < 2_000, "{} bytes", seen.body.len());
}

#[test]
fn what_is_no_request_at_all_is_refused_too() {
    for text in ["", "{", "[]", "7", "null", "{\"contents\":[{}],\"contents\":[{}]}", "\u{feff}{}"] {
        let seen = Replay::new("gemini", "m-1").run_at(
            "/v1beta/models/m-1:streamGenerateContent?alt=sse",
            text,
            &Answer::whole(200, GOOGLES),
        );
        let error: Map<String, Value> = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(
            (seen.status, error["error"]["status"].as_str()),
            (400, Some("INVALID_ARGUMENT")),
            "{text}"
        );
    }
}
