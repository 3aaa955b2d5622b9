//! Answers from memory, for benchmarks: a request whose model is named `…+fast` is neither parsed
//! nor logged.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use memchr::memmem;

use crate::answer::{Usage, compose};
use crate::ask::{Ask, Last};
use crate::dialect::{Framing, Place, Target};
use crate::quirks::{Delivery, Quirks, split_model};
use crate::script::{Step, plan};
use crate::wire::encode;

/// An answer ready to be written.
#[derive(Clone)]
pub(super) struct Ready {
    pub(super) steps: Arc<Vec<Step>>,
    pub(super) delivery: Delivery,
    /// Of a whole answer.
    pub(super) length: usize,
}

/// The answers made so far, by dialect, delivery and model.
#[derive(Default)]
pub(super) struct Prepared {
    made: Mutex<HashMap<Vec<u8>, Ready>>,
}

impl Prepared {
    /// The answer to `body` if its model asks for speed.
    pub(super) fn answer(&self, target: &Target, body: &[u8]) -> Option<Ready> {
        let (model, delivery) = match &target.place {
            Place::Path { model, delivery } => (model.as_bytes(), *delivery),
            Place::Body => (model_of(body)?, delivery_of(body)),
        };
        let directives = model.get(memchr::memchr(b'+', model)?..)?;
        memmem::find(directives, b"fast")?;
        let mut name = Vec::with_capacity(model.len() + 16);
        name.extend_from_slice(target.dialect.name.as_bytes());
        name.push(match (delivery, target.framing) {
            (Delivery::Whole, _) => b'w',
            (Delivery::Stream, Framing::Array) => b'a',
            (Delivery::Stream, Framing::Sse | Framing::SseCrlf) => b's',
            (Delivery::Stream, Framing::Binary) => b'b',
            (Delivery::Stream, Framing::Lines) => b'l',
        });
        name.extend_from_slice(model);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = made.get(&name) {
            return Some(ready.clone());
        }
        let ready = make(target, std::str::from_utf8(model).ok()?, delivery)?;
        made.insert(name, ready.clone());
        Some(ready)
    }
}

fn delivery_of(body: &[u8]) -> Delivery {
    let spellings: [&[u8]; 2] = [b"\"stream\":true", b"\"stream\": true"];
    let asked = spellings.iter().any(|spelling| memmem::find(body, spelling).is_some());
    if asked { Delivery::Stream } else { Delivery::Whole }
}

/// The text between the quotes after the first `"model":`.
fn model_of(body: &[u8]) -> Option<&[u8]> {
    let name = b"\"model\":";
    let after = body.get(memmem::find(body, name)? + name.len()..)?.trim_ascii_start().strip_prefix(b"\"")?;
    after.get(..memchr::memchr(b'"', after)?)
}

fn make(target: &Target, model: &str, delivery: Delivery) -> Option<Ready> {
    let split = split_model(model);
    let mut quirks = Quirks::default();
    let directives = split.directives?.split([',', ';', '+']).filter(|one| *one != "fast");
    for directive in directives {
        quirks.content = quirks_of(directive, quirks.content)?;
    }
    let ask = Ask { model: split.rest, last: Last::User("hello".into()), ..Ask::default() };
    let mut answer = compose(&ask, &quirks.content, 0);
    answer.usage = Usage { input: 100, ..answer.usage };
    let pieces = match delivery {
        Delivery::Stream => {
            encode(&(target.dialect.stream)(&ask, &answer, &quirks), target.framing, &quirks.form)
        }
        Delivery::Whole => vec![Bytes::from((target.dialect.whole)(&ask, &answer, &quirks).to_string())],
    };
    let length = pieces.iter().map(Bytes::len).sum();
    Some(Ready { steps: Arc::new(plan(pieces, &quirks)), delivery, length })
}

fn quirks_of(directive: &str, content: crate::quirks::Content) -> Option<crate::quirks::Content> {
    let mut quirks = Quirks { content, ..Quirks::default() };
    quirks.read(directive).ok()?;
    Some(quirks.content)
}
