//! Proofs of other providers, as signatures of `thinking` blocks.
//!
//! A provider's proof has to come back to it verbatim, and the only thing that every client of this
//! dialect repeats verbatim is a thinking block's signature. So a proof of another provider is written
//! as one, with what it is a proof of: `tollgate:gemini:call:<value>`. Thinking of a provider that
//! proves nothing is `tollgate:unsigned`, since clients drop blocks without a signature.

use crate::call::Signature;
use crate::dialect::Dialect;

/// What no signature of Anthropic's begins with: theirs are base64.
pub(super) const PREFIX: &str = "tollgate:";

/// The signature of thinking that nobody has proven.
pub(super) const UNSIGNED: &str = "tollgate:unsigned";

/// What a proof is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// The thinking block itself.
    Thinking,
    /// The tool call after it.
    Call,
    /// The text before it.
    Text,
}

const WORDS: [(Of, &str); 3] = [(Of::Thinking, "thinking"), (Of::Call, "call"), (Of::Text, "text")];

/// A signature that says the proof. One of Anthropic's own is shown as it is.
pub(super) fn write(proof: &Signature, of: Of) -> String {
    let Signature { origin, value } = proof;
    if *origin == Dialect::Anthropic && of == Of::Thinking {
        return value.clone();
    }
    let word = WORDS.iter().find(|(known, _)| *known == of).map_or("", |(_, word)| word);
    format!("{PREFIX}{}:{word}:{value}", origin.name())
}

/// What a signature turns out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// None at all.
    Missing,
    /// A provider's.
    Of(Of, Signature),
}

/// Reads a signature. What begins like one of ours and is not is none.
pub(super) fn read(signature: String) -> Proof {
    let Some(rest) = signature.strip_prefix(PREFIX) else {
        let own = Signature { origin: Dialect::Anthropic, value: signature };
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
                assert_eq!(read(write(&proof, of)), Proof::Of(of, proof));
            }
        }
    }

    #[test]
    fn anthropics_own_is_shown_as_it_is_and_nothing_is_nothing() {
        let own = Signature { origin: Dialect::Anthropic, value: "EuYBCk".to_owned() };
        assert_eq!(write(&own, Of::Thinking), "EuYBCk");
        for none in ["", UNSIGNED, "tollgate:", "tollgate:mars:call:x", "tollgate:gemini:hat:x"] {
            assert_eq!(read(none.to_owned()), Proof::Missing, "{none}");
        }
    }
}
