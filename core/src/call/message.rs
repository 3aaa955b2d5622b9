//! Messages and the parts they are made of. The same parts make up a reply.

use super::Extras;
use crate::dialect::Dialect;
use serde_json::Value;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions.
    System,
    /// Instructions, in the newer OpenAI word. Providers without the distinction treat it as system.
    Developer,
    /// The person; with results of tool calls among the parts where the dialect has them there
    /// (Anthropic, Gemini).
    User,
    /// The model.
    Assistant,
    /// Results of tool calls alone; its parts are [`Part::ToolResult`] only.
    Tool,
}

/// One turn. The order of parts within a turn is meaningful and kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The speaker's name, where a dialect has one.
    pub name: Option<String>,
    /// What is said.
    pub parts: Vec<Part>,
    /// Message fields of the origin dialect without a canonical word.
    pub extras: Extras,
}

/// A piece of a message or of a reply.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "the large variants are the common ones")]
pub enum Part {
    /// Words.
    Text(Text),
    /// A picture.
    Image(Image),
    /// Sound.
    Audio(Audio),
    /// Moving pictures.
    Video(Video),
    /// A file to read: PDF or text.
    Document(Document),
    /// The model's reasoning, readable or sealed.
    Thinking(Thinking),
    /// The model declines.
    Refusal(String),
    /// The model asks for a tool.
    ToolCall(ToolCall),
    /// What the tool said.
    ToolResult(ToolResult),
    /// Something only its own dialect understands (server tool blocks, code execution, search
    /// results); kept for a provider of that dialect, reported as lost elsewhere.
    Opaque(Opaque),
}

/// Words, with what the provider attached to them.
#[derive(Clone, PartialEq, Default)]
pub struct Text {
    /// The words themselves. May be empty where a signature or citation hangs on them.
    pub text: String,
    /// Where a prompt cache should end.
    pub cache: Option<CacheMark>,
    /// Gemini signs text parts too.
    pub signature: Option<Signature>,
    /// Citations or annotations, as the origin dialect writes them.
    pub citations: Option<Opaque>,
}

impl Text {
    /// Plain words.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Text({} bytes)", self.text.len())
    }
}

/// Where a prompt cache should end, and for how long it should live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheMark {
    /// `5m`, `1h`; absent where the client did not say. Kept verbatim.
    pub ttl: Option<String>,
    /// Further fields of the mark (`scope`, …), kept verbatim.
    pub extras: Extras,
}

/// Proof by a provider that it wrote a part. Worthless, and often an error, anywhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    /// Whose proof it is.
    pub origin: Dialect,
    /// The opaque value, verbatim.
    pub value: String,
}

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signature({:?}, {} bytes)", self.origin, self.value.len())
    }
}

/// Where the bytes of a medium are.
#[derive(Clone, PartialEq)]
pub enum MediaSource {
    /// In the call, base64 as received. `media_type` is a MIME type such as `image/png`.
    Inline {
        /// MIME type, lower case.
        media_type: String,
        /// Standard base64 with padding, verbatim.
        data: String,
    },
    /// To be fetched by the provider.
    Url {
        /// The address, verbatim.
        url: String,
        /// MIME type where the client gave one.
        media_type: Option<String>,
    },
    /// A file kept by a provider; only that provider can resolve it.
    File {
        /// The provider's file id or URI.
        id: String,
        /// MIME type where the client gave one.
        media_type: Option<String>,
        /// Whose id it is.
        origin: Dialect,
    },
}

impl std::fmt::Debug for MediaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inline { media_type, data } => write!(f, "Inline({media_type}, {} bytes)", data.len()),
            Self::Url { url, .. } => write!(f, "Url({} bytes)", url.len()),
            Self::File { origin, .. } => write!(f, "File({origin:?})"),
        }
    }
}

/// A picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Where its bytes are.
    pub source: MediaSource,
    /// OpenAI's `low`, `high`, `auto`, `original`.
    pub detail: Option<String>,
    /// Where a prompt cache should end.
    pub cache: Option<CacheMark>,
}

/// Sound. In a reply it may carry a transcript and an id to refer back to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// Where its bytes are; absent when an earlier reply's audio is referred to by `id`.
    pub source: Option<MediaSource>,
    /// OpenAI's id of generated audio.
    pub id: Option<String>,
    /// What is said.
    pub transcript: Option<String>,
    /// When the id stops being valid, seconds since the Unix epoch.
    pub expires_at: Option<u64>,
}

/// Moving pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Video {
    /// Where its bytes are.
    pub source: MediaSource,
}

/// A file to read.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its content.
    pub body: DocumentBody,
    /// File name or title.
    pub title: Option<String>,
    /// Anthropic's `context`: words about the document that are not cited.
    pub about: Option<String>,
    /// Anthropic's `citations` switch, verbatim.
    pub citations: Option<Value>,
    /// Where a prompt cache should end.
    pub cache: Option<CacheMark>,
}

/// The content of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum DocumentBody {
    /// A file: PDF mostly.
    Media(MediaSource),
    /// Plain text.
    Text(Text),
    /// Texts and pictures in order (Anthropic's `content` source).
    Parts(Vec<Part>),
    /// A search result (Anthropic's `search_result`): its texts, and where they were found.
    Found {
        /// An address or another name of the source.
        at: String,
        /// What was found there.
        parts: Vec<Part>,
    },
    /// A form only one dialect has.
    Opaque(Opaque),
}

/// The model's reasoning.
#[derive(Clone, PartialEq, Default)]
pub struct Thinking {
    /// Readable text; empty where the provider shows none. An empty text with a signature is
    /// complete and must be kept.
    pub text: String,
    /// The provider's proof, needed to send the part back.
    pub signature: Option<Signature>,
    /// Sealed reasoning in place of text (Anthropic's `redacted_thinking`, OpenAI's encrypted items).
    pub sealed: Option<Signature>,
}

impl std::fmt::Debug for Thinking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Thinking({} bytes, signature {:?})", self.text.len(), self.signature)
    }
}

/// The model asks for a tool.
#[derive(Clone, PartialEq)]
pub struct ToolCall {
    /// Joins the call and its result. Never empty: decoders invent one where the provider sends none.
    pub id: String,
    /// The function.
    pub name: String,
    /// Raw text as the model wrote it; meant to be a JSON object but not always one. Never
    /// re-serialised between dialects that carry text.
    pub arguments: String,
    /// Gemini signs calls; only the first of a parallel set has it.
    pub signature: Option<Signature>,
    /// Where a prompt cache should end.
    pub cache: Option<CacheMark>,
}

impl std::fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ToolCall({}, {}, {} bytes)", self.id, self.name, self.arguments.len())
    }
}

/// What the tool said.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult {
    /// The id of the call it answers.
    pub call_id: String,
    /// The function's name; filled by surfaces from the earlier call, since Gemini needs it.
    pub name: Option<String>,
    /// Text, images or documents.
    pub parts: Vec<Part>,
    /// Anthropic and Bedrock say whether the tool failed.
    pub failed: Option<bool>,
    /// Where a prompt cache should end.
    pub cache: Option<CacheMark>,
}

/// Something only its own dialect understands.
#[derive(Clone, PartialEq)]
pub struct Opaque {
    /// Whose words it is in.
    pub origin: Dialect,
    /// The block, verbatim.
    pub value: Value,
}

impl std::fmt::Debug for Opaque {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.value.get("type").and_then(Value::as_str).unwrap_or("?");
        write!(f, "Opaque({:?}, {kind})", self.origin)
    }
}
