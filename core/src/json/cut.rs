//! Taking members out of an object without writing it anew.

use super::Value;
use std::ops::Range;

/// The bytes to delete, ascending and disjoint.
///
/// A member goes with the comma before it. Only those that have no remaining member before them go
/// with the comma behind, and the last of them with none if nothing remains.
pub(super) fn members(object: Value<'_>, keys: &[&str]) -> Vec<Range<usize>> {
    let mut cuts: Vec<Range<usize>> = Vec::new();
    let mut kept_any = false;
    let mut last_end = None;
    for (key, value) in object.members() {
        let goes = keys.iter().any(|name| key.is_text(name));
        let from = if kept_any { last_end.unwrap_or(key.span().start) } else { key.span().start };
        last_end = Some(value.span().end);
        match cuts.last_mut() {
            Some(cut) if goes && (cut.end == from || !kept_any) => cut.end = value.span().end,
            Some(cut) if !goes && !kept_any => cut.end = key.span().start,
            _ if goes => cuts.push(from..value.span().end),
            _ => {}
        }
        kept_any |= !goes;
    }
    cuts
}
