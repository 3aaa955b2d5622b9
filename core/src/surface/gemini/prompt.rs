//! The texts of a prompt. What Google counts besides them is not published; it comes to a few tokens
//! around each content and each function.

use super::form::{field, many};
use super::inspect;
use crate::count::{Besides, Media};
use crate::json::{Tape, Value};
use crate::surface::RequestLine;
use crate::surface::bulk::object;
use crate::units::Tokens;

/// Around each content.
const CONTENT: Tokens = Tokens(3);
/// Around each function, and around all of them.
const FUNCTION: Tokens = Tokens(8);

/// See [`crate::surface::Surface::prompt_text`].
pub(super) fn texts(body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
    match Tape::parse(body) {
        Ok(tape) => of(tape.root(), each),
        Err(_) => Besides::default(),
    }
}

/// The same, of a call that is parsed.
pub(super) fn of(root: Value<'_>, each: &mut dyn FnMut(&str)) -> Besides {
    let mut count = Count { each, frame: Tokens::ZERO };
    field(root, "systemInstruction").into_iter().for_each(|content| count.content(content));
    many(field(root, "contents")).for_each(|content| count.content(content));
    many(field(root, "tools")).for_each(|tool| count.tool(tool));
    let generation = field(root, "generationConfig");
    let schema = generation
        .and_then(|config| field(config, "responseSchema").or_else(|| field(config, "responseJsonSchema")));
    schema.into_iter().for_each(|schema| count.json(schema));
    let frame = count.frame;
    // The same look at media as before the call.
    let line = RequestLine { model: Some("m".to_owned()), ..RequestLine::default() };
    let envelope = inspect::generate(root, &line, inspect::STREAM);
    Besides { frame, media: envelope.map_or_else(|_| Media::default(), |envelope| envelope.media) }
}

struct Count<'e> {
    each: &'e mut dyn FnMut(&str),
    frame: Tokens,
}

impl Count<'_> {
    fn content(&mut self, content: Value<'_>) {
        self.frame += CONTENT;
        many(field(content, "parts")).for_each(|part| self.part(part));
    }

    fn part(&mut self, part: Value<'_>) {
        self.text(field(part, "text"));
        if let Some(call) = field(part, "functionCall") {
            self.text(field(call, "name"));
            field(call, "args").into_iter().for_each(|args| self.json(args));
        }
        if let Some(response) = field(part, "functionResponse") {
            self.text(field(response, "name"));
            field(response, "response").into_iter().for_each(|response| self.json(response));
        }
        if let Some(code) = field(part, "executableCode") {
            self.text(field(code, "code"));
        }
        if let Some(result) = field(part, "codeExecutionResult") {
            self.text(field(result, "output"));
        }
    }

    fn tool(&mut self, tool: Value<'_>) {
        for function in many(field(tool, "functionDeclarations")) {
            self.frame += FUNCTION;
            self.json(function);
        }
    }

    fn text(&mut self, value: Option<Value<'_>>) {
        if let Some(text) = value.and_then(Value::as_str) {
            (self.each)(&text);
        }
    }

    fn json(&mut self, value: Value<'_>) {
        object(value).into_iter().for_each(|text| (self.each)(text));
    }
}
