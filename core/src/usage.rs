//! What a call consumed, as its provider reported it.
//!
//! Providers count in two conventions that differ by a factor on the bill. *Inclusive* (OpenAI,
//! Gemini): the prompt count contains cached tokens. *Exclusive* (Anthropic, Bedrock): it does not.
//! Decoders state which one they speak by the type they build from; after that there is one form,
//! in which the input classes do not overlap.

use crate::call::Extras;
use crate::price::Class;
use crate::units::{NanoDollars, Requests, Tokens};
use serde_json::Value;

/// What a call consumed. `fresh_input + cache_read + cache_write_* ` is the whole prompt; `output`
/// is everything generated. The fields of [`UsageParts`] are subsets of those two, never added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Input neither read from nor written to a prompt cache.
    pub fresh_input: Tokens,
    /// Input read from a prompt cache.
    pub cache_read: Tokens,
    /// Input written to a prompt cache that lives five minutes, or whose life is not said.
    pub cache_write_5m: Tokens,
    /// Input written to a prompt cache that lives an hour.
    pub cache_write_1h: Tokens,
    /// Everything generated: visible text, reasoning, audio, tool arguments.
    pub output: Tokens,
    /// Subsets of the above.
    pub parts: UsageParts,
    /// The provider's own total, where it reports one that is not the plain sum.
    pub reported_total: Option<Tokens>,
    /// What the provider says the call cost (OpenRouter, xAI, Perplexity).
    pub reported_cost: Option<NanoDollars>,
    /// The service the call was served with, in the provider's word, where it stands beside the counts
    /// (OpenAI); where it stands among them it is in `extras`.
    pub service_tier: Option<Box<str>>,
    /// Further usage fields of the provider, verbatim, by their own names.
    pub extras: Extras,
    /// The provider's usage object as it came, for the record.
    pub native: Option<Box<Value>>,
}

/// Subsets of input and output that are priced apart. Absent: the provider did not say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsageParts {
    /// Output spent on reasoning.
    pub reasoning: Option<Tokens>,
    /// Input that is sound.
    pub audio_input: Option<Tokens>,
    /// Output that is sound.
    pub audio_output: Option<Tokens>,
    /// Input that is pictures.
    pub image_input: Option<Tokens>,
    /// Output that is pictures.
    pub image_output: Option<Tokens>,
    /// Input that is text, where told apart.
    pub text_input: Option<Tokens>,
    /// Output that is text, where told apart.
    pub text_output: Option<Tokens>,
    /// Input that came back from tools the provider ran (Gemini).
    pub tool_input: Option<Tokens>,
    /// Predicted output that was used.
    pub accepted_prediction: Option<Tokens>,
    /// Predicted output that was thrown away, and billed.
    pub rejected_prediction: Option<Tokens>,
    /// Web searches the provider ran.
    pub web_searches: Option<Requests>,
    /// What the call is priced by instead, where its model's price is for that and not for tokens.
    pub instead: Option<Quantity>,
}

/// So much of something that is priced one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// Of what.
    pub class: Class,
    /// How much.
    pub count: u64,
    /// Which form of it was asked for, where it was: see [`Quantity::pictures`].
    pub form: String,
}

impl Quantity {
    const fn of(class: Class, count: u64) -> Self {
        Self { class, count, form: String::new() }
    }

    /// Pictures made, as they were asked for: `hd/1024x1792`, or what was said of the two. What was left
    /// to the provider is not said.
    pub fn pictures(count: u64, quality: &str, size: &str) -> Self {
        let mut pictures = Self::of(Class::PictureMade, count);
        for said in [quality, size].into_iter().filter(|said| !matches!(*said, "" | "auto")) {
            if !pictures.form.is_empty() {
                pictures.form.push('/');
            }
            // No form that has a price has a longer name.
            pictures.form.extend(said.chars().take(16));
        }
        pictures
    }

    /// Characters of text to be spoken.
    pub const fn characters(count: u64) -> Self {
        Self::of(Class::Character, count)
    }

    /// Seconds of sound to be heard.
    pub const fn seconds(count: u64) -> Self {
        Self::of(Class::SecondSent, count)
    }

    /// Searches.
    pub const fn searches(count: u64) -> Self {
        Self::of(Class::Search, count)
    }
}

/// Counts in the inclusive convention: `cached` and `cache_write` are subsets of `prompt`,
/// `completion` contains the reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inclusive {
    /// The whole prompt.
    pub prompt: Tokens,
    /// Of it, read from a cache.
    pub cached: Tokens,
    /// Of it, written to a cache.
    pub cache_write: Tokens,
    /// Everything generated.
    pub completion: Tokens,
}

/// Counts in the exclusive convention: the three input counts add up to the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exclusive {
    /// Input outside any cache.
    pub input: Tokens,
    /// Input read from a cache.
    pub cache_read: Tokens,
    /// Input written to a five-minute cache.
    pub cache_write_5m: Tokens,
    /// Input written to a one-hour cache.
    pub cache_write_1h: Tokens,
    /// Everything generated.
    pub output: Tokens,
}

impl From<Inclusive> for Usage {
    /// Clamps subsets that exceed the whole: some providers report more cached than prompt tokens.
    fn from(counts: Inclusive) -> Self {
        let Inclusive { prompt, cached, cache_write, completion } = counts;
        let cache_read = cached.min(prompt);
        let cache_write_5m = cache_write.min(prompt.less(cache_read));
        Self {
            fresh_input: prompt.less(cache_read).less(cache_write_5m),
            cache_read,
            cache_write_5m,
            output: completion,
            ..Self::default()
        }
    }
}

impl From<Exclusive> for Usage {
    fn from(counts: Exclusive) -> Self {
        let Exclusive { input, cache_read, cache_write_5m, cache_write_1h, output } = counts;
        Self { fresh_input: input, cache_read, cache_write_5m, cache_write_1h, output, ..Self::default() }
    }
}

impl Usage {
    /// The whole prompt, as the inclusive convention counts it.
    pub fn prompt(&self) -> Tokens {
        self.fresh_input + self.cache_read + self.cache_write_5m + self.cache_write_1h
    }

    /// Input written to any prompt cache.
    pub fn cache_write(&self) -> Tokens {
        self.cache_write_5m + self.cache_write_1h
    }

    /// The provider's own total where it reports one, else prompt and output.
    pub fn total(&self) -> Tokens {
        self.reported_total.unwrap_or(self.prompt() + self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inclusive_counts_are_split_without_overlap() {
        let usage = Usage::from(Inclusive {
            prompt: Tokens(100),
            cached: Tokens(60),
            cache_write: Tokens(10),
            completion: Tokens(5),
        });
        assert_eq!(
            (usage.fresh_input, usage.cache_read, usage.cache_write_5m),
            (Tokens(30), Tokens(60), Tokens(10))
        );
        assert_eq!(usage.prompt(), Tokens(100));
        assert_eq!(usage.total(), Tokens(105));
    }

    #[test]
    fn more_cached_than_prompt_is_clamped_not_negative() {
        let usage = Usage::from(Inclusive { prompt: Tokens(10), cached: Tokens(16), ..Inclusive::default() });
        assert_eq!((usage.fresh_input, usage.cache_read), (Tokens::ZERO, Tokens(10)));
    }
}
