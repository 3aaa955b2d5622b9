//! One request to the Worker.

use crate::clock;
use crate::host::Desk;
use crate::isolate::Isolate;
use crate::leaving::Watch;
use crate::settings;
use bytes::Bytes;
use futures_core::Stream;
use http::Response;
use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Poller, Poll};
use tollgate_core::api::Knock;
use tollgate_core::config::Config;
use tollgate_core::count::Gauge;
use tollgate_core::directory::{Caller, Directory};
use tollgate_core::exchange::RequestId;
use tollgate_core::units::Time;
use tollgate_edge::front::{self, Again, Asked, Edge};
use tollgate_edge::pipe::{Body, Cut, Pipe};
use worker::{AbortSignal, Context, Env, Headers, HttpRequest, ResponseBuilder};

/// One request, and what it can use.
struct Visit {
    isolate: Rc<Isolate>,
    config: Arc<Config>,
    context: Context,
    watch: Cell<Option<Watch>>,
}

pub(crate) async fn answer(
    request: HttpRequest,
    env: Env,
    context: Context,
) -> worker::Result<worker::Response> {
    let isolate = Isolate::here();
    let (mut head, body) = request.into_parts();
    let config = match settings::current(&isolate, &env).await {
        Ok(config) => config,
        Err(problem) => {
            worker::console_error!("{problem}");
            let answer = front::unable(&head, &problem.to_string(), isolate.random().request_id());
            return sent(answer.map(Body::from));
        }
    };
    let pipe = Pipe::default();
    let watch = head.extensions.remove::<AbortSignal>().map(|signal| Watch::over(signal, pipe.clone()));
    let peer = peer(&head);
    let visit = Visit { isolate, config, context, watch: Cell::new(watch) };
    sent(front::answer(&visit, Asked { head, body, peer, pipe }).await)
}

/// What Cloudflare says of where the request comes from; nobody else can set it.
fn peer(head: &http::request::Parts) -> Option<IpAddr> {
    head.headers.get("cf-connecting-ip")?.to_str().ok()?.trim().parse().ok()
}

impl Edge for Visit {
    type Host = Desk;

    fn now(&self) -> Time {
        clock::now()
    }

    fn request_id(&self) -> RequestId {
        self.isolate.random().request_id()
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    fn gauge(&self) -> Arc<Gauge> {
        Arc::clone(&self.isolate.gauge)
    }

    fn with_directory<R>(&self, look: impl FnOnce(&Directory) -> R) -> R {
        look(&self.isolate.directory.borrow())
    }

    fn host(&self, _: Option<Arc<Caller>>) -> Desk {
        Desk { isolate: Rc::clone(&self.isolate), record: RefCell::default() }
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let watch = self.watch.take();
        self.context.wait_until(async move {
            task.await;
            drop(watch);
        });
    }

    async fn over(_: &Desk) {}

    async fn admin(&self, knock: &Knock, _: Bytes) -> Response<Bytes> {
        knock.refuse(&tollgate_core::fault::Fault::new(
            tollgate_core::fault::Code::StoreUnavailable,
            "not yet",
        ))
    }

    async fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn metrics(&self) -> String {
        self.isolate.metrics.borrow().render()
    }

    async fn fetch_keys(&self, _: &str) -> Again {
        Again::No
    }
}

/// As the runtime wants it. What is known whole is handed over whole.
fn sent(answer: Response<Body>) -> worker::Result<worker::Response> {
    let (head, body) = answer.into_parts();
    let builder =
        ResponseBuilder::new().with_status(head.status.as_u16()).with_headers(Headers::from(head.headers));
    match body {
        Body::Whole(Some(whole)) => Ok(builder.fixed(whole.to_vec())),
        Body::Whole(None) => Ok(builder.empty()),
        Body::Streamed(reader) => builder.from_stream(Pieces(Body::Streamed(reader))),
    }
}

/// A streamed body as a stream.
struct Pieces(Body);

impl Stream for Pieces {
    type Item = Result<Vec<u8>, worker::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Poller<'_>) -> Poll<Option<Self::Item>> {
        let piece = self.0.poll_piece(cx);
        piece.map(|piece| {
            piece.map(|piece| piece.map(|bytes| bytes.to_vec()).map_err(|cut: Cut| cut.to_string().into()))
        })
    }
}
