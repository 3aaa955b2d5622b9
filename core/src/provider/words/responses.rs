//! What a field is called by clients of Responses.

use super::{below, replaced};
use crate::call::{Call, Message, Part, Role};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use crate::provider::Target;

/// Chat's names and those of Responses. They stand for themselves and for what lies below them.
const NAMES: &[[&str; 2]] = &[
    ["response_format.json_schema", "text.format"],
    ["response_format", "text.format"],
    ["reasoning_effort", "reasoning.effort"],
    ["reasoning.max_tokens", "reasoning.effort"],
    ["reasoning.exclude", "reasoning.summary"],
    ["thinking", "reasoning.effort"],
    ["verbosity", "text.verbosity"],
    ["max_tokens", "max_output_tokens"],
    ["logprobs", "include"],
];

/// Pieces of paths.
const PIECES: &[[&str; 2]] =
    &[[".function.", "."], [".file.filename", ".filename"], [".file", ""], [".tool_call_id", ".call_id"]];

/// A field's name, given chat's.
pub(super) fn named(name: &str, call: &Call) -> String {
    let row = NAMES.iter().find_map(|[chat, own]| Some((own, below(name, chat)?)));
    if let Some((own, rest)) = row {
        return format!("{own}{rest}");
    }
    let mut named = item(name, call).unwrap_or_else(|| name.to_owned());
    for [chat, own] in PIECES {
        named = replaced(&named, chat, own);
    }
    named
}

/// A path into the messages as one into the items they were made of.
fn item(name: &str, call: &Call) -> Option<String> {
    if name == "messages" {
        return Some("input".to_owned());
    }
    if name.starts_with("system") {
        return Some("instructions".to_owned());
    }
    let (at, rest) = index(name.strip_prefix("messages[")?)?;
    let message = call.messages.get(at)?;
    let first: usize = call.messages.iter().take(at).map(|message| groups(message).count().max(1)).sum();
    let inside = rest.strip_prefix(".content[").and_then(index);
    let inside = inside.or_else(|| {
        let (call, rest) = index(rest.strip_prefix(".tool_calls[")?)?;
        let calls = message.parts.iter().enumerate().filter(|(_, part)| matches!(part, Part::ToolCall(_)));
        Some((calls.map(|(at, _)| at).nth(call)?, rest))
    });
    let Some((part, rest)) = inside else { return Some(format!("input[{first}]{rest}")) };
    if message.role == Role::Tool {
        return Some(format!("input[{first}].output[{part}]{rest}"));
    }
    let group =
        groups(message).enumerate().find(|(_, group)| (group.first..group.first + group.len).contains(&part));
    let (after, group) = group?;
    Some(match group.form {
        Form::Item => format!("input[{}]{rest}", first + after),
        Form::Message => format!("input[{}].content[{}]{rest}", first + after, part - group.first),
    })
}

/// A number up to its bracket, and what follows it.
fn index(text: &str) -> Option<(usize, &str)> {
    let (number, rest) = text.split_once(']')?;
    Some((number.parse().ok()?, rest))
}

/// Parts of a message that were one item.
struct Group {
    first: usize,
    len: usize,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// An item of its own.
    Item,
    /// The content of a message.
    Message,
}

fn groups(message: &Message) -> impl Iterator<Item = Group> {
    let form = |part: &Part| match part {
        Part::Thinking(_) | Part::ToolCall(_) | Part::ToolResult(_) => Form::Item,
        Part::Opaque(_) if message.role == Role::Assistant => Form::Item,
        Part::Text(_)
        | Part::Image(_)
        | Part::Audio(_)
        | Part::Video(_)
        | Part::Document(_)
        | Part::Refusal(_)
        | Part::Opaque(_) => Form::Message,
    };
    let mut groups: Vec<Group> = Vec::new();
    for (at, part) in message.parts.iter().enumerate() {
        match (form(part), groups.last_mut()) {
            (Form::Message, Some(last)) if last.form == Form::Message => last.len += 1,
            (form, _) => groups.push(Group { first: at, len: 1, form }),
        }
    }
    groups.into_iter()
}

/// What only the provider that has kept it can make sense of.
const KEPT: [&str; 4] = ["previous_response_id", "conversation", "prompt", "background"];

/// Refuses a call that stands on what another provider has kept: without it, it is another call.
pub(in crate::provider) fn needs_nothing_kept(call: &Call, target: &Target<'_>) -> Result<(), Fault> {
    if call.origin != Dialect::OpenAiResponses || target.vendor.dialect == Dialect::OpenAiResponses {
        return Ok(());
    }
    let refused = |field: String| {
        let message =
            format!("{field}: not available with {}, which keeps no responses", target.vendor.title);
        Err(Fault::new(Code::Unsupported, message).at(field))
    };
    if let Some(field) = KEPT.iter().find(|field| call.extras.contains_key(**field)) {
        return refused((*field).to_owned());
    }
    for (i, message) in call.messages.iter().enumerate() {
        for (j, part) in message.parts.iter().enumerate() {
            if let Part::Opaque(block) = part
                && block.value.get("type").is_some_and(|kind| kind == "item_reference")
            {
                return refused(named(&format!("messages[{i}].content[{j}]"), call));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::{RequestLine, Surface, openai_responses::OpenAiResponses};
    use crate::vendor;

    fn call(body: &str) -> Call {
        OpenAiResponses.parse(body.as_bytes(), &RequestLine::default()).unwrap()
    }

    #[test]
    fn a_part_is_named_by_the_item_it_stood_in() {
        let call = call(
            r#"{"model":"m","instructions":"x","input":[{"role":"user","content":"hi"},
            {"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}]},
            {"role":"assistant","content":[{"type":"output_text","text":"a"},{"type":"output_text","text":"b"}]},
            {"type":"function_call","call_id":"c","name":"f","arguments":"{}"},
            {"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"r"}]},
            {"role":"user","content":[{"type":"input_text","text":"x"},{"type":"input_file","file_id":"f"}]}]}"#,
        );
        assert_eq!(call.messages.len(), 4);
        for (chat, own) in [
            ("messages[0].content[0]", "input[0].content[0]"),
            ("messages[1].content[0]", "input[1]"),
            ("messages[1].content[2]", "input[2].content[1]"),
            ("messages[1].content[3].signature", "input[3].signature"),
            ("messages[1].tool_calls[0].function.arguments", "input[3].arguments"),
            ("messages[2].content[0]", "input[4].output[0]"),
            ("messages[2].tool_call_id", "input[4].call_id"),
            ("messages[3].content[1].file", "input[5].content[1]"),
            ("system[0]", "instructions"),
            ("tools[2].function.strict", "tools[2].strict"),
            ("response_format.json_schema.schema", "text.format.schema"),
            ("max_tokens", "max_output_tokens"),
            ("store", "store"),
        ] {
            assert_eq!(named(chat, &call), own, "{chat}");
        }
    }

    #[test]
    fn what_another_has_kept_is_refused_by_name() {
        let target = Target { vendor: vendor::find("anthropic").unwrap(), model: "m" };
        for (body, field) in [
            (r#"{"model":"m","previous_response_id":"r","input":"hi"}"#, "previous_response_id"),
            (r#"{"model":"m","conversation":"c","input":"hi"}"#, "conversation"),
            (r#"{"model":"m","prompt":{"id":"p"}}"#, "prompt"),
            (
                r#"{"model":"m","input":[{"role":"user","content":"hi"},{"type":"item_reference","id":"x"}]}"#,
                "input[1]",
            ),
        ] {
            let fault = needs_nothing_kept(&call(body), &target).unwrap_err();
            assert_eq!(fault.param.as_deref(), Some(field));
            assert!(fault.message.contains("Anthropic"), "{}", fault.message);
        }
        assert!(needs_nothing_kept(&call(r#"{"model":"m","input":"hi","store":true}"#), &target).is_ok());
    }
}
