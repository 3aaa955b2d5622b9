//! Bodies of OpenAI's surfaces beside chat, JSON and forms: what is accepted names its model where the
//! surface says, and nothing that is read of it panics.
#![no_main]

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use tollgate_core::surface::{self, ModelPlace, RequestLine, SurfaceId};

const FORMS: [SurfaceId; 3] =
    [SurfaceId::OpenAiImageEdits, SurfaceId::OpenAiImageVariations, SurfaceId::OpenAiTranscriptions];
const JSON: [SurfaceId; 5] = [
    SurfaceId::OpenAiModerations,
    SurfaceId::Rerank,
    SurfaceId::OpenAiImages,
    SurfaceId::OpenAiSpeech,
    SurfaceId::OpenAiEmbeddings,
];

fuzz_target!(|body: &[u8]| {
    tollgate_fuzz::request(surface::of(SurfaceId::OpenAiCompletions), body);
    let content_type = Some(HeaderValue::from_static("multipart/form-data; boundary=b"));
    let plain = RequestLine::default();
    let form = RequestLine { content_type, ..RequestLine::default() };
    for (id, line) in FORMS.map(|id| (id, &form)).into_iter().chain(JSON.map(|id| (id, &plain))) {
        let surface = surface::of(id);
        let _ = surface.prompt_text(body, &mut |_| ());
        let Ok(envelope) = surface.envelope(body, line) else { continue };
        let _ = surface.quantity(body, &envelope);
        if let ModelPlace::Plain(span) = &envelope.model_place {
            let named = body.get(span.clone()).expect("the model's span lies within the body");
            assert!(named == envelope.model.as_bytes() || named.is_empty());
        }
    }
});
