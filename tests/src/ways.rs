//! Every way to ask a surface that answers, and whether what a client reads there is what a provider said.

use crate::replay::Seen;
use crate::said::{self, End, Said};
use serde_json::{Value, json};

/// A reader of one dialect.
pub type Reader = fn(&[u8]) -> Said;

/// A surface, asked in one way.
pub struct Way {
    /// What it is called.
    pub name: &'static str,
    /// Path and query.
    pub target: &'static str,
    /// What is sent there.
    pub body: fn() -> Value,
    /// Who reads its answers.
    pub read: Reader,
    /// What its answers look like.
    pub form: Form,
}

/// What its answers look like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One object.
    Whole,
    /// Server-sent events.
    Events,
    /// An array that grows.
    Array,
    /// Binary messages.
    Binary,
}

/// All of them.
pub const WAYS: &[Way] = &[
    Way { name: "openai", target: "/v1/chat/completions", body: chat, read: said::openai, form: Form::Whole },
    Way {
        name: "openai, streamed",
        target: "/v1/chat/completions",
        body: chat_stream,
        read: said::openai,
        form: Form::Events,
    },
    Way { name: "responses", target: "/v1/responses", body: input, read: said::responses, form: Form::Whole },
    Way {
        name: "responses, streamed",
        target: "/openai/v1/responses",
        body: input_stream,
        read: said::responses,
        form: Form::Events,
    },
    Way {
        name: "anthropic",
        target: "/v1/messages",
        body: messages,
        read: said::anthropic,
        form: Form::Whole,
    },
    Way {
        name: "anthropic, streamed",
        target: "/anthropic/v1/messages",
        body: messages_stream,
        read: said::anthropic,
        form: Form::Events,
    },
    Way {
        name: "gemini",
        target: "/v1beta/models/m-1:generateContent",
        body: contents,
        read: said::gemini,
        form: Form::Whole,
    },
    Way {
        name: "gemini, streamed",
        target: "/v1/models/m-1:streamGenerateContent?alt=sse",
        body: contents,
        read: said::gemini,
        form: Form::Events,
    },
    Way {
        name: "gemini, in an array",
        target: "/genai/v1beta/models/m-1:streamGenerateContent",
        body: contents,
        read: said::gemini,
        form: Form::Array,
    },
    Way {
        name: "bedrock",
        target: "/model/m-1/converse",
        body: turns,
        read: said::bedrock,
        form: Form::Whole,
    },
    Way {
        name: "bedrock, streamed",
        target: "/bedrock/model/m-1/converse-stream",
        body: turns,
        read: said::bedrock,
        form: Form::Binary,
    },
];

fn turns() -> Value {
    json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]})
}

fn chat() -> Value {
    json!({"model": "m-1", "messages": [{"role": "user", "content": "hi"}]})
}

fn chat_stream() -> Value {
    let options = json!({"include_usage": true});
    json!({"model": "m-1", "messages": [{"role": "user", "content": "hi"}], "stream": true, "stream_options": options})
}

fn input() -> Value {
    json!({"model": "m-1", "input": "hi"})
}

fn input_stream() -> Value {
    json!({"model": "m-1", "input": "hi", "stream": true})
}

fn messages() -> Value {
    json!({"model": "m-1", "max_tokens": 9000, "messages": [{"role": "user", "content": "hi"}]})
}

fn messages_stream() -> Value {
    json!({"model": "m-1", "max_tokens": 9000, "messages": [{"role": "user", "content": "hi"}], "stream": true})
}

fn contents() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})
}

/// Readers tell apart what some dialects cannot say.
fn comparable(mut said: Said, proofs: bool) -> Said {
    for choice in &mut said.choices {
        if !proofs {
            choice.proofs.clear();
        }
        choice.proofs.retain(|proof| !proof.is_empty());
    }
    said.cached = said.cached.filter(|cached| *cached > 0);
    said
}

/// Whether a client that asked this way reads what the provider said, with this status of its own.
///
/// # Errors
/// What differs.
pub fn compare(
    status: u16,
    said: &Said,
    read: &dyn Fn(&[u8]) -> Said,
    way: &Way,
    seen: &Seen,
) -> Result<(), String> {
    let told = read(&seen.body);
    let failed = said.failed || status >= 400;
    if failed {
        let good = told.failed && (seen.status >= 400 || said.failed);
        return if good { Ok(()) } else { Err(format!("no error: {} {told:?}", seen.status)) };
    }
    if seen.status != 200 || told.failed || !seen.ended {
        return Err(format!("status {}: {}", seen.status, String::from_utf8_lossy(&seen.body)));
    }
    well_formed(way.form, seen)?;
    let (mut expected, mut told) = (comparable(said.clone(), false), comparable(told, false));
    // Thoughts that a provider counts apart may be in the total only.
    for (one, other) in expected.choices.iter_mut().zip(&mut told.choices) {
        if one.end == End::Unsaid {
            other.end = End::Unsaid;
        }
    }
    if expected.prompt.is_none() {
        (told.prompt, told.output, told.cached) = (None, None, None);
    }
    (expected.cached, told.cached) = match (expected.cached, expected.prompt) {
        (Some(cached), Some(prompt)) if cached > prompt => (None, None),
        _ => (expected.cached, told.cached),
    };
    if way.target.ends_with("/messages") || way.target.contains("/model/") {
        one_message(&mut expected);
    }
    if way.target.ends_with("/responses") {
        expected.choices.truncate(1);
    }
    for said in [&mut expected, &mut told] {
        said.choices.iter_mut().for_each(|choice| choice.refused = false);
    }
    if expected == told { Ok(()) } else { Err(format!("\n    said {expected:?}\n    told {told:?}")) }
}

/// What a dialect can say that has one answer, no log probabilities, and an end of its own for an
/// answer in which the model declines.
fn one_message(said: &mut Said) {
    said.choices.truncate(1);
    for choice in &mut said.choices {
        choice.logprobs.clear();
        if choice.refused {
            choice.end = End::Filter;
        }
    }
}

fn well_formed(form: Form, seen: &Seen) -> Result<(), String> {
    let label = seen.headers["content-type"].to_str().unwrap();
    let good = match form {
        Form::Whole => {
            label.starts_with("application/json") && seen.body.trim_ascii_start().starts_with(b"{")
        }
        Form::Events => label.starts_with("text/event-stream"),
        Form::Binary => label == "application/vnd.amazon.eventstream",

        Form::Array => {
            label.starts_with("application/json") && serde_json::from_slice::<Vec<Value>>(&seen.body).is_ok()
        }
    };
    if good { Ok(()) } else { Err(format!("{label}: {}", String::from_utf8_lossy(&seen.body))) }
}
