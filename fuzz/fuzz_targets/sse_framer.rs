//! The framer: the pieces a stream comes in do not matter, and no byte is lost.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::framing::Framing;
use tollgate_fuzz::cut;

fuzz_target!(|input: &[u8]| {
    let (stream, pieces) = cut(input);
    let frames = |pieces: Vec<&[u8]>| tollgate_fuzz::frames(Framing::Events, pieces);
    let whole = frames(vec![stream]);
    assert!(frames(pieces) == whole, "pieces change the frames");
    assert!(frames(stream.chunks(1).collect()) == whole, "single bytes change the frames");
    let raw: Vec<u8> = whole.0.iter().flat_map(|frame| frame.raw().to_vec()).collect();
    assert!(stream.starts_with(&raw) && raw.len() + whole.1 == stream.len(), "bytes are lost or made up");
});
