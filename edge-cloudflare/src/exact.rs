//! Counts by the models' own tokenizers, in builds that have them.

use tollgate_core::count::{Counted, Family, Gauge, Uncounted};
use tollgate_tokens::{CL100K, O200K};

/// Of one request no more bytes are counted: some tenths of a second.
const MOST: usize = 1024 * 1024;

pub(crate) fn count(text: &Uncounted, gauge: &Gauge) -> Counted {
    let tokenizer = match text.family {
        Family::O200k => &O200K,
        Family::Cl100k => &CL100K,
        Family::Unknown => return gauge.count(text),
    };
    gauge.count_with(text, MOST, &mut |text| tokenizer.count(text))
}
