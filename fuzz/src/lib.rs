//! What the fuzz targets share: properties of a stream that hold whatever its bytes are.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use tollgate_core::dialect::Dialect;
use tollgate_core::framing::event_stream::{write_event, write_exception};
use tollgate_core::framing::{Framer, Framing};
use tollgate_core::json::Tape;
use tollgate_core::provider::{self, Target};
use tollgate_core::reply::Event;
use tollgate_core::sse::Frame;
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
pub fn frames<'a>(framing: Framing, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, usize) {
    let mut framer = Framer::new(framing);
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
/// a stream of this form in any pieces. Nothing of it may panic, the pieces may not matter, and a stream
/// ends once.
pub fn decode(dialect: Dialect, framing: Framing, input: &[u8]) {
    let Some((first, input)) = input.split_first() else { return };
    let rows: Vec<&'static Vendor> = VENDORS.iter().filter(|vendor| vendor.dialect == dialect).collect();
    let Some(vendor) = rows.get(usize::from(*first) % rows.len().max(1)) else { return };
    let target = Target { vendor, model: "some-model" };
    let provider = provider::of(dialect);
    let (stream, pieces) = cut(input);
    let _ = provider.decode(stream, &target);
    let _ = provider.fault(429, &HeaderMap::new(), stream, &target);
    let _ = provider.usage(stream, None, &target);

    let (whole, _) = frames(framing, [stream]);
    let (cut, _) = frames(framing, pieces);
    let events = decoded(&whole, dialect, &target);
    assert!(events == decoded(&cut, dialect, &target), "the pieces a stream comes in change what it says");
    let ended = |event: &Event| matches!(event, Event::End | Event::Fault(_));
    let ends = events.iter().filter(|event| ended(event)).count();
    assert!(ends == 1 && events.last().is_some_and(ended), "a stream ends once, and last");
}

/// Reads an input as binary messages: as it is, and with what it holds between line feeds put into
/// messages with right check sums, the name of each by its first byte.
pub fn decode_binary(input: &[u8]) {
    const NAMES: [&str; 8] = [
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
        "chunk",
        "throttlingException",
    ];
    let (stream, pieces) = cut(input);
    binary_frames(pieces);
    let mut framed = BytesMut::new();
    for line in stream.split(|byte| *byte == b'\n') {
        let Some((first, data)) = line.split_first() else { continue };
        match NAMES[usize::from(*first) % NAMES.len()] {
            name if name.ends_with("Exception") => write_exception(name, data, &mut framed),
            name => write_event(name, data, &mut framed),
        }
    }
    let whole = binary_frames([&framed[..]]);
    let halves = framed.split_at(framed.len() / 2);
    assert!(whole == binary_frames([halves.0, halves.1]), "the pieces a stream comes in change its messages");
    let Some(vendor) = VENDORS.iter().find(|vendor| vendor.dialect == Dialect::Bedrock) else { return };
    let target = Target { vendor, model: "some-model" };
    let events = decoded(&whole, Dialect::Bedrock, &target);
    let ended = |event: &Event| matches!(event, Event::End | Event::Fault(_));
    assert!(events.iter().filter(|event| ended(event)).count() == 1, "a stream ends once");
    let mut said = String::new();
    for frame in &whole {
        provider::of(Dialect::Bedrock).text(frame.data(), &mut said);
    }
}

fn binary_frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Frame> {
    let (mut framer, mut frames) = (Framer::new(Framing::EventStream), Vec::new());
    for piece in pieces {
        if framer.push(Bytes::copy_from_slice(piece), &mut frames).is_err() {
            break;
        }
    }
    frames
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
    request_to(surface, &RequestLine::default(), body);
}

/// The same where the path names the model.
pub fn request_in_path(surface: &dyn Surface, body: &[u8]) {
    let line = RequestLine { model: Some("some-model".to_owned()), ..RequestLine::default() };
    request_to(surface, &line, body);
}

fn request_to(surface: &dyn Surface, line: &RequestLine, body: &[u8]) {
    let Ok(tape) = Tape::parse(body) else { return };
    let Ok(envelope) = surface.inspect(&tape, line) else { return };
    match (&envelope.model_place, &line.model) {
        (ModelPlace::Body(span), _) => {
            let model = body.get(span.clone()).expect("the model's span lies within the body");
            let model = Tape::parse(model).expect("the model's span is a value");
            assert!(model.root().is_text(&envelope.model));
        }
        (ModelPlace::Path, Some(model)) => assert_eq!(*model, envelope.model),
        (place, _) => panic!("a body names its model, not {place:?}"),
    }

    let mut left = body.to_vec();
    let mut behind = body.len();
    for cut in envelope.cuts.iter().rev() {
        assert!(cut.end <= behind, "cuts ascend and do not overlap");
        behind = cut.start;
        left.drain(cut.clone());
    }
    Tape::parse(&left).expect("what goes upstream is valid");

    let Ok(call) = surface.parse(body, line) else { return };
    for vendor in VENDORS {
        let target = Target { vendor, model: "some-model" };
        if let Ok(encoded) = provider::encode(&call, &target) {
            serde_json::from_slice::<serde_json::Value>(&encoded.body).expect("what is encoded is valid");
        }
    }
}
