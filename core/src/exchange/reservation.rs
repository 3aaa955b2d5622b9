//! An exchange's quota, before anything is sent.

use super::counting::Tally;
use super::quota::{Certainty, Quota};
use super::{Exchange, Phase, Step};
use crate::count::Counted;
use crate::fault::{Code, Fault};
use crate::ledger::{Hold, Refusal};
use crate::units::{Estimated, Time};

impl Exchange {
    /// Takes quota before anything is sent.
    pub(super) fn reserve(&mut self, now: Time) {
        self.phase = Phase::Admit;
        match self.quota.entry(&self.request) {
            Ok(Some(entry)) => self.steps.push_back(Step::Reserve(entry)),
            Ok(None) => self.choose(),
            Err(fault) => self.refuse_counted(fault, now),
        }
    }

    /// A request that is refused for what it is counts as one all the same, or a failing client could
    /// hammer without limit.
    pub(super) fn refuse_counted(&mut self, fault: Fault, now: Time) {
        match Quota::entry_of_one(&self.request) {
            Some(entry) => {
                self.pending = Some(Box::new(fault));
                self.steps.push_back(Step::Reserve(entry));
            }
            None => self.refuse(&fault, now),
        }
    }

    pub(super) fn on_reserved(&mut self, answer: Result<Hold, Refusal>, now: Time) {
        match (answer, self.pending.take()) {
            (Ok(hold), None) => {
                self.quota.granted(hold);
                if self.has_answer() {
                    self.request.standing = self.quota.standing;
                    return self.answer_kept(now);
                }
                self.request.output_cap = self.quota.cap(&self.request);
                self.request.standing = self.quota.standing;
                self.choose();
            }
            (Ok(hold), Some(fault)) => {
                self.quota.granted(hold);
                self.request.standing = self.quota.standing;
                self.refuse(&fault, now);
            }
            (Err(refusal), fault) => self.on_refused(refusal, fault, now),
        }
    }

    /// The estimate of the prompt is an upper bound: where it may be to blame, the prompt is counted
    /// and asked for once more.
    fn on_refused(&mut self, refusal: Refusal, pending: Option<Box<Fault>>, now: Time) {
        let decided_by_size = matches!(&refusal, Refusal::Limited(limited)
            if matches!(limited.code, Code::TpmExceeded | Code::BudgetExceeded));
        let may_shrink = pending.is_none() && !self.has_answer();
        if may_shrink && decided_by_size && self.quota.certainty == Certainty::Estimated {
            self.refusal = Some(refusal);
            self.steps.push_back(Step::Count(Box::new(self.request.uncounted_prompt())));
            return;
        }
        if let Refusal::Limited(limited) = &refusal {
            self.request.standing = limited.standing;
        }
        // A ledger that is gone must not hide what is wrong with the request itself.
        let fault = match (pending, &refusal) {
            (Some(fault), Refusal::Unavailable { .. }) => *fault,
            (_, Refusal::Unavailable { .. } | Refusal::Limited(_)) => {
                let wait = self.until_expiry(&refusal, now);
                let fault = refusal.into_fault();
                match wait {
                    Some(wait) => fault.retry_after(wait),
                    None => fault,
                }
            }
        };
        self.refuse(&fault, now);
    }

    pub(super) fn on_counted(&mut self, counted: Counted, now: Time) {
        match self.refusal.take() {
            Some(refusal) => {
                let estimate = self.quota.input.0;
                let smaller = counted.input.filter(|input| *input < estimate);
                self.quota.certainty = Certainty::Counted;
                match smaller {
                    Some(input) => {
                        self.quota.input = Estimated(input);
                        self.reserve(now);
                    }
                    None => self.on_refused(refusal, None, now),
                }
            }
            None if self.tally == Tally::Asked => self.answer_tally(counted, now),
            None => {
                let output = counted.output.max(self.abandoned.take());
                self.record.counted(Counted { output, ..counted });
                self.finish(now);
            }
        }
    }
}
