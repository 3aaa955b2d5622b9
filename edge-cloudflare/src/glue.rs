//! The runtime's own requests and answers, crossed into as seldom as can be: a head is one text, a body of
//! known length one piece. What each function does is told in `glue.js`.

use http::{HeaderMap, HeaderName, HeaderValue};
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;

// Those that may fail say so, and the rest of those without a text among their values too: what is bound to
// them directly would be listed once for each, which bundlers warn of.
#[wasm_bindgen(module = "/src/glue.js")]
extern "C" {
    pub(crate) fn asked(request: &web_sys::Request) -> String;
    #[wasm_bindgen(catch)]
    pub(crate) fn body(request: &web_sys::Request) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn answer(
        status: u16,
        headers: &str,
        body: &JsValue,
        socket: &JsValue,
    ) -> Result<web_sys::Response, JsValue>;
    pub(crate) fn ask(namespace: &JsValue, name: &str, address: &str, order: Uint8Array) -> Promise;
    pub(crate) fn does(binding: &JsValue, what: &str) -> bool;
    #[wasm_bindgen(catch)]
    pub(crate) fn point(
        dataset: &JsValue,
        index: &str,
        blobs: &js_sys::Array,
        doubles: &[f64],
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn secret(binding: &JsValue) -> Result<Promise, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn outlet() -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn inlet(outlet: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn write(outlet: &JsValue, piece: Uint8Array) -> Result<Promise, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn close(outlet: &JsValue) -> Result<Promise, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn cut(outlet: &JsValue, why: &str) -> Result<Promise, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn call(
        address: &str,
        method: &str,
        headers: &str,
        body: Option<Uint8Array>,
        signal: &JsValue,
    ) -> Result<Promise, JsValue>;
    pub(crate) fn answered(response: &JsValue) -> String;
    #[wasm_bindgen(catch)]
    pub(crate) fn content(response: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn next(reader: &JsValue) -> Result<Promise, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn passing(reader: &JsValue, outlet: &JsValue) -> Result<JsValue, JsValue>;
    pub(crate) fn allow(passing: &JsValue, form: &[u8], words: f64, frames: f64);
    pub(crate) fn passed(passing: &JsValue) -> Vec<f64>;
    pub(crate) fn shelf(passing: &JsValue) -> Vec<u8>;
    #[wasm_bindgen(catch)]
    pub(crate) fn pass(passing: &JsValue) -> Result<Promise, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn pair() -> Result<js_sys::Array, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn socket(response: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn told(response: &JsValue) -> Result<Promise, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn listen(socket: &JsValue, most: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn hear(socket: &JsValue) -> Result<Promise, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn say(socket: &JsValue, what: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(js_name = hangUp)]
    pub(crate) fn hang_up(socket: &JsValue, code: u16, reason: &str);
}

/// What a promise will come to; a call that failed at once has come to that.
pub(crate) fn promised(promise: Result<Promise, JsValue>) -> JsFuture {
    JsFuture::from(promise.unwrap_or_else(|error| Promise::reject(&error)))
}

/// A binding that can do this, if there is one of this name.
pub(crate) fn binding(env: &worker::Env, name: &str, what: &str) -> Option<JsValue> {
    let binding = js_sys::Reflect::get(env, &name.into()).ok()?;
    does(&binding, what).then_some(binding)
}

/// Headers as they cross. A value that is no text is left out: nothing that may cross is made of other
/// bytes, and none of them holds a line's end.
pub(crate) fn written(headers: &HeaderMap) -> String {
    let mut text = String::with_capacity(512);
    for (name, value) in headers {
        let Ok(value) = value.to_str() else { continue };
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(name.as_str());
        text.push('\n');
        text.push_str(value);
    }
    text
}

/// Headers that have crossed.
pub(crate) fn headers<'t>(mut lines: impl Iterator<Item = &'t str>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(24);
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    headers
}
