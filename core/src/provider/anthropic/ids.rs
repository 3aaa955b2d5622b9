//! Tool call ids that the dialect accepts, each used once in a conversation.
//!
//! They are written in plain letters (see [`crate::call::ids`]). The way back is never walked: the
//! provider only compares ids with each other, and clients go on using their own.
//!
//! Some clients count their ids anew in every turn. A repeat gets `-2`, `-3` … behind it, in the
//! order of the conversation, so that earlier turns keep their bytes when later ones are added.

use crate::call::ids;
use std::collections::HashSet;

/// The ids of one conversation.
#[derive(Debug, Default)]
pub(in crate::provider) struct Ids {
    used: HashSet<String>,
}

impl Ids {
    /// The id to send for the next call that the client names so.
    pub(in crate::provider) fn claim(&mut self, id: &str) -> String {
        let mapped = ids::plain(id);
        let mut wire = mapped.clone();
        let mut count = 1_u32;
        while !self.used.insert(wire.clone()) {
            count = count.saturating_add(1);
            wire = format!("{mapped}-{count}");
        }
        wire
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_id_is_told_apart() {
        let mut ids = Ids::default();
        assert_eq!(
            [ids.claim("call_1"), ids.claim("call_1"), ids.claim("call_1")],
            ["call_1", "call_1-2", "call_1-3"]
        );
    }
}
