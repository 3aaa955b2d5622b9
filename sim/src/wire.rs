//! From frames to the bytes of a stream.

use bytes::Bytes;

use crate::dialect::Framing;
use crate::quirks::Form;

/// One event of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// The `event:` line, in dialects that have it.
    pub(crate) event: Option<&'static str>,
    pub(crate) data: String,
}

impl Frame {
    /// A frame without a name.
    pub(crate) fn data(value: impl ToString) -> Frame {
        Frame { event: None, data: value.to_string() }
    }
}

/// Writes the frames down, one piece each.
pub(crate) fn encode(frames: &[Frame], framing: Framing, form: &Form) -> Vec<Bytes> {
    let crlf = form.crlf || framing == Framing::SseCrlf;
    let eol = if crlf { "\r\n" } else { "\n" };
    let last = frames.len().saturating_sub(1);
    let piece = |(at, frame): (usize, &Frame)| match framing {
        Framing::Array => Bytes::from(format!(
            "{}{}{}",
            if at == 0 { "[" } else { ",\r\n" },
            frame.data,
            if at == last { "]" } else { "" }
        )),
        Framing::Sse | Framing::SseCrlf => sse(frame, eol, form),
        Framing::Binary => binary(frame),
        Framing::Lines => Bytes::from(format!("{}\n", frame.data)),
    };
    frames.iter().enumerate().map(piece).collect()
}

fn sse(frame: &Frame, eol: &str, form: &Form) -> Bytes {
    let mut made = String::with_capacity(frame.data.len() + 48);
    if form.comments {
        made.extend([": comment", eol, eol]);
    }
    if let Some(event) = frame.event {
        made.extend(["event: ", event, eol]);
    }
    made.extend(["data: ", &frame.data, eol, eol]);
    Bytes::from(made)
}

/// Lengths, their check sum, headers, payload, and the check sum of it all.
fn binary(frame: &Frame) -> Bytes {
    let event = frame.event.unwrap_or("chunk");
    let (kind, message) = if event.ends_with("Exception") {
        (":exception-type", "exception")
    } else {
        (":event-type", "event")
    };
    let mut headers = Vec::new();
    for (name, value) in [(kind, event), (":content-type", "application/json"), (":message-type", message)] {
        headers.push(name.len() as u8);
        headers.extend_from_slice(name.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&(value.len() as u16).to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let whole = 16 + headers.len() + frame.data.len();
    let mut made = Vec::with_capacity(whole);
    made.extend_from_slice(&(whole as u32).to_be_bytes());
    made.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    made.extend_from_slice(&crc32fast::hash(&made).to_be_bytes());
    made.extend_from_slice(&headers);
    made.extend_from_slice(frame.data.as_bytes());
    made.extend_from_slice(&crc32fast::hash(&made).to_be_bytes());
    made.into()
}
