//! What the fuzz targets share: properties of a stream that hold whatever its bytes are.

use bytes::Bytes;
use http::HeaderMap;
use tollgate_core::dialect::Dialect;
use tollgate_core::json::Tape;
use tollgate_core::provider::{self, Target};
use tollgate_core::reply::Event;
use tollgate_core::sse::{Frame, Framer};
use tollgate_core::surface::{ModelPlace, RequestLine, Surface};
use tollgate_core::vendor::{VENDORS, Vendor};

/// How many bytes at the beginning of an input are lengths of pieces.
const CUTS: usize = 4;

/// Takes the lengths of pieces off an input: what is left, and the same in pieces.
pub fn cut(input: &[u8]) -> (&[u8], Vec<&[u8]>) {
    let (lengths, stream) = input.split_at(input.len().min(CUTS));
    let mut rest = stream;
    let mut pieces = Vec::new();
    for length in lengths {
        let (piece, behind) = rest.split_at(rest.len().min(usize::from(*length)));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    (stream, pieces)
}

/// The frames of a stream that comes in these pieces, and how many bytes are held back at its end.
pub fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, usize) {
    let mut framer = Framer::new();
    let mut frames = Vec::new();
    for piece in pieces {
        framer
            .push(Bytes::copy_from_slice(piece), &mut frames)
            .expect("inputs are smaller than the largest frame");
    }
    frames.extend(framer.finish());
    (frames, framer.held())
}

/// Reads an input as everything that an upstream of the dialect could send: a whole answer, an error,
/// a stream in any pieces. Nothing of it may panic, the pieces may not matter, and a stream ends once.
pub fn decode(dialect: Dialect, input: &[u8]) {
    let Some((first, input)) = input.split_first() else { return };
    let rows: Vec<&'static Vendor> = VENDORS.iter().filter(|vendor| vendor.dialect == dialect).collect();
    let Some(vendor) = rows.get(usize::from(*first) % rows.len().max(1)) else { return };
    let target = Target { vendor, model: "some-model" };
    let provider = provider::of(dialect);
    let (stream, pieces) = cut(input);
    let _ = provider.decode(stream, &target);
    let _ = provider.fault(429, &HeaderMap::new(), stream, &target);
    let _ = provider.usage(stream, None, &target);

    let (whole, _) = frames([stream]);
    let (cut, _) = frames(pieces);
    let events = decoded(&whole, dialect, &target);
    assert!(events == decoded(&cut, dialect, &target), "the pieces a stream comes in change what it says");
    let ended = |event: &Event| matches!(event, Event::End | Event::Fault(_));
    let ends = events.iter().filter(|event| ended(event)).count();
    assert!(ends == 1 && events.last().is_some_and(ended), "a stream ends once, and last");
}

fn decoded(frames: &[Frame], dialect: Dialect, target: &Target<'_>) -> Vec<Event> {
    let provider = provider::of(dialect);
    let mut decoder = provider.decoder(target);
    let mut events = Vec::new();
    let mut usage = None;
    for frame in frames {
        let _ = provider.glance(frame);
        let _ = provider.mend(frame, target);
        usage = provider.usage(frame.data(), usage.as_ref(), target).or(usage);
        decoder.on(frame, &mut events);
    }
    decoder.on_end(&mut events);
    events
}

/// Reads an input as a request's body: what `inspect` accepts has a model where it says, and cuts that
/// leave valid JSON; what `parse` takes can be encoded for every provider.
pub fn request(surface: &dyn Surface, body: &[u8]) {
    let line = RequestLine::default();
    let Ok(tape) = Tape::parse(body) else { return };
    let Ok(envelope) = surface.inspect(&tape, &line) else { return };
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

    let Ok(call) = surface.parse(body, &line) else { return };
    for vendor in VENDORS {
        let target = Target { vendor, model: "some-model" };
        if let Ok(encoded) = provider::encode(&call, &target) {
            serde_json::from_slice::<serde_json::Value>(&encoded.body).expect("what is encoded is valid");
        }
    }
}
