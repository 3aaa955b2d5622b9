//! The books of all scopes, found by name once and by place from then on.

use super::account::{Books, Fate, Remains};
use super::stored::Stored;
use crate::sort;
use crate::units::{Millis, Time};
use std::collections::HashMap;
use std::sync::Arc;

/// How many places are looked at for books that can be dropped, so that nobody waits long for it.
const STRIDE: usize = 512;

/// What tokens' names begin with.
const TOKEN: &str = "token:";

/// For clocks that differ.
const SLACK: Millis = Millis::from_secs(60);

/// The books of all scopes.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    places: Vec<Place>,
    free: Vec<usize>,
    index: HashMap<Arc<str>, usize>,
    /// Places whose books have changed since they were last given out.
    changed: Vec<usize>,
    /// Names under which books were stored that are no more.
    emptied: Vec<String>,
    /// Where the search for books that can be dropped goes on.
    cursor: usize,
}

#[derive(Debug, Default)]
struct Place {
    books: Option<Books>,
    /// Whether it is in the list of changed ones.
    listed: bool,
}

impl Shelf {
    /// Where the books of a scope are; they begin empty.
    pub(super) fn place(&mut self, name: &str) -> usize {
        if let Some(place) = self.index.get(name) {
            return *place;
        }
        let name: Arc<str> = Arc::from(name);
        let books = Some(Books::new(Arc::clone(&name)));
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.places.push(Place::default());
                self.places.len() - 1
            }
        };
        if let Some(found) = self.places.get_mut(place) {
            found.books = books;
        }
        self.index.insert(name, place);
        place
    }

    /// The books of a scope, if there are any.
    pub(super) fn find(&self, name: &str) -> Option<&Books> {
        self.at(*self.index.get(name)?)
    }

    /// The books at a place.
    pub(super) fn at(&self, place: usize) -> Option<&Books> {
        self.places.get(place)?.books.as_ref()
    }

    /// The books at a place, to be brought to the present: nothing that would have to be stored.
    pub(super) fn turn(&mut self, place: usize, now: Time) -> Option<&Books> {
        let books = self.places.get_mut(place)?.books.as_mut()?;
        books.turn(now);
        Some(books)
    }

    /// The books at a place, to be changed.
    pub(super) fn change(&mut self, place: usize) -> Option<&mut Books> {
        let found = self.places.get_mut(place)?;
        if !found.listed {
            found.listed = true;
            self.changed.push(place);
        }
        found.books.as_mut()
    }

    /// The books at a place, to be put right without any need to store them.
    pub(super) fn amend(&mut self, place: usize) -> Option<&mut Books> {
        self.places.get_mut(place)?.books.as_mut()
    }

    /// Every scope's books.
    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Books> {
        self.places.iter_mut().filter_map(|place| place.books.as_mut())
    }

    /// Drops books in which nothing is left, and those of tokens that nobody has touched for so long: of
    /// so many places now, of others next time.
    pub(super) fn shrink(&mut self, tokens: Option<Millis>, now: Time) {
        let all = self.places.len();
        for _ in 0..all.min(STRIDE) {
            self.cursor = if self.cursor + 1 < all { self.cursor + 1 } else { 0 };
            let place = self.cursor;
            let Some(found) = self.places.get_mut(place) else { return };
            let Some(books) = found.books.as_mut() else { continue };
            let over = tokens.is_some_and(|longest| is_over(books, longest, now));
            if books.shrink(now) == Remains::Something && !over {
                continue;
            }
            self.drop_at(place);
        }
    }

    /// Drops the books of these scopes and of those inside them; where something is open in them, when
    /// it has ended. Looks at every name once.
    pub(super) fn forget(&mut self, names: &[&str]) {
        let outer = |name: &str| name.split('/').next().is_some_and(|outer| names.contains(&outer));
        let those = self.index.iter().filter(|(name, _)| names.contains(&&***name) || outer(name));
        let those: Vec<usize> = those.map(|(_, place)| *place).collect();
        for place in those {
            match self.places.get_mut(place).and_then(|found| found.books.as_mut()) {
                Some(books) if !books.figures.open.is_zero() => books.fate = Fate::Forgotten,
                Some(_) => self.drop_at(place),
                None => {}
            }
        }
    }

    /// Whether stored books are no more, and nobody was told yet.
    pub(super) fn has_emptied(&self) -> bool {
        !self.emptied.is_empty()
    }

    fn drop_at(&mut self, place: usize) {
        let Some(books) = self.places.get_mut(place).and_then(|found| found.books.take()) else { return };
        self.index.remove(&books.name);
        if books.stored {
            self.emptied.push(books.name.as_ref().to_owned());
        }
        self.free.push(place);
    }

    /// Gives out, in the order of their names, the books that have changed, written by `write`.
    pub(super) fn take_changed(&mut self, write: impl Fn(&Books) -> Vec<u8>) -> Vec<Stored> {
        let mut stored = Vec::with_capacity(self.changed.len());
        let mut names = Vec::with_capacity(self.changed.len());
        for place in std::mem::take(&mut self.changed) {
            let Some(found) = self.places.get_mut(place) else { continue };
            found.listed = false;
            if let Some(books) = &mut found.books {
                books.stored = true;
                names.push((Arc::clone(&books.name), place));
            }
        }
        sort::sort_by(&mut names, Ord::cmp);
        for (name, place) in names {
            if let Some(books) = self.at(place) {
                stored.push(Stored::Account { scope: name.as_ref().to_owned(), state: write(books) });
            }
        }
        stored
    }

    /// Names of stored books that are no more.
    pub(super) fn take_emptied(&mut self) -> Vec<String> {
        let mut emptied = std::mem::take(&mut self.emptied);
        emptied.retain(|name| !self.index.contains_key(name.as_str()));
        sort::sort_by(&mut emptied, Ord::cmp);
        emptied.dedup();
        emptied
    }
}

/// Whether books are those of a token that cannot be valid any more: when it was last used, it was so for
/// the longest time at most.
fn is_over(books: &Books, longest: Millis, now: Time) -> bool {
    books.name.starts_with(TOKEN) && books.figures.open.is_zero() && books.touched + longest + SLACK <= now
}
