//! Panics on demand, in the build whose panics are tested and in no other.

/// Panics if a text asks for a panic at this place.
#[expect(clippy::panic, reason = "what it is for")]
pub(crate) fn at(place: &str, text: &[u8]) {
    if String::from_utf8_lossy(text).contains(&format!("panic-{place}")) {
        panic!("asked for: {place}");
    }
}
