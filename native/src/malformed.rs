//! What is no HTTP, and heads that are too long: hyper refuses them before the gateway sees a request,
//! with a bare status. This gives the refusal the body and headers that every other one has.

use bytes::Bytes;
use tollgate_core::exchange::RequestId;
use tollgate_core::fault::{Code, Fault};
use tollgate_core::surface::{self, SurfaceId};

/// How hyper's own refusals go on after their status line. No answer of the gateway's does: its
/// refusals have a content type and a body.
const BARE: &[u8] = b"\r\nconnection: close\r\ncontent-length: 0\r\n";

/// What is written in place of `head`, if that is a bare refusal.
pub fn reworded(head: &[u8], id: RequestId) -> Option<Bytes> {
    let line = b"HTTP/1.1 ";
    let end = head.iter().take(64).position(|byte| *byte == b'\r')?;
    let status = head.get(line.len()..end).filter(|_| head.starts_with(line))?;
    if !head.get(end..)?.starts_with(BARE) {
        return None;
    }
    let fault = match status.get(..3)? {
        b"400" => {
            Fault::bad_field("request", "a request line, headers and a body of HTTP/1.1", "something else")
        }
        b"414" | b"431" => {
            Fault::new(Code::HeadersTooLarge, "request: its line and headers exceed what is read here")
        }
        _ => return None,
    };
    let id = id.to_string();
    // What is no request came to no surface.
    let body = surface::of(SurfaceId::OpenAiChat).fault(&fault, &id);
    let mut answer = Vec::with_capacity(256 + body.len());
    answer.extend_from_slice(head.get(..end)?);
    let headers = format!(
        "\r\nconnection: close\r\ncontent-type: application/json\r\nx-tollgate-request-id: {id}\r\n\
         x-tollgate-attempts: 0\r\nx-tollgate-cache: off\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    answer.extend_from_slice(headers.as_bytes());
    answer.extend_from_slice(&body);
    Some(answer.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reworded_text(head: &str) -> Option<String> {
        reworded(head.as_bytes(), RequestId(1)).map(|text| String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn a_bare_refusal_gets_a_body() {
        for (status, code) in
            [("400 Bad Request", "bad_field"), ("431 Request Header Fields Too Large", "headers_too_large")]
        {
            let bare =
                format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n");
            let text = reworded_text(&bare).unwrap();
            assert!(text.starts_with(&format!("HTTP/1.1 {status}\r\n")) && text.contains(code), "{text}");
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {}", body.len())), "{text}");
        }
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for head in [
            "",
            "HTTP/1.1 ",
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            "2\r\n\r\nconnection: close\r\ncontent-length: 0\r\n",
        ] {
            assert_eq!(reworded_text(head), None, "{head}");
        }
    }
}
