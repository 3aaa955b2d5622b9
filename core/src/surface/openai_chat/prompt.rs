//! The texts of a prompt, and what OpenAI counts besides them.
//!
//! A message costs three tokens beside its role, its words and its name (the name one more), and the
//! answer's beginning three: <https://developers.openai.com/cookbook/examples/how_to_count_tokens_with_tiktoken>.
//! How tools are written for the model is not published; their JSON is a little longer than that.

use crate::count::{Besides, Media};
use crate::json::{Tape, Value};
use crate::surface::bulk::object;
use crate::units::Tokens;

/// Around each message.
const MESSAGE: Tokens = Tokens(3);
/// For a speaker's name beside the name itself.
const NAME: Tokens = Tokens(1);
/// Around each tool call of an earlier turn.
const CALL: Tokens = Tokens(3);
/// Around each tool, and around all of them.
const TOOL: Tokens = Tokens(8);
/// The answer's beginning.
const ANSWER: Tokens = Tokens(3);

/// See [`crate::surface::Surface::prompt_text`].
pub(super) fn texts(body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
    let Ok(tape) = Tape::parse(body) else { return Besides::default() };
    let root = tape.root();
    let mut count = Count { each, frame: ANSWER };
    root.get("messages").into_iter().flat_map(Value::elements).for_each(|message| count.message(message));
    count.tools(root.get("tools"));
    count.tools(root.get("functions"));
    if let Some(format) = root.get("response_format").and_then(|format| format.get("json_schema")) {
        count.json(format);
    }
    let frame = count.frame;
    // The same look at media as before the call.
    let media =
        super::inspect::inspect(&tape, Some("")).map_or_else(|_| Media::default(), |envelope| envelope.media);
    Besides { frame, media }
}

struct Count<'e> {
    each: &'e mut dyn FnMut(&str),
    frame: Tokens,
}

impl Count<'_> {
    fn message(&mut self, message: Value<'_>) {
        self.frame += MESSAGE;
        for (key, value) in message.members() {
            match key.as_str().as_deref() {
                Some("role" | "refusal" | "reasoning_content" | "reasoning") => self.text(Some(value)),
                Some("name") => {
                    self.frame += NAME;
                    self.text(Some(value));
                }
                Some("content") => self.content(value),
                Some("tool_calls") => value.elements().for_each(|call| self.call(call.get("function"))),
                Some("function_call") => self.call(Some(value)),
                Some(_) | None => {}
            }
        }
    }

    fn content(&mut self, content: Value<'_>) {
        self.text(Some(content));
        for part in content.elements() {
            self.text(part.get("text"));
            self.text(part.get("refusal"));
        }
    }

    fn call(&mut self, function: Option<Value<'_>>) {
        self.frame += CALL;
        let Some(function) = function else { return };
        self.text(function.get("name"));
        self.text(function.get("arguments"));
    }

    fn tools(&mut self, tools: Option<Value<'_>>) {
        for tool in tools.into_iter().flat_map(Value::elements) {
            self.frame += TOOL;
            self.json(tool.get("function").unwrap_or(tool));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(body: &str) -> (Vec<String>, Besides) {
        let mut all = Vec::new();
        let besides = texts(body.as_bytes(), &mut |text| all.push(text.to_owned()));
        (all, besides)
    }

    #[test]
    fn c10_system_text_tools_calls_and_pictures_are_all_part_of_the_prompt() {
        let (all, besides) = found(
            r#"{"model":"m","messages":[{"role":"system","content":"be\u0020kind"},
            {"role":"user","name":"ann","content":[{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"https://x.test/a.png"}}]},
            {"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},
            {"role":"tool","tool_call_id":"c","content":"done"}],
            "tools":[{"type":"function","function":{"name":"f"}}],
            "response_format":{"type":"json_schema","json_schema":{"name":"x"}}}"#,
        );
        let expected = [
            "system",
            "be kind",
            "user",
            "ann",
            "look",
            "assistant",
            "f",
            r#"{"a":1}"#,
            "tool",
            "done",
            r#"{"name":"f"}"#,
            r#"{"name":"x"}"#,
        ];
        assert_eq!(all, expected);
        assert_eq!(besides.frame, Tokens(4 * 3 + 1 + 3 + 8 + 3));
        assert_eq!(besides.media.images, 1);
    }

    #[test]
    fn c10_160_tools_count_as_what_they_are() {
        let tool = r#"{"type":"function","function":{"name":"f","description":"does a thing","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}}"#;
        let tools = vec![tool; 160].join(",");
        let (all, _) = found(&format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"tools":[{tools}]}}"#
        ));
        assert!(all.iter().map(String::len).sum::<usize>() > 160 * 100);
    }

    #[test]
    fn what_is_no_request_has_no_texts() {
        for body in ["", "[1]", "{", r#"{"messages":7}"#, r#"{"messages":[1,null]}"#] {
            assert!(found(body).0.is_empty(), "{body}");
        }
    }
}
