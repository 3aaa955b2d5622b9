//! OpenAI's chat dialect, as OpenAI and some thirty others speak it.
//!
//! What vendors do differently on the way in (fields they refuse) is in their row's quirks; what they
//! do differently on the way out is read by one tolerant decoder, since servers behind a custom base
//! URL do the same things without saying so.

mod chunk;
pub(super) mod decode;
mod embeddings;
mod encode;
pub(super) mod fault;
mod glance;
pub(super) mod model;
pub(super) mod stream;
pub(super) mod text;
pub(super) mod usage;

use super::scan;
use super::{Decode, Encoded, Endpoint, Glance, Provider, Purpose, Target};
use crate::call::{Call, Operation, Task};
use crate::dialect::Dialect;
use crate::embedding::{EmbeddingCall, Embeddings};
use crate::fault::{Fault, UpstreamFault};
use crate::reply::Reply;
use crate::sse::Frame;
use crate::usage::Usage;
use crate::vendor::{ChatPath, PlainCompletions, StreamedToolIndex};
use bytes::Bytes;
use http::HeaderMap;

/// The OpenAI dialect.
#[derive(Debug)]
pub struct OpenAi;

impl Provider for OpenAi {
    fn dialect(&self) -> Dialect {
        Dialect::OpenAi
    }

    fn endpoint(&self, target: &Target<'_>, purpose: Purpose) -> Option<Endpoint> {
        match purpose.operation {
            Operation::Chat => Some(endpoint(target, "/chat/completions")),
            Operation::Embed | Operation::EmbedBatch => Some(endpoint(target, "/embeddings")),
            Operation::Complete => Some(endpoint(target, "/completions")),
            Operation::Task(task) => Some(endpoint(target, place_of(task))),
            Operation::Count | Operation::Invoke => None,
        }
    }

    fn encode(&self, call: &Call, target: &Target<'_>) -> Result<Encoded, Fault> {
        encode::encode(call, target, endpoint(target, "/chat/completions"))
    }

    fn encode_embedding(&self, call: &EmbeddingCall, target: &Target<'_>) -> Result<Encoded, Fault> {
        embeddings::encode(call, target, endpoint(target, "/embeddings"))
    }

    fn decode_embeddings(&self, body: &[u8], target: &Target<'_>) -> Result<Embeddings, Box<UpstreamFault>> {
        embeddings::decode(body, target)
    }

    fn decode(&self, body: &[u8], target: &Target<'_>) -> Result<Reply, Box<UpstreamFault>> {
        decode::reply(body, target)
    }

    fn decoder(&self, target: &Target<'_>) -> Box<dyn Decode> {
        Box::new(stream::Decoder::new(target))
    }

    fn refused(&self, body: &[u8]) -> Option<Box<UpstreamFault>> {
        let answer: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).ok()?;
        decode::is_error(&answer).then(|| Box::new(fault::read(200, &HeaderMap::new(), body)))
    }

    fn fault(&self, status: u16, headers: &HeaderMap, body: &[u8], _target: &Target<'_>) -> UpstreamFault {
        fault::read(status, headers, body)
    }

    fn glance(&self, frame: &Frame) -> Glance {
        glance::glance(frame)
    }

    fn usage(&self, data: &[u8], _earlier: Option<&Usage>, target: &Target<'_>) -> Option<Usage> {
        usage::find(data, &target.vendor.quirks)
    }

    fn text(&self, data: &[u8], out: &mut String) {
        text::of(data, out);
    }

    fn is_usage_alone(&self, frame: &Frame) -> bool {
        glance::is_usage_alone(frame.data())
    }

    fn mend(&self, frame: &Frame, target: &Target<'_>) -> Option<Bytes> {
        match target.vendor.quirks.tool_index {
            StreamedToolIndex::Sent => None,
            StreamedToolIndex::Missing => glance::mend(frame),
        }
    }
}

fn place_of(task: Task) -> &'static str {
    match task {
        Task::Moderate => "/moderations",
        Task::Rerank => "/rerank",
        Task::Draw => "/images/generations",
        Task::EditImage => "/images/edits",
        Task::VaryImage => "/images/variations",
        Task::Speak => "/audio/speech",
        Task::Transcribe => "/audio/transcriptions",
        Task::TranslateSpeech => "/audio/translations",
    }
}

/// Whether a vendor, or this model of OpenAI's, is known to answer in chat only and not to go on with a
/// plain text.
pub(crate) fn is_only_for_chat(target: &Target<'_>) -> bool {
    match target.vendor.quirks.completions {
        PlainCompletions::Missing => true,
        PlainCompletions::Asked => {
            let series = model::Reasons::of(target.model) != model::Reasons::Unknown;
            target.vendor.name == "openai" && series && !target.model.contains("instruct")
        }
    }
}

pub(super) use embeddings::{decode as embeddings, fields as embedding_fields, written as embedding_input};
pub(super) use encode::fields;

/// A model name as one segment of a path: what is not unreserved is percent-encoded.
pub(crate) fn path_segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// FNV-1a: names things by their bytes, the same way on every host.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn endpoint(target: &Target<'_>, path: &'static str) -> Endpoint {
    let path = match target.vendor.quirks.path {
        ChatPath::Plain | ChatPath::Vertex => path.into(),
        ChatPath::Deployment => format!("/deployments/{}{path}", path_segment(target.model)).into(),
    };
    Endpoint { path, headers: HeaderMap::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Delivery, UsageChunk};
    use crate::vendor;

    #[test]
    fn azure_deployments_are_named_in_the_path() {
        let path = |vendor: &str, model: &str| {
            let target = Target { vendor: vendor::find(vendor).unwrap(), model };
            OpenAi.endpoint(&target, Purpose::chat(Delivery::Stream(UsageChunk::Wanted))).unwrap().path
        };
        assert_eq!(path("azure-deployments", "my dep/1"), "/deployments/my%20dep%2F1/chat/completions");
        assert_eq!(path("azure", "my-dep"), "/chat/completions");
        assert_eq!(path("openai", "gpt-4o"), "/chat/completions");
    }
}
