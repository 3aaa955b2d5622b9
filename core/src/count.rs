//! Tokens, where no provider has counted them: before a call as an upper bound, after it where usage
//! is missing.
//!
//! ```text
//! before a call   bytes of the prompt ──▶ Gauge::bound ──▶ what is reserved
//! after it        usage reported ────────▶ the truth, and Gauge::learn
//!                 usage missing ─────────▶ Uncounted ──▶ host: the model's tokenizer, else Gauge::count
//! ```
//!
//! Core has no tokenizer. A host that has one counts with it; every other host, and every model whose
//! tokenizer is not published, gets the gauge's upper estimate, and the record says which of the two
//! it is.

mod exact;
mod family;
mod gauge;
mod heard;

pub use family::Family;
pub use gauge::{Gauge, weight};
pub use heard::Heard;

use crate::surface::Surface;
use crate::units::Tokens;
use crate::usage::Usage;
use bytes::Bytes;
use std::fmt;

/// Tokens reserved for a picture, whatever its size: above what OpenAI (1,500), Anthropic (4,800 for
/// its largest) and Google (3,100 for twelve tiles) count for one.
pub const IMAGE: Tokens = Tokens(5_000);

/// Tokens reserved for a file or a video of which only the address is known.
pub const REFERENCE: Tokens = Tokens(50_000);

/// Of a file that stands in the body as base64, so many bytes make a token: a page of a dense PDF is
/// some 10,000 bytes and 2,500 tokens, text and picture together.
pub const FILE_BYTES_PER_TOKEN: u64 = 4;

/// The same for sound. Providers count 10 to 32 tokens per second, and well compressed speech takes
/// some 2,700 bytes of base64 for one.
pub const AUDIO_BYTES_PER_TOKEN: u64 = 64;

/// What a prompt holds besides text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// Pictures, by address or in the body.
    pub images: u64,
    /// Files and videos of which only the address is known.
    pub references: u64,
    /// Bytes of files and videos in the body, as base64.
    pub file_bytes: u64,
    /// Bytes of sound in the body, as base64.
    pub audio_bytes: u64,
}

impl Media {
    /// An upper figure for all of it.
    pub fn tokens(self) -> Tokens {
        let Self { images, references, file_bytes, audio_bytes } = self;
        let times = |count: u64, each: Tokens| Tokens(count.saturating_mul(each.get()));
        times(images, IMAGE)
            + times(references, REFERENCE)
            + Tokens(file_bytes.div_ceil(FILE_BYTES_PER_TOKEN))
            + Tokens(audio_bytes.div_ceil(AUDIO_BYTES_PER_TOKEN))
    }

    /// True where the prompt is text alone.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// What a prompt counts for besides the tokens of its texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Besides {
    /// What the dialect's frame around messages, names and tools comes to.
    pub frame: Tokens,
    /// What is no text.
    pub media: Media,
}

/// Text whose tokens are to be counted.
pub struct Uncounted {
    /// By which tokenizer.
    pub family: Family,
    /// The request's body, where its prompt is to be counted.
    pub prompt: Option<Prompt>,
    /// Generated text, where that is to be counted.
    pub output: Option<Heard>,
}

/// A request's body and how to read it.
pub struct Prompt {
    /// The surface it came to.
    pub surface: &'static dyn Surface,
    /// The client's own bytes.
    pub body: Bytes,
}

impl Prompt {
    /// Hands over each text of the prompt, and says what it holds besides. As long as the body takes
    /// to parse: not for a thread that others wait for where the body is large.
    pub fn texts(&self, each: &mut dyn FnMut(&str)) -> Besides {
        self.surface.prompt_text(&self.body, each)
    }
}

impl Uncounted {
    /// The prompt alone: before a call whose estimate decides whether it is refused.
    pub fn prompt(family: Family, prompt: Prompt) -> Self {
        Self { family, prompt: Some(prompt), output: None }
    }

    /// What is missing after a call: the output always, the prompt only where the provider has not
    /// reported it before the answer broke off (Anthropic does first of all, Gemini in every chunk).
    pub fn missing(family: Family, prompt: Prompt, heard: Heard, reported: Option<&Usage>) -> Self {
        let known = reported.is_some_and(|usage| !usage.prompt().is_zero());
        Self { family, prompt: (!known).then_some(prompt), output: Some(heard) }
    }

    /// Bytes that would have to be looked at: decides where a host counts.
    pub fn bytes(&self) -> u64 {
        let prompt = self.prompt.as_ref().map_or(0, |prompt| prompt.body.len() as u64);
        prompt.saturating_add(self.output.as_ref().map_or(0, Heard::bytes))
    }
}

impl fmt::Debug for Uncounted {
    /// Prompt text is not printed (invariant I7).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uncounted").field("family", &self.family).field("output", &self.output).finish()
    }
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The prompt, where it was asked for.
    pub input: Option<Tokens>,
    /// The output, where it was asked for.
    pub output: Option<Tokens>,
    /// How it is known.
    pub basis: Basis,
}

impl Counted {
    /// What was counted, put together with what was reported before the answer broke off.
    ///
    /// What the provider has said of the input stays as it is, cache classes and all: it is the bill.
    /// Of the output the larger figure counts, since a report in mid-stream is of the beginning only,
    /// and hidden reasoning is in no text that was heard. What the provider said the call cost is
    /// dropped, being the cost of a part.
    #[must_use]
    pub fn over(self, reported: Option<&Usage>) -> Usage {
        let Self { input, output, basis: _ } = self;
        let mut usage = reported.cloned().unwrap_or_default();
        if usage.prompt().is_zero() {
            usage.fresh_input = input.unwrap_or_default();
        }
        usage.output = usage.output.max(output.unwrap_or_default());
        usage.reported_total = None;
        usage.reported_cost = None;
        usage
    }
}

/// How a number of tokens is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Basis {
    /// The provider says so.
    #[default]
    Reported,
    /// Counted with the model's own tokenizer.
    Counted,
    /// An upper estimate.
    Estimated,
}

impl Basis {
    /// Its word in records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Counted => "counted",
            Self::Estimated => "estimated",
        }
    }
}

#[cfg(test)]
mod tests;
