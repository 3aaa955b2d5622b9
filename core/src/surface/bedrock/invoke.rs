//! InvokeModel: bodies in the words of the model's maker.
//!
//! Anthropic's are those of Messages without model and stream, which the path tells, and are served by
//! any provider. Others pass to Bedrock only.

use super::{ID, STREAMED, fault, inspect};
use crate::call::{Call, Delivery, Operation};
use crate::count::{Besides, Media};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use crate::framing::Framing;
use crate::framing::event_stream::write_event;
use crate::json::{Tape, Value};
use crate::reply::{Event, Reply};
use crate::sse::Framer;
use crate::surface::anthropic_messages::{self, MESSAGES};
use crate::surface::bulk::weigh;
use crate::surface::{
    Asked, Begun, CapPlace, Envelope, ModelPlace, Places, Render, RequestLine, SoFar, Surface,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName};
use serde_json::{Map, json};

/// `InvokeModel` and `InvokeModelWithResponseStream`.
#[derive(Debug)]
pub struct Invoke {
    delivery: Delivery,
}

/// `InvokeModel`.
pub static INVOKE: Invoke = Invoke { delivery: Delivery::Whole };

/// `InvokeModelWithResponseStream`.
pub static INVOKE_STREAM: Invoke = Invoke { delivery: STREAMED };

/// Names what a body of Anthropic's is written in.
const VERSION: &str = "anthropic_version";

/// What other makers call a cap on output, where it stands at the top.
const CAPS: [&str; 5] = ["max_tokens", "max_tokens_to_sample", "max_gen_len", "maxTokens", "max_new_tokens"];

impl Surface for Invoke {
    fn name(&self) -> &'static str {
        "bedrock-invoke"
    }

    fn dialect(&self) -> Dialect {
        Dialect::Bedrock
    }

    fn operation(&self) -> Operation {
        Operation::Invoke
    }

    fn id_header(&self) -> Option<HeaderName> {
        Some(ID)
    }

    fn framing(&self, _query: Option<&str>) -> Framing {
        Framing::EventStream
    }

    fn inspect(&self, tape: &Tape<'_>, line: &RequestLine) -> Result<Envelope, Fault> {
        let root = tape.root();
        inspect::object(root)?;
        let model = inspect::model(line)?;
        if root.get(VERSION).is_none() {
            return unknown(root, model, self.delivery);
        }
        let envelope = anthropic_messages::inspect_at(tape, &model)?;
        Ok(Envelope { delivery: self.delivery, ..envelope })
    }

    fn prompt_text(&self, body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
        MESSAGES.prompt_text(body, each)
    }

    fn parse(&self, body: &[u8], line: &RequestLine) -> Result<Call, Fault> {
        let mut fields: Map<String, serde_json::Value> = serde_json::from_slice(body)
            .map_err(|error| Fault::new(Code::BadJson, format!("the body is no JSON: {error}")))?;
        if fields.shift_remove(VERSION).is_none() {
            let what =
                "is missing: InvokeModel in the words of other makers passes to Bedrock only; use converse";
            return Err(Fault::new(Code::Unsupported, format!("{VERSION} {what}")).at(VERSION));
        }
        fields.insert("model".to_owned(), inspect::model(line)?.into());
        fields.shift_remove("stream");
        let body = serde_json::Value::Object(fields).to_string();
        Ok(Call { delivery: self.delivery, ..MESSAGES.parse(body.as_bytes(), line)? })
    }

    fn render(&self, reply: &Reply, asked: &Asked) -> Bytes {
        MESSAGES.render(reply, asked)
    }

    fn renderer(&self, asked: Asked) -> Box<dyn Render> {
        Box::new(Chunks { inner: MESSAGES.renderer(asked) })
    }

    fn fault(&self, fault: &Fault, _request_id: &str) -> Bytes {
        fault::body(fault)
    }

    fn fault_status(&self, fault: &Fault) -> u16 {
        fault::status(fault)
    }

    fn label_fault(&self, fault: &Fault, headers: &mut HeaderMap) {
        fault::label(fault, headers);
    }

    fn fault_event(&self, fault: &Fault, _asked: &Asked, _begun: Begun) -> Bytes {
        fault::event(fault)
    }

    fn cut_off(&self, so_far: &SoFar<'_>, asked: &Asked) -> Bytes {
        let inner = |data: &Bytes| {
            let chunk: serde_json::Value = serde_json::from_slice(data).ok()?;
            STANDARD.decode(chunk.get("bytes")?.as_str()?).ok().map(Bytes::from)
        };
        let recent: Vec<Bytes> = so_far.recent.iter().filter_map(inner).collect();
        let mut out = BytesMut::new();
        wrap(MESSAGES.cut_off(&SoFar { recent: &recent, ..*so_far }, asked), &mut out);
        out.freeze()
    }
}

/// What routing needs of a body that nothing here understands.
fn unknown(root: Value<'_>, model: String, delivery: Delivery) -> Result<Envelope, Fault> {
    let inspect::Own { fallbacks, cuts } = inspect::own_fields(root)?;
    let caps: Vec<CapPlace> = CAPS
        .iter()
        .filter_map(|name| Some(CapPlace::of(name, root.get(name)?)))
        .chain(nested_cap(root, "textGenerationConfig", "maxTokenCount"))
        .chain(nested_cap(root, "inferenceConfig", "maxTokens"))
        .chain(nested_cap(root, "inferenceConfig", "max_new_tokens"))
        .collect();
    Ok(Envelope {
        model,
        model_place: ModelPlace::Path,
        delivery,
        fallbacks,
        cuts,
        conversation: None,
        max_tokens: caps.iter().filter_map(|cap| cap.value).min(),
        prompt_bytes: weigh(root),
        media: Media::default(),
        n: 1,
        end_user: None,
        places: Places { members: root.span().start + 1, caps, ..Places::default() },
    })
}

fn nested_cap(root: Value<'_>, object: &str, name: &'static str) -> Option<CapPlace> {
    Some(CapPlace::of(name, root.get(object)?.get(name)?))
}

/// Events of Messages, each in a chunk.
struct Chunks {
    inner: Box<dyn Render>,
}

impl Render for Chunks {
    fn on(&mut self, event: &Event, out: &mut BytesMut) {
        if let Event::Fault(upstream) = event {
            return fault::exception(upstream, out);
        }
        let mut events = BytesMut::new();
        self.inner.on(event, &mut events);
        wrap(events.freeze(), out);
    }
}

/// Puts the data of each server-sent event into a chunk.
fn wrap(events: Bytes, out: &mut BytesMut) {
    let (mut framer, mut frames) = (Framer::new(), Vec::new());
    // They were written just now, and end where they end.
    if framer.push(events, &mut frames).is_err() {
        return;
    }
    for frame in frames.iter().filter(|frame| !frame.data().is_empty()) {
        let chunk = json!({"bytes": STANDARD.encode(frame.data())});
        write_event("chunk", chunk.to_string().as_bytes(), out);
    }
}
