//! Organisations, teams, users, tags and keys, as they are written: in the config, and one by one in
//! the admin API and the store.

use super::cache::Caching;
use super::limits::{LIMITS, limits, some_limits};
use super::required;
use crate::config::fault::{Errors, show};
use crate::config::read::{Cell, Spot, Table, Word};
use crate::config::tree::{Node, Value};
use crate::directory::{HolderKind, IpRange, Remarks, Role};
use crate::limit::Limits;
use crate::limit::calendar::Zone;
use crate::units::Time;

pub(super) const HOLDER: &[&str] = &["name", "organisation", "models", "limits", "end_user", "blocked"];
const ORGANISATION: &[&str] = &["name", "models", "limits", "end_user", "blocked"];
pub(super) const KEY: &[&str] = &[
    "name",
    VALUE,
    "sha256",
    "previous",
    "organisation",
    "team",
    "user",
    "tags",
    "client_tags",
    "models",
    "routes",
    "ips",
    "role",
    "limits",
    "end_user",
    "cache",
    "expires",
    "blocked",
];
/// Known everywhere, so that where it must not stand it is told why.
const VALUE: &str = "value";
pub(super) const PREVIOUS: &[&str] = &["sha256", "until"];
pub(super) const WITHIN: &[&str] = &["model", "provider"];
pub(super) const REMARKS: &[&str] = &["created", "note", "metadata"];

/// Bytes of a note, and of metadata.
const MAX_NOTE: usize = 4 * 1024;
const MAX_METADATA: usize = 16 * 1024;
/// Entries of one list of names, patterns or limits.
const MAX_LISTED: usize = 1000;

const ROLES: &[Word<Role>] = &[
    Word { name: "caller", value: Role::Caller },
    Word { name: "viewer", value: Role::Viewer },
    Word { name: "manager", value: Role::Manager },
    Word { name: "admin", value: Role::Admin },
];

/// The table of a document that lists holders of a kind.
pub(in crate::config) const fn table_of(kind: HolderKind) -> &'static str {
    match kind {
        HolderKind::Organisation => "organisations",
        HolderKind::Team => "teams",
        HolderKind::User => "users",
        HolderKind::Tag => "tags",
    }
}

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Home {
    /// In the config.
    Document,
    /// Alone, in the admin API or the store: there is no secret in it, and no way to the host's.
    Alone,
}

/// One of `[[organisations]]`, `[[teams]]`, `[[users]]`, `[[tags]]`
pub(in crate::config) struct Holder {
    pub(in crate::config) kind: HolderKind,
    pub(in crate::config) name: Spot<String>,
    pub(in crate::config) organisation: Option<Spot<String>>,
    pub(in crate::config) models: Vec<Spot<String>>,
    pub(in crate::config) bounds: Bounds,
    pub(in crate::config) blocked: bool,
    pub(in crate::config) created: Option<Time>,
    pub(in crate::config) remarks: Option<Remarks>,
}

/// `[[keys]]`
pub(in crate::config) struct Key {
    pub(in crate::config) name: Spot<String>,
    pub(in crate::config) material: Material,
    pub(in crate::config) previous: Option<Previous>,
    pub(in crate::config) organisation: Option<Spot<String>>,
    pub(in crate::config) team: Option<Spot<String>>,
    pub(in crate::config) user: Option<Spot<String>>,
    pub(in crate::config) tags: Vec<Spot<String>>,
    pub(in crate::config) client_tags: Vec<Spot<String>>,
    pub(in crate::config) models: Vec<Spot<String>>,
    pub(in crate::config) routes: Vec<Spot<String>>,
    pub(in crate::config) ips: Vec<IpRange>,
    pub(in crate::config) role: Role,
    pub(in crate::config) bounds: Bounds,
    pub(in crate::config) cache: Option<Caching>,
    pub(in crate::config) expires: Option<Time>,
    pub(in crate::config) blocked: bool,
    pub(in crate::config) created: Option<Time>,
    pub(in crate::config) remarks: Option<Remarks>,
}

/// What a key was before it was rotated.
pub(in crate::config) struct Previous {
    pub(in crate::config) sha256: Spot<[u8; 32]>,
    pub(in crate::config) until: Time,
}

/// What a virtual key is recognised by.
pub(in crate::config) enum Material {
    /// The key, or where it is found.
    Value(Spot<String>),
    /// Its SHA-256.
    Digest(Spot<[u8; 32]>),
}

/// What may be consumed: in all, of some models or providers, by each end user.
pub(in crate::config) struct Bounds {
    pub(in crate::config) limits: Limits,
    pub(in crate::config) within: Vec<Within>,
    pub(in crate::config) end_user: Option<Limits>,
}

/// One of `limits`
pub(in crate::config) struct Within {
    pub(in crate::config) what: What,
    pub(in crate::config) limits: Limits,
}

/// What limits are for.
pub(in crate::config) enum What {
    Model(Spot<String>),
    Provider(Spot<String>),
}

impl Holder {
    pub(in crate::config) fn read(
        kind: HolderKind,
        cell: &Cell<'_>,
        zone: &Zone,
        errors: &mut Errors,
    ) -> Option<Self> {
        let own = if kind == HolderKind::Organisation { ORGANISATION } else { HOLDER };
        let table = Table::read(cell, &[own, LIMITS, REMARKS].concat(), errors)?;
        let of_another = table.get("organisation").filter(|_| kind != HolderKind::Organisation);
        let organisation = of_another.and_then(|cell| cell.name(errors));
        let models = table.get("models").map_or_else(Vec::new, |cell| patterns(&cell, "model", errors));
        let bounds = Bounds::read(&table, zone, errors);
        let blocked = table.get("blocked").and_then(|cell| cell.truth(errors)).unwrap_or(false);
        let created = table.get("created").and_then(|cell| cell.moment(errors)).map(|at| at.value);
        let remarks = remarks(&table, errors);
        let name = name(&table, "what keys call it", errors)?;
        Some(Self { kind, name, organisation, models, bounds, blocked, created, remarks })
    }
}

impl Key {
    pub(in crate::config) fn read(
        cell: &Cell<'_>,
        home: Home,
        zone: &Zone,
        errors: &mut Errors,
    ) -> Option<Self> {
        let table = Table::read(cell, &[KEY, LIMITS, REMARKS].concat(), errors)?;
        let mut one = |field: &str| table.get(field).and_then(|cell| cell.name(errors));
        let (organisation, team, user) = (one("organisation"), one("team"), one("user"));
        let mut names = |field: &str| table.get(field).map_or_else(Vec::new, |cell| names(&cell, errors));
        let (tags, client_tags) = (names("tags"), names("client_tags"));
        let mut some = |field: &str, what: &str| {
            table.get(field).map_or_else(Vec::new, |cell| patterns(&cell, what, errors))
        };
        let (models, routes) = (some("models", "model"), some("routes", "path"));
        let ips = table.get("ips").map_or_else(Vec::new, |cell| {
            refuse_empty(&cell, "address", errors);
            cell.ranges(errors)
        });
        let role = table.get("role").and_then(|cell| cell.word("role", ROLES, errors));
        let bounds = Bounds::read(&table, zone, errors);
        let cache = table.get("cache").and_then(|cell| Caching::read(&cell, errors));
        let mut moment = |field: &str| table.get(field)?.moment(errors).map(|moment| moment.value);
        let (expires, created) = (moment("expires"), moment("created"));
        let blocked = table.get("blocked").and_then(|cell| cell.truth(errors)).unwrap_or(false);
        let remarks = remarks(&table, errors);
        let previous = table.get("previous").and_then(|cell| Previous::read(&cell, errors));
        let name = name(&table, "what logs call it", errors);
        let material = Material::read(&table, home, errors);
        Some(Self {
            name: name?,
            material: material?,
            previous,
            organisation,
            team,
            user,
            tags,
            client_tags,
            models,
            routes,
            ips,
            role: role.map_or(Role::default(), |role| role.value),
            bounds,
            cache,
            expires,
            blocked,
            created,
            remarks,
        })
    }
}

impl Previous {
    fn read(cell: &Cell<'_>, errors: &mut Errors) -> Option<Self> {
        let table = Table::read(cell, PREVIOUS, errors)?;
        for (field, what) in [("sha256", "the SHA-256 it had"), ("until", "when it is refused")] {
            if table.get(field).is_none() {
                errors.push(&table.place, format!("`{field}` is missing"), format!("add `{field}`: {what}"));
            }
        }
        let digest = table.get("sha256").and_then(|cell| digest(&cell, errors));
        let until = table.get("until").and_then(|cell| cell.moment(errors));
        Some(Self { sha256: digest?, until: until?.value })
    }
}

impl Material {
    fn read(table: &Table<'_>, home: Home, errors: &mut Errors) -> Option<Self> {
        match (table.get(VALUE), table.get("sha256")) {
            (Some(value), _) if home == Home::Alone => {
                errors.push(&value.place, "a key itself does not stand here", "send its `sha256`");
                None
            }
            (Some(value), None) => value.text(errors).map(Self::Value),
            (None, Some(cell)) => digest(&cell, errors).map(Self::Digest),
            (Some(_), Some(digest)) => {
                errors.push(&digest.place, "`sha256` stands beside `value`", "keep one of the two");
                None
            }
            (None, None) => {
                let fix = match home {
                    Home::Document => r#"add `value = "env:NAME"` or `sha256 = "<64 hexadecimal digits>"`"#,
                    Home::Alone => "add `sha256`: the key's SHA-256 as 64 hexadecimal digits",
                };
                errors.push(&table.place, "the key itself is missing", fix);
                None
            }
        }
    }

    /// Where it stands.
    pub(in crate::config) fn place(&self) -> &crate::config::fault::Place {
        match self {
            Self::Value(spot) => &spot.place,
            Self::Digest(spot) => &spot.place,
        }
    }
}

impl Bounds {
    fn read(table: &Table<'_>, zone: &Zone, errors: &mut Errors) -> Self {
        let own = limits(table, zone, errors);
        let listed = table.get("limits").map_or_else(Vec::new, |cell| few(&cell, errors));
        let within = listed.iter().filter_map(|cell| Within::read(cell, zone, errors)).collect();
        let end_user = table.get("end_user").and_then(|cell| {
            let table = Table::read(&cell, LIMITS, errors)?;
            some_limits(&table, zone, errors)
        });
        Self { limits: own, within, end_user }
    }
}

impl Within {
    fn read(cell: &Cell<'_>, zone: &Zone, errors: &mut Errors) -> Option<Self> {
        let table = Table::read(cell, &[WITHIN, LIMITS].concat(), errors)?;
        let limits = some_limits(&table, zone, errors);
        let what = match (table.get("model"), table.get("provider")) {
            (Some(model), None) => model.one_name(errors).map(What::Model),
            (None, Some(provider)) => provider.one_name(errors).map(What::Provider),
            (Some(_), Some(provider)) => {
                errors.push(&provider.place, "`provider` stands beside `model`", "make two entries of it");
                None
            }
            (None, None) => {
                let fix = r#"add `model = "gpt-4o*"` or `provider = "openai"`"#;
                errors.push(&table.place, "neither `model` nor `provider` is named", fix);
                None
            }
        };
        Some(Self { what: what?, limits: limits? })
    }
}

/// A name that must be there.
fn name(table: &Table<'_>, what: &str, errors: &mut Errors) -> Option<Spot<String>> {
    match table.get("name") {
        Some(cell) => cell.name(errors),
        None => required(table, "name", what, errors),
    }
}

/// A list of names, each once.
fn names(cell: &Cell<'_>, errors: &mut Errors) -> Vec<Spot<String>> {
    let mut names: Vec<Spot<String>> = Vec::new();
    for item in few(cell, errors) {
        let Some(name) = item.text(errors) else { continue };
        if names.iter().any(|earlier| earlier.value == name.value) {
            errors.push(&name.place, format!("{} is there twice", show(&name.value)), "remove one");
            continue;
        }
        names.push(name);
    }
    names
}

/// A list of patterns that are not meant to be none.
fn patterns(cell: &Cell<'_>, what: &str, errors: &mut Errors) -> Vec<Spot<String>> {
    refuse_empty(cell, what, errors);
    names(cell, errors)
}

fn refuse_empty(cell: &Cell<'_>, what: &str, errors: &mut Errors) {
    if cell.is_empty_list() {
        let fix = "name some, or leave the field out to allow all";
        errors.push(&cell.place, format!("an empty list allows no {what}"), fix);
    }
}

/// A list, or one item that stands for a list of one; not longer than anyone needs.
pub(super) fn few<'a>(cell: &Cell<'a>, errors: &mut Errors) -> Vec<Cell<'a>> {
    let mut items = cell.one_or_more(errors);
    if items.len() > MAX_LISTED {
        let message = format!("{} entries are more than {MAX_LISTED}", items.len());
        errors.push(&cell.place, message, "write fewer");
        items.truncate(MAX_LISTED);
    }
    items
}

fn digest(cell: &Cell<'_>, errors: &mut Errors) -> Option<Spot<[u8; 32]>> {
    let expected = "the key's SHA-256 as 64 hexadecimal digits";
    let digest = cell.parsed_text(expected, crate::config::values::sha256, errors)?;
    Some(Spot { value: digest, place: cell.place.clone() })
}

/// `note` and `metadata`.
fn remarks(table: &Table<'_>, errors: &mut Errors) -> Option<Remarks> {
    let note = table.get("note").and_then(|cell| {
        let note = cell.text(errors)?;
        bounded(&cell, note.value, MAX_NOTE, errors)
    });
    let metadata = table.get("metadata").and_then(|cell| {
        Table::open(&cell, errors)?;
        let mut text = String::new();
        write_json(cell.node, &mut text);
        bounded(&cell, text, MAX_METADATA, errors)
    });
    (note.is_some() || metadata.is_some()).then_some(Remarks { note, metadata })
}

fn bounded(cell: &Cell<'_>, text: String, most: usize, errors: &mut Errors) -> Option<String> {
    if text.len() > most {
        errors.push(
            &cell.place,
            format!("{} bytes are too many", text.len()),
            format!("keep it below {most}"),
        );
        return None;
    }
    Some(text)
}

/// A value as JSON. Numbers keep their spelling where JSON has it, and else become strings.
fn write_json(node: &Node, out: &mut String) {
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) if serde_json::from_str::<serde_json::Number>(number).is_ok() => {
            out.push_str(number);
        }
        Value::Number(text) | Value::Text(text) | Value::Date(text) => quote(text, out),
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                out.push(if index == 0 { '[' } else { ',' });
                write_json(item, out);
            }
            out.push_str(if items.is_empty() { "[]" } else { "]" });
        }
        Value::Table(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                out.push(if index == 0 { '{' } else { ',' });
                quote(&entry.name, out);
                out.push(':');
                write_json(&entry.node, out);
            }
            out.push_str(if entries.is_empty() { "{}" } else { "}" });
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}
