//! What OpenAI's clients ask besides text and vectors: verdicts, ranks, pictures, speech.
//!
//! Nobody has another dialect for these, so bodies and answers pass. Each surface is a [`Task`] with the
//! fields that are checked before it does: those of bodies in JSON stand in [`json`], those of forms with
//! files in [`form`]. Ranks are Cohere's and Jina's request, which are alike, and whose answers differ.

mod form;
mod json;

use super::openai_chat::OpenAiChat;
use super::shape::Shape;
use super::{Answers, Asked, Begun, Bodies, Envelope, RequestLine, Surface};
use crate::call::{Operation, Task};
use crate::count::Besides;
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use crate::json::Tape;
use crate::usage::Quantity;
use bytes::Bytes;
use http::HeaderName;

/// A surface for one task.
#[derive(Debug)]
pub struct OpenAiTask {
    name: &'static str,
    task: Task,
    bodies: Bodies,
    /// The fields that are checked by shape alone.
    shapes: &'static [(&'static str, Shape)],
    /// What has to be there.
    needed: &'static [(&'static str, &'static str)],
    /// Where the texts stand that a model reads.
    texts: &'static [&'static str],
    /// The model that OpenAI takes where none is named.
    usual: Option<&'static str>,
}

const INPUTS: &str = "a string or an array of strings or objects";
const FILE: &str = "a file";

/// Moderation.
pub static MODERATIONS: OpenAiTask = OpenAiTask {
    name: "openai-moderations",
    task: Task::Moderate,
    bodies: Bodies::Json,
    shapes: &[("model", Shape::Text), ("input", Shape::TextOrArray), ("fallbacks", Shape::Texts)],
    needed: &[("input", INPUTS)],
    texts: &["input"],
    usual: Some("omni-moderation-latest"),
};

/// Ranks of documents.
pub static RERANK: OpenAiTask = OpenAiTask {
    name: "rerank",
    task: Task::Rerank,
    bodies: Bodies::Json,
    shapes: &[
        ("model", Shape::Text),
        ("query", Shape::Text),
        ("documents", Shape::Array),
        ("top_n", Shape::Positive),
        ("max_tokens_per_doc", Shape::Positive),
        ("return_documents", Shape::Bool),
        ("fallbacks", Shape::Texts),
    ],
    needed: &[("query", "a string"), ("documents", "an array of strings or objects")],
    texts: &["query", "documents"],
    usual: None,
};

/// Pictures of a text.
pub static IMAGES: OpenAiTask = OpenAiTask {
    name: "openai-images",
    task: Task::Draw,
    bodies: Bodies::Json,
    shapes: &[
        ("model", Shape::Text),
        ("prompt", Shape::Text),
        ("n", Shape::Positive),
        ("size", Shape::Text),
        ("quality", Shape::Text),
        ("style", Shape::Text),
        ("background", Shape::Text),
        ("moderation", Shape::Text),
        ("response_format", Shape::Text),
        ("output_format", Shape::Text),
        ("output_compression", Shape::Whole),
        ("partial_images", Shape::Whole),
        ("stream", Shape::Bool),
        ("user", Shape::Text),
        ("fallbacks", Shape::Texts),
    ],
    needed: &[("prompt", "a string")],
    texts: &["prompt"],
    usual: Some("dall-e-2"),
};

/// Speech of a text.
pub static SPEECH: OpenAiTask = OpenAiTask {
    name: "openai-speech",
    task: Task::Speak,
    bodies: Bodies::Json,
    shapes: &[
        ("model", Shape::Text),
        ("input", Shape::Text),
        ("voice", Shape::TextOrObject),
        ("instructions", Shape::Text),
        ("response_format", Shape::Text),
        ("speed", Shape::Number),
        ("stream_format", Shape::Text),
        ("fallbacks", Shape::Texts),
    ],
    needed: &[("input", "a string"), ("voice", "a string or an object")],
    texts: &["input", "instructions"],
    usual: None,
};

/// Pictures changed as a text says.
pub static IMAGE_EDITS: OpenAiTask = OpenAiTask {
    name: "openai-image-edits",
    task: Task::EditImage,
    bodies: Bodies::Any,
    shapes: &[],
    needed: &[("image", FILE), ("prompt", "a text")],
    texts: &["prompt"],
    usual: Some("dall-e-2"),
};

/// Pictures like another.
pub static IMAGE_VARIATIONS: OpenAiTask = OpenAiTask {
    name: "openai-image-variations",
    task: Task::VaryImage,
    bodies: Bodies::Any,
    shapes: &[],
    needed: &[("image", FILE)],
    texts: &[],
    usual: Some("dall-e-2"),
};

/// The words of a recording.
pub static TRANSCRIPTIONS: OpenAiTask = OpenAiTask {
    name: "openai-transcriptions",
    task: Task::Transcribe,
    bodies: Bodies::Any,
    shapes: &[],
    needed: &[("file", FILE)],
    texts: &["prompt"],
    usual: None,
};

/// The same in English.
pub static TRANSLATIONS: OpenAiTask = OpenAiTask {
    name: "openai-translations",
    task: Task::TranslateSpeech,
    bodies: Bodies::Any,
    shapes: &[],
    needed: &[("file", FILE)],
    texts: &["prompt"],
    usual: None,
};

impl OpenAiTask {
    /// The model, or what stands in where there is none.
    fn model(&self, named: Option<String>, line: &RequestLine) -> Result<String, Fault> {
        let named = named.filter(|name| !name.is_empty()).or_else(|| line.model.clone());
        let usual = || self.usual.map(str::to_owned);
        named.or_else(usual).ok_or_else(|| Fault::missing_field("model", "a string"))
    }
}

impl Surface for OpenAiTask {
    fn name(&self) -> &'static str {
        self.name
    }

    fn dialect(&self) -> Dialect {
        Dialect::OpenAi
    }

    fn id_header(&self) -> Option<HeaderName> {
        OpenAiChat.id_header()
    }

    fn operation(&self) -> Operation {
        Operation::Task(self.task)
    }

    fn bodies(&self) -> Bodies {
        self.bodies
    }

    fn answers(&self) -> Answers {
        Answers::Unread
    }

    fn envelope(&self, body: &[u8], line: &RequestLine) -> Result<Envelope, Fault> {
        match self.bodies {
            Bodies::Any => form::envelope(self, body, line),
            Bodies::Json => {
                let unfit =
                    |error| Fault::new(Code::BadJson, format!("the body is not acceptable JSON: {error}"));
                self.inspect(&Tape::parse(body).map_err(unfit)?, line)
            }
        }
    }

    fn inspect(&self, tape: &Tape<'_>, line: &RequestLine) -> Result<Envelope, Fault> {
        json::envelope(self, tape.root(), line)
    }

    fn prompt_text(&self, body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
        match self.bodies {
            Bodies::Any => form::texts(self, body, each),
            Bodies::Json => json::texts(self, body, each),
        }
    }

    fn quantity(&self, body: &[u8], envelope: &Envelope) -> Option<Quantity> {
        match self.task {
            Task::Moderate => None,
            Task::Draw | Task::EditImage | Task::VaryImage => Some(match self.bodies {
                Bodies::Any => form::pictures(body, envelope.n),
                Bodies::Json => json::pictures_made(body, envelope.n),
            }),
            Task::Speak => Some(Quantity::characters(json::characters(body))),
            Task::Rerank => Some(Quantity::searches(json::documents(body).div_ceil(PER_SEARCH))),
            Task::Transcribe | Task::TranslateSpeech => Some(Quantity::seconds(form::seconds(body))),
        }
    }

    fn fault(&self, fault: &Fault, request_id: &str) -> Bytes {
        OpenAiChat.fault(fault, request_id)
    }

    fn fault_event(&self, fault: &Fault, asked: &Asked, begun: Begun) -> Bytes {
        OpenAiChat.fault_event(fault, asked, begun)
    }
}

/// Documents that are ranked for the price of one search: <https://cohere.com/pricing>.
const PER_SEARCH: u64 = 100;

#[cfg(test)]
mod tests;
