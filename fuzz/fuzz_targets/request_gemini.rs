//! Request bodies of Google's `generateContent`: see `tollgate_fuzz::request`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::surface::{self, SurfaceId};

fuzz_target!(|body: &[u8]| {
    for id in [SurfaceId::GeminiGenerate, SurfaceId::GeminiStream] {
        tollgate_fuzz::request_in_path(surface::of(id), body);
    }
});
