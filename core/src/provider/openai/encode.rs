//! Canonical calls as bodies of this dialect.
//!
//! What the vendor's quirks say is done here and nowhere else. What cannot be carried is noted by
//! name; nothing is left out in silence.

mod content;
mod messages;

use super::model::Reasons;
use crate::call::{
    Attribution, CacheMark, Call, Delivery, Effort, Format, JsonSchema, LogProbs, Output, ParallelTools,
    Reasoning, ReasoningMode, ReasoningShown, Sampling, Tool, ToolChoice, ToolFunction,
};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::float;
use crate::json::write;
use crate::provider::{Encoded, Endpoint, Target};
use crate::vendor::{
    CacheMarks, MaxTokensField, Quirks, ReasoningAsk, RequiredWord, SeedField, StreamOptions, TopK,
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// See [`crate::provider::Provider::encode`].
pub(super) fn encode(call: &Call, target: &Target<'_>, endpoint: Endpoint) -> Result<Encoded, Fault> {
    let (fields, lost) = fields(call, target);
    Ok(Encoded { endpoint, body: write::object(&fields), lost })
}

/// The body before it is written, and what it cannot carry.
pub(in crate::provider) fn fields(call: &Call, target: &Target<'_>) -> (Map<String, Value>, Vec<String>) {
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
    // Whoever speaks this dialect knows what the model takes, and is told what is wrong by its provider.
    let reasons = if *origin == Dialect::OpenAi { Reasons::Unknown } else { Reasons::of(target.model) };
    let (fields, lost, quirks) = (Map::new(), Vec::new(), target.vendor.quirks);
    let mut body = Body { fields, lost, quirks, origin: *origin, reasons };
    body.put("model", target.model.into());
    let messages = messages::encode(system, messages, &mut body);
    body.put("messages", Value::Array(messages));
    body.tools(tools, tool_choice.as_ref());
    // Without tools it is refused.
    let told = *origin == Dialect::OpenAi || body.fields.contains_key("tools");
    if let Some(parallel) = parallel_tools.filter(|_| told) {
        body.put("parallel_tool_calls", (parallel == ParallelTools::Allowed).into());
    }
    body.sampling(sampling);
    body.output(output);
    if let Some(reasoning) = reasoning {
        body.reasoning(reasoning);
    }
    body.delivery(*delivery);
    body.attribution(attribution);
    let mark = body.mark(cache.as_ref(), "");
    body.maybe("cache_control", mark);
    for (key, value) in extras {
        body.extra(key, value);
    }
    let Body { fields, lost, .. } = body;
    (fields, lost)
}

/// A body in the making.
struct Body {
    fields: Map<String, Value>,
    lost: Vec<String>,
    quirks: Quirks,
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

    /// A field without a canonical word: this dialect's own are written back, joined with what the
    /// canonical form has of them.
    fn extra(&mut self, key: &str, value: &Value) {
        if self.origin != Dialect::OpenAi {
            return self.lose(key);
        }
        match (self.fields.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(more)) => {
                inner.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
            (Some(_), _) => {}
            (None, value) => self.put(key, value.clone()),
        }
    }

    /// A cache mark as it is written, or nothing and a note. `at` is the path of what is marked, empty
    /// for the call.
    fn mark(&mut self, mark: Option<&CacheMark>, at: &str) -> Option<Value> {
        let CacheMark { ttl, extras } = mark?;
        let sent = match self.quirks.cache_marks {
            CacheMarks::AsWritten => self.origin == Dialect::OpenAi,
            CacheMarks::Sent => true,
            CacheMarks::Unknown => false,
        };
        if !sent {
            self.lose(if at.is_empty() { "cache_control".to_owned() } else { format!("{at}.cache_control") });
            return None;
        }
        let mut value = json!({"type": "ephemeral"});
        if let Some(fields) = value.as_object_mut() {
            fields.extend(ttl.as_deref().map(|ttl| ("ttl".to_owned(), ttl.into())));
            fields.extend(extras.clone());
        }
        Some(value)
    }

    fn tools(&mut self, tools: &[Tool], choice: Option<&ToolChoice>) {
        // Only this dialect can narrow the choice without changing the list.
        let only = match choice {
            Some(ToolChoice::Allowed { required: _, names }) if self.origin != Dialect::OpenAi => Some(names),
            _ => None,
        };
        let mut list = Vec::new();
        for (i, tool) in tools.iter().enumerate() {
            match tool {
                Tool::Function(function) if only.is_some_and(|names| !names.contains(&function.name)) => {}
                Tool::Function(function) => list.push(self.function(i, function)),
                Tool::Hosted(hosted) if hosted.origin == Dialect::OpenAi => list.push(hosted.value.clone()),
                Tool::Hosted(_) => self.lose(format!("tools[{i}]")),
            }
        }
        let any = !list.is_empty();
        if any {
            self.put("tools", Value::Array(list));
        }
        // A choice among no tools is refused.
        if let Some(choice) = choice.filter(|_| any) {
            let choice = self.choice(choice);
            self.put("tool_choice", choice);
        }
    }

    fn function(&mut self, i: usize, function: &ToolFunction) -> Value {
        let ToolFunction { name, description, parameters, strict, cache, extras } = function;
        let mut inner = Map::new();
        inner.insert("name".to_owned(), name.as_str().into());
        inner.extend(description.as_deref().map(|text| ("description".to_owned(), text.into())));
        inner.extend(parameters.clone().map(|schema| ("parameters".to_owned(), schema)));
        inner.extend(strict.map(|strict| ("strict".to_owned(), strict.into())));
        let mut outer = Map::new();
        outer.insert("type".to_owned(), "function".into());
        for (key, value) in extras {
            match self.origin {
                Dialect::OpenAi => drop(inner.insert(key.clone(), value.clone())),
                Dialect::OpenAiResponses
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama
                | Dialect::Anthropic
                | Dialect::Gemini => self.lose(format!("tools[{i}].{key}")),
            }
        }
        outer.insert("function".to_owned(), Value::Object(inner));
        outer.extend(
            self.mark(cache.as_ref(), &format!("tools[{i}]")).map(|mark| ("cache_control".to_owned(), mark)),
        );
        Value::Object(outer)
    }

    fn choice(&self, choice: &ToolChoice) -> Value {
        let required = match self.quirks.required {
            RequiredWord::Required => "required",
            RequiredWord::Any => "any",
        };
        let named = |name: &String| json!({"type": "function", "function": {"name": name}});
        match choice {
            ToolChoice::Auto => "auto".into(),
            ToolChoice::None => "none".into(),
            ToolChoice::Required => required.into(),
            ToolChoice::Named(name) => named(name),
            ToolChoice::Allowed { required: must, names } => {
                let mode = if *must { "required" } else { "auto" };
                if self.origin != Dialect::OpenAi {
                    return if *must { required.into() } else { mode.into() };
                }
                let tools: Vec<_> = names.iter().map(named).collect();
                json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}})
            }
        }
    }

    fn sampling(&mut self, sampling: &Sampling) {
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
        let number = |number: &Option<serde_json::Number>| number.clone().map(Value::Number);
        self.drawn("temperature", temperature.as_ref());
        self.drawn("top_p", top_p.as_ref());
        match (self.quirks.top_k, self.origin) {
            (TopK::Known, _) | (TopK::Unknown, Dialect::OpenAi) => self.maybe("top_k", number(top_k)),
            (
                TopK::Unknown,
                Dialect::OpenAiResponses
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama
                | Dialect::Anthropic
                | Dialect::Gemini,
            ) if top_k.is_some() => self.lose("top_k"),
            (
                TopK::Unknown,
                Dialect::OpenAiResponses
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama
                | Dialect::Anthropic
                | Dialect::Gemini,
            ) => {}
        }
        let seed_field = match self.quirks.seed {
            SeedField::Seed => "seed",
            SeedField::RandomSeed => "random_seed",
        };
        self.maybe(seed_field, number(seed));
        self.maybe("presence_penalty", number(presence_penalty));
        self.maybe("frequency_penalty", number(frequency_penalty));
        self.maybe("logit_bias", logit_bias.clone());
        self.stop(stop);
        self.maybe("n", *n);
        if let Some(LogProbs { top }) = logprobs {
            self.put("logprobs", true.into());
            self.maybe("top_logprobs", *top);
        }
    }

    /// Models that reason take no other value than one.
    fn drawn(&mut self, name: &str, value: Option<&serde_json::Number>) {
        let Some(value) = value else { return };
        match self.reasons {
            Reasons::Yes if float::of(value) != Some(1.0) => self.lose(name),
            Reasons::Yes => {}
            Reasons::No | Reasons::Unknown => self.put(name, Value::Number(value.clone())),
        }
    }

    fn stop(&mut self, stop: &[String]) {
        if self.reasons == Reasons::Yes && !stop.is_empty() {
            return self.lose("stop");
        }
        let most = if self.origin == Dialect::OpenAi { stop.len() } else { stop.len().min(MOST_STOPS) };
        if most < stop.len() {
            self.lose("stop");
        }
        let sent: Vec<_> = stop.iter().take(most).cloned().collect();
        self.maybe("stop", (!sent.is_empty()).then_some(sent));
    }

    fn output(&mut self, output: &Output) {
        let Output { max_tokens, format, modalities, audio, verbosity, prediction } = output;
        let cap = match self.quirks.max_tokens {
            MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
            MaxTokensField::MaxTokens => "max_tokens",
        };
        self.maybe(cap, max_tokens.map(|tokens| tokens.get()));
        self.maybe("response_format", format.as_ref().map(response_format));
        self.maybe("modalities", (!modalities.is_empty()).then(|| modalities.clone()));
        self.maybe("audio", audio.clone());
        self.maybe("verbosity", verbosity.clone());
        self.maybe("prediction", prediction.clone());
    }

    fn reasoning(&mut self, reasoning: &Reasoning) {
        let Reasoning { mode, effort, budget, shown } = reasoning;
        let hidden = *shown == Some(ReasoningShown::Hidden);
        if self.reasons == Reasons::No {
            // Not to think is what it does.
            let asked = effort.is_some_and(|effort| effort != Effort::None) || budget.is_some();
            if asked || matches!(mode, ReasoningMode::On) {
                self.lose("reasoning_effort");
            }
            return;
        }
        let effort_word = effort.map(Effort::as_str);
        match self.quirks.reasoning {
            ReasoningAsk::Effort => {
                // Saying `none` to a model that does not reason is refused; it says nothing anyway.
                let derived = (*mode != ReasoningMode::Off).then(|| budget.map(effort_of)).flatten();
                self.maybe("reasoning_effort", effort_word.or(derived));
                // To think as it sees fit is what a model does that can.
                let said = matches!(mode, ReasoningMode::On | ReasoningMode::Off);
                if said && effort.is_none() && budget.is_none() {
                    self.lose("thinking");
                }
            }
            ReasoningAsk::Object => {
                let mut object = Map::new();
                object.extend(effort_word.map(|word| ("effort".to_owned(), word.into())));
                object.extend(budget.map(|budget| ("max_tokens".to_owned(), budget.get().into())));
                object.extend(switch(*mode).map(|on| ("enabled".to_owned(), on.into())));
                object.extend(hidden.then(|| ("exclude".to_owned(), true.into())));
                return self.put("reasoning", Value::Object(object));
            }
            ReasoningAsk::Switch => {
                self.maybe("reasoning_effort", effort_word.filter(|word| *word != "none"));
                if let Some(on) = switch(*mode) {
                    let mut object = json!({"type": if on { "enabled" } else { "disabled" }});
                    if let (Some(budget), Some(fields)) = (budget, object.as_object_mut()) {
                        fields.insert("budget_tokens".to_owned(), budget.get().into());
                    }
                    self.put("thinking", object);
                }
            }
            ReasoningAsk::EnableFlag => {
                let on = switch(*mode).or_else(|| effort.map(|effort| effort != Effort::None));
                self.maybe("enable_thinking", on);
                self.maybe("thinking_budget", budget.map(|budget| budget.get()));
            }
        }
        if hidden {
            self.lose("reasoning.exclude");
        }
    }

    fn delivery(&mut self, delivery: Delivery) {
        match (delivery, self.quirks.stream_options) {
            (Delivery::Whole, _) => {}
            (Delivery::Stream(_), StreamOptions::Unknown) => self.put("stream", true.into()),
            // Asked for whether or not the client did: it is what the call is billed by.
            (Delivery::Stream(_), StreamOptions::Known) => {
                self.put("stream", true.into());
                self.put("stream_options", json!({"include_usage": true}));
            }
        }
    }

    /// A name too long for this dialect is told by its hash: it is only compared.
    fn user(&self, user: &str) -> String {
        if self.origin == Dialect::OpenAi || user.len() <= MOST_OF_USER {
            return user.to_owned();
        }
        Sha256::digest(user.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn attribution(&mut self, attribution: &Attribution) {
        let Attribution { user, safety_identifier, metadata, service_tier, store, prompt_cache_key } =
            attribution;
        self.maybe("user", user.as_deref().map(|user| self.user(user)));
        self.maybe("safety_identifier", safety_identifier.clone());
        self.maybe("metadata", metadata.clone());
        self.maybe("service_tier", service_tier.clone());
        self.maybe("store", *store);
        self.maybe("prompt_cache_key", prompt_cache_key.clone());
    }
}

/// More are refused.
const MOST_STOPS: usize = 4;
/// A longer name of an end user is refused.
const MOST_OF_USER: usize = 64;

fn switch(mode: ReasoningMode) -> Option<bool> {
    match mode {
        ReasoningMode::Unsaid => None,
        ReasoningMode::Off => Some(false),
        ReasoningMode::On | ReasoningMode::Adaptive => Some(true),
    }
}

/// The level that spends about as much as a budget of reasoning tokens allows.
fn effort_of(budget: crate::units::Tokens) -> &'static str {
    match budget.get() {
        0..=2048 => "low",
        2049..=8192 => "medium",
        _ => "high",
    }
}

fn response_format(format: &Format) -> Value {
    match format {
        Format::Text => json!({"type": "text"}),
        Format::JsonObject => json!({"type": "json_object"}),
        Format::JsonSchema(JsonSchema { name, description, schema, strict }) => {
            let mut inner = Map::new();
            // The name is required here and unknown in other dialects.
            inner.insert("name".to_owned(), name.as_deref().unwrap_or("response").into());
            inner.extend(description.as_deref().map(|text| ("description".to_owned(), text.into())));
            inner.insert("schema".to_owned(), schema.clone());
            inner.extend(strict.map(|strict| ("strict".to_owned(), strict.into())));
            json!({"type": "json_schema", "json_schema": inner})
        }
    }
}

#[cfg(test)]
mod tests;
