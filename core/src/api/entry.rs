//! Organisations, teams, users, tags and keys: listed, shown, made, changed, deleted.

use super::answer::{answer, object, ok};
use super::routes::Reach;
use super::shape::{Field, Nulls, Object, Shape, body, check_object, dollars, optional, required};
use super::spec::{self, hex, text};
use super::{Change, Commit, Kind, Plan, Turn, conflict, not_found, question};
use crate::directory::spec::{Around, holder_json, key_json};
use crate::directory::{Directory, HolderKind};
use crate::fault::{Code, Fault};
use crate::keyring;
use crate::limit::Period;
use crate::units::{Millis, NanoDollars};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderValue, LOCATION};
use serde_json::{Value, json};

/// The body of a top-up.
pub(super) const TOP_UP: &[Field] = &[required("usd", Shape::Dollars, "By how much.")];

/// The body of a rotation.
pub(super) const ROTATE: &[Field] =
    &[optional("grace", Shape::Span, "How long the old secret stays valid; absent: not at all.")];

/// The longest a retired secret stays valid.
const LONGEST_GRACE: Millis = Millis::from_secs(90 * 86_400);

/// Whether a key is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocked {
    Yes,
    No,
}

/// What is stored, or is to be, in its stored form.
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) spec: Object,
}

impl Entry {
    /// Reads a spec and brings it to the form in which it is stored.
    pub(super) fn read(kind: Kind, spec: &Object, around: &Around<'_>) -> Result<Self, Fault> {
        let spec = spec::read(kind, spec, around)?;
        let name = text(&spec, "name").unwrap_or_default().to_owned();
        Ok(Self { kind, name, spec })
    }

    /// Its name with its kind.
    pub(super) fn subject(&self) -> String {
        format!("{}:{}", self.kind.name(), self.name)
    }

    /// What may be seen of it: no hash.
    pub(super) fn public(&self) -> Object {
        let mut public = self.spec.clone();
        public.shift_remove("sha256");
        let previous = public.shift_remove("previous");
        if let Some(until) = previous.as_ref().and_then(|previous| previous.get("until")) {
            public.insert("previous_until".to_owned(), until.clone());
        }
        public
    }

    fn bytes(&self) -> Bytes {
        spec::bytes(&self.public())
    }

    fn change(&self) -> Change {
        Change { kind: self.kind, name: self.name.clone(), spec: Some(spec::bytes(&self.spec)) }
    }
}

/// A secret that was made for a key.
pub(super) struct Fresh {
    pub(super) secret: String,
    pub(super) sha256: String,
}

impl Turn<'_> {
    pub(super) fn list(&self, kind: Kind) -> Result<Plan, Fault> {
        let query = self.query(question::PAGE)?;
        let after = query.text("after").unwrap_or_default();
        let limit = query.limit();
        let found = self.after(kind, after).filter(|entry| self.sees(entry));
        let mut found: Vec<_> = found.take(limit.saturating_add(1)).collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|last| last.name.clone());
        let data: Vec<_> = found.iter().map(|entry| self.shown(entry)).collect();
        Ok(Plan::Answer(ok(&json!({"data": data, "next": next}))))
    }

    pub(super) fn show(&self, kind: Kind) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        let entry = self.found(kind, &self.knock.arrival.name)?;
        Ok(Plan::Answer(ok(&self.shown(&entry))))
    }

    pub(super) fn create(&self, kind: Kind) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        if kind == Kind::Key && super::alias::bifrost::is_one(self.ask.body) {
            return self.bifrost_key();
        }
        if kind != Kind::Key {
            let spec = body(self.ask.body, spec::fields(kind), Nulls::Refused)?;
            let entry = self.new_entry(kind, spec)?;
            let shown = self.shown(&entry);
            return Ok(self.commit(None, &entry, self.created(&entry, &shown)));
        }
        let fields: Vec<Field> = spec::KEY_FIELDS.iter().copied().chain([spec::DIGEST]).collect();
        let mut spec = body(self.ask.body, &fields, Nulls::Refused)?;
        let fresh = if spec.contains_key("sha256") { None } else { Some(self.fresh()) };
        if let Some(fresh) = &fresh {
            spec.insert("sha256".to_owned(), json!(fresh.sha256));
        }
        let entry = self.new_entry(kind, spec)?;
        let shown = self.shown_with(&entry, fresh);
        Ok(self.commit(None, &entry, self.created(&entry, &shown)))
    }

    pub(super) fn update(&self, kind: Kind) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        let patch = body(self.ask.body, spec::fields(kind), Nulls::Remove)?;
        let before = self.changeable(kind, &self.knock.arrival.name)?;
        let after = self.patched(&before, patch)?;
        let shown = self.shown(&after);
        Ok(self.commit(Some(&before), &after, ok(&shown)))
    }

    pub(super) fn delete(&self, kind: Kind) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        self.no_body()?;
        let before = self.changeable(kind, &self.knock.arrival.name)?;
        self.unused(kind, &before.name)?;
        let mut deed = self.deed(&format!("{}.delete", kind.name()), before.subject());
        deed.before = Some(before.bytes());
        let changes = vec![Change { kind, name: before.name.clone(), spec: None }];
        let answer = ok(&json!({"name": before.name, "deleted": true}));
        Ok(Plan::Commit(Box::new(Commit { changes, deed, answer })))
    }

    pub(super) fn top_up(&self, kind: Kind) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        let asked = body(self.ask.body, TOP_UP, Nulls::Refused)?;
        let by = asked.get("usd").and_then(spec::amount).unwrap_or_default();
        let before = self.changeable(kind, &self.knock.arrival.name)?;
        let mut spec = before.spec.clone();
        let budgets = spec.get_mut("budget").and_then(Value::as_array_mut);
        let never = |budget: &&mut Value| budget.get("per") == Some(&json!(Period::Never.name()));
        let prepaid = budgets.and_then(|budgets| budgets.iter_mut().find(never));
        let Some(Value::Object(prepaid)) = prepaid else {
            let subject = before.subject();
            return Err(conflict(format!(
                "{subject} has no budget per `never`, so nothing is prepaid: add one"
            )));
        };
        let had = prepaid.get("usd").and_then(spec::amount).unwrap_or_default();
        prepaid.insert("usd".to_owned(), dollars(NanoDollars(had.get().saturating_add(by.get()))));
        check_object(prepaid, spec::BUDGET, Nulls::Refused, "budget")?;
        let after = self.saved(kind, &before, spec)?;
        let shown = self.shown(&after);
        Ok(self.commit_as("topup", Some(&before), &after, ok(&shown)))
    }

    pub(super) fn rotate(&self) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        let asked = body(self.ask.body, ROTATE, Nulls::Refused)?;
        let grace = text(&asked, "grace").and_then(super::shape::span);
        if grace.is_some_and(|grace| grace > LONGEST_GRACE) {
            return Err(Fault::bad_field("grace", "at most 90d", "a longer one"));
        }
        let before = self.changeable(Kind::Key, &self.knock.arrival.name)?;
        let fresh = self.fresh();
        let mut spec = before.spec.clone();
        spec.shift_remove("previous");
        if let (Some(grace), Some(old)) = (grace, text(&before.spec, "sha256")) {
            let until = spec::written(self.now + grace);
            spec.insert("previous".to_owned(), json!({"sha256": old, "until": until}));
        }
        spec.insert("sha256".to_owned(), json!(fresh.sha256));
        let after = self.saved(Kind::Key, &before, spec)?;
        let shown = self.shown_with(&after, Some(fresh));
        Ok(self.commit_as("rotate", Some(&before), &after, ok(&shown)))
    }

    pub(super) fn set_blocked(&self, blocked: Blocked) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        self.no_body()?;
        let before = self.changeable(Kind::Key, &self.knock.arrival.name)?;
        let mut spec = before.spec.clone();
        spec.insert("blocked".to_owned(), json!(blocked == Blocked::Yes));
        let after = self.saved(Kind::Key, &before, spec)?;
        let action = if blocked == Blocked::Yes { "block" } else { "unblock" };
        let shown = self.shown(&after);
        Ok(self.commit_as(action, Some(&before), &after, ok(&shown)))
    }

    /// A secret of 256 random bits.
    pub(super) fn fresh(&self) -> Fresh {
        let secret = format!("tg-{}", URL_SAFE_NO_PAD.encode(self.entropy));
        let sha256 = hex(&keyring::digest(secret.as_bytes()));
        Fresh { secret, sha256 }
    }

    /// Checks everything about a new entry that its types do not tell.
    pub(super) fn new_entry(&self, kind: Kind, spec: Object) -> Result<Entry, Fault> {
        self.new_entry_among(kind, spec, self.desk.directory)
    }

    /// The same for one that may refer to those of `near`.
    pub(super) fn new_entry_among(
        &self,
        kind: Kind,
        mut spec: Object,
        near: &Directory,
    ) -> Result<Entry, Fault> {
        if kind == Kind::Key && self.knock.reach == Reach::Team {
            self.inherit(&mut spec);
        }
        spec.insert("created".to_owned(), json!(spec::written(self.now)));
        let name = text(&spec, "name").unwrap_or_default();
        if self.entry(kind, name).is_some() {
            return Err(conflict(format!("{}:{name} is there already", kind.name())).at("name"));
        }
        known(&spec, near)?;
        let entry = Entry::read(kind, &spec, &Around::written(self.desk.config, near))?;
        self.checked(&entry, None)?;
        Ok(entry)
    }

    /// An entry with some of its fields replaced, and what is `null` removed.
    pub(super) fn patched(&self, before: &Entry, patch: Object) -> Result<Entry, Fault> {
        let mut spec = before.spec.clone();
        for (name, value) in patch {
            if value.is_null() {
                spec.shift_remove(&name);
            } else {
                spec.insert(name, value);
            }
        }
        self.saved(before.kind, before, spec)
    }

    fn saved(&self, kind: Kind, before: &Entry, spec: Object) -> Result<Entry, Fault> {
        known(&spec, self.desk.directory)?;
        let after = Entry::read(kind, &spec, &self.around())?;
        if after.name != before.name {
            let expected = format!("`{}`, since names do not change", before.name);
            return Err(Fault::bad_field("name", expected, "another one"));
        }
        self.checked(&after, Some(before))?;
        Ok(after)
    }

    /// What names in specs are looked up in.
    pub(super) fn around(&self) -> Around<'_> {
        Around::written(self.desk.config, self.desk.directory)
    }

    /// Its secret is its own, and who gives it has no less.
    fn checked(&self, entry: &Entry, before: Option<&Entry>) -> Result<(), Fault> {
        let directory = self.desk.directory;
        if entry.kind != Kind::Key {
            return Ok(());
        }
        let digest = text(&entry.spec, "sha256").and_then(spec::from_hex);
        let other = digest.and_then(|digest| directory.key_of(&digest)).filter(|key| key.name != entry.name);
        if other.is_some() {
            return Err(conflict("another key has this SHA-256").at("sha256"));
        }
        match self.knock.reach {
            Reach::Team => self.no_more_than_own(&entry.spec, before.map(|before| &before.spec)),
            Reach::All | Reach::Own | Reach::Nothing => Ok(()),
        }
    }

    /// Nothing refers to it.
    fn unused(&self, kind: Kind, name: &str) -> Result<(), Fault> {
        let Kind::Holder(holder) = kind else { return Ok(()) };
        let refers = |entry: &Entry| match holder {
            HolderKind::Tag => spec::texts(&entry.spec, "tags").any(|tag| tag == name),
            HolderKind::Organisation | HolderKind::Team | HolderKind::User => {
                text(&entry.spec, holder.name()) == Some(name)
            }
        };
        let kinds = [HolderKind::Team, HolderKind::User, HolderKind::Tag].map(Kind::Holder);
        let kinds = kinds.into_iter().chain([Kind::Key]);
        let mut users = kinds.flat_map(|kind| self.after(kind, "")).filter(refers);
        let named: Vec<_> = users.by_ref().take(3).map(|entry| entry.subject()).collect();
        if named.is_empty() {
            return Ok(());
        }
        let more = match users.count() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Err(conflict(format!("{}:{name} is in use by {}{more}", holder.name(), named.join(", "))))
    }

    /// Every entry of a kind, by name, those after this one.
    pub(super) fn after<'t>(&'t self, kind: Kind, after: &'t str) -> Box<dyn Iterator<Item = Entry> + 't> {
        let directory = self.desk.directory;
        let entry =
            move |name: &str, spec: &Bytes| Entry { kind, name: name.to_owned(), spec: spec::object(spec) };
        match kind {
            Kind::Key => {
                Box::new(directory.keys_from(after).map(move |key| entry(&key.name, &key_json(key))))
            }
            Kind::Holder(holder) => {
                let holders = directory.holders_from(holder, after);
                Box::new(holders.map(move |one| entry(&one.name, &holder_json(one))))
            }
        }
    }

    /// The entry of a name.
    pub(super) fn entry(&self, kind: Kind, name: &str) -> Option<Entry> {
        let directory = self.desk.directory;
        let spec = match kind {
            Kind::Key => key_json(directory.key(name)?),
            Kind::Holder(kind) => holder_json(directory.holder(kind, name)?),
        };
        Some(Entry { kind, name: name.to_owned(), spec: spec::object(&spec) })
    }

    /// The entry of a name, for who may see it. To others it does not exist.
    pub(super) fn found(&self, kind: Kind, name: &str) -> Result<Entry, Fault> {
        let entry = self.entry(kind, name).filter(|entry| self.sees(entry));
        entry.ok_or_else(|| not_found(kind.name(), name))
    }

    /// Whether an entry is within reach.
    fn sees(&self, entry: &Entry) -> bool {
        let own = self.knock.principal.key();
        match (self.knock.reach, entry.kind) {
            (Reach::All, _) => true,
            (Reach::Team, Kind::Key) => {
                own.is_some_and(|own| own.team.as_deref() == text(&entry.spec, "team"))
            }
            (Reach::Team, Kind::Holder(HolderKind::Team)) => {
                own.is_some_and(|own| own.team.as_deref() == Some(entry.name.as_str()))
            }
            (Reach::Own, Kind::Key) => own.is_some_and(|own| own.name == entry.name),
            (Reach::Team | Reach::Own | Reach::Nothing, _) => false,
        }
    }

    /// The entry of a name, if it may be changed.
    pub(super) fn changeable(&self, kind: Kind, name: &str) -> Result<Entry, Fault> {
        let entry = self.found(kind, name)?;
        if self.desk.directory.is_fixed(kind, name) {
            let message =
                format!("{} stands in the config file, which is where it is changed", entry.subject());
            return Err(conflict(message));
        }
        // A manager who could rotate or unblock a key with more rights would have them.
        if kind == Kind::Key && self.knock.reach == Reach::Team {
            self.no_more_than_own(&entry.spec, Some(&entry.spec))?;
        }
        Ok(entry)
    }

    /// An entry as answers show it.
    pub(super) fn shown(&self, entry: &Entry) -> Value {
        let fixed = self.desk.directory.is_fixed(entry.kind, &entry.name);
        let mut shown = entry.public();
        shown.insert("source".to_owned(), json!(if fixed { "config" } else { "store" }));
        Value::Object(shown)
    }

    fn shown_with(&self, entry: &Entry, fresh: Option<Fresh>) -> Value {
        let mut shown = self.shown(entry);
        if let (Value::Object(shown), Some(fresh)) = (&mut shown, fresh) {
            shown.insert("key".to_owned(), json!(fresh.secret));
        }
        shown
    }

    fn created(&self, entry: &Entry, shown: &Value) -> http::Response<Bytes> {
        let mut created = answer(StatusCode::CREATED, shown);
        let place = format!("/api/{}s/{}", entry.kind.name(), escaped(&entry.name));
        if let Ok(place) = HeaderValue::try_from(place) {
            created.headers_mut().insert(LOCATION, place);
        }
        created
    }

    /// Stores an entry in place of what was there.
    pub(super) fn commit(
        &self,
        before: Option<&Entry>,
        after: &Entry,
        answer: http::Response<Bytes>,
    ) -> Plan {
        let action = if before.is_some() { "update" } else { "create" };
        self.commit_as(action, before, after, answer)
    }

    /// Stores a new entry with those that are made for it.
    pub(super) fn commit_with(&self, made: &[Entry], entry: &Entry, answer: http::Response<Bytes>) -> Plan {
        let mut deed = self.deed(&format!("{}.create", entry.kind.name()), entry.subject());
        let mut after = entry.public();
        if !made.is_empty() {
            let made = made.iter().map(|made| (made.subject(), Value::Object(made.public())));
            after.insert("made".to_owned(), Value::Object(made.collect()));
        }
        deed.after = Some(spec::bytes(&after));
        let changes = made.iter().chain([entry]).map(Entry::change).collect();
        Plan::Commit(Box::new(Commit { changes, deed, answer }))
    }

    fn commit_as(
        &self,
        action: &str,
        before: Option<&Entry>,
        after: &Entry,
        answer: http::Response<Bytes>,
    ) -> Plan {
        let mut deed = self.deed(&format!("{}.{action}", after.kind.name()), after.subject());
        deed.before = before.map(Entry::bytes);
        deed.after = Some(after.bytes());
        Plan::Commit(Box::new(Commit { changes: vec![after.change()], deed, answer }))
    }

    /// For operations that take no body.
    pub(super) fn no_body(&self) -> Result<(), Fault> {
        body(self.ask.body, &[], Nulls::Refused).map(drop)
    }

    pub(super) fn me(&self) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        let principal = &self.knock.principal;
        let entry = principal.key().and_then(|key| self.entry(Kind::Key, &key.name));
        let me = object([
            ("actor", json!(principal.actor())),
            ("role", json!(principal.role().name())),
            ("key", entry.map_or(Value::Null, |entry| self.shown(&entry))),
        ]);
        Ok(Plan::Answer(ok(&Value::Object(me))))
    }

    /// The one key a request is about whose caller has one.
    pub(super) fn own_key(&self) -> Result<&crate::directory::Key, Fault> {
        let key = self.knock.principal.key().map(AsRef::as_ref);
        key.ok_or_else(|| Fault::new(Code::BadField, "the admin key has no key of its own"))
    }
}

/// Whom a spec refers to exists.
fn known(spec: &Object, directory: &Directory) -> Result<(), Fault> {
    let exists = |kind: HolderKind, name: &str, field: &str| {
        directory.holder(kind, name).map(drop).ok_or_else(|| not_found(kind.name(), name).at(field))
    };
    for kind in [HolderKind::Organisation, HolderKind::Team, HolderKind::User] {
        text(spec, kind.name()).map_or(Ok(()), |name| exists(kind, name, kind.name()))?;
    }
    spec::texts(spec, "tags").try_for_each(|tag| exists(HolderKind::Tag, tag, "tags"))
}

/// A name as a segment of a path.
pub fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(one).collect()
}
