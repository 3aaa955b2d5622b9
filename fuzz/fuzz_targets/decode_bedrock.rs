//! Answers in Bedrock's dialect, whole and in binary messages, in any pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::dialect::Dialect;
use tollgate_core::framing::Framing;

fuzz_target!(|input: &[u8]| {
    tollgate_fuzz::decode(Dialect::Bedrock, Framing::Events, input);
    tollgate_fuzz::decode_binary(input);
});
