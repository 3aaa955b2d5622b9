//! Answers in Bedrock's dialect, whole and in binary messages, in any pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::dialect::Dialect;

fuzz_target!(|input: &[u8]| {
    tollgate_fuzz::decode(Dialect::Bedrock, input);
    tollgate_fuzz::decode_binary(input);
});
