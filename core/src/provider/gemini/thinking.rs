//! How much the model is to think: a budget for 2.5, a level from 3 on, never both.
//!
//! The numbers behind the levels are those of Google's own OpenAI-compatible endpoint
//! (<https://ai.google.dev/gemini-api/docs/openai#thinking>).

use super::model::{Family, Model, Size};
use super::{Lost, object};
use crate::call::{Effort, Reasoning, ReasoningMode, ReasoningShown};
use crate::units::Tokens;
use serde_json::Value;

/// What is asked for, once the mode, the effort and the budget are read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Default,
    Off,
    Dynamic,
    Level(Effort),
    Budget(u64),
}

/// The `thinkingConfig`, if there is anything to say in it.
pub(super) fn config(reasoning: Option<&Reasoning>, model: Model, lost: &mut Lost) -> Option<Value> {
    let reasoning = reasoning?;
    let Reasoning { mode, effort, budget, shown } = reasoning;
    let wish = wish(*mode, *effort, *budget);
    let (budget, level) = match model.family {
        Family::Early => {
            // No thinking is what these models do anyway.
            if !matches!(wish, Wish::Default | Wish::Off) {
                lost.add("reasoning_effort");
            }
            return None;
        }
        Family::V2_5 => (budget_of(wish, model.size, lost), None),
        Family::V3 => (None, level_of(wish, model, lost)),
    };
    let shown = match (shown, wish) {
        (Some(ReasoningShown::Summary), Wish::Default | Wish::Dynamic | Wish::Level(_) | Wish::Budget(_)) => {
            Some(Value::Bool(true))
        }
        (Some(ReasoningShown::Summary), Wish::Off) | (Some(ReasoningShown::Hidden) | None, _) => None,
    };
    let config = object([
        ("thinkingBudget", budget.map(Value::from)),
        ("thinkingLevel", level.map(Value::from)),
        ("includeThoughts", shown),
    ]);
    (!config.is_empty()).then_some(Value::Object(config))
}

fn wish(mode: ReasoningMode, effort: Option<Effort>, budget: Option<Tokens>) -> Wish {
    match (mode, budget, effort) {
        (ReasoningMode::Off, _, _) | (ReasoningMode::Unsaid, None, Some(Effort::None)) => Wish::Off,
        (ReasoningMode::Unsaid, Some(Tokens(0)), _) => Wish::Off,
        (ReasoningMode::Unsaid | ReasoningMode::On, Some(Tokens(budget)), _) if budget > 0 => {
            Wish::Budget(budget)
        }
        (_, _, Some(effort)) if effort != Effort::None => Wish::Level(effort),
        (ReasoningMode::On | ReasoningMode::Adaptive, _, _) => Wish::Dynamic,
        (ReasoningMode::Unsaid, _, _) => Wish::Default,
    }
}

fn budget_of(wish: Wish, size: Size, lost: &mut Lost) -> Option<i64> {
    let (least, most) = match size {
        Size::Pro => (128, 32_768),
        Size::Flash => (1, 24_576),
        Size::Lite => (512, 24_576),
    };
    let budget = match wish {
        Wish::Default => return None,
        Wish::Dynamic => return Some(-1),
        Wish::Off => match size {
            // Pro refuses to be switched off; its least is the nearest.
            Size::Pro => {
                lost.add("reasoning_effort");
                return Some(least);
            }
            Size::Flash | Size::Lite => return Some(0),
        },
        Wish::Level(effort) => match effort {
            Effort::None | Effort::Minimal | Effort::Low => 1_024,
            Effort::Medium => 8_192,
            Effort::High => 24_576,
            Effort::XHigh | Effort::Max => most,
        },
        Wish::Budget(tokens) => {
            let tokens = i64::try_from(tokens).unwrap_or(i64::MAX);
            if tokens > most || tokens < least {
                lost.add("reasoning.max_tokens");
            }
            tokens
        }
    };
    Some(budget.clamp(least, most))
}

fn level_of(wish: Wish, model: Model, lost: &mut Lost) -> Option<&'static str> {
    let least = match model.size {
        Size::Pro => "LOW",
        Size::Flash | Size::Lite => "MINIMAL",
    };
    // Gemini 3.0 Pro has no middle; the compatible endpoint reads it as high.
    let middle = if model.two_levels { "HIGH" } else { "MEDIUM" };
    match wish {
        Wish::Default | Wish::Dynamic => None,
        Wish::Off => {
            lost.add("reasoning_effort");
            Some(least)
        }
        Wish::Level(effort) => Some(match effort {
            Effort::None | Effort::Minimal => least,
            Effort::Low => "LOW",
            Effort::Medium => middle,
            Effort::High => "HIGH",
            Effort::XHigh | Effort::Max => {
                lost.add("reasoning_effort");
                "HIGH"
            }
        }),
        Wish::Budget(tokens) => {
            // A cap in tokens cannot be promised by a level.
            lost.add("reasoning.max_tokens");
            Some(match tokens {
                0..=1_024 => "LOW",
                1_025..=8_192 => middle,
                _ => "HIGH",
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Said {
        config: Option<Value>,
        lost: Vec<String>,
    }

    fn said(model: &str, reasoning: Reasoning) -> Said {
        let mut lost = Lost::default();
        let config = config(Some(&reasoning), Model::of(model), &mut lost);
        Said { config, lost: lost.names }
    }

    fn effort(effort: Effort) -> Reasoning {
        Reasoning { effort: Some(effort), ..Reasoning::default() }
    }

    #[test]
    fn two_five_gets_a_budget_and_three_a_level() {
        assert_eq!(
            said("gemini-2.5-flash", effort(Effort::Medium)).config,
            Some(json!({"thinkingBudget": 8192}))
        );
        assert_eq!(
            said("gemini-3-flash", effort(Effort::Medium)).config,
            Some(json!({"thinkingLevel": "MEDIUM"}))
        );
        assert_eq!(
            said("gemini-3-pro-preview", effort(Effort::Medium)).config,
            Some(json!({"thinkingLevel": "HIGH"}))
        );
        let early = said("gemini-2.0-flash", effort(Effort::High));
        assert_eq!((early.config, early.lost), (None, vec!["reasoning_effort".to_owned()]));
    }

    #[test]
    fn off_is_kept_where_the_model_can_and_lost_where_it_cannot() {
        let flash = said("gemini-2.5-flash", effort(Effort::None));
        assert_eq!((flash.config, flash.lost.len()), (Some(json!({"thinkingBudget": 0})), 0));
        let pro = said("gemini-2.5-pro", effort(Effort::None));
        assert_eq!((pro.config, pro.lost.len()), (Some(json!({"thinkingBudget": 128})), 1));
        let three = said("gemini-3-flash", effort(Effort::None));
        assert_eq!((three.config, three.lost.len()), (Some(json!({"thinkingLevel": "MINIMAL"})), 1));
    }

    #[test]
    fn thoughts_are_included_only_where_the_client_wants_to_see_them() {
        let shown = Reasoning { shown: Some(ReasoningShown::Summary), ..Reasoning::default() };
        assert_eq!(said("gemini-3-flash", shown).config, Some(json!({"includeThoughts": true})));
        assert_eq!(said("gemini-3-flash", Reasoning::default()).config, None);
    }

    #[test]
    fn adaptive_is_minus_one_and_a_budget_beyond_the_model_is_clamped_and_told() {
        let adaptive = Reasoning { mode: ReasoningMode::Adaptive, ..Reasoning::default() };
        assert_eq!(said("gemini-2.5-pro", adaptive).config, Some(json!({"thinkingBudget": -1})));
        let large = Reasoning { budget: Some(Tokens(100_000)), ..Reasoning::default() };
        let large = said("gemini-2.5-flash", large);
        assert_eq!(large.config, Some(json!({"thinkingBudget": 24576})));
        assert_eq!(large.lost, ["reasoning.max_tokens"]);
    }
}
