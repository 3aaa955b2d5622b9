//! Nobody gives a key more than he has himself: what a manager may give to keys of his team.

use super::Turn;
use super::shape::Object;
use super::spec::{self, text};
use crate::cache::{Caching, Share};
use crate::config::Pattern;
use crate::directory::spec::key_json;
use crate::directory::{HolderKind, IpRange, Key, Role};
use crate::fault::{Code, Fault};
use crate::limit::Limits;
use serde_json::{Value, json};
use std::net::IpAddr;

impl Turn<'_> {
    /// Fills in from the manager's own key what a new key leaves out, where leaving it out would give
    /// more than the manager has.
    pub(super) fn inherit(&self, spec: &mut Object) {
        let Some(own) = self.knock.principal.key() else { return };
        let own = spec::object(&key_json(own));
        for field in ["team", "organisation", "tags", "models", "routes", "ips", "expires"] {
            if let (false, Some(value)) = (spec.contains_key(field), own.get(field)) {
                spec.insert(field.to_owned(), value.clone());
            }
        }
    }

    /// Fails with `not_permitted`, naming the field, where a key of this spec has more than the manager
    /// who gives it. What the key had before and keeps is looked at as well: a key with more than its
    /// manager is not his to change.
    pub(super) fn no_more_than_own(&self, spec: &Object, before: Option<&Object>) -> Result<(), Fault> {
        let Some(own) = self.knock.principal.key() else { return Ok(()) };
        let theirs = spec::read_key(spec, &self.around())?;
        let team = own.team.as_deref();
        same("team", team, theirs.team.as_deref())?;
        if theirs.role != Role::Caller {
            return Err(beyond("role", "`caller`"));
        }
        all_covered("models", &own.models, &theirs.models)?;
        all_covered("routes", &own.routes, &theirs.routes)?;
        // Without any of his own a manager's clients set no tags: there empty is the narrowest.
        if let Some(tag) = theirs.client_tags.iter().find(|tag| !is_covered(&own.client_tags, tag)) {
            return Err(beyond("client_tags", &format!("the manager's own, without `{}`", tag)));
        }
        let outside = |range: &&IpRange| !own.ips.iter().any(|wide| contains(wide, range));
        if !own.ips.is_empty() && (theirs.ips.is_empty() || theirs.ips.iter().any(|range| outside(&range))) {
            return Err(beyond("ips", "addresses of the manager's own"));
        }
        if let Some(tag) = own.tags.iter().find(|tag| !theirs.tags.contains(tag)) {
            return Err(beyond("tags", &format!("the manager's own too: `{tag}` is missing")));
        }
        if own.expires.is_some_and(|own| theirs.expires.is_none_or(|theirs| theirs > own)) {
            return Err(beyond("expires", "no later than the manager's own"));
        }
        if shared(&theirs) > shared(own).max(Share::Team) {
            return Err(beyond("cache.share", "key or team, or what the manager's own has"));
        }
        self.books(own, &theirs, before)?;
        let team = team.and_then(|team| self.desk.directory.holder(HolderKind::Team, team));
        let limits = [Some(&own.scope.limits), team.map(|team| &team.scope.limits)];
        limits.into_iter().flatten().try_for_each(|most| no_higher(most, &theirs.scope.limits))
    }

    /// The organisation is the manager's, and so is that of the user the key is for.
    fn books(&self, own: &Key, theirs: &Key, before: Option<&Object>) -> Result<(), Fault> {
        same("organisation", own.organisation.as_deref(), theirs.organisation.as_deref())?;
        let had = before.and_then(|before| text(before, "user"));
        let Some(user) = theirs.user.as_deref().filter(|user| Some(*user) != had) else { return Ok(()) };
        let team = own.team.as_deref().and_then(|team| self.desk.directory.holder(HolderKind::Team, team));
        let book = own.organisation.as_deref().or(team.and_then(|team| team.organisation.as_deref()));
        let holder = self.desk.directory.holder(HolderKind::User, user);
        match holder.map(|holder| holder.organisation.as_deref()) {
            Some(theirs) if theirs == book => Ok(()),
            Some(_) | None => Err(beyond("user", "a user of the manager's organisation")),
        }
    }
}

/// Whose answers it may be given.
fn shared(key: &Key) -> Share {
    match key.cache {
        Some(Caching::Use(terms)) => terms.share.unwrap_or_default(),
        Some(Caching::Never) | None => Share::default(),
    }
}

/// What of the patterns asked for a token its parent has too; nothing asked is all the parent has. Fails
/// where nothing is left.
pub(super) fn narrowed(parent: &Key, asked: Vec<Pattern>) -> Result<Vec<Pattern>, Fault> {
    if parent.models.is_empty() || asked.is_empty() {
        return Ok(asked);
    }
    let mut left = Vec::new();
    for both in asked.iter().flat_map(|asked| parent.models.iter().filter_map(|own| own.meet(asked))) {
        if !left.contains(&both) {
            left.push(both);
        }
    }
    if left.is_empty() {
        let message = format!("models: the key `{}` may ask for none of these", parent.name);
        return Err(Fault::new(Code::NotPermitted, message).at("models"));
    }
    Ok(left)
}

/// Fails where patterns of a key go beyond those of its creator.
fn all_covered(field: &str, own: &[Pattern], theirs: &[Pattern]) -> Result<(), Fault> {
    if own.is_empty() {
        return Ok(());
    }
    if theirs.is_empty() {
        return Err(beyond(field, "some of the creator's own: without any it would be everything"));
    }
    match theirs.iter().find(|pattern| !is_covered(own, pattern)) {
        Some(pattern) => Err(beyond(field, &format!("some of the creator's own, without `{}`", pattern))),
        None => Ok(()),
    }
}

fn is_covered(own: &[Pattern], theirs: &Pattern) -> bool {
    own.iter().any(|own| match (own, theirs) {
        (Pattern::Prefix(own), Pattern::Prefix(theirs) | Pattern::Exact(theirs)) => theirs.starts_with(own),
        (Pattern::Exact(own), Pattern::Exact(theirs)) => own == theirs,
        (Pattern::Exact(_), Pattern::Prefix(_)) => false,
    })
}

fn same(field: &str, own: Option<&str>, theirs: Option<&str>) -> Result<(), Fault> {
    if own == theirs {
        return Ok(());
    }
    Err(beyond(field, &own.map_or("none".to_owned(), |own| format!("`{own}`"))))
}

fn no_higher(most: &Limits, asked: &Limits) -> Result<(), Fault> {
    let Limits { rpm, tpm, tpm_input, tpm_output, concurrency, max_requests, max_tokens, budgets } = asked;
    let pairs = [
        ("rpm", most.rpm.map(|most| most.get()), rpm.map(|asked| asked.get())),
        ("tpm", most.tpm.map(|most| most.get()), tpm.map(|asked| asked.get())),
        ("tpm_input", most.tpm_input.map(|most| most.get()), tpm_input.map(|asked| asked.get())),
        ("tpm_output", most.tpm_output.map(|most| most.get()), tpm_output.map(|asked| asked.get())),
        ("max_requests", most.max_requests.map(|most| most.get()), max_requests.map(|asked| asked.get())),
        ("max_tokens", most.max_tokens.map(|most| most.get()), max_tokens.map(|asked| asked.get())),
        ("concurrency", most.concurrency.map(|most| most.get()), concurrency.map(|asked| asked.get())),
    ];
    for (field, most, asked) in pairs {
        if let (Some(most), Some(asked)) = (most, asked)
            && asked > most
        {
            return Err(beyond(field, &format!("at most {most}")));
        }
    }
    for asked in budgets {
        let most = most.budgets.iter().find(|most| most.per == asked.per);
        if let Some(most) = most.filter(|most| most.amount < asked.amount) {
            let most = crate::price::dollars(most.amount);
            return Err(beyond("budget", &format!("at most {most} per {}", asked.per.name())));
        }
    }
    Ok(())
}

fn beyond(field: &str, expected: &str) -> Fault {
    let message = format!("{field}: a manager gives no more than he has: expected {expected}");
    Fault::new(Code::NotPermitted, message).at(field)
}

/// Whether all addresses of a range are in another.
fn contains(wide: &IpRange, narrow: &IpRange) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (32, u128::from(u32::from(address)) << 96),
        IpAddr::V6(address) => (128, u128::from(address)),
    };
    let ((family, wide_bits), (other, narrow_bits)) = (bits(wide.address), bits(narrow.address));
    let shift = 128_u32.saturating_sub(u32::from(wide.bits));
    let head = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
    family == other && wide.bits <= narrow.bits && head(wide_bits) == head(narrow_bits)
}

/// Whether a value is there and holds something: what other gateways' clients send empty means nothing.
pub(super) fn holds_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Number(_) => *value != json!(0) && *value != json!(0.0),
        Value::Bool(true) => true,
    }
}
