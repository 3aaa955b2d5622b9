//! Completions of a plain text.

use serde_json::{Map, Value, json};

use super::{CREATED, DIALECT as CHAT, check, finish, usage};
use crate::answer::Answer;
use crate::ask::{Ask, Last, Prompt, StreamUsage, inputs};
use crate::dialect::{Arrival, Dialect};
use crate::fault::Refusal;
use crate::json::Fields as _;
use crate::quirks::{Quirks, UsageMode};
use crate::wire::Frame;

pub(crate) static DIALECT: Dialect = Dialect { name: "openai-completions", read, whole, stream, ..CHAT };

/// What is written at most where nothing is said.
const USUAL: u64 = 16;

fn read(arrival: &Arrival<'_>) -> Result<Ask, Refusal> {
    let body = arrival.body;
    check::check_object(arrival)?;
    if arrival.quirks.content.chat_only {
        let message = "This is a chat model and not supported in the v1/completions endpoint. Did you mean to use v1/chat/completions?";
        return Err(Refusal { status: Some(404), ..Refusal::bad(message).at("model") });
    }
    let unknown = ["max_completion_tokens", "messages", "top_logprobs", "tools"];
    if let Some(name) = unknown.into_iter().find(|name| !body.at(name).is_null()) {
        return Err(Refusal::bad(format!("Unrecognized request argument supplied: {name}")).at(name));
    }
    let texts = match inputs(body.at("prompt")) {
        none if none.is_empty() => vec![String::new()],
        mut some => {
            if let Some(last) = some.last_mut() {
                last.clone_from(&arrival.said);
            }
            some
        }
    };
    let mut prompt = Prompt::default();
    texts.iter().for_each(|text| prompt.add(text));
    prompt.add(body.at("suffix").as_str().unwrap_or_default());
    let choices = body.at("n").as_u64().unwrap_or(1) * texts.len() as u64;
    Ok(Ask {
        model: arrival.model.clone(),
        last: Last::User(arrival.said.clone()),
        prompt,
        max_tokens: Some(body.at("max_tokens").as_u64().unwrap_or(USUAL)),
        stops: inputs(body.at("stop")),
        choices,
        stream_usage: match body.at("stream_options").at("include_usage").as_bool() {
            Some(true) => StreamUsage::Asked,
            Some(false) | None => StreamUsage::Unasked,
        },
        texts,
        given: json!({"echo": body.at("echo")}),
        ..Ask::default()
    })
}

fn head(ask: &Ask, answer: &Answer) -> Map<String, Value> {
    let mut made = Map::new();
    made.insert("id".into(), json!(format!("cmpl-sim{}", answer.id)));
    made.insert("object".into(), json!("text_completion"));
    made.insert("created".into(), json!(CREATED));
    made.insert("model".into(), json!(ask.model));
    made
}

/// The prompt of a choice, where it is to be repeated.
fn echo(ask: &Ask, index: u64) -> &str {
    let each = (ask.choices / ask.texts.len().max(1) as u64).max(1);
    let at = usize::try_from(index / each).unwrap_or(0);
    let text = ask.texts.get(at).map(String::as_str).unwrap_or_default();
    if *ask.given.at("echo") == Value::Bool(true) { text } else { "" }
}

fn whole(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Value {
    let choice = |index| {
        let text = format!("{}{}", echo(ask, index), answer.text());
        json!({"text": text, "index": index, "logprobs": null, "finish_reason": finish(&answer.stop)})
    };
    let mut made = head(ask, answer);
    made.insert("choices".into(), (0..ask.choices).map(choice).collect());
    match quirks.content.usage {
        UsageMode::Missing => {}
        UsageMode::Null => {
            made.insert("usage".into(), Value::Null);
        }
        UsageMode::Honest | UsageMode::Zero | UsageMode::Double | UsageMode::Early => {
            made.insert("usage".into(), usage(&answer.usage));
        }
    }
    Value::Object(made)
}

fn stream(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Vec<Frame> {
    let head = head(ask, answer);
    let asked = ask.stream_usage == StreamUsage::Asked;
    let chunk = |choices: Vec<Value>, usage: Option<Value>| {
        let mut made = head.clone();
        made.insert("choices".into(), Value::Array(choices));
        made.extend(usage.map(|usage| ("usage".to_owned(), usage)));
        Frame::data(Value::Object(made))
    };
    let mut frames = Vec::new();
    for index in 0..ask.choices {
        let texts = [echo(ask, index)].into_iter().filter(|echo| !echo.is_empty());
        let mut say = |text: &str, finish: Value| {
            let choice = json!({"text": text, "index": index, "logprobs": null, "finish_reason": finish});
            frames.push(chunk(vec![choice], asked.then_some(Value::Null)));
        };
        texts.chain(answer.pieces.iter().map(String::as_str)).for_each(|text| say(text, Value::Null));
        say("", json!(finish(&answer.stop)));
    }
    if asked && quirks.content.usage != UsageMode::Missing {
        frames.push(chunk(Vec::new(), Some(usage(&answer.usage))));
    }
    if !quirks.breaks.no_done {
        frames.push(Frame::data("[DONE]"));
    }
    frames
}
