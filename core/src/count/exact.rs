//! Counting with a model's own tokenizer, for hosts that have it.

use super::{Basis, Counted, Family, Gauge, Heard, Uncounted, weight};
use crate::units::Tokens;

impl Gauge {
    /// Counts each text with `tokens`, the tokenizer of the text's family. Of all texts together no more than
    /// `most` bytes are given to it; the rest is estimated, and so is what is no text.
    pub fn count_with(&self, text: &Uncounted, most: usize, tokens: &mut dyn FnMut(&str) -> u64) -> Counted {
        let Uncounted { family, prompt, output } = text;
        let mut tally = Tally { tokens, gauge: self, family: *family, left: most, basis: Basis::Counted };
        let input = prompt.as_ref().map(|prompt| {
            let mut tokens = Tokens::ZERO;
            let besides = prompt.texts(&mut |text| tokens += tally.tokens(text));
            if !besides.media.is_none() {
                tally.basis = Basis::Estimated;
            }
            tokens + besides.frame + besides.media.tokens()
        });
        let output = output.as_ref().map(|Heard { text, bytes_beyond }| {
            let counted = tally.tokens(text);
            counted + tally.estimate(*bytes_beyond)
        });
        Counted { input, output, basis: tally.basis }
    }
}

/// A count in progress.
struct Tally<'a> {
    tokens: &'a mut dyn FnMut(&str) -> u64,
    gauge: &'a Gauge,
    family: Family,
    /// Bytes that may still be counted.
    left: usize,
    basis: Basis,
}

impl Tally<'_> {
    fn tokens(&mut self, text: &str) -> Tokens {
        let end = text.floor_char_boundary(self.left);
        let (counted, rest) = text.split_at(end);
        self.left -= end;
        Tokens((self.tokens)(counted)) + self.estimate(weight(rest.as_bytes()))
    }

    fn estimate(&mut self, bytes: u64) -> Tokens {
        if bytes > 0 {
            self.basis = Basis::Estimated;
        }
        self.gauge.estimate(self.family, bytes).0
    }
}
