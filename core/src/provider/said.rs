//! Words in JSON bytes, for [`super::Provider::text`].

use super::scan;
use crate::json::Tape;

/// Appends the string that begins at `at`; nothing where no whole string does.
pub(super) fn string(data: &[u8], at: usize, out: &mut String) {
    if data.get(at) != Some(&b'"') {
        return;
    }
    let Some(end) = scan::skip_string(data, at) else { return };
    let Some(inside) = data.get(at + 1..end - 1) else { return };
    match std::str::from_utf8(inside) {
        Ok(plain) if memchr::memchr(b'\\', inside).is_none() => out.push_str(plain),
        Ok(_) => {
            let tape = data.get(at..end).and_then(|quoted| Tape::parse(quoted).ok());
            out.extend(tape.and_then(|tape| tape.root().as_str().map(std::borrow::Cow::into_owned)));
        }
        Err(_) => {}
    }
}

/// Appends the JSON of the value that begins at `at`, as it is written.
pub(super) fn json(data: &[u8], at: usize, out: &mut String) {
    let raw = scan::skip_value(data, at).and_then(|end| data.get(at..end));
    if let Some(Ok(text)) = raw.map(std::str::from_utf8) {
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_with_their_escapes_and_broken_ones_not_at_all() {
        let said = |text: &str| {
            let mut out = String::new();
            string(text.as_bytes(), 0, &mut out);
            out
        };
        assert_eq!(said(r#""abc","x""#), "abc");
        assert_eq!(said(r#""a\n\u00e9\"\ud83d\ude00\\" "#), "a\né\"😀\\");
        for broken in ["", "null", "\"abc", r#""\ud800""#, r#""a\"#, "{"] {
            assert_eq!(said(broken), "", "{broken}");
        }
    }
}
