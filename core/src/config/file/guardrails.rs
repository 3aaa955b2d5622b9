//! Guardrails, as they are written: `[[guardrails]]`.

use crate::config::fault::Errors;
use crate::config::read::{Cell, Spot, Table, Word};
use crate::guard::{Action, Side};

const GUARDRAIL: &[&str] = &["name", "on", "phrases", "action", "models"];

/// Where it looks, by its word.
const SIDES: &[Word<Side>] = &[
    Word { name: Side::Input.word(), value: Side::Input },
    Word { name: Side::Output.word(), value: Side::Output },
];

/// What is done, by its word.
const ACTIONS: &[Word<Action>] = &[
    Word { name: Action::Block.word(), value: Action::Block },
    Word { name: Action::Note.word(), value: Action::Note },
];

/// `[[guardrails]]`
pub(in crate::config) struct Guardrail {
    pub(in crate::config) name: Spot<String>,
    /// Absent: both.
    pub(in crate::config) on: Option<Vec<Side>>,
    pub(in crate::config) phrases: Vec<Spot<String>>,
    pub(in crate::config) action: Action,
    /// Absent: all.
    pub(in crate::config) models: Option<Vec<Spot<String>>>,
}

impl Guardrail {
    pub(super) fn read(cell: &Cell<'_>, errors: &mut Errors) -> Option<Self> {
        let table = Table::read(cell, GUARDRAIL, errors)?;
        let name = match table.get("name") {
            Some(name) => name.name(errors),
            None => {
                errors.push(
                    &cell.place,
                    "a guardrail without a name",
                    "add `name`, which is told where it blocks",
                );
                None
            }
        };
        let action = table.get("action").and_then(|cell| cell.word("action", ACTIONS, errors));
        let none = |name: &str, wrong: &str, fix: &str, errors: &mut Errors| {
            let list = table.get(name).filter(Cell::is_empty_list);
            list.iter().for_each(|list| errors.push(&list.place, wrong, fix));
        };
        let nowhere = r#"write "input", "output" or both, or leave it out for both"#;
        none("on", "a guardrail that looks nowhere", nowhere, errors);
        none("phrases", "a guardrail that looks for nothing", "write a phrase, or remove it", errors);
        none("models", "no models at all", "leave the field out for all of them", errors);
        let on = table.get("on").map(|cell| {
            let sides = cell.one_or_more(errors);
            let sides = sides.iter().filter_map(|side| side.word("side", SIDES, errors));
            sides.map(|side| side.value).collect()
        });
        let mut texts = |name: &str| table.get(name).map(|cell| cell.texts(errors));
        let (phrases, models) = (texts("phrases"), texts("models"));
        let Some(phrases) = phrases else {
            errors.push(&cell.place, "a guardrail that looks for nothing", r#"add `phrases = ["…"]`"#);
            return None;
        };
        let action = action.map_or(Action::Block, |action| action.value);
        Some(Self { name: name?, on, phrases, action, models })
    }
}
