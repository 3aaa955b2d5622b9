//! What the model says, by a look for the key it stands under.

use crate::provider::{said, scan};
use memchr::memmem::Finder;
use std::sync::LazyLock;

static PARTS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"parts\""));

/// See [`crate::provider::Provider::text`]. Thoughts are text too.
pub(super) fn of(data: &[u8], out: &mut String) {
    for found in PARTS.find_iter(data) {
        let Some(parts) = scan::value_after_key(data, found + PARTS.needle().len()) else { continue };
        scan::elements(data, parts).for_each(|at| part(data, at, out));
    }
}

fn part(data: &[u8], at: usize, out: &mut String) {
    for member in scan::members(data, at) {
        match member.key {
            b"text" => said::string(data, member.value, out),
            b"functionCall" | b"executableCode" => call(data, member.value, out),
            _ => {}
        }
    }
}

fn call(data: &[u8], at: usize, out: &mut String) {
    for member in scan::members(data, at) {
        match member.key {
            b"name" | b"code" => said::string(data, member.value, out),
            b"args" if !scan::is_empty(data, member.value) => said::json(data, member.value, out),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_thoughts_and_calls_of_every_candidate_are_heard() {
        let data = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hm","thought":true},{"text":"a\u00e9"}]}},
            {"content":{"parts":[{"functionCall":{"name":"f","args":{"b":"}"}},"thoughtSignature":"xx"}]}}],
            "usageMetadata":{"promptTokenCount":1}}"#;
        let mut out = String::new();
        of(data.as_bytes(), &mut out);
        assert_eq!(out, r#"hmaéf{"b":"}"}"#);
        of(b"", &mut out);
        assert_eq!(out.len(), 15);
    }
}
