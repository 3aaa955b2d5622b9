//! One request to the Worker.

use crate::clock;
use crate::host::Desk;
use crate::isolate::Isolate;
use crate::issuers;
use crate::leaving::Watch;
use crate::ledger::{self, LEDGER, Lost, UNBOUND, Way};
use crate::people;
use crate::registry::VERSION;
use crate::settings;
use bytes::Bytes;
use futures_core::Stream;
use http::Response;
use std::cell::Cell;
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
use tollgate_core::fault::{Code, Fault};
use tollgate_core::mount::{self, Mounted};
use tollgate_core::units::{Millis, Time};
use tollgate_edge::front::{self, Again, Asked, Edge};
use tollgate_edge::pipe::{Body, Cut, Pipe};
use worker::{AbortSignal, Context, Env, Headers, HttpRequest, ResponseBuilder, console_error};

/// One request, and what it can use.
struct Visit {
    isolate: Rc<Isolate>,
    env: Env,
    context: Rc<Context>,
    config: Arc<Config>,
    watch: Cell<Option<Watch>>,
}

/// Answers a request, whatever it is.
pub(crate) async fn answer(
    request: HttpRequest,
    env: Env,
    context: Context,
) -> worker::Result<worker::Response> {
    let isolate = Isolate::here();
    let config = match settings::current(&isolate, &env).await {
        Ok(config) => config,
        Err(problem) => return refused(&isolate, request, &problem.to_string()),
    };
    if is_governed(&config, &env) {
        if env.durable_object(LEDGER).is_err() {
            return refused(&isolate, request, UNBOUND);
        }
        if let Err(Lost(why)) = people::refresh(&isolate, &env, &config).await {
            return refused(&isolate, request, &format!("who there is cannot be asked: {why}"));
        }
        if matches!(mount::find(request.method(), request.uri().path()), Ok(Mounted::Admin(_))) {
            return administer(&isolate, request, &env).await;
        }
    }
    let (mut head, body) = request.into_parts();
    let pipe = Pipe::default();
    let watch = head.extensions.remove::<AbortSignal>().map(|signal| Watch::over(signal, pipe.clone()));
    let peer = peer(&head);
    let visit = Visit { isolate, env, context: Rc::new(context), config, watch: Cell::new(watch) };
    sent(front::answer(&visit, Asked { head, body, peer, pipe }).await)
}

/// Whether there may be keys or limits: something in the config asks for it, or there is somewhere to keep
/// them.
fn is_governed(config: &Config, env: &Env) -> bool {
    let asked = !config.keys.is_empty() || !config.holders.is_empty() || config.server.admin_key.is_some();
    asked || env.durable_object(LEDGER).is_ok()
}

fn refused(isolate: &Isolate, request: HttpRequest, why: &str) -> worker::Result<worker::Response> {
    console_error!("{why}");
    let (head, _) = request.into_parts();
    sent(front::unable(&head, why, isolate.random().request_id()).map(Body::from))
}

/// The registry decides on the admin API: it alone knows who there is now.
async fn administer(isolate: &Isolate, request: HttpRequest, env: &Env) -> worker::Result<worker::Response> {
    let (head, body) = request.into_parts();
    let id = isolate.random().request_id();
    let stub = match Way::to_registry(env).stub() {
        Ok(stub) => stub,
        Err(Lost(why)) => return sent(front::unable(&head, &why, id).map(Body::from)),
    };
    let mut passed = http::Request::new(body);
    *passed.method_mut() = head.method.clone();
    *passed.uri_mut() = head.uri.clone();
    *passed.headers_mut() = head.headers.clone();
    match stub.fetch_with_request(passed.try_into()?).await {
        Ok(answer) => {
            let mut answer = http::Response::<worker::Body>::try_from(answer)?;
            if let Some(version) = answer.headers_mut().remove(VERSION) {
                let version = version.to_str().ok().and_then(|version| version.parse().ok());
                isolate.known.borrow_mut().expect(version.unwrap_or_default());
            }
            answer.try_into()
        }
        Err(error) => {
            let Lost(why) = ledger::lost(error);
            console_error!("the registry cannot be asked: {why}");
            sent(front::unable(&head, &format!("the registry cannot be asked: {why}"), id).map(Body::from))
        }
    }
}

/// What Cloudflare says of where the request comes from; nobody else can set it.
pub(crate) fn peer(head: &http::request::Parts) -> Option<IpAddr> {
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

    fn host(&self, caller: Option<Arc<Caller>>) -> Desk {
        let (isolate, context) = (Rc::clone(&self.isolate), Rc::clone(&self.context));
        Desk::new(isolate, self.env.clone(), context, Arc::clone(&self.config), caller)
    }

    fn began(&self) {
        self.isolate.metrics.borrow_mut().began();
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let watch = self.watch.take();
        self.context.wait_until(async move {
            task.await;
            drop(watch);
        });
    }

    async fn over(desk: &Desk) {
        desk.over().await;
    }

    async fn admin(&self, knock: &Knock, _: Bytes) -> Response<Bytes> {
        knock.refuse(&Fault::new(Code::StoreUnavailable, UNBOUND).retry_after(Millis::from_secs(5)))
    }

    async fn ready(&self) -> Result<(), String> {
        if !is_governed(&self.config, &self.env) {
            return Ok(());
        }
        let asked = Way::to_registry(&self.env).post("/entities", b"0".to_vec()).await;
        asked.map(drop).map_err(|Lost(why)| format!("the registry cannot be asked: {why}"))
    }

    fn metrics(&self) -> String {
        self.isolate.told()
    }

    async fn look_again(&self) -> Again {
        if is_governed(&self.config, &self.env) {
            people::look_again(&self.isolate, &self.env, &self.config).await
        } else {
            Again::No
        }
    }

    async fn fetch_keys(&self, issuer: &str) -> Again {
        issuers::fetch(&self.isolate, &self.config, issuer).await
    }
}

/// As the runtime wants it. What is known whole is handed over whole.
pub(crate) fn sent(answer: Response<Body>) -> worker::Result<worker::Response> {
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
