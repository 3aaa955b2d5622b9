//! How much the model is to think, in the words its generation knows:
//! <https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking>

use super::lost::Lost;
use super::model::{Model, Support, ThinkingRule};
use super::turns::Tail;
use crate::call::{Effort, Reasoning, ReasoningMode, ReasoningShown};
use crate::dialect::Dialect;
use crate::units::Tokens;
use serde_json::{Value, json};

/// The smallest budget the API takes.
const LEAST_BUDGET: u64 = 1024;

/// What is sent.
#[derive(Debug, PartialEq)]
pub(in crate::provider) struct Plan {
    /// The `thinking` field.
    pub(in crate::provider) thinking: Option<Value>,
    /// `output_config.effort`.
    pub(in crate::provider) effort: Option<&'static str>,
    /// The cap on output; raised where a budget would not fit below it.
    pub(in crate::provider) max_tokens: u64,
    /// What of the rest of the call has to give way.
    pub(in crate::provider) active: Active,
}

/// Whether the model will think by request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Active {
    /// Not by request.
    No,
    /// As much as it sees fit.
    Adaptive,
    /// With a budget: sampling cannot be changed and tools cannot be forced.
    Budget,
}

/// What the call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Nothing,
    Off,
    /// An effort that says nothing about thinking.
    EffortOnly(Effort),
    On {
        effort: Option<Effort>,
        budget: Option<u64>,
    },
}

/// What the call says, as far as it bears on thinking.
#[derive(Clone, Copy, Debug)]
pub(in crate::provider) struct Asked<'a> {
    pub(in crate::provider) reasoning: Option<&'a Reasoning>,
    pub(in crate::provider) max_tokens: Option<Tokens>,
    pub(in crate::provider) origin: Dialect,
    pub(in crate::provider) tail: Tail,
}

/// What the call's wish comes to with this model.
pub(in crate::provider) fn plan(asked: Asked<'_>, model: Model, lost: &mut Lost) -> Plan {
    let Asked { reasoning, max_tokens, origin, tail } = asked;
    let cap = max_tokens.map_or_else(|| model.max_tokens(), Tokens::get);
    let none = Plan { thinking: None, effort: None, max_tokens: cap, active: Active::No };
    let Some(reasoning) = reasoning else { return none };
    match (wish(reasoning, origin), model.thinking()) {
        (Wish::Nothing, _)
        | (
            Wish::Off,
            ThinkingRule::Unsupported
            | ThinkingRule::Budget
            | ThinkingRule::AdaptiveOrBudget
            | ThinkingRule::Adaptive,
        ) => none,
        (Wish::Off, ThinkingRule::AdaptiveByDefault) => {
            Plan { thinking: Some(json!({"type": "disabled"})), ..none }
        }
        (Wish::Off, ThinkingRule::AdaptiveAlways) => {
            // It cannot be turned off; the least effort comes closest.
            lost.setting("reasoning_effort");
            Plan { effort: Some("low"), ..none }
        }
        (_, ThinkingRule::Unsupported) | (Wish::EffortOnly(_), ThinkingRule::Budget) => {
            lost.setting("reasoning_effort");
            none
        }
        (Wish::EffortOnly(effort), _) => Plan { effort: Some(effort_word(effort, model)), ..none },
        (Wish::On { effort: None, budget: Some(budget) }, ThinkingRule::AdaptiveOrBudget) => {
            with_budget(budget, none, model, tail, lost)
        }
        (Wish::On { effort, budget }, ThinkingRule::Budget) => {
            with_budget(budget.unwrap_or_else(|| budget_of(effort)), none, model, tail, lost)
        }
        (Wish::On { effort, budget }, _) => {
            if budget.is_some() {
                lost.setting("reasoning.max_tokens");
            }
            let effort = effort.or_else(|| budget.map(effort_of)).map(|effort| effort_word(effort, model));
            Plan { thinking: Some(adaptive(reasoning.shown)), effort, active: Active::Adaptive, ..none }
        }
    }
}

fn wish(reasoning: &Reasoning, origin: Dialect) -> Wish {
    let Reasoning { mode, effort, budget, shown: _ } = *reasoning;
    let budget = budget.map(Tokens::get);
    match (mode, effort, budget) {
        (ReasoningMode::Off, _, _)
        | (ReasoningMode::Unsaid, Some(Effort::None), _)
        | (ReasoningMode::Unsaid, None, Some(0)) => Wish::Off,
        (ReasoningMode::Unsaid, None, None) => Wish::Nothing,
        // In this dialect effort and thinking are asked for apart.
        (ReasoningMode::Unsaid, Some(effort), None) if origin == Dialect::Anthropic => {
            Wish::EffortOnly(effort)
        }
        (ReasoningMode::Unsaid | ReasoningMode::On | ReasoningMode::Adaptive, effort, budget) => Wish::On {
            effort: effort.filter(|effort| *effort != Effort::None),
            budget: budget.filter(|budget| *budget > 0),
        },
    }
}

fn adaptive(shown: Option<ReasoningShown>) -> Value {
    match shown {
        None => json!({"type": "adaptive"}),
        Some(ReasoningShown::Hidden) => json!({"type": "adaptive", "display": "omitted"}),
        Some(ReasoningShown::Summary) => json!({"type": "adaptive", "display": "summarized"}),
    }
}

/// A budget lies below the cap. A cap that leaves no room is raised by the budget, up to what the
/// model can write; the client's cap was meant for an answer.
fn with_budget(budget: u64, none: Plan, model: Model, tail: Tail, lost: &mut Lost) -> Plan {
    if tail == Tail::UnthoughtCalls {
        lost.setting("reasoning_effort");
        return none;
    }
    let mut budget = budget.max(LEAST_BUDGET);
    let mut max_tokens = none.max_tokens;
    if max_tokens <= budget {
        let most = model.ceiling().unwrap_or(u64::MAX).max(LEAST_BUDGET * 2);
        max_tokens = max_tokens.saturating_add(budget).min(most);
        budget = budget.min(max_tokens / 2).max(LEAST_BUDGET);
    }
    let thinking = json!({"type": "enabled", "budget_tokens": budget});
    Plan { thinking: Some(thinking), effort: None, max_tokens, active: Active::Budget }
}

fn budget_of(effort: Option<Effort>) -> u64 {
    match effort {
        Some(Effort::None | Effort::Minimal | Effort::Low) => LEAST_BUDGET,
        Some(Effort::Medium) | None => 4096,
        Some(Effort::High) => 8192,
        Some(Effort::XHigh) => 16_384,
        Some(Effort::Max) => 24_576,
    }
}

fn effort_of(budget: u64) -> Effort {
    match budget {
        0..=2048 => Effort::Low,
        2049..=8191 => Effort::Medium,
        8192..=32_768 => Effort::High,
        _ => Effort::Max,
    }
}

fn effort_word(effort: Effort, model: Model) -> &'static str {
    match (effort, model.xhigh()) {
        (Effort::None | Effort::Minimal | Effort::Low, _) => "low",
        (Effort::XHigh, Support::No) => "max",
        (Effort::Medium | Effort::High | Effort::XHigh | Effort::Max, _) => effort.as_str(),
    }
}
