//! Answers in Ollama's own dialect, whole and in lines, in any pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::dialect::Dialect;
use tollgate_core::framing::Framing;

fuzz_target!(|input: &[u8]| tollgate_fuzz::decode(Dialect::Ollama, Framing::Lines, input));
