//! OpenAI Realtime: sessions over a WebSocket. What is said in them passes unread; see
//! [`crate::exchange::Session`] for how it is metered.

use super::openai_chat::fault;
use super::{Asked, Begun, Envelope, RequestLine, Surface};
use crate::call::{Delivery, UsageChunk};
use crate::count::Besides;
use crate::dialect::Dialect;
use crate::fault::{Fault, Parts};
use crate::json::Tape;
use bytes::Bytes;
use serde_json::json;

/// OpenAI Realtime.
#[derive(Debug)]
pub struct OpenAiRealtime;

impl Surface for OpenAiRealtime {
    fn name(&self) -> &'static str {
        "openai-realtime"
    }

    fn dialect(&self) -> Dialect {
        Dialect::OpenAi
    }

    /// The request's line says it all.
    fn envelope(&self, _body: &[u8], line: &RequestLine) -> Result<Envelope, Fault> {
        let model =
            line.model.clone().ok_or_else(|| Fault::missing_field("model", "`?model=` in the URL"))?;
        Ok(Envelope { delivery: Delivery::Stream(UsageChunk::Wanted), ..Envelope::bare(model) })
    }

    fn inspect(&self, _tape: &Tape<'_>, line: &RequestLine) -> Result<Envelope, Fault> {
        self.envelope(&[], line)
    }

    fn prompt_text(&self, _body: &[u8], _each: &mut dyn FnMut(&str)) -> Besides {
        Besides::default()
    }

    fn fault(&self, fault: &Fault, _request_id: &str) -> Bytes {
        fault::body(fault)
    }

    /// The server event `error`.
    fn fault_event(&self, fault: &Fault, asked: &Asked, _begun: Begun) -> Bytes {
        let Parts { code, message, param, .. } = &**fault;
        let error = json!({
            "type": code.kind(),
            "code": code.code(),
            "message": message,
            "param": param,
            "event_id": null,
        });
        let event_id = format!("event_{}", asked.request_id);
        Bytes::from(json!({"type": "error", "event_id": event_id, "error": error}).to_string())
    }
}
