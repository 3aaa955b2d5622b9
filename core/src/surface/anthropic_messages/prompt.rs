//! The texts of a prompt, and what is counted besides them.
//!
//! How the provider frames turns and tools for its models is not published. The figures are measured:
//! a few tokens for each turn, and some five hundred for the instructions that come with tools.

use super::inspect::{self, Naming};
use crate::call::Operation;
use crate::count::{Besides, Media};
use crate::json::{Tape, Value};
use crate::surface::bulk::object;
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
    if let Some(system) = root.get("system") {
        count.content(system);
    }
    root.get("messages").into_iter().flat_map(Value::elements).for_each(|message| count.message(message));
    count.tools(root.get("tools"));
    if let Some(format) = root.get("output_config").and_then(|config| config.get("format")) {
        count.json(format);
    }
    let frame = count.frame;
    // The same look at media as before the call.
    let looked = inspect::inspect(&tape, Operation::Count, Naming::Path(""));
    let media = looked.map_or_else(|_| Media::default(), |envelope| envelope.media);
    Besides { frame, media }
}

struct Count<'e> {
    each: &'e mut dyn FnMut(&str),
    frame: Tokens,
}

impl Count<'_> {
    fn message(&mut self, message: Value<'_>) {
        self.frame += MESSAGE;
        if let Some(content) = message.get("content") {
            self.content(content);
        }
    }

    fn content(&mut self, content: Value<'_>) {
        self.text(Some(content));
        content.elements().for_each(|block| self.block(block));
    }

    fn block(&mut self, block: Value<'_>) {
        match block.get("type").and_then(Value::as_str).as_deref() {
            Some("text") => self.text(block.get("text")),
            Some("thinking") => self.text(block.get("thinking")),
            // Media are no text.
            Some("image" | "redacted_thinking") => {}
            Some("document") => self.document(block),
            Some("tool_result" | "search_result") => {
                self.frame += CALL;
                self.text(block.get("title"));
                self.text(block.get("source"));
                block.get("content").into_iter().for_each(|content| self.content(content));
            }
            Some("tool_use") => {
                self.frame += CALL;
                self.text(block.get("name"));
                block.get("input").into_iter().for_each(|input| self.json(input));
            }
            // What this code does not know counts as it is written.
            Some(_) | None => self.json(block),
        }
    }

    fn document(&mut self, block: Value<'_>) {
        self.text(block.get("title"));
        self.text(block.get("context"));
        let Some(source) = block.get("source") else { return };
        match source.get("type").and_then(Value::as_str).as_deref() {
            Some("text") => self.text(source.get("data")),
            Some("content") => source.get("content").into_iter().for_each(|content| self.content(content)),
            Some(_) | None => {}
        }
    }

    fn tools(&mut self, tools: Option<Value<'_>>) {
        for (at, tool) in tools.into_iter().flat_map(Value::elements).enumerate() {
            if at == 0 {
                self.frame += TOOLS;
            }
            self.frame += TOOL;
            self.json(tool);
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
    fn c10_system_tools_images_and_files_are_all_in_it() {
        let (all, besides) = found(
            r#"{"model":"m","system":[{"type":"text","text":"be kind"}],"messages":[
            {"role":"user","content":"hi"},
            {"role":"user","content":[{"type":"text","text":"look"},
              {"type":"image","source":{"type":"base64","media_type":"image/png","data":"QUJD"}},
              {"type":"document","title":"t","source":{"type":"base64","media_type":"application/pdf","data":"QUJDQUJD"}},
              {"type":"document","source":{"type":"text","media_type":"text/plain","data":"words"}}]},
            {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},
              {"type":"tool_use","id":"t1","name":"f","input":{"a":1}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"done"}]}]}],
            "tools":[{"name":"f","input_schema":{"type":"object"}}]}"#,
        );
        let tool = r#"{"name":"f","input_schema":{"type":"object"}}"#;
        assert_eq!(all, ["be kind", "hi", "look", "t", "words", "hm", "f", r#"{"a":1}"#, "done", tool]);
        assert_eq!(besides.media.images, 1);
        assert_eq!(besides.media.file_bytes, 10);
        assert_eq!(besides.frame, Tokens(3 + 4 * 4 + 2 * 12 + 500 + 8));
    }

    #[test]
    fn c10_160_tools_count_as_what_they_are() {
        let tool = r#"{"name":"f","description":"does a thing","input_schema":{"type":"object","properties":{"a":{"type":"string"}}}}"#;
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
