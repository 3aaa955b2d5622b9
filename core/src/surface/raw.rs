//! What passes to a provider as it came: read only as far as rights and limits ask.

use super::{Answers, Asked, Begun, Bodies, Costs, Envelope, RequestLine, SoFar, Surface};
use crate::count::Besides;
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use crate::json::{Tape, Value};
use crate::multipart;
use crate::units::Tokens;
use bytes::Bytes;
use http::{HeaderMap, HeaderName};

/// Requests to a provider of this dialect.
#[derive(Debug)]
pub struct Passed(Dialect);

/// The surface of a provider's own paths.
pub fn of(dialect: Dialect) -> &'static Passed {
    match dialect {
        Dialect::OpenAi => &Passed(Dialect::OpenAi),
        Dialect::OpenAiResponses => &Passed(Dialect::OpenAiResponses),
        Dialect::Anthropic => &Passed(Dialect::Anthropic),
        Dialect::Gemini => &Passed(Dialect::Gemini),
        Dialect::Bedrock => &Passed(Dialect::Bedrock),
        Dialect::Cohere => &Passed(Dialect::Cohere),
        Dialect::Ollama => &Passed(Dialect::Ollama),
    }
}

impl Surface for Passed {
    fn name(&self) -> &'static str {
        "pass-through"
    }

    fn dialect(&self) -> Dialect {
        self.0
    }

    fn id_header(&self) -> Option<HeaderName> {
        super::speaking(self.0).id_header()
    }

    fn bodies(&self) -> Bodies {
        Bodies::Any
    }

    fn answers(&self) -> Answers {
        Answers::Verbatim
    }

    fn envelope(&self, body: &[u8], line: &RequestLine) -> Result<Envelope, Fault> {
        envelope(body, line)
    }

    fn inspect(&self, _: &Tape<'_>, _: &RequestLine) -> Result<Envelope, Fault> {
        Err(Fault::new(Code::Bug, "what passes as it came was to be read as JSON"))
    }

    fn prompt_text(&self, body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
        if begins_like_json(body)
            && let Ok(text) = std::str::from_utf8(body)
        {
            each(text);
        }
        Besides::default()
    }

    fn fault(&self, fault: &Fault, request_id: &str) -> Bytes {
        super::speaking(self.0).fault(fault, request_id)
    }

    fn label_fault(&self, fault: &Fault, headers: &mut HeaderMap) {
        super::speaking(self.0).label_fault(fault, headers);
    }

    fn fault_event(&self, fault: &Fault, asked: &Asked, begun: Begun) -> Bytes {
        super::speaking(self.0).fault_event(fault, asked, begun)
    }

    fn cut_off(&self, so_far: &SoFar<'_>, asked: &Asked) -> Bytes {
        // A provider of OpenAI's may speak either of its dialects.
        let responds = self.0 == Dialect::OpenAi
            && memchr::memmem::find(so_far.content, b"\"type\":\"response.").is_some();
        let spoken = if responds { Dialect::OpenAiResponses } else { self.0 };
        super::speaking(spoken).cut_off(so_far, asked)
    }
}

/// Fields that cap output, in the words of all dialects.
const CAPS: [&str; 4] = ["max_tokens", "max_completion_tokens", "max_output_tokens", "max_tokens_to_sample"];

/// The model, by path and body, and what there is to reserve. What begins like JSON is JSON, whatever it
/// is said to be: an upstream may not believe its label either.
fn envelope(body: &[u8], line: &RequestLine) -> Result<Envelope, Fault> {
    let raw =
        line.raw.as_deref().ok_or_else(|| Fault::new(Code::Bug, "what passes says nothing of itself"))?;
    let mut envelope = Envelope::bare(raw.model.clone().unwrap_or_default());
    if raw.costs == Costs::Nothing {
        return Ok(envelope);
    }
    if begins_like_json(body) {
        let tape = Tape::parse(body).map_err(|error| {
            Fault::new(Code::BadJson, format!("the body is not acceptable JSON: {error}"))
        })?;
        let root = tape.root();
        named(&mut envelope, root.get("model").and_then(super::shape::text).as_deref())?;
        envelope.max_tokens = cap(root);
        envelope.prompt_bytes = body.len() as u64;
    } else if is_form(line) {
        let label = line.content_type.as_ref().map_or(&[][..], |label| label.as_bytes());
        let parts = multipart::parts(label, body)?;
        let model = multipart::one(&parts, "model")?;
        named(&mut envelope, model.and_then(multipart::Part::text))?;
    }
    if raw.costs == Costs::Input {
        envelope.max_tokens = Some(Tokens::ZERO);
    }
    Ok(envelope)
}

fn begins_like_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}

fn is_form(line: &RequestLine) -> bool {
    let label = line.content_type.as_ref().map(|label| label.as_bytes());
    label.and_then(|label| label.get(..10)).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/"))
}

/// Where path and body name a model, they have to name the same: which one is billed nobody knows.
fn named(envelope: &mut Envelope, model: Option<&str>) -> Result<(), Fault> {
    let Some(model) = model.filter(|model| !model.is_empty()) else { return Ok(()) };
    let bare = model.strip_prefix("models/").unwrap_or(model);
    if envelope.model.is_empty() {
        bare.clone_into(&mut envelope.model);
    } else if envelope.model != bare {
        return Err(Fault::bad_field("model", "the model of the path", "another one"));
    }
    Ok(())
}

/// The largest cap, whichever of them counts.
fn cap(root: Value<'_>) -> Option<Tokens> {
    let nested = |object: &str, field: &str| root.get(object)?.get(field)?.as_u64();
    let plain = CAPS.iter().filter_map(|field| root.get(field)?.as_u64()).max();
    plain
        .max(nested("generationConfig", "maxOutputTokens"))
        .max(nested("inferenceConfig", "maxTokens"))
        .map(Tokens)
}
