//! From a request to its answer.

use crate::gateway::Gateway;
use crate::host::Platform;
use crate::issuers;
use crate::ledger::Lost;
use crate::site::Here;
use crate::tasks::Tasks;
use crate::timer::patiently;
use crate::trouble;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderValue, Response};
use http_body::Body as _;
use spin_sdk::http::Request;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use tollgate_core::api::Knock;
use tollgate_core::config::Config;
use tollgate_core::count::Gauge;
use tollgate_core::directory::{Caller, Directory};
use tollgate_core::exchange::RequestId;
use tollgate_core::fault::{Code, Fault};
use tollgate_core::units::{Millis, Time};
use tollgate_edge::document::Problem;
use tollgate_edge::front::{self, Again, Asked, Edge};
use tollgate_edge::office::{self, Unkept};
use tollgate_edge::pipe::{Body, Pipe};
use tollgate_edge::random::Random;

/// Answers a request, whatever it is.
pub(crate) async fn answer(request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let mut answer = match Gateway::current().await {
        Ok(gateway) => {
            let peer = peer(&head);
            match refuse_exposed(&gateway, peer) {
                Ok(()) => {
                    let asked = Asked { head, body, peer, pipe: Pipe::default() };
                    let door = Door { gateway, tasks: Tasks::default() };
                    door.tasks.beside(front::answer(&door, asked)).await
                }
                Err(why) => unable(&head, &why, gateway.random.request_id()),
            }
        }
        Err(Problem(why)) => {
            let seed = trouble::entropy().unwrap_or_default();
            unable(&head, &why, Random::seeded(seed).request_id())
        }
    };
    if let Some(length) = answer.body().size_hint().exact() {
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    answer
}

fn unable(head: &Parts, why: &str, id: RequestId) -> Response<Body> {
    front::unable(head, why, id).map(Body::from)
}

/// Where a request comes from: the platform says so, over whatever the client has said.
fn peer(head: &Parts) -> Option<IpAddr> {
    let named = head.headers.get_all("spin-client-addr").into_iter().next_back()?;
    named.to_str().ok()?.parse::<SocketAddr>().ok().map(|address| address.ip())
}

/// Where anybody may ask, only those of this machine do, unless the config says that it is meant so.
fn refuse_exposed(gateway: &Gateway, peer: Option<IpAddr>) -> Result<(), String> {
    let config = gateway.config();
    let is_closed = gateway.with_directory(|directory| config.server.requires_key(directory));
    if is_closed || config.server.open || peer.is_some_and(|peer| peer.is_loopback()) {
        return Ok(());
    }
    Err("no key is required and the request is not from this machine: add [[keys]] to the config, or \
         `open = true` under [server] if everybody may use it"
        .to_owned())
}

/// The gateway, for one request.
struct Door {
    gateway: Rc<Gateway>,
    tasks: Tasks,
}

impl Edge for Door {
    type Host = Platform;

    fn now(&self) -> Time {
        self.gateway.clock.now()
    }

    fn request_id(&self) -> RequestId {
        self.gateway.random.request_id()
    }

    fn config(&self) -> Arc<Config> {
        self.gateway.config()
    }

    fn gauge(&self) -> Arc<Gauge> {
        Arc::clone(&self.gateway.gauge)
    }

    fn with_directory<R>(&self, look: impl FnOnce(&Directory) -> R) -> R {
        self.gateway.with_directory(|directory| look(directory))
    }

    fn host(&self, _caller: Option<Arc<Caller>>) -> Platform {
        Platform::new(Rc::clone(&self.gateway))
    }

    fn began(&self) {
        self.gateway.metrics.borrow_mut().began();
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.begin(task);
    }

    async fn over(host: &Platform) {
        host.over().await;
    }

    async fn admin(&self, knock: &Knock, body: Bytes) -> Response<Bytes> {
        match Here::new(Rc::clone(&self.gateway)) {
            Ok(here) => office::answer(&here, knock, &body).await,
            Err(Problem(why)) => knock.refuse(&Fault::new(Code::Bug, why)),
        }
    }

    async fn ready(&self) -> Result<(), String> {
        let (gateway, ledger) = (Rc::clone(&self.gateway), self.gateway.ledger());
        let desk = async move { gateway.desk.check().await };
        match patiently(Millis::from_secs(1), desk).await {
            Some(Ok(()) | Err(Unkept::Behind)) => {}
            Some(Err(Unkept::Gone(why))) => return Err(format!("the database does not answer: {why}")),
            None => return Err("the database does not answer: it takes too long".to_owned()),
        }
        let of_ledger = |Lost(why)| format!("the ledger ({}) does not answer: {why}", ledger.name());
        ledger.check().await.map_err(of_ledger)
    }

    fn shortcoming(&self) -> Option<String> {
        self.gateway.shortcoming()
    }

    fn metrics(&self) -> String {
        self.gateway.metrics.borrow().render()
    }

    async fn fetch_keys(&self, issuer: &str) -> Again {
        issuers::fetch(&self.gateway, issuer).await
    }
}
