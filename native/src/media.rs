//! Pictures and files that clients name by address (`server.fetch_media`).
//!
//! 1. Names are resolved here, and only addresses that were found to be admitted are connected to, so that
//!    a name cannot lead elsewhere between the check and the connection. Each redirect is checked anew.
//! 2. Nothing of the client's or of the gateway's goes along: no header, no key, no proxy.
//! 3. What is told of a failure does not say what listens inside.

use crate::upstream::pool::Outside;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, LOCATION, USER_AGENT};
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tollgate_core::media::{FetchMedia, Fetched, MAX_MEDIA_BYTES, Medium, Wanted};

/// Redirects that are followed for one of them.
const MAX_REDIRECTS: usize = 3;

/// All of them at once. Dropping it ends what is under way.
pub async fn fetch(outside: &Arc<Outside>, wanted: Wanted) -> Vec<Fetched> {
    let Wanted { urls, reach } = wanted;
    let room = Rc::new(Cell::new(MAX_MEDIA_BYTES));
    let mut under_way = JoinSet::new();
    for url in urls {
        let (outside, room) = (Arc::clone(outside), Rc::clone(&room));
        under_way.spawn_local(async move {
            let got = one(&outside, &url, reach, &room).await;
            Fetched { url, got }
        });
    }
    let mut fetched = Vec::new();
    while let Some(one) = under_way.join_next().await {
        fetched.extend(one);
    }
    fetched
}

async fn one(outside: &Outside, url: &str, reach: FetchMedia, room: &Cell<usize>) -> Result<Medium, String> {
    let mut uri: Uri = url.parse().map_err(|_| "it is no URL".to_owned())?;
    for _ in 0..=MAX_REDIRECTS {
        // The connection, which ends with this turn.
        let mut driven = JoinSet::new();
        let response = ask(outside, &uri, reach, &mut driven).await?;
        if response.status().is_success() {
            return take(response, room).await;
        }
        if !response.status().is_redirection() {
            return Err(format!("its server answered {}", response.status().as_u16()));
        }
        uri = next(&uri, &response).ok_or("its server redirects to no URL")?;
    }
    Err(format!("its server redirects more than {MAX_REDIRECTS} times"))
}

async fn ask(
    outside: &Outside,
    uri: &Uri,
    reach: FetchMedia,
    driven: &mut JoinSet<()>,
) -> Result<Response<Incoming>, String> {
    let encrypted = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(scheme) if *scheme == Scheme::HTTP => false,
        _ => return Err("its URL is neither http nor https".to_owned()),
    };
    let authority = uri.authority().ok_or("its URL names no host")?;
    if authority.as_str().contains('@') {
        return Err("its URL holds a password".to_owned());
    }
    let host = authority.host().trim_matches(['[', ']']);
    let port = authority.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
    let found = lookup_host((host, port)).await.map_err(|_| "its host is not known".to_owned())?;
    let admitted: Vec<SocketAddr> = found.filter(|address| reach.admits(address.ip())).collect();
    if admitted.is_empty() {
        return Err("its host is not public (server.fetch_media = \"public\")".to_owned());
    }
    let tcp = TcpStream::connect(&*admitted).await.map_err(|_| unreachable_host())?;
    let request = request(uri, authority.as_str())?;
    if !encrypted {
        return send(tcp, request, driven).await;
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|_| unreachable_host())?;
    let connector = TlsConnector::from(outside.roots.plain());
    let tls = connector.connect(name, tcp).await.map_err(|_| unreachable_host())?;
    send(tls, request, driven).await
}

fn unreachable_host() -> String {
    "its server cannot be reached".to_owned()
}

fn request(uri: &Uri, host: &str) -> Result<Request<Empty<Bytes>>, String> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))))
        .header(ACCEPT, HeaderValue::from_static("*/*"))
        .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
        .body(Empty::new())
        .map_err(|_| "it is no URL".to_owned())
}

async fn send<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
    driven: &mut JoinSet<()>,
) -> Result<Response<Incoming>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.map_err(|_| unreachable_host())?;
    driven.spawn_local(async move {
        // What goes wrong here is told by the answer.
        let _ = connection.await;
    });
    sender.send_request(request).await.map_err(|_| unreachable_host())
}

async fn take(response: Response<Incoming>, room: &Cell<usize>) -> Result<Medium, String> {
    let label = response.headers().get(CONTENT_TYPE).and_then(|label| label.to_str().ok());
    let label = label.and_then(|label| label.split(';').next()).map(|label| label.trim().to_lowercase());
    let body = Limited::new(response.into_body(), room.get());
    let whole = body.collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            format!("there is more than {MAX_MEDIA_BYTES} bytes of media")
        } else {
            "its server broke off".to_owned()
        }
    })?;
    let bytes = whole.to_bytes().to_vec();
    room.set(room.get().checked_sub(bytes.len()).ok_or("there is too much of media")?);
    Ok(Medium { label, bytes })
}

/// Where a redirect leads.
fn next(from: &Uri, response: &Response<Incoming>) -> Option<Uri> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    if !location.starts_with('/') || location.starts_with("//") {
        let scheme = from.scheme_str().unwrap_or("https");
        let whole =
            if location.starts_with("//") { format!("{scheme}:{location}") } else { location.to_owned() };
        return whole.parse().ok().filter(|uri: &Uri| uri.authority().is_some());
    }
    Uri::builder()
        .scheme(from.scheme()?.clone())
        .authority(from.authority()?.clone())
        .path_and_query(location)
        .build()
        .ok()
}
