//! Which books know what this gateway has asked and spent, as far as it knows.
//!
//! A scope's books in Redis list the gateways whose earlier figures they have. A gateway sends its own
//! with its first request for a scope, so that this costs no call. When Redis has lost its data, the list
//! is gone with it; that shows in the answer to the next request for the scope, and in the epoch of the
//! book, which is asked for once a second. The gateway then sends its own again.

use std::collections::HashMap;
use std::sync::Arc;
use tollgate_core::ledger::Scope;

/// So many scopes are remembered; more begin anew.
const MOST: usize = 100_000;

/// What is believed of all books.
#[derive(Debug, Default)]
pub(super) struct Beliefs {
    books: HashMap<Arc<str>, Belief>,
    scopes: usize,
    /// The books, to be looked at in turn.
    round: Vec<Arc<str>>,
}

/// What is believed of one book.
#[derive(Debug, Default)]
struct Belief {
    epoch: Option<Arc<str>>,
    scopes: HashMap<String, Arc<Scope>>,
}

impl Beliefs {
    /// Whether this scope's books know what this gateway has asked and spent.
    pub(super) fn knows(&self, book: &str, scope: &Scope) -> bool {
        self.books.get(book).is_some_and(|belief| belief.scopes.contains_key(&scope.name))
    }

    /// They answered as if they did.
    pub(super) fn learn(&mut self, book: &Arc<str>, epoch: &Arc<str>, scope: &Arc<Scope>) {
        if self.scopes >= MOST {
            *self = Self::default();
        }
        let belief = self.books.entry(Arc::clone(book)).or_default();
        if belief.epoch.is_none() {
            belief.epoch = Some(Arc::clone(epoch));
        }
        if belief.scopes.insert(scope.name.clone(), Arc::clone(scope)).is_none() {
            self.scopes += 1;
        }
    }

    /// They may not: something was spent without asking them. They are told at the next look.
    pub(super) fn doubt(&mut self, book: &Arc<str>, scope: &Arc<Scope>) {
        let nothing: Arc<str> = Arc::from("");
        self.learn(book, &nothing, scope);
        if let Some(belief) = self.books.get_mut(book) {
            belief.epoch = Some(nothing);
        }
    }

    /// They do not.
    pub(super) fn forget(&mut self, book: &str, scope: &Scope) {
        if let Some(belief) = self.books.get_mut(book)
            && belief.scopes.remove(&scope.name).is_some()
        {
            self.scopes -= 1;
        }
    }

    /// The next books to be looked at.
    pub(super) fn next_books(&mut self, most: usize) -> Vec<Arc<str>> {
        if self.round.is_empty() {
            self.round = self.books.keys().cloned().collect();
        }
        let from = self.round.len().saturating_sub(most);
        self.round.split_off(from)
    }

    /// A book says its epoch. The scopes that have to be told again, if it is another than before.
    pub(super) fn on_epoch(&self, book: &str, epoch: Option<&str>) -> Vec<Arc<Scope>> {
        match self.books.get(book) {
            Some(belief) if belief.epoch.as_deref() != epoch => belief.scopes.values().cloned().collect(),
            Some(_) | None => Vec::new(),
        }
    }

    /// All scopes of a book were told, under this epoch.
    pub(super) fn told(&mut self, book: &str, epoch: &str) {
        if let Some(belief) = self.books.get_mut(book) {
            belief.epoch = Some(Arc::from(epoch));
        }
    }
}
