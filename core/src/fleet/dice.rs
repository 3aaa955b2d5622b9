//! As many draws as a choice needs from the 64 random bits it is given.

/// A generator that starts from given bits (splitmix64): good enough to spread load.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(random: u64) -> Self {
        Self(random)
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly from `0.0..1.0`, in steps of 2⁻⁵³.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Draws one of a sequence of unknown length in exact proportion to the weights, in one pass.
#[derive(Debug)]
pub(super) struct Draw<T> {
    total: f64,
    held: Option<T>,
}

impl<T> Draw<T> {
    pub(super) fn new() -> Self {
        Self { total: 0.0, held: None }
    }

    /// Lets one more take part: it replaces the one held with probability weight ÷ sum so far, which
    /// leaves each with its weight ÷ sum in the end.
    pub(super) fn add(&mut self, item: T, weight: f64, dice: &mut Dice) {
        self.total += weight;
        // The first is held without a throw, so that one candidate costs nothing.
        if self.held.is_none() || dice.unit() * self.total < weight {
            self.held = Some(item);
        }
    }

    pub(super) fn held(self) -> Option<T> {
        self.held
    }
}
