//! LiteLLM's `/key/generate`, `/key/info`, `/key/update`, `/key/delete` and `/team/new`.

mod asked; // a body, and what it is in our words

use crate::api::answer::ok;
use crate::api::entry::Entry;
use crate::api::routes::Reach;
use crate::api::shape::{Field, Nulls, Object, Shape, check_object, is_name, optional, parse, required};
use crate::api::spec::{self, from_hex, hex, text, texts};
use crate::api::{
    Change, Commit, Dimension, Kind, LimitsAsk, LimitsForm, Only, Plan, SpendAsk, SpendForm, SpendQuery, Turn,
};
use crate::directory::{Directory, Holder, HolderKind};
use crate::fault::{Code, Fault};
use crate::keyring;
use crate::sort;
use crate::units::{Millis, Time};
use asked::{Asked, PERIODS};
use serde_json::{Value, json};

const PERIOD_WORDS: &[&str] = &["1m", "60s", "1h", "60m", "1d", "24h", "7d", "1w", "30d", "1mo", "365d"];

const KEY_TYPES: &[&str] = &["default", "llm_api", "read_only"];

const WINDOW: &[Field] = &[
    required("max_budget", Shape::Dollars, "US dollars."),
    required("budget_duration", Shape::Word(PERIOD_WORDS), "When it is full again."),
];
const MODEL_WINDOW: &[Field] = &[
    required("budget_limit", Shape::Dollars, "US dollars."),
    required("time_period", Shape::Word(PERIOD_WORDS), "When it is full again."),
];

const MAX_BUDGET: Field = optional("max_budget", Shape::Dollars, "US dollars.");
const BUDGET_DURATION: Field =
    optional("budget_duration", Shape::Word(PERIOD_WORDS), "When the budget is full again; absent: never.");
const TPM: Field = optional("tpm_limit", Shape::Count, "Tokens a minute.");
const RPM: Field = optional("rpm_limit", Shape::Count, "Requests a minute.");
const ORGANIZATION: Field = optional("organization_id", Shape::Name, "Its organisation.");
const METADATA: Field = optional("metadata", Shape::Ignored, "For people and programs.");
const BLOCKED: Field = optional("blocked", Shape::Truth, "Whether it is refused.");

const MODELS: Field =
    optional("models", Shape::MaybeEmpty(&Shape::Pattern, 1000), "What it may call; empty: everything.");

/// What a key may hold.
const KEY: &[Field] = &[
    optional("key_alias", Shape::Name, "Its name."),
    optional("duration", Shape::Span, "How long it is valid; `-1`: without end."),
    MODELS,
    MAX_BUDGET,
    optional("soft_budget", Shape::Dollars, "When to warn."),
    BUDGET_DURATION,
    optional("budget_limits", Shape::MaybeEmpty(&Shape::Object(WINDOW), 7), "Further budgets."),
    TPM,
    RPM,
    optional("max_parallel_requests", Shape::Count, "Requests in flight at once."),
    optional("model_rpm_limit", Shape::ByName(&Shape::Count), "Requests a minute by model."),
    optional("model_tpm_limit", Shape::ByName(&Shape::Count), "Tokens a minute by model."),
    optional("model_max_budget", Shape::ByName(&Shape::Object(MODEL_WINDOW)), "Budgets by model."),
    optional("team_id", Shape::Name, "Its team."),
    optional("user_id", Shape::Name, "Its user."),
    ORGANIZATION,
    optional("tags", Shape::MaybeEmpty(&Shape::Name, 64), "What it is marked with."),
    optional(
        "allowed_routes",
        Shape::MaybeEmpty(&Shape::Pattern, 100),
        "Paths it may call, or `llm_api_routes` for those of all models; empty: everything.",
    ),
    optional("key_type", Shape::Word(KEY_TYPES), "`read_only` may read everything in the admin API."),
    METADATA,
    BLOCKED,
];

const OWN_KEY: Field = optional("key", Shape::Secret, "A key of one's own making.");
const WHICH: Field = required("key", Shape::Text(1024), "The key, its SHA-256 or its name.");

/// The fields of `/team/new`.
pub(in crate::api) const TEAM: &[Field] = &[
    optional("team_id", Shape::Name, "Its name."),
    optional("team_alias", Shape::Name, "Its name, where `team_id` is absent."),
    ORGANIZATION,
    MODELS,
    MAX_BUDGET,
    optional("soft_budget", Shape::Dollars, "When to warn."),
    BUDGET_DURATION,
    TPM,
    RPM,
    optional("max_parallel_requests", Shape::Count, "Requests in flight at once."),
    METADATA,
    BLOCKED,
];

/// The body of `/key/delete`.
pub(in crate::api) const DELETE: &[Field] = &[
    optional("keys", Shape::List(&Shape::Text(1024), 100), "Keys, their SHA-256 or their names."),
    optional("key_aliases", Shape::List(&Shape::Name, 100), "Names."),
];

/// The query of `/key/info`.
pub(in crate::api) const INFO: &[Field] =
    &[optional("key", Shape::Text(1024), "The key, its SHA-256 or its name; one's own unless given.")];

/// The fields of `/key/generate`.
pub(in crate::api) fn generate_fields() -> Vec<Field> {
    KEY.iter().copied().chain([OWN_KEY]).collect()
}

/// The fields of `/key/update`.
pub(in crate::api) fn update_fields() -> Vec<Field> {
    KEY.iter().copied().chain([WHICH]).collect()
}

impl Turn<'_> {
    pub(in crate::api) fn key_generate(&self) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        let asked = Asked::read(self.ask.body, &generate_fields())?;
        let mut spec = asked.spec(&Object::new(), self.now)?;
        spec.retain(|_, value| !value.is_null());
        let name = text(&asked.fields, "key_alias").map_or_else(|| self.made_name("key"), str::to_owned);
        spec.insert("name".to_owned(), json!(name));
        let secret = match text(&asked.fields, "key") {
            Some(own) => own.to_owned(),
            None => self.fresh().secret,
        };
        spec.insert("sha256".to_owned(), json!(hex(&keyring::digest(secret.as_bytes()))));
        let made = self.unmade(&spec).map_err(in_their_words)?;
        let entry = match made.as_slice() {
            [] => self.new_entry(Kind::Key, spec),
            made => self.near(&spec, made).and_then(|near| self.new_entry_among(Kind::Key, spec, &near)),
        };
        let entry = entry.map_err(in_their_words)?;
        let mut shown = info(&entry);
        shown.insert("key".to_owned(), json!(secret));
        shown.insert("spend".to_owned(), json!(0));
        let warnings = made.iter().map(|made| format!("{} was not there: it has been made", made.subject()));
        let warnings: Vec<_> = asked.warnings.iter().cloned().chain(warnings).collect();
        shown.insert("warnings".to_owned(), json!(warnings));
        Ok(self.commit_with(&made, &entry, ok(&Value::Object(shown))))
    }

    /// The user and the tags of a new key that are not there: LiteLLM's need not be made before they are
    /// named. Only for those who may make them.
    fn unmade(&self, spec: &Object) -> Result<Vec<Entry>, Fault> {
        if self.knock.reach != Reach::All {
            return Ok(Vec::new());
        }
        let directory = self.desk.directory;
        let team = text(spec, "team").and_then(|team| directory.holder(HolderKind::Team, team));
        let book = text(spec, "organisation").or(team.and_then(|team| team.organisation.as_deref()));
        let user = text(spec, "user").map(|user| (HolderKind::User, user, book));
        let tags = texts(spec, "tags").map(|tag| (HolderKind::Tag, tag, None));
        let absent =
            user.into_iter().chain(tags).filter(|(kind, name, _)| directory.holder(*kind, name).is_none());
        let made = absent.map(|(kind, name, book)| {
            let mut holder = Object::new();
            holder.insert("name".to_owned(), json!(name));
            book.into_iter().for_each(|book| drop(holder.insert("organisation".to_owned(), json!(book))));
            self.new_entry(Kind::Holder(kind), holder)
        });
        made.collect()
    }

    /// Those whom a new key names: who is there, and who is made with it.
    fn near(&self, spec: &Object, made: &[Entry]) -> Result<Directory, Fault> {
        let mut near = Directory::default();
        let one = [HolderKind::Organisation, HolderKind::Team, HolderKind::User];
        let named = one.iter().filter_map(|kind| Some((*kind, text(spec, kind.name())?)));
        let tags = texts(spec, "tags").map(|tag| (HolderKind::Tag, tag));
        for (kind, name) in named.chain(tags) {
            if let Some(holder) = self.desk.directory.holder(kind, name) {
                near.put_holder(Holder::clone(holder));
                let book = holder.organisation.as_deref();
                if let Some(book) =
                    book.and_then(|book| self.desk.directory.holder(HolderKind::Organisation, book))
                {
                    near.put_holder(Holder::clone(book));
                }
            }
        }
        for entry in made {
            if let Kind::Holder(kind) = entry.kind {
                near.put_holder(spec::read_holder(kind, &entry.spec, &self.around())?);
            }
        }
        Ok(near)
    }

    pub(in crate::api) fn key_update(&self) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        // Zero would be to start again: what was spent is forgotten by nothing here.
        if parse(self.ask.body)?.get("spend").is_some_and(|spend| !spend.is_null()) {
            let message = "spend: what was spent stays spent: raise `max_budget`, or leave it out";
            return Err(Fault::new(Code::Unsupported, message).at("spend"));
        }
        let asked = Asked::read(self.ask.body, &update_fields())?;
        let which = text(&asked.fields, "key").unwrap_or_default();
        let before = self.changeable(Kind::Key, &self.key_named(which)?)?;
        if text(&asked.fields, "key_alias").is_some_and(|name| name != before.name) {
            return Err(Fault::bad_field(
                "key_alias",
                "the key's name, which does not change",
                "another one",
            ));
        }
        let patch = asked.spec(&before.spec, self.now)?;
        let after = self.patched(&before, patch).map_err(in_their_words)?;
        let mut shown = info(&after);
        shown.insert("key".to_owned(), json!(after.name));
        shown.insert("warnings".to_owned(), json!(asked.warnings));
        Ok(self.commit(Some(&before), &after, ok(&Value::Object(shown))))
    }

    pub(in crate::api) fn key_delete(&self) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        let mut asked = parse(self.ask.body)?;
        check_object(&mut asked, DELETE, Nulls::Refused, "")?;
        let mut names = Vec::new();
        for which in texts(&asked, "keys") {
            names.push(self.key_named(which)?);
        }
        names.extend(texts(&asked, "key_aliases").map(str::to_owned));
        if names.is_empty() {
            return Err(Fault::missing_field("keys", "the keys to delete, or `key_aliases`"));
        }
        sort::sort_by(&mut names, Ord::cmp);
        names.dedup();
        let mut before = Object::new();
        let mut changes = Vec::new();
        for name in &names {
            let entry = self.changeable(Kind::Key, name)?;
            before.insert(name.clone(), Value::Object(entry.public()));
            changes.push(Change { kind: Kind::Key, name: name.clone(), spec: None });
        }
        let subjects: Vec<_> = names.iter().map(|name| format!("key:{name}")).collect();
        let mut deed = self.deed("key.delete", subjects.join(","));
        deed.before = Some(spec::bytes(&before));
        let answer = ok(&json!({"deleted_keys": names}));
        Ok(Plan::Commit(Box::new(Commit { changes, deed, answer })))
    }

    /// The spend it tells is that which the budget counts (B5); of a key without one, all of it.
    pub(in crate::api) fn key_info(&self) -> Result<Plan, Fault> {
        let asked = self.query(INFO)?;
        let name = match asked.text("key") {
            Some(which) => self.key_named(which)?,
            None => {
                self.own_key().map_err(|_| Fault::missing_field("key", "the key to tell of"))?.name.clone()
            }
        };
        let entry = self.found(Kind::Key, &name).map_err(|_| nobody())?;
        let mut rest = Object::new();
        rest.insert("key".to_owned(), json!(name));
        rest.insert("info".to_owned(), Value::Object(info(&entry)));
        if entry.spec.contains_key("budget") {
            let scopes = self.scopes(Kind::Key, &name).into_iter().take(1).collect();
            let book = entry.spec.get("organisation").and_then(Value::as_str).unwrap_or_default();
            let book = std::sync::Arc::from(book);
            return Ok(Plan::Limits(Box::new(LimitsAsk { book, scopes, form: LimitsForm::LiteLlm(rest) })));
        }
        let only = vec![Only { dimension: Dimension::Key, value: name }];
        let query = SpendQuery { from: Time(0), to: self.now + Millis(1), by: Vec::new(), only, limit: 1 };
        Ok(Plan::Spend(Box::new(SpendAsk { query, form: SpendForm::LiteLlm(rest) })))
    }

    pub(in crate::api) fn team_new(&self) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        let mut asked = Asked::read(self.ask.body, TEAM)?;
        let (id, alias) = (text(&asked.fields, "team_id"), text(&asked.fields, "team_alias"));
        let name = id.or(alias).map_or_else(|| self.made_name("team"), str::to_owned);
        if id.is_some() && alias.is_some_and(|alias| alias != name) {
            asked.warnings.push("team_alias: not kept beside team_id".to_owned());
        }
        asked.fields.shift_remove("team_id");
        let mut spec = asked.spec(&Object::new(), self.now)?;
        spec.retain(|_, value| !value.is_null());
        spec.insert("name".to_owned(), json!(name));
        let entry = self.new_entry(Kind::Holder(HolderKind::Team), spec).map_err(in_their_words)?;
        let mut shown = info(&entry);
        shown.insert("team_id".to_owned(), json!(name));
        shown.insert("team_alias".to_owned(), json!(name));
        shown.insert("warnings".to_owned(), json!(asked.warnings));
        Ok(self.commit(None, &entry, ok(&Value::Object(shown))))
    }

    /// The name of the key that is meant by itself, its SHA-256 or its name. What was given may be a
    /// secret, so no fault shows it (D3).
    fn key_named(&self, which: &str) -> Result<String, Fault> {
        let directory = self.desk.directory;
        let by_hash = from_hex(which).and_then(|digest| directory.key_of(&digest));
        let by_secret = || directory.key_of(&keyring::digest(which.as_bytes()));
        let by_name = || directory.key(which).filter(|_| is_name(which));
        let key = by_hash.or_else(by_secret).or_else(by_name);
        key.map(|key| key.name.clone()).ok_or_else(nobody)
    }

    /// A name for what is given none.
    fn made_name(&self, kind: &str) -> String {
        let digest = keyring::digest(&[b"name", &self.entropy[..]].concat());
        format!("{kind}-{}", hex(digest.get(..8).unwrap_or_default()))
    }
}

fn nobody() -> Fault {
    Fault::new(Code::NotFound, "there is no such key").at("key")
}

/// A fault that names our field names theirs.
fn in_their_words(fault: Fault) -> Fault {
    let theirs = match fault.param.as_deref() {
        Some("name") => "key_alias",
        Some("team") => "team_id",
        Some("user") => "user_id",
        Some("organisation") => "organization_id",
        Some("sha256") => "key",
        Some("expires") => "duration",
        Some("routes") => "allowed_routes",
        Some(_) | None => return fault,
    };
    fault.at(theirs)
}

/// What is stored in LiteLLM's form.
fn info(entry: &Entry) -> Object {
    let spec = &entry.spec;
    let copied = |name: &str| spec.get(name).cloned().unwrap_or_default();
    let list = |name: &str| spec.get(name).cloned().unwrap_or_else(|| json!([]));
    let first = spec.get("budget").and_then(|budgets| budgets.get(0)).and_then(Value::as_object);
    let per = first.and_then(|budget| text(budget, "per"));
    let duration = PERIODS.iter().find(|(_, ours)| Some(*ours) == per).map(|(theirs, _)| *theirs);
    let entries = [
        ("token", json!(entry.name)),
        ("key_name", json!(entry.name)),
        ("key_alias", json!(entry.name)),
        ("expires", copied("expires")),
        ("user_id", copied("user")),
        ("team_id", copied("team")),
        ("organization_id", copied("organisation")),
        ("models", list("models")),
        ("tags", list("tags")),
        ("max_budget", first.and_then(|budget| budget.get("usd")).cloned().unwrap_or_default()),
        ("budget_duration", json!(duration)),
        ("tpm_limit", copied("tpm")),
        ("rpm_limit", copied("rpm")),
        ("max_parallel_requests", copied("concurrency")),
        ("blocked", json!(spec.get("blocked") == Some(&Value::Bool(true)))),
        ("metadata", spec.get("metadata").cloned().unwrap_or_else(|| json!({}))),
    ];
    let keep = |name: &str| {
        entry.kind == Kind::Key || !matches!(name, "token" | "key_name" | "key_alias" | "team_id")
    };
    entries.into_iter().filter(|(name, _)| keep(name)).map(|(name, value)| (name.to_owned(), value)).collect()
}
