//! The runtime's randomness. There is none outside of a request.

use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn fill(array: &Uint8Array) -> Uint8Array;
}

/// Fresh and unpredictable bytes.
pub(crate) fn bytes() -> [u8; 32] {
    let array = Uint8Array::new_with_length(32);
    fill(&array);
    let mut bytes = [0; 32];
    array.copy_to(&mut bytes);
    bytes
}
