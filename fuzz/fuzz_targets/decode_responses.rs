//! Answers in the Responses dialect, whole and streamed, in any pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::dialect::Dialect;
use tollgate_core::framing::Framing;

fuzz_target!(|input: &[u8]| tollgate_fuzz::decode(Dialect::OpenAiResponses, Framing::Events, input));
