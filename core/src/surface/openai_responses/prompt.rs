//! The texts of a prompt, and what is counted besides them.
//!
//! Items are written for the model as chat's messages are, and so counted alike: three tokens around
//! each, three for the answer's beginning.

use super::inspect;
use crate::count::{Besides, Media};
use crate::json::{Kind, Tape, Value};
use crate::surface::bulk::object;
use crate::units::Tokens;

/// Around each item.
const ITEM: Tokens = Tokens(3);
/// Around each tool.
const TOOL: Tokens = Tokens(8);
/// The answer's beginning.
const ANSWER: Tokens = Tokens(3);

/// See [`crate::surface::Surface::prompt_text`].
pub(super) fn texts(body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
    let Ok(tape) = Tape::parse(body) else { return Besides::default() };
    let root = tape.root();
    let mut count = Count { each, frame: ANSWER };
    if let Some(instructions) = root.get("instructions") {
        count.frame += ITEM;
        count.text(instructions);
    }
    if let Some(input) = root.get("input") {
        if input.kind() == Kind::String {
            count.frame += ITEM;
            count.text(input);
        }
        input.elements().for_each(|item| count.item(item));
    }
    for tool in root.get("tools").into_iter().flat_map(Value::elements) {
        count.frame += TOOL;
        count.json(tool);
    }
    if let Some(format) = root.get("text").and_then(|text| text.get("format")) {
        count.json(format);
    }
    let frame = count.frame;
    // The same look at media as before the call.
    let media = inspect::inspect(&tape).map_or_else(|_| Media::default(), |envelope| envelope.media);
    Besides { frame, media }
}

struct Count<'e> {
    each: &'e mut dyn FnMut(&str),
    frame: Tokens,
}

impl Count<'_> {
    fn item(&mut self, item: Value<'_>) {
        self.frame += ITEM;
        for (key, value) in item.members() {
            match key.as_str().as_deref() {
                Some("role" | "name" | "arguments" | "input") => self.text(value),
                Some("content" | "output" | "summary") => {
                    self.text(value);
                    for part in value.elements() {
                        for field in ["text", "refusal"] {
                            part.get(field).into_iter().for_each(|text| self.text(text));
                        }
                    }
                }
                Some(_) | None => {}
            }
        }
    }

    fn text(&mut self, value: Value<'_>) {
        if let Some(text) = value.as_str() {
            (self.each)(&text);
        }
    }

    fn json(&mut self, value: Value<'_>) {
        object(value).into_iter().for_each(|text| (self.each)(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(body: &str) -> (Vec<String>, Besides) {
        let mut all = Vec::new();
        let besides = texts(body.as_bytes(), &mut |text| all.push(text.to_owned()));
        (all, besides)
    }

    #[test]
    fn c10_instructions_tools_and_images_are_all_in_it() {
        let (all, besides) = found(
            r#"{"model":"m","instructions":"be kind","input":[{"role":"user","content":"hi"},
            {"role":"user","content":[{"type":"input_text","text":"look"},{"type":"input_image","image_url":"data:image/png;base64,QUJD"}]},
            {"type":"function_call","call_id":"c","name":"f","arguments":"{}"},
            {"type":"function_call_output","call_id":"c","output":"done"}],
            "tools":[{"type":"function","name":"f"}]}"#,
        );
        let tool = r#"{"type":"function","name":"f"}"#;
        assert_eq!(all, ["be kind", "user", "hi", "user", "look", "f", "{}", "done", tool]);
        assert_eq!((besides.media.images, besides.frame), (1, Tokens(3 + 5 * 3 + 8)));
        assert_eq!(found(r#"{"model":"m","input":"hi"}"#).0, ["hi"]);
    }

    #[test]
    fn what_is_no_request_has_no_texts() {
        for body in ["", "[1]", "{", r#"{"input":7}"#, r#"{"input":[1,null]}"#] {
            assert!(found(body).0.is_empty(), "{body}");
        }
    }
}
