//! The admin API as an OpenAPI 3.1 document, made from [`ROUTES`] and the lists of fields.

use super::alias::{bifrost, litellm};
use super::routes::{Need, Operation, ROUTES, Route};
use super::shape::{Field, Nulls, Object, Shape, object_schema};
use super::{Kind, entry, question, spec};
use crate::fault::Code;
use serde_json::{Value, json};

/// What an operation takes and answers.
struct Form {
    /// The query's parameters.
    query: &'static [Field],
    /// The body, where there is one.
    body: Option<Value>,
    /// Whether the body may be absent.
    body_optional: bool,
    /// The status of success.
    status: u16,
    /// The answer.
    answer: Value,
    /// What else can happen, besides what always can.
    faults: &'static [Code],
}

impl Form {
    fn of(answer: Value) -> Self {
        Self { query: &[], body: None, body_optional: false, status: 200, answer, faults: &[] }
    }

    fn asked(self, query: &'static [Field]) -> Self {
        Self { query, ..self }
    }

    fn takes(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    fn may_take(self, body: Value) -> Self {
        Self { body: Some(body), body_optional: true, ..self }
    }

    fn creates(self) -> Self {
        Self { status: 201, ..self }
    }

    fn fails(self, faults: &'static [Code]) -> Self {
        Self { faults, ..self }
    }
}

/// What can happen to every request.
const ALWAYS: &[Code] = &[
    Code::BadField,
    Code::MissingKey,
    Code::NotPermitted,
    Code::NoRoute,
    Code::WrongMethod,
    Code::SlowRequest,
    Code::BodyTooLarge,
    Code::Bug,
];

const STORED: &[Code] = &[Code::NotFound, Code::Conflict, Code::StoreUnavailable];
const ASKED: &[Code] = &[Code::NotFound, Code::StoreUnavailable];

/// The document.
pub fn document() -> Value {
    let mut paths = Object::new();
    for route in ROUTES {
        let place = paths.entry(route.path.to_owned()).or_insert_with(|| json!({}));
        if let Value::Object(place) = place {
            place.insert(route.method.name().to_ascii_lowercase(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tollgate admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Organisations, teams, users, tags and keys; what they may consume and what they have. Secrets are shown once, when they are made, and hashes never. What stands in the config file is seen here and changed there.",
        },
        "security": [{"bearer": []}, {"header": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
            "schemas": {"Error": error()},
        },
    })
}

fn error() -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "additionalProperties": false,
        "properties": {"error": {
            "type": "object",
            "required": ["message", "type", "code", "param"],
            "additionalProperties": false,
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "code": {"type": "string"},
                "param": {"type": ["string", "null"], "description": "The field to blame."},
            },
        }},
    })
}

fn operation(route: &Route) -> Value {
    let form = form(route.operation);
    let mut responses = Object::new();
    responses.insert(form.status.to_string(), answered("Done.", &form.answer));
    let refused = json!({"$ref": "#/components/schemas/Error"});
    let mut codes = ALWAYS.to_vec();
    codes.extend(form.faults);
    for code in codes {
        let words = Code::ALL.iter().filter(|other| other.status() == code.status());
        let words: Vec<_> = words.map(|code| format!("`{}`", code.code())).collect();
        responses
            .insert(code.status().to_string(), answered(&format!("One of {}.", words.join(", ")), &refused));
    }
    let mut operation = Object::new();
    operation.insert("operationId".to_owned(), json!(id(route)));
    operation.insert("description".to_owned(), json!(format!("For {}.", route.need.words())));
    operation.insert("parameters".to_owned(), json!(parameters(route, form.query)));
    operation.insert("responses".to_owned(), Value::Object(responses));
    if let Some(body) = form.body {
        let content = json!({"application/json": {"schema": body}});
        let body = json!({"required": !form.body_optional, "content": content});
        operation.insert("requestBody".to_owned(), body);
    }
    if route.need == Need::Rule {
        operation.insert("tags".to_owned(), json!(["admin"]));
    }
    Value::Object(operation)
}

fn answered(words: &str, schema: &Value) -> Value {
    json!({"description": words, "content": {"application/json": {"schema": schema}}})
}

/// `get_api_keys_name`
fn id(route: &Route) -> String {
    let words = route.path.split(['/', '.']).filter(|word| !word.is_empty());
    let words = words.map(|word| word.trim_matches(['{', '}']));
    let method = route.method.name().to_ascii_lowercase();
    std::iter::once(method.as_str()).chain(words).collect::<Vec<_>>().join("_")
}

fn parameters(route: &Route, query: &[Field]) -> Vec<Value> {
    let name = route.is_named().then(|| {
        let schema = Shape::Name.schema();
        json!({"name": "name", "in": "path", "required": true, "schema": schema, "description": "Whose."})
    });
    let asked = query.iter().map(|field| {
        let mut parameter = json!({
            "name": field.name, "in": "query", "required": false,
            "schema": field.shape.schema(), "description": field.doc,
        });
        if let (Value::Object(parameter), Shape::List(..) | Shape::MaybeEmpty(..)) =
            (&mut parameter, &field.shape)
        {
            parameter.insert("style".to_owned(), json!("form"));
            parameter.insert("explode".to_owned(), json!(false));
            parameter.insert("allowEmptyValue".to_owned(), json!(true));
        }
        parameter
    });
    name.into_iter().chain(asked).collect()
}

fn form(operation: Operation) -> Form {
    let fields = |kind| object_schema(spec::fields(kind), Nulls::Refused);
    match operation {
        Operation::List(kind) => {
            Form::of(page(entry_schema(kind, Secret::Hidden), json!({"type": ["string", "null"]})))
                .asked(question::PAGE)
        }
        Operation::Create(Kind::Key) => {
            let own: Vec<Field> = spec::KEY_FIELDS.iter().copied().chain([spec::DIGEST]).collect();
            let forms = [object_schema(&own, Nulls::Refused), object_schema(bifrost::FIELDS, Nulls::Refused)];
            Form::of(entry_schema(Kind::Key, Secret::Shown))
                .takes(json!({"anyOf": forms}))
                .creates()
                .fails(STORED)
        }
        Operation::Create(kind) => {
            Form::of(entry_schema(kind, Secret::Hidden)).takes(fields(kind)).creates().fails(STORED)
        }
        Operation::Show(kind) => Form::of(entry_schema(kind, Secret::Hidden)).fails(&[Code::NotFound]),
        Operation::Update(kind) => Form::of(entry_schema(kind, Secret::Hidden))
            .may_take(object_schema(spec::fields(kind), Nulls::Remove))
            .fails(STORED),
        Operation::Delete(_) => Form::of(json!({
            "type": "object", "required": ["name", "deleted"],
            "properties": {"name": {"type": "string"}, "deleted": {"const": true}},
        }))
        .fails(STORED),
        Operation::TopUp(kind) => Form::of(entry_schema(kind, Secret::Hidden))
            .takes(object_schema(entry::TOP_UP, Nulls::Refused))
            .fails(STORED),
        Operation::Rotate => Form::of(entry_schema(Kind::Key, Secret::Shown))
            .may_take(object_schema(entry::ROTATE, Nulls::Refused))
            .fails(STORED),
        Operation::Block | Operation::Unblock => {
            Form::of(entry_schema(Kind::Key, Secret::Hidden)).fails(STORED)
        }
        Operation::Limits(_) => Form::of(list(gauges())).fails(ASKED),
        Operation::Me => Form::of(me()),
        Operation::Mint => {
            Form::of(token()).may_take(object_schema(question::MINT, Nulls::Refused)).creates().fails(STORED)
        }
        Operation::Spend => Form::of(spend()).asked(question::SPEND).fails(&[Code::StoreUnavailable]),
        Operation::Requests => Form::of(page(request(), json!({"type": ["string", "null"]})))
            .asked(question::REQUESTS)
            .fails(&[Code::StoreUnavailable]),
        Operation::Prices => {
            Form::of(page(price(), json!({"type": ["string", "null"]}))).asked(question::PRICES)
        }
        Operation::Models => Form::of(json!({
            "type": "object", "required": ["object", "data"],
            "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": {"type": "object"}}},
        })),
        Operation::Upstreams => Form::of(list(lane())),
        Operation::Reload => Form::of(json!({
            "type": "object", "required": ["reloaded"], "properties": {"reloaded": {"const": true}},
        }))
        .fails(&[Code::Conflict, Code::StoreUnavailable]),
        Operation::Audit => Form::of(page(line(), json!({"type": ["integer", "null"]})))
            .asked(question::AUDIT)
            .fails(&[Code::StoreUnavailable]),
        Operation::Verify => Form::of(verified()).fails(&[Code::StoreUnavailable]),
        Operation::OpenApi => Form::of(json!({"type": "object", "required": ["openapi", "paths"]})),
        Operation::KeyGenerate => Form::of(litellm_key(&["key", "key_name", "warnings"]))
            .may_take(object_schema(&litellm::generate_fields(), Nulls::Remove))
            .fails(STORED),
        Operation::KeyInfo => Form::of(json!({
            "type": "object", "required": ["key", "info"],
            "properties": {"key": {"type": "string"}, "info": litellm_key(&["key_name", "spend"])},
        }))
        .asked(litellm::INFO)
        .fails(ASKED),
        Operation::KeyUpdate => Form::of(litellm_key(&["key", "key_name", "warnings"]))
            .takes(object_schema(&litellm::update_fields(), Nulls::Remove))
            .fails(STORED),
        Operation::KeyDelete => Form::of(json!({
            "type": "object", "required": ["deleted_keys"],
            "properties": {"deleted_keys": {"type": "array", "items": {"type": "string"}}},
        }))
        .takes(object_schema(litellm::DELETE, Nulls::Refused))
        .fails(STORED),
        Operation::TeamNew => Form::of(litellm_key(&["team_id", "team_alias", "warnings"]))
            .may_take(object_schema(litellm::TEAM, Nulls::Remove))
            .fails(STORED),
    }
}

/// Whether an answer may show a secret that has just been made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secret {
    Shown,
    Hidden,
}

fn entry_schema(kind: Kind, secret: Secret) -> Value {
    let mut properties = Object::new();
    for field in spec::fields(kind) {
        // What the config file calls by a name may be spelled more freely than what is made here.
        let is_name = matches!(field.shape, Shape::Name | Shape::Pattern);
        let is_names = matches!(field.shape, Shape::List(..)) && !matches!(field.name, "budget" | "limits");
        let schema = if is_name {
            json!({"type": "string"})
        } else if is_names {
            json!({"type": "array", "items": {"type": "string"}})
        } else {
            field.shape.schema()
        };
        properties.insert(field.name.to_owned(), schema);
    }
    properties.insert("created".to_owned(), Shape::Moment.schema());
    properties.insert("source".to_owned(), json!({"type": "string", "enum": ["config", "store"]}));
    if kind == Kind::Key {
        properties.insert("previous_until".to_owned(), Shape::Moment.schema());
    }
    if kind == Kind::Key && secret == Secret::Shown {
        for name in ["key", "value", "id"] {
            properties.insert(name.to_owned(), json!({"type": "string"}));
        }
    }
    json!({
        "type": "object", "required": ["name", "source"],
        "properties": properties, "additionalProperties": false,
    })
}

fn list(item: Value) -> Value {
    json!({
        "type": "object", "required": ["data"], "additionalProperties": false,
        "properties": {"data": {"type": "array", "items": item}},
    })
}

fn page(item: Value, next: Value) -> Value {
    json!({
        "type": "object", "required": ["data", "next"], "additionalProperties": false,
        "properties": {"data": {"type": "array", "items": item, "maxItems": 1000}, "next": next},
    })
}

/// An object whose fields are all there, given as name and JSON type; `?` after a type: or null.
fn record(fields: &[(&str, &str)]) -> Value {
    let mut properties = Object::new();
    for (name, kind) in fields {
        let schema = match (kind.strip_suffix('?'), *kind) {
            (Some(kind), _) => json!({"type": [kind, "null"]}),
            (None, "any") => json!({}),
            (None, kind) => json!({"type": kind}),
        };
        properties.insert((*name).to_owned(), schema);
    }
    let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    json!({"type": "object", "required": names, "properties": properties, "additionalProperties": false})
}

fn gauges() -> Value {
    let gauge = record(&[
        ("limit", "string"),
        ("budget", "object?"),
        ("most", "number"),
        ("used", "number"),
        ("held", "number"),
        ("left", "number"),
        ("resets_at", "string?"),
    ]);
    json!({
        "type": "object", "required": ["scope", "limits"], "additionalProperties": false,
        "properties": {"scope": {"type": "string"}, "limits": {"type": "array", "items": gauge}},
    })
}

fn me() -> Value {
    json!({
        "type": "object", "required": ["actor", "role", "key"], "additionalProperties": false,
        "properties": {
            "actor": {"type": "string"},
            "role": Shape::Word(spec::ROLES).schema(),
            "key": {"anyOf": [entry_schema(Kind::Key, Secret::Hidden), {"type": "null"}]},
        },
    })
}

fn token() -> Value {
    let mut properties = Object::new();
    for field in question::MINT.iter().filter(|field| field.name != "ttl") {
        properties.insert(field.name.to_owned(), field.shape.schema());
    }
    for name in ["token", "id", "key", "expires"] {
        properties.insert(name.to_owned(), json!({"type": "string"}));
    }
    json!({
        "type": "object", "required": ["token", "id", "key", "expires"],
        "properties": properties, "additionalProperties": false,
    })
}

fn spend() -> Value {
    let counts = ["requests", "failed", "unpriced", "input_tokens", "cached_tokens", "output_tokens"];
    let mut properties = Object::new();
    for name in counts {
        properties.insert(name.to_owned(), Shape::Zeroable.schema());
    }
    for name in question::DIMENSIONS {
        properties.insert((*name).to_owned(), json!({"type": ["string", "null"]}));
    }
    properties.insert("usd".to_owned(), json!({"type": "number", "minimum": 0}));
    let row = json!({
        "type": "object", "required": counts, "properties": properties, "additionalProperties": false,
    });
    json!({
        "type": "object", "required": ["from", "to", "by", "data"], "additionalProperties": false,
        "properties": {
            "from": {"type": "string"}, "to": {"type": "string"},
            "by": {"type": "array", "items": {"type": "string"}},
            "data": {"type": "array", "items": row, "maxItems": 1000},
            "others": {"type": "object", "description": "Of other gateways: false `current` is Redis gone, true `cut` part of a day left out."},
        },
    })
}

fn request() -> Value {
    record(&[
        ("id", "string"),
        ("at", "string"),
        ("surface", "string"),
        ("key", "string?"),
        ("team", "string?"),
        ("user", "string?"),
        ("organisation", "string?"),
        ("end_user", "string?"),
        ("asked", "string"),
        ("provider", "string?"),
        ("model", "string?"),
        ("attempts", "integer"),
        ("status", "integer"),
        ("fault", "string?"),
        ("milliseconds", "integer"),
        ("input_tokens", "integer"),
        ("cached_tokens", "integer"),
        ("cache_write_tokens", "integer"),
        ("output_tokens", "integer"),
        ("reasoning_tokens", "integer?"),
        ("basis", "string"),
        ("usd", "number?"),
        ("cache", "string"),
        ("guardrails", "array"),
    ])
}

fn price() -> Value {
    record(&[
        ("model", "string"),
        ("provider", "string"),
        ("window", "integer?"),
        ("output", "integer?"),
        ("usd", "object"),
        ("date", "string?"),
        ("page", "string?"),
    ])
}

fn lane() -> Value {
    record(&[
        ("provider", "string"),
        ("key", "string"),
        ("model", "string"),
        ("state", "string"),
        ("until", "string?"),
        ("in_flight", "integer"),
        ("errors", "number"),
        ("first_byte_milliseconds", "integer?"),
        ("tokens_per_second", "number?"),
    ])
}

fn line() -> Value {
    record(&[
        ("number", "integer"),
        ("at", "string"),
        ("actor", "string"),
        ("action", "string"),
        ("subject", "string"),
        ("before", "any"),
        ("after", "any"),
        ("seal", "string"),
    ])
}

fn verified() -> Value {
    record(&[("complete", "boolean"), ("lines", "integer"), ("broken_at", "integer?"), ("reason", "string?")])
}

fn litellm_key(required: &[&str]) -> Value {
    json!({"type": "object", "required": required})
}
