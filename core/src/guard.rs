//! Guardrails: phrases that must not pass, in what is asked or in what is answered.
//!
//! ```text
//! config ─▶ Guardrails ──(the names a request goes by)──▶ Guard: one list of phrases for each side
//! a request's texts ────────────────────────▶ Finder ─▶ blocked, noted
//! an answer's frames ─▶ Watch ─▶ its texts ─▶ Finder each ─▶ frames that may go, blocked, noted
//! ```
//! 1. Nothing here knows a dialect: every string of a request or an answer is a text, whatever field it
//!    stands in, so that none can be forgotten. What is no text for anybody is listed in [`texts`].
//! 2. A phrase is found over any number of frames, and no frame goes out that holds a piece of it.
//! 3. A frame waits only while the end of a text may be the beginning of a phrase that blocks.
//! 4. Neither phrases nor texts are told to anybody.

mod finder; // phrases in a text that comes in pieces
mod fold; // letters and white space, however they are written
mod texts; // the texts of a JSON value
mod watch; // a stream on its way out

pub(crate) use finder::{Finder, Phrases, folded};
pub(crate) use texts::{Piece, TextId, member, texts};
pub(crate) use watch::{Looked, More, Watch};

use crate::cache::{CacheKey, Digest};
use crate::config::{Config, Pattern, Route};
use crate::fault::{Code, Fault};
use crate::sort;
use std::fmt;
use std::sync::{Arc, RwLock};

/// The most guardrails of one config.
pub const MOST: usize = 64;

/// The longest phrase, in characters.
pub const LONGEST: usize = 256;

/// A guardrail of the config.
#[derive(Clone)]
pub struct Guardrail {
    /// For people; told where it holds something back.
    pub name: Arc<str>,
    /// Where it looks.
    pub on: Vec<Side>,
    /// What it looks for, as it is written in the config.
    pub phrases: Vec<String>,
    /// What is done about what it finds.
    pub action: Action,
    /// For which model names it holds. Empty: for all.
    pub models: Vec<Pattern>,
}

impl fmt::Debug for Guardrail {
    /// Phrases are not printed (invariant I7).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guardrail").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// What is asked.
    Input,
    /// What is answered.
    Output,
}

impl Side {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

/// What is done about a phrase that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// The call is refused, or its answer.
    Block,
    /// The record says so.
    Note,
}

impl Action {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Note => "note",
        }
    }
}

/// What a guardrail has done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guarded {
    /// The guardrail.
    pub name: Arc<str>,
    /// Where it found something, or could not look.
    pub side: Side,
    /// What it did.
    pub action: Action,
}

impl fmt::Display for Guarded {
    /// As records hold it: `block input codenames`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.action.word(), self.side.word(), self.name)
    }
}

/// Some of a config's guardrails, by their places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rails(u64);

impl Rails {
    fn with(self, at: usize) -> Self {
        Self(self.0 | 1 << (at % MOST))
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn each(self) -> impl Iterator<Item = usize> {
        (0..MOST).filter(move |at| self.0 >> at & 1 == 1)
    }
}

/// All guardrails of a config, and what has been made of them for the requests so far.
#[derive(Debug, Default)]
pub struct Guardrails {
    /// In the order of the file.
    pub all: Vec<Guardrail>,
    made: RwLock<Vec<Arc<Guard>>>,
}

impl Clone for Guardrails {
    /// Nothing is made yet: the copy may be changed.
    fn clone(&self) -> Self {
        Self::new(self.all.clone())
    }
}

impl Guardrails {
    /// These guardrails.
    pub fn new(all: Vec<Guardrail>) -> Self {
        Self { all, made: RwLock::default() }
    }

    /// What holds for a request for models by these names; absent where nothing does.
    pub(crate) fn guard(&self, names: &[&str], route: &Route, config: &Config) -> Option<Arc<Guard>> {
        let holds = |rail: &Guardrail| {
            rail.models.is_empty()
                || rail.models.iter().any(|pattern| {
                    names.iter().any(|name| pattern.matches(name)) || leads(pattern, route, config)
                })
        };
        let which = self.all.iter().enumerate().filter(|(_, rail)| holds(rail));
        let which = which.fold(Rails::default(), |which, (at, _)| which.with(at));
        (!which.is_empty()).then(|| self.of(which))
    }

    /// The guard of these, made once: there are as many as models are told apart by.
    fn of(&self, which: Rails) -> Arc<Guard> {
        const KEPT: usize = 256;
        let made = self.made.read().ok();
        if let Some(guard) = made.as_ref().and_then(|made| made.iter().find(|guard| guard.which == which)) {
            return Arc::clone(guard);
        }
        drop(made);
        let guard = Arc::new(Guard::new(&self.all, which));
        if let Ok(mut made) = self.made.write()
            && made.len() < KEPT
        {
            made.push(Arc::clone(&guard));
        }
        guard
    }
}

/// Whether a request may come to a model of this pattern by its route. One that names no model may come to
/// any of its provider's.
fn leads(pattern: &Pattern, route: &Route, config: &Config) -> bool {
    let (Pattern::Exact(text) | Pattern::Prefix(text)) = pattern;
    route.targets.iter().chain(&route.fallbacks).any(|target| {
        let provider = config.provider(target.provider).map_or("", |provider| &provider.name);
        if target.model.is_empty() {
            return config.provider_of_name(text).is_none_or(|of| of == provider);
        }
        pattern.matches(&target.model) || pattern.matches(&[provider, "/", &target.model].concat())
    })
}

/// What holds for a request.
#[derive(Debug)]
pub(crate) struct Guard {
    which: Rails,
    /// By the places of the config, with what does not hold left empty.
    names: Vec<Arc<str>>,
    blocking: Rails,
    pub(crate) input: Phrases,
    pub(crate) output: Phrases,
    /// Names these guardrails as they are.
    pub(crate) digest: CacheKey,
}

impl Guard {
    fn new(all: &[Guardrail], which: Rails) -> Self {
        let blocks = |at: &usize| all.get(*at).is_some_and(|rail| rail.action == Action::Block);
        let blocking = which.each().filter(blocks).fold(Rails::default(), Rails::with);
        let mut digest = Digest::new();
        let mut sides = [Phrases::new(blocking), Phrases::new(blocking)];
        for (at, rail) in which.each().filter_map(|at| Some((at, all.get(at)?))) {
            let Guardrail { name, on, phrases, action, models: _ } = rail;
            digest.list([name.as_bytes(), action.word().as_bytes()].into_iter());
            digest.list(on.iter().map(|side| side.word().as_bytes()));
            digest.list(phrases.iter().map(|phrase| phrase.as_bytes()));
            for side in sort::set(on) {
                let [input, output] = &mut sides;
                let to = if *side == Side::Input { input } else { output };
                phrases.iter().for_each(|phrase| to.add(phrase, Rails::default().with(at)));
            }
        }
        let [mut input, mut output] = sides;
        input.sort();
        output.sort();
        let names = all.iter().map(|rail| Arc::clone(&rail.name)).collect();
        Self { which, names, blocking, input, output, digest: digest.key() }
    }

    /// The first of those found that blocks.
    pub(crate) fn blocked(&self, found: Rails) -> Option<&Arc<str>> {
        self.names.get(found.and(self.blocking).each().next()?)
    }

    #[cfg(test)]
    pub(crate) fn blocked_names(&self, found: Rails) -> impl Iterator<Item = &str> {
        found.and(self.blocking).each().filter_map(|at| self.names.get(at)).map(|name| &**name)
    }

    /// Those found that only note it.
    pub(crate) fn noted(&self, found: Rails, side: Side) -> impl Iterator<Item = Guarded> {
        let noted = Rails(found.0 & !self.blocking.0);
        let names = noted.each().filter_map(|at| self.names.get(at));
        names.map(move |name| Guarded { name: Arc::clone(name), side, action: Action::Note })
    }

    /// Any of them.
    pub(crate) fn any(&self) -> Option<&Arc<str>> {
        self.strict().or_else(|| self.names.get(self.which.each().next()?))
    }

    /// One that blocks, where something cannot be looked at on either side.
    pub(crate) fn strict(&self) -> Option<&Arc<str>> {
        self.blocked(self.which)
    }
}

/// What a client is told.
pub(crate) fn refusal(guardrail: &str, where_to: &str) -> Fault {
    Fault::new(Code::GuardrailBlocked, format!("the guardrail `{guardrail}` does not let {where_to} pass"))
}

/// The same where nobody can look.
pub(crate) fn unseen(guardrail: &str, what: &str) -> Fault {
    let message = format!("the guardrail `{guardrail}` holds here, and {what} cannot be looked at");
    Fault::new(Code::GuardrailBlocked, message)
}

#[cfg(test)]
mod tests;
