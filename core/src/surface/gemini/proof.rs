//! Proofs of other providers in the one field this dialect has for proofs, `thoughtSignature`.
//!
//! The field is bytes in base64, and clients decode it and encode it again. So another provider's
//! proof is written as the base64 of `tollgate:`, whose proof it is, and the proof. It begins with the
//! same twelve letters always, by which it is known. Sent to Google it becomes the value that Google
//! takes in place of a signature (<https://ai.google.dev/gemini-api/docs/thought-signatures>).

use crate::call::Signature;
use crate::dialect::Dialect;
use crate::json::Value;
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

/// `tollgate:` in base64.
const MARK: &str = "dG9sbGdhdGU6";
const WORD: &[u8] = b"tollgate:";

/// What Google takes in place of a signature, quotes included.
pub(super) const UNCHECKED: &str = "\"c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=\"";

/// Clients write base64 with either alphabet, padded or not.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const EITHER: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);

/// What a signature that comes back proves.
pub(super) enum Proof {
    /// A part: text, call or readable thought.
    Signed(Signature),
    /// It is the thought itself, sealed.
    Sealed(Signature),
}

/// Whether a value on the tape is another provider's proof.
pub(super) fn is_foreign(value: Value<'_>) -> bool {
    value.raw().get(1..).is_some_and(|raw| raw.starts_with(MARK.as_bytes()))
}

/// A signature as it is shown.
pub(super) fn shown(signature: &Signature) -> String {
    written(signature, "signed")
}

/// A sealed thought as it is shown.
pub(super) fn sealed(sealed: &Signature) -> String {
    match sealed.origin {
        Dialect::Gemini => sealed.value.clone(),
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Anthropic => written(sealed, "sealed"),
    }
}

fn written(proof: &Signature, kind: &str) -> String {
    let Signature { origin, value } = proof;
    match origin {
        Dialect::Gemini => value.clone(),
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Anthropic => STANDARD.encode(format!("tollgate:{}:{kind}:{value}", origin.name())),
    }
}

/// Reads what came back. What is not ours is Google's.
pub(super) fn read(value: String) -> Proof {
    let ours = value.starts_with(MARK).then(|| unwrapped(&value)).flatten();
    ours.unwrap_or(Proof::Signed(Signature { origin: Dialect::Gemini, value }))
}

fn unwrapped(value: &str) -> Option<Proof> {
    let bytes = EITHER.decode(value.replace('-', "+").replace('_', "/")).ok()?;
    let text = std::str::from_utf8(bytes.strip_prefix(WORD)?).ok()?;
    let (name, rest) = text.split_once(':')?;
    let (kind, value) = rest.split_once(':')?;
    let origin = Dialect::ALL.iter().find(|(_, known)| *known == name)?.0;
    let proof = Signature { origin, value: value.to_owned() };
    Some(if kind == "sealed" { Proof::Sealed(proof) } else { Proof::Signed(proof) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_comes_back_whatever_a_client_does_to_its_base64() {
        let signature = Signature { origin: Dialect::Anthropic, value: "EqoB>>??+/=:x".to_owned() };
        let shown = shown(&signature);
        assert!(shown.starts_with(MARK));
        for spelt in [shown.clone(), shown.replace('+', "-").replace('/', "_"), shown.replace('=', "")] {
            let Proof::Signed(back) = read(spelt) else { panic!("a signature became a seal") };
            assert_eq!(back, signature);
        }
        let Proof::Sealed(back) = read(sealed(&signature)) else { panic!("a seal became a signature") };
        assert_eq!(back, signature);
    }

    #[test]
    fn googles_own_pass_as_they_are() {
        let signature = Signature { origin: Dialect::Gemini, value: "AVSoXO4=".to_owned() };
        assert_eq!(shown(&signature), "AVSoXO4=");
        let Proof::Signed(back) = read("AVSoXO4=".to_owned()) else { panic!("not signed") };
        assert_eq!(back, signature);
    }
}
