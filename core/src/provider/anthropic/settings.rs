//! Tools and sampling.

use super::JSON_TOOL;
use super::blocks::mark;
use super::lost::Lost;
use super::model::{Model, SamplingRule, Support};
use super::thinking::Active;
use crate::call::{JsonSchema, LogProbs, Opaque, ParallelTools, Sampling, Tool, ToolChoice, ToolFunction};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use crate::float;
use serde_json::{Map, Number, Value, json};

/// What the call says about tools.
#[derive(Clone, Copy, Debug)]
pub(in crate::provider) struct ToolsAsked<'a> {
    pub(in crate::provider) tools: &'a [Tool],
    pub(in crate::provider) choice: Option<&'a ToolChoice>,
    pub(in crate::provider) parallel: Option<ParallelTools>,
    /// A format to be had by a tool, where the model knows no formats.
    pub(in crate::provider) format: Option<&'a JsonSchema>,
    pub(in crate::provider) origin: Dialect,
}

/// What is sent.
#[derive(Debug)]
pub(in crate::provider) struct ToolsSent {
    pub(in crate::provider) tools: Vec<Value>,
    pub(in crate::provider) choice: Option<Value>,
}

/// Whether the model can be made to use a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Force {
    Possible,
    Refused,
}

/// Writes the tools, in their order, and the choice between them.
pub(in crate::provider) fn tools(
    asked: ToolsAsked<'_>,
    model: Model,
    active: Active,
    lost: &mut Lost,
) -> ToolsSent {
    let ToolsAsked { tools, choice, parallel, format, origin } = asked;
    let force = match (model.forced_tools(), active) {
        (Support::Yes, Active::No | Active::Adaptive) => Force::Possible,
        (Support::No, _) | (_, Active::Budget) => Force::Refused,
    };
    let allowed = allowed(choice, force);
    let mut sent = Vec::with_capacity(tools.len());
    for (at, tool) in tools.iter().enumerate() {
        if is_allowed(tool, allowed.as_deref()) {
            sent.extend(tool_value(tool, &format!("tools[{at}]"), origin, model, lost));
        }
    }
    let mut choice = choice.and_then(|choice| choice_value(choice, force, lost));
    if let Some(format) = format {
        let others = if sent.is_empty() { Others::None } else { Others::Some };
        choice = json_choice(choice, force, others);
        sent.push(json_tool(format));
    }
    if parallel == Some(ParallelTools::Forbidden) {
        one_at_a_time(&mut choice);
    }
    let choice = choice.filter(|_| !sent.is_empty());
    ToolsSent { tools: sent, choice }
}

/// The only functions to be offered, where the choice names some.
fn allowed(choice: Option<&ToolChoice>, force: Force) -> Option<Vec<&str>> {
    match (choice?, force) {
        (ToolChoice::Allowed { names, required: _ }, _) => Some(names.iter().map(String::as_str).collect()),
        // A tool that cannot be forced can at least be the only one.
        (ToolChoice::Named(name), Force::Refused) => Some(vec![name]),
        (ToolChoice::Named(_), Force::Possible)
        | (ToolChoice::Auto | ToolChoice::None | ToolChoice::Required, _) => None,
    }
}

fn is_allowed(tool: &Tool, names: Option<&[&str]>) -> bool {
    match (tool, names) {
        (_, None) => true,
        (Tool::Function(function), Some(names)) => names.contains(&function.name.as_str()),
        (Tool::Hosted(Opaque { origin: _, value }), Some(names)) => {
            value.get("name").and_then(Value::as_str).is_some_and(|name| names.contains(&name))
        }
    }
}

fn tool_value(tool: &Tool, path: &str, origin: Dialect, model: Model, lost: &mut Lost) -> Option<Value> {
    match tool {
        Tool::Function(function) => Some(function_value(function, path, origin, model, lost)),
        Tool::Hosted(Opaque { origin: Dialect::Anthropic, value }) => Some(value.clone()),
        Tool::Hosted(Opaque {
            origin:
                Dialect::OpenAi
                | Dialect::OpenAiResponses
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama
                | Dialect::Gemini,
            ..
        }) => {
            lost.name(path);
            None
        }
    }
}

fn function_value(tool: &ToolFunction, path: &str, origin: Dialect, model: Model, lost: &mut Lost) -> Value {
    let ToolFunction { name, description, parameters, strict, cache, extras } = tool;
    let mut value = Map::new();
    value.insert("name".to_owned(), Value::from(name.as_str()));
    value.extend(description.as_deref().map(|words| ("description".to_owned(), Value::from(words))));
    value.insert("input_schema".to_owned(), input_schema(parameters.as_ref()));
    match (strict, model.schemas()) {
        (Some(strict), Support::Yes) => {
            value.insert("strict".to_owned(), Value::Bool(*strict));
        }
        (Some(true), Support::No) => lost.name(format!("{path}.strict")),
        (Some(false), Support::No) | (None, _) => {}
    }
    let mut value = Value::Object(value);
    mark(&mut value, cache.as_ref());
    match (origin, value.as_object_mut()) {
        (Dialect::Anthropic, Some(value)) => value.extend(extras.clone()),
        (
            Dialect::OpenAi
            | Dialect::OpenAiResponses
            | Dialect::Bedrock
            | Dialect::Cohere
            | Dialect::Ollama
            | Dialect::Gemini,
            _,
        )
        | (_, None) => {
            extras.keys().for_each(|key| lost.name(format!("{path}.{key}")));
        }
    }
    value
}

/// The schema as it is; the API demands one, and a type in it.
fn input_schema(parameters: Option<&Value>) -> Value {
    match parameters {
        Some(Value::Object(schema)) if schema.contains_key("type") => Value::Object(schema.clone()),
        Some(Value::Object(schema)) => {
            let mut typed = Map::new();
            typed.insert("type".to_owned(), Value::from("object"));
            typed.extend(schema.clone());
            if schema.is_empty() {
                typed.insert("properties".to_owned(), json!({}));
            }
            Value::Object(typed)
        }
        _ => json!({"type": "object", "properties": {}}),
    }
}

fn choice_value(choice: &ToolChoice, force: Force, lost: &mut Lost) -> Option<Value> {
    let forced = match (choice, force) {
        (ToolChoice::Auto, _) | (ToolChoice::Allowed { required: false, names: _ }, _) => {
            return Some(json!({"type": "auto"}));
        }
        (ToolChoice::None, _) => return Some(json!({"type": "none"})),
        (ToolChoice::Required | ToolChoice::Allowed { required: true, names: _ }, Force::Possible) => {
            Some(json!({"type": "any"}))
        }
        (ToolChoice::Named(name), Force::Possible) => Some(json!({"type": "tool", "name": name})),
        (ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { .. }, Force::Refused) => None,
    };
    forced.or_else(|| {
        lost.setting("tool_choice");
        Some(json!({"type": "auto"}))
    })
}

/// Whether tools of the client's are offered beside the stand-in for a response format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    None,
    Some,
}

/// The choice when the answer itself is to come by a tool: that one, unless others are offered too.
fn json_choice(choice: Option<Value>, force: Force, others: Others) -> Option<Value> {
    let kind = choice.as_ref().and_then(|choice| choice.get("type")).and_then(Value::as_str);
    match (force, others, kind) {
        (Force::Refused, _, _) => Some(json!({"type": "auto"})),
        (Force::Possible, Others::Some, Some("tool" | "any")) => choice,
        (Force::Possible, Others::None, _) | (_, _, Some("none")) => {
            Some(json!({"type": "tool", "name": JSON_TOOL}))
        }
        (Force::Possible, Others::Some, _) => Some(json!({"type": "any"})),
    }
}

fn json_tool(format: &JsonSchema) -> Value {
    let JsonSchema { name: _, description, schema, strict: _ } = format;
    let description = description.as_deref().unwrap_or("Gives the final answer in the form asked for.");
    json!({"name": JSON_TOOL, "description": description, "input_schema": input_schema(Some(schema))})
}

fn one_at_a_time(choice: &mut Option<Value>) {
    let choice = choice.get_or_insert_with(|| json!({"type": "auto"}));
    // `none` knows no such field and needs none.
    if choice.get("type").is_some_and(|kind| kind != "none")
        && let Some(choice) = choice.as_object_mut()
    {
        choice.insert("disable_parallel_tool_use".to_owned(), Value::Bool(true));
    }
}

/// Sampling fields as they are sent, in a fixed order.
pub(in crate::provider) fn sampling(
    sampling: &Sampling,
    model: Model,
    active: Active,
    lost: &mut Lost,
) -> Result<Map<String, Value>, Fault> {
    let Sampling {
        temperature,
        top_p,
        top_k,
        seed,
        presence_penalty,
        frequency_penalty,
        logit_bias,
        stop,
        n,
        logprobs,
    } = sampling;
    if n.is_some_and(|n| n > 1) {
        let field = lost.word("n");
        let what = format!("{field}: expected 1, found {}: this provider gives one answer", n.unwrap_or(1));
        return Err(Fault::new(Code::Unsupported, what).at(field));
    }
    let dropped = [
        ("seed", seed.is_some()),
        ("presence_penalty", presence_penalty.as_ref().is_some_and(|penalty| !is(penalty, 0.0))),
        ("frequency_penalty", frequency_penalty.as_ref().is_some_and(|penalty| !is(penalty, 0.0))),
        (
            "logit_bias",
            logit_bias.as_ref().is_some_and(|bias| bias.as_object().is_none_or(|map| !map.is_empty())),
        ),
        ("logprobs", logprobs.is_some()),
        ("top_logprobs", matches!(logprobs, Some(LogProbs { top: Some(1..) }))),
    ];
    dropped.iter().filter(|(_, asked)| *asked).for_each(|(name, _)| lost.setting(name));
    let drawn = Drawn { temperature: temperature.clone(), top_p: top_p.clone(), top_k: top_k.clone() };
    let mut fields = drawn.fit(model.sampling(), active, lost).into_fields();
    fields.extend(stop_sequences(stop, lost).map(|stop| ("stop_sequences".to_owned(), stop)));
    Ok(fields)
}

/// The API refuses stop texts of white space alone.
fn stop_sequences(stop: &[String], lost: &mut Lost) -> Option<Value> {
    let kept: Vec<_> = stop.iter().filter(|text| !text.trim().is_empty()).cloned().collect();
    if kept.len() < stop.len() {
        lost.setting("stop");
    }
    (!kept.is_empty()).then(|| Value::from(kept))
}

/// The three parameters that models of this dialect draw by.
#[derive(Debug)]
struct Drawn {
    temperature: Option<Number>,
    top_p: Option<Number>,
    top_k: Option<Number>,
}

impl Drawn {
    /// Drops what the model refuses. A value that says what the model does anyway is no loss.
    fn fit(mut self, rule: SamplingRule, active: Active, lost: &mut Lost) -> Self {
        if rule == SamplingRule::Rejected {
            drop_unless(&mut self.temperature, |value| is(value, 1.0), "temperature", lost);
            drop_unless(&mut self.top_p, |value| is(value, 1.0), "top_p", lost);
            drop_unless(&mut self.top_k, |_| false, "top_k", lost);
            return self;
        }
        if active != Active::No {
            // While thinking the temperature is one, top_p is .95 or more and top_k is not set:
            // https://platform.claude.com/docs/en/build-with-claude/extended-thinking
            drop_unless(&mut self.temperature, |value| is(value, 1.0), "temperature", lost);
            drop_unless(&mut self.top_k, |_| false, "top_k", lost);
            if self.top_p.as_ref().and_then(float::of).is_some_and(|value| value < 0.95) {
                drop_unless(&mut self.top_p, |_| false, "top_p", lost);
            }
        }
        if rule == SamplingRule::One && self.temperature.is_some() && self.top_p.is_some() {
            if self.temperature.as_ref().is_some_and(|value| is(value, 1.0)) {
                self.temperature = None;
            } else {
                drop_unless(&mut self.top_p, |value| is(value, 1.0), "top_p", lost);
            }
        }
        self.clamp_temperature(lost);
        self
    }

    /// Other dialects go up to two.
    fn clamp_temperature(&mut self, lost: &mut Lost) {
        let Some(value) = self.temperature.as_ref().and_then(float::of) else { return };
        if value > 1.0 {
            lost.setting("temperature");
            self.temperature = Some(Number::from(1));
        }
    }

    fn into_fields(self) -> Map<String, Value> {
        let Self { temperature, top_p, top_k } = self;
        let fields = [("temperature", temperature), ("top_p", top_p), ("top_k", top_k)];
        let set =
            fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::Number(value?))));
        set.collect()
    }
}

fn is(number: &Number, value: f64) -> bool {
    float::of(number) == Some(value)
}

/// Takes a parameter out, and reports it unless `harmless` finds that nothing is lost with it.
fn drop_unless(
    field: &mut Option<Number>,
    harmless: impl Fn(&Number) -> bool,
    name: &'static str,
    lost: &mut Lost,
) {
    if field.take().is_some_and(|value| !harmless(&value)) {
        lost.setting(name);
    }
}
