use super::*;
use crate::sse::FrameKind;
use proptest::prelude::*;

fn cut(pieces: &[&[u8]]) -> Result<(Vec<Frame>, Framer), Unframed> {
    let (mut framer, mut frames) = (Framer::default(), Vec::new());
    for piece in pieces {
        framer.push(Bytes::copy_from_slice(piece), &mut frames)?;
    }
    Ok((frames, framer))
}

fn stream() -> BytesMut {
    let mut out = BytesMut::new();
    write_event("messageStart", br#"{"role":"assistant"}"#, &mut out);
    write_event("contentBlockDelta", br#"{"delta":{"text":"h\u00e9"}}"#, &mut out);
    write_exception("throttlingException", br#"{"message":"slow down"}"#, &mut out);
    out
}

#[test]
fn what_is_written_is_read_back_and_frames_are_the_stream() {
    let stream = stream();
    let (frames, framer) = cut(&[&stream]).unwrap();
    let told: Vec<_> = frames
        .iter()
        .map(|frame| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            (text(frame.event()), text(frame.data()), frame.kind())
        })
        .collect();
    let event = |name: &str, data: &str| (name.to_owned(), data.to_owned(), FrameKind::Event);
    assert_eq!(told[0], event("messageStart", r#"{"role":"assistant"}"#));
    assert_eq!(told[1], event("contentBlockDelta", r#"{"delta":{"text":"h\u00e9"}}"#));
    let slow = ("throttlingException".to_owned(), r#"{"message":"slow down"}"#.to_owned(), FrameKind::Fault);
    assert_eq!(told[2], slow);
    let raw: Vec<u8> = frames.iter().flat_map(|frame| frame.raw().to_vec()).collect();
    assert_eq!(raw, stream);
    assert_eq!(framer.closing(), Closing::Closed);
}

#[test]
fn wherever_it_is_cut_it_has_the_same_frames() {
    let stream = stream();
    let (whole, _) = cut(&[&stream]).unwrap();
    for at in 0..=stream.len() {
        let (head, tail) = stream.split_at(at);
        assert_eq!(cut(&[head, tail]).unwrap().0, whole, "cut at {at}");
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(cut(&bytes).unwrap().0, whole);
}

#[test]
fn a_message_that_is_cut_is_none_and_leaves_the_stream_open() {
    let stream = stream();
    let (frames, framer) = cut(&[&stream[..stream.len() - 1]]).unwrap();
    assert_eq!((frames.len(), framer.closing()), (2, Closing::Open));
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let mut one = BytesMut::new();
    write_event("chunk", b"{}", &mut one);
    for at in 0..one.len() * 8 {
        let mut bad = one.to_vec();
        bad[at / 8] ^= 1 << (at % 8);
        let read = cut(&[&bad]);
        assert!(read.is_err() || read.unwrap().0.is_empty(), "bit {at}");
    }
}

#[test]
fn an_error_without_payload_is_told_by_its_headers() {
    let mut out = BytesMut::new();
    let headers = [(":message-type", "error"), (":error-code", "InternalFailure"), (":error-message", "oh")];
    write(&headers, b"", &mut out);
    let (frames, _) = cut(&[&out]).unwrap();
    let frame = &frames[0];
    assert_eq!((frame.event(), frame.data()), (&b"InternalFailure"[..], &b"oh"[..]));
    assert_eq!(frame.kind(), FrameKind::Fault);
}

#[test]
fn a_message_that_says_it_is_huge_is_a_fault_and_not_memory() {
    let mut prelude = Vec::new();
    prelude.extend_from_slice(&u32::MAX.to_be_bytes());
    prelude.extend_from_slice(&0_u32.to_be_bytes());
    prelude.extend_from_slice(&crc32fast::hash(&prelude).to_be_bytes());
    assert_eq!(cut(&[&prelude]).err(), Some(Unframed::TooLarge));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = cut(&[&bytes]);
        let mut framed = BytesMut::new();
        write_event("chunk", &bytes, &mut framed);
        let (frames, _) = cut(&[&framed]).unwrap();
        prop_assert_eq!(frames[0].data(), &bytes[..]);
    }

    #[test]
    fn any_headers_with_right_sums_are_read_without_panic(headers in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut out = BytesMut::new();
        out.put_u32(u32::try_from(PRELUDE + headers.len() + SUM).unwrap());
        out.put_u32(u32::try_from(headers.len()).unwrap());
        out.put_u32(crc32fast::hash(&out));
        out.put_slice(&headers);
        out.put_u32(crc32fast::hash(&out));
        let _ = cut(&[&out]);
    }
}
