//! Tool call ids that the dialect accepts: `^[a-zA-Z0-9_-]+$`, each used once in a conversation.
//!
//! An id that fits is sent as it is. Any other is written as `tgx_` followed by its bytes, letters,
//! digits and `-` as they are and every other byte as `_` and two hex digits; an id that begins with
//! `tgx_` itself is written so too, which makes the mapping one to one. The way back is never walked:
//! the provider only compares ids with each other, and clients go on using their own.
//!
//! Some clients count their ids anew in every turn. A repeat gets `-2`, `-3` … behind it, in the
//! order of the conversation, so that earlier turns keep their bytes when later ones are added.

use std::collections::HashSet;

const PREFIX: &str = "tgx_";

/// The ids of one conversation.
#[derive(Debug, Default)]
pub(super) struct Ids {
    used: HashSet<String>,
}

impl Ids {
    /// The id to send for the next call that the client names so.
    pub(super) fn claim(&mut self, id: &str) -> String {
        let mapped = map(id);
        let mut wire = mapped.clone();
        let mut count = 1_u32;
        while !self.used.insert(wire.clone()) {
            count = count.saturating_add(1);
            wire = format!("{mapped}-{count}");
        }
        wire
    }
}

fn map(id: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !id.is_empty() && id.bytes().all(fits) && !id.starts_with(PREFIX) {
        return id.to_owned();
    }
    let mut wire = PREFIX.to_owned();
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            wire.push(char::from(byte));
        } else {
            wire.push_str(&format!("_{byte:02x}"));
        }
    }
    wire
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unmap(wire: &str) -> String {
        let Some(rest) = wire.strip_prefix(PREFIX) else { return wire.to_owned() };
        let mut bytes = Vec::new();
        let mut rest = rest.bytes();
        while let Some(byte) = rest.next() {
            if byte == b'_' {
                let hex = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
            } else {
                bytes.push(byte);
            }
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn ids_that_fit_are_left_alone() {
        assert_eq!(map("toolu_01-x"), "toolu_01-x");
        assert_eq!(map("functions.look:0"), "tgx_functions_2elook_3a0");
    }

    #[test]
    fn a_repeated_id_is_told_apart() {
        let mut ids = Ids::default();
        assert_eq!(
            [ids.claim("call_1"), ids.claim("call_1"), ids.claim("call_1")],
            ["call_1", "call_1-2", "call_1-3"]
        );
    }

    proptest! {
        #[test]
        fn every_id_fits_after_mapping_and_can_be_read_back(id in "\\PC{1,40}") {
            let wire = map(&id);
            prop_assert!(wire.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
            prop_assert_eq!(unmap(&wire), id);
        }
    }
}
