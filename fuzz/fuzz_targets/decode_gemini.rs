//! Answers in the Gemini dialect, whole and streamed as events and as one array, in any pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::dialect::Dialect;
use tollgate_core::framing::Framing;

fuzz_target!(|input: &[u8]| {
    for framing in [Framing::Events, Framing::Array] {
        tollgate_fuzz::decode(Dialect::Gemini, framing, input);
    }
});
