//! Responses that are kept, so that a conversation may go on from one by its id, wherever it was made.
//!
//! ```text
//!   previous_response_id ──▶ host: transcript ──▶ body: what was said before, then the new input ──▶ exchange
//!   answer, whole ─────────▶ transcript: the response and all of its input ─────────────────────▶ host
//! ```
//! 1. A transcript is found by its owner alone: the key, and the end user that is named in the head.
//! 2. Upstreams are sent the whole conversation, so that any of them can go on; it stays on the lane that has
//!    its prompt cache like any conversation.
//! 3. Items are kept and sent as they were written.
//!
//! Where a host keeps none, nothing here is asked: `previous_response_id` goes to an upstream that has
//! Responses and is refused by name elsewhere.

use crate::admit::Admitted;
use crate::dialect::Dialect;
use crate::directory::Caller;
use crate::fault::{Code, Fault};
use crate::json::{Kind, Tape, Value};
use bytes::Bytes;
use http::Response;

/// A kept response of more bytes than this, its input included, is not kept.
pub const LARGEST: usize = 8 << 20;

/// Most items of one page.
const MOST_ITEMS: usize = 100;

/// Items of a page where nobody says how many.
const USUAL_ITEMS: usize = 20;

const PREVIOUS: &str = "previous_response_id";

/// Whose a kept response is. Nobody else finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner(pub String);

impl Owner {
    /// The caller's key, and whom it asks for as the request's head tells.
    pub fn of(caller: Option<&Caller>, end_user: Option<&str>) -> Self {
        let key = caller.map_or("", |caller| caller.key.name.as_str());
        Self(format!("{key}\n{}", end_user.unwrap_or_default()))
    }
}

/// A response and what led to it, as JSON texts.
#[derive(Clone, PartialEq, Eq)]
pub struct Transcript {
    /// The response object.
    pub response: String,
    /// The items of its input, those of all turns before it included: an array.
    pub input: String,
}

impl std::fmt::Debug for Transcript {
    /// No text of prompts and answers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transcript").finish_non_exhaustive()
    }
}

/// What a request for a response says of being kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose it is.
    pub owner: Owner,
    /// The response it goes on from.
    pub previous: Option<String>,
    /// Whether its own response is to be kept: unless it says no, as with OpenAI.
    pub keep: bool,
}

/// A request to go on with.
pub struct Continued {
    /// Its body.
    pub body: Bytes,
    /// All of its input, as [`Transcript::input`].
    pub input: String,
}

impl Turn {
    /// What a request says; none of one that is no good or asks for no response.
    pub fn of(admitted: &Admitted, body: &[u8]) -> Option<Self> {
        if admitted.surface.dialect() != Dialect::OpenAiResponses {
            return None;
        }
        let tape = Tape::parse(body).ok()?;
        let root = tape.root();
        let previous = root.get(PREVIOUS).and_then(Value::as_str).map(String::from);
        let says = |name| root.get(name).and_then(Value::as_bool);
        let keep = says("store") != Some(false) && says("background") != Some(true);
        let owner = Owner::of(admitted.caller.as_deref(), admitted.end_user.as_deref());
        Some(Self { owner, previous, keep })
    }

    /// The same request with what was said before in front of its input. `before` is the response it goes on
    /// from, if it names one; where that is not known the fault says so.
    pub fn go_on(&self, body: &Bytes, before: Option<&Transcript>) -> Result<Continued, Fault> {
        if let (Some(previous), None) = (&self.previous, before) {
            return Err(gone(previous));
        }
        let as_it_is = || Continued { body: body.clone(), input: "[]".to_owned() };
        let Ok(tape) = Tape::parse(body) else { return Ok(as_it_is()) };
        let root = tape.root();
        // What has no model is refused as it is.
        if root.get("model").is_none() {
            return Ok(as_it_is());
        }
        let given = root.get("input").filter(|input| !input.is_null());
        let Some(items) = items(given) else { return Ok(as_it_is()) };
        let Some(before) = before else {
            let body = without(body, &root.member_cuts(&kept_here(root)));
            return Ok(Continued { body, input: format!("[{items}]") });
        };
        let input =
            joined(&[&elements(&before.input, None), &elements(&before.response, Some("output")), &items]);
        let mut gone = kept_here(root);
        gone.extend([PREVIOUS, "input"]);
        let rest = without(body, &root.member_cuts(&gone));
        let tail = rest.get(1..).unwrap_or_default();
        let mut whole = format!("{{\"input\":{input},").into_bytes();
        whole.extend_from_slice(tail);
        Ok(Continued { body: Bytes::from(whole), input })
    }
}

/// What the gateway does itself, so that no upstream is asked for it by name.
fn kept_here(root: Value<'_>) -> Vec<&'static str> {
    let asks = root.get("store").and_then(Value::as_bool) == Some(true);
    asks.then_some("store").into_iter().collect()
}

fn without(body: &Bytes, cuts: &[std::ops::Range<usize>]) -> Bytes {
    if cuts.is_empty() {
        return body.clone();
    }
    let (mut kept, mut at) = (Vec::with_capacity(body.len()), 0);
    for cut in cuts {
        kept.extend_from_slice(body.get(at..cut.start).unwrap_or_default());
        at = cut.end;
    }
    kept.extend_from_slice(body.get(at..).unwrap_or_default());
    Bytes::from(kept)
}

/// The items of a request's input, without brackets; none where it is no input.
fn items(input: Option<Value<'_>>) -> Option<String> {
    let Some(input) = input else { return Some(String::new()) };
    match input.kind() {
        Kind::String => {
            let text = String::from_utf8_lossy(input.raw());
            Some(format!(
                "{{\"type\":\"message\",\"role\":\"user\",\"content\":[{{\"type\":\"input_text\",\"text\":{text}}}]}}"
            ))
        }
        Kind::Array => Some(inside(input)),
        Kind::Object | Kind::Number | Kind::Bool | Kind::Null => None,
    }
}

/// The text between the brackets of an array.
fn inside(array: Value<'_>) -> String {
    let all: Vec<_> = array.elements().map(|item| String::from_utf8_lossy(item.raw())).collect();
    all.join(",")
}

/// The elements of an array in a text, or of one of its members.
fn elements(text: &str, member: Option<&str>) -> String {
    let Ok(tape) = Tape::parse(text.as_bytes()) else { return String::new() };
    let root = tape.root();
    member.map_or(Some(root), |name| root.get(name)).map(inside).unwrap_or_default()
}

fn joined(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    format!("[{}]", parts.join(","))
}

/// What is to be kept of a whole answer, by the response's id; none of one that failed or is not over.
pub fn kept(answer: &[u8], input: String) -> Option<(String, Transcript)> {
    let answer = std::str::from_utf8(answer).ok()?;
    let last = |line: &&str| line.starts_with("data:") && line.contains("\"response.");
    let (text, of_event) = match answer.lines().rfind(last).and_then(|line| line.strip_prefix("data:")) {
        Some(event) if !answer.starts_with('{') => (event, true),
        _ => (answer, false),
    };
    let tape = Tape::parse(text.as_bytes()).ok()?;
    let response = if of_event { tape.root().get("response")? } else { tape.root() };
    let status = response.get("status")?;
    let id = response.get("id")?.as_str()?.into_owned();
    let over = status.is_text("completed") || status.is_text("incomplete");
    let response = String::from_utf8_lossy(response.raw()).into_owned();
    (over && response.len() + input.len() <= LARGEST).then_some((id, Transcript { response, input }))
}

/// What is asked of a kept response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The response.
    Response,
    /// Its input.
    Items,
    /// That it be forgotten.
    Forget,
}

/// A request for a kept response.
#[derive(Debug)]
pub struct Wanted {
    /// What of it.
    pub ask: Ask,
    /// Whose.
    pub owner: Owner,
    /// Its id.
    pub id: String,
    /// The query of the request, for pages.
    pub query: String,
    /// The answer's head.
    pub head: Response<()>,
    /// The answer where there is none.
    pub otherwise: Response<Bytes>,
}

impl Wanted {
    /// The answer, by what the host has kept.
    pub fn told(self, found: Option<&Transcript>) -> Response<Bytes> {
        let Some(found) = found else { return self.otherwise };
        let body = match self.ask {
            Ask::Response => found.response.clone(),
            Ask::Items => page(&found.input, &self.query),
            Ask::Forget => {
                let id = serde_json::Value::from(self.id.as_str());
                format!("{{\"id\":{id},\"object\":\"response\",\"deleted\":true}}")
            }
        };
        self.head.map(|()| Bytes::from(body))
    }
}

/// That there is no such response, for the one who asks.
pub fn missing(id: &str) -> Fault {
    Fault::new(Code::NotFound, format!("no response {} is kept for this key", shown(id)))
}

fn gone(id: &str) -> Fault {
    let message = format!("{PREVIOUS}: no response {} is kept for this key", shown(id));
    Fault::new(Code::BadField, message).at(PREVIOUS)
}

/// No more of an id than ids have.
fn shown(id: &str) -> String {
    id.chars().filter(|letter| letter.is_ascii_alphanumeric() || "_-".contains(*letter)).take(80).collect()
}

/// A page of input items, the last first unless asked otherwise. Items without an id have their place for one.
fn page(input: &str, query: &str) -> String {
    let asked = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let Ok(tape) = Tape::parse(input.as_bytes()) else { return String::new() };
    let mut items: Vec<(String, String)> =
        tape.root().elements().enumerate().map(|(place, item)| named(item, place)).collect();
    if asked("order") != Some("asc") {
        items.reverse();
    }
    if let Some(after) = asked("after") {
        let at = items.iter().position(|(id, _)| id == after).map_or(items.len(), |at| at + 1);
        items.drain(..at);
    }
    let limit = asked("limit").and_then(|limit| limit.parse().ok()).unwrap_or(USUAL_ITEMS);
    let more = items.len() > limit.clamp(1, MOST_ITEMS);
    items.truncate(limit.clamp(1, MOST_ITEMS));
    let quoted = |item: Option<&(String, String)>| serde_json::Value::from(item.map(|(id, _)| id.as_str()));
    let (first, last) = (quoted(items.first()), quoted(items.last()));
    let data: Vec<&str> = items.iter().map(|(_, item)| item.as_str()).collect();
    let data = data.join(",");
    format!(
        "{{\"object\":\"list\",\"data\":[{data}],\"first_id\":{first},\"last_id\":{last},\"has_more\":{more}}}"
    )
}

/// An item's id, and the item with it.
fn named(item: Value<'_>, place: usize) -> (String, String) {
    let text = String::from_utf8_lossy(item.raw());
    if let Some(id) = item.get("id").and_then(Value::as_str) {
        return (id.into_owned(), text.into_owned());
    }
    let id = format!("item_{place}");
    let rest = text.trim_start_matches('{').trim_start();
    let comma = if rest.starts_with('}') { "" } else { "," };
    let with = format!("{{\"id\":\"{id}\"{comma}{rest}");
    (id, with)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(previous: Option<&str>) -> Turn {
        Turn { owner: Owner("ci\n".to_owned()), previous: previous.map(str::to_owned), keep: true }
    }

    fn transcript() -> Transcript {
        let response = r#"{"id":"resp_1","status":"completed","output":[{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"hi"}]}]}"#;
        Transcript {
            response: response.to_owned(),
            input: r#"[{"role":"user","content":"hello"}]"#.to_owned(),
        }
    }

    #[test]
    fn what_was_said_before_comes_before_the_new_input_and_unknown_fields_stay() {
        let body = Bytes::from_static(
            br#"{"previous_response_id":"resp_1","model":"m","input":"more","store":true,"new_field":1e3}"#,
        );
        let continued = turn(Some("resp_1")).go_on(&body, Some(&transcript())).unwrap();
        let input = r#"[{"role":"user","content":"hello"},{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"hi"}]},{"type":"message","role":"user","content":[{"type":"input_text","text":"more"}]}]"#;
        assert_eq!(continued.input, input);
        assert_eq!(continued.body, format!(r#"{{"input":{input},"model":"m","new_field":1e3}}"#));
    }

    #[test]
    fn a_first_turn_passes_as_it_came() {
        let body = Bytes::from_static(br#"{"model":"m","input":[{"role":"user","content":"a"}]}"#);
        let continued = turn(None).go_on(&body, None).unwrap();
        assert_eq!((continued.body, continued.input.as_str()), (body, r#"[{"role":"user","content":"a"}]"#));
    }

    #[test]
    fn a_response_that_is_not_there_is_a_fault_that_names_the_field() {
        let body = Bytes::from_static(br#"{"model":"m","input":"a","previous_response_id":"resp_9"}"#);
        let Err(fault) = turn(Some("resp_9")).go_on(&body, None) else { panic!("it went on") };
        assert_eq!(fault.code, Code::BadField);
        assert!(fault.message.contains("previous_response_id") && fault.message.contains("resp_9"));
    }

    #[test]
    fn whole_answers_and_streams_are_kept_and_failed_ones_are_not() {
        let whole = transcript().response;
        let (id, found) = kept(whole.as_bytes(), "[]".to_owned()).unwrap();
        assert_eq!((id.as_str(), &found.response), ("resp_1", &whole));
        let stream = format!(
            "event: response.created\ndata: {{\"type\":\"response.created\",\"response\":{{\"id\":\"resp_1\",\"status\":\"in_progress\"}}}}\n\nevent: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{whole}}}\n\n"
        );
        assert_eq!(kept(stream.as_bytes(), "[]".to_owned()).unwrap().1.response, whole);
        let cut = stream.split("event: response.completed").next().unwrap();
        assert_eq!(kept(cut.as_bytes(), "[]".to_owned()), None);
        assert_eq!(kept(br#"{"error":{"message":"no"}}"#, "[]".to_owned()), None);
        assert_eq!(kept(whole.as_bytes(), "x".repeat(LARGEST)), None);
    }

    #[test]
    fn pages_of_items_hold_each_once_by_ids_that_stay() {
        let input = r#"[{"role":"user"},{"id":"msg_1","role":"assistant"},{}]"#;
        let one = page(input, "limit=2");
        assert_eq!(
            one,
            r#"{"object":"list","data":[{"id":"item_2"},{"id":"msg_1","role":"assistant"}],"first_id":"item_2","last_id":"msg_1","has_more":true}"#
        );
        let rest = page(input, "limit=2&after=msg_1");
        assert!(rest.contains(r#"[{"id":"item_0","role":"user"}]"#) && rest.contains("\"has_more\":false"));
        assert!(page(input, "order=asc").starts_with(r#"{"object":"list","data":[{"id":"item_0""#));
        assert!(page(input, "after=nothing").contains("\"data\":[],\"first_id\":null"));
    }
}
