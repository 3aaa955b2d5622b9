//! Config documents: nothing panics, and what is refused says why.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::config;
use tollgate_core::secret::Secret;

fuzz_target!(|text: &[u8]| {
    if let Err(errors) = config::load(text, &|_| Ok(Secret::new("resolved"))) {
        assert!(!errors.is_empty());
    }
});
