//! Forms with files: `multipart/form-data` (RFC 7578), taken apart without being copied.
//!
//! What is found here decides on rights, and the bytes go on to an upstream that reads them by itself.
//! So whatever two readers could read in two ways is refused: text before the first boundary, line ends
//! other than CRLF, parts without a plain name, encodings of parts.

use crate::fault::{Code, Fault};
use memchr::memmem::Finder;
use std::ops::Range;

/// The most parts that are read; no form of a provider's has a tenth of them.
const MAX_PARTS: usize = 256;

/// The most bytes of one part's headers.
const MAX_HEAD: usize = 4096;

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'b> {
    /// Its name.
    pub name: &'b str,
    /// Where its content stands in the body.
    pub content: Range<usize>,
    /// The content.
    pub bytes: &'b [u8],
    /// Whether it is a file.
    pub is_file: bool,
}

impl<'b> Part<'b> {
    /// Its content as text; of what is none, nothing.
    pub fn text(&self) -> Option<&'b str> {
        std::str::from_utf8(self.bytes).ok().filter(|_| !self.is_file)
    }
}

/// The parts of a body with this `content-type`, in their order. A fault says what is wrong with it.
pub fn parts<'b>(content_type: &[u8], body: &'b [u8]) -> Result<Vec<Part<'b>>, Fault> {
    let boundary = boundary(content_type)
        .ok_or_else(|| Fault::bad_field("content-type", "multipart/form-data with its boundary", "none"))?;
    let mark = [b"\r\n--", boundary].concat();
    let opening = mark.get(2..).unwrap_or_default();
    let mut at = if body.starts_with(opening) { opening.len() } else { return Err(bad("no boundary")) };
    let finder = Finder::new(&mark);
    let mut parts = Vec::new();
    loop {
        let rest = body.get(at..).unwrap_or_default();
        if let Some(epilogue) = rest.strip_prefix(b"--") {
            return if epilogue.trim_ascii().is_empty() { Ok(parts) } else { Err(bad("text after its end")) };
        }
        let rest = rest.strip_prefix(b"\r\n").ok_or_else(|| bad("a boundary without a line end"))?;
        let start = body.len() - rest.len();
        let room = rest.get(..MAX_HEAD).unwrap_or(rest);
        let head = memchr::memmem::find(room, b"\r\n\r\n").ok_or_else(|| bad("headers without an end"))?;
        let content = start + head + 4;
        let behind = body.get(content..).unwrap_or_default();
        let length = finder.find(behind).ok_or_else(|| bad("no boundary at its end"))?;
        let bytes = behind.get(..length).unwrap_or_default();
        let Disposition { name, is_file } = disposition(rest.get(..head).unwrap_or_default())?;
        parts.push(Part { name, content: content..content + length, bytes, is_file });
        if parts.len() > MAX_PARTS {
            return Err(bad("more parts than are read"));
        }
        at = content + length + mark.len();
    }
}

/// The part of this name, where there is one. Two of it are a fault: nobody knows which one counts.
pub fn one<'p, 'b>(parts: &'p [Part<'b>], name: &str) -> Result<Option<&'p Part<'b>>, Fault> {
    let mut found = parts.iter().filter(|part| part.name == name);
    match (found.next(), found.next()) {
        (part, None) => Ok(part),
        (_, Some(_)) => Err(Fault::bad_field(name, "one part of that name", "several")),
    }
}

/// The boundary a `content-type` names.
fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    const FORM: &[u8] = b"multipart/form-data";
    let (form, mut rest) = content_type.trim_ascii().split_at_checked(FORM.len())?;
    if !form.eq_ignore_ascii_case(FORM) {
        return None;
    }
    loop {
        rest = rest.trim_ascii_start().strip_prefix(b";")?.trim_ascii_start();
        let value = rest.iter().position(|byte| *byte == b'=').map(|at| rest.split_at(at))?;
        let (name, value) = (value.0, value.1.get(1..)?);
        let length = match value.first()? {
            b'"' => value.iter().skip(1).position(|byte| *byte == b'"')? + 2,
            _ => value.iter().position(|byte| *byte == b';').unwrap_or(value.len()),
        };
        let (value, after) = value.split_at(length);
        if name.eq_ignore_ascii_case(b"boundary") {
            let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
            let bare = bare.unwrap_or(value.trim_ascii());
            return (1..=70).contains(&bare.len()).then_some(bare);
        }
        rest = after;
    }
}

struct Disposition<'b> {
    name: &'b str,
    is_file: bool,
}

/// What the headers of a part say of it.
fn disposition(head: &[u8]) -> Result<Disposition<'_>, Fault> {
    let head = std::str::from_utf8(head).map_err(|_| bad("headers that are not UTF-8"))?;
    let mut found = None;
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header without a colon"))?;
        if name.eq_ignore_ascii_case("content-disposition") {
            if found.is_some() {
                return Err(bad("two dispositions"));
            }
            found = Some(value.trim());
        } else if !name.eq_ignore_ascii_case("content-type") && !name.eq_ignore_ascii_case("content-length") {
            return Err(bad("headers that are not known"));
        }
    }
    let value =
        found.and_then(|value| value.strip_prefix("form-data")).ok_or_else(|| bad("no disposition"))?;
    let (mut name, mut is_file) = (None, false);
    for parameter in parameters(value) {
        match parameter? {
            ("name", value) if name.is_none() => name = Some(value),
            ("filename" | "filename*", _) => is_file = true,
            _ => return Err(bad("a disposition that is not plain")),
        }
    }
    let name = name.ok_or_else(|| bad("no name"))?;
    Ok(Disposition { name, is_file })
}

/// `; name="model"; filename=x`: each with its value.
fn parameters(mut rest: &str) -> impl Iterator<Item = Result<(&str, &str), Fault>> {
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        if rest.is_empty() {
            return None;
        }
        let parsed = parameter(rest);
        rest = parsed.map_or("", |(.., after)| after);
        Some(
            parsed
                .map(|(name, value, _)| (name, value))
                .ok_or_else(|| bad("a disposition that is not plain")),
        )
    })
}

fn parameter(rest: &str) -> Option<(&str, &str, &str)> {
    let (name, value) = rest.strip_prefix(';')?.trim_start().split_once('=')?;
    match value.strip_prefix('"') {
        Some(quoted) => {
            let (value, after) = quoted.split_once('"')?;
            // An escaped quote: where the name ends is a matter of taste.
            (!value.ends_with('\\')).then_some((name, value, after))
        }
        None => {
            let end = value.find(';').unwrap_or(value.len());
            let (value, after) = value.split_at(end);
            Some((name, value.trim_end(), after))
        }
    }
}

fn bad(found: &str) -> Fault {
    Fault::new(Code::BadField, format!("body: expected multipart/form-data, found a part with {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &[u8] = b"multipart/form-data; charset=utf-8; boundary=xyz";

    fn names(body: &str) -> Result<Vec<(String, String, bool)>, String> {
        let parts = parts(TYPE, body.as_bytes()).map_err(|fault| fault.into_parts().message)?;
        let shown = |part: &Part<'_>| {
            let content = &body[part.content.clone()];
            assert_eq!(content.as_bytes(), part.bytes);
            (part.name.to_owned(), content.to_owned(), part.is_file)
        };
        Ok(parts.iter().map(shown).collect())
    }

    #[test]
    fn fields_and_files_are_found_where_they_stand() {
        let body = "--xyz\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--xyz\r\n\
                    content-disposition: form-data; name=file; filename=\"a;b.wav\"\r\n\
                    Content-Type: audio/wav\r\n\r\nRIFF\r\n--xy\r\n\r\n--xyz--\r\n";
        let found = names(body).unwrap();
        assert_eq!(found[0], ("model".to_owned(), "whisper-1".to_owned(), false));
        assert_eq!(found[1], ("file".to_owned(), "RIFF\r\n--xy\r\n".to_owned(), true));
        assert_eq!(found.len(), 2);
        assert_eq!(names("--xyz--").unwrap(), []);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let part = |head: &str| names(&format!("--xyz\r\n{head}\r\n\r\nv\r\n--xyz--"));
        assert!(part("content-disposition: form-data; name=\"a\"").is_ok());
        for head in [
            "content-disposition: form-data",
            "content-disposition: attachment; name=\"a\"",
            "content-disposition: form-data; name=\"a\"; name=\"b\"",
            "content-disposition: form-data; name=\"a\\\"b\"",
            "content-disposition: form-data; name*=utf-8''a",
            "content-disposition: form-data; name=\"a\"\r\ncontent-disposition: form-data; name=\"b\"",
            "content-disposition: form-data; name=\"a\"\r\ncontent-transfer-encoding: base64",
            "content-disposition: form-data; name=\"a\"\r\n folded: x",
            "name=\"a\"",
        ] {
            assert!(part(head).is_err(), "{head}");
        }
        for body in [
            "",
            "x--xyz--",
            "\r\n--xyz--",
            "--xyz",
            "--xyzz\r\n",
            "--xyz\nc: d\n\nv\n--xyz--",
            "--xyz\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nv",
            "--xyz--more",
        ] {
            assert!(names(body).is_err(), "{body:?}");
        }
        let many = "--xyz\r\ncontent-disposition: form-data; name=a\r\n\r\nv\r\n".repeat(MAX_PARTS + 1);
        assert!(names(&format!("{many}--xyz--")).is_err());
    }

    #[test]
    fn a_boundary_is_read_in_every_way_it_is_written() {
        let found = |content_type: &'static str| boundary(content_type.as_bytes());
        assert_eq!(found("multipart/form-data; boundary=xyz"), Some(&b"xyz"[..]));
        assert_eq!(found("Multipart/Form-Data;BOUNDARY=\"x y\" ; a=b"), Some(&b"x y"[..]));
        assert_eq!(found("multipart/form-data; a=\"b;c\"; boundary=z"), Some(&b"z"[..]));
        assert_eq!(found("multipart/form-data"), None);
        assert_eq!(found("multipart/mixed; boundary=xyz"), None);
        assert_eq!(found("multipart/form-data; boundary="), None);
    }

    #[test]
    fn of_two_parts_with_one_name_none_is_meant() {
        let body = "--xyz\r\ncontent-disposition: form-data; name=model\r\n\r\na\r\n--xyz\r\n\
                    content-disposition: form-data; name=model\r\n\r\nb\r\n--xyz--";
        let parts = parts(TYPE, body.as_bytes()).unwrap();
        assert!(one(&parts, "model").is_err());
        assert_eq!(one(&parts, "other").unwrap(), None);
    }
}
