//! Request bodies of OpenAI's Responses: see `tollgate_fuzz::request`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::surface::{self, SurfaceId};

fuzz_target!(|body: &[u8]| tollgate_fuzz::request(surface::of(SurfaceId::OpenAiResponses), body));
