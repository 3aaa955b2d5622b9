//! What is asked rather than changed: spend, requests, limits, prices, the audit log; and tokens.

use super::answer::{answer, object, ok};
use super::rights::narrowed;
use super::routes::Reach;
use super::shape::{self, Field, Nulls, Shape, body, check_text, moment, optional};
use super::spec::{self, text};
use super::{
    AuditQuery, Commit, Dimension, Kind, LimitsAsk, LimitsForm, Only, Outcome, Plan, RequestPlace,
    RequestQuery, SpendAsk, SpendForm, SpendQuery, Turn, conflict, openapi,
};
use crate::catalog;
use crate::dialect::Dialect;
use crate::directory::HolderKind;
use crate::fault::{Code, Fault};
use crate::ledger::Scope;
use crate::price::{self, CLASSES, Served};
use crate::sort;
use crate::surface::Client;
use crate::token::{self, Claims};
use crate::units::{Millis, Requests, Time, Tokens};
use http::StatusCode;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::sync::Arc;

const LIMIT: Field = optional("limit", Shape::UpTo(1000), "How many at most; 100 unless given.");

/// A page of a list.
pub(super) const PAGE: &[Field] =
    &[LIMIT, optional("after", Shape::Text(512), "Those after this one, `next` of the page before.")];

const FROM: Field = optional("from", Shape::Moment, "From here on; 30 days before `to` unless given.");
const TO: Field = optional("to", Shape::Moment, "Up to here, this moment outside; now unless given.");

/// A filter: an empty list means nothing, never everything.
const fn filter(name: &'static str) -> Field {
    optional(name, Shape::MaybeEmpty(&Shape::Text(256), 100), "Only these, separated by commas.")
}

/// The query of `/api/spend`.
pub(super) const SPEND: &[Field] = &[
    FROM,
    TO,
    optional("by", Shape::MaybeEmpty(&Shape::Word(DIMENSIONS), 9), "One row for each combination of these."),
    LIMIT,
    filter("organisation"),
    filter("team"),
    filter("user"),
    filter("key"),
    filter("end_user"),
    filter("model"),
    filter("provider"),
    filter("tag"),
    filter("day"),
];

/// The query of `/api/requests`.
pub(super) const REQUESTS: &[Field] = &[
    FROM,
    TO,
    LIMIT,
    optional("after", Shape::Text(64), "Those after this one, `next` of the page before."),
    optional("failed", Shape::Word(&["true", "false"]), "`true`: only those whose client got no answer."),
    filter("organisation"),
    filter("team"),
    filter("user"),
    filter("key"),
    filter("end_user"),
    filter("model"),
    filter("provider"),
];

/// The query of `/api/audit`.
pub(super) const AUDIT: &[Field] = &[
    LIMIT,
    optional("after", Shape::Zeroable, "Lines older than the one with this number."),
    optional("actor", Shape::Text(256), "Only by this actor."),
    optional("action", Shape::Text(64), "Only this action."),
    optional("subject", Shape::Text(256), "Only to this subject."),
];

/// The query of `/api/prices`.
pub(super) const PRICES: &[Field] = &[
    optional("model", Shape::Text(256), "Models whose names begin like this."),
    optional("provider", Shape::Text(64), "Of this vendor only."),
    LIMIT,
    optional("after", Shape::Text(512), "Those after this one, `next` of the page before."),
];

/// The body of `/api/tokens`.
pub(super) const MINT: &[Field] = &[
    optional("key", Shape::Name, "The key it comes from; one's own unless given."),
    optional("models", Shape::List(&Shape::Pattern, 1000), "What it may call, of what its key may."),
    optional("max_requests", Shape::Count, "Requests in all."),
    optional("max_tokens", Shape::Count, "Tokens in all."),
    optional("max_usd", Shape::Dollars, "Money in all."),
    optional("user", Shape::Text(128), "The end user it is for."),
    optional("ttl", Shape::Span, "How long it is valid; an hour unless given, at most what the config says."),
];

const USUAL_TTL: Millis = Millis::from_secs(3600);
const USUAL_SPAN: Millis = Millis::from_secs(30 * 86_400);

/// The words of [`Dimension`].
pub(super) const DIMENSIONS: &[&str] =
    &["organisation", "team", "user", "key", "end_user", "model", "provider", "tag", "day"];

impl Dimension {
    /// Every dimension, in the order of [`DIMENSIONS`].
    pub const ALL: [Self; 9] = [
        Self::Organisation,
        Self::Team,
        Self::User,
        Self::Key,
        Self::EndUser,
        Self::Model,
        Self::Provider,
        Self::Tag,
        Self::Day,
    ];

    /// Its word in queries and answers.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Team => "team",
            Self::User => "user",
            Self::Key => "key",
            Self::EndUser => "end_user",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Tag => "tag",
            Self::Day => "day",
        }
    }

    /// The dimension of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.word() == word)
    }
}

/// A query whose parameters are all known and well-formed.
pub(super) struct Query(sort::Map<&'static str, Vec<String>>);

impl Query {
    /// Reads a query. Lists may be given as `a,b` and as repeated parameters.
    fn read(query: Option<&str>, fields: &[Field]) -> Result<Self, Fault> {
        let mut read: sort::Map<&'static str, Vec<String>> = sort::Map::new();
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            let field =
                fields.iter().find(|field| field.name == name).ok_or_else(|| unknown(&name, fields))?;
            let there = read.contains_key(field.name);
            let place = read.entry(field.name).or_default();
            if let Shape::MaybeEmpty(inner, most) | Shape::List(inner, most) = &field.shape {
                for item in value.split(',').filter(|_| !value.is_empty()) {
                    check_text(inner, item, field.name)?;
                    place.push(item.to_owned());
                }
                if place.len() > *most {
                    let expected = format!("at most {most} items");
                    return Err(Fault::bad_field(field.name, expected, place.len()));
                }
            } else if there {
                return Err(Fault::bad_field(field.name, "it once", "it again"));
            } else if let Shape::UpTo(_) | Shape::Count | Shape::Zeroable = field.shape {
                place.push(number(field.name, &field.shape, &value)?);
            } else {
                check_text(&field.shape, &value, field.name)?;
                place.push(value.into_owned());
            }
        }
        Ok(Self(read))
    }

    /// The value of a parameter that is no list.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.first().map(String::as_str)
    }

    /// The values of a list; absent where the parameter is.
    fn list(&self, name: &str) -> Option<&[String]> {
        self.0.get(name).map(Vec::as_slice)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// How many entries a page has.
    pub(super) fn limit(&self) -> usize {
        self.number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(100)
    }

    fn limit_u32(&self) -> u32 {
        u32::try_from(self.limit()).unwrap_or(1000)
    }
}

fn number(name: &str, shape: &Shape, text: &str) -> Result<String, Fault> {
    let plain = (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| text.parse::<u64>().ok()).flatten();
    let least = u64::from(!matches!(shape, Shape::Zeroable));
    let most = if let Shape::UpTo(most) = shape { *most } else { shape::MOST };
    let fits = number.filter(|number| (least..=most).contains(number));
    let fits = fits.map(|number| number.to_string());
    fits.ok_or_else(|| Fault::bad_field(name, shape.expected(), "something else"))
}

fn unknown(name: &str, fields: &[Field]) -> Fault {
    let known: Vec<_> = fields.iter().map(|field| field.name).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let name = shape::shown(name);
    Fault::new(Code::BadField, format!("{name}: unknown parameter (known here: {known})")).at(name)
}

/// A part of a query: percent escapes and `+` decoded. Fails on escapes that are none.
fn decoded(part: &str) -> Result<Cow<'_, str>, Fault> {
    if !part.contains(['%', '+']) {
        return Ok(Cow::Borrowed(part));
    }
    let bad = || Fault::bad_field("query", "percent escapes of UTF-8", "something else");
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes().iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut digit =
                    || rest.next().and_then(|digit| char::from(*digit).to_digit(16)).ok_or_else(bad);
                let (high, low) = (digit()?, digit()?);
                bytes.push(u8::try_from(high * 16 + low).map_err(|_| bad())?);
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| bad())
}

/// What rows a question is about.
enum Extent {
    /// Those with these values.
    Only(Vec<Only>),
    /// None at all.
    Nothing,
}

impl Turn<'_> {
    pub(super) fn query(&self, fields: &[Field]) -> Result<Query, Fault> {
        Query::read(self.knock.query.as_deref(), fields)
    }

    /// For operations without parameters.
    pub(super) fn nothing_asked(&self) -> Result<(), Fault> {
        self.query(&[]).map(drop)
    }

    fn span(&self, query: &Query) -> (Time, Time) {
        let to = query.text("to").and_then(moment).unwrap_or(self.now);
        let from = query.text("from").and_then(moment).unwrap_or(to - USUAL_SPAN);
        (from, to)
    }

    /// The filters of a query, narrowed to what who asks may see. Of one dimension any value counts, so
    /// what may be seen takes the place of what is asked for, and is never put beside it.
    fn extent(&self, query: &Query) -> Extent {
        let own = self.knock.principal.key();
        let bound = match self.knock.reach {
            Reach::All => None,
            Reach::Team => Some((Dimension::Team, own.and_then(|own| own.team.clone()))),
            Reach::Own | Reach::Nothing => Some((Dimension::Key, own.map(|own| own.name.clone()))),
        };
        let mut only = Vec::new();
        for dimension in Dimension::ALL {
            let asked = query.list(dimension.word());
            let mut take = |value: &String| only.push(Only { dimension, value: value.clone() });
            match (&bound, asked) {
                (Some((narrow, value)), asked) if *narrow == dimension => {
                    let seen = value.as_ref().filter(|value| asked.is_none_or(|asked| asked.contains(value)));
                    let Some(value) = seen else { return Extent::Nothing };
                    take(value);
                }
                (_, Some([])) => return Extent::Nothing,
                (_, Some(asked)) => asked.iter().for_each(take),
                (_, None) => {}
            }
        }
        Extent::Only(only)
    }

    pub(super) fn spend(&self) -> Result<Plan, Fault> {
        let asked = self.query(SPEND)?;
        let (from, to) = self.span(&asked);
        let by: Vec<_> =
            asked.list("by").unwrap_or_default().iter().filter_map(|word| Dimension::of(word)).collect();
        if by.iter().enumerate().any(|(index, one)| by.iter().take(index).any(|other| other == one)) {
            return Err(Fault::bad_field("by", "each dimension once", "one again"));
        }
        let form = SpendForm::Rows;
        let query = SpendQuery { from, to, by, only: Vec::new(), limit: asked.limit_u32() };
        Ok(match self.extent(&asked) {
            Extent::Only(only) if from < to => {
                Plan::Spend(Box::new(SpendAsk { query: SpendQuery { only, ..query }, form }))
            }
            Extent::Only(_) | Extent::Nothing => {
                Plan::Answer(super::render::spend(SpendAsk { query, form }, &[]))
            }
        })
    }

    pub(super) fn requests(&self) -> Result<Plan, Fault> {
        let asked = self.query(REQUESTS)?;
        let (from, to) = self.span(&asked);
        Ok(match self.extent(&asked) {
            Extent::Only(only) if from < to => Plan::Requests(RequestQuery {
                from,
                to,
                only,
                outcome: if asked.text("failed") == Some("true") { Outcome::Failed } else { Outcome::Any },
                after: asked.text("after").map(place).transpose()?,
                limit: asked.limit_u32(),
            }),
            Extent::Only(_) | Extent::Nothing => Plan::Answer(super::render::requests(0, &[])),
        })
    }

    pub(super) fn limits(&self, kind: Kind) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        let entry = self.found(kind, &self.knock.arrival.name)?;
        let scopes = self.scopes(kind, &entry.name);
        let book = match kind {
            Kind::Holder(HolderKind::Organisation) => entry.name.as_str(),
            Kind::Holder(HolderKind::Team | HolderKind::User | HolderKind::Tag) | Kind::Key => {
                entry.spec.get("organisation").and_then(serde_json::Value::as_str).unwrap_or_default()
            }
        };
        let book = Arc::from(book);
        Ok(Plan::Limits(Box::new(LimitsAsk { book, scopes, form: LimitsForm::Gauges })))
    }

    /// The scope of somebody and those inside it.
    pub(super) fn scopes(&self, kind: Kind, name: &str) -> Vec<Arc<Scope>> {
        let directory = self.desk.directory;
        let (own, within) = match kind {
            Kind::Key => directory.key(name).map(|key| (&key.scope, &key.within)).unzip(),
            Kind::Holder(kind) => {
                directory.holder(kind, name).map(|holder| (&holder.scope, &holder.within)).unzip()
            }
        };
        let within = within.into_iter().flatten().map(|within| &within.scope);
        own.into_iter().chain(within).map(Arc::clone).collect()
    }

    pub(super) fn audit(&self) -> Result<Plan, Fault> {
        let query = self.query(AUDIT)?;
        let text = |name: &str| query.text(name).map(str::to_owned);
        Ok(Plan::Audit(AuditQuery {
            actor: text("actor"),
            action: text("action"),
            subject: text("subject"),
            after: query.number("after"),
            limit: query.limit_u32(),
        }))
    }

    pub(super) fn reload(&self) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        self.no_body()?;
        Ok(Plan::Reload(self.deed("config.reload", "config".to_owned())))
    }

    pub(super) fn open_api(&self) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        Ok(Plan::Answer(ok(&openapi::document())))
    }

    pub(super) fn models(&self) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        let caller = match &self.knock.principal {
            super::Principal::Admin | super::Principal::Local => None,
            super::Principal::Key(caller) => Some(caller.as_ref()),
        };
        let list = crate::models::list(self.desk.config, caller, (Dialect::OpenAi, Client::Usual));
        let mut answer = ok(&Value::Null);
        *answer.body_mut() = list;
        Ok(Plan::Answer(answer))
    }

    pub(super) fn prices(&self) -> Result<Plan, Fault> {
        let query = self.query(PRICES)?;
        let (prefix, vendor) = (query.text("model").unwrap_or_default(), query.text("provider"));
        let after = query.text("after").map(|after| after.rsplit_once('@').unwrap_or((after, "")));
        let mut rows: Vec<_> = catalog::rows()
            .filter(|row| row.name.starts_with(prefix) && vendor.is_none_or(|vendor| vendor == row.vendor))
            .filter(|row| after.is_none_or(|after| (row.name, row.vendor) > after))
            .collect();
        sort::sort_by_key(&mut rows, |row| (row.name, row.vendor));
        let more = rows.len() > query.limit();
        rows.truncate(query.limit());
        let next = rows.last().filter(|_| more).map(|row| format!("{}@{}", row.name, row.vendor));
        let data: Vec<_> = rows.iter().map(price_row).collect();
        Ok(Plan::Answer(ok(&json!({"data": data, "next": next}))))
    }

    pub(super) fn mint(&self) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        let asked = body(self.ask.body, MINT, Nulls::Refused)?;
        if matches!(&self.knock.principal, super::Principal::Key(caller) if caller.token.is_some()) {
            return Err(Fault::new(Code::NotPermitted, "a token mints no further tokens: use its key"));
        }
        let parent = match text(&asked, "key") {
            Some(name) => self.found(Kind::Key, name).map_err(|fault| fault.at("key"))?.name,
            None => {
                self.own_key().map_err(|_| Fault::missing_field("key", "the key it comes from"))?.name.clone()
            }
        };
        let key = self.desk.directory.key(&parent).ok_or_else(|| super::not_found("key", &parent))?;
        if key.blocked || key.expires.is_some_and(|expires| expires <= self.now) {
            return Err(conflict(format!("the key `{parent}` is blocked or has expired")).at("key"));
        }
        let models = narrowed(key, spec::patterns(spec::texts(&asked, "models")))?;
        let tokens = &self.desk.config.tokens;
        let Some(signer) = tokens.signer() else {
            return Err(conflict("there is nothing to sign tokens with: set `server.admin_key` or `tokens`"));
        };
        let ttl = text(&asked, "ttl").and_then(shape::span).unwrap_or(USUAL_TTL);
        if ttl > tokens.longest {
            let longest = tokens.longest.ceil_secs();
            return Err(Fault::bad_field(
                "ttl",
                format!("at most {longest}s, as the config says"),
                "a longer one",
            ));
        }
        let count = |name: &str| asked.get(name).and_then(Value::as_u64);
        let narrow: Vec<_> = models.iter().map(|pattern| json!(pattern.to_string())).collect();
        let claims = Claims {
            lifetime: ttl,
            models,
            max_requests: count("max_requests").map(Requests),
            max_tokens: count("max_tokens").map(Tokens),
            max_usd: asked.get("max_usd").and_then(spec::amount),
            user: text(&asked, "user").map(str::to_owned),
        };
        let id = self.entropy.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
        let signed = token::mint(key, &claims, &signer, self.now, id);
        let expires = (self.now + ttl).min(key.expires.unwrap_or(Time::NEVER));
        let mut shown = object([("id", json!(format!("{id:032x}"))), ("key", json!(parent))]);
        shown.extend(asked.into_iter().filter(|(name, _)| name != "key" && name != "ttl"));
        if !narrow.is_empty() {
            shown.insert("models".to_owned(), Value::Array(narrow));
        }
        shown.insert("expires".to_owned(), json!(spec::written(Time(expires.unix_secs() * 1000))));
        let mut deed = self.deed("token.mint", format!("token:{id:032x}"));
        deed.after = Some(spec::bytes(&shown));
        shown.insert("token".to_owned(), json!(signed));
        let answer = answer(StatusCode::CREATED, &Value::Object(shown));
        Ok(Plan::Commit(Box::new(Commit { changes: Vec::new(), deed, answer })))
    }
}

fn place(text: &str) -> Result<RequestPlace, Fault> {
    RequestPlace::parse(text)
        .ok_or_else(|| Fault::bad_field("after", "`next` of the page before", "something else"))
}

fn price_row(row: &catalog::Row) -> Value {
    let mut prices = Map::new();
    if let Some(known) = price::sold_by(row.vendor, row.name) {
        let served = Served::default();
        for kind in &CLASSES {
            if let Some(price) = known.rate(kind.class, &served) {
                let exact = price.dollars(kind.unit).parse().map_or(Value::Null, Value::Number);
                prices.insert(kind.word.to_owned(), exact);
            }
        }
    }
    let some = |tokens: u32| (tokens > 0).then_some(tokens);
    json!({
        "model": row.name,
        "provider": row.vendor,
        "window": some(row.window),
        "output": some(row.output),
        "usd": prices,
        "date": row.source().map(|source| source.date),
        "page": row.source().map(|source| source.page),
    })
}
