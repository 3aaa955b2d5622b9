//! What a field is called in the dialect a call came in.
//!
//! Encoders name what they cannot carry, or cannot accept, as OpenAI does, whose dialect has a word for
//! nearly everything. A client of another dialect is told in its own words.

mod responses;

pub(super) use responses::needs_nothing_kept;

use crate::call::{Call, Opaque, Reasoning, ReasoningMode, Tool};
use crate::dialect::Dialect;
use crate::fault::Fault;
use serde_json::Value;

/// OpenAI's names, Anthropic's, Gemini's and Bedrock's. They stand for themselves and for what lies below them.
const NAMES: &[[&str; 4]] = &[
    [
        "response_format.json_schema.schema",
        "output_config.format.schema",
        "generationConfig.responseSchema",
        "outputConfig.textFormat.structure.jsonSchema.schema",
    ],
    ["response_format", "output_config.format", "generationConfig.responseSchema", "outputConfig.textFormat"],
    [
        "reasoning.max_tokens",
        "thinking.budget_tokens",
        "generationConfig.thinkingConfig.thinkingBudget",
        "additionalModelRequestFields.thinking.budget_tokens",
    ],
    [
        "reasoning.exclude",
        "thinking.display",
        "generationConfig.thinkingConfig.includeThoughts",
        "additionalModelRequestFields.thinking.display",
    ],
    ["reasoning_effort", "output_config.effort", "generationConfig.thinkingConfig", "outputConfig.effort"],
    [
        "parallel_tool_calls",
        "tool_choice.disable_parallel_tool_use",
        "parallel_tool_calls",
        "parallel_tool_calls",
    ],
    ["tool_choice", "tool_choice", "toolConfig.functionCallingConfig", "toolConfig.toolChoice"],
    ["safety_identifier", "metadata.user_id", "safety_identifier", "safety_identifier"],
    ["user", "metadata.user_id", "user", "user"],
    ["stop", "stop_sequences", "generationConfig.stopSequences", "inferenceConfig.stopSequences"],
    ["max_tokens", "max_tokens", "generationConfig.maxOutputTokens", "inferenceConfig.maxTokens"],
    ["temperature", "temperature", "generationConfig.temperature", "inferenceConfig.temperature"],
    ["top_p", "top_p", "generationConfig.topP", "inferenceConfig.topP"],
    ["top_k", "top_k", "generationConfig.topK", "additionalModelRequestFields.top_k"],
    ["seed", "seed", "generationConfig.seed", "seed"],
    ["n", "n", "generationConfig.candidateCount", "n"],
    ["presence_penalty", "presence_penalty", "generationConfig.presencePenalty", "presence_penalty"],
    ["frequency_penalty", "frequency_penalty", "generationConfig.frequencyPenalty", "frequency_penalty"],
    ["logprobs", "logprobs", "generationConfig.responseLogprobs", "logprobs"],
    ["top_logprobs", "top_logprobs", "generationConfig.logprobs", "top_logprobs"],
    ["modalities", "modalities", "generationConfig.responseModalities", "modalities"],
    ["audio", "audio", "generationConfig.speechConfig", "audio"],
    ["metadata", "metadata", "metadata", "requestMetadata"],
    ["service_tier", "service_tier", "serviceTier", "serviceTier"],
];

/// Pieces of paths: OpenAI's, Anthropic's, Gemini's and Bedrock's.
const PIECES: &[[&str; 4]] = &[
    [".function.parameters", ".input_schema", ".parameters", ".toolSpec.inputSchema"],
    [".function.arguments", ".input", ".args", ".toolUse.input"],
    [".function.", ".", ".", ".toolSpec."],
    [".image_url", ".source", ".inlineData", ".image"],
    [".file.filename", ".title", ".inlineData.displayName", ".document.name"],
    [".file", ".source", ".inlineData", ".document"],
    [".input_audio", ".source", ".inlineData", ".audio"],
    [".video_url", ".source", ".inlineData", ".video"],
    [".annotations", ".citations", ".citations", ".citationsContent"],
    [".tool_call_id", ".tool_use_id", ".functionResponse.id", ".toolResult.toolUseId"],
    [".content", ".content", ".parts", ".content"],
];

/// The names of a loss in the call's own dialect. Gemini keeps most settings in one object: of what is
/// lost of it each field is told.
pub(super) fn lost(name: &str, call: &Call) -> Vec<String> {
    match (call.origin, call.extras.get(name)) {
        (Dialect::Gemini, Some(Value::Object(fields)))
            if matches!(name, "generationConfig" | "toolConfig") =>
        {
            fields.keys().map(|field| format!("{name}.{field}")).collect()
        }
        _ => vec![named(name, call)],
    }
}

/// A tool as Gemini's clients wrote it: functions that follow each other stand in one entry, each other
/// tool in one of its own.
fn geminis_tool(name: &str, call: &Call) -> Option<String> {
    let (at, rest) = name.strip_prefix("tools[")?.split_once(']')?;
    let at: usize = at.parse().ok()?;
    let (mut entry, mut function) = (0, 0);
    let mut before: Option<&Tool> = None;
    for tool in call.tools.iter().take(at + 1) {
        match (before, tool) {
            (Some(Tool::Function(_)), Tool::Function(_)) => function += 1,
            (earlier, _) => {
                entry += usize::from(earlier.is_some());
                function = 0;
            }
        }
        before = Some(tool);
    }
    Some(match before? {
        Tool::Function(_) => format!("tools[{entry}].functionDeclarations[{function}]{rest}"),
        Tool::Hosted(Opaque { origin: _, value }) => {
            let key = value.as_object().and_then(|fields| fields.keys().next());
            format!("tools[{entry}].{}{rest}", key.map_or("", String::as_str))
        }
    })
}

/// A field's name in the call's own dialect, given OpenAI's.
pub(super) fn named(name: &str, call: &Call) -> String {
    let column = match call.origin {
        // Nobody calls in the last two.
        Dialect::OpenAi | Dialect::Cohere | Dialect::Ollama => return name.to_owned(),
        Dialect::OpenAiResponses => return responses::named(name, call),
        Dialect::Anthropic => 1,
        Dialect::Gemini => 2,
        Dialect::Bedrock => 3,
    };
    if name == "reasoning_effort" && call.origin == Dialect::Anthropic && asks_to_think(call) {
        return "thinking".to_owned();
    }
    let row = NAMES.iter().find_map(|row| Some((row, below(name, row.first()?)?)));
    if let Some((row, rest)) = row {
        return format!("{}{rest}", row.get(column).copied().unwrap_or_default());
    }
    let named = path(name, column);
    match column {
        2 => geminis_tool(&named, call).unwrap_or(named),
        3 if named.starts_with("tools[") => format!("toolConfig.{named}"),
        _ => named,
    }
}

/// What follows a name: nothing, or what lies below it.
fn below<'n>(name: &'n str, known: &str) -> Option<&'n str> {
    name.strip_prefix(known).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn path(name: &str, column: usize) -> String {
    let mut named = name.to_owned();
    for row in PIECES {
        let [openai, ..] = *row;
        named = replaced(&named, openai, row.get(column).copied().unwrap_or_default());
    }
    if column != 2 {
        return named;
    }
    if named == "messages" {
        return "contents".to_owned();
    }
    let of_system = named.strip_prefix("system[").map(|rest| format!("systemInstruction.parts[{rest}"));
    let of_messages = || named.strip_prefix("messages[").map(|rest| format!("contents[{rest}"));
    of_system.or_else(of_messages).unwrap_or(named)
}

/// A piece of a path replaced wherever it is one, and not the beginning of a longer word.
fn replaced(name: &str, piece: &str, by: &str) -> String {
    let mut out = String::with_capacity(name.len() + by.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once(piece) {
        out.push_str(before);
        let goes_on = after.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
        out.push_str(if goes_on && !piece.ends_with('.') { piece } else { by });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Whether an Anthropic call says anything by `thinking`; else its effort is all it has said.
fn asks_to_think(call: &Call) -> bool {
    let Some(Reasoning { mode, effort: _, budget, shown }) = &call.reasoning else { return false };
    *mode != ReasoningMode::Unsaid || budget.is_some() || shown.is_some()
}

/// A fault with its field named so.
pub(super) fn blamed(mut fault: Fault, call: &Call) -> Fault {
    if let Some(field) = fault.param.take() {
        let own = named(&field, call);
        if let Some(rest) = fault.message.strip_prefix(&field) {
            fault.message = format!("{own}{rest}");
        }
        fault.param = Some(own);
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::{RequestLine, Surface, openai_chat::OpenAiChat};

    fn call(origin: Dialect) -> Call {
        let body = br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
        Call { origin, ..OpenAiChat.parse(body, &RequestLine::default()).unwrap() }
    }

    #[test]
    fn a_field_is_named_as_its_client_names_it() {
        for (openai, anthropic, gemini) in [
            ("stop", "stop_sequences", "generationConfig.stopSequences"),
            ("n", "n", "generationConfig.candidateCount"),
            ("user", "metadata.user_id", "user"),
            ("reasoning_effort", "output_config.effort", "generationConfig.thinkingConfig"),
            ("response_format", "output_config.format", "generationConfig.responseSchema"),
            ("tools[2].function.strict", "tools[2].strict", "tools[2].strict"),
            ("tools[0].function.parameters.$ref", "tools[0].input_schema.$ref", "tools[0].parameters.$ref"),
            (
                "messages[1].content[0].image_url",
                "messages[1].content[0].source",
                "contents[1].parts[0].inlineData",
            ),
            ("messages[1].tool_call_id", "messages[1].tool_use_id", "contents[1].functionResponse.id"),
            (
                "system[1].cache_control",
                "system[1].cache_control",
                "systemInstruction.parts[1].cache_control",
            ),
            ("user_agent", "user_agent", "user_agent"),
        ] {
            assert_eq!(named(openai, &call(Dialect::OpenAi)), openai);
            assert_eq!(named(openai, &call(Dialect::Anthropic)), anthropic);
            assert_eq!(named(openai, &call(Dialect::Gemini)), gemini);
        }
    }

    #[test]
    fn what_asks_to_think_is_named_by_the_field_that_asked() {
        let reasoning = Reasoning { mode: ReasoningMode::Adaptive, ..Reasoning::default() };
        let call = Call { reasoning: Some(reasoning), ..call(Dialect::Anthropic) };
        assert_eq!(named("reasoning_effort", &call), "thinking");
    }

    #[test]
    fn a_fault_is_renamed_in_its_message_too() {
        let fault = blamed(Fault::bad_field("stop", "at most 5 texts", 6), &call(Dialect::Anthropic));
        assert_eq!(fault.param.as_deref(), Some("stop_sequences"));
        assert_eq!(fault.message, "stop_sequences: expected at most 5 texts, found 6");
    }
}
