//! Means that forget: by the number of newer samples and by time.

use crate::units::Time;

/// After this many milliseconds without samples a mean counts half as much.
const HALF_LIFE: f64 = 30_000.0;

/// A mean counts at most like this many samples, so that a change shows within as many.
const MEMORY: f64 = 16.0;

/// A mean of recent samples.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    value: f64,
    /// How many samples it stands for, as of `at`.
    weight: f64,
    at: Time,
}

impl Mean {
    pub(super) fn add(&mut self, sample: f64, now: Time) {
        let weight = self.weight(now).min(MEMORY - 1.0);
        self.value = (self.value * weight + sample) / (weight + 1.0);
        self.weight = weight + 1.0;
        self.at = self.at.max(now);
    }

    /// The mean, if there is a sample that is not quite forgotten.
    pub(super) fn known(&self, now: Time) -> Option<f64> {
        (self.weight(now) > 0.01).then_some(self.value)
    }

    /// The mean if nothing better is known than `prior`, which counts like one sample.
    pub(super) fn shrunk(&self, prior: f64, now: Time) -> f64 {
        let weight = self.weight(now);
        (self.value * weight + prior) / (weight + 1.0)
    }

    /// How many samples it still stands for.
    #[expect(clippy::cast_precision_loss, reason = "spans of time are far below 2⁵³ ms")]
    pub(super) fn weight(&self, now: Time) -> f64 {
        let age = now.since(self.at).get();
        if age == 0 {
            return self.weight;
        }
        self.weight * (-(age as f64) / HALF_LIFE).exp2()
    }
}
