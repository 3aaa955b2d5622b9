//! What we serve: each surface is one dialect seen from the server's side.
//!
//! A surface inspects a request (cheaply, for routing), parses it into a canonical call (only where
//! it must be translated), and renders replies, streams and faults. It knows no provider.

pub mod anthropic_messages;
pub mod bedrock;
pub mod gemini;
pub mod openai_chat;
pub mod openai_completions;
pub mod openai_embeddings;
pub mod openai_files;
pub mod openai_realtime;
pub mod openai_responses;
pub mod openai_tasks;
pub mod raw;

mod bulk; // how much a prompt holds
mod conversation; // what identifies a conversation
mod fields; // an object being taken apart
mod path; // where a value stands
mod proof; // proofs of other providers
mod shape; // what a field's value must be

use crate::call::{Call, Operation, UsageChunk};
use crate::config::ProviderId;
use crate::count::{Besides, Media};
use crate::dialect::Dialect;
use crate::embedding::{EmbeddingCall, Embeddings};
use crate::fault::{Code, Fault};
use crate::framing::Framing;
use crate::json::{self, Tape};
use crate::maker::Made;
use crate::reply::{Event, Reply};
use crate::units::Tokens;
use crate::usage::Quantity;
use bytes::{Bytes, BytesMut};
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::ops::Range;

/// What every surface can do.
pub trait Surface: Sync {
    /// Its name in logs and metrics.
    fn name(&self) -> &'static str;

    /// The dialect it serves. An upstream of the same dialect gets the client's own bytes.
    fn dialect(&self) -> Dialect;

    /// The header in which clients of the dialect look for a request's id.
    fn id_header(&self) -> Option<HeaderName> {
        None
    }

    /// What it asks of models.
    fn operation(&self) -> Operation {
        Operation::Chat
    }

    /// The form of its streams, where the request's query has a say in it.
    fn framing(&self, query: Option<&str>) -> Framing {
        let _ = query;
        Framing::Events
    }

    /// Whether its bodies are JSON. Those of other surfaces come with their `content-type` in
    /// [`RequestLine::content_type`], and go upstream with it.
    fn bodies(&self) -> Bodies {
        Bodies::Json
    }

    /// What is made of answers that pass.
    fn answers(&self) -> Answers {
        Answers::Dialect
    }

    /// Reads what routing needs off a body. Surfaces whose bodies are not JSON do this in their own way,
    /// and have no use for [`Self::inspect`].
    fn envelope(&self, body: &[u8], line: &RequestLine) -> Result<Envelope, Fault> {
        let tape = Tape::parse(body).map_err(|error| {
            Fault::new(Code::BadJson, format!("the body is not acceptable JSON: {error}"))
        })?;
        self.inspect(&tape, line)
    }

    /// Checks the request's shape and reads what routing needs, without building a call. Everything
    /// that is wrong whatever the provider is refused here, by field.
    fn inspect(&self, tape: &Tape<'_>, line: &RequestLine) -> Result<Envelope, Fault>;

    /// Whether a request makes a batch of calls that are in a file.
    fn is_batch(&self) -> bool {
        false
    }

    /// Whether a request asks for an answer that goes on being written after the exchange is over, so
    /// that nobody tells here what it came to.
    fn leaves_running(&self, body: &[u8]) -> bool {
        let _ = body;
        false
    }

    /// Hands over each text of a prompt whose tokens are to be counted, each by itself, and says what
    /// the prompt counts for besides. Of a body that `inspect` would refuse, whatever can be found.
    fn prompt_text(&self, body: &[u8], each: &mut dyn FnMut(&str)) -> Besides;

    /// What a request with such an envelope may be priced by besides tokens, as far as it tells itself.
    fn quantity(&self, body: &[u8], envelope: &Envelope) -> Option<Quantity> {
        let _ = (body, envelope);
        None
    }

    /// Builds the canonical call from a body that `inspect` has accepted. Of a surface that asks for
    /// vectors a fault: see [`Self::parse_embedding`].
    fn parse(&self, body: &[u8], line: &RequestLine) -> Result<Call, Fault> {
        let _ = (body, line);
        Err(Fault::new(Code::Bug, "a surface that is not for chat was asked for a chat call"))
    }

    /// The answer to a request that asks how many tokens its prompt has, where the surface has such.
    fn counted(&self, input: Tokens) -> Option<Bytes> {
        let _ = input;
        None
    }

    /// The same for a surface that asks for vectors.
    fn parse_embedding(&self, body: &[u8], line: &RequestLine) -> Result<EmbeddingCall, Fault> {
        let _ = (body, line);
        Err(Fault::new(Code::Bug, "a surface that is not for vectors was asked for a call for some"))
    }

    /// Renders vectors as the body to send; empty for a surface that has none.
    fn render_embeddings(&self, embeddings: &Embeddings, call: &EmbeddingCall, asked: &Asked) -> Bytes {
        let _ = (embeddings, call, asked);
        Bytes::new()
    }

    /// Renders a whole reply as the body to send; empty for a surface that is not for chat.
    fn render(&self, reply: &Reply, asked: &Asked) -> Bytes {
        let _ = (reply, asked);
        Bytes::new()
    }

    /// Renders a stream, event by event; nothing for a surface that has none.
    fn renderer(&self, asked: Asked) -> Box<dyn Render> {
        let _ = asked;
        Box::new(Silent)
    }

    /// The body of an error answer. Status and headers are the caller's to set.
    fn fault(&self, fault: &Fault, request_id: &str) -> Bytes;

    /// The status of an error answer.
    fn fault_status(&self, fault: &Fault) -> u16 {
        fault.status()
    }

    /// Adds what the dialect says of an error in the head of its answer.
    fn label_fault(&self, fault: &Fault, headers: &mut HeaderMap) {
        let _ = (fault, headers);
    }

    /// What ends a stream in which something went wrong.
    fn fault_event(&self, fault: &Fault, asked: &Asked, begun: Begun) -> Bytes;

    /// The same after this frame's data, in dialects that number their frames.
    fn fault_event_after(&self, last: &[u8], fault: &Fault, asked: &Asked, begun: Begun) -> Bytes {
        let _ = last;
        self.fault_event(fault, asked, begun)
    }

    /// What ends a passed-on stream of this dialect well although its upstream goes on: every answer
    /// that is still open stops for its length, then the end mark.
    fn cut_off(&self, so_far: &SoFar<'_>, asked: &Asked) -> Bytes {
        let _ = (so_far, asked);
        Bytes::new()
    }
}

/// What a request's line says of the call, in dialects that say something there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestLine {
    /// The model, where the path names it.
    pub model: Option<String>,
    /// The form of a stream.
    pub framing: Framing,
    /// What the body is said to be, on surfaces whose bodies may be anything.
    pub content_type: Option<HeaderValue>,
    /// The provider whose name the path begins with: the model is one of its own.
    pub provider: Option<ProviderId>,
    /// What is sent to a provider as it came.
    pub raw: Option<Box<Raw>>,
    /// Whose client asks.
    pub client: Client,
}

/// Clients of the same dialect that want different things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Client {
    /// One that reads what the dialect's own client reads.
    #[default]
    Usual,
    /// Mistral's own. Each streamed piece of a call has to name its function, so calls come whole, as
    /// Mistral's do; and an entry of a list of models has to say of which kind it is.
    Mistral,
}

impl Client {
    /// By the name that it gives itself.
    pub fn of(headers: &HeaderMap) -> Self {
        let agent = headers.get(USER_AGENT).map_or(&[][..], HeaderValue::as_bytes);
        if agent.starts_with(b"mistral-client-") { Self::Mistral } else { Self::Usual }
    }
}

/// A request that a provider gets as it came, whatever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// Its method.
    pub method: Method,
    /// Appended to the base URL: a path that is escaped where it must be, with its query.
    pub below: String,
    /// The model its path names.
    pub model: Option<String>,
    /// What it may come to cost.
    pub costs: Costs,
    /// Whom it is for, where it says so; else whoever serves such things.
    pub provider: Option<String>,
}

/// What a request that passes as it came may come to cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Costs {
    /// Nothing: it reads, or takes away.
    Nothing,
    /// What it sends.
    Input,
    /// What it sends, and what is generated for it.
    All,
}

/// What the bodies of a surface's requests are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// JSON, whatever they are said to be.
    Json,
    /// Whatever they are said to be. They pass with what is spliced into them, and are never translated.
    Any,
}

/// What is made of the answers to a surface's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// They are read as the dialect's, passed on or not.
    Dialect,
    /// Those with a 2xx status pass as they come, whatever they are: JSON whole, anything else as it
    /// comes. They are looked at for usage and nothing else.
    Unread,
    /// The same whatever their status: a refusal is the provider's own answer, too, and nobody else is
    /// asked.
    Verbatim,
}

/// Whether any byte of a stream is out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begun {
    /// Nothing is.
    #[default]
    No,
    /// Something is.
    Yes,
}

/// What a client has seen of a passed-on stream.
#[derive(Clone, Copy, Debug)]
pub struct SoFar<'a> {
    /// The data of a frame with content, empty if there was none.
    pub content: &'a [u8],
    /// The data of each frame that ended an answer.
    pub finished: &'a [Bytes],
    /// The data of the last few frames that had any, oldest first.
    pub recent: &'a [Bytes],
    /// What has been generated by now, as far as that is known.
    pub output: Tokens,
    /// How many answers were asked for.
    pub choices: u64,
}

/// The surfaces by name: what a path leads to before anything is known of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SurfaceId {
    /// OpenAI chat completions.
    OpenAiChat,
    /// OpenAI Responses.
    OpenAiResponses,
    /// Anthropic Messages.
    AnthropicMessages,
    /// Anthropic's counting of a prompt's tokens.
    AnthropicCount,
    /// Google's `generateContent`.
    GeminiGenerate,
    /// Google's `streamGenerateContent`.
    GeminiStream,
    /// Google's `countTokens`.
    GeminiCount,
    /// Google's `embedContent`.
    GeminiEmbed,
    /// Google's `batchEmbedContents`.
    GeminiEmbedBatch,
    /// OpenAI's completions of a plain text.
    OpenAiCompletions,
    /// OpenAI embeddings.
    OpenAiEmbeddings,
    /// OpenAI's moderation.
    OpenAiModerations,
    /// Ranks of documents, as Cohere and Jina are asked for them.
    Rerank,
    /// OpenAI's pictures of a text.
    OpenAiImages,
    /// OpenAI's changing of pictures.
    OpenAiImageEdits,
    /// OpenAI's pictures like another.
    OpenAiImageVariations,
    /// OpenAI's speech.
    OpenAiSpeech,
    /// OpenAI's transcription of recordings.
    OpenAiTranscriptions,
    /// OpenAI's translation of recordings.
    OpenAiTranslations,
    /// Files of OpenAI's, and batches that there are.
    OpenAiFiles,
    /// A new file of OpenAI's.
    OpenAiUpload,
    /// A new batch of OpenAI's.
    OpenAiBatch,
    /// OpenAI Realtime.
    OpenAiRealtime,
    /// AWS Bedrock's `converse`.
    BedrockConverse,
    /// AWS Bedrock's `converse-stream`.
    BedrockConverseStream,
    /// AWS Bedrock's `invoke`.
    BedrockInvoke,
    /// AWS Bedrock's `invoke-with-response-stream`.
    BedrockInvokeStream,
}

/// The surface of a name.
pub fn of(id: SurfaceId) -> &'static dyn Surface {
    match id {
        SurfaceId::OpenAiChat => &openai_chat::OpenAiChat,
        SurfaceId::OpenAiResponses => &openai_responses::OpenAiResponses,
        SurfaceId::AnthropicMessages => &anthropic_messages::MESSAGES,
        SurfaceId::AnthropicCount => &anthropic_messages::COUNT,
        SurfaceId::GeminiGenerate => &gemini::WHOLE,
        SurfaceId::GeminiStream => &gemini::STREAM,
        SurfaceId::GeminiCount => &gemini::COUNT,
        SurfaceId::GeminiEmbed => &gemini::EMBED,
        SurfaceId::GeminiEmbedBatch => &gemini::EMBED_BATCH,
        SurfaceId::OpenAiCompletions => &openai_completions::OpenAiCompletions,
        SurfaceId::OpenAiEmbeddings => &openai_embeddings::OpenAiEmbeddings,
        SurfaceId::OpenAiModerations => &openai_tasks::MODERATIONS,
        SurfaceId::Rerank => &openai_tasks::RERANK,
        SurfaceId::OpenAiImages => &openai_tasks::IMAGES,
        SurfaceId::OpenAiImageEdits => &openai_tasks::IMAGE_EDITS,
        SurfaceId::OpenAiImageVariations => &openai_tasks::IMAGE_VARIATIONS,
        SurfaceId::OpenAiSpeech => &openai_tasks::SPEECH,
        SurfaceId::OpenAiTranscriptions => &openai_tasks::TRANSCRIPTIONS,
        SurfaceId::OpenAiTranslations => &openai_tasks::TRANSLATIONS,
        SurfaceId::OpenAiFiles => &openai_files::FILES,
        SurfaceId::OpenAiUpload => &openai_files::UPLOAD,
        SurfaceId::OpenAiBatch => &openai_files::BATCH,
        SurfaceId::OpenAiRealtime => &openai_realtime::OpenAiRealtime,
        SurfaceId::BedrockConverse => &bedrock::CONVERSE,
        SurfaceId::BedrockConverseStream => &bedrock::CONVERSE_STREAM,
        SurfaceId::BedrockInvoke => &bedrock::INVOKE,
        SurfaceId::BedrockInvokeStream => &bedrock::INVOKE_STREAM,
    }
}

/// The surface that speaks a dialect, for answers to what is served on no surface.
pub fn speaking(dialect: Dialect) -> &'static dyn Surface {
    match dialect {
        Dialect::OpenAi | Dialect::Cohere | Dialect::Ollama => &openai_chat::OpenAiChat,
        Dialect::OpenAiResponses => &openai_responses::OpenAiResponses,
        Dialect::Bedrock => &bedrock::CONVERSE,
        Dialect::Anthropic => &anthropic_messages::MESSAGES,
        Dialect::Gemini => &gemini::WHOLE,
    }
}

/// What a renderer needs to know of the request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The model as the client named it; shown where the provider names none.
    pub model: String,
    /// Shown where the provider gives no id: the gateway's request id.
    pub request_id: String,
    /// Shown where the provider gives no time: seconds since the Unix epoch.
    pub now_secs: u64,
    /// Whether a streaming client asked for usage.
    pub usage: UsageChunk,
    /// The form of a stream.
    pub framing: Framing,
    /// The client's body, for dialects whose answers repeat some of it.
    pub body: Bytes,
    /// Whose client asks.
    pub client: Client,
}

/// Turns events into the surface's stream.
pub trait Render: Send {
    /// Appends what this event says to `out`; nothing is a valid answer. After `Event::End` or
    /// `Event::Fault` nothing more is rendered.
    fn on(&mut self, event: &Event, out: &mut BytesMut);

    /// What ends the stream in which something went wrong, where that depends on what was rendered.
    fn fault(&mut self, fault: &Fault) -> Option<Bytes> {
        let _ = fault;
        None
    }
}

/// Of surfaces that have no streams.
struct Silent;

impl Render for Silent {
    fn on(&mut self, _event: &Event, _out: &mut BytesMut) {}
}

/// What routing needs to know of a request, and where in its bytes it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// The model as the client named it.
    pub model: String,
    /// Where the body names it, to be replaced for the upstream.
    pub model_place: ModelPlace,
    /// Whether the client wants a stream, and usage in it.
    pub delivery: crate::call::Delivery,
    /// `fallbacks` of the body: further models to try, in order.
    pub fallbacks: Vec<String>,
    /// Bytes that must not go upstream, each with its key, colon and one comma; ascending and
    /// disjoint.
    pub cuts: Vec<Range<usize>>,
    /// Identifies the conversation for prompt-cache affinity: a hash over what stays the same from
    /// turn to turn. Absent where there is nothing to stick to.
    pub conversation: Option<Conversation>,
    /// The cap on output tokens, where the client set one.
    pub max_tokens: Option<Tokens>,
    /// How much text the prompt holds, as [`crate::count::weight`] counts it: messages, tools and
    /// response format as they are written, JSON and all, but without media.
    pub prompt_bytes: u64,
    /// What it holds besides text.
    pub media: Media,
    /// How many answers are asked for; the cap on output holds for each.
    pub n: u64,
    /// The end user the client names, cut to 128 bytes.
    pub end_user: Option<String>,
    /// Where a pass-through changes the body.
    pub places: Places,
}

impl Envelope {
    /// That of a request of which nothing is known but its model.
    pub fn bare(model: String) -> Self {
        Self {
            model,
            model_place: ModelPlace::Path,
            delivery: crate::call::Delivery::Whole,
            fallbacks: Vec::new(),
            cuts: Vec::new(),
            conversation: None,
            max_tokens: None,
            prompt_bytes: 0,
            media: Media::default(),
            n: 1,
            end_user: None,
            places: Places::default(),
        }
    }
}

/// Where a body names its model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ModelPlace {
    /// Nowhere: the path does.
    #[default]
    Path,
    /// Nowhere, though the dialect's bodies name it: it is written at [`Places::members`].
    Missing,
    /// In this value, quotes included.
    Body(Range<usize>),
    /// In this text, as it is: the value of a form's field.
    Plain(Range<usize>),
    /// In the path and again in each of these values, after `models/`; ascending and disjoint.
    Resources(Vec<Range<usize>>),
}

/// Where a pass-through changes the client's body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// Where a member may be written, followed by a comma: after the root's opening brace.
    pub members: usize,
    /// What makes a streaming upstream report usage; absent where the client does not stream, has
    /// asked for it, or need not.
    pub usage: Option<Edit>,
    /// The fields that cap output, as far as the body has them.
    pub caps: Vec<CapPlace>,
    /// Where a cap is written if there is none, in dialects whose vendors agree on that.
    pub uncapped: Option<Uncapped>,
    /// What is changed for every upstream.
    pub always: Vec<Edit>,
    /// What one account has made, in the order of the body.
    pub made: Vec<Made>,
}

/// A change to a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced; empty where something is put in.
    pub span: Range<usize>,
    /// By what.
    pub text: &'static str,
}

/// Where a cap is written, between these words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncapped {
    /// What is replaced; empty where something is put in.
    pub span: Range<usize>,
    /// What stands before the number.
    pub before: &'static str,
    /// What stands after it.
    pub after: &'static str,
}

/// A field that caps output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapPlace {
    /// Its name.
    pub field: &'static str,
    /// Its value; absent where that is null.
    pub value: Option<Tokens>,
    /// Where the value stands.
    pub span: Range<usize>,
}

impl CapPlace {
    fn of(field: &'static str, value: json::Value<'_>) -> Self {
        Self { field, value: value.as_u64().map(Tokens), span: value.span() }
    }
}

/// A conversation, for keeping it on one upstream while its provider's prompt cache lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conversation {
    /// Over tools, system text and the first user message.
    pub prefix: u64,
    /// Whether this request continues it, or marks a cache, so that it should go where it was.
    pub follows: Follows,
}

/// Whether a request has reason to go where its conversation was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Follows {
    /// A first turn without cache marks: route freely, remember where it went.
    FirstTurn,
    /// A later turn, or one with cache marks.
    Earlier,
}
