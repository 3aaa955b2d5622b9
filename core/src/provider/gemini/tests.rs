//! Facts about calls and answers. Details of schemas, thinking, faults and usage are tested beside
//! them.

mod answers;
mod calls;

use super::Gemini;
use crate::call::{Attribution, Call, Delivery, Extras, Message, Output, Part, Role, Sampling, Text};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::provider::{Encoded, Provider, Target};
use crate::vendor;
use serde_json::Value;

fn target(model: &str) -> Target<'_> {
    Target { vendor: vendor::find("gemini").expect("is listed"), model }
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, name: None, parts, extras: Extras::new() }
}

fn text(role: Role, words: &str) -> Message {
    message(role, vec![Part::Text(Text::new(words))])
}

fn call(messages: Vec<Message>) -> Call {
    Call {
        system: Vec::new(),
        model: "m".to_owned(),
        messages,
        tools: Vec::new(),
        tool_choice: None,
        parallel_tools: None,
        sampling: Sampling::default(),
        output: Output::default(),
        reasoning: None,
        delivery: Delivery::Whole,
        attribution: Attribution::default(),
        cache: None,
        origin: Dialect::OpenAi,
        extras: Extras::new(),
    }
}

fn encoded(call: &Call, model: &str) -> Encoded {
    Gemini.encode(call, &target(model)).expect("encodes")
}

fn refused(call: &Call, model: &str) -> Fault {
    Gemini.encode(call, &target(model)).expect_err("is refused")
}

fn body(call: &Call, model: &str) -> Value {
    serde_json::from_slice(&encoded(call, model).body).expect("is JSON")
}
