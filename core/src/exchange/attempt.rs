//! One upstream call: what is sent, and how long it may take.

use super::request::{Gathered, Request};
use super::splice::{self, Spliced, UsageAsk};
use crate::admit::Strictness;
use crate::call::{Call, Delivery, Reasoning};
use crate::config::{Provider, Timeouts};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault, UpstreamClass, UpstreamFault};
use crate::fleet::{Lane, Outcome};
use crate::framing::Framing;
use crate::host::{Fetch, Reuse};
use crate::json::Tape;
use crate::maker::{Marks, told};
use crate::media::{self, FetchMedia, Wanted};
use crate::provider::{self, Encoded, Endpoint, Target};
use crate::secret::Secret;
use crate::sigv4::{By, Signing};
use crate::sse::Frame;
use crate::units::{Millis, Time, Tokens};
use crate::vendor::{Auth, ChatPath, EmbeddingWords, Vendor};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Method, Uri};
use std::borrow::Cow;

/// A call that has been sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) lane: Lane,
    pub(super) vendor: &'static Vendor,
    pub(super) model: String,
    pub(super) path: Path,
    /// Whether it was asked for usage in the client's stead.
    pub(super) usage: UsageAsk,
    pub(super) times: Times,
    /// What the provider's dialect could not carry.
    pub(super) lost: Vec<String>,
    /// What of its answer is marked as its own.
    pub(super) marks: Option<Marks>,
    resent: Resent,
}

/// Whether the request was sent again over a fresh connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resent {
    No,
    Yes,
}

/// How the two sides relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// One dialect: bytes pass.
    Pass,
    /// Two dialects: everything is decoded and rendered.
    Translate,
}

/// The clocks of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    limits: Timeouts,
    sent: Time,
    /// When the last piece of the body arrived.
    heard: Option<Time>,
    /// When the first content arrived.
    first_content: Option<Time>,
}

impl Times {
    fn new(limits: Timeouts, sent: Time) -> Self {
        Self { limits, sent, heard: None, first_content: None }
    }

    /// A piece of the body arrived.
    pub(super) fn heard(&mut self, now: Time) {
        self.heard = Some(now);
    }

    /// When the last piece arrived, or the call was sent.
    pub(super) fn last_heard(&self) -> Time {
        self.heard.unwrap_or(self.sent)
    }

    /// Content arrived.
    pub(super) fn content(&mut self, now: Time) {
        self.first_content.get_or_insert(now);
    }

    /// When the call has taken too long.
    pub(super) fn wake_at(&self) -> Time {
        let quiet = match self.heard {
            None => self.sent + self.limits.first_byte,
            Some(at) => at + self.limits.idle,
        };
        quiet.min(self.sent + self.limits.total)
    }

    /// Which of the clocks ran out.
    pub(super) fn fault(&self, now: Time) -> UpstreamFault {
        let Timeouts { first_byte, idle, total, .. } = self.limits;
        let what = if now >= self.sent + total {
            format!("the answer was not complete after {total}")
        } else if self.heard.is_some() {
            format!("nothing more came for {idle}")
        } else {
            format!("no answer began within {first_byte}")
        };
        UpstreamFault::new(UpstreamClass::Timeout, 0, what)
    }
}

impl Sent {
    /// Decides what to send. A fault here is the client's: what it asked cannot be put into the
    /// provider's words.
    pub(super) fn new(request: &mut Request, lane: Lane, now: Time) -> Result<(Self, Box<Fetch>), Fault> {
        let Built { fetch, vendor, model, path, usage, timeouts, lost } = build(request, lane)?;
        let (times, marks) = (Times::new(timeouts, now), request.marks(lane, vendor));
        let sent = Self { lane, vendor, model, path, usage, times, lost, marks, resent: Resent::No };
        Ok((sent, Box::new(fetch)))
    }

    /// The same call once more, the first time this is asked.
    pub(super) fn again(&mut self, request: &mut Request) -> Option<Box<Fetch>> {
        match std::mem::replace(&mut self.resent, Resent::Yes) {
            Resent::No => {
                let fetch = build(request, self.lane).ok()?.fetch;
                Some(Box::new(Fetch { reuse: Reuse::Forbidden, ..fetch }))
            }
            Resent::Yes => None,
        }
    }

    pub(super) fn wake_at(&self) -> Time {
        self.times.wake_at()
    }

    /// A passing frame with what only this account understands marked; nothing where it holds none of that.
    pub(super) fn marked(&self, frame: &Frame) -> Option<Bytes> {
        let marks = self.marks.as_ref().filter(|_| !frame.event().ends_with(b".delta"))?;
        marks.put(frame.raw(), frame.data())
    }

    /// A passing answer, likewise.
    pub(super) fn marked_whole(&self, body: Bytes) -> Bytes {
        self.marks.as_ref().and_then(|marks| marks.put(&body, &body)).unwrap_or(body)
    }

    pub(super) fn target(&self) -> Target<'_> {
        Target { vendor: self.vendor, model: &self.model }
    }

    pub(super) fn provider(&self) -> &'static dyn provider::Provider {
        provider::of(self.vendor.dialect)
    }

    /// Who understands a frame that nobody has asked for by its dialect: a provider may speak two.
    pub(super) fn provider_of(&self, frame: &Frame) -> &'static dyn provider::Provider {
        let responds = self.vendor.dialect == Dialect::OpenAi && frame.event().starts_with(b"response.");
        provider::of(if responds { Dialect::OpenAiResponses } else { self.vendor.dialect })
    }

    /// The provider has answered in its first dialect although it was spoken to in the other.
    pub(super) fn answered_in(&mut self, first: &'static Vendor) {
        self.vendor = first;
        self.path = Path::Translate;
    }

    /// Whether it went to the provider in a dialect that is not its first.
    pub(super) fn speaks_second(&self, provider: &Provider) -> bool {
        self.vendor.dialect != provider.dialect && provider.vendor.quirks.path != ChatPath::Vertex
    }

    /// From sending to the first content, now if there was none before.
    pub(super) fn first_byte(&self, now: Time) -> Millis {
        self.times.first_content.unwrap_or(now).since(self.times.sent)
    }

    /// What the fleet learns of a complete answer.
    pub(super) fn answered(&self, output: Option<Tokens>, now: Time) -> Outcome {
        Outcome::Answered { first_byte: self.first_byte(now), total: now.since(self.times.sent), output }
    }
}

/// What a lane makes of a request.
struct Built {
    fetch: Fetch,
    vendor: &'static Vendor,
    model: String,
    path: Path,
    usage: UsageAsk,
    timeouts: Timeouts,
    lost: Vec<String>,
}

fn build(request: &mut Request, lane: Lane) -> Result<Built, Fault> {
    let config = request.config.clone();
    let bug = || Fault::new(Code::Bug, "a chosen upstream is not in the config");
    let provider = config.provider(lane.provider).ok_or_else(bug)?;
    let model = request.target(lane).ok_or_else(bug)?.model.clone();
    let vendor = spoken(provider, request.surface.dialect(), &model);
    let target = Target { vendor, model: &model };
    if let Some((method, below, body)) = request.asks_raw()? {
        let endpoint = Endpoint { path: Cow::Owned(below), headers: HeaderMap::new() };
        let fetch = fetch(request, provider, lane, endpoint, body, Path::Pass)?;
        let (usage, timeouts, lost) = (UsageAsk::AsClient, provider.timeouts, Vec::new());
        let fetch = Fetch { method, ..fetch };
        return Ok(Built { fetch, vendor, model, path: Path::Pass, usage, timeouts, lost });
    }
    let same = match request.task() {
        Some(_) => provider::of(vendor.dialect).endpoint(&target, request.purpose()).is_some(),
        // Some are asked for vectors in words of their own.
        None => {
            let quirks = &vendor.quirks;
            let own = quirks.path == ChatPath::Vertex || quirks.embeddings != EmbeddingWords::OpenAi;
            let elsewhere = request.embeds() && own;
            vendor.dialect == request.surface.dialect() && !elsewhere
        }
    };
    let mended = request.asks_in_chat(lane, &target) || request.mends_calls(vendor);
    let path = if same && !mended { Path::Pass } else { Path::Translate };
    if path == Path::Translate && request.passes_unread() {
        let message = format!("{} has no such calls: ask for a model of another provider", vendor.title);
        return Err(Fault::new(Code::Unsupported, message).at("model"));
    }
    let (Encoded { endpoint, body, lost }, usage) = match path {
        Path::Pass => pass(request, &target, lane)?,
        Path::Translate => (translate(request, &target, lane)?, UsageAsk::AsClient),
    };
    let fetch = fetch(request, provider, lane, endpoint, body, path)?;
    Ok(Built { fetch, vendor, model, path, usage, timeouts: provider.timeouts, lost })
}

/// The row by which the vendor is spoken to: in the client's dialect if it can, else in its first, unless
/// the model is one that answers in the other only.
pub(super) fn spoken(provider: &Provider, client: Dialect, model: &str) -> &'static Vendor {
    if provider.vendor.quirks.path == ChatPath::Vertex {
        // There it is the model's maker who decides.
        return provider.vendor.also.filter(|_| model.starts_with("claude")).unwrap_or(provider.vendor);
    }
    let also = provider.vendor.also.filter(|_| provider.speaks_one.get().is_none());
    match also {
        Some(also) if also.dialect == client => also,
        Some(also) if provider::openai_responses::is_only_here(model) => also,
        Some(_) | None => provider.vendor,
    }
}

/// The client's own bytes, but for what the gateway has to change in them.
fn pass(request: &Request, target: &Target<'_>, lane: Lane) -> Result<(Encoded, UsageAsk), Fault> {
    let endpoint = provider::of(target.vendor.dialect).endpoint(target, request.purpose());
    let endpoint =
        endpoint.ok_or_else(|| Fault::new(Code::Bug, "a surface serves what its dialect has not"))?;
    let Spliced { body, usage, lost } = splice::splice(request, target, request.account(lane));
    Ok((carried(Encoded { endpoint, body, lost }, request.strictness, target)?, usage))
}

/// What has to be fetched before the request can be written for this lane.
pub(super) fn wanted(request: &mut Request, lane: Lane) -> Option<Wanted> {
    let reach = request.config.server.fetch_media;
    let names_any = || memchr::memmem::find(&request.body, b"http").is_some();
    if reach == FetchMedia::Off || !matches!(request.media, Gathered::Not) || !names_any() {
        return None;
    }
    let config = request.config.clone();
    let model = request.target(lane)?.model.clone();
    let vendor = spoken(config.provider(lane.provider)?, request.surface.dialect(), &model);
    if vendor.dialect == request.surface.dialect() || request.embeds() || request.passes_unread() {
        return None;
    }
    let target = Target { vendor, model: &model };
    let provider = provider::of(vendor.dialect);
    // What cannot be read is told when the request is written.
    request.call().ok()?;
    let urls = media::wanted(request.call.as_mut()?, |url| provider.fetches(url, &target));
    (!urls.is_empty()).then_some(Wanted { urls, reach })
}

fn translate(request: &mut Request, target: &Target<'_>, lane: Lane) -> Result<Encoded, Fault> {
    translated(request, target, lane).map_err(|mut fault| {
        if let (Gathered::Failed(why), Code::Unsupported) = (&request.media, fault.code) {
            fault.message = format!("{}; the gateway could not fetch it: {why}", fault.message);
        }
        fault
    })
}

fn translated(request: &mut Request, target: &Target<'_>, lane: Lane) -> Result<Encoded, Fault> {
    let (strictness, account) = (request.strictness, request.account(lane));
    let cap = request.output_cap.map(|cap| splice::known(cap, target));
    let encoded = if request.embeds() {
        provider::of(target.vendor.dialect).encode_embedding(request.embedding()?, target)?
    } else {
        let call = request.call()?;
        let told = if target.vendor.dialect == Dialect::OpenAiResponses { told(call, account) } else { None };
        let call = told.as_ref().unwrap_or(call);
        match cap.and_then(|cap| capped(call, cap)) {
            Some(call) => encode_capped(call, target)?,
            None => provider::encode(call, target)?,
        }
    };
    carried(encoded, strictness, target)
}

/// The same, unless something is lost and the client said that nothing may be.
fn carried(encoded: Encoded, strictness: Strictness, target: &Target<'_>) -> Result<Encoded, Fault> {
    match (strictness, encoded.lost.as_slice()) {
        (Strictness::Refuse, [first, ..]) => {
            let names = encoded.lost.join(", ");
            let message = format!("{} cannot carry: {names}", target.vendor.title);
            Err(Fault::new(Code::Unsupported, message).at(first.clone()))
        }
        (Strictness::Refuse, []) | (Strictness::Report, _) => Ok(encoded),
    }
}

/// The call with a lower cap, where its own is larger or absent.
fn capped(call: &Call, cap: Tokens) -> Option<Call> {
    if call.output.max_tokens.is_some_and(|asked| asked <= cap) {
        return None;
    }
    let mut call = call.clone();
    call.output.max_tokens = Some(cap);
    Some(call)
}

/// A thinking budget of Anthropic's must lie below the cap, and a cap that leaves it no room is raised
/// on encoding. The budget gives way instead, down to the least there can be; where even that does
/// not fit, the raised cap stays, and the stream is cut when what was paid is used up.
fn encode_capped(call: Call, target: &Target<'_>) -> Result<Encoded, Fault> {
    let encoded = provider::encode(&call, target)?;
    let (Dialect::Anthropic | Dialect::Bedrock, Some(cap), Some(reasoning)) =
        (target.vendor.dialect, call.output.max_tokens, call.reasoning)
    else {
        return Ok(encoded);
    };
    let room = Tokens(cap.get() / 2);
    if room < LEAST_THINKING || sent_cap(&encoded).is_none_or(|sent| sent <= cap) {
        return Ok(encoded);
    }
    let reasoning = Reasoning { effort: None, budget: Some(room), ..reasoning };
    provider::encode(&Call { reasoning: Some(reasoning), ..call }, target)
}

/// The smallest thinking budget that Anthropic takes.
const LEAST_THINKING: Tokens = Tokens(1024);

fn sent_cap(encoded: &Encoded) -> Option<Tokens> {
    let tape = Tape::parse(&encoded.body).ok()?;
    let root = tape.root();
    let inference = || root.get("inferenceConfig")?.get("maxTokens");
    root.get("max_tokens").or_else(inference)?.as_u64().map(Tokens)
}

pub(super) fn fetch(
    request: &Request,
    provider: &Provider,
    lane: Lane,
    endpoint: Endpoint,
    body: Bytes,
    path: Path,
) -> Result<Fetch, Fault> {
    let Endpoint { path: below, headers } = endpoint;
    let mut all = HeaderMap::with_capacity(8 + provider.headers.len());
    let json = || HeaderValue::from_static("application/json");
    let label = request.line.content_type.clone();
    let label =
        if request.is_raw() { label.filter(|_| !body.is_empty()) } else { Some(label.unwrap_or_else(json)) };
    all.extend(label.map(|label| (CONTENT_TYPE, label)));
    all.insert(ACCEPT, accept(request, path, provider.dialect));
    all.insert(USER_AGENT, HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))));
    all.extend(headers);
    if path == Path::Pass {
        // The client speaks the provider's dialect, so its version and beta headers are meant for it.
        all.extend(request.forward.clone());
    }
    let betas = if path == Path::Pass { betas(&request.forward, &provider.headers) } else { None };
    all.extend(provider.headers.clone());
    if let Some(betas) = betas {
        all.insert(BETAS, betas);
    }
    authenticate(provider, lane, &mut all)?;
    let key = provider.credentials.get(usize::from(lane.credential));
    let source = || key?.source.clone().map(By::Source);
    let by = key.and_then(|key| key.signer.clone()).map(By::Key).or_else(source);
    let signing = by.map(|by| Box::new(Signing::of(by, &body)));
    let (method, uri, reuse) = (Method::POST, uri(provider, below)?, Reuse::Allowed);
    Ok(Fetch { method, uri, headers: all, body, reuse, signing })
}

/// A list, of which each side may ask for some.
const BETAS: HeaderName = HeaderName::from_static("anthropic-beta");

/// The client's and the config's, each once, where both ask for some; else what is there goes as it is.
fn betas(client: &HeaderMap, ours: &HeaderMap) -> Option<HeaderValue> {
    if !client.contains_key(BETAS) || !ours.contains_key(BETAS) {
        return None;
    }
    let lines = client.get_all(BETAS).into_iter().chain(ours.get_all(BETAS));
    let words = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let mut all: Vec<&str> = Vec::new();
    for word in words.map(str::trim).filter(|word| !word.is_empty()) {
        if !all.contains(&word) {
            all.push(word);
        }
    }
    HeaderValue::from_str(&all.join(",")).ok()
}

/// The form in which an upstream streams unless its dialect has several and it is asked for another.
pub(super) fn streams_as(dialect: Dialect) -> Framing {
    match dialect {
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Anthropic
        | Dialect::Gemini
        | Dialect::Cohere => Framing::Events,
        Dialect::Bedrock => Framing::EventStream,
        Dialect::Ollama => Framing::Lines,
    }
}

fn accept(request: &Request, path: Path, dialect: Dialect) -> HeaderValue {
    match (request.envelope.delivery, path) {
        _ if request.passes_unread() => HeaderValue::from_static("*/*"),
        (Delivery::Whole, _) => HeaderValue::from_static("application/json"),
        (Delivery::Stream(_), Path::Pass) => HeaderValue::from_static(request.line.framing.content_type()),
        (Delivery::Stream(_), Path::Translate) => {
            HeaderValue::from_static(streams_as(dialect).content_type())
        }
    }
}

/// A fixed path leads to the same address every time, which is built once.
fn uri(provider: &Provider, below: Cow<'static, str>) -> Result<Uri, Fault> {
    let Cow::Borrowed(fixed) = below else { return build_uri(provider, &below) };
    match provider.fixed_uri.get() {
        // One path may be the end of another.
        Some(uri) if uri.path().strip_suffix(fixed) == Some(base_path(provider)) => Ok(uri.clone()),
        Some(_) => build_uri(provider, fixed),
        None => {
            let uri = build_uri(provider, fixed)?;
            Ok(provider.fixed_uri.get_or_init(|| uri).clone())
        }
    }
}

fn base_path(provider: &Provider) -> &str {
    provider.base_url.path().trim_end_matches('/')
}

/// Only the path is new: scheme and authority are shared with the base URL.
fn build_uri(provider: &Provider, below: &str) -> Result<Uri, Fault> {
    let base = base_path(provider);
    let query = provider.query.as_deref().unwrap_or_default();
    let mut path = String::with_capacity(base.len() + below.len() + query.len() + 1);
    path.push_str(base);
    path.push_str(below);
    if !query.is_empty() {
        path.push(if below.contains('?') { '&' } else { '?' });
        path.push_str(query);
    }
    let mut parts = provider.base_url.clone().into_parts();
    let unfit = |_| Fault::new(Code::Bug, "the upstream's address cannot be built from its base URL");
    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(Bytes::from(path)).map_err(unfit)?);
    Uri::from_parts(parts)
        .map_err(|_| Fault::new(Code::Bug, "the upstream's address cannot be built from its base URL"))
}

fn authenticate(provider: &Provider, lane: Lane, headers: &mut HeaderMap) -> Result<(), Fault> {
    let credential = provider.credentials.get(usize::from(lane.credential));
    let Some((credential, secret)) = credential.and_then(|found| Some((found, found.secret.as_ref()?)))
    else {
        return Ok(());
    };
    let name = match (&provider.key_header, provider.vendor.auth) {
        (Some((name, _)), _) => name.clone(),
        (None, Auth::Header(name)) => HeaderName::from_static(name),
        (None, Auth::Bearer | Auth::Token | Auth::Aws | Auth::Optional) => AUTHORIZATION,
    };
    let value = match credential.header.get() {
        Some(value) => value.clone(),
        None => {
            let value = key_header(provider, secret)?;
            credential.header.get_or_init(|| value).clone()
        }
    };
    headers.insert(name, value);
    Ok(())
}

fn key_header(provider: &Provider, secret: &Secret) -> Result<HeaderValue, Fault> {
    let word = match (&provider.key_header, provider.vendor.auth) {
        (Some((_, word)), _) => word.as_str(),
        (None, Auth::Header(_)) => "",
        (None, Auth::Token) => "Token ",
        (None, Auth::Bearer | Auth::Aws | Auth::Optional) => "Bearer ",
    };
    let value = HeaderValue::from_str(&[word, secret.expose()].concat());
    let mut value = value.map_err(|_| {
        let message = format!("a key of provider {} holds characters a header cannot carry", provider.name);
        Fault::new(Code::Bug, message)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
