//! From a request to its answer, on any edge.
//!
//! ```text
//!   head ─▶ admit ─▶ Answered ───────────────────────────────▶ answer
//!             ├────▶ Ready, Metrics: the platform says ──────▶ answer
//!             ├────▶ Admin ─▶ body ─▶ the platform's office ─▶ answer
//!             └────▶ Wanted ─▶ body ─▶ exchange ─▶ drive, spawned ─▶ pipe ─▶ answer
//! ```
//! The drive future is spawned, so that it goes on when the client leaves: the upstream is cancelled and
//! the hold settled there, and nothing depends on anybody's being dropped.

use crate::body::{Bounds, read};
use crate::caught::{self, Ended};
use crate::pipe::{Body, Cut, Pipe};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use tollgate_core::admit::{Admission, Admitted, Desk, admit, sessionless, unready};
use tollgate_core::api::shape::MOST_BYTES;
use tollgate_core::api::{Knock, refusal};
use tollgate_core::config::Config;
use tollgate_core::cors::Page;
use tollgate_core::count::Gauge;
use tollgate_core::directory::{Caller, Directory};
use tollgate_core::drive::drive;
use tollgate_core::exchange::{Exchange, Opening, RequestId};
use tollgate_core::fault::{Code, Fault};
use tollgate_core::host::Host;
use tollgate_core::surface::Surface;
use tollgate_core::units::Time;

/// What a platform brings for one request.
pub trait Edge {
    /// What its exchange runs on.
    type Host: Host + 'static;

    /// The time. Never runs backwards.
    fn now(&self) -> Time;
    /// A name for a request that no other has.
    fn request_id(&self) -> RequestId;
    /// The config for requests that come now.
    fn config(&self) -> Arc<Config>;
    /// How bytes become tokens.
    fn gauge(&self) -> Arc<Gauge>;
    /// Who there is. Not kept across an await.
    fn with_directory<R>(&self, look: impl FnOnce(&Directory) -> R) -> R;
    /// A host for one exchange of this caller.
    fn host(&self, caller: Option<Arc<Caller>>) -> Self::Host;
    /// A call begins; its record will say when it ends.
    fn began(&self) {}
    /// Runs to its end whether or not the client stays.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);
    /// The exchange is over: sends on what its host still has, such as the record of a call that had no
    /// hold to settle.
    fn over(host: &Self::Host) -> impl Future<Output = ()>;
    /// The exchange has panicked, where panics are caught: ends what its host still holds.
    fn panicked(host: &Self::Host) -> impl Future<Output = ()> {
        let _ = host;
        std::future::ready(())
    }
    /// Runs a realtime session, where the platform speaks WebSocket; answers its handshake through the pipe.
    fn session(&self, opening: Opening, pipe: Pipe) -> impl Future<Output = Response<Body>> {
        let _ = pipe;
        std::future::ready(sessionless(&opening, "this host").map(Body::from))
    }
    /// Answers a request to the admin API that has been let in.
    fn admin(&self, knock: &Knock, body: Bytes) -> impl Future<Output = Response<Bytes>>;
    /// Why calls cannot be taken as they are meant to be, if so: for `/readyz`, without any secret.
    fn ready(&self) -> impl Future<Output = Result<(), String>>;
    /// What holds less than it should on this platform, in words: told by `/readyz`, which is well all the
    /// same.
    fn shortcoming(&self) -> Option<String> {
        None
    }
    /// What has been counted, in Prometheus' text form.
    fn metrics(&self) -> String;
    /// Somebody has come whose key is not known: brings the directory up to date, if there may be news.
    fn look_again(&self) -> impl Future<Output = Again> {
        std::future::ready(Again::No)
    }
    /// Fetches the keys of an issuer of tokens and puts them into the directory; says whether it is
    /// worth looking at the token again.
    fn fetch_keys(&self, issuer: &str) -> impl Future<Output = Again>;
}

/// Whether a key or token is worth another look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// There are keys that were not there before.
    Yes,
    /// Everything is as it was.
    No,
}

/// A request as it came.
#[derive(Debug)]
pub struct Asked<B> {
    /// Its head.
    pub head: Parts,
    /// Its body.
    pub body: B,
    /// From where, if the platform knows.
    pub peer: Option<IpAddr>,
    /// How its answer goes out. The platform keeps a clone to say [`Pipe::leave`].
    pub pipe: Pipe,
}

/// Answers a request, whatever it is.
pub async fn answer<E: Edge, B>(edge: &E, asked: Asked<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let config = edge.config();
    let Some(page) = Page::of(&asked.head.headers, &config.server.cors_origins) else {
        return serve(edge, asked, config).await;
    };
    if let Some(answer) = page.preflight(&asked.head.method, &asked.head.headers) {
        return answer.map(Body::from);
    }
    let mut answer = serve(edge, asked, config).await;
    page.mark(answer.headers_mut());
    answer
}

/// The answer of a platform that cannot serve at all, in the shape of the surface that was called: what
/// is missing and where to add it. Health and unknown paths are answered as ever.
pub fn unable(head: &Parts, why: &str, id: RequestId) -> Response<Bytes> {
    use tollgate_core::mount::{self, Mounted};
    let fault =
        Fault::new(Code::StoreUnavailable, why).retry_after(tollgate_core::units::Millis::from_secs(5));
    match mount::find(&head.method, head.uri.path()) {
        Ok(Mounted::Surface { id: surface, .. }) => {
            tollgate_core::admit::refusal(tollgate_core::surface::of(surface), &fault, id)
        }
        Ok(Mounted::Admin(_)) => refusal(&fault),
        Ok(Mounted::Health) => {
            let mut answer = Response::new(Bytes::from_static(READY));
            answer.headers_mut().insert(header::CONTENT_TYPE, JSON);
            answer
        }
        Ok(Mounted::Ready | Mounted::Metrics | Mounted::Models { .. } | Mounted::Transcript { .. })
        | Err(_) => unready(why, id),
    }
}

/// The answer to a request whose code has panicked before there was one, in the shape of what was called.
pub fn broken(head: &Parts, id: RequestId) -> Response<Bytes> {
    use tollgate_core::mount::{self, Mounted};
    use tollgate_core::surface::{SurfaceId, of};
    let fault = unanswered();
    match mount::find(&head.method, head.uri.path()) {
        Ok(Mounted::Surface { id: surface, .. }) => tollgate_core::admit::refusal(of(surface), &fault, id),
        Ok(Mounted::Admin(_)) => refusal(&fault),
        Ok(
            Mounted::Health
            | Mounted::Ready
            | Mounted::Metrics
            | Mounted::Models { .. }
            | Mounted::Transcript { .. },
        )
        | Err(_) => tollgate_core::admit::refusal(of(SurfaceId::OpenAiChat), &fault, id),
    }
}

fn unanswered() -> Fault {
    Fault::new(Code::Bug, "the gateway has no answer")
}

/// That calls can be taken, and what is to be known of it.
fn ready(shortcoming: Option<String>) -> Bytes {
    match shortcoming {
        None => Bytes::from_static(READY),
        Some(note) => Bytes::from(serde_json::json!({ "status": "ok", "note": note }).to_string()),
    }
}

const READY: &[u8] = b"{\"status\":\"ok\"}";
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4");

async fn serve<E: Edge, B>(edge: &E, asked: Asked<B>, config: Arc<Config>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let Asked { mut head, body, peer, pipe } = asked;
    // Platforms leave out the body of an answer to HEAD by themselves.
    if head.method == Method::HEAD {
        head.method = Method::GET;
    }
    let mut admission = knock(edge, &head, &config, peer);
    // Twice: what others have fetched may lack a key that its issuer has by now.
    for _ in 0..2 {
        let Admission::NeedsKeys(needs) = &admission else { break };
        if edge.fetch_keys(&needs.issuer).await == Again::No {
            break;
        }
        admission = knock(edge, &head, &config, peer);
    }
    if let Admission::Answered(answer) = &admission
        && answer.status() == StatusCode::UNAUTHORIZED
        && edge.look_again().await == Again::Yes
    {
        admission = knock(edge, &head, &config, peer);
    }
    match admission {
        Admission::Answered(answer) => answer.map(Body::from),
        Admission::Listed(listed) => listed.answer.map(Body::from),
        Admission::NeedsKeys(needs) => needs.otherwise.map(Body::from),
        Admission::Transcript(wanted) => wanted.otherwise.map(Body::from),
        Admission::Ready(answer) => match edge.ready().await {
            Ok(()) => answer.map(|()| Body::from(ready(edge.shortcoming()))),
            Err(why) => unready(&why, edge.request_id()).map(Body::from),
        },
        Admission::Metrics(answer) => {
            let mut answer = answer.map(|()| Body::from(Bytes::from(edge.metrics())));
            answer.headers_mut().insert(header::CONTENT_TYPE, PROMETHEUS);
            answer
        }
        Admission::Admin(knock) => {
            let bounds = bounds(edge, MOST_BYTES as u64);
            let answer = match read(body, bounds).await {
                Ok(body) => edge.admin(&knock, body).await,
                Err(fault) => knock.refuse(&fault),
            };
            answer.map(Body::from)
        }
        Admission::Session(opening) => edge.session(*opening, pipe).await,
        Admission::Wanted(admitted) => {
            drop(head);
            let body = read(body, bounds(edge, config.server.max_body)).await;
            exchange(edge, admitted, body, pipe).await
        }
    }
}

fn bounds<E: Edge>(edge: &E, most: u64) -> Bounds<<E::Host as Host>::Timer> {
    Bounds { most, timer: edge.host(None).timer(), now: edge.now() }
}

/// Decides on a request by its head, as things are now.
fn knock<E: Edge>(edge: &E, head: &Parts, config: &Arc<Config>, peer: Option<IpAddr>) -> Admission {
    let gauge = edge.gauge();
    edge.with_directory(|directory| {
        let desk = Desk { config, directory, gauge: &gauge, peer };
        admit(head, &desk, edge.request_id(), edge.now())
    })
}

async fn exchange<E: Edge>(
    edge: &E,
    admitted: Admitted,
    body: Result<Bytes, Fault>,
    pipe: Pipe,
) -> Response<Body> {
    let id = admitted.id;
    let surface = admitted.surface;
    edge.began();
    let host = Rc::new(edge.host(admitted.caller.clone()));
    let exchange = match body {
        Ok(body) => Exchange::new(admitted, body, edge.now()),
        Err(fault) => Exchange::unread(admitted, fault, edge.now()),
    };
    let way = pipe.clone();
    edge.spawn(async move {
        let ended = caught::end(drive(exchange, &*host, &way)).await;
        way.close();
        if ended == Ended::Panicked {
            E::panicked(&host).await;
        }
        E::over(&host).await;
    });
    answered(pipe, surface, id).await
}

/// The answer that comes through a pipe.
pub async fn answered(pipe: Pipe, surface: &dyn Surface, id: RequestId) -> Response<Body> {
    match pipe.answer().await {
        Ok(answer) => answer,
        Err(Cut) => tollgate_core::admit::refusal(surface, &unanswered(), id).map(Body::from),
    }
}
