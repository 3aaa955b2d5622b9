//! Proofs of other providers, where a dialect has proofs of its own.
//!
//! A provider's proof has to come back to it verbatim, and what every client repeats verbatim are
//! proofs of its own dialect: signatures of thinking blocks, encrypted reasoning. So a proof of another
//! provider is written as one, with what it is a proof of: `tollgate:gemini:call:<value>`. Thinking of a
//! provider that proves nothing is `tollgate:unsigned` where clients drop blocks without a signature.

use crate::call::Signature;
use crate::dialect::Dialect;

/// What no provider's proof begins with: theirs are base64.
pub(super) const PREFIX: &str = "tollgate:";

/// The signature of thinking that nobody has proven.
pub(super) const UNSIGNED: &str = "tollgate:unsigned";

/// What a proof is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// The thinking itself, readable or not.
    Thinking,
    /// It is the thinking, sealed.
    Sealed,
    /// The tool call after it.
    Call,
    /// It is no proof, but a block that only its own dialect understands, as JSON.
    Block,
    /// The text before it.
    Text,
}

const WORDS: [(Of, &str); 5] = [
    (Of::Thinking, "thinking"),
    (Of::Sealed, "sealed"),
    (Of::Call, "call"),
    (Of::Text, "text"),
    (Of::Block, "block"),
];

/// A signature that says the proof.
pub(super) fn write(proof: &Signature, of: Of) -> String {
    let Signature { origin, value } = proof;
    let word = WORDS.iter().find(|(known, _)| *known == of).map_or("", |(_, word)| word);
    format!("{PREFIX}{}:{word}:{value}", origin.name())
}

/// The same, but that one of thinking in the dialect `own` is shown as it is.
pub(super) fn write_to(own: Dialect, proof: &Signature, of: Of) -> String {
    if proof.origin == own && of == Of::Thinking { proof.value.clone() } else { write(proof, of) }
}

/// What a signature turns out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// None at all.
    Missing,
    /// A provider's.
    Of(Of, Signature),
}

/// Reads a signature; one that is not ours is the dialect's own. What begins like ours and is not is
/// none.
pub(super) fn read(signature: String, own: Dialect) -> Proof {
    let Some(rest) = signature.strip_prefix(PREFIX) else {
        let own = Signature { origin: own, value: signature };
        return if own.value.is_empty() { Proof::Missing } else { Proof::Of(Of::Thinking, own) };
    };
    let mut pieces = rest.splitn(3, ':');
    let (name, word, value) = (pieces.next(), pieces.next(), pieces.next());
    let origin = Dialect::ALL.iter().find(|(_, known)| Some(*known) == name).map(|(dialect, _)| *dialect);
    let of = WORDS.iter().find(|(_, known)| Some(*known) == word).map(|(of, _)| *of);
    match (origin, of, value) {
        (Some(origin), Some(of), Some(value)) => Proof::Of(of, Signature { origin, value: value.to_owned() }),
        _ => Proof::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_proof_is_read_back_as_it_was_written() {
        for (origin, _) in Dialect::ALL {
            for (of, _) in WORDS {
                let proof = Signature { origin, value: "a:b=/+".to_owned() };
                assert_eq!(
                    read(write_to(Dialect::Anthropic, &proof, of), Dialect::Anthropic),
                    Proof::Of(of, proof)
                );
            }
        }
    }

    #[test]
    fn a_dialects_own_is_shown_as_it_is_and_nothing_is_nothing() {
        let own = Signature { origin: Dialect::Anthropic, value: "EuYBCk".to_owned() };
        assert_eq!(write_to(Dialect::Anthropic, &own, Of::Thinking), "EuYBCk");
        for none in ["", UNSIGNED, "tollgate:", "tollgate:mars:call:x", "tollgate:gemini:hat:x"] {
            assert_eq!(read(none.to_owned(), Dialect::Anthropic), Proof::Missing, "{none}");
        }
    }
}
