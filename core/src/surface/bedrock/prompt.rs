//! The texts of a prompt, and what is counted besides them. The figures are those that were measured
//! for Claude.

use super::inspect;
use crate::call::Delivery;
use crate::count::{Besides, Media};
use crate::json::{Kind, Tape, Value};
use crate::surface::RequestLine;
use crate::units::Tokens;

/// Around each message.
const MESSAGE: Tokens = Tokens(4);
/// Around each tool call and each result.
const CALL: Tokens = Tokens(12);
/// Around each tool.
const TOOL: Tokens = Tokens(8);
/// What the provider tells the model about tools, if there are any.
const TOOLS: Tokens = Tokens(500);
/// The answer's beginning.
const ANSWER: Tokens = Tokens(3);

/// See [`crate::surface::Surface::prompt_text`].
pub(super) fn texts(body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
    let Ok(tape) = Tape::parse(body) else { return Besides::default() };
    let root = tape.root();
    let mut count = Count { each, frame: ANSWER };
    list(root.get("system")).for_each(|block| count.block(block));
    for message in list(root.get("messages")) {
        count.frame += MESSAGE;
        list(message.get("content")).for_each(|block| count.block(block));
    }
    for (at, tool) in list(root.get("toolConfig").and_then(|config| config.get("tools"))).enumerate() {
        if at == 0 {
            count.frame += TOOLS;
        }
        count.frame += TOOL;
        count.json(tool);
    }
    root.get("outputConfig").into_iter().for_each(|config| count.json(config));
    let frame = count.frame;
    let line = RequestLine { model: Some("-".to_owned()), ..RequestLine::default() };
    let looked = inspect::converse(root, &line, Delivery::Whole);
    let media = looked.map_or_else(|_| Media::default(), |envelope| envelope.media);
    Besides { frame, media }
}

fn list<'t>(value: Option<Value<'t>>) -> impl Iterator<Item = Value<'t>> {
    value.into_iter().flat_map(Value::elements)
}

struct Count<'e> {
    each: &'e mut dyn FnMut(&str),
    frame: Tokens,
}

impl Count<'_> {
    fn block(&mut self, block: Value<'_>) {
        for (key, value) in block.members() {
            match key.as_str().as_deref() {
                Some("text") => self.text(value),
                Some("toolUse") => {
                    self.frame += CALL;
                    value.get("name").into_iter().for_each(|name| self.text(name));
                    value.get("input").into_iter().for_each(|input| self.json(input));
                }
                Some("toolResult" | "citationsContent" | "searchResult") => {
                    self.frame += CALL;
                    list(value.get("content")).for_each(|block| self.block(block));
                }
                Some("reasoningContent") => {
                    let said = value.get("reasoningText").and_then(|said| said.get("text"));
                    said.into_iter().for_each(|text| self.text(text));
                }
                Some("document") => self.document(value),
                // Media are no text, and marks are none either.
                Some("image" | "video" | "audio" | "cachePoint") => {}
                Some(_) | None => self.json(value),
            }
        }
    }

    fn document(&mut self, document: Value<'_>) {
        document.get("name").into_iter().for_each(|name| self.text(name));
        document.get("context").into_iter().for_each(|context| self.text(context));
        let Some(source) = document.get("source") else { return };
        source.get("text").into_iter().for_each(|text| self.text(text));
        list(source.get("content")).for_each(|block| self.block(block));
    }

    fn text(&mut self, value: Value<'_>) {
        if let Some(text) = value.as_str() {
            (self.each)(&text);
        }
    }

    /// As it is written: most of it is text that the model reads so.
    fn json(&mut self, value: Value<'_>) {
        if value.kind() == Kind::String {
            return self.text(value);
        }
        (self.each)(&String::from_utf8_lossy(value.raw()));
    }
}
