//! What this gateway asked of a scope in the last minute, as it is told to books that have lost it.

use tollgate_core::ledger::Report;
use tollgate_core::units::{Requests, Tokens};

/// What was asked in the last minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minute {
    /// Requests.
    pub requests: Requests,
    /// Prompts.
    pub input: Tokens,
    /// Answers.
    pub output: Tokens,
}

impl Minute {
    /// By a report, what is held included. Own books count only what a limit asks for: where all tokens
    /// are known but not all of their parts, the rest goes to a part that nobody limits.
    pub fn of(report: &Report) -> Self {
        let find = |limit| report.gauges.iter().find(|gauge| gauge.limit == limit);
        let all_of = |limit| find(limit).map(|gauge| gauge.used.saturating_add(gauge.held));
        let (input, output) = (all_of("tpm_input"), all_of("tpm_output"));
        let apart = Tokens(input.unwrap_or(0)) + Tokens(output.unwrap_or(0));
        let rest = Tokens(all_of("tpm").unwrap_or(0)).less(apart);
        let (to_input, to_output) = if input.is_some() { (Tokens::ZERO, rest) } else { (rest, Tokens::ZERO) };
        Self {
            requests: Requests(all_of("rpm").unwrap_or(0)),
            input: Tokens(input.unwrap_or(0)) + to_input,
            output: Tokens(output.unwrap_or(0)) + to_output,
        }
    }

    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        let Self { requests, input, output } = self;
        requests.is_zero() && input.is_zero() && output.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::ledger::Reading;

    fn minute(gauges: &[(&'static str, u64, u64)]) -> (u64, u64, u64) {
        let gauges = gauges.iter().map(|&(limit, used, held)| Reading {
            limit,
            budget: None,
            most: 0,
            used,
            held,
            resets_at: None,
        });
        let report = Report { scope: "key:ci".to_owned(), gauges: gauges.collect() };
        let Minute { requests, input, output } = Minute::of(&report);
        (requests.get(), input.get(), output.get())
    }

    #[test]
    fn what_open_calls_hold_was_asked_in_the_minute_too() {
        assert_eq!(minute(&[("rpm", 7, 0), ("tpm_input", 10, 5), ("tpm_output", 20, 1)]), (7, 15, 21));
        assert_eq!(minute(&[("concurrency", 0, 9), ("max_requests", 9, 0)]), (0, 0, 0));
    }

    #[test]
    fn tokens_of_no_known_part_go_where_no_limit_counts_them() {
        assert_eq!(minute(&[("tpm", 100, 0)]), (0, 100, 0));
        assert_eq!(minute(&[("tpm", 100, 0), ("tpm_input", 30, 0)]), (0, 30, 70));
        assert_eq!(minute(&[("tpm", 100, 0), ("tpm_output", 30, 0)]), (0, 70, 30));
        assert_eq!(minute(&[("tpm", 100, 0), ("tpm_input", 30, 0), ("tpm_output", 70, 0)]), (0, 30, 70));
    }
}
