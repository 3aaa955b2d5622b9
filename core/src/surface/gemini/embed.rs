//! `embedContent` and `batchEmbedContents`.

use super::form::{self, Path, field, many};
use super::parse::{self, content_parts};
use super::{fault, inspect};
use crate::call::{Delivery, Extras, Operation, Part};
use crate::count::{Besides, Media};
use crate::dialect::Dialect;
use crate::embedding::{EmbeddingCall, Embeddings, Encoding, Input};
use crate::fault::Fault;
use crate::json::{Kind, Tape, Value};
use crate::surface::bulk::{Bulk, weigh};
use crate::surface::fields::Fields;
use crate::surface::shape::text;
use crate::surface::{Asked, Begun, Envelope, ModelPlace, Places, RequestLine, Surface};
use crate::units::Tokens;
use bytes::Bytes;
use serde_json::json;

/// Vectors of one content or of several.
#[derive(Debug)]
pub struct Embed {
    operation: Operation,
}

/// `embedContent`.
pub static ONE: Embed = Embed { operation: Operation::Embed };

/// `batchEmbedContents`.
pub static BATCH: Embed = Embed { operation: Operation::EmbedBatch };

/// Fields of the body that are the gateway's and not the provider's.
const OWN_FIELDS: &[&str] = &["fallbacks"];

impl Surface for Embed {
    fn name(&self) -> &'static str {
        "gemini-embed"
    }

    fn dialect(&self) -> Dialect {
        Dialect::Gemini
    }

    fn operation(&self) -> Operation {
        self.operation
    }

    fn inspect(&self, tape: &Tape<'_>, line: &RequestLine) -> Result<Envelope, Fault> {
        self.envelope(tape.root(), line)
    }

    fn prompt_text(&self, body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
        let Ok(tape) = Tape::parse(body) else { return Besides::default() };
        for request in self.requests(tape.root()) {
            let parts = field(request, "content").and_then(|content| field(content, "parts"));
            many(parts).filter_map(|part| field(part, "text")?.as_str()).for_each(|text| each(&text));
        }
        Besides { frame: Tokens::ZERO, media: media(self.requests(tape.root())).media }
    }

    fn parse_embedding(&self, body: &[u8], line: &RequestLine) -> Result<EmbeddingCall, Fault> {
        self.call(body, line)
    }

    fn render_embeddings(&self, embeddings: &Embeddings, _call: &EmbeddingCall, _asked: &Asked) -> Bytes {
        let Embeddings { vectors, model: _, usage } = embeddings;
        let one = |vector: &Vec<f32>| json!({ "values": vector });
        let mut body = match self.operation {
            Operation::EmbedBatch => json!({"embeddings": vectors.iter().map(one).collect::<Vec<_>>()}),
            Operation::Embed
            | Operation::Chat
            | Operation::Invoke
            | Operation::Count
            | Operation::Complete
            | Operation::Task(_) => {
                json!({"embedding": vectors.first().map(one)})
            }
        };
        if let (Some(usage), Some(body)) = (usage, body.as_object_mut()) {
            body.insert("usageMetadata".to_owned(), json!({"promptTokenCount": usage.prompt().get()}));
        }
        Bytes::from(body.to_string())
    }

    fn fault(&self, fault: &Fault, _request_id: &str) -> Bytes {
        fault::body(fault)
    }

    fn fault_event(&self, fault: &Fault, asked: &Asked, begun: Begun) -> Bytes {
        fault::event(fault, asked, begun)
    }
}

impl Embed {
    fn requests<'t>(&self, root: Value<'t>) -> impl Iterator<Item = Value<'t>> + use<'t> {
        let batch = matches!(self.operation, Operation::EmbedBatch);
        let one = (!batch).then_some(root);
        one.into_iter().chain(many(if batch { field(root, "requests") } else { None }))
    }

    fn envelope(&self, root: Value<'_>, line: &RequestLine) -> Result<Envelope, Fault> {
        inspect::object(root)?;
        let form = match self.operation {
            Operation::EmbedBatch => form::EMBED_BATCH,
            Operation::Embed
            | Operation::Chat
            | Operation::Invoke
            | Operation::Count
            | Operation::Complete
            | Operation::Task(_) => form::EMBED,
        };
        form::check_fields(root, form, &Path::ROOT)?;
        if self.requests(root).next().is_none() {
            return Err(Fault::bad_field("requests", "at least one request", "an empty array"));
        }
        let named: Vec<_> = self.requests(root).filter_map(|request| field(request, "model")).collect();
        let contents = self.requests(root).filter_map(|request| field(request, "content"));
        let bulk = media(self.requests(root));
        let cuts = if root.get("fallbacks").is_some() { root.member_cuts(OWN_FIELDS) } else { Vec::new() };
        Ok(Envelope {
            model: inspect::model(line)?,
            model_place: match named.is_empty() {
                true => ModelPlace::Path,
                false => ModelPlace::Resources(named.into_iter().map(Value::span).collect()),
            },
            delivery: Delivery::Whole,
            fallbacks: many(root.get("fallbacks")).filter_map(text).collect(),
            cuts,
            conversation: None,
            max_tokens: None,
            prompt_bytes: if bulk.media.is_none() { contents.map(weigh).sum() } else { bulk.weigh(root) },
            media: bulk.media,
            n: 1,
            end_user: None,
            places: Places { members: root.span().start + 1, ..Places::default() },
        })
    }

    fn call(&self, body: &[u8], line: &RequestLine) -> Result<EmbeddingCall, Fault> {
        let mut root = parse::root(body)?;
        root.drop("fallbacks");
        let mut asked = Vec::new();
        match self.operation {
            Operation::EmbedBatch => {
                for (at, request) in parse::list(&mut root, "requests").into_iter().enumerate() {
                    asked.push(One::of(parse::item(request, &format!("requests[{at}]"))?)?);
                }
            }
            Operation::Embed
            | Operation::Chat
            | Operation::Invoke
            | Operation::Count
            | Operation::Complete
            | Operation::Task(_) => asked.push(One::of(root.taken())?),
        }
        let mut asked = asked.into_iter().enumerate();
        let Some((_, first)) = asked.next() else {
            return Err(Fault::bad_field("requests", "at least one request", "an empty array"));
        };
        let One { input, dimensions, task, title, extras } = first;
        let mut inputs = vec![input];
        for (at, other) in asked {
            // Elsewhere one request has one answer for all of these.
            let same = (other.dimensions, &other.task, &other.title) == (dimensions, &task, &title);
            if !same {
                let what = "the same dimensions, task and title as the first";
                return Err(Fault::bad_field(format!("requests[{at}]"), what, "others"));
            }
            inputs.push(other.input);
        }
        let mut all = root.rest();
        all.extend(extras);
        Ok(EmbeddingCall {
            model: inspect::model(line)?,
            inputs,
            dimensions,
            task,
            title,
            encoding: Encoding::Floats,
            user: None,
            origin: Dialect::Gemini,
            extras: all,
        })
    }
}

/// One of the contents.
struct One {
    input: Input,
    dimensions: Option<u64>,
    task: Option<String>,
    title: Option<String>,
    extras: Extras,
}

impl One {
    fn of(mut fields: Fields) -> Result<Self, Fault> {
        let parts: Vec<Part> = content_parts(&mut fields, "content")?;
        fields.drop("model");
        fields.drop("fallbacks");
        // Clients of Vertex say what they wish one level deeper.
        let wishes = fields.object("embedContentConfig")?.map(parse::camel);
        wishes.map(Fields::rest).into_iter().flatten().for_each(|(name, value)| fields.put(&name, value));
        Ok(Self {
            input: Input::Parts(parts),
            dimensions: parse::whole(&mut fields, "outputDimensionality")?,
            task: parse::word(&mut fields, "taskType")?.filter(|task| task != "TASK_TYPE_UNSPECIFIED"),
            title: fields.text("title")?,
            extras: fields.rest(),
        })
    }
}

/// What is no text.
fn media<'t>(requests: impl Iterator<Item = Value<'t>>) -> Bulk {
    let mut bulk = Bulk::default();
    let mut seen = Media::default();
    for request in requests {
        let parts = field(request, "content").and_then(|content| field(content, "parts"));
        for part in many(parts) {
            if let Some(data) = field(part, "inlineData").and_then(|blob| field(blob, "data")) {
                seen.file_bytes += if data.kind() == Kind::String { bulk.set_apart(data) } else { 0 };
            } else if field(part, "fileData").is_some() {
                seen.references += 1;
            }
        }
    }
    bulk.media = seen;
    bulk
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> RequestLine {
        RequestLine { model: Some("m".to_owned()), ..RequestLine::default() }
    }

    const BATCH_BODY: &str = r#"{"requests":[{"model":"models/m","content":{"parts":[{"text":"a"}]},"output_dimensionality":8},
        {"model":"models/m","content":{"parts":[{"text":"b"}]},"outputDimensionality":8}]}"#;

    #[test]
    fn a_batch_names_its_model_each_time() {
        let envelope = BATCH.inspect(&Tape::parse(BATCH_BODY.as_bytes()).unwrap(), &line()).unwrap();
        let ModelPlace::Resources(spans) = envelope.model_place else { panic!("no resources") };
        assert_eq!(spans.len(), 2);
        assert_eq!(&BATCH_BODY[spans[1].clone()], "\"models/m\"");
        let call = BATCH.parse_embedding(BATCH_BODY.as_bytes(), &line()).unwrap();
        assert_eq!((call.inputs.len(), call.dimensions), (2, Some(8)));
    }

    #[test]
    fn requests_that_differ_in_more_than_their_content_are_refused() {
        let body = BATCH_BODY.replace("outputDimensionality\":8", "outputDimensionality\":9");
        let fault = BATCH.parse_embedding(body.as_bytes(), &line()).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some("requests[1]"));
    }

    #[test]
    fn bad_input_is_refused_by_its_path() {
        let look = |surface: &Embed, body: &str| {
            surface
                .inspect(&Tape::parse(body.as_bytes()).unwrap(), &line())
                .unwrap_err()
                .into_parts()
                .param
                .unwrap()
        };
        assert_eq!(look(&ONE, "{}"), "content");
        assert_eq!(look(&ONE, r#"{"content":{"parts":[{"text":1}]}}"#), "content.parts[0].text");
        assert_eq!(look(&BATCH, r#"{"requests":[]}"#), "requests");
        assert_eq!(look(&BATCH, r#"{"requests":[{"content":{}},{}]}"#), "requests[1].content");
    }
}
