//! Paths: nothing panics, and an answer is bounded by what was asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::mount;

fuzz_target!(|target: &str| {
    for method in [http::Method::GET, http::Method::POST] {
        if let Err(fault) = mount::find(&method, target) {
            assert!(fault.message.len() < 1024);
        }
    }
});
