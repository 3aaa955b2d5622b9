//! Tokens, where no provider has counted them: before a call as an upper bound, after it where usage
//! is missing.

use crate::surface::Surface;
use crate::units::{Estimated, Tokens};
use bytes::Bytes;
use std::fmt;

/// Which tokenizer a model has, as far as it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// OpenAI's newer models.
    O200k,
    /// OpenAI's older ones.
    Cl100k,
    /// None that is published: counts are estimates.
    Unknown,
}

impl Family {
    /// The family of a model, by its name.
    pub fn of(model: &str) -> Self {
        let _ = model;
        Self::Unknown
    }
}

/// How many bytes make a token, learned from what providers report. Shared by all requests.
#[derive(Debug, Default)]
pub struct Gauge {}

impl Gauge {
    /// An upper bound of the tokens in so many bytes of prompt.
    pub fn estimate(&self, family: Family, bytes: u64) -> Estimated<Tokens> {
        let _ = family;
        Estimated(Tokens(bytes))
    }

    /// A provider has counted.
    pub fn observe(&self, family: Family, bytes: u64, counted: Tokens) {
        let _ = (family, bytes, counted);
    }
}

/// Text whose tokens are to be counted.
pub struct Uncounted {
    /// By which tokenizer.
    pub family: Family,
    /// The request's body, where its prompt is to be counted.
    pub prompt: Option<Prompt>,
    /// Generated text, where that is to be counted.
    pub output: Option<String>,
}

/// A request's body and how to read it.
pub struct Prompt {
    /// The surface it came to.
    pub surface: &'static dyn Surface,
    /// The client's own bytes.
    pub body: Bytes,
}

impl fmt::Debug for Uncounted {
    /// Prompt text is not printed (invariant I7).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uncounted").field("family", &self.family).finish_non_exhaustive()
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
