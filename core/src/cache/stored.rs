//! An answer as the bytes a host keeps.
//!
//! ```text
//! "tga1" │ length of the head, 4 bytes │ CRC-32 of what follows, 4 bytes │ head, as JSON │ body
//! ```
//! Another form is another first word; what cannot be read is as if it were not there.

use crate::checksum;
use crate::units::Time;
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What every one begins with.
const FORM: [u8; 4] = *b"tga1";
/// Before the head.
const PROLOGUE: usize = 12;

/// An answer that is kept.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) head: Head,
    /// As the client was given it.
    pub(crate) body: Bytes,
}

/// What is kept beside an answer's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    /// When it was kept.
    pub(crate) at: Time,
    /// From when on it is not to be given any more.
    pub(crate) expires: Time,
    pub(crate) form: Form,
    pub(crate) content_type: String,
    /// Who answered.
    pub(crate) provider: String,
    pub(crate) model: String,
    /// What could not be carried, as `x-tollgate-lost` named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lost: Option<String>,
}

/// How an answer was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// In one piece.
    Whole,
    /// Event by event.
    Stream,
}

impl fmt::Debug for Stored {
    /// The body is what a model has written, so it is not printed (invariant I7).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored").field("head", &self.head).field("body", &self.body.len()).finish()
    }
}

impl Stored {
    pub(crate) fn encode(&self) -> Bytes {
        // Strings and numbers are always written.
        let head = serde_json::to_vec(&self.head).unwrap_or_default();
        let length = u32::try_from(head.len()).unwrap_or_default();
        let sum = checksum::of_both(&head, &self.body);
        let mut out = BytesMut::with_capacity(PROLOGUE + head.len() + self.body.len());
        out.put_slice(&FORM);
        out.put_u32_le(length);
        out.put_u32_le(sum);
        out.put_slice(&head);
        out.put_slice(&self.body);
        out.freeze()
    }

    /// Reads what `encode` wrote; `None` for anything else. The body is a part of the bytes, not a copy.
    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        let split = split(bytes)?;
        if checksum::of(bytes.get(PROLOGUE..)?) != split.sum {
            return None;
        }
        let head = serde_json::from_slice(split.head).ok()?;
        Some(Self { head, body: bytes.slice_ref(split.body) })
    }
}

/// When a kept answer is not to be found any more, read from its bytes alone: for a host whose store
/// forgets nothing by itself. `None` where they are no kept answer, and can go.
pub fn expires(bytes: &[u8]) -> Option<Time> {
    serde_json::from_slice(split(bytes)?.head).ok().map(|head: Head| head.expires)
}

struct Split<'b> {
    sum: u32,
    head: &'b [u8],
    body: &'b [u8],
}

fn split(bytes: &[u8]) -> Option<Split<'_>> {
    let (prologue, rest) = bytes.split_first_chunk::<PROLOGUE>()?;
    let [form @ .., l0, l1, l2, l3, s0, s1, s2, s3] = *prologue;
    if form != FORM {
        return None;
    }
    let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
    let (head, body) = rest.split_at_checked(length)?;
    Some(Split { sum: u32::from_le_bytes([s0, s1, s2, s3]), head, body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stored(body: &'static [u8]) -> Stored {
        let head = Head {
            at: Time(1_000),
            expires: Time(61_000),
            form: Form::Stream,
            content_type: "text/event-stream; charset=utf-8".to_owned(),
            provider: "up".to_owned(),
            model: "m/1".to_owned(),
            lost: Some("seed, n".to_owned()),
        };
        Stored { head, body: Bytes::from_static(body) }
    }

    #[test]
    fn what_is_kept_comes_back_without_being_copied() {
        for body in [&b""[..], b"data: {\"x\":\"\xc3\xa9\"}\n\n", &[0, 255, 10]] {
            let kept = stored(body);
            let bytes = kept.encode();
            let back = Stored::decode(&bytes).unwrap();
            assert_eq!(back, kept);
            assert!(bytes.as_ptr_range().contains(&back.body.as_ptr()) || body.is_empty());
            assert_eq!(expires(&bytes), Some(Time(61_000)));
        }
    }

    #[test]
    fn what_is_torn_or_changed_is_as_if_it_were_not_there() {
        let bytes = stored(b"data: hello\n\n").encode();
        for end in 0..bytes.len() {
            assert_eq!(Stored::decode(&bytes.slice(..end)), None, "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            assert_eq!(Stored::decode(&changed.into()), None, "changed at {at}");
        }
    }

    #[test]
    fn i7_nothing_of_an_answer_is_printed() {
        assert!(!format!("{:?}", stored(b"confidential")).contains("confidential"));
    }

    proptest! {
        #[test]
        fn any_bytes_may_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut like = FORM.to_vec();
            like.extend_from_slice(&bytes);
            for bytes in [bytes, like] {
                prop_assert_eq!(Stored::decode(&bytes.clone().into()), None);
                let _ = expires(&bytes);
            }
        }
    }
}
