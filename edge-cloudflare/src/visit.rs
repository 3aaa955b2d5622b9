//! One request to the Worker.

use crate::bound::{Binding, Door};
use crate::bug;
use crate::clock;
use crate::host::Desk;
use crate::incoming;
use crate::isolate::Isolate;
use crate::issuers;
use crate::leaving::Watch;
use crate::ledger::{self, Lost, UNBOUND, Way};
use crate::outlet::{self, Line};
use crate::people;
use crate::registry::VERSION;
use crate::session::Doorway;
use crate::settings;
use bytes::Bytes;
use http::Response;
use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use tollgate_core::api::Knock;
use tollgate_core::config::Config;
use tollgate_core::count::Gauge;
use tollgate_core::directory::{Caller, Directory};
use tollgate_core::drive::session::drive;
use tollgate_core::exchange::{Opening, RequestId, Session};
use tollgate_core::fault::{Code, Fault};
use tollgate_core::mount::{self, Mounted};
use tollgate_core::units::{Millis, Time};
use tollgate_edge::caught::{self, Ended};
use tollgate_edge::front::{self, Again, Asked, Edge};
use tollgate_edge::pipe::{Body, Pipe};
use wasm_bindgen::JsValue;
use worker::{Context, Env, console_error};

/// One request, and what it can use.
struct Visit {
    isolate: Rc<Isolate>,
    env: Env,
    context: Rc<Context>,
    config: Arc<Config>,
    watch: Cell<Option<Watch>>,
    line: Rc<Line>,
    /// The client's end of a session that has opened.
    socket: Rc<Cell<Option<JsValue>>>,
}

/// Answers a request, whatever it is and whatever becomes of it.
pub(crate) async fn answer(
    request: web_sys::Request,
    env: Env,
    context: Context,
) -> worker::Result<web_sys::Response> {
    bug::told_by_place();
    // The object itself: its own `clone` would be another request.
    let asked = cfg!(panic = "unwind").then(|| Clone::clone(&request));
    match (caught::end(serve(request, env, context)).await, asked) {
        (Ended::With(answer), _) => answer,
        (Ended::Panicked, None) => Err(worker::Error::from("the gateway has no answer")),
        (Ended::Panicked, Some(asked)) => {
            let id = Isolate::here().random().request_id();
            outlet::whole(front::broken(&incoming::head(&asked)?, id))
        }
    }
}

async fn serve(request: web_sys::Request, env: Env, context: Context) -> worker::Result<web_sys::Response> {
    let isolate = Isolate::here();
    let config = match settings::current(&isolate, &env).await {
        Ok(config) => config,
        Err(problem) => return refused(&isolate, &request, &problem.to_string()),
    };
    let governed = is_governed(&isolate, &config, &env);
    if governed {
        if isolate.bound(&env).ledger == Binding::Missing {
            return refused(&isolate, &request, UNBOUND);
        }
        if let Err(Lost(why)) = people::refresh(&isolate, &env, &config).await {
            return refused(&isolate, &request, &format!("who there is cannot be asked: {why}"));
        }
    }
    let head = incoming::head(&request)?;
    #[cfg(feature = "panics")]
    crate::panics::at("at-the-door", head.uri.query().unwrap_or_default().as_bytes());
    if governed && matches!(mount::find(&head.method, head.uri.path()), Ok(Mounted::Admin(_))) {
        return administer(&isolate, request, &head, &env).await;
    }
    let peer = incoming::peer(&head);
    if is_exposed(&isolate, &config, &env, peer) {
        return refused(&isolate, &request, EXPOSED);
    }
    let body = incoming::body(&request, &head);
    let pipe = Pipe::default();
    let watch = Watch::over(request.signal().into(), pipe.clone());
    let (context, line) = (Rc::new(context), Rc::new(Line::of(pipe.clone())));
    let (watch, socket) = (Cell::new(Some(watch)), Rc::default());
    let visit =
        Visit { isolate, env, context: Rc::clone(&context), config, watch, line: Rc::clone(&line), socket };
    let answer = front::answer(&visit, Asked { head, body, peer, pipe }).await;
    if let Some(socket) = visit.socket.take() {
        return outlet::opened(answer, &socket);
    }
    outlet::sent(answer, &line, |relay| context.wait_until(relay.run()))
}

/// A Worker is where anybody may ask, so one that requires no key must have been told that this is meant.
const EXPOSED: &str = "no key is required and the request is not from this machine: add [[keys]] to the config, \
    or TOLLGATE_OPEN = \"true\" under [vars] in wrangler.toml if everybody may use it";

fn is_exposed(isolate: &Isolate, config: &Config, env: &Env, peer: Option<IpAddr>) -> bool {
    let is_closed = config.server.requires_key(&isolate.directory.borrow());
    let is_open = config.server.open || isolate.bound(env).door == Door::Everybody;
    !is_closed && !is_open && !peer.is_some_and(|peer| peer.is_loopback())
}

/// Whether there may be keys or limits: something in the config asks for it, or there is somewhere to keep
/// them.
fn is_governed(isolate: &Isolate, config: &Config, env: &Env) -> bool {
    let asked = !config.keys.is_empty() || !config.holders.is_empty() || config.server.admin_key.is_some();
    asked || isolate.bound(env).ledger == Binding::There
}

fn refused(isolate: &Isolate, request: &web_sys::Request, why: &str) -> worker::Result<web_sys::Response> {
    console_error!("{why}");
    let head = incoming::head(request)?;
    outlet::whole(front::unable(&head, why, isolate.random().request_id()))
}

/// The registry decides on the admin API: it alone knows who there is now.
async fn administer(
    isolate: &Isolate,
    request: web_sys::Request,
    head: &http::request::Parts,
    env: &Env,
) -> worker::Result<web_sys::Response> {
    let id = isolate.random().request_id();
    let stub = match Way::to_registry(env).stub() {
        Ok(stub) => stub,
        Err(Lost(why)) => return outlet::whole(front::unable(head, &why, id)),
    };
    match stub.fetch_with_request(request.into()).await {
        Ok(answer) => {
            if let Ok(Some(version)) = answer.headers().get(VERSION) {
                isolate.known.borrow_mut().expect(version.parse().unwrap_or_default());
            }
            Ok(answer.into())
        }
        Err(error) => {
            let Lost(why) = ledger::lost(error);
            console_error!("the registry cannot be asked: {why}");
            outlet::whole(front::unable(head, &format!("the registry cannot be asked: {why}"), id))
        }
    }
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
        Desk::new(isolate, self.env.clone(), context, Arc::clone(&self.config), caller, Rc::clone(&self.line))
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

    // Where nobody can ask, this would only make the Worker larger.
    #[cfg(panic = "unwind")]
    async fn panicked(desk: &Desk) {
        desk.panicked().await;
    }

    async fn session(&self, opening: Opening, pipe: Pipe) -> Response<Body> {
        let (surface, id) = (opening.admitted.surface, opening.admitted.id);
        self.began();
        let desk = self.host(opening.admitted.caller.clone());
        let session = Session::new(opening, self.now());
        let most = session.longest_message();
        let doorway = Doorway { pipe: pipe.clone(), place: Rc::clone(&self.socket), most };
        let way = pipe.clone();
        self.spawn(async move {
            let ended = caught::end(drive(session, &desk, doorway)).await;
            way.close();
            if ended == Ended::Panicked {
                Self::panicked(&desk).await;
            }
            desk.over().await;
        });
        front::answered(pipe, surface, id).await
    }

    async fn admin(&self, knock: &Knock, _: Bytes) -> Response<Bytes> {
        knock.refuse(&Fault::new(Code::StoreUnavailable, UNBOUND).retry_after(Millis::from_secs(5)))
    }

    async fn ready(&self) -> Result<(), String> {
        if !is_governed(&self.isolate, &self.config, &self.env) {
            return Ok(());
        }
        let asked = Way::to_registry(&self.env).post("/entities", b"0".to_vec()).await;
        asked.map(drop).map_err(|Lost(why)| format!("the registry cannot be asked: {why}"))
    }

    fn metrics(&self) -> String {
        self.isolate.told()
    }

    async fn look_again(&self) -> Again {
        if is_governed(&self.isolate, &self.config, &self.env) {
            people::look_again(&self.isolate, &self.env, &self.config).await
        } else {
            Again::No
        }
    }

    async fn fetch_keys(&self, issuer: &str) -> Again {
        issuers::fetch(&self.isolate, &self.config, issuer).await
    }
}
