use super::*;
use proptest::prelude::*;

/// The stream cut into frames, in the pieces given, and what was held back at its end.
fn frames(pieces: &[&[u8]]) -> (Vec<Frame>, usize) {
    let mut framer = Framer::new();
    let mut out = Vec::new();
    for piece in pieces {
        framer.push(Bytes::copy_from_slice(piece), &mut out).expect("no frame is too large");
    }
    out.extend(framer.finish());
    (out, framer.held())
}

fn fields(stream: &str) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    frames(&[stream.as_bytes()]).0.iter().map(|frame| (text(frame.event()), text(frame.data()))).collect()
}

fn pair(event: &str, data: &str) -> (String, String) {
    (event.to_owned(), data.to_owned())
}

const STREAMS: &[&str] = &[
    "data: {\"a\":1}\n\ndata: [DONE]\n\n",
    "event: message_start\r\ndata: {\"a\":\"é😀\"}\r\n\r\nevent: ping\r\ndata: {}\r\n\r\n",
    "event: a\rdata: 1\r\rdata: 2\r\r",
    ": keep-alive\n\n\n\n\r\n\r\ndata:x\n\n",
    "\u{feff}data: 1\n\ndata: 2\ndata\ndata:\ndata:  3\nid: 7\nretry: 10\n\n",
    "\u{feff}\n\u{feff}data: 1\n\n",
    "data: a\r\n\ndata: b\n\r\ndata: c\r\r\n\ndata: d\n\r",
    "data: whole\n",
    "data: whole\r",
    "data: whole\n\ndata: ha",
    "\r",
    "",
];

#[test]
fn h4_split_at_any_byte_changes_nothing() {
    for stream in STREAMS {
        let stream = stream.as_bytes();
        let whole = frames(&[stream]);
        for at in 0..=stream.len() {
            let (first, second) = stream.split_at(at);
            assert!(frames(&[first, second]) == whole, "{stream:?} cut at {at}");
            assert!(frames(&[first, b"", second]) == whole, "{stream:?} cut at {at} around nothing");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert!(frames(&bytes) == whole, "{stream:?} byte by byte");
    }
}

#[test]
fn all_raw_bytes_together_are_the_stream() {
    for stream in STREAMS {
        let (frames, held) = frames(&[stream.as_bytes()]);
        let raw: Vec<u8> = frames.iter().flat_map(|frame| frame.raw().to_vec()).collect();
        assert_eq!(raw.len() + held, stream.len());
        assert!(stream.as_bytes().starts_with(&raw));
    }
}

#[test]
fn fields_are_read_as_the_standard_says() {
    assert_eq!(fields("data: 1\n\ndata:2\n\ndata:  3\n\n"), [pair("", "1"), pair("", "2"), pair("", " 3")]);
    assert_eq!(fields("event: a\nevent:b\ndata: 1\n\n"), [pair("b", "1")]);
    assert_eq!(fields("data: 1\ndata\ndata:\ndata: 2\n\n"), [pair("", "1\n\n\n2")]);
    assert_eq!(fields("data\ndata\n\n"), [pair("", "\n")]);
    assert_eq!(fields(": data: 1\nid: 2\ndatax: 3\n data: 4\nDATA: 5\n\n"), [pair("", "")]);
    assert_eq!(fields("data: a:b: c\n\n"), [pair("", "a:b: c")]);
}

#[test]
fn every_line_end_ends_a_line_and_crlf_ends_only_one() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = format!("event: e{end}data: 1{end}data: 2{end}{end}data: 3{end}{end}");
        assert_eq!(fields(&stream), [pair("e", "1\n2"), pair("", "3")]);
    }
}

#[test]
fn a_byte_order_mark_is_skipped_at_the_beginning_only() {
    assert_eq!(fields("\u{feff}data: 1\n\n\u{feff}data: 2\n\n"), [pair("", "1"), pair("", "")]);
}

#[test]
fn a_last_frame_without_its_blank_line_counts_if_its_line_ended() {
    assert_eq!(fields("data: 1\n"), [pair("", "1")]);
    assert_eq!(fields("data: 1\r"), [pair("", "1")]);
    assert_eq!(fields("data: 1"), []);
    assert_eq!(fields("data: 1\ndata: 2"), []);
    let mut framer = Framer::new();
    framer.push(Bytes::from_static(b"data: 1\ndata"), &mut Vec::new()).unwrap();
    assert_eq!((framer.finish(), framer.held()), (None, 12));
}

#[test]
fn a_frame_is_given_as_soon_as_its_blank_line_is_there() {
    let mut framer = Framer::new();
    let mut out = Vec::new();
    framer.push(Bytes::from_static(b"data: 1\r\n\r"), &mut out).unwrap();
    assert_eq!(out.len(), 0, "an LF may still belong to it");
    framer.push(Bytes::from_static(b"\n"), &mut out).unwrap();
    assert_eq!((out.len(), framer.held()), (1, 0));
    framer.push(Bytes::from_static(b"data: 2\n\ndata"), &mut out).unwrap();
    assert_eq!((out.len(), framer.held()), (2, 4));
}

#[test]
fn a_frame_within_one_chunk_shares_its_memory() {
    let chunk = Bytes::copy_from_slice(b"event: e\ndata: 1\n\ndata: 2\n\nrest");
    let memory = chunk.as_ptr_range();
    let mut out = Vec::new();
    Framer::new().push(chunk, &mut out).unwrap();
    assert_eq!(out.len(), 2);
    for part in out.iter().flat_map(|frame| [&frame.raw()[..], frame.data()]).chain([out[0].event()]) {
        assert!(memory.contains(&part.as_ptr()));
    }
}

#[test]
fn an_endless_frame_is_refused_and_not_kept() {
    let chunk = Bytes::from(vec![b'x'; 1024 * 1024]);
    let mut framer = Framer::new();
    let mut out = Vec::new();
    framer.push(Bytes::from_static(b"data: 1\n\n"), &mut out).unwrap();
    let pushed = (0..1024).take_while(|_| framer.push(chunk.clone(), &mut out).is_ok()).count();
    assert_eq!((pushed, out.len(), framer.held()), (MAX_FRAME / chunk.len(), 1, 0));
}

#[test]
fn the_limit_is_the_same_for_a_frame_in_one_chunk_and_in_two() {
    for (size, verdict) in [(MAX_FRAME, Ok(())), (MAX_FRAME + 1, Err(FrameTooLarge))] {
        let mut frame = vec![b'x'; size];
        frame[size - 2..].copy_from_slice(b"\n\n");
        let frame = Bytes::from(frame);
        assert_eq!(Framer::new().push(frame.clone(), &mut Vec::new()), verdict);
        let mut framer = Framer::new();
        framer.push(frame.slice(..size - 3), &mut Vec::new()).unwrap();
        assert_eq!(framer.push(frame.slice(size - 3..), &mut Vec::new()), verdict);
    }
}

#[test]
fn debug_prints_no_data() {
    let frame = frames(&[b"data: secret\n\n"]).0.remove(0);
    assert_eq!(format!("{frame:?}"), "Frame(14 bytes, 6 of data)");
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"data"[..],
        b"event",
        b"data: ",
        b"id: ",
        b":",
        b" ",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\r\n\r\n",
        b"x",
        b"\xef\xbb\xbf",
        b"\xf0\x9f",
        b"\0",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn h4_any_pieces_of_any_bytes_give_the_same_frames(stream in stream(), cuts in prop::collection::vec(0usize..200, 0..6)) {
        let whole = frames(&[&stream]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&stream[from..cut]);
            from = cut;
        }
        pieces.push(&stream[from..]);
        prop_assert!(frames(&pieces) == whole);
        let raw: Vec<u8> = whole.0.iter().flat_map(|frame| frame.raw().to_vec()).collect();
        prop_assert_eq!(raw.len() + whole.1, stream.len());
        prop_assert!(stream.starts_with(&raw));
    }
}
