use super::*;
use proptest::prelude::*;

fn refused(text: impl AsRef<[u8]>) -> JsonError {
    Tape::parse(text.as_ref()).expect_err("the text must be refused")
}

fn accepted(text: &str) -> Tape<'_> {
    Tape::parse(text.as_bytes()).expect("the text must be accepted")
}

/// What the tape says, as `serde_json` would have it.
fn rebuild(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Null => serde_json::Value::Null,
        Kind::Bool => value.as_bool().unwrap().into(),
        Kind::Number => serde_json::from_slice(value.raw()).unwrap(),
        Kind::String => value.as_str().unwrap().into_owned().into(),
        Kind::Array => value.elements().map(rebuild).collect(),
        Kind::Object => serde_json::Value::Object(
            value
                .members()
                .map(|(key, value)| (key.as_str().unwrap().into_owned(), rebuild(value)))
                .collect(),
        ),
    }
}

#[test]
fn every_value_is_found_where_it_stands() {
    let text = r#" {"model": "gpt-4o", "n":[1, 2.5,-3e2 ],"stream" : true,"x":null, "o":{"\u0061":"\ud83d\ude00\n"}} "#;
    let tape = accepted(text);
    let root = tape.root();
    assert_eq!(root.kind(), Kind::Object);
    assert_eq!(root.span(), 1..text.len() - 1);
    assert_eq!(root.get("model").unwrap().raw(), b"\"gpt-4o\"");
    assert!(matches!(root.get("model").unwrap().as_str(), Some(Cow::Borrowed("gpt-4o"))));
    let numbers: Vec<_> = root.get("n").unwrap().elements().map(|n| n.raw().to_vec()).collect();
    assert_eq!(numbers, [&b"1"[..], b"2.5", b"-3e2"]);
    assert_eq!(root.get("stream").unwrap().as_bool(), Some(true));
    assert!(root.get("x").unwrap().is_null());
    assert_eq!(root.get("o").unwrap().get("a").unwrap().as_str().unwrap(), "\u{1f600}\n");
    assert!(root.get("a").is_none(), "members of members are not members");
    assert_eq!(rebuild(root), serde_json::from_str::<serde_json::Value>(text).unwrap());
}

#[test]
fn a_value_of_another_kind_has_no_members_elements_or_text() {
    let tape = accepted("[\"a\",1]");
    let root = tape.root();
    assert_eq!(root.members().count(), 0);
    assert_eq!(root.get("a").map(Value::kind), None);
    let one = root.elements().nth(1).unwrap();
    assert_eq!((one.as_str(), one.as_bool(), one.elements().count()), (None, None, 0));
}

#[test]
fn an_error_says_what_and_where() {
    for (text, what, offset) in [
        ("", "the text is empty", 0),
        (" \n", "the text is empty", 2),
        ("\u{feff}{}", "the text begins with a byte order mark", 0),
        ("{} x", "more text after the value", 3),
        ("[1,]", "expected a value", 3),
        ("[1 2]", "expected a comma or the end of the array", 3),
        ("[1}", "expected a comma or the end of the array", 2),
        ("{\"a\":1]", "expected a comma or the end of the object", 6),
        ("{a:1}", "expected a key in double quotes", 1),
        ("{\"a\" 1}", "expected a colon after the key", 5),
        ("{\"a\":1,}", "expected a key in double quotes", 7),
        ("{\"a\":", "the text ends too early", 5),
        ("[", "the text ends too early", 1),
        ("\"abc", "a string without its end", 0),
        ("\"ab\u{1}c\"", "a control character in a string", 3),
        ("\"a\\x\"", "an unknown escape in a string", 2),
        ("\"\\u12g4\"", "expected four hexadecimal digits after \\u", 1),
        ("\"\\ud800\"", "half a surrogate pair in a string", 1),
        ("\"\\ud800\\u0041\"", "half a surrogate pair in a string", 1),
        ("\"\\udc00\"", "half a surrogate pair in a string", 1),
        ("01", "a number with a leading zero", 1),
        ("-", "expected a digit", 1),
        ("1.", "expected a digit", 2),
        ("1e+", "expected a digit", 3),
        ("nul", "expected a value", 0),
        ("truely", "more text after the value", 4),
    ] {
        assert_eq!(refused(text), JsonError::new(what, offset), "{text:?}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused_where_they_stand() {
    assert_eq!(refused(b"{\"a\":\"\xff\"}"), JsonError::new("the text is not UTF-8", 6));
}

#[test]
fn nesting_ends_at_the_limit() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    accepted(&nested(MAX_DEPTH));
    assert_eq!(refused(nested(MAX_DEPTH + 1)).offset, MAX_DEPTH);
    assert_eq!(refused("[".repeat(1_000_000)).what, "nested deeper than 127 levels");
}

#[test]
fn a_repeated_key_is_refused_at_any_level_and_however_it_is_spelt() {
    assert_eq!(refused(r#"{"a":1,"b":{"c":1,"c":2}}"#), JsonError::new("repeated key \"c\"", 18));
    assert_eq!(refused(r#"{"model":1,"mod\u0065l":2}"#), JsonError::new("repeated key \"model\"", 11));
    assert_eq!(refused(r#"{"":1,"":2}"#), JsonError::new("repeated key \"\"", 6));
    accepted(r#"{"a":{"a":{"a":[{"a":1},{"a":2}]}},"b":"a"}"#);
}

#[test]
fn keys_that_look_alike_at_a_glance_are_told_apart() {
    accepted(r#"{"abc":1,"axc":2,"ayc":3}"#);
}

#[test]
fn a_repeated_key_is_named_up_to_a_bound() {
    let key = "k".repeat(1000);
    assert_eq!(refused(format!(r#"{{"{key}":1,"{key}":2}}"#)).what.len(), "repeated key ".len() + 64 + 2);
}

#[test]
fn the_first_repetition_among_very_many_keys_is_found() {
    let mut members: Vec<String> = (0..100_000).map(|n| format!("\"k{n}\":{n}")).collect();
    accepted(&format!("{{{}}}", members.join(",")));
    members[60_000] = "\"k7\":0".into();
    members[90_000] = "\"k3\":0".into();
    assert_eq!(refused(format!("{{{}}}", members.join(","))).what, "repeated key \"k7\"");
}

#[test]
fn whole_numbers_are_read_however_they_are_spelt() {
    for (text, number) in [
        ("10", Some(10)),
        ("1e1", Some(10)),
        ("10.0", Some(10)),
        ("1.5e1", Some(15)),
        ("1500E-2", Some(15)),
        ("-0", Some(0)),
        ("0e99999999999999999999", Some(0)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("1.5", None),
        ("-1", None),
        ("1e20", None),
        ("1e99999999999999999999", None),
        ("1e-99999999999999999999", None),
        ("10000000000000000000000000e-24", Some(10)),
    ] {
        assert_eq!(accepted(text).root().as_u64(), number, "{text}");
    }
    assert_eq!(accepted("\"10\"").root().as_u64(), None);
}

#[test]
fn floats_are_read_and_those_beyond_range_are_not() {
    assert_eq!(accepted("-2.5e1").root().as_f64(), Some(-25.0));
    assert_eq!(accepted("1e999").root().as_f64(), None);
    assert_eq!(accepted("true").root().as_f64(), None);
}

#[test]
fn debug_prints_no_text() {
    let tape = accepted(r#"{"secret":"value"}"#);
    assert_eq!(format!("{tape:?} {:?}", tape.root()), "Tape(18 bytes, 3 nodes) Object at 0..18");
}

fn without(text: &str, keys: &[&str]) -> String {
    let tape = accepted(text);
    let mut left = text.to_owned();
    for cut in tape.root().member_cuts(keys).into_iter().rev() {
        left.replace_range(cut, "");
    }
    left
}

#[test]
fn a_cut_member_takes_one_comma_along() {
    let text = r#"{ "a" : 1 , "b" : [2] , "c" : 3 }"#;
    assert_eq!(without(text, &["a"]), r#"{ "b" : [2] , "c" : 3 }"#);
    assert_eq!(without(text, &["b"]), r#"{ "a" : 1 , "c" : 3 }"#);
    assert_eq!(without(text, &["c"]), r#"{ "a" : 1 , "b" : [2] }"#);
    assert_eq!(without(text, &["a", "b"]), r#"{ "c" : 3 }"#);
    assert_eq!(without(text, &["b", "c"]), r#"{ "a" : 1 }"#);
    assert_eq!(without(text, &["a", "c"]), r#"{ "b" : [2] }"#);
    assert_eq!(without(text, &["a", "b", "c"]), "{  }");
    assert_eq!(without(text, &["d"]), text);
    let tape = accepted(text);
    assert_eq!(tape.root().member_cut("b"), Some(9..21));
    assert_eq!(tape.root().member_cut("d"), None);
    assert_eq!(tape.root().get("b").unwrap().member_cut("a"), None);
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        "[\\x00-\\x7f]{0,40}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 60, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::vec(("[a-c\"\\\\é]{0,3}", inner), 0..20)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Texts that are nearly JSON.
fn nearly() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\"",
        "\"\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"",
        "\\",
        "0",
        "-",
        "1",
        "12",
        ".",
        "5",
        "e",
        "E",
        "+",
        "true",
        "false",
        "null",
        "nul",
        " ",
        "\n",
        "\t",
        "é",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_serde_writes_is_read_back(value in json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        prop_assert_eq!(rebuild(accepted(&text).root()), serde_json::from_str::<serde_json::Value>(&text).unwrap());
    }

    #[test]
    fn verdicts_agree_with_serde_but_for_repeated_keys(text in nearly()) {
        match (Tape::parse(text.as_bytes()), serde_json::from_str::<serde_json::Value>(&text)) {
            (Ok(tape), Ok(value)) => prop_assert_eq!(rebuild(tape.root()), value),
            (Err(error), Ok(_)) => prop_assert!(error.what.starts_with("repeated key"), "{}", error),
            (Ok(_), Err(error)) => prop_assert!(false, "{}", error),
            (Err(error), Err(_)) => prop_assert!(error.offset <= text.len()),
        }
    }

    #[test]
    fn special_bytes_are_found_behind_any_others(
        before in prop::collection::vec(0x20u8.., 0..40),
        special in prop::sample::select(vec![b'"', b'\\', 0, 0x1f, b'\n']),
        after in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let before: Vec<u8> = before.into_iter().filter(|byte| !matches!(byte, b'"' | b'\\')).collect();
        let text = [&before[..], &[special], &after[..]].concat();
        prop_assert_eq!(string::special(&text, 0), before.len());
    }

    #[test]
    fn what_is_left_after_cuts_is_the_object_without_them(value in json(), keys in prop::collection::vec("[a-c]", 0..3)) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let left: serde_json::Value = serde_json::from_str(&without(&text, &keys)).unwrap();
        let mut expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        if let Some(object) = expected.as_object_mut() {
            object.retain(|key, _| !keys.contains(&key.as_str()));
        }
        prop_assert_eq!(left, expected);
    }
}
