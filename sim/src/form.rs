//! Forms with files, read as JSON: a text is a text, a number or a truth where it looks like one, and a
//! file is an object that tells its length. A name that comes again makes a list.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use memchr::memmem;
use serde_json::{Map, Value, json};

/// The body as JSON, whatever it is; null if it is neither.
pub(crate) fn read(headers: &HeaderMap, body: &Bytes) -> Value {
    let label = headers.get(CONTENT_TYPE).and_then(|label| label.to_str().ok()).unwrap_or_default();
    match label.split_once("boundary=") {
        Some((form, boundary)) if form.starts_with("multipart/form-data") => {
            form_of(body, boundary.trim_matches('"'))
        }
        _ => serde_json::from_slice(body).unwrap_or_default(),
    }
}

fn form_of(body: &[u8], boundary: &str) -> Value {
    let mark = format!("--{boundary}");
    let mut fields: Map<String, Value> = Map::new();
    let starts: Vec<usize> = memmem::find_iter(body, mark.as_bytes()).collect();
    for pair in starts.windows(2) {
        let [from, to] = pair else { continue };
        let part = body.get(from + mark.len() + 2..to.saturating_sub(2)).unwrap_or_default();
        let Some(end) = memmem::find(part, b"\r\n\r\n") else { continue };
        let (head, content) = part.split_at(end);
        let head = String::from_utf8_lossy(head);
        let Some((_, named)) = head.split_once("name=\"") else { continue };
        let name = named.split('"').next().unwrap_or_default().trim_end_matches("[]");
        let content = content.get(4..).unwrap_or_default();
        let value = if head.contains("filename") {
            json!({"file": content.len(), "fingerprint": crate::ask::fingerprint(content)})
        } else {
            plain(&String::from_utf8_lossy(content))
        };
        match fields.get_mut(name) {
            None => {
                fields.insert(name.to_owned(), value);
            }
            Some(Value::Array(all)) => all.push(value),
            Some(first) => *first = json!([first.clone(), value]),
        }
    }
    Value::Object(fields)
}

fn plain(text: &str) -> Value {
    match text {
        "true" | "True" => json!(true),
        "false" | "False" => json!(false),
        _ => text.parse::<u64>().map_or_else(|_| json!(text), Value::from),
    }
}
