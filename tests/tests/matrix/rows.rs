//! The vendors of the matrix: each row of core's table, and what is written of it.
//!
//! `vendors.json` says of every vendor where it is called and with which header, in which words it departs
//! from its dialect, and what it answers in words of its own. `accents.json` says what a departure looks like
//! on the wire. A row without an entry fails, and so do a departure that the entry does not name, one that
//! nobody has written down, and an entry without a row.

use serde_json::Value;
use std::path::Path;
use tollgate_core::dialect::Dialect;
use tollgate_core::vendor::{
    CacheMarks, ChatPath, CompletionCount, DeveloperRole, EmbeddingWords, MaxTokensField, MessageNames,
    PlainCompletions, PromptCount, Quirks, ReasoningAsk, RequiredWord, SeedField, StreamOptions,
    StreamedToolIndex, ThinkingBack, ToolIds, TopK, Turns, VENDORS, Vendor,
};
use tollgate_tests::replay::Replay;

/// A vendor as it speaks one dialect.
pub struct Row {
    pub vendor: &'static Vendor,
    /// What is written of it.
    pub written: Value,
    /// What is written of its departures, where they count.
    pub accents: Vec<Value>,
}

pub fn read(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/matrix").join(format!("{name}.json"));
    let text = std::fs::read(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    serde_json::from_slice(&text).unwrap_or_else(|why| panic!("{}: {why}", file.display()))
}

/// Every row, in the table's order. Panics where something is not written, or written of nobody.
pub fn all() -> Vec<Row> {
    let (vendors, accents) = (read("vendors"), read("accents"));
    let mut rows = Vec::new();
    let mut spoken = Vec::new();
    for vendor in VENDORS {
        let written = vendors.get(vendor.name);
        let written = written.unwrap_or_else(|| panic!("vendors.json: `{}` is not written", vendor.name));
        rows.push(row(vendor, written, &accents, &mut spoken));
        match (vendor.also, written.get("also")) {
            (Some(also), Some(written)) => rows.push(row(also, written, &accents, &mut spoken)),
            (None, None) => {}
            (Some(_), None) => panic!("vendors.json: {}.also is not written", vendor.name),
            (None, Some(_)) => panic!("vendors.json: {} speaks one dialect only", vendor.name),
        }
    }
    for name in vendors.as_object().unwrap().keys() {
        assert!(VENDORS.iter().any(|vendor| vendor.name == name), "vendors.json: nobody is called `{name}`");
    }
    for name in accents.as_object().unwrap().keys() {
        assert!(spoken.contains(name), "accents.json: nobody departs by `{name}`");
    }
    rows
}

fn row(vendor: &'static Vendor, written: &Value, accents: &Value, spoken: &mut Vec<String>) -> Row {
    let departs = departures(vendor);
    let mut named: Vec<_> = list(&written["departs"]).iter().filter_map(Value::as_str).collect();
    named.sort_unstable();
    assert_eq!(departs, named, "vendors.json: {}.departs", vendor.name);
    let accents = departs.iter().map(|name| {
        let accent = accents.get(*name);
        accent.cloned().unwrap_or_else(|| panic!("accents.json: `{name}` is not written"))
    });
    spoken.extend(departs.iter().map(|name| (*name).to_owned()));
    let accents = accents.collect();
    Row { vendor, written: written.clone(), accents }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Where the row departs from its dialect, in order. All of these but the path are words of OpenAI's chat,
/// which Responses knows nothing of.
fn departures(vendor: &Vendor) -> Vec<&'static str> {
    let Quirks {
        path,
        completions,
        max_tokens,
        stream_options,
        developer,
        reasoning,
        thinking_back,
        required,
        seed,
        tool_ids,
        tool_index,
        names,
        turns,
        cache_marks,
        top_k,
        prompt,
        completion,
        embeddings,
    } = vendor.quirks;
    if vendor.dialect == Dialect::OpenAiResponses {
        return Vec::new();
    }
    let path = match path {
        ChatPath::Plain => None,
        ChatPath::Deployment => Some("path: deployment"),
        ChatPath::Vertex => Some("path: vertex"),
    };
    let reasoning = match reasoning {
        ReasoningAsk::Effort => None,
        ReasoningAsk::Object => Some("reasoning: object"),
        ReasoningAsk::Switch => Some("reasoning: switch"),
        ReasoningAsk::EnableFlag => Some("reasoning: enable-flag"),
    };
    let thinking_back = match thinking_back {
        ThinkingBack::LeftOut => None,
        ThinkingBack::ReasoningContent => Some("thinking_back: reasoning_content"),
        ThinkingBack::WithToolCalls => Some("thinking_back: with-tool-calls"),
        ThinkingBack::Reasoning => Some("thinking_back: reasoning"),
        ThinkingBack::ReasoningDetails => Some("thinking_back: reasoning-details"),
        ThinkingBack::Chunks => Some("thinking_back: chunks"),
    };
    let turns = match turns {
        Turns::Free => None,
        Turns::Alternating => Some("turns: alternating"),
        Turns::NoUserAfterTool => Some("turns: no-user-after-tool"),
    };
    let cache_marks = match cache_marks {
        CacheMarks::AsWritten => None,
        CacheMarks::Sent => Some("cache_marks: sent"),
        CacheMarks::Unknown => Some("cache_marks: unknown"),
    };
    let embeddings = match embeddings {
        EmbeddingWords::OpenAi => None,
        EmbeddingWords::Voyage => Some("embeddings: voyage"),
        EmbeddingWords::Jina => Some("embeddings: jina"),
    };
    let told = [
        path,
        (completions == PlainCompletions::Missing).then_some("completions: missing"),
        (max_tokens == MaxTokensField::MaxTokens).then_some("max_tokens: max_tokens"),
        (stream_options == StreamOptions::Unknown).then_some("stream_options: unknown"),
        (developer == DeveloperRole::AsSystem).then_some("developer: as-system"),
        reasoning,
        thinking_back,
        (required == RequiredWord::Any).then_some("required: any"),
        (seed == SeedField::RandomSeed).then_some("seed: random_seed"),
        (tool_ids == ToolIds::NineAlphanumeric).then_some("tool_ids: nine"),
        (tool_index == StreamedToolIndex::Missing).then_some("tool_index: missing"),
        (names == MessageNames::Refused).then_some("names: refused"),
        turns,
        cache_marks,
        (top_k == TopK::Known).then_some("top_k: known"),
        (prompt == PromptCount::WithoutAudio).then_some("prompt: without-audio"),
        (completion == CompletionCount::WithoutReasoning).then_some("completion: without-reasoning"),
        embeddings,
    ];
    let mut told: Vec<_> = told.into_iter().flatten().collect();
    told.sort_unstable();
    told
}

impl Row {
    /// For people.
    pub fn name(&self) -> String {
        format!("{} ({:?})", self.vendor.name, self.vendor.dialect)
    }

    /// Whether it chats. What does not says what it does instead.
    pub fn chats(&self) -> bool {
        self.written.get("vectors").or(self.written.get("raw")).is_none()
    }

    /// A gateway before it, whose model is `m-1` for clients.
    pub fn gateway(&self, usual: &str) -> Replay {
        let terms = if self.vendor.name == "vertex" { "project = \"p\"\nlocation = \"global\"" } else { "" };
        let model = self.written["model"].as_str().unwrap_or(usual);
        Replay { terms: terms.to_owned(), ..Replay::new(self.vendor.name, model) }.alias("m-1")
    }

    /// What it answers, or how it refuses, in words of its own: its own entry's before those of its departures.
    pub fn own(&self, part: &str, case: &str) -> Option<&Value> {
        let all = std::iter::once(&self.written).chain(&self.accents);
        all.filter_map(|written| written[part].get(case)).next()
    }

    /// The path a call of this model goes to.
    pub fn path(&self, model: &str) -> String {
        let path = self.written["path"].as_str();
        path.unwrap_or_else(|| panic!("vendors.json: {}.path is not written", self.vendor.name))
            .replace("MODEL", model)
    }
}
