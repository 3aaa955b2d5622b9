//! Request bodies: what `inspect` accepts has a model, cuts that leave valid JSON, and can be encoded
//! for every provider once `parse` takes it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::json::Tape;
use tollgate_core::provider::{self, Target};
use tollgate_core::surface::{ModelPlace, RequestLine, Surface};
use tollgate_core::surface::openai_chat::OpenAiChat;
use tollgate_core::vendor::VENDORS;

fuzz_target!(|body: &[u8]| {
    let Ok(tape) = Tape::parse(body) else { return };
    let Ok(envelope) = OpenAiChat.inspect(&tape, &RequestLine::default()) else { return };
    let ModelPlace::Body(span) = &envelope.model_place else { panic!("a body names its model") };
    let model = body.get(span.clone()).expect("the model's span lies within the body");
    let model = Tape::parse(model).expect("the model's span is a value");
    assert!(model.root().is_text(&envelope.model));

    let mut left = body.to_vec();
    let mut behind = body.len();
    for cut in envelope.cuts.iter().rev() {
        assert!(cut.end <= behind, "cuts ascend and do not overlap");
        behind = cut.start;
        left.drain(cut.clone());
    }
    Tape::parse(&left).expect("what goes upstream is valid");

    let Ok(call) = OpenAiChat.parse(body, &RequestLine::default()) else { return };
    for vendor in VENDORS {
        let target = Target { vendor, model: "some-model" };
        if let Ok(encoded) = provider::of(vendor.dialect).encode(&call, &target) {
            serde_json::from_slice::<serde_json::Value>(&encoded.body).expect("what is encoded is valid");
        }
    }
});
