//! `countTokens`: a chat call's prompt, as such or in `generateContentRequest`.

use super::form::{self, Path, field};
use super::{fault, inspect, parse, prompt};
use crate::call::{Call, Delivery, Operation};
use crate::count::Besides;
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::json::{Tape, Value};
use crate::sort;
use crate::surface::{Asked, Begun, Envelope, ModelPlace, RequestLine, Surface};
use crate::units::Tokens;
use bytes::Bytes;
use serde_json::json;

/// `countTokens`.
#[derive(Debug)]
pub struct Count;

/// Where a whole call may stand.
const WHOLE: &str = "generateContentRequest";

impl Surface for Count {
    fn name(&self) -> &'static str {
        "gemini-count-tokens"
    }

    fn dialect(&self) -> Dialect {
        Dialect::Gemini
    }

    fn operation(&self) -> Operation {
        Operation::Count
    }

    fn inspect(&self, tape: &Tape<'_>, line: &RequestLine) -> Result<Envelope, Fault> {
        let root = tape.root();
        inspect::object(root)?;
        form::check_fields(root, form::COUNT, &Path::ROOT)?;
        let Some(call) = field(root, WHOLE) else {
            let envelope = inspect::generate(root, line, Delivery::Whole)?;
            return Ok(Envelope { max_tokens: None, ..envelope });
        };
        let envelope =
            inspect::generate(call, line, Delivery::Whole).map_err(|fault| within(fault, WHOLE))?;
        let models: Vec<_> = [field(root, "model"), field(call, "model")].into_iter().flatten().collect();
        let mut spans: Vec<_> = models.into_iter().map(Value::span).collect();
        sort::sort_by_key(&mut spans, |span| span.start);
        let model_place = if spans.is_empty() { ModelPlace::Path } else { ModelPlace::Resources(spans) };
        Ok(Envelope { model_place, max_tokens: None, ..envelope })
    }

    fn prompt_text(&self, body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
        match Tape::parse(body) {
            Ok(tape) => prompt::of(field(tape.root(), WHOLE).unwrap_or(tape.root()), each),
            Err(_) => Besides::default(),
        }
    }

    fn parse(&self, body: &[u8], line: &RequestLine) -> Result<Call, Fault> {
        let mut root = parse::root(body)?;
        match root.value(WHOLE) {
            Some(call) => {
                let call = parse::item(call, WHOLE)?.at_root();
                parse::call(call, line, Delivery::Whole).map_err(|fault| within(fault, WHOLE))
            }
            None => parse::call(root, line, Delivery::Whole),
        }
    }

    fn counted(&self, input: Tokens) -> Option<Bytes> {
        Some(Bytes::from(json!({"totalTokens": input.get()}).to_string()))
    }

    fn fault(&self, fault: &Fault, _request_id: &str) -> Bytes {
        fault::body(fault)
    }

    fn fault_event(&self, fault: &Fault, asked: &Asked, begun: Begun) -> Bytes {
        fault::event(fault, asked, begun)
    }
}

/// The same fault, its field named from further out.
fn within(mut fault: Fault, outer: &str) -> Fault {
    if let Some(field) = fault.param.take() {
        let whole = format!("{outer}.{field}");
        if let Some(rest) = fault.message.strip_prefix(&field) {
            fault.message = format!("{whole}{rest}");
        }
        fault.param = Some(whole);
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> RequestLine {
        RequestLine { model: Some("m".to_owned()), ..RequestLine::default() }
    }

    #[test]
    fn both_forms_count_the_same_prompt() {
        let inner = r#"{"model":"models/m","contents":[{"parts":[{"text":"hi"}]}],"systemInstruction":{"parts":[{"text":"rules"}]}}"#;
        let outer = format!(r#"{{"generateContentRequest":{inner}}}"#);
        for body in [inner, outer.as_str()] {
            let mut texts = Vec::new();
            Count.prompt_text(body.as_bytes(), &mut |text| texts.push(text.to_owned()));
            assert_eq!(texts, ["rules", "hi"]);
            let envelope = Count.inspect(&Tape::parse(body.as_bytes()).unwrap(), &line()).unwrap();
            assert!(matches!(envelope.model_place, ModelPlace::Resources(spans) if spans.len() == 1));
            assert_eq!(Count.parse(body.as_bytes(), &line()).unwrap().messages.len(), 1);
        }
        assert_eq!(Count.counted(Tokens(7)).unwrap(), r#"{"totalTokens":7}"#);
    }

    #[test]
    fn a_field_of_the_inner_call_is_named_whole() {
        let body = r#"{"generateContentRequest":{"contents":[{"role":"x"}]}}"#;
        let fault = Count.inspect(&Tape::parse(body.as_bytes()).unwrap(), &line()).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some("generateContentRequest.contents[0].role"));
    }
}
