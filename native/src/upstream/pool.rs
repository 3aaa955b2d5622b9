//! The connections a worker keeps, by origin.

use super::http1::Link;
use super::http2::Shared;
use super::proxy::{Proxies, Way};
use super::tls::Roots;
use super::{Outgoing, broken};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tollgate_core::host::FetchError;

/// Unused connections are closed after this long. Providers close theirs after 60 s and more; one
/// that does so earlier costs a second connection, not an error.
const IDLE_LIMIT: Duration = Duration::from_secs(90);

/// Unused connections kept per origin.
const MAX_IDLE: usize = 1024;

/// What all workers share: which proxies to use and which roots to trust.
#[derive(Debug)]
pub struct Outside {
    pub(super) proxies: Proxies,
    /// Loaded with the first encrypted connection.
    pub roots: Roots,
}

impl Outside {
    /// Reads the proxy variables. Reads no file.
    pub fn from_env() -> Self {
        Self::through(proxies_from_env())
    }

    /// Uses these proxies whatever the variables say.
    pub fn through(proxies: Matcher) -> Self {
        Self { proxies: Proxies::of(proxies), roots: Roots::default() }
    }
}

fn proxies_from_env() -> Matcher {
    let excepted = ["NO_PROXY", "no_proxy"].iter().find_map(|name| std::env::var(name).ok());
    // hyper-util takes `*` for every name but for no address; curl takes it for every host.
    if excepted.is_some_and(|list| list.split(',').any(|host| host.trim() == "*")) {
        return Matcher::builder().build();
    }
    Matcher::from_env()
}

/// A worker's connections.
pub struct Pool {
    outside: Arc<Outside>,
    plain: RefCell<HashMap<Authority, Rc<Origin>>>,
    secure: RefCell<HashMap<Authority, Rc<Origin>>>,
}

impl Pool {
    /// No connections yet.
    pub fn new(outside: Arc<Outside>) -> Self {
        Self { outside, plain: RefCell::default(), secure: RefCell::default() }
    }

    /// The origin of a URL.
    pub(super) fn origin(&self, uri: &Uri) -> Result<Rc<Origin>, FetchError> {
        let authority = uri.authority().ok_or_else(|| broken("the URL names no host"))?;
        let (security, origins) = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => (Security::Tls, &self.secure),
            Some(scheme) if *scheme == Scheme::HTTP => (Security::Plain, &self.plain),
            _ => return Err(broken("the URL is neither http nor https")),
        };
        if let Some(origin) = origins.borrow().get(authority) {
            return Ok(Rc::clone(origin));
        }
        let way = self.outside.proxies.way(uri)?;
        let origin = Rc::new(Origin::new(Arc::clone(&self.outside), security, authority, way)?);
        origins.borrow_mut().insert(authority.clone(), Rc::clone(&origin));
        Ok(origin)
    }

    /// The origin of a URL that has none.
    pub(super) fn nowhere(&self) -> Rc<Origin> {
        Rc::new(Origin {
            outside: Arc::clone(&self.outside),
            security: Security::Plain,
            host: String::new(),
            port: 0,
            host_header: HeaderValue::from_static(""),
            way: Way::Direct,
            idle: RefCell::default(),
            shared: RefCell::default(),
            protocol: Cell::new(Protocol::Http1),
            dialing: Cell::default(),
            dialed: Notify::new(),
        })
    }

    /// Closes connections that nobody used for long or that upstreams have closed.
    pub fn sweep(&self) {
        for origins in [&self.plain, &self.secure] {
            for origin in origins.borrow().values() {
                origin.sweep();
            }
        }
    }
}

/// Whether an origin is reached by TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    Plain,
    Tls,
}

/// What an origin was last found to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Unknown,
    Http1,
    Http2,
}

/// A scheme, host and port, and the connections there.
pub struct Origin {
    pub(super) outside: Arc<Outside>,
    pub(super) security: Security,
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    host_header: HeaderValue,
    pub(super) way: Way,
    #[expect(clippy::vec_box, reason = "links are large and move with every request")]
    idle: RefCell<Vec<Box<Link>>>,
    shared: RefCell<Vec<Shared>>,
    pub(super) protocol: Cell<Protocol>,
    pub(super) dialing: Cell<usize>,
    pub(super) dialed: Notify,
}

impl Origin {
    fn new(
        outside: Arc<Outside>,
        security: Security,
        authority: &Authority,
        way: Way,
    ) -> Result<Self, FetchError> {
        let (usual_port, protocol) = match security {
            Security::Plain => (80, Protocol::Http1),
            Security::Tls => (443, Protocol::Unknown),
        };
        let port = authority.port_u16().unwrap_or(usual_port);
        let host = authority.host();
        let header = if port == usual_port { host.to_owned() } else { format!("{host}:{port}") };
        let host_header =
            HeaderValue::try_from(header).map_err(|_| broken("the URL's host is not a host"))?;
        Ok(Self {
            outside,
            security,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            host_header,
            way,
            idle: RefCell::default(),
            shared: RefCell::default(),
            protocol: Cell::new(protocol),
            dialing: Cell::default(),
            dialed: Notify::new(),
        })
    }

    /// For error texts.
    pub(super) fn name(&self) -> &str {
        self.host_header.to_str().unwrap_or(&self.host)
    }

    pub(super) fn host_header(&self) -> HeaderValue {
        self.host_header.clone()
    }

    /// For a proxy that sees the request itself; a tunnel is opened with it instead.
    pub(super) fn proxy_authorization(&self) -> Option<HeaderValue> {
        match &self.way {
            Way::Forward(proxy) => proxy.authorization.clone(),
            Way::Direct | Way::Tunnel(_) => None,
        }
    }

    /// The request with the URL as HTTP/1.1 wants it: the path alone, or all of it for a proxy.
    pub(super) fn on_the_wire(&self, mut request: Outgoing) -> Outgoing {
        match &self.way {
            Way::Forward(_) => {}
            Way::Direct | Way::Tunnel(_) => {
                let path = request.uri().path_and_query().cloned();
                *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
            }
        }
        request
    }

    /// An unused connection, the one used last first: it is the least likely to be closed.
    pub(super) fn idle(&self, cx: &mut Context<'_>) -> Option<Box<Link>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut link) = idle.pop() {
            if link.idle_since().elapsed() < IDLE_LIMIT && link.is_ready(cx) {
                return Some(link);
            }
        }
        None
    }

    /// Takes back a connection that is ready for another request.
    pub(super) fn keep(&self, link: Box<Link>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE {
            idle.push(link);
        }
    }

    /// A shared connection with room.
    pub(super) fn multiplexed(&self) -> Option<Shared> {
        if self.protocol.get() != Protocol::Http2 {
            return None;
        }
        self.shared.borrow().iter().find(|shared| shared.has_room()).cloned()
    }

    pub(super) fn share(&self, connection: Shared) {
        let mut shared = self.shared.borrow_mut();
        shared.retain(Shared::is_open);
        shared.push(connection);
    }

    fn sweep(&self) {
        // Whoever takes a connection next polls it with a waker of its own.
        let mut cx = Context::from_waker(Waker::noop());
        let now = Instant::now();
        self.idle
            .borrow_mut()
            .retain_mut(|link| now.duration_since(link.idle_since()) < IDLE_LIMIT && link.is_ready(&mut cx));
        self.shared.borrow_mut().retain(Shared::is_open);
    }
}
