//! `generationConfig`.

use super::{camel, number, schema, texts, unknown_word, whole, word};
use crate::call::{
    Effort, Extras, Format, JsonSchema, LogProbs, Output, Reasoning, ReasoningMode, ReasoningShown, Sampling,
};
use crate::fault::Fault;
use crate::surface::fields::Fields;
use crate::units::Tokens;
use serde_json::{Value, json};

/// What the config asks for.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) sampling: Sampling,
    pub(super) output: Output,
    pub(super) reasoning: Option<Reasoning>,
    /// What the canonical form has no word for.
    pub(super) rest: Extras,
}

pub(super) fn parse(config: Option<Fields>) -> Result<Asked, Fault> {
    let Some(mut config) = config else { return Ok(Asked::default()) };
    let sampling = sampling(&mut config)?;
    let (reasoning, thinking_rest) = reasoning(&mut config)?;
    let output = output(&mut config)?;
    let mut rest = config.rest();
    if !thinking_rest.is_empty() {
        rest.insert("thinkingConfig".to_owned(), Value::Object(thinking_rest));
    }
    Ok(Asked { sampling, output, reasoning, rest })
}

fn sampling(config: &mut Fields) -> Result<Sampling, Fault> {
    let n = whole(config, "candidateCount")?;
    let n = n.map(|n| match u32::try_from(n) {
        Ok(n @ 1..) => Ok(n),
        _ => Err(Fault::bad_field(config.path("candidateCount"), "a whole number of at least 1", n)),
    });
    Ok(Sampling {
        temperature: number(config, "temperature")?,
        top_p: number(config, "topP")?,
        top_k: number(config, "topK")?,
        seed: number(config, "seed")?,
        presence_penalty: number(config, "presencePenalty")?,
        frequency_penalty: number(config, "frequencyPenalty")?,
        logit_bias: None,
        stop: texts(config, "stopSequences")?,
        n: n.transpose()?,
        logprobs: logprobs(config)?,
    })
}

fn logprobs(config: &mut Fields) -> Result<Option<LogProbs>, Fault> {
    let top = whole(config, "logprobs")?;
    if config.flag("responseLogprobs")? != Some(true) {
        return match top {
            None | Some(0) => Ok(None),
            Some(top) => {
                let what = "responseLogprobs to be true beside it";
                Err(Fault::bad_field(config.path("logprobs"), what, top))
            }
        };
    }
    let top = top.map(|top| {
        u32::try_from(top)
            .map_err(|_| Fault::bad_field(config.path("logprobs"), "a number of at most 20", top))
    });
    Ok(Some(LogProbs { top: top.transpose()? }))
}

fn output(config: &mut Fields) -> Result<Output, Fault> {
    let modalities = modalities(config)?;
    let audio = if modalities.iter().any(|word| word == "audio") { voice(config) } else { None };
    Ok(Output {
        max_tokens: whole(config, "maxOutputTokens")?.map(Tokens),
        format: format(config)?,
        // Text alone is what everybody answers with.
        modalities: if modalities == ["text"] { Vec::new() } else { modalities },
        audio,
        verbosity: None,
        prediction: None,
    })
}

fn modalities(config: &mut Fields) -> Result<Vec<String>, Fault> {
    let mut known = Vec::new();
    for (at, word) in texts(config, "responseModalities")?.into_iter().enumerate() {
        match word.to_ascii_uppercase().as_str() {
            "MODALITY_UNSPECIFIED" => {}
            "TEXT" | "IMAGE" | "AUDIO" => known.push(word.to_ascii_lowercase()),
            other => {
                let path = format!("{}[{at}]", config.path("responseModalities"));
                return Err(unknown_word(path, "one of TEXT, IMAGE, AUDIO", other));
            }
        }
    }
    Ok(known)
}

/// The one voice, in OpenAI's words, and the format that Google's sound always has. More of a speech
/// config than that stays where it is.
fn voice(config: &mut Fields) -> Option<Value> {
    let speech = config.peek("speechConfig")?;
    let voice = ["voiceConfig", "voice_config"].iter().find_map(|key| speech.get(*key))?;
    let built = ["prebuiltVoiceConfig", "prebuilt_voice_config"].iter().find_map(|key| voice.get(*key))?;
    let name = ["voiceName", "voice_name"].iter().find_map(|key| built.get(*key))?.as_str()?.to_owned();
    if speech.as_object().is_some_and(|speech| speech.len() == 1) {
        config.drop("speechConfig");
    }
    Some(json!({"voice": name, "format": "pcm16"}))
}

fn format(config: &mut Fields) -> Result<Option<Format>, Fault> {
    let kind = config.text("responseMimeType")?;
    let path = config.path("responseSchema");
    let schema = match (config.value("responseJsonSchema"), config.value("responseSchema")) {
        (Some(json), _) => Some(json),
        (None, Some(open)) => Some(schema::json_schema(open, &path)?),
        (None, None) => None,
    };
    match (kind.as_deref(), schema) {
        (Some("application/json") | None, Some(schema)) => {
            let name = schema.get("title").and_then(Value::as_str).and_then(named);
            Ok(Some(Format::JsonSchema(JsonSchema { name, description: None, schema, strict: None })))
        }
        (Some("application/json"), None) => Ok(Some(Format::JsonObject)),
        (Some("text/plain"), None) | (None, None) => Ok(None),
        (Some(other), schema) => {
            config.put("responseMimeType", Value::from(other));
            if let Some(schema) = schema {
                config.put("responseSchema", schema);
            }
            Ok(None)
        }
    }
}

/// A title as a name, where other dialects would take it for one.
fn named(title: &str) -> Option<String> {
    let name: String = title
        .chars()
        .map(
            |letter| {
                if letter.is_ascii_alphanumeric() || letter == '_' || letter == '-' { letter } else { '_' }
            },
        )
        .take(64)
        .collect();
    (!name.is_empty()).then_some(name)
}

fn reasoning(config: &mut Fields) -> Result<(Option<Reasoning>, Extras), Fault> {
    let Some(thinking) = config.object("thinkingConfig")? else { return Ok((None, Extras::new())) };
    let mut thinking = camel(thinking);
    let shown = thinking.flag("includeThoughts")?.unwrap_or(false);
    let mut reasoning = Reasoning { shown: shown.then_some(ReasoningShown::Summary), ..Reasoning::default() };
    if let Some(budget) = number(&mut thinking, "thinkingBudget")? {
        match budget.as_i64() {
            Some(0) => reasoning.mode = ReasoningMode::Off,
            Some(-1) => reasoning.mode = ReasoningMode::Adaptive,
            Some(budget @ 1..) => {
                reasoning.mode = ReasoningMode::On;
                reasoning.budget = Some(Tokens(budget.unsigned_abs()));
            }
            Some(_) | None => {
                let path = thinking.path("thinkingBudget");
                return Err(Fault::bad_field(path, "a whole number of at least -1", budget));
            }
        }
    }
    reasoning.effort = match word(&mut thinking, "thinkingLevel")?.as_deref() {
        None | Some("THINKING_LEVEL_UNSPECIFIED") => None,
        Some(level) => match Effort::parse(&level.to_ascii_lowercase()) {
            Some(effort) if effort != Effort::None => Some(effort),
            Some(_) | None => {
                let path = thinking.path("thinkingLevel");
                return Err(unknown_word(path, "one of MINIMAL, LOW, MEDIUM, HIGH", level));
            }
        },
    };
    let asks = reasoning != Reasoning::default();
    Ok((asks.then_some(reasoning), thinking.rest()))
}
