//! From a request's method and path to what is served there.
//!
//! Everything that is served is one line of [`PLACES`], or of [`routes::ROUTES`] for the admin API;
//! documentation and tests are made from them. Each place but the operational ones is also found under
//! every mount of [`MOUNTS`], with and without its version, so that a client of another gateway or of a
//! provider only changes its host. The admin API is found at its own paths only.

mod path;
#[cfg(test)]
mod tests;

use crate::api::routes::{self, Arrival};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use crate::surface::SurfaceId;
use crate::transcript::Ask;
use http::Method;
use path::Pattern;
pub(crate) use path::normal;
use std::borrow::Cow;

/// A place where something is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The method it takes.
    pub method: Verb,
    /// Its path. `{model}` or `{id}` stands for one or more segments, so that model names may contain
    /// slashes; there is at most one.
    pub path: &'static str,
    /// What is served there.
    pub serves: Serves,
}

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `GET`, and `HEAD` with it.
    Get,
    /// `POST`.
    Post,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
}

/// What a place serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    /// A surface.
    Surface(SurfaceId),
    /// Model lists, and with `{model}` one model.
    Models(Shape),
    /// A response that is kept; its id stands for `{model}`.
    Transcript(Ask),
    /// Whether the process lives.
    Health,
    /// Whether it can take requests.
    Ready,
    /// Metrics in Prometheus' text form.
    Metrics,
}

/// Whose shape a model list takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The request's headers tell; see [`crate::models::shape`].
    Asked,
    /// The path tells.
    Of(Dialect),
}

/// Everything that is served, in the order in which it is looked for.
pub const PLACES: &[Place] = &[
    post("/v1/chat/completions", SurfaceId::OpenAiChat),
    post("/openai/deployments/{model}/chat/completions", SurfaceId::OpenAiChat),
    post("/v1/completions", SurfaceId::OpenAiCompletions),
    post("/openai/deployments/{model}/completions", SurfaceId::OpenAiCompletions),
    post("/v1/responses", SurfaceId::OpenAiResponses),
    get("/v1/responses/{model}/input_items", Serves::Transcript(Ask::Items)),
    get("/v1/responses/{model}", Serves::Transcript(Ask::Response)),
    Place { method: Verb::Delete, path: "/v1/responses/{model}", serves: Serves::Transcript(Ask::Forget) },
    post("/v1/messages", SurfaceId::AnthropicMessages),
    post("/v1/messages/count_tokens", SurfaceId::AnthropicCount),
    post("/v1beta/models/{model}:generateContent", SurfaceId::GeminiGenerate),
    post("/v1beta/models/{model}:streamGenerateContent", SurfaceId::GeminiStream),
    post("/v1beta/models/{model}:countTokens", SurfaceId::GeminiCount),
    post("/v1beta/models/{model}:embedContent", SurfaceId::GeminiEmbed),
    post("/v1beta/models/{model}:batchEmbedContents", SurfaceId::GeminiEmbedBatch),
    post("/v1/embeddings", SurfaceId::OpenAiEmbeddings),
    post("/openai/deployments/{model}/embeddings", SurfaceId::OpenAiEmbeddings),
    post("/v1/moderations", SurfaceId::OpenAiModerations),
    post("/v1/rerank", SurfaceId::Rerank),
    post("/v2/rerank", SurfaceId::Rerank),
    post("/v1/images/generations", SurfaceId::OpenAiImages),
    post("/openai/deployments/{model}/images/generations", SurfaceId::OpenAiImages),
    post("/v1/images/edits", SurfaceId::OpenAiImageEdits),
    post("/openai/deployments/{model}/images/edits", SurfaceId::OpenAiImageEdits),
    post("/v1/images/variations", SurfaceId::OpenAiImageVariations),
    post("/v1/audio/speech", SurfaceId::OpenAiSpeech),
    post("/openai/deployments/{model}/audio/speech", SurfaceId::OpenAiSpeech),
    post("/v1/audio/transcriptions", SurfaceId::OpenAiTranscriptions),
    post("/openai/deployments/{model}/audio/transcriptions", SurfaceId::OpenAiTranscriptions),
    post("/v1/audio/translations", SurfaceId::OpenAiTranslations),
    post("/openai/deployments/{model}/audio/translations", SurfaceId::OpenAiTranslations),
    post("/v1/files", SurfaceId::OpenAiUpload),
    get("/v1/files", Serves::Surface(SurfaceId::OpenAiFiles)),
    get("/v1/files/{id}/content", Serves::Surface(SurfaceId::OpenAiFiles)),
    get("/v1/files/{id}", Serves::Surface(SurfaceId::OpenAiFiles)),
    delete("/v1/files/{id}", SurfaceId::OpenAiFiles),
    post("/v1/batches", SurfaceId::OpenAiBatch),
    get("/v1/batches", Serves::Surface(SurfaceId::OpenAiFiles)),
    get("/v1/batches/{id}", Serves::Surface(SurfaceId::OpenAiFiles)),
    post("/v1/batches/{id}/cancel", SurfaceId::OpenAiFiles),
    post("/model/{model}/converse", SurfaceId::BedrockConverse),
    post("/model/{model}/converse-stream", SurfaceId::BedrockConverseStream),
    post("/model/{model}/invoke", SurfaceId::BedrockInvoke),
    post("/model/{model}/invoke-with-response-stream", SurfaceId::BedrockInvokeStream),
    get("/v1/realtime", Serves::Surface(SurfaceId::OpenAiRealtime)),
    get("/v1/models", Serves::Models(Shape::Asked)),
    get("/v1/models/{model}", Serves::Models(Shape::Asked)),
    get("/v1beta/models", Serves::Models(Shape::Of(Dialect::Gemini))),
    get("/v1beta/models/{model}", Serves::Models(Shape::Of(Dialect::Gemini))),
    get("/healthz", Serves::Health),
    get("/readyz", Serves::Ready),
    get("/metrics", Serves::Metrics),
];

/// A prefix under which every place is found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Without a trailing slash.
    pub prefix: &'static str,
    /// Whose clients come here; decides the shape of model lists.
    pub shape: Shape,
}

/// All mounts; each place is served without one, too.
pub const MOUNTS: &[Mount] = &[
    Mount { prefix: "/openai", shape: Shape::Of(Dialect::OpenAi) },
    Mount { prefix: "/anthropic", shape: Shape::Of(Dialect::Anthropic) },
    Mount { prefix: "/genai", shape: Shape::Of(Dialect::Gemini) },
    Mount { prefix: "/bedrock", shape: Shape::Of(Dialect::Bedrock) },
    Mount { prefix: "/litellm", shape: Shape::Asked },
    Mount { prefix: "/langchain", shape: Shape::Asked },
];

/// Versions a path may leave out, longest first.
const VERSIONS: [&str; 2] = ["/v1beta", "/v1"];

/// Versions of Google's, longest first: what is served under one is served under the others.
const GOOGLES: [&str; 3] = ["/v1beta1", "/v1beta", "/v1"];

/// What stands between the version and the models on Vertex, after a project and a place or without.
const PUBLISHERS: &str = "/publishers/";

/// What a request has come for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mounted {
    /// A surface.
    Surface {
        /// Which.
        id: SurfaceId,
        /// The model, where the path names it (an Azure deployment).
        model: Option<String>,
    },
    /// A model list, or one model.
    Models {
        /// Whose shape.
        shape: Shape,
        /// The one model asked for.
        id: Option<String>,
    },
    /// A response that is kept.
    Transcript {
        /// What of it.
        ask: Ask,
        /// Its id.
        id: String,
    },
    /// Whether the process lives.
    Health,
    /// Whether it can take requests.
    Ready,
    /// Metrics in Prometheus' text form.
    Metrics,
    /// The admin API.
    Admin(Arrival),
}

const fn post(path: &'static str, surface: SurfaceId) -> Place {
    Place { method: Verb::Post, path, serves: Serves::Surface(surface) }
}

const fn delete(path: &'static str, surface: SurfaceId) -> Place {
    Place { method: Verb::Delete, path, serves: Serves::Surface(surface) }
}

const fn get(path: &'static str, serves: Serves) -> Place {
    Place { method: Verb::Get, path, serves }
}

impl Verb {
    /// Every method.
    pub const ALL: [Self; 4] = [Self::Get, Self::Post, Self::Patch, Self::Delete];

    /// What comes with it in an `allow` header.
    const fn allowed(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post | Self::Patch | Self::Delete => self.name(),
        }
    }

    /// As it is written in a request.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    fn takes(self, method: &Method) -> bool {
        match self {
            Self::Get => matches!(*method, Method::GET | Method::HEAD),
            Self::Post => *method == Method::POST,
            Self::Patch => *method == Method::PATCH,
            Self::Delete => *method == Method::DELETE,
        }
    }
}

impl Serves {
    /// Operational places are not found under mounts: a probe knows whom it asks.
    const fn is_mounted(self) -> bool {
        match self {
            Self::Surface(_) | Self::Models(_) | Self::Transcript(_) => true,
            Self::Health | Self::Ready | Self::Metrics => false,
        }
    }
}

/// What is served at this path of a request target (its query, if any, is left aside).
///
/// Percent escapes are decoded once, slashes that follow each other count as one and a last one not
/// at all; a path with dot segments is refused rather than resolved, since proxies in front of the
/// gateway may resolve it differently. Fails with `no_route`, naming the closest path that is served,
/// or with `wrong_method`, naming the right one.
pub fn find(method: &Method, target: &str) -> Result<Mounted, Fault> {
    locate(method, target).map(|located| located.mounted)
}

/// What a request has come for, and the place where that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// What it has come for.
    pub mounted: Mounted,
    /// Where: the path of one of [`PLACES`] or [`routes::ROUTES`], whatever mount, escapes or slashes
    /// led there. Rights go by this, so that they are those of what is served and not of how it was
    /// spelt.
    pub path: &'static str,
}

/// The same as [`find`], with the place.
pub fn locate(method: &Method, target: &str) -> Result<Located, Fault> {
    let path = path::normal(target)?;
    let mut other_method = None;
    for (place, shape, model) in places_at(&path) {
        if place.method.takes(method) {
            return Ok(Located { mounted: mounted(place, shape, model), path: place.path });
        }
        other_method.get_or_insert(place.method);
    }
    for arrival in routes::at(&path) {
        if arrival.route.method.takes(method) {
            return Ok(Located { path: arrival.route.path, mounted: Mounted::Admin(arrival) });
        }
        other_method.get_or_insert(arrival.route.method);
    }
    Err(match other_method {
        Some(verb) => wrong_method(method, verb),
        None => path::no_route(&path),
    })
}

/// The surface below a prefix that is none of [`MOUNTS`], with the model of a path in normal form and the
/// place.
pub(crate) fn surface_at(method: &Method, rest: &str) -> Option<(SurfaceId, Option<String>, &'static str)> {
    PLACES.iter().filter(|place| place.method.takes(method)).find_map(|place| {
        let Serves::Surface(id) = place.serves else { return None };
        Some((id, hole(place, rest)?.map(Cow::into_owned), place.path))
    })
}

/// The surface that is served at a path, with whatever method.
pub fn surface(target: &str) -> Option<SurfaceId> {
    let path = path::normal(target).ok()?;
    places_at(&path).find_map(|(place, ..)| {
        let Serves::Surface(id) = place.serves else { return None };
        Some(id)
    })
}

/// Whose clients come to a path, as far as it tells: by its mount, or as only one dialect's paths are
/// written.
pub fn shape(target: &str) -> Shape {
    // One that is refused as it is written still says where it was to lead.
    let path = path::normal(target).unwrap_or(Cow::Borrowed(target));
    let below =
        |prefix: &str| path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let mount = MOUNTS.iter().find_map(|mount| Some((mount.shape, below(mount.prefix)?)));
    match mount.unwrap_or((Shape::Asked, &path)) {
        (Shape::Asked, rest) => written(rest).map_or(Shape::Asked, Shape::Of),
        (shape @ Shape::Of(_), _) => shape,
    }
}

/// Whose paths alone are written like this one.
fn written(path: &str) -> Option<Dialect> {
    let verb = || path.rsplit('/').next().is_some_and(|last| last.contains(':'));
    match path {
        _ if path.starts_with("/v1beta") || verb() => Some(Dialect::Gemini),
        _ if path.starts_with("/model/") => Some(Dialect::Bedrock),
        _ if path.strip_prefix("/v1").unwrap_or(path).starts_with("/messages/") => Some(Dialect::Anthropic),
        _ => None,
    }
}

/// The methods a path takes, as the `allow` header of a 405 lists them.
pub fn allow(target: &str) -> String {
    let path = path::normal(target).unwrap_or_default();
    let served = places_at(&path).map(|(place, ..)| place.method);
    let served: Vec<Verb> = served.chain(routes::at(&path).map(|arrival| arrival.route.method)).collect();
    let names = Verb::ALL.into_iter().filter(|verb| served.contains(verb)).map(Verb::allowed);
    names.collect::<Vec<_>>().join(", ")
}

/// Every place this path could mean, best first.
fn places_at(path: &str) -> impl Iterator<Item = (&'static Place, Shape, Option<Cow<'_, str>>)> {
    let direct = PLACES.iter().filter_map(move |place| {
        let model = hole(place, path)?;
        Some((place, Shape::Asked, model))
    });
    let below = MOUNTS.iter().find_map(|mount| {
        let rest = path.strip_prefix(mount.prefix)?;
        rest.starts_with('/').then_some((mount, rest))
    });
    let mounted = below.into_iter().flat_map(|(mount, rest)| {
        PLACES.iter().filter(|place| place.serves.is_mounted()).filter_map(move |place| {
            let model = hole(place, rest)?;
            Some((place, mount.shape, model))
        })
    });
    direct.chain(mounted)
}

/// Matches a path against a place, with or without the place's version, or with another of Google's:
/// `Some` if it fits, with what stands for `{model}`.
fn hole<'p>(place: &Place, path: &'p str) -> Option<Option<Cow<'p, str>>> {
    if matches!(place.serves, Serves::Models(_)) && has_verb(path) {
        return None;
    }
    let unversioned = || {
        let version = VERSIONS.iter().find_map(|version| place.path.strip_prefix(version));
        version.filter(|rest| rest.starts_with('/') && place.serves.is_mounted())
    };
    let exact = Pattern(place.path).fit(path);
    let fits = exact
        .or_else(|| Pattern(unversioned()?).fit(path))
        .or_else(|| Pattern(googles(place)?).fit(resource(path)?));
    fits.map(|model| model.map(Cow::Borrowed)).or_else(|| Some(Some(Cow::Owned(published(place, path)?))))
}

/// Whether a path ends in what may be asked of one of Google's models: no model is called so.
fn has_verb(path: &str) -> bool {
    PLACES
        .iter()
        .filter_map(|place| place.path.split_once('}'))
        .any(|(_, verb)| verb.starts_with(':') && path.ends_with(verb))
}

/// A place of Google's, without its version.
fn googles(place: &Place) -> Option<&'static str> {
    place.path.strip_prefix("/v1beta").filter(|rest| rest.starts_with('/'))
}

/// What stands behind one of Google's versions, without the project and the publisher that Vertex
/// puts before a model.
fn resource(path: &str) -> Option<&str> {
    let rest = versioned(path)?;
    match of_vertex(rest) {
        true => publisher(rest)?.strip_prefix("google").filter(|rest| rest.starts_with("/models/")),
        false => rest.starts_with('/').then_some(rest),
    }
}

/// `{provider}/{model}` as Google's clients put it on Vertex, where a model's maker is its publisher.
fn published(place: &Place, path: &str) -> Option<String> {
    let verb = googles(place)?.strip_prefix("/models/{model}").filter(|verb| verb.starts_with(':'))?;
    let rest = versioned(path).filter(|rest| of_vertex(rest))?;
    let (provider, model) = publisher(rest)?.strip_suffix(verb)?.split_once("/models/")?;
    let named = provider != "google" && !provider.contains('/') && !model.is_empty();
    named.then(|| format!("{provider}/{model}"))
}

fn versioned(path: &str) -> Option<&str> {
    GOOGLES.iter().find_map(|version| path.strip_prefix(version))
}

fn of_vertex(rest: &str) -> bool {
    rest.starts_with("/projects/") || rest.starts_with(PUBLISHERS)
}

/// What begins with a publisher's name.
fn publisher(rest: &str) -> Option<&str> {
    rest.get(rest.find(PUBLISHERS)? + PUBLISHERS.len()..)
}

fn mounted(place: &Place, mount: Shape, model: Option<Cow<'_, str>>) -> Mounted {
    let model = model.map(Cow::into_owned);
    match place.serves {
        Serves::Surface(id) => Mounted::Surface { id, model },
        Serves::Models(Shape::Asked) => Mounted::Models { shape: mount, id: model },
        Serves::Models(shape @ Shape::Of(_)) => Mounted::Models { shape, id: model },
        Serves::Transcript(ask) => Mounted::Transcript { ask, id: model.unwrap_or_default() },
        Serves::Health => Mounted::Health,
        Serves::Ready => Mounted::Ready,
        Serves::Metrics => Mounted::Metrics,
    }
}

fn wrong_method(method: &Method, verb: Verb) -> Fault {
    let found: Cow<'_, str> = path::shown(method.as_str());
    Fault::new(Code::WrongMethod, format!("this path takes {}, not {found}", verb.name()))
}
