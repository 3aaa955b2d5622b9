//! Request bodies of Bedrock's Converse and InvokeModel: see `tollgate_fuzz::request`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::surface::{self, SurfaceId};

fuzz_target!(|body: &[u8]| {
    for id in [SurfaceId::BedrockConverse, SurfaceId::BedrockInvokeStream] {
        tollgate_fuzz::request_in_path(surface::of(id), body);
    }
});
