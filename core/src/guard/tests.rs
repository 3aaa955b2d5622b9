use super::*;
use crate::framing::{Framing, event_stream};
use crate::json::Tape;
use bytes::Bytes;
use proptest::prelude::*;

fn rail(name: &str, phrases: &[&str], action: Action) -> Guardrail {
    Guardrail {
        name: name.into(),
        on: vec![Side::Input, Side::Output],
        phrases: phrases.iter().map(|phrase| (*phrase).to_owned()).collect(),
        action,
        models: Vec::new(),
    }
}

fn guard(rails: &[Guardrail]) -> Arc<Guard> {
    let which = (0..rails.len()).fold(Rails::default(), Rails::with);
    Arc::new(Guard::new(rails, which))
}

fn tiger() -> Arc<Guard> {
    guard(&[rail("codenames", &["project tiger"], Action::Block)])
}

fn finds(phrase: &str, text: &str) -> bool {
    let guard = guard(&[rail("one", &[phrase], Action::Block)]);
    guard.blocked(guard.input.find(text)).is_some()
}

#[test]
fn a_phrase_is_found_however_case_and_white_space_are_written() {
    for text in [
        "project tiger",
        "the PROJECT\n\t TIGERs",
        "Project\u{a0}Tiger",
        "project pro project tiger",
        "projec\u{200b}t t\u{ad}iger",
        r"project\ntiger",
        r"p\u0072oject\u0020tiger",
    ] {
        assert!(finds(" Project  Tiger ", text), "{text}");
    }
    for text in ["projecttiger", "project-tiger", "project tige", "roject tiger", ""] {
        assert!(!finds("project tiger", text), "{text}");
    }
    assert!(finds("Übergröße", "ÜBERGRÖßE") && finds("тигр", "ТИГР") && finds("Τίγρης", "ΤΊΓΡΗΣ"));
    assert!(finds(r"c:\new", r"C:\new"), "as it is written");
    assert!(finds("😀 a", r"\ud83d\ude00 a"));
}

#[test]
fn phrases_that_begin_alike_or_lie_within_each_other_are_all_found() {
    let phrases = ["tiger", "project", "project tiger", "project tiger two", "ject t", "PROJECT"];
    let rails: Vec<_> =
        phrases.iter().map(|phrase| rail(phrase, std::slice::from_ref(phrase), Action::Block)).collect();
    let guard = guard(&rails);
    let found = |text: &str| -> Vec<usize> { guard.input.find(text).each().collect() };
    assert_eq!(found("project tiger"), [0, 1, 2, 4, 5]);
    assert_eq!(found("project tiger two"), [0, 1, 2, 3, 4, 5]);
    assert!(found("a pro").is_empty());
    assert_eq!(guard.blocked(guard.input.find("no tiger")).map(|name| &**name), Some("tiger"));
}

#[test]
fn what_is_only_noted_neither_blocks_nor_waits() {
    let guard = guard(&[rail("noted", &["tiger"], Action::Note)]);
    let mut watch = Watch::new(Arc::clone(&guard), Framing::Events);
    for piece in ["a ti", "ger"] {
        let frame = chat(piece);
        assert_eq!(watch.look(frame.clone(), More::Comes), Looked::Goes(frame));
    }
    let noted: Vec<_> = guard.noted(watch.found(), Side::Output).map(|done| done.to_string()).collect();
    assert_eq!((noted, guard.strict()), (vec!["note output noted".to_owned()], None));
}

#[test]
fn another_phrase_action_or_side_makes_another_digest() {
    let one = rail("a", &["x"], Action::Block);
    let others = [
        rail("b", &["x"], Action::Block),
        rail("a", &["y"], Action::Block),
        rail("a", &["x"], Action::Note),
        Guardrail { on: vec![Side::Output], ..one.clone() },
    ];
    let digest = |rail: &Guardrail| guard(std::slice::from_ref(rail)).digest;
    assert_eq!(digest(&one), digest(&one.clone()));
    others.iter().for_each(|other| assert_ne!(digest(&one), digest(other)));
}

/// What a value says, each text by itself.
fn said(json: &str) -> Vec<String> {
    let tape = Tape::parse(json.as_bytes()).unwrap();
    let mut all = Vec::new();
    texts(tape.root(), &mut |piece| {
        if let Piece::Text(_, text) = piece {
            all.push(text.to_owned());
        }
    });
    all
}

#[test]
fn every_string_is_a_text_but_what_steers_and_what_is_sealed() {
    let media = "A".repeat(80);
    let json = format!(
        r#"{{"model":"m","object":"x","new_field":{{"id":"1","deep":["said"]}},
            "a":[{{"type":"tool_use","input":{{"type":"own","key":1}}}}],
            "b":{{"type":"text","data":"plain words"}},"c":{{"data":"{media}"}},
            "d":{{"url":"data:image/png;base64,{media}"}},"usage":{{"tier":"t"}}}}"#
    );
    assert_eq!(said(&json), ["said", "type", "own", "key", "plain words"]);
    let response = r#"{"object":"response","instructions":"asked","output":[{"content":[{"text":"said"}]}]}"#;
    assert_eq!(said(response), ["said"], "the rest repeats the request");
}

fn event(data: &str) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn chat(text: &str) -> Bytes {
    event(&format!(r#"{{"id":"p","choices":[{{"index":0,"delta":{{"content":{}}}}}]}}"#, quoted(text)))
}

type Form = (&'static str, Framing, fn(&str) -> Bytes);

/// A stream of every form that a client may get, each with its own way to say a piece of a text.
const FORMS: [Form; 13] = [
    ("chat", Framing::Events, chat),
    ("a second answer", Framing::Events, |text| {
        event(&format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":"o"}}}},{{"index":1,"delta":{{"content":{}}}}}]}}"#,
            quoted(text)
        ))
    }),
    ("reasoning", Framing::Events, |text| {
        event(&format!(r#"{{"choices":[{{"index":0,"delta":{{"reasoning_content":{}}}}}]}}"#, quoted(text)))
    }),
    ("arguments", Framing::Events, |text| {
        let json = quoted(text);
        let written = quoted(json.get(1..json.len() - 1).unwrap());
        event(&format!(
            r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":1,"function":{{"arguments":{written}}}}}]}}}}]}}"#
        ))
    }),
    ("a transcript", Framing::Events, |text| {
        event(&format!(
            r#"{{"choices":[{{"index":0,"delta":{{"audio":{{"transcript":{}}}}}}}]}}"#,
            quoted(text)
        ))
    }),
    ("completions", Framing::Events, |text| {
        event(&format!(r#"{{"choices":[{{"index":0,"text":{},"logprobs":null}}]}}"#, quoted(text)))
    }),
    ("messages", Framing::Events, |text| {
        event(&format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":{}}}}}"#,
            quoted(text)
        ))
    }),
    ("a server's tool", Framing::Events, |text| {
        event(&format!(
            r#"{{"type":"content_block_delta","index":2,"delta":{{"type":"input_json_delta","partial_json":{}}}}}"#,
            quoted(text)
        ))
    }),
    ("responses", Framing::Events, |text| {
        event(&format!(
            r#"{{"type":"response.output_text.delta","item_id":"msg_p","output_index":0,"content_index":0,"delta":{},"obfuscation":"xp"}}"#,
            quoted(text)
        ))
    }),
    ("a custom tool", Framing::Events, |text| {
        event(&format!(
            r#"{{"type":"response.custom_tool_call_input.delta","output_index":1,"delta":{}}}"#,
            quoted(text)
        ))
    }),
    ("gemini", Framing::Array, |text| {
        let text = quoted(text);
        Bytes::from(format!(
            ",\r\n{{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":{text}}}]}}}}],\"usageMetadata\":{{\"m\":\"p\"}}}}"
        ))
    }),
    ("converse", Framing::EventStream, |text| {
        message(
            "contentBlockDelta",
            &format!(r#"{{"contentBlockIndex":0,"delta":{{"text":{}}},"p":"abp"}}"#, quoted(text)),
        )
    }),
    ("invoke", Framing::EventStream, |text| {
        use base64::Engine as _;
        let inner = format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":{}}}}}"#,
            quoted(text)
        );
        let bytes = base64::engine::general_purpose::STANDARD.encode(inner);
        message("chunk", &format!(r#"{{"bytes":"{bytes}","p":"abcp"}}"#))
    }),
];

fn message(name: &str, data: &str) -> Bytes {
    let mut out = bytes::BytesMut::new();
    event_stream::write_event(name, data.as_bytes(), &mut out);
    out.freeze()
}

/// What has gone out when the pieces have come: all of them, and what goes by itself.
fn stream(form: usize, pieces: &[&str]) -> (Vec<Bytes>, Bytes, Looked) {
    let (_, framing, write) = FORMS[form];
    let mut watch = Watch::new(tiger(), framing);
    let mut written: Vec<Bytes> = pieces.iter().map(|piece| write(piece)).collect();
    if framing == Framing::Array {
        written[0] = [b"[", &written[0][3..]].concat().into();
    }
    let mut out = Vec::new();
    for frame in &written {
        match watch.look(frame.clone(), More::Comes) {
            Looked::Goes(goes) => out.extend_from_slice(&goes),
            ended @ (Looked::Blocked(_) | Looked::Unreadable(_)) => return (written, out.into(), ended),
        }
    }
    let last = watch.look(Bytes::new(), More::None);
    (written, out.into(), last)
}

#[test]
fn j2_a_phrase_split_anywhere_is_found_and_no_piece_of_it_goes_out() {
    let text = "say: \u{e9} Project\n Tiger, and more";
    let begin = text.find('P').unwrap();
    for (form, (name, ..)) in FORMS.iter().enumerate() {
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).skip(1).collect();
        for cut in &ends {
            let (before, behind) = text.split_at(*cut);
            let (frames, out, last) = stream(form, &["first ", before, behind]);
            assert!(matches!(&last, Looked::Blocked(rest) if rest.is_empty()), "{name} {cut}: {last:?}");
            let many = if *cut <= begin { 2 } else { 1 };
            assert_eq!(out, frames[..many].concat(), "{name} {cut}");
        }
        let each: Vec<String> = text.chars().map(String::from).collect();
        let each: Vec<&str> = each.iter().map(String::as_str).collect();
        let (frames, out, last) = stream(form, &each);
        assert!(matches!(last, Looked::Blocked(_)), "{name}: {last:?}");
        let many = text.chars().position(|c| c == 'P').unwrap();
        assert_eq!(out, frames[..many].concat(), "{name}, a character at a time");
    }
}

#[test]
fn j2_frames_wait_only_for_what_may_be_a_beginning_and_go_as_they_came() {
    for (form, (name, ..)) in FORMS.iter().enumerate() {
        let (frames, out, last) = stream(form, &["no ", "such ", "word ", "here."]);
        assert_eq!((out, last), (frames.concat().into(), Looked::Goes(Bytes::new())), "{name}");
        let (frames, out, last) = stream(form, &["a pro", "test ", "and project ti", "me ", "up p"]);
        assert_eq!(out, frames[..4].concat(), "{name}");
        assert_eq!(last, Looked::Goes(frames[4].clone()), "{name}");
    }
}

#[test]
fn answers_blocks_and_calls_are_texts_of_their_own() {
    let other = |index: u64, text: &str| {
        event(&format!(r#"{{"choices":[{{"index":{index},"delta":{{"content":{}}}}}]}}"#, quoted(text)))
    };
    let mut watch = Watch::new(tiger(), Framing::Events);
    let goes = |watch: &mut Watch, frame: Bytes| match watch.look(frame, More::Comes) {
        Looked::Goes(goes) => goes.len(),
        other @ (Looked::Blocked(_) | Looked::Unreadable(_)) => panic!("{other:?}"),
    };
    assert_eq!(goes(&mut watch, other(0, "project ")), 0);
    assert_eq!(goes(&mut watch, other(1, "tiger ")), 0, "it waits behind the other");
    assert!(goes(&mut watch, other(0, "x")) > 0);
    assert_eq!(goes(&mut watch, other(1, "project ")), 0);
    let ended = event(r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#);
    assert!(goes(&mut watch, ended) > 0, "that answer says no more");
    let block = |kind: &str, index: u64, text: &str| {
        event(&format!(r#"{{"type":"{kind}","index":{index},"delta":{{"text":{}}}}}"#, quoted(text)))
    };
    let mut watch = Watch::new(tiger(), Framing::Events);
    assert_eq!(goes(&mut watch, block("content_block_delta", 0, "project ")), 0);
    assert!(goes(&mut watch, event(r#"{"type":"content_block_stop","index":0}"#)) > 0);
    assert!(goes(&mut watch, block("content_block_delta", 1, "tiger")) > 0);
}

proptest! {
    /// Against the plain way: fold the whole text, and look.
    #[test]
    fn pieces_of_any_length_find_what_the_whole_text_holds(
        text in "[abAB \u{a0}]{0,40}",
        phrases in proptest::collection::vec("[ab]{1,3}( [ab]{1,2})?", 1..5),
        cuts in proptest::collection::vec(0..40_usize, 0..6),
    ) {
        let words: Vec<&str> = phrases.iter().map(String::as_str).collect();
        let guard = guard(&[rail("r", &words, Action::Block)]);
        let folded: String = finder::folded(&format!("x{text}x")).into_iter().collect();
        let expected = phrases.iter().any(|phrase| folded.contains(phrase.as_str()));
        let mut finder = Finder::default();
        let mut found = Rails::default();
        let mut from = 0;
        let mut ends: Vec<usize> = cuts.into_iter().filter(|cut| text.is_char_boundary(*cut) && *cut <= text.len()).collect();
        ends.sort_unstable();
        for end in ends.into_iter().chain([text.len()]) {
            found = found.or(finder.read(&text[from..end], 0, &guard.output));
            from = end;
        }
        prop_assert_eq!(guard.blocked(found).is_some(), expected);
    }
}
