//! The canonical call for vectors of texts, and its answer.
//!
//! The same idea as [`crate::call`]: surfaces parse into it, providers encode from it, and both
//! destructure, so that a new field is a compile error until somebody decides what becomes of it.

use crate::call::{Extras, Part};
use crate::dialect::Dialect;
use crate::usage::Usage;

/// One request for vectors.
#[derive(Clone, PartialEq)]
pub struct EmbeddingCall {
    /// The model as the client named it; the route decides what goes upstream.
    pub model: String,
    /// Each becomes a vector, in this order. Never empty.
    pub inputs: Vec<Input>,
    /// How many numbers a vector is to have; absent: as many as the model's have.
    pub dimensions: Option<u64>,
    /// What the vectors are for, in Google's word (`RETRIEVAL_QUERY`, …).
    pub task: Option<String>,
    /// The title of a document, which Google's models take into account.
    pub title: Option<String>,
    /// How numbers are written in the answer.
    pub encoding: Encoding,
    /// The end user, as the client names them.
    pub user: Option<String>,
    /// The dialect the call came in, whose words `extras` are.
    pub origin: Dialect,
    /// What the canonical form has no word for.
    pub extras: Extras,
}

impl std::fmt::Debug for EmbeddingCall {
    /// Prints the call's shape and no text of it (invariant I7).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddingCall")
            .field("model", &self.model)
            .field("inputs", &self.inputs.len())
            .finish_non_exhaustive()
    }
}

/// What becomes one vector.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Texts and media, taken together.
    Parts(Vec<Part>),
    /// A text, as tokens of the model's own.
    Tokens(Vec<u64>),
}

/// How a vector's numbers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As numbers.
    #[default]
    Floats,
    /// As the base64 of 32-bit floats, least byte first.
    Base64,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embeddings {
    /// One for each input, in their order. Providers compute in 32 bits.
    pub vectors: Vec<Vec<f32>>,
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
    /// Absent: the provider did not report any.
    pub usage: Option<Usage>,
}
