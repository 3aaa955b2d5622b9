//! Who made what nobody else understands: encrypted reasoning, and responses that an upstream keeps.
//!
//! ```text
//! down   "encrypted_content":"gAAA"  ─▶  "tollgate-k3x9q2aa.gAAA"    where it could come back to another account
//!        "id":"resp_1"               ─▶  "resp_1-tollgate-k3x9q2aa"  where its route leads to another account
//! up     to its maker, without the mark: byte for byte what it gave out; to anybody else it is not sent
//! ```
//! A maker is an account: a provider's endpoint with one of its keys, known by their names. The mark stands
//! in what clients send back verbatim, so every gateway finds the maker again, and nothing is remembered.
//! It names and proves nothing: one that is made up leads to a lane that the key may use anyway.

use crate::call::{Call, Part, Signature, Thinking};
use crate::dialect::Dialect;
use crate::exchange::DIGITS;
use crate::provider::scan;
use crate::reply::{Event, Reply};
use crate::sort;
use bytes::{Bytes, BytesMut};

/// What every mark holds.
pub const WORD: &str = "tollgate-";

/// The digits of a maker's name.
const LENGTH: usize = 8;

/// An account, by 40 bits of its names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Maker([u8; LENGTH]);

impl std::fmt::Debug for Maker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.digits())
    }
}

impl Maker {
    /// The account of one of a provider's keys, by the names that the config gives them.
    pub fn of(provider: &str, key: &str) -> Self {
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = provider.bytes().chain([0]).chain(key.bytes()).fold(0xcbf2_9ce4_8422_2325, fold);
        // The last bytes have hardly reached the upper bits.
        let hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mut digits = [b'0'; LENGTH];
        for (place, digit) in digits.iter_mut().enumerate() {
            let value = (hash >> (64 - 5 * (place + 1))) & 31;
            *digit = DIGITS.get(usize::try_from(value).unwrap_or(0)).copied().unwrap_or(b'0');
        }
        Self(digits)
    }

    fn digits(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Reads the digits that a text begins with.
    fn read(text: &[u8]) -> Option<Self> {
        let digits: [u8; LENGTH] = *text.first_chunk()?;
        digits.iter().all(|digit| DIGITS.contains(digit)).then_some(Self(digits))
    }

    /// The mark in front of what is encrypted.
    fn mark(self) -> String {
        format!("{WORD}{}.", self.digits())
    }

    /// The mark behind a response's id.
    fn suffix(self) -> String {
        format!("-{WORD}{}", self.digits())
    }

    /// Who made this encrypted content, and how long the mark in front of it is; none where it has none.
    pub fn of_content(text: &str) -> Option<(Self, usize)> {
        let rest = text.strip_prefix(WORD)?.as_bytes();
        let maker = Self::read(rest).filter(|_| rest.get(LENGTH) == Some(&b'.'))?;
        Some((maker, WORD.len() + LENGTH + 1))
    }

    /// Who keeps the response of this id, and how long the mark behind it is; none where it has none.
    pub fn of_response(id: &str) -> Option<(Self, usize)> {
        let length = 1 + WORD.len() + LENGTH;
        let mark = id.get(id.len().checked_sub(length)?..)?;
        let digits = mark.strip_prefix('-')?.strip_prefix(WORD)?;
        Some((Self::read(digits.as_bytes())?, length))
    }

    /// The last that a body names, wherever it stands.
    pub fn last_in(body: &[u8]) -> Option<Self> {
        let at = memchr::memmem::rfind(body, WORD.as_bytes())?;
        let rest = body.get(at + WORD.len()..)?;
        Self::read(rest).filter(|_| rest.get(LENGTH) == Some(&b'.'))
    }
}

/// Where a request has to go for something it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Who made it.
    pub maker: Maker,
    /// Whether it can do without.
    pub need: Need,
}

/// Whether a request makes sense without what its maker alone understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It does: reasoning. Where its maker cannot be asked, it goes elsewhere without.
    Wish,
    /// It does not: what was said before is in it.
    Must,
}

/// Something in a body of OpenAI's Responses that bears a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Who made it, and whether the request needs it.
    pub pin: Pin,
    /// Where the mark stands.
    pub mark: std::ops::Range<usize>,
}

/// What is marked of an upstream's answer.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    /// Who answers.
    pub maker: Maker,
    /// Whether its response is to be found again.
    pub ids: Ids,
}

/// Whether the ids of responses are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// They are.
    Marked,
    /// They are not.
    Plain,
}

/// The key before what is encrypted.
const ENCRYPTED: &[u8] = b"\"encrypted_content\"";

impl Marks {
    /// A piece of an answer in the maker's own bytes with marks in it: a frame, or all of it. `json` is the
    /// JSON in it. Nothing where there is nothing to mark.
    pub fn put(&self, raw: &Bytes, json: &[u8]) -> Option<Bytes> {
        let mut places: Vec<(usize, String)> = Vec::new();
        for key in memchr::memmem::find_iter(raw, ENCRYPTED) {
            // A quote after a backslash ends nothing: it is a model that speaks of this.
            let quoted = key.checked_sub(1).and_then(|at| raw.get(at)) == Some(&b'\\');
            let value = scan::value_after_key(raw, key + ENCRYPTED.len()).filter(|_| !quoted);
            if let Some(text) = value.filter(|at| raw.get(*at) == Some(&b'"'))
                && raw.get(text + 1) != Some(&b'"')
            {
                places.push((text + 1, self.maker.mark()));
            }
        }
        places.extend(self.id(raw, json).map(|at| (at, self.maker.suffix())));
        if places.is_empty() {
            return None;
        }
        sort::sort_by_key(&mut places, |(at, _)| *at);
        let mut out = BytesMut::with_capacity(raw.len() + 32 * places.len());
        let mut copied = 0;
        for (at, mark) in places {
            out.extend_from_slice(raw.get(copied..at)?);
            out.extend_from_slice(mark.as_bytes());
            copied = at;
        }
        out.extend_from_slice(raw.get(copied..)?);
        Some(out.freeze())
    }

    /// Where the response's id ends.
    fn id(&self, raw: &[u8], json: &[u8]) -> Option<usize> {
        if self.ids == Ids::Plain {
            return None;
        }
        let member = |at: usize, name: &[u8]| {
            scan::members(json, at).find(|member| member.key == name).map(|member| member.value)
        };
        let start = scan::skip_space(json, 0);
        let whole = || member(start, b"object").filter(|at| is(json, *at, b"\"response\"")).map(|_| start);
        let response = member(start, b"response").or_else(whole)?;
        let id = member(response, b"id").filter(|at| json.get(*at) == Some(&b'"'))?;
        let end = scan::skip_string(json, id)?.checked_sub(1)?;
        Some(memchr::memmem::find(raw, json)? + end).filter(|_| end > id + 1)
    }

    /// Marks what a translated answer holds of it.
    pub fn on_event(&self, event: &mut Event) {
        if let Event::ThinkingSignature { signature: proof, .. }
        | Event::SealedThinking { sealed: proof, .. } = event
        {
            self.on_proof(proof);
        }
    }

    /// The same of a whole one.
    pub fn on_reply(&self, reply: &mut Reply) {
        for part in reply.choices.iter_mut().flat_map(|choice| &mut choice.parts) {
            if let Part::Thinking(Thinking { text: _, signature, sealed }) = part {
                [signature, sealed].into_iter().flatten().for_each(|proof| self.on_proof(proof));
            }
        }
    }

    fn on_proof(&self, proof: &mut Signature) {
        if proof.origin == Dialect::OpenAiResponses {
            let at = proof.value.find(':').map_or(0, |colon| colon + 1);
            proof.value.insert_str(at, &self.maker.mark());
        }
    }
}

fn is(json: &[u8], at: usize, word: &[u8]) -> bool {
    json.get(at..).is_some_and(|rest| rest.starts_with(word))
}

/// The call as this account is told it: its own proofs without marks, none of other accounts. Nothing where
/// there are no marks.
pub fn told(call: &Call, to: Maker) -> Option<Call> {
    let marked = |proof: &Signature| made_by(proof).is_some();
    let holds = |part: &Part| {
        let Part::Thinking(Thinking { text: _, signature, sealed }) = part else { return false };
        [signature, sealed].into_iter().flatten().any(marked)
    };
    if !call.messages.iter().flat_map(|message| &message.parts).any(holds) {
        return None;
    }
    let mut call = call.clone();
    for part in call.messages.iter_mut().flat_map(|message| &mut message.parts) {
        if let Part::Thinking(Thinking { text: _, signature, sealed }) = part {
            for proof in [signature, sealed] {
                *proof = proof.take().and_then(|proof| unmarked(proof, to));
            }
        }
    }
    Some(call)
}

/// Who made a proof, and where the mark stands in it: after its item's id.
fn made_by(proof: &Signature) -> Option<(Maker, std::ops::Range<usize>)> {
    let at = proof.value.find(':').map_or(0, |colon| colon + 1);
    let content = proof.value.get(at..).filter(|_| proof.origin == Dialect::OpenAiResponses)?;
    let (maker, length) = Maker::of_content(content)?;
    Some((maker, at..at + length))
}

fn unmarked(mut proof: Signature, to: Maker) -> Option<Signature> {
    match made_by(&proof) {
        Some((maker, mark)) if maker == to => {
            proof.value.replace_range(mark, "");
            Some(proof)
        }
        Some(_) => None,
        None => Some(proof),
    }
}

#[cfg(test)]
mod tests;
