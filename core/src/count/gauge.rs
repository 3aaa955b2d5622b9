//! How many bytes make a token.

use super::{Basis, Counted, Family, Heard, Uncounted};
use crate::surface::Envelope;
use crate::units::{Estimated, Tokens};
use std::sync::atomic::{AtomicU32, Ordering};

/// Densities are kept as tokens in so many bytes.
const SCALE: u32 = 4096;
/// Before anything is known: a token for two bytes.
const FIRST: u32 = SCALE / 2;
/// A token for every byte: what the densest text comes to.
const DENSEST: u32 = SCALE;
/// A token for six bytes: no ordinary text is thinner.
const THINNEST: u32 = SCALE / 6;
/// Prompts below this are mostly frame and tell little about text.
const TELLING: u64 = 512;
/// For the frame around a prompt that is all frame.
const LEAST: Tokens = Tokens(16);

/// How many bytes make a token, learned from what providers report. Shared by all requests.
///
/// An upper bound for ordinary text: prose, code, JSON, in any script. It begins at two bytes a token
/// and follows what is seen, a quarter above it: at once where text turns out denser, a thirty-second
/// of the way where it turns out thinner. Text made to be dense (random letters, emoji) can exceed
/// it once; the settlement corrects what was reserved, and the next estimate knows.
#[derive(Debug, Default)]
pub struct Gauge {
    o200k: Density,
    cl100k: Density,
    unknown: Density,
}

/// Tokens in [`SCALE`] bytes, margin included; zero before anything is known.
#[derive(Debug, Default)]
struct Density(AtomicU32);

impl Density {
    fn get(&self) -> u32 {
        match self.0.load(Ordering::Relaxed) {
            0 => FIRST,
            density => density,
        }
    }

    fn follow(&self, seen: u32) {
        let target = (seen + seen / 4).clamp(THINNEST, DENSEST);
        let now = self.get();
        let next = if target >= now { target } else { now - (now - target).div_ceil(32) };
        // Two at once: one of them is not learned from. The next will be.
        self.0.store(next, Ordering::Relaxed);
    }
}

impl Gauge {
    /// An upper bound of the tokens in so many bytes of prompt, as [`weight`] counts them.
    pub fn estimate(&self, family: Family, bytes: u64) -> Estimated<Tokens> {
        let tokens = u128::from(bytes) * u128::from(self.of(family).get());
        Estimated(Tokens(u64::try_from(tokens.div_ceil(u128::from(SCALE))).unwrap_or(u64::MAX)))
    }

    /// An upper bound of a request's prompt, pictures and files included.
    pub fn bound(&self, family: Family, envelope: &Envelope) -> Estimated<Tokens> {
        let Estimated(text) = self.estimate(family, envelope.prompt_bytes);
        Estimated(text + envelope.media.tokens() + LEAST)
    }

    /// A provider has counted so many bytes.
    pub fn observe(&self, family: Family, bytes: u64, counted: Tokens) {
        let tokens = counted.get();
        // More tokens than bytes are not of this text: the provider has searched, or read a file.
        if bytes < TELLING || tokens == 0 || tokens > bytes {
            return;
        }
        let seen = u128::from(tokens) * u128::from(SCALE) / u128::from(bytes);
        self.of(family).follow(u32::try_from(seen).unwrap_or(DENSEST));
    }

    /// A provider has counted a request's prompt. One with pictures or files tells nothing of text.
    pub fn learn(&self, family: Family, envelope: &Envelope, counted: Tokens) {
        if envelope.media.is_none() {
            self.observe(family, envelope.prompt_bytes, counted);
        }
    }

    /// An upper estimate where no tokenizer is at hand. Reads all of the text.
    pub fn count(&self, text: &Uncounted) -> Counted {
        let Uncounted { family, prompt, output } = text;
        let input = prompt.as_ref().map(|prompt| {
            let mut bytes = 0;
            let besides = prompt.texts(&mut |text| bytes += weight(text.as_bytes()));
            self.estimate(*family, bytes).0 + besides.frame + besides.media.tokens()
        });
        let output = output.as_ref().map(|heard| self.of_heard(*family, heard));
        Counted { input, output, basis: Basis::Estimated }
    }

    fn of_heard(&self, family: Family, heard: &Heard) -> Tokens {
        let Heard { text, bytes_beyond } = heard;
        self.estimate(family, weight(text.as_bytes()).saturating_add(*bytes_beyond)).0
    }

    fn of(&self, family: Family) -> &Density {
        match family {
            Family::O200k => &self.o200k,
            Family::Cl100k => &self.cl100k,
            Family::Unknown => &self.unknown,
        }
    }
}

/// The bytes of a text, those beyond ASCII counted twice: tokenizers made from mostly English text
/// spend up to that much more on other scripts. At memory speed.
pub fn weight(text: &[u8]) -> u64 {
    // Few enough at a time that they fit a byte, which lets sixteen be counted at once.
    let wide = text.chunks(255).map(|part| u64::from(part.iter().fold(0_u8, |sum, byte| sum + (byte >> 7))));
    text.len() as u64 + wide.sum::<u64>()
}
