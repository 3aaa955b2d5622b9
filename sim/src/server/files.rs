//! Files, batches of calls in them, and paths that no dialect has: what a vendor serves besides models.
//!
//! A batch is completed when it is made: each of its calls is "answered" with the words of its body, and
//! what that comes to is in the batch's `usage`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::json::Fields as _;

/// The files and batches there are, by their ids.
#[derive(Default)]
pub(super) struct Files(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    files: BTreeMap<String, File>,
    batches: BTreeMap<String, Value>,
    made: usize,
}

struct File {
    name: String,
    purpose: String,
    bytes: Bytes,
}

/// What is answered.
pub(super) struct Said {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) body: Bytes,
}

impl Said {
    fn json(body: &Value) -> Self {
        Self { status: StatusCode::OK, kind: "application/json", body: body.to_string().into() }
    }

    fn none(what: &str) -> Self {
        let error = json!({"error": {"message": format!("No such {what}"), "type": "invalid_request_error",
            "param": null, "code": null}});
        Self { status: StatusCode::NOT_FOUND, ..Self::json(&error) }
    }
}

impl Files {
    /// The answer to a request for a file, a batch or a path below `/passed/`.
    pub(super) fn answer(&self, parts: &Parts, body: &Bytes) -> Option<Said> {
        let path = parts.uri.path();
        if let Some((_, last)) = path.split_once("/passed/") {
            return Some(passed(parts, last, body));
        }
        let path = path.strip_prefix("/v1").unwrap_or(path);
        let way: Vec<&str> = path.split('/').skip(1).collect();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(match (&parts.method, way.as_slice()) {
            (&Method::POST, ["files"]) => kept.upload(parts, body),
            (&Method::GET, ["files"]) => {
                let data: Vec<Value> = kept.files.iter().map(|(id, file)| file.shown(id)).collect();
                Said::json(&json!({"object": "list", "data": data, "has_more": false}))
            }
            (&Method::GET, ["files", id]) => {
                kept.files.get(*id).map_or_else(|| Said::none("File"), |file| Said::json(&file.shown(id)))
            }
            (&Method::DELETE, ["files", id]) => match kept.files.remove(*id) {
                Some(_) => Said::json(&json!({"id": id, "object": "file", "deleted": true})),
                None => Said::none("File"),
            },
            (&Method::GET, ["files", id, "content"]) => match kept.files.get(*id) {
                Some(file) => Said {
                    status: StatusCode::OK,
                    kind: "application/octet-stream",
                    body: file.bytes.clone(),
                },
                None => Said::none("File"),
            },
            (&Method::POST, ["batches"]) => kept.batch(body),
            (&Method::GET, ["batches"]) => {
                let data: Vec<&Value> = kept.batches.values().collect();
                Said::json(&json!({"object": "list", "data": data, "has_more": false}))
            }
            (&Method::GET, ["batches", id]) | (&Method::POST, ["batches", id, "cancel"]) => {
                kept.batches.get(*id).map_or_else(|| Said::none("Batch"), Said::json)
            }
            _ => return None,
        })
    }
}

impl File {
    fn shown(&self, id: &str) -> Value {
        json!({"id": id, "object": "file", "bytes": self.bytes.len(), "created_at": 1_700_000_000,
            "filename": self.name, "purpose": self.purpose, "status": "processed"})
    }
}

impl Kept {
    fn next(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}-sim{:06}", self.made)
    }

    fn upload(&mut self, parts: &Parts, body: &Bytes) -> Said {
        let label = parts.headers.get(CONTENT_TYPE).and_then(|label| label.to_str().ok()).unwrap_or_default();
        let Some((_, boundary)) = label.split_once("boundary=") else { return Said::none("form") };
        let mut fields = form(boundary.trim_matches('"'), body);
        let purpose = fields.remove("purpose").unwrap_or_default();
        let Some((name, bytes)) = fields.remove("file").map(|file| ("file.jsonl".to_owned(), file)) else {
            return Said::none("file in the form");
        };
        let id = self.next("file");
        let file = File { name, purpose: String::from_utf8_lossy(&purpose).into_owned(), bytes };
        let said = Said::json(&file.shown(&id));
        self.files.insert(id, file);
        said
    }

    fn batch(&mut self, body: &Bytes) -> Said {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let input = asked.at("input_file_id").as_str().unwrap_or_default();
        let Some(file) = self.files.get(input) else { return Said::none("File") };
        let lines = String::from_utf8_lossy(&file.bytes).into_owned();
        let calls = lines.lines().filter(|line| !line.trim().is_empty()).count();
        let words = lines.split_whitespace().count();
        let answers: String = lines
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .map(|call| {
                format!(
                    "{}\n",
                    json!({"custom_id": call.at("custom_id"), "response": {"status_code": 200,
                "body": {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}}, "error": null})
                )
            })
            .collect();
        let output = self.next("file");
        let purpose = "batch_output".to_owned();
        self.files.insert(output.clone(), File { name: "out.jsonl".into(), purpose, bytes: answers.into() });
        let id = self.next("batch");
        let made = json!({"id": id, "object": "batch", "endpoint": asked.at("endpoint"), "errors": null,
            "input_file_id": input, "completion_window": asked.at("completion_window"), "status": "completed",
            "output_file_id": output, "error_file_id": null, "created_at": 1_700_000_000,
            "request_counts": {"total": calls, "completed": calls, "failed": 0},
            "metadata": asked.at("metadata"),
            "usage": {"input_tokens": words, "output_tokens": calls, "total_tokens": words + calls,
                "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}});
        self.batches.insert(id, made.clone());
        Said::json(&made)
    }
}

/// The fields of a form by their names.
fn form(boundary: &str, body: &Bytes) -> BTreeMap<String, Bytes> {
    let mark = format!("--{boundary}");
    let found = |at: usize, what: &[u8]| {
        let rest = body.get(at..)?;
        rest.windows(what.len()).position(|window| window == what).map(|place| at + place)
    };
    let mut fields = BTreeMap::new();
    let mut at = found(0, mark.as_bytes());
    while let Some(start) = at.map(|at| at + mark.len()) {
        at = found(start, mark.as_bytes());
        let (Some(end), Some(head)) = (at, found(start, b"\r\n\r\n")) else { break };
        let lines = String::from_utf8_lossy(body.get(start..head).unwrap_or_default()).into_owned();
        let name = lines.split("name=\"").nth(1).and_then(|rest| rest.split('"').next());
        if let Some(name) = name.filter(|_| head + 4 + 2 <= end) {
            fields.insert(name.to_owned(), body.slice(head + 4..end - 2));
        }
    }
    fields
}

/// A path of a vendor's own: what it answers with is its last word. `json` says what it was asked with;
/// `usage` counts a token for each word of the body, and all that its `max_tokens` allows, in the words of
/// every dialect; `events` says the same as a stream, `bytes` answers with every byte there is, `nothing`
/// with nothing, and `teapot` refuses.
fn passed(parts: &Parts, last: &str, body: &Bytes) -> Said {
    let input = String::from_utf8_lossy(body).split_whitespace().count();
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let output = if last.ends_with("embeddings") { 0 } else { asked.at("max_tokens").as_u64().unwrap_or(1) };
    let usage = json!({"prompt_tokens": input, "completion_tokens": output, "input_tokens": input,
        "output_tokens": output, "inputTokens": input, "outputTokens": output});
    let metadata = json!({"promptTokenCount": input, "candidatesTokenCount": output});
    let plain = |status: u16, kind, body: Bytes| Said {
        status: StatusCode::from_u16(status).unwrap_or_default(),
        kind,
        body,
    };
    match last.rsplit('/').next().unwrap_or_default() {
        "usage" | "embeddings" => Said::json(&json!({"object": "list", "error": null, "usage": usage,
            "usageMetadata": metadata})),
        "events" => {
            let query = parts.uri.query().unwrap_or_default();
            let deltas = query.split('&').find_map(|pair| pair.strip_prefix("deltas=")?.parse().ok());
            let body = format!(
                "{}data: {}\n\ndata: [DONE]\n\n",
                "data: {\"delta\":\"a\"}\n\n".repeat(deltas.unwrap_or(1)),
                json!({"choices": [], "usage": usage})
            );
            plain(200, "text/event-stream", body.into())
        }
        "bytes" => plain(200, "audio/mpeg", (0..=255_u8).collect()),
        "nothing" => plain(204, "text/plain", Bytes::new()),
        "teapot" => plain(
            418,
            "application/json",
            Bytes::from_static(b"{\"error\": {\"message\": \"short and stout\"}}\n"),
        ),
        _ => Said::json(&json!({"method": parts.method.as_str(), "size": body.len(),
            "path": parts.uri.path_and_query().map(|path| path.as_str()),
            "type": parts.headers.get(CONTENT_TYPE).and_then(|label| label.to_str().ok())})),
    }
}
