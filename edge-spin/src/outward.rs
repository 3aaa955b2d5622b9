//! An answer on its way to the client.
//!
//! The platform says that a client has left with what becomes of a write, and in a silence nothing is written.
//! So now and then nothing at all is: a write of no bytes, which no client sees.

use bytes::Bytes;
use futures::future::{Either, select};
use http::{Response, StatusCode};
use http_body::{Body as _, Frame};
use spin_sdk::wasip3::http::types::{ErrorCode, Fields, Response as Sent};
use spin_sdk::wasip3::http_compat::BodyWriter;
use spin_sdk::wasip3::wit_bindgen::StreamResult;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::time::Duration;
use tollgate_edge::pipe::{Body, Cut};

/// Between two looks in a silence.
const LOOK: Duration = Duration::from_millis(500);

/// The answer as the platform takes it. Its body is written by a task of its own.
pub(crate) fn sent(answer: Response<Body>) -> Sent {
    let (parts, body) = answer.into_parts();
    let (writer, contents, trailers) = BodyWriter::new();
    // Core's headers are well formed, and none of those that a platform keeps to itself.
    let (headers, status) = match Fields::try_from(parts.headers) {
        Ok(headers) => (headers, parts.status),
        Err(_) => (Fields::new(), StatusCode::INTERNAL_SERVER_ERROR),
    };
    let (sent, _) = Sent::new(headers, Some(contents), trailers);
    // A number between 100 and 999 is a status.
    let _ = sent.set_status_code(status.as_u16());
    spin_sdk::wasip3::spawn(write(body, writer));
    sent
}

/// Until the body's end, or until nobody reads it: then it is dropped, which says that the client has left.
async fn write(mut body: Body, mut writer: BodyWriter) {
    loop {
        match next(&mut body).await {
            Next::Piece(piece) => {
                if writer.send_frame(Frame::data(piece)).await.is_err() {
                    return;
                }
            }
            Next::Silence => {
                if writer.stream_writer.write(Vec::new()).await.0 == StreamResult::Dropped {
                    return;
                }
            }
            Next::Cut => {
                let cut = ErrorCode::InternalError(Some(Cut.to_string()));
                // What comes behind the body is asked for once the body is over.
                drop(writer.stream_writer);
                // Whoever has left does not hear of it.
                let _ = writer.result_writer.write(Err(cut)).await;
                return;
            }
            Next::End => {
                drop(writer.stream_writer);
                let _ = writer.result_writer.write(Ok(None)).await;
                return;
            }
        }
    }
}

enum Next {
    Piece(Bytes),
    Silence,
    Cut,
    End,
}

async fn next(body: &mut Body) -> Next {
    let frame = pin!(poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)));
    match select(frame, pin!(spin_sdk::time::sleep(LOOK))).await {
        // There are no trailers.
        Either::Left((Some(Ok(frame)), _)) => Next::Piece(frame.into_data().unwrap_or_default()),
        Either::Left((Some(Err(Cut)), _)) => Next::Cut,
        Either::Left((None, _)) => Next::End,
        Either::Right(_) => Next::Silence,
    }
}
