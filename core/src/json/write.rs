//! A tree as JSON text, byte for byte as `serde_json` writes it.
//!
//! What is sent upstream is mostly long strings, so the text is laid out in one piece, and looked
//! through eight bytes at a time for what must be escaped.

use super::string::special;
use bytes::Bytes;
use serde_json::{Map, Value};

/// The object as JSON.
pub(crate) fn object(members: &Map<String, Value>) -> Bytes {
    let mut out = Vec::with_capacity(room_of_object(members));
    put_object(members, &mut out);
    Bytes::from(out)
}

/// An object of these members; unlike `json!`, which copies the trees it is given, it keeps them.
pub(crate) fn tree<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// How long the text is, but for escapes.
fn room(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 6,
        Value::Number(number) => number.as_str().len() + 1,
        Value::String(text) => text.len() + text.len() / 32 + 3,
        Value::Array(list) => list.iter().map(room).sum::<usize>() + 3,
        Value::Object(members) => room_of_object(members) + 1,
    }
}

fn room_of_object(members: &Map<String, Value>) -> usize {
    members.iter().map(|(key, value)| key.len() + 3 + room(value)).sum::<usize>() + 2
}

fn put(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => out.extend_from_slice(number.as_str().as_bytes()),
        Value::String(text) => put_string(text, out),
        Value::Array(list) => {
            out.push(b'[');
            for (at, value) in list.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                put(value, out);
            }
            out.push(b']');
        }
        Value::Object(members) => put_object(members, out),
    }
}

fn put_object(members: &Map<String, Value>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (at, (key, value)) in members.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        put_string(key, out);
        out.push(b':');
        put(value, out);
    }
    out.push(b'}');
}

fn put_string(text: &str, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    let text = text.as_bytes();
    out.push(b'"');
    let mut from = 0;
    loop {
        let at = special(text, from);
        out.extend_from_slice(text.get(from..at).unwrap_or_default());
        let Some(&byte) = text.get(at) else { break };
        let letter = match byte {
            b'\x08' => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            b'\x0c' => b'f',
            b'\r' => b'r',
            0..=0x1f => b'u',
            other => other,
        };
        out.extend_from_slice(&[b'\\', letter]);
        if letter == b'u' {
            out.extend_from_slice(&[b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
        }
        from = at + 1;
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn same(value: &Value) {
        let members =
            Map::from_iter([("a \"key\"\n".to_owned(), value.clone()), (String::new(), Value::Null)]);
        assert_eq!(object(&members), serde_json::to_vec(&members).unwrap());
    }

    #[test]
    fn every_character_that_may_need_an_escape_is_written_as_serde_json_does() {
        for before in 0..40 {
            for byte in 0..=0x9f_u8 {
                same(&json!(format!("{}{}é{}", "x".repeat(before), char::from(byte), "y".repeat(9))));
            }
        }
    }

    #[test]
    fn numbers_keep_their_spelling() {
        let value: Value = serde_json::from_str(
            r#"[1.50, 1e400, -0, 123456789012345678901, {}, [], [[1],{"a":[true,false,null]}]]"#,
        )
        .unwrap();
        same(&value);
    }

    proptest! {
        #[test]
        fn texts_are_written_as_serde_json_does(texts in proptest::collection::vec(any::<String>(), 0..4)) {
            same(&json!({"texts": texts.clone(), "joined": texts.concat()}));
        }

        #[test]
        fn what_is_written_is_long_enough_from_the_start(text in "[a-z ]{0,200}") {
            let members = Map::from_iter([("text".to_owned(), json!([text, 1.5, {"a": null}]))]);
            prop_assert!(room_of_object(&members) >= object(&members).len());
        }
    }
}
