//! The answer, composed from the request alone: the same request is always answered the same.
//!
//! Tokens are counted by one rule that anyone can check by hand: bytes divided by four, rounded
//! up, separately for the prompt's texts, the thinking, the text and each tool call; an image
//! counts 85.

use crate::ask::{Ask, Choice, Format, Last, Parallel, Thinking, Tool};
use crate::quirks::{Content, Finish, UsageMode};
use crate::schema;

const TOKENS_PER_IMAGE: u64 = 85;
const FILLER: &str = "The quick brown fox jumps over the lazy dog. ";

/// Everything a dialect needs to write the answer down.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Sixteen hex digits that identify the request.
    pub(crate) id: String,
    pub(crate) thought: Option<Thought>,
    /// The text in the pieces of a stream.
    pub(crate) pieces: Vec<String>,
    pub(crate) calls: Vec<Call>,
    pub(crate) stop: Stop,
    pub(crate) usage: Usage,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        self.pieces.concat()
    }
}

/// Thinking with the mark that proves where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Thought {
    pub(crate) pieces: Vec<String>,
    pub(crate) signature: String,
}

impl Thought {
    pub(crate) fn text(&self) -> String {
        self.pieces.concat()
    }
}

/// A tool call; the arguments are raw JSON text.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Unique within the answer, without any vendor's prefix.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

impl Call {
    /// The arguments in fragments of about eight bytes, as streams carry them.
    pub(crate) fn fragments(&self) -> Vec<String> {
        let mut made = vec![String::new()];
        for letter in self.arguments.chars() {
            if made.last().is_none_or(|last| last.len() >= 8) {
                made.push(String::new());
            }
            if let Some(last) = made.last_mut() {
                last.push(letter);
            }
        }
        made
    }
}

/// Why the answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    End,
    Length,
    Sequence(String),
    Calls,
    Filter,
}

/// Tokens; `input` includes what was cached, `output` includes `thinking`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) input: u64,
    pub(crate) cached: u64,
    pub(crate) cache_write: u64,
    pub(crate) output: u64,
    pub(crate) thinking: u64,
}

/// Tokens of a text of this many bytes.
pub(crate) fn tokens(bytes: usize) -> u64 {
    bytes.div_ceil(4) as u64
}

/// The mark the simulator puts on thinking, and demands back unchanged.
pub(crate) fn signature_of(thinking: &str) -> String {
    format!("c2lt{:016x}", crate::ask::fingerprint(thinking.as_bytes()))
}

/// The same, where it is good for one account only.
pub(crate) fn sealed_for(account: &str, thinking: &str) -> String {
    signature_of(&[thinking, account].concat())
}

/// Composes the answer to `ask`; `id` identifies the request.
pub(crate) fn compose(ask: &Ask, content: &Content, id: u64) -> Answer {
    let id = format!("{id:016x}");
    let calls = calls(ask, &id);
    let mut stop = if calls.is_empty() { Stop::End } else { Stop::Calls };
    let mut pieces = Vec::new();
    if calls.is_empty() {
        let said = cut(text(ask, content), ask, content, &mut stop);
        pieces = pieces_of(&said, content);
    }
    if let Some(size) = content.giant {
        pieces.push("g".repeat(size));
    }
    match content.finish {
        Some(Finish::Length) => stop = Stop::Length,
        Some(Finish::ContentFilter) => stop = Stop::Filter,
        None => {}
    }
    let thought = thought(ask);
    let usage = usage(ask, content, &Parts { thought: thought.as_ref(), pieces: &pieces, calls: &calls });
    Answer { id, thought, pieces, calls, stop, usage }
}

struct Parts<'a> {
    thought: Option<&'a Thought>,
    pieces: &'a [String],
    calls: &'a [Call],
}

fn usage(ask: &Ask, content: &Content, parts: &Parts<'_>) -> Usage {
    if content.usage == UsageMode::Zero {
        return Usage::default();
    }
    let thinking = match (parts.thought, ask.thinking) {
        (Some(thought), _) => tokens(thought.text().len()),
        (None, Thinking::Hidden) => tokens(thinking_text(ask).len()),
        (None, Thinking::Off | Thinking::Shown) => 0,
    };
    let text = tokens(parts.pieces.iter().map(String::len).sum());
    let calls: u64 = parts.calls.iter().map(|call| tokens(call.name.len() + call.arguments.len())).sum();
    let choices = ask.choices.max(1);
    Usage {
        input: content
            .prompt_tokens
            .unwrap_or_else(|| tokens(ask.prompt.bytes) + TOKENS_PER_IMAGE * ask.prompt.images as u64),
        cached: content.cached.unwrap_or(0),
        cache_write: content.cache_write.unwrap_or(0),
        output: (thinking + text + calls) * choices,
        thinking: thinking * choices,
    }
}

fn thinking_text(ask: &Ask) -> String {
    match &ask.last {
        Last::User(text) => {
            format!("The user wrote {} characters. I shall repeat them.", text.chars().count())
        }
        Last::Results(results) => format!("I have {} tool results to report.", results.len()),
        Last::Assistant => "I go on from where I was.".into(),
    }
}

fn thought(ask: &Ask) -> Option<Thought> {
    if ask.thinking != Thinking::Shown {
        return None;
    }
    let text = thinking_text(ask);
    Some(Thought { signature: sealed_for(&ask.account, &text), pieces: words(&text) })
}

fn text(ask: &Ask, content: &Content) -> String {
    if let Some(chars) = content.chars {
        return FILLER.chars().cycle().take(chars).collect();
    }
    match &ask.format {
        Format::Schema(schema) => return schema::instance(schema).to_string(),
        Format::Object => return serde_json::json!({"answer": plain(ask)}).to_string(),
        Format::Text => {}
    }
    plain(ask)
}

fn plain(ask: &Ask) -> String {
    let mut said = match &ask.last {
        Last::User(text) => format!("You said: {text}"),
        Last::Results(results) => {
            let lines: Vec<String> =
                results.iter().map(|result| format!("{} returned: {}", result.name, result.text)).collect();
            lines.join("\n")
        }
        Last::Assistant => "and so on.".into(),
    };
    if ask.prompt.images > 0 {
        said.push_str(&format!(" (and {} images)", ask.prompt.images));
    }
    said
}

/// Ends the text at the first stop sequence, then at the token limit.
fn cut(mut said: String, ask: &Ask, content: &Content, stop: &mut Stop) -> String {
    let found = ask.stops.iter().filter(|one| !one.is_empty());
    let first = found.filter_map(|one| Some((said.find(one.as_str())?, one))).min_by_key(|(at, _)| *at);
    if let Some((at, sequence)) = first {
        said.truncate(at);
        *stop = Stop::Sequence(sequence.clone());
    }
    let most = ask
        .max_tokens
        .filter(|_| !content.uncapped)
        .map_or(usize::MAX, |tokens| usize::try_from(tokens).unwrap_or(usize::MAX).saturating_mul(4));
    if said.len() > most {
        said.truncate(said.floor_char_boundary(most));
        *stop = Stop::Length;
    }
    said
}

fn pieces_of(said: &str, content: &Content) -> Vec<String> {
    let Some(events) = content.events else { return words(said) };
    let letters: Vec<char> =
        if content.chars.is_some() { said.chars().collect() } else { padded(said, events) };
    let mut left = letters.as_slice();
    let mut made = Vec::with_capacity(events);
    for remaining in (1..=events).rev() {
        let (piece, rest) = left.split_at(left.len().div_ceil(remaining).min(left.len()));
        made.push(piece.iter().collect());
        left = rest;
    }
    made
}

/// The text, filled up to at least one letter for each event.
fn padded(said: &str, least: usize) -> Vec<char> {
    let missing = least.saturating_sub(said.chars().count());
    said.chars().chain(FILLER.chars().cycle().take(missing)).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(String::from).collect()
}

/// A call to make, before it has an id.
struct Wanted {
    name: String,
    arguments: String,
}

impl Wanted {
    /// With arguments made from the tool's schema.
    fn minimal(tool: &Tool) -> Wanted {
        let made = schema::instance(&tool.schema);
        let arguments = if made.is_object() { made.to_string() } else { "{}".into() };
        Wanted { name: tool.name.clone(), arguments }
    }
}

fn calls(ask: &Ask, id: &str) -> Vec<Call> {
    let mut wanted = match &ask.choice {
        Choice::Never => Vec::new(),
        Choice::Named(name) => {
            ask.tools.iter().filter(|tool| tool.name == *name).map(Wanted::minimal).collect()
        }
        Choice::Required => match asked_for(ask) {
            asked if asked.is_empty() => ask.tools.first().map(Wanted::minimal).into_iter().collect(),
            asked => asked,
        },
        Choice::Auto => asked_for(ask),
    };
    if ask.parallel == Parallel::Forbidden {
        wanted.truncate(1);
    }
    let tail = id.get(4..).unwrap_or(id);
    let call = |(at, Wanted { name, arguments })| Call { id: format!("{tail}{at:04}"), name, arguments };
    wanted.into_iter().enumerate().map(call).collect()
}

/// The calls the user spelled out, line by line: `call NAME {json}`. Arguments that are not given
/// are made from the tool's schema; what is given is sent as it stands, be it JSON or not.
fn asked_for(ask: &Ask) -> Vec<Wanted> {
    let Last::User(text) = &ask.last else { return Vec::new() };
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("call "));
    let called = lines.filter_map(|line| {
        let (name, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let tool = ask.tools.iter().find(|tool| tool.name == name)?;
        Some(match arguments.trim() {
            "" => Wanted::minimal(tool),
            given => Wanted { name: name.into(), arguments: given.into() },
        })
    });
    called.collect()
}
