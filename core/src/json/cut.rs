//! Taking members out of an object without writing it anew.

use super::Value;
use std::ops::Range;

/// The bytes to delete so that an object loses the members of these keys.
pub(super) fn members(object: Value<'_>, keys: &[&str]) -> Vec<Range<usize>> {
    cuts(object.members().map(|(key, value)| Item {
        span: key.span().start..value.span().end,
        goes: keys.iter().any(|name| key.is_text(name)),
    }))
}

/// The bytes to delete so that an array loses the elements that are to go.
pub(super) fn elements(array: Value<'_>, goes: impl Fn(Value<'_>) -> bool) -> Vec<Range<usize>> {
    cuts(array.elements().map(|element| Item { span: element.span(), goes: goes(element) }))
}

/// A member or an element.
struct Item {
    span: Range<usize>,
    goes: bool,
}

/// The bytes to delete, ascending and disjoint.
///
/// An item goes with the comma before it. Only those that have no remaining item before them go with
/// the comma behind, and the last of them with none if nothing remains.
fn cuts(items: impl Iterator<Item = Item>) -> Vec<Range<usize>> {
    let mut cuts: Vec<Range<usize>> = Vec::new();
    let mut kept_any = false;
    let mut last_end = None;
    for Item { span, goes } in items {
        let from = if kept_any { last_end.unwrap_or(span.start) } else { span.start };
        last_end = Some(span.end);
        match cuts.last_mut() {
            Some(cut) if goes && (cut.end == from || !kept_any) => cut.end = span.end,
            Some(cut) if !goes && !kept_any => cut.end = span.start,
            _ if goes => cuts.push(from..span.end),
            _ => {}
        }
        kept_any |= !goes;
    }
    cuts
}
