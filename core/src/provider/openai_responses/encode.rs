//! Canonical calls as bodies of this dialect.
//!
//! What cannot be carried is noted by name, as chat names it; nothing is left out in silence. The
//! provider is not asked to keep anything, and reasoning is asked for in a form that can be sent back.

mod items;

pub(super) use items::proof;

use super::endpoint;
use crate::call::{
    Attribution, Call, Delivery, Effort, Extras, Format, JsonSchema, LogProbs, Opaque, Output, ParallelTools,
    Reasoning, ReasoningMode, ReasoningShown, Sampling, Tool, ToolChoice, ToolFunction,
};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use crate::float;
use crate::json::write;
use crate::provider::openai::model::Reasons;
use crate::provider::{Encoded, Target};
use crate::units::Tokens;
use serde_json::{Map, Number, Value, json};
use sha2::{Digest, Sha256};

/// A smaller cap is refused.
pub(crate) const LEAST_CAP: Tokens = Tokens(16);
/// A longer name of an end user is refused.
const MOST_OF_USER: usize = 64;

/// See [`crate::provider::Provider::encode`].
pub(super) fn encode(call: &Call, target: &Target<'_>) -> Result<Encoded, Fault> {
    let Call {
        model: _,
        system,
        messages,
        tools,
        tool_choice,
        parallel_tools,
        sampling,
        output,
        reasoning,
        delivery,
        attribution,
        cache,
        origin,
        extras,
    } = call;
    let reasons = match origin {
        // Whoever speaks this dialect knows what the model takes.
        Dialect::OpenAiResponses => Reasons::Unknown,
        Dialect::OpenAi
        | Dialect::Anthropic
        | Dialect::Gemini
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama => Reasons::of(target.model),
    };
    let mut body =
        Body { fields: Map::new(), include: Vec::new(), lost: Vec::new(), origin: *origin, reasons };
    body.put("model", target.model.into());
    body.conversation(system, messages);
    body.tools(tools, tool_choice.as_ref());
    if let Some(parallel) = parallel_tools.filter(|_| body.fields.contains_key("tools")) {
        body.put("parallel_tool_calls", (parallel == ParallelTools::Allowed).into());
    }
    body.sampling(sampling)?;
    body.output(output);
    body.reasoning(reasoning.as_ref());
    if let Delivery::Stream(_) = delivery {
        body.put("stream", true.into());
    }
    body.attribution(attribution);
    if cache.is_some() {
        body.lose("cache_control");
    }
    body.extras(extras);
    let Body { mut fields, include, lost, .. } = body;
    if !include.is_empty() {
        fields.insert("include".to_owned(), include.into());
    }
    Ok(Encoded { endpoint: endpoint(), body: write::object(&fields), lost })
}

/// A body in the making.
struct Body {
    fields: Map<String, Value>,
    include: Vec<Value>,
    lost: Vec<String>,
    origin: Dialect,
    reasons: Reasons,
}

impl Body {
    fn put(&mut self, key: &str, value: Value) {
        self.fields.insert(key.to_owned(), value);
    }

    fn maybe(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(key, value.into());
        }
    }

    fn lose(&mut self, name: impl Into<String>) {
        let name = name.into();
        if !self.lost.contains(&name) {
            self.lost.push(name);
        }
    }

    fn lose_if<T>(&mut self, there: Option<&T>, name: &str) {
        if there.is_some() {
            self.lose(name);
        }
    }

    fn lose_at<T>(&mut self, there: Option<&T>, at: &str, name: &str) {
        if there.is_some() {
            self.lose(format!("{at}.{name}"));
        }
    }

    /// A member of an object that may be there already.
    fn within(&mut self, object: &str, key: &str, value: Value) {
        let inner = self.fields.entry(object).or_insert_with(|| json!({}));
        inner.as_object_mut().into_iter().for_each(|inner| drop(inner.insert(key.to_owned(), value.clone())));
    }

    fn tools(&mut self, tools: &[Tool], choice: Option<&ToolChoice>) {
        let mut list = Vec::with_capacity(tools.len());
        for (i, tool) in tools.iter().enumerate() {
            match tool {
                Tool::Function(function) => list.push(self.function(i, function)),
                Tool::Hosted(Opaque { origin: Dialect::OpenAiResponses, value }) => list.push(value.clone()),
                Tool::Hosted(Opaque { origin: Dialect::OpenAi, value }) => match custom(value) {
                    Some(custom) => list.push(custom),
                    None => self.lose(format!("tools[{i}]")),
                },
                Tool::Hosted(Opaque {
                    origin:
                        Dialect::Anthropic
                        | Dialect::Gemini
                        | Dialect::Bedrock
                        | Dialect::Cohere
                        | Dialect::Ollama,
                    ..
                }) => {
                    self.lose(format!("tools[{i}]"));
                }
            }
        }
        if list.is_empty() {
            // A choice among no tools is refused.
            return;
        }
        self.put("tools", Value::Array(list));
        self.maybe("tool_choice", choice.map(self::choice));
    }

    fn function(&mut self, i: usize, function: &ToolFunction) -> Value {
        let ToolFunction { name, description, parameters, strict, cache, extras } = function;
        if cache.is_some() {
            self.lose(format!("tools[{i}].cache_control"));
        }
        let mut fields = Map::new();
        let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
        put("type", "function".into());
        put("name", name.as_str().into());
        if let Some(description) = description {
            put("description", description.as_str().into());
        }
        let none = || json!({"type": "object", "properties": {}});
        put("parameters", parameters.clone().unwrap_or_else(none));
        // Unsaid it means the opposite here of what it means everywhere else.
        if let Some(strict) = strict.or((self.origin != Dialect::OpenAiResponses).then_some(false)) {
            put("strict", strict.into());
        }
        for (key, value) in extras {
            match self.origin {
                Dialect::OpenAiResponses => drop(put(key, value.clone())),
                Dialect::OpenAi
                | Dialect::Anthropic
                | Dialect::Gemini
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama => {
                    self.lost.push(format!("tools[{i}].function.{key}"));
                }
            }
        }
        Value::Object(fields)
    }

    fn sampling(&mut self, sampling: &Sampling) -> Result<(), Fault> {
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
        self.drawn("temperature", temperature.as_ref());
        self.drawn("top_p", top_p.as_ref());
        self.lose_if(top_k.as_ref(), "top_k");
        self.lose_if(seed.as_ref(), "seed");
        for (name, penalty) in
            [("presence_penalty", presence_penalty), ("frequency_penalty", frequency_penalty)]
        {
            // None at all is what there is.
            self.lose_if(penalty.as_ref().filter(|penalty| float::of(penalty) != Some(0.0)), name);
        }
        self.lose_if(logit_bias.as_ref().filter(|bias| **bias != json!({})), "logit_bias");
        self.lose_if(stop.first(), "stop");
        if let Some(n) = n.filter(|n| *n > 1) {
            let message = format!("n: expected 1, found {n}: this provider gives one answer");
            return Err(Fault::new(Code::Unsupported, message).at("n"));
        }
        match (logprobs, self.reasons) {
            (None, _) => {}
            (Some(_), Reasons::Yes) => self.lose("logprobs"),
            (Some(LogProbs { top }), Reasons::No | Reasons::Unknown) => {
                self.include.push("message.output_text.logprobs".into());
                self.maybe("top_logprobs", *top);
            }
        }
        Ok(())
    }

    /// Models that reason take no other value than one.
    fn drawn(&mut self, name: &str, value: Option<&Number>) {
        let Some(value) = value else { return };
        match self.reasons {
            Reasons::Yes if float::of(value) != Some(1.0) => self.lose(name),
            Reasons::Yes => {}
            Reasons::No | Reasons::Unknown => self.put(name, Value::Number(value.clone())),
        }
    }

    fn output(&mut self, output: &Output) {
        let Output { max_tokens, format, modalities, audio, verbosity, prediction } = output;
        self.maybe("max_output_tokens", max_tokens.map(|cap| cap.max(LEAST_CAP).get()));
        if let Some(format) = format {
            self.within("text", "format", self::format(format));
        }
        if let Some(verbosity) = verbosity {
            self.within("text", "verbosity", verbosity.as_str().into());
        }
        if modalities.iter().any(|modality| modality != "text") {
            self.lose("modalities");
        }
        self.lose_if(audio.as_ref(), "audio");
        self.lose_if(prediction.as_ref(), "prediction");
    }

    fn reasoning(&mut self, reasoning: Option<&Reasoning>) {
        if self.reasons == Reasons::Yes {
            self.include.push("reasoning.encrypted_content".into());
        }
        let Some(Reasoning { mode, effort, budget, shown }) = reasoning else { return };
        if self.reasons == Reasons::No {
            // Not to think is what it does.
            let asked = effort.is_some_and(|effort| effort != Effort::None) || budget.is_some();
            if asked || *mode == ReasoningMode::On {
                self.lose("reasoning_effort");
            }
            return;
        }
        let derived = (*mode != ReasoningMode::Off).then(|| budget.map(effort_of)).flatten();
        match effort.map(Effort::as_str).or(derived) {
            Some(word) => self.within("reasoning", "effort", word.into()),
            // To think as it sees fit is what a model does that can.
            None if *mode == ReasoningMode::Off => self.lose("thinking"),
            None => {}
        }
        match shown {
            Some(ReasoningShown::Summary) => self.within("reasoning", "summary", "auto".into()),
            // Nothing is shown unasked.
            Some(ReasoningShown::Hidden) | None => {}
        }
    }

    fn attribution(&mut self, attribution: &Attribution) {
        let Attribution { user, safety_identifier, metadata, service_tier, store, prompt_cache_key } =
            attribution;
        self.maybe("user", user.as_deref().map(self::user));
        self.maybe("safety_identifier", safety_identifier.clone());
        self.maybe("metadata", metadata.clone());
        self.maybe("service_tier", service_tier.clone());
        match self.origin {
            Dialect::OpenAiResponses => self.maybe("store", *store),
            // Unsaid it means to keep the answer, which no other dialect's client has agreed to.
            Dialect::OpenAi
            | Dialect::Anthropic
            | Dialect::Gemini
            | Dialect::Bedrock
            | Dialect::Cohere
            | Dialect::Ollama => {
                self.put("store", store.unwrap_or(false).into());
            }
        }
        self.maybe("prompt_cache_key", prompt_cache_key.clone());
    }

    /// Fields without a canonical word: this dialect's own are written back, joined with what the
    /// canonical form has of them.
    fn extras(&mut self, extras: &Extras) {
        for (key, value) in extras {
            if self.origin != Dialect::OpenAiResponses {
                self.lose(key);
                continue;
            }
            match (self.fields.get_mut(key), value) {
                (Some(Value::Object(inner)), Value::Object(more)) => {
                    inner.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
                }
                (Some(_), _) => {}
                (None, Value::Array(list)) if key == "include" => self.include.extend(list.iter().cloned()),
                (None, value) => self.put(key, value.clone()),
            }
        }
    }
}

/// A name too long for this dialect is told by its hash: it is only compared.
fn user(user: &str) -> String {
    if user.len() <= MOST_OF_USER {
        return user.to_owned();
    }
    Sha256::digest(user.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Chat's custom tool, whose fields stand in an object of their own there.
fn custom(tool: &Value) -> Option<Value> {
    let mut fields = tool.get("custom")?.as_object()?.clone();
    if let Some(format) = fields.get_mut("format")
        && let Some(Value::Object(grammar)) = format.get("grammar").cloned()
    {
        *format = Value::Object(grammar);
        format.as_object_mut()?.insert("type".to_owned(), "grammar".into());
    }
    fields.insert("type".to_owned(), "custom".into());
    Some(Value::Object(fields))
}

fn choice(choice: &ToolChoice) -> Value {
    let named = |name: &String| json!({"type": "function", "name": name});
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name) => named(name),
        ToolChoice::Allowed { required, names } => {
            let mode = if *required { "required" } else { "auto" };
            let tools: Vec<_> = names.iter().map(named).collect();
            json!({"type": "allowed_tools", "mode": mode, "tools": tools})
        }
    }
}

fn format(format: &Format) -> Value {
    match format {
        Format::Text => json!({"type": "text"}),
        Format::JsonObject => json!({"type": "json_object"}),
        Format::JsonSchema(JsonSchema { name, description, schema, strict }) => {
            let mut fields = Map::new();
            fields.insert("type".to_owned(), "json_schema".into());
            // The name is required here and unknown in other dialects.
            fields.insert("name".to_owned(), name.as_deref().unwrap_or("response").into());
            fields.extend(description.as_deref().map(|text| ("description".to_owned(), text.into())));
            fields.insert("schema".to_owned(), schema.clone());
            fields.extend(strict.map(|strict| ("strict".to_owned(), strict.into())));
            Value::Object(fields)
        }
    }
}

/// The level that spends about as much as a budget of reasoning tokens allows.
fn effort_of(budget: Tokens) -> &'static str {
    match budget.get() {
        0..=2048 => "low",
        2049..=8192 => "medium",
        _ => "high",
    }
}

#[cfg(test)]
mod tests;
