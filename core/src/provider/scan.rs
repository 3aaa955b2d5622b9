//! Finding things in JSON bytes without parsing them, for the hot path.
//!
//! The input is one frame or body that a provider sent. It is not validated: on broken input these
//! functions answer `None` or stop early, and never walk past the end. Positions are byte offsets.

/// Offset of the first byte at or after `at` that is no white space.
pub(crate) fn skip_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// The offset after the string that begins at `at` with its quote.
pub(crate) fn skip_string(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        let stop = at + memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        match text.get(stop)? {
            b'"' => return Some(stop + 1),
            _ => at = stop + 2,
        }
    }
}

/// The offset after the value that begins at `at`.
pub(super) fn skip_value(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => skip_string(text, at),
        b'{' | b'[' => skip_nested(text, at),
        _ => {
            let rest = text.get(at..)?;
            let end =
                rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace());
            Some(at + end.unwrap_or(rest.len()))
        }
    }
}

fn skip_nested(text: &[u8], at: usize) -> Option<usize> {
    let (mut at, mut depth) = (at, 0_usize);
    loop {
        match text.get(at)? {
            b'"' => {
                at = skip_string(text, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// How many objects and arrays are open at `at`.
pub(super) fn depth_at(text: &[u8], at: usize) -> Option<usize> {
    let (mut here, mut depth) = (0, 0_usize);
    while here < at {
        match text.get(here)? {
            b'"' => {
                here = skip_string(text, here)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        here += 1;
    }
    Some(depth)
}

/// Where the value of the key begins whose closing quote ends just before `at`; `None` if what
/// stands there is a string and no key.
pub(crate) fn value_after_key(text: &[u8], at: usize) -> Option<usize> {
    let colon = skip_space(text, at);
    (text.get(colon) == Some(&b':')).then(|| skip_space(text, colon + 1))
}

/// A member of an object, by offsets.
pub(crate) struct Member<'t> {
    /// The key as written, without quotes.
    pub(crate) key: &'t [u8],
    /// Where the value begins.
    pub(crate) value: usize,
}

/// The members of the object that begins at `at`. Stops early at what is broken.
pub(crate) fn members(text: &[u8], at: usize) -> impl Iterator<Item = Member<'_>> {
    let mut next = (text.get(at) == Some(&b'{')).then_some(at + 1);
    std::iter::from_fn(move || {
        let quote = skip_space(text, next.take()?);
        if text.get(quote) != Some(&b'"') {
            return None;
        }
        let after = skip_string(text, quote)?;
        let key = text.get(quote + 1..after - 1)?;
        let value = value_after_key(text, after)?;
        next = after_comma(text, value);
        Some(Member { key, value })
    })
}

/// Where each element of the array that begins at `at` begins. Stops early at what is broken.
pub(super) fn elements(text: &[u8], at: usize) -> impl Iterator<Item = usize> + '_ {
    let mut next = (text.get(at) == Some(&b'[')).then_some(at + 1);
    std::iter::from_fn(move || {
        let start = skip_space(text, next.take()?);
        if text.get(start).is_none_or(|byte| *byte == b']') {
            return None;
        }
        next = after_comma(text, start);
        Some(start)
    })
}

/// The offset after the comma that follows the value at `value`, if one does.
fn after_comma(text: &[u8], value: usize) -> Option<usize> {
    let end = skip_space(text, skip_value(text, value)?);
    (text.get(end) == Some(&b',')).then_some(end + 1)
}

/// Whether the value at `at` says nothing: null, or an empty string, array or object.
pub(super) fn is_empty(text: &[u8], at: usize) -> bool {
    let rest = text.get(at..).unwrap_or_default();
    [&b"null"[..], b"\"\"", b"[]", b"{}"].iter().any(|empty| rest.starts_with(empty))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_skipped_whole_whatever_their_strings_contain() {
        let text = br#"{"a":"}\"]","b":[1,{"c":"[\\"}],"d":-1.5e3 }"#;
        assert_eq!(skip_value(text, 0), Some(text.len()));
        let keys: Vec<_> = members(text, 0).map(|member| member.key).collect();
        assert_eq!(keys, [b"a", b"b", b"d"]);
    }

    #[test]
    fn broken_text_ends_the_walk_and_nothing_else() {
        let text = br#"{"a":[1,{"b":"\"#;
        for end in 0..text.len() {
            let part = &text[..end];
            assert!(skip_value(part, 0).is_none_or(|at| at <= end));
            assert!(members(part, 0).count() <= 1);
            assert!(elements(part, 5).count() <= 2);
        }
    }
}
