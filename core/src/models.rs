//! Model lists: what a key may ask for, in the words of whoever asks.
//!
//! Listed are the routes of the config and, as `provider/model`, the models that routes name and those
//! of the catalogue that a configured provider serves. By its name any model is there that a call may ask
//! for: a provider's models are not all known here. What a key may not use is not there for it, neither in
//! the list nor by its name.

#[cfg(test)]
mod tests;

use crate::catalog;
use crate::config::{Config, Provider};
use crate::dialect::Dialect;
use crate::directory::Caller;
use crate::fault::{Code, Fault};
use crate::mount::Shape;
use crate::sort;
use crate::sort::Map;
use crate::surface::Client;
use bytes::Bytes;
use http::HeaderMap;
use serde::Serialize;

/// Who "owns" the routes in OpenAI's shape; concrete models are owned by their provider.
const OWNER: &str = "tollgate";

/// When a model was made. No provider's list is read, so it is the epoch: the value both OpenAI's and
/// Anthropic's clients take for "not known".
const CREATED: u64 = 0;
const CREATED_AT: &str = "1970-01-01T00:00:00Z";

/// How close a name must be to be offered in place of one that is not known; 1 is equal.
const CLOSE: f64 = 0.8;

/// Whose shape a list takes: the path's if it tells, else `anthropic-version` asks for Anthropic's,
/// `x-goog-api-key` or a `key` in the query for Google's, and anything else for OpenAI's.
pub fn shape(shape: Shape, headers: &HeaderMap, query: Option<&str>) -> Dialect {
    match shape {
        Shape::Of(dialect) => dialect,
        Shape::Asked if headers.contains_key("anthropic-version") => Dialect::Anthropic,
        Shape::Asked if headers.contains_key("x-goog-api-key") || has_key(query) => Dialect::Gemini,
        Shape::Asked => Dialect::OpenAi,
    }
}

fn has_key(query: Option<&str>) -> bool {
    query.into_iter().flat_map(|query| query.split('&')).any(|pair| pair.starts_with("key="))
}

/// The body of a list of all models the key may use; without a key, of all there are.
pub fn list(config: &Config, caller: Option<&Caller>, (shape, client): (Dialect, Client)) -> Bytes {
    let models = usable(config, caller);
    match shape {
        // Bedrock lists models at another host than it runs them.
        Dialect::OpenAi | Dialect::OpenAiResponses | Dialect::Bedrock | Dialect::Cohere | Dialect::Ollama => {
            json(&OpenAiList {
                object: "list",
                data: models.iter().map(|model| openai(model, client)).collect(),
            })
        }
        Dialect::Anthropic => json(&AnthropicList {
            data: models.iter().map(anthropic).collect(),
            has_more: false,
            first_id: models.first_key_value().map(|(id, _)| id.as_str()),
            last_id: models.last_key_value().map(|(id, _)| id.as_str()),
        }),
        Dialect::Gemini => json(&GoogleList { models: models.iter().map(google).collect() }),
    }
}

/// The body that describes one model, listed or not. Fails with `model_not_found`, naming the closest one
/// there is for this key.
pub fn one(
    config: &Config,
    caller: Option<&Caller>,
    (shape, client): (Dialect, Client),
    id: &str,
) -> Result<Bytes, Fault> {
    let models = usable(config, caller);
    let (name, owner);
    let model = match models.get_key_value(id) {
        Some(listed) => listed,
        None => {
            let route = config.route_for(id, &[], caller).map_err(|_| not_found(&models, id))?;
            let provider = route.targets.first().and_then(|target| config.provider(target.provider));
            (name, owner) = (id.to_owned(), provider.map_or(OWNER, |provider| provider.name.as_str()));
            (&name, &owner)
        }
    };
    Ok(match shape {
        Dialect::OpenAi | Dialect::OpenAiResponses | Dialect::Bedrock | Dialect::Cohere | Dialect::Ollama => {
            json(&openai(model, client))
        }
        Dialect::Anthropic => json(&anthropic(model)),
        Dialect::Gemini => json(&google(model)),
    })
}

/// Owners by model, in the order of the names.
type Models<'a> = Map<String, &'a str>;

fn usable<'a>(config: &'a Config, caller: Option<&Caller>) -> Models<'a> {
    let routes = config.routes.keys().map(|name| (name.clone(), OWNER));
    let targets = config.routes.values().flat_map(|route| route.targets.iter().chain(&route.fallbacks));
    let concrete = targets.filter_map(|target| {
        let provider = config.provider(target.provider)?;
        Some((format!("{}/{}", provider.name, target.model), provider.name.as_str()))
    });
    let known = config.providers.iter().flat_map(of_the_catalog);
    // A route may be called like a concrete model; asking for the name reaches the route, so it wins.
    let all = known.chain(concrete).chain(routes);
    sort::map(all.filter(|(id, _)| caller.is_none_or(|caller| caller.allows(id))))
}

/// The models known of a provider's vendor, as far as one of the provider's keys serves them.
fn of_the_catalog(provider: &Provider) -> impl Iterator<Item = (String, &str)> {
    let rows = catalog::rows().filter(|row| row.vendor == provider.vendor.name);
    let served = rows.filter(|row| {
        provider.credentials.iter().any(|credential| {
            credential.models.is_empty() || credential.models.iter().any(|model| model.matches(row.name))
        })
    });
    served.map(|row| (format!("{}/{}", provider.name, row.name), provider.name.as_str()))
}

fn not_found(models: &Models<'_>, id: &str) -> Fault {
    let shown: String = id.chars().filter(|letter| !letter.is_control()).take(128).collect();
    let nearness = |name: &str| strsim::jaro_winkler(name, &shown);
    let near = models.keys().map(|name| (nearness(name), name)).filter(|(nearness, _)| *nearness >= CLOSE);
    let hint = near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| format!(": did you mean {name}"));
    let message = format!("the model {shown} does not exist{}", hint.unwrap_or_default());
    Fault::new(Code::ModelNotFound, message).at("model")
}

/// These types hold strings, numbers and lists only, which are always written.
fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[derive(Serialize)]
struct OpenAiList<'a> {
    object: &'static str,
    data: Vec<OpenAiModel<'a>>,
}

#[derive(Serialize)]
struct OpenAiModel<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
    /// Mistral's client takes an entry without these two for none.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<Capabilities>,
}

#[derive(Serialize)]
struct Capabilities {
    completion_chat: bool,
    function_calling: bool,
}

fn openai<'a>((id, owner): (&'a String, &&'a str), client: Client) -> OpenAiModel<'a> {
    let (kind, capabilities) = match client {
        Client::Usual => (None, None),
        Client::Mistral => {
            (Some("base"), Some(Capabilities { completion_chat: true, function_calling: true }))
        }
    };
    OpenAiModel { id, object: "model", created: CREATED, owned_by: owner, kind, capabilities }
}

#[derive(Serialize)]
struct AnthropicList<'a> {
    data: Vec<AnthropicModel<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

#[derive(Serialize)]
struct AnthropicModel<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: &'static str,
}

fn anthropic<'a>((id, _): (&'a String, &&'a str)) -> AnthropicModel<'a> {
    AnthropicModel { kind: "model", id, display_name: id, created_at: CREATED_AT }
}

#[derive(Serialize)]
struct GoogleList<'a> {
    models: Vec<GoogleModel<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GoogleModel<'a> {
    name: String,
    display_name: &'a str,
    /// Streaming is a form of `generateContent` here: Google's own lists do not name it.
    supported_generation_methods: [&'static str; 2],
}

fn google<'a>((id, _): (&'a String, &&'a str)) -> GoogleModel<'a> {
    let supported_generation_methods = ["generateContent", "countTokens"];
    GoogleModel { name: format!("models/{id}"), display_name: id, supported_generation_methods }
}
