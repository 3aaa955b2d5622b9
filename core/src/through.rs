//! Paths of providers that no surface serves: they pass as they are, governed like any other.
//!
//! ```text
//! /{provider}/v1/audio/speech ─▶ is it a place, below the provider's name? ─▶ its surface, for that provider
//!                             └▶ else ─▶ base URL + rest, with the provider's own key
//! ```
//! `{provider}` is the name of a configured provider; below `/openai`, `/anthropic`, `/genai` and
//! `/bedrock` it may also be the first of that vendor. Host and scheme are the base URL's whatever the
//! client says, and the path is written from the one that was parsed, so that rights are those of what
//! is sent.

use crate::config::{Config, Provider, ProviderId};
use crate::mount;
use crate::surface::{Costs, Raw, SurfaceId};
use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use http::{Method, Uri};

/// What a path below a provider's name leads to.
#[derive(Debug)]
pub enum Through {
    /// A surface, for the models of this provider.
    Surface {
        /// Which.
        id: SurfaceId,
        /// The model, where the path names it.
        model: Option<String>,
        /// The place, for the key's rights.
        path: &'static str,
        /// Its provider.
        provider: ProviderId,
    },
    /// The provider itself.
    Raw {
        /// What is sent there.
        raw: Raw,
        /// Whose it is.
        provider: ProviderId,
        /// `/{provider}/…` as far as it is sent: what a key's rights go by.
        path: String,
    },
}

/// What is reached at this path of a request target, where no place is.
pub fn find(method: &Method, uri: &Uri, config: &Config) -> Option<Through> {
    let normal = mount::normal(uri.path()).ok()?;
    let (name, rest) = normal.strip_prefix('/')?.split_once('/')?;
    let (id, provider) = reached(name, config)?;
    let rest = format!("/{rest}");
    if let Some((surface, model, path)) = mount::surface_at(method, &rest) {
        return Some(Through::Surface { id: surface, model, path, provider: id });
    }
    let base = provider.base_url.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let first = rest.split('/').nth(1).unwrap_or_default();
    // Bases end in their dialect's version, which clients write too.
    let below = if !base.is_empty() && first == base { rest.get(1 + base.len()..)? } else { &rest };
    let raw = Raw {
        method: method.clone(),
        below: with_query(written(below), uri.query()),
        model: model_in(method, below),
        costs: costs(method, below),
        provider: Some(provider.name.clone()),
    };
    let path = format!("/{}{below}", provider.name);
    Some(Through::Raw { raw, provider: id, path })
}

/// What is sent for a request to one of the places of files and batches.
pub fn placed(head: &Parts, place: &str, id: Option<String>, provider: Option<String>) -> Raw {
    let below = place.strip_prefix("/v1").unwrap_or(place);
    let below = match (below.split_once('{'), id) {
        (Some((before, rest)), Some(id)) => {
            let after = rest.split_once('}').map_or("", |(_, after)| after);
            format!("{before}{}{after}", segment(&id))
        }
        (_, _) => below.to_owned(),
    };
    let below = with_query(below, head.uri.query());
    Raw { method: head.method.clone(), below, model: None, costs: Costs::Nothing, provider }
}

/// The provider a request chooses: by a header, by its query, or by the mount it came to.
pub fn chosen(head: &Parts, config: &Config) -> Option<String> {
    let header = head.headers.get("x-tollgate-provider").and_then(|value| value.to_str().ok());
    let query = || head.uri.query()?.split('&').find_map(|pair| pair.strip_prefix("provider="));
    let mount = || {
        let below = head.uri.path().starts_with("/openai/");
        below.then(|| reached("openai", config)).flatten().map(|(_, provider)| provider.name.as_str())
    };
    header.or_else(query).or_else(mount).map(str::to_owned)
}

/// Whether a pattern of a key's `routes` may lead to some path of a provider's.
pub fn may_lead(pattern: &str, mut providers: impl Iterator<Item = impl AsRef<str>>) -> bool {
    let Some((name, _)) = pattern.strip_prefix('/').and_then(|path| path.split_once('/')) else {
        return false;
    };
    providers.any(|provider| provider.as_ref() == name)
}

/// The provider of a path's first segment.
fn reached<'c>(name: &str, config: &'c Config) -> Option<(ProviderId, &'c Provider)> {
    // Not to be taken from the gateway itself.
    if matches!(name, "api" | "ui") {
        return None;
    }
    let kind = if name == "genai" { "gemini" } else { name };
    let mounted = matches!(name, "openai" | "anthropic" | "genai" | "bedrock");
    let named = |provider: &Provider| provider.name == name;
    let of_kind = |provider: &Provider| {
        let vendor = provider.vendor.name;
        // Servers that speak a dialect and are no known vendor's count as its own.
        mounted && vendor.strip_prefix("custom-").unwrap_or(vendor) == kind
    };
    let at = config.providers.iter().position(named).or_else(|| config.providers.iter().position(of_kind))?;
    let id = ProviderId(u16::try_from(at).ok()?);
    Some((id, config.provider(id)?))
}

/// A path as it is sent: of what was decoded, what is no plain part of a path is escaped again.
pub fn written(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(char::from(byte)),
            _ if b"/-._~!$&'()*+,=:@".contains(&byte) => out.push(char::from(byte)),
            _ => escape(byte, &mut out),
        }
    }
    out
}

/// A name as one segment of a path.
pub fn segment(name: &str) -> String {
    written(name).replace('/', "%2F")
}

fn escape(byte: u8, out: &mut String) {
    out.push('%');
    for digit in [byte >> 4, byte & 15] {
        out.extend(char::from_digit(u32::from(digit), 16).map(|digit| digit.to_ascii_uppercase()));
    }
}

/// The same with the client's query, but for what is the gateway's: keys, and the choice of a provider.
pub fn with_query(mut path: String, query: Option<&str>) -> String {
    let mut mark = '?';
    for pair in query.into_iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or_default();
        // Names that are escaped hide from readers: none of the gateway's own may.
        if matches!(name, "key" | "provider") || name.contains('%') {
            continue;
        }
        path.push(mark);
        path.push_str(pair);
        mark = '&';
    }
    path
}

/// The model a path names: Google's `models/{m}:verb`, AWS's `model/{id}/verb`, Azure's `deployments/{m}`.
fn model_in(method: &Method, path: &str) -> Option<String> {
    let after = |word: &str| path.find(word).and_then(|at| path.get(at + word.len()..));
    let model = if let Some(rest) = after("/model/") {
        rest.rsplit_once('/')?.0
    } else if let Some(rest) = after("/models/") {
        // Names may hold colons; what is done follows the last.
        if *method == Method::POST { rest.rsplit_once(':')?.0 } else { rest.split('/').next()? }
    } else {
        after("/deployments/").or_else(|| after("/engines/"))?.split('/').next()?
    };
    Some(model.to_owned()).filter(|model| !model.is_empty())
}

/// Whether what a call below this path speaks of, or leaves behind, is known to one account only.
pub fn is_kept(below: &str) -> bool {
    let path = below.split('?').next().unwrap_or_default();
    path.split(['/', ':']).any(|word| KEPT.contains(&word))
}

/// What providers keep for an account, in the words of their paths.
const KEPT: [&str; 26] = [
    "files",
    "uploads",
    "batches",
    "batchGenerateContent",
    "asyncBatchEmbedContent",
    "responses",
    "conversations",
    "threads",
    "assistants",
    "agents",
    "vector_stores",
    "fileSearchStores",
    "corpora",
    "cachedContents",
    "tunedModels",
    "fine_tuning",
    "fine-tunes",
    "containers",
    "evals",
    "skills",
    "videos",
    "libraries",
    "jobs",
    "operations",
    "model-invocation-job",
    "sessions",
];

/// What a call may come to cost, as far as its line tells.
fn costs(method: &Method, path: &str) -> Costs {
    let last = path.rsplit(['/', ':']).next().unwrap_or_default();
    let free = [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS].contains(method)
        || matches!(last, "cancel" | "count_tokens" | "countTokens" | "count-tokens");
    let no_output = || ["mbed", "erank", "oderation", "okenize"].iter().any(|word| last.contains(word));
    match free {
        true => Costs::Nothing,
        false if no_output() => Costs::Input,
        false => Costs::All,
    }
}

/// Headers of a client's that do not pass: those of its connection, those that say who it is, those
/// that others on the way have written, and all of the gateway's.
const KEPT_BACK: [HeaderName; 15] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::ACCEPT_ENCODING,
    header::AUTHORIZATION,
    header::COOKIE,
    header::ORIGIN,
    header::REFERER,
    header::FORWARDED,
    header::VIA,
];

/// The same by how they begin. What a client signs for AWS is signed anew.
const KEPT_BACK_LIKE: [&str; 15] = [
    "xi-api-key",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-tollgate-",
    "x-forwarded-",
    "x-real-ip",
    "proxy-",
    "keep-alive",
    "cf-",
    "cdn-",
    "sec-",
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-security-token",
];

/// Those of a client's headers that go upstream.
pub fn forwarded(headers: &HeaderMap) -> HeaderMap {
    let hops: Vec<&str> = headers
        .get_all(header::CONNECTION)
        .into_iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .collect();
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        let word = name.as_str();
        let back = KEPT_BACK.contains(name)
            || KEPT_BACK_LIKE.iter().any(|start| word.starts_with(start))
            || hops.iter().any(|hop| hop.eq_ignore_ascii_case(word));
        if !back {
            kept.append(name, value.clone());
        }
    }
    kept
}

/// Headers of an answer that come down as they are: those that say what its body is. Others speak of the
/// provider's account, or of its connection with us.
pub const ANSWERED: [HeaderName; 9] = [
    header::CONTENT_TYPE,
    header::CONTENT_DISPOSITION,
    header::CONTENT_LANGUAGE,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::RETRY_AFTER,
];

#[cfg(test)]
mod tests;
