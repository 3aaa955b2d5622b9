//! What is found in answers of InvokeModel, which are in the words of each model's maker.

use crate::provider::scan;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The event in a `chunk` of a stream; `None` for anything else.
pub(super) fn chunk(data: &[u8]) -> Option<Vec<u8>> {
    let start = scan::skip_space(data, 0);
    let member = scan::members(data, start).find(|member| member.key == b"bytes")?;
    let end = scan::skip_value(data, member.value)?;
    let text = data.get(member.value..end)?.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    STANDARD.decode(text).ok()
}
