//! What an exchange knows of its request from the beginning to the end.

use super::RequestId;
use super::raw::Batch;
use crate::admit::{Admitted, Strictness};
use crate::cache::{CacheUse, Wish};
use crate::call::{Call, Delivery, Operation, Task, UsageChunk};
use crate::config::{self, After, Config, Route, RouteTarget};
use crate::count::Gauge;
use crate::directory::Caller;
use crate::embedding::{EmbeddingCall, Embeddings};
use crate::fault::{Fault, UpstreamClass};
use crate::fleet::Lane;
use crate::guard::Guard;
use crate::ledger::Standing;
use crate::maker::Pin;
use crate::price::Terms;
use crate::provider::openai::is_only_for_chat;
use crate::provider::{Purpose, Target};
use crate::surface::{Answers, Asked, Client, Conversation, Envelope, RequestLine, Surface};
use crate::units::{Millis, Time, Tokens};
use crate::vendor::Vendor;
use bytes::Bytes;
use http::HeaderMap;
use std::fmt;
use std::sync::Arc;

/// What an exchange knows of its request.
pub(super) struct Request {
    pub(super) config: Arc<Config>,
    pub(super) surface: &'static dyn Surface,
    pub(super) line: RequestLine,
    pub(super) id: RequestId,
    pub(super) at: Time,
    pub(super) deadline: Time,
    pub(super) route: Arc<Route>,
    pub(super) strictness: Strictness,
    pub(super) caller: Option<Arc<Caller>>,
    pub(super) gauge: Arc<Gauge>,
    /// The end user the client names.
    pub(super) end_user: Option<String>,
    /// Tags of the client's own, for attribution.
    pub(super) client_tags: Vec<String>,
    /// For the answer's headers.
    pub(super) standing: Standing,
    /// What the client says of the cache.
    pub(super) wish: Wish,
    /// What the cache is to it, for the answer's headers.
    pub(super) cache: CacheUse,
    /// The most output to ask of an upstream for each answer, over what the client asks.
    pub(super) output_cap: Option<Tokens>,
    pub(super) body: Bytes,
    pub(super) envelope: Envelope,
    /// Headers of the client's that its own dialect's upstreams are to see.
    pub(super) forward: HeaderMap,
    /// The account that has made something it holds.
    pub(super) pin: Option<Pin>,
    /// The upstream that has said of its model that it is one for chat.
    pub(super) in_chat: Option<Lane>,
    /// The canonical call, once an upstream of another dialect has needed it.
    pub(super) call: Option<Box<Call>>,
    /// Whether pictures and files that it names by address were asked for, and why one did not come.
    pub(super) media: Gathered,
    /// The same of a request for vectors.
    pub(super) embedding: Option<Box<EmbeddingCall>>,
    /// The batch it makes, where it makes one.
    pub(super) batch: Option<Batch>,
    /// What holds for it.
    pub(super) guard: Option<Arc<Guard>>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("id", &self.id)
            .field("surface", &self.surface.name())
            .field("route", &self.route.name)
            .field("body", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Request {
    /// Reads the envelope and finds the route. On a fault the request is good for nothing but being
    /// refused.
    pub(super) fn new(admitted: Admitted, body: Bytes) -> (Self, Option<Fault>) {
        let Admitted { config, surface, line, caller, .. } = &admitted;
        let found = surface.envelope(&body, line).and_then(|envelope| {
            let (caller, model) = (caller.as_deref(), &envelope.model);
            if let Some(raw) = line.raw.as_deref() {
                return super::raw::find(config, raw, envelope, surface.is_batch(), caller);
            }
            let pinned = line.provider.and_then(|id| config.provider(id)).map(|provider| &*provider.name);
            let named = pinned.filter(|name| config.provider_of_name(model) != Some(name));
            let named = named.map(|name| format!("{name}/{model}"));
            let route = config.route_for(named.as_ref().unwrap_or(model), &envelope.fallbacks, caller)?;
            Ok(Found { envelope, route })
        });
        match found {
            Ok(found) => (Self::of(admitted, body, found), None),
            Err(fault) => (Self::of(admitted, body, Found::nothing()), Some(fault)),
        }
    }

    /// A request without a body, good for nothing but being refused.
    pub(super) fn unread(admitted: Admitted) -> Self {
        Self::of(admitted, Bytes::new(), Found::nothing())
    }

    fn of(admitted: Admitted, body: Bytes, found: Found) -> Self {
        let Found { envelope, route } = found;
        let Admitted {
            config,
            surface,
            line,
            id,
            at,
            caller,
            gauge,
            strictness,
            forward,
            end_user,
            client_tags,
            wish,
        } = admitted;
        let deadline = at + route.deadline;
        let pin = super::made::pin(&config, surface, &envelope, &body);
        let mut request = Self {
            pin,
            config,
            surface,
            line,
            id,
            at,
            deadline,
            route,
            strictness,
            caller,
            gauge,
            // What a header or a token says wins over the body, which the client's own user writes.
            end_user: end_user.or_else(|| envelope.end_user.clone()),
            client_tags,
            standing: Standing::default(),
            wish,
            cache: CacheUse::Off,
            output_cap: None,
            body,
            envelope,
            forward,
            in_chat: None,
            call: None,
            media: Gathered::default(),
            embedding: None,
            batch: surface.is_batch().then_some(Batch::Unseen),
            guard: None,
        };
        request.guard = request.find_guard();
        request
    }

    /// The conversation, where there is a choice to make.
    pub(super) fn conversation(&self) -> Option<Conversation> {
        self.envelope.conversation
    }

    pub(super) fn wants_stream(&self) -> bool {
        matches!(self.envelope.delivery, Delivery::Stream(_))
    }

    pub(super) fn target(&self, lane: Lane) -> Option<&RouteTarget> {
        let at = usize::from(lane.target);
        let Route { targets, fallbacks, .. } = &*self.route;
        targets.get(at).or_else(|| fallbacks.get(at.saturating_sub(targets.len())))
    }

    /// Whether the route names other models for exactly this class of fault.
    pub(super) fn has_others_for(&self, class: UpstreamClass) -> bool {
        After::class(class).is_some_and(|after| self.route.fallbacks.iter().any(|other| other.after == after))
    }

    pub(super) fn provider_name(&self, lane: Lane) -> &str {
        self.config.provider(lane.provider).map_or("", |provider| &provider.name)
    }

    pub(super) fn terms(&self, lane: Lane) -> Terms {
        self.config.provider(lane.provider).map(|provider| provider.terms).unwrap_or_default()
    }

    /// Whether tokens sent to the upstream are limited.
    pub(super) fn limits_tokens(&self, lane: Lane) -> bool {
        let provider = self.config.provider(lane.provider);
        let key = provider.and_then(|provider| provider.credentials.get(usize::from(lane.credential)));
        let target = self.target(lane).map(|target| target.limits);
        [target, key.map(|key| key.limits)].iter().flatten().any(|limits| limits.tpm.is_some())
    }

    pub(super) fn credential_name(&self, lane: Lane) -> &str {
        let provider = self.config.provider(lane.provider);
        let credential = provider.and_then(|provider| provider.credentials.get(usize::from(lane.credential)));
        credential.map_or("", |credential| &credential.name)
    }

    /// What a request of the client's own dialect is for.
    pub(super) fn purpose(&self) -> Purpose {
        let operation = self.surface.operation();
        Purpose { operation, delivery: self.envelope.delivery, framing: self.line.framing }
    }

    /// What a renderer needs to know.
    pub(super) fn asked(&self) -> Asked {
        let usage = match self.envelope.delivery {
            Delivery::Stream(usage) => usage,
            Delivery::Whole => UsageChunk::Wanted,
        };
        Asked {
            model: self.envelope.model.clone(),
            request_id: self.id.to_string(),
            now_secs: self.at.unix_secs(),
            usage,
            framing: self.line.framing,
            body: self.body.clone(),
            client: self.line.client,
        }
    }

    /// Whether streamed calls have to be made whole, which this upstream's are not.
    pub(super) fn mends_calls(&self, vendor: &Vendor) -> bool {
        self.line.client == Client::Mistral
            && vendor.name != "mistral"
            && self.wants_stream()
            && self.surface.operation() == Operation::Chat
            && memchr::memmem::find(&self.body, b"\"tools\"").is_some()
    }

    /// Whether it is about a plain text and this upstream has to be asked in chat.
    pub(super) fn asks_in_chat(&self, lane: Lane, target: &Target<'_>) -> bool {
        let refuses = || self.config.provider(lane.provider).is_some_and(|one| one.only_chat.get().is_some());
        self.surface.operation() == Operation::Complete
            && (self.in_chat == Some(lane) || is_only_for_chat(target) || refuses())
    }

    /// The task, where it is for one.
    pub(super) fn task(&self) -> Option<Task> {
        match self.surface.operation() {
            Operation::Task(task) => Some(task),
            Operation::Chat
            | Operation::Invoke
            | Operation::Count
            | Operation::Embed
            | Operation::EmbedBatch
            | Operation::Complete => None,
        }
    }

    /// Whether it asks for vectors.
    pub(super) fn embeds(&self) -> bool {
        matches!(self.surface.operation(), Operation::Embed | Operation::EmbedBatch)
    }

    /// Whether answers pass unread.
    pub(super) fn passes_unread(&self) -> bool {
        self.surface.answers() != Answers::Dialect
    }

    /// The canonical call for vectors. Parsed on first use.
    pub(super) fn embedding(&mut self) -> Result<&EmbeddingCall, Fault> {
        let call = match self.embedding.take() {
            Some(call) => call,
            None => Box::new(self.surface.parse_embedding(&self.body, &self.line)?),
        };
        Ok(self.embedding.insert(call))
    }

    /// The vectors as the client is shown them; `None` where it never asked for any.
    pub(super) fn shown(&self, embeddings: &Embeddings) -> Option<Bytes> {
        let call = self.embedding.as_deref()?;
        Some(self.surface.render_embeddings(embeddings, call, &self.asked()))
    }

    /// The canonical call. Parsed on first use: a pass-through never needs it.
    pub(super) fn call(&mut self) -> Result<&Call, Fault> {
        let call = match self.call.take() {
            Some(call) => call,
            None => Box::new(self.surface.parse(&self.body, &self.line)?),
        };
        Ok(self.call.insert(call))
    }
}

/// What became of pictures and files that a request names by address.
#[derive(Default)]
pub(super) enum Gathered {
    /// They were not asked for.
    #[default]
    Not,
    /// They were, and all are there.
    All,
    /// They were, and one is not there for this reason.
    Failed(String),
}

/// What a request was read as, and where it leads.
pub(super) struct Found {
    pub(super) envelope: Envelope,
    pub(super) route: Arc<Route>,
}

impl Found {
    /// What stands in for a request that could not be read.
    fn nothing() -> Self {
        let envelope = Envelope::bare(String::new());
        let route = Route {
            name: String::new(),
            strategy: config::Strategy::Ordered,
            targets: Vec::new(),
            fallbacks: Vec::new(),
            attempts: 1,
            deadline: Millis::from_secs(60),
            cache: None,
            account: config::Account::Any,
        };
        Self { envelope, route: Arc::new(route) }
    }
}
