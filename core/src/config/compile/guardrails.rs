//! Guardrails: each with a name of its own, something to look for and somewhere to look.

use super::Compiler;
use super::keys::{Known, patterns};
use crate::config::fault::Errors;
use crate::config::file;
use crate::config::read::Spot;
use crate::guard::{Guardrail, Guardrails, LONGEST, MOST, Side, folded};
use crate::sort;

impl Compiler<'_> {
    pub(super) fn guardrails(&mut self, raw: Vec<file::Guardrail>, known: &Known<'_>) -> Guardrails {
        let mut names = sort::Set::new();
        let mut all = Vec::new();
        for (at, guardrail) in raw.into_iter().enumerate() {
            let file::Guardrail { name, on, phrases, action, models } = guardrail;
            let errors = &mut self.errors;
            if !names.insert(name.value.clone()) {
                errors.push(&name.place, "another guardrail has this name", "give each its own");
            }
            if at == MOST {
                errors.push(
                    &name.place,
                    format!("more than {MOST} guardrails"),
                    "put phrases of one kind into one",
                );
            }
            let on = on.unwrap_or_else(|| vec![Side::Input, Side::Output]);
            let phrases = phrases.into_iter().filter_map(|phrase| self::phrase(phrase, errors)).collect();
            let models = models.map(|models| {
                known.known_models(&models, errors);
                patterns(models, errors)
            });
            let name = name.value.into();
            all.push(Guardrail { name, on, phrases, action, models: models.unwrap_or_default() });
        }
        Guardrails::new(all)
    }
}

/// A phrase that can be found. It is not shown: nobody is told what is looked for.
fn phrase(phrase: Spot<String>, errors: &mut Errors) -> Option<String> {
    let length = folded(&phrase.value).len();
    if length == 0 {
        errors.push(&phrase.place, "a phrase without a letter is everywhere", "write a word at least");
        return None;
    }
    if length > LONGEST {
        let message = format!("a phrase of {length} characters");
        errors.push(
            &phrase.place,
            message,
            format!("write {LONGEST} at most: a part of it is found as well"),
        );
        return None;
    }
    Some(phrase.value)
}
