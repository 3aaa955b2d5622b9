//! Usage as servers of OpenAI's dialect report it, in all its spellings.

use super::scan;
use crate::call::Extras;
use crate::json::{self, Tape};
use crate::units::{NanoDollars, Requests, Tokens};
use crate::usage::{Inclusive, Quantity, Usage, UsageParts};
use crate::vendor::{CompletionCount, PromptCount, Quirks};
use memchr::memmem::Finder;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::LazyLock;

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage\""));

static TIER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"service_tier\""));

/// The last usage object in the text that has counts, wherever it stands: Groq has it in `x_groq`.
/// Cheap where there is none; only the object itself is parsed.
pub(in crate::provider) fn find(text: &[u8], quirks: &Quirks) -> Option<Usage> {
    counts(text, quirks).map(|usage| Usage { service_tier: tier(text), ..usage })
}

/// The service that the answer says it was served with: the price depends on it.
fn tier(text: &[u8]) -> Option<Box<str>> {
    let at = scan::value_after_key(text, TIER.find_iter(text).last()? + TIER.needle().len())?;
    let word = text.get(at + 1..scan::skip_string(text, at)?.saturating_sub(1))?;
    let plain = text.get(at) == Some(&b'"') && !word.is_empty();
    std::str::from_utf8(word).ok().filter(|_| plain).map(Box::from)
}

fn counts(text: &[u8], quirks: &Quirks) -> Option<Usage> {
    let read_at = |at: usize| {
        let value = scan::value_after_key(text, at + USAGE.needle().len())?;
        if text.get(value) != Some(&b'{') {
            return None;
        }
        let end = scan::skip_value(text, value)?;
        read_text(text.get(value..end)?, quirks)
    };
    // Forward: searching backwards is several times slower, and there is hardly ever a second one.
    USAGE.find_iter(text).filter_map(read_at).last()
}

/// Reads a usage object; `None` for null and for an object without any count.
pub(in crate::provider) fn read(value: &Value, quirks: &Quirks) -> Option<Usage> {
    if value.is_object() { read_text(value.to_string().as_bytes(), quirks) } else { None }
}

/// On every answer's path, so nothing is built but what is kept.
fn read_text(text: &[u8], quirks: &Quirks) -> Option<Usage> {
    let tape = Tape::parse(text).ok()?;
    let mut fields = Fields::of(tape.root());
    // The names of chat, else those of Responses.
    let prompt = fields.tokens("prompt_tokens").or_else(|| fields.tokens("input_tokens"));
    let completion = fields.tokens("completion_tokens").or_else(|| fields.tokens("output_tokens"));
    let total = fields.tokens("total_tokens");
    if prompt.is_none() && completion.is_none() && total.is_none() {
        // Whisper's is the length of the recording.
        let seconds = seconds(fields.get("seconds")?.as_f64()?)?;
        let parts = UsageParts { instead: Some(Quantity::seconds(seconds)), ..UsageParts::default() };
        return Some(Usage { parts, ..Usage::default() });
    }
    let mut input = fields.either("prompt_tokens_details", "input_tokens_details");
    if input.0.is_empty() {
        // Of transcriptions.
        input = fields.either("input_token_details", "input_token_details");
    }
    let mut output = fields.either("completion_tokens_details", "output_tokens_details");
    let hit = fields.tokens("prompt_cache_hit_tokens");
    // DeepSeek's misses are the rest of the prompt: what the canonical form says by itself.
    fields.take("prompt_cache_miss_tokens");
    // Moonshot's stands beside the prompt's count, Mistral's has a word of its own.
    let beside = fields.tokens("cached_tokens").max(fields.tokens("num_cached_tokens"));
    let cached = [input.tokens("cached_tokens"), hit, beside];
    let write = input.tokens("cache_write_tokens").or_else(|| input.tokens("cache_creation_tokens"));
    let mistral_audio = fields.tokens("audio_prompt_tokens");
    let parts = parts(&mut fields, &mut input, &mut output, mistral_audio);
    let counts = Inclusive {
        prompt: whole_prompt(prompt.unwrap_or_default(), mistral_audio, quirks),
        cached: cached.into_iter().flatten().max().unwrap_or_default(),
        cache_write: write.unwrap_or_default(),
        completion: whole_completion(prompt, completion, total, &parts, quirks),
    };
    let mut usage = Usage { parts, ..Usage::from(counts) };
    // Subsets never exceed the whole, whatever the provider says.
    usage.parts.reasoning = usage.parts.reasoning.map(|reasoning| reasoning.min(usage.output));
    usage.reported_total = total.filter(|total| *total != usage.prompt() + usage.output);
    usage.reported_cost = fields.cost();
    usage.extras = fields.rest();
    for (key, details) in [("prompt_tokens_details", input), ("completion_tokens_details", output)] {
        let rest = details.rest();
        if !rest.is_empty() {
            usage.extras.insert(key.to_owned(), Value::Object(rest));
        }
    }
    Some(usage)
}

/// Whole seconds: one that has begun is billed.
fn seconds(seconds: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be positive and within range"
    )]
    (0.0..1e9).contains(&seconds).then(|| seconds.ceil() as u64)
}

fn parts(
    fields: &mut Fields<'_>,
    input: &mut Fields<'_>,
    output: &mut Fields<'_>,
    mistral_audio: Option<Tokens>,
) -> UsageParts {
    UsageParts {
        reasoning: output.tokens("reasoning_tokens").or_else(|| fields.tokens("reasoning_tokens")),
        audio_input: input.tokens("audio_tokens").or(mistral_audio),
        audio_output: output.tokens("audio_tokens"),
        image_input: input.tokens("image_tokens"),
        image_output: output.tokens("image_tokens"),
        text_input: input.tokens("text_tokens"),
        text_output: output.tokens("text_tokens"),
        tool_input: None,
        accepted_prediction: output.tokens("accepted_prediction_tokens"),
        rejected_prediction: output.tokens("rejected_prediction_tokens"),
        web_searches: fields.take("num_search_queries").and_then(json::Value::as_u64).map(Requests),
        instead: None,
    }
}

fn whole_prompt(prompt: Tokens, audio: Option<Tokens>, quirks: &Quirks) -> Tokens {
    match quirks.prompt {
        PromptCount::Whole => prompt,
        PromptCount::WithoutAudio => prompt + audio.unwrap_or_default(),
    }
}

/// Where reasoning is counted apart it is added. Some servers say nothing of hidden reasoning but
/// in their total, which then exceeds prompt and completion: the difference was generated too.
fn whole_completion(
    prompt: Option<Tokens>,
    completion: Option<Tokens>,
    total: Option<Tokens>,
    parts: &UsageParts,
    quirks: &Quirks,
) -> Tokens {
    let completion = completion.unwrap_or_default();
    match (quirks.completion, quirks.prompt) {
        (CompletionCount::WithoutReasoning, _) => completion + parts.reasoning.unwrap_or_default(),
        (CompletionCount::Whole, PromptCount::WithoutAudio) => completion,
        (CompletionCount::Whole, PromptCount::Whole) => {
            let rest = total.unwrap_or_default().less(prompt.unwrap_or_default());
            completion.max(rest)
        }
    }
}

/// The members of an object that have not been understood yet.
struct Fields<'t>(Vec<(Cow<'t, str>, json::Value<'t>)>);

impl<'t> Fields<'t> {
    fn of(object: json::Value<'t>) -> Self {
        Self(object.members().filter_map(|(key, value)| Some((key.as_str()?, value))).collect())
    }

    fn get(&self, key: &str) -> Option<json::Value<'t>> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    fn take(&mut self, key: &str) -> Option<json::Value<'t>> {
        let at = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(at).1)
    }

    /// A count; null, negative and absent ones are not said.
    fn tokens(&mut self, key: &str) -> Option<Tokens> {
        let value = self.get(key)?;
        let count = value.as_u64();
        if count.is_some() || value.is_null() {
            self.take(key);
        }
        count.map(Tokens)
    }

    /// The object of the first name that there is.
    fn either(&mut self, first: &str, second: &str) -> Self {
        self.take(first).or_else(|| self.take(second)).map_or(Self(Vec::new()), Self::of)
    }

    /// What has not been taken and says anything.
    fn rest(self) -> Extras {
        let keep = |(key, value): (Cow<'t, str>, json::Value<'t>)| {
            if value.is_null() {
                return None;
            }
            Some((key.into_owned(), serde_json::from_slice(value.raw()).ok()?))
        };
        self.0.into_iter().filter_map(keep).collect()
    }

    /// In dollars as `cost` (OpenRouter) or `cost.total_cost` (Perplexity), or in ticks of 10^-10
    /// dollars (xAI). The field stays where it is, for clients that read it.
    fn cost(&self) -> Option<NanoDollars> {
        if let Some(ticks) = self.get("cost_in_usd_ticks").and_then(json::Value::as_u64) {
            return Some(NanoDollars(ticks.div_ceil(10)));
        }
        let cost = self.get("cost")?;
        nano(cost.as_f64().or_else(|| cost.get("total_cost")?.as_f64())?)
    }
}

/// Rounded up, so that what a provider charges is never undercounted; a hair is taken off first
/// since decimal fractions are seldom exact in binary.
fn nano(dollars: f64) -> Option<NanoDollars> {
    let nano = dollars * 1e9;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be positive and within range"
    )]
    (0.0..1e19).contains(&nano).then(|| NanoDollars((nano - 1e-4).ceil().max(0.0) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendor;

    fn usage(vendor: &str, text: &str) -> Usage {
        find(text.as_bytes(), &vendor::find(vendor).unwrap().quirks).unwrap()
    }

    #[test]
    fn openai_counts_are_inclusive_with_subsets() {
        let usage = usage(
            "openai",
            r#"{"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,
            "prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":10,"audio_tokens":0},
            "completion_tokens_details":{"reasoning_tokens":5,"rejected_prediction_tokens":2}}}"#,
        );
        assert_eq!(
            (usage.fresh_input, usage.cache_read, usage.cache_write_5m),
            (Tokens(30), Tokens(60), Tokens(10))
        );
        assert_eq!((usage.output, usage.parts.reasoning), (Tokens(20), Some(Tokens(5))));
        assert_eq!((usage.reported_total, usage.extras.len()), (None, 0));
    }

    #[test]
    fn xai_reasoning_comes_on_top() {
        let usage = usage(
            "xai",
            r#"{"usage":{"prompt_tokens":26,"completion_tokens":196,"total_tokens":513,
            "completion_tokens_details":{"reasoning_tokens":291},"cost_in_usd_ticks":1330500}}"#,
        );
        assert_eq!((usage.output, usage.total()), (Tokens(487), Tokens(513)));
        assert_eq!(usage.reported_cost, Some(NanoDollars(133_050)));
    }

    #[test]
    fn mistral_sound_is_outside_the_prompt_count() {
        let usage = usage(
            "mistral",
            r#"{"usage":{"prompt_tokens":9,"completion_tokens":248,"total_tokens":632,"audio_prompt_tokens":375,
            "num_cached_tokens":0}}"#,
        );
        assert_eq!((usage.prompt(), usage.output, usage.total()), (Tokens(384), Tokens(248), Tokens(632)));
    }

    #[test]
    fn hidden_reasoning_is_what_the_total_has_more() {
        let usage = usage(
            "gemini-openai",
            r#"{"usage":{"prompt_tokens":8,"completion_tokens":4,"total_tokens":112}}"#,
        );
        assert_eq!(usage.output, Tokens(104));
    }

    #[test]
    fn deepseek_openrouter_and_perplexity_say_it_in_their_own_fields() {
        let deepseek = usage(
            "deepseek",
            r#"{"usage":{"prompt_tokens":10,"completion_tokens":1,"total_tokens":11,"prompt_cache_hit_tokens":4,"prompt_cache_miss_tokens":6}}"#,
        );
        assert_eq!((deepseek.fresh_input, deepseek.cache_read), (Tokens(6), Tokens(4)));
        let openrouter = usage(
            "openrouter",
            r#"{"usage":{"prompt_tokens":10,"completion_tokens":1,"total_tokens":11,"cost":0.00002445,"is_byok":false}}"#,
        );
        assert_eq!(openrouter.reported_cost, Some(NanoDollars(24_450)));
        assert!(openrouter.extras.contains_key("is_byok"));
        let perplexity = usage(
            "perplexity",
            r#"{"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"num_search_queries":2,"cost":{"total_cost":0.006}}}"#,
        );
        assert_eq!(perplexity.parts.web_searches, Some(Requests(2)));
        assert_eq!(perplexity.reported_cost, Some(NanoDollars(6_000_000)));
    }

    #[test]
    fn counts_beyond_the_whole_are_clamped_and_nulls_are_not_said() {
        let usage = usage(
            "azure",
            r#"{"usage":{"prompt_tokens":10,"completion_tokens":null,"total_tokens":10,
            "prompt_tokens_details":{"cached_tokens":16},"completion_tokens_details":{"reasoning_tokens":7}}}"#,
        );
        assert_eq!((usage.fresh_input, usage.cache_read, usage.output), (Tokens(0), Tokens(10), Tokens(0)));
        assert_eq!(usage.parts.reasoning, Some(Tokens(0)));
    }

    #[test]
    fn usage_is_found_wherever_it_stands_and_not_where_it_is_only_talked_about() {
        let quirks = Quirks::NONE;
        let groq = br#"{"choices":[],"x_groq":{"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}},"usage":null}"#;
        assert_eq!(find(groq, &quirks).unwrap().prompt(), Tokens(3));
        for none in [
            &br#"{"choices":[{"delta":{"content":"\"usage\":{\"prompt_tokens\":1}"}}]}"#[..],
            br#"{"usage":null}"#,
            br#"{"usage":{}}"#,
            br#"{"usage":{"prompt_tokens":"#,
            br#"{"a":"usage"}"#,
        ] {
            assert_eq!(find(none, &quirks), None);
        }
    }
}
