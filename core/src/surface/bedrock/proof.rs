//! Proofs in this dialect's two places for them: signatures of reasoning texts, which are text, and
//! sealed reasoning, which is bytes in base64. How another provider's proof is written is what Messages
//! has for it.

use crate::call::Signature;
use crate::dialect::Dialect;
use crate::json::Value;
use crate::surface::proof::{self, Of, PREFIX, Proof};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// [`PREFIX`] in base64.
const SEALED: &str = "dG9sbGdhdGU6";

/// A signature as it is shown.
pub(super) fn written(signature: &Signature, of: Of) -> String {
    proof::write_to(Dialect::Anthropic, signature, of)
}

/// A signature that came back.
pub(super) fn read(signature: String) -> Proof {
    proof::read(signature, Dialect::Anthropic)
}

/// Sealed reasoning as it is shown.
pub(super) fn sealed(sealed: &Signature) -> String {
    match sealed.origin {
        Dialect::Anthropic => sealed.value.clone(),
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Gemini
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama => STANDARD.encode(proof::write(sealed, Of::Sealed)),
    }
}

/// Sealed reasoning that came back.
pub(super) fn unsealed(value: String) -> Option<Signature> {
    let text = value.starts_with(SEALED).then(|| STANDARD.decode(&value).ok()).flatten();
    match text.and_then(|text| String::from_utf8(text).ok()).map(read) {
        None => Some(Signature { origin: Dialect::Anthropic, value }),
        Some(Proof::Of(_, signature)) => Some(signature),
        Some(Proof::Missing) => None,
    }
}

/// Whether a content block on the tape is nothing but another provider's proof, which Bedrock would
/// take for a forgery.
pub(super) fn is_foreign(block: Value<'_>) -> bool {
    let Some(content) = block.get("reasoningContent") else { return false };
    let signature = content.get("reasoningText").and_then(|text| text.get("signature"));
    let begins = |value: Option<Value<'_>>, mark: &str| {
        value.and_then(Value::as_str).is_some_and(|text| text.starts_with(mark))
    };
    begins(signature, PREFIX) || begins(content.get("redactedContent"), SEALED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_come_back_and_claudes_are_shown_as_they_are() {
        for origin in [Dialect::OpenAi, Dialect::Gemini, Dialect::Anthropic] {
            let signature = Signature { origin, value: "a:b=/+".to_owned() };
            assert_eq!(unsealed(sealed(&signature)), Some(signature));
        }
        assert_eq!(sealed(&Signature { origin: Dialect::Anthropic, value: "Eq==".to_owned() }), "Eq==");
        let foreign = Signature { origin: Dialect::Gemini, value: "x".to_owned() };
        assert!(sealed(&foreign).starts_with(SEALED));
    }
}
