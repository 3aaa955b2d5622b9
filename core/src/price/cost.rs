//! The arithmetic: quantities times prices, line by line, rounded up once.

use super::class::COUNT;
use super::{CLASSES, Class, Exact, MILLION, Mode, PerMillion, PriceRow, Served, Service};
use crate::units::{NanoDollars, Tokens};
use crate::usage::{Quantity, Usage, UsageParts};
use std::fmt;

/// Of text that is read aloud: rather slowly.
const CHARACTERS_PER_SECOND: u64 = 12;

/// How much of each class a call consumed. Classes do not overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumed {
    counts: [u64; COUNT],
}

impl Default for Consumed {
    /// One request that consumed nothing else.
    fn default() -> Self {
        let mut consumed = Self { counts: [0; COUNT] };
        consumed.set(Class::Request, 1);
        consumed
    }
}

impl Consumed {
    /// How much of a class.
    pub fn get(&self, class: Class) -> u64 {
        self.counts.get(class as usize).copied().unwrap_or(0)
    }

    /// Sets how much of a class.
    pub fn set(&mut self, class: Class, quantity: u64) {
        if let Some(count) = self.counts.get_mut(class as usize) {
            *count = quantity;
        }
    }

    fn move_to(&mut self, from: Class, to: Class) {
        let moved = self.get(from);
        self.set(from, 0);
        self.set(to, self.get(to).saturating_add(moved));
    }

    /// The whole prompt.
    pub fn prompt(&self) -> Tokens {
        let input = CLASSES.iter().filter(|kind| kind.class.is_input());
        input.map(|kind| Tokens(self.get(kind.class))).sum()
    }
}

/// A part of `whole`, taken out of it: never more than there is.
fn take(whole: &mut Tokens, part: Option<Tokens>) -> Tokens {
    let part = part.unwrap_or_default().min(*whole);
    *whole = whole.less(part);
    part
}

impl From<&Usage> for Consumed {
    /// Sound and pictures are taken out of the fresh input first, what exceeds it out of the cached.
    fn from(usage: &Usage) -> Self {
        let Usage { fresh_input, cache_read, cache_write_5m, cache_write_1h, output, parts, .. } = usage;
        let UsageParts {
            reasoning, audio_input, audio_output, image_input, image_output, web_searches, ..
        } = parts;
        let (mut fresh, mut cached, mut made) = (*fresh_input, *cache_read, *output);
        let audio = take(&mut fresh, *audio_input);
        let image = take(&mut fresh, *image_input);
        let audio_cached = take(&mut cached, audio_input.map(|all| all.less(audio)));
        let image_cached = take(&mut cached, image_input.map(|all| all.less(image)));
        let audio_made = take(&mut made, *audio_output);
        let image_made = take(&mut made, *image_output);
        let thought = take(&mut made, *reasoning);
        let mut consumed = Self::default();
        for (class, tokens) in [
            (Class::Input, fresh),
            (Class::CacheRead, cached),
            (Class::CacheWrite, *cache_write_5m),
            (Class::CacheWrite1h, *cache_write_1h),
            (Class::Output, made),
            (Class::Reasoning, thought),
            (Class::AudioInput, audio),
            (Class::AudioCacheRead, audio_cached),
            (Class::AudioOutput, audio_made),
            (Class::ImageInput, image),
            (Class::ImageCacheRead, image_cached),
            (Class::ImageOutput, image_made),
        ] {
            consumed.set(class, tokens.get());
        }
        consumed.set(Class::Search, web_searches.unwrap_or_default().get());
        consumed
    }
}

/// One line of a bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// What.
    pub class: Class,
    /// How much of it.
    pub quantity: u64,
    /// At what price.
    pub price: PerMillion,
    /// Their product.
    pub amount: Exact,
}

/// What is agreed with a provider, and added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What the provider charges of its list price, in parts of a million.
    pub charged: u64,
    /// What is asked of the gateway's users of that, in parts of a million.
    pub asked: u64,
}

impl Default for Terms {
    /// The list price.
    fn default() -> Self {
        Self { charged: MILLION, asked: MILLION }
    }
}

impl Terms {
    fn of_list(self, sum: Exact) -> NanoDollars {
        part(part_exact(sum, self.charged), self.asked)
    }

    /// Of what the provider says it charged: its discounts are in it.
    fn of_charged(self, amount: NanoDollars) -> NanoDollars {
        part(PerMillion(amount.get()).times(MILLION), self.asked)
    }
}

/// `parts` of a million of it, not rounded below a millionth of a nano-dollar.
fn part_exact(sum: Exact, parts: u64) -> Exact {
    if parts == MILLION { sum } else { Exact(sum.0.saturating_mul(parts.into()).div_ceil(MILLION.into())) }
}

fn part(sum: Exact, parts: u64) -> NanoDollars {
    part_exact(sum, parts).rounded_up()
}

/// A bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// What makes it up, at list prices.
    pub lines: Vec<Line>,
    /// Their sum.
    pub list: Exact,
    /// After discount and margin, rounded up.
    pub total: NanoDollars,
}

/// Something was consumed that the row has no price for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpriced(pub Class);

impl fmt::Display for Unpriced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no price for {}", self.0.kind().title)
    }
}

/// What a request cost, and how that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charge {
    /// Nothing that is billed was consumed.
    #[default]
    Nothing,
    /// From the usage and a price row.
    Computed(NanoDollars),
    /// The provider says so.
    Reported(NanoDollars),
    /// Something was consumed, and its price or its quantity is not known.
    Unknown,
}

impl Charge {
    /// The amount, where it is known.
    pub const fn amount(self) -> Option<NanoDollars> {
        match self {
            Self::Nothing => Some(NanoDollars::ZERO),
            Self::Computed(amount) | Self::Reported(amount) => Some(amount),
            Self::Unknown => None,
        }
    }

    /// The same and so much more.
    #[must_use]
    pub fn and(self, more: NanoDollars) -> Self {
        match self {
            Self::Nothing if more.is_zero() => Self::Nothing,
            Self::Nothing => Self::Computed(more),
            Self::Computed(amount) => Self::Computed(amount + more),
            Self::Reported(amount) => Self::Reported(amount + more),
            Self::Unknown => Self::Unknown,
        }
    }

    /// How it is known, in a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Computed(_) => "computed",
            Self::Reported(_) => "reported",
            Self::Unknown => "unknown",
        }
    }

    /// Of a call that was answered. What the provider reports wins over what we compute. (hot)
    pub fn of(usage: &Usage, row: Option<&PriceRow>, served: &Served, terms: Terms) -> Self {
        if let Some(reported) = usage.reported_cost {
            return Self::Reported(terms.of_charged(reported));
        }
        let instead = row.and_then(|row| row.of_quantity(usage.parts.instead.as_ref()?, terms));
        if let Some(amount) = instead {
            return Self::Computed(amount);
        }
        // Nothing is known of what it is priced by.
        if usage.parts.instead.is_some() && usage.total().is_zero() {
            return if row.is_some_and(PriceRow::is_free) {
                Self::Computed(NanoDollars::ZERO)
            } else {
                Self::Unknown
            };
        }
        let total = row.map(|row| row.total(&Consumed::from(usage), served, terms));
        match total {
            Some(Ok(total)) => Self::Computed(total),
            Some(Err(Unpriced(_))) | None => Self::Unknown,
        }
    }
}

/// The dearest prices that may hold for a call, whatever the hour and the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dearest {
    /// Of all that goes in, and of the call itself.
    input: Result<Exact, Unpriced>,
    /// Of a million tokens of output; absent where that has no price.
    output: Option<PerMillion>,
}

impl Dearest {
    /// An upper bound of what the call may cost with so much output, for reservations. Searches and
    /// other things counted one by one are not in it.
    pub fn with_output(&self, output: Tokens, terms: Terms) -> Result<NanoDollars, Unpriced> {
        let written = match self.output {
            Some(price) => price.times(output.get()),
            None if output.is_zero() => Exact::default(),
            None => return Err(Unpriced(Class::Output)),
        };
        Ok(terms.of_list(self.input?.plus(written)))
    }
}

impl PriceRow {
    /// The bill, line by line.
    pub fn bill(&self, consumed: &Consumed, served: &Served, terms: Terms) -> Result<Cost, Unpriced> {
        let mut lines = Vec::new();
        let list = self.lines(consumed, served, |line| lines.push(line))?;
        lines.reverse();
        Ok(Cost { lines, list, total: terms.of_list(list) })
    }

    /// The bill's total alone: nothing is allocated. (hot)
    pub fn total(&self, consumed: &Consumed, served: &Served, terms: Terms) -> Result<NanoDollars, Unpriced> {
        self.lines(consumed, served, |_| ()).map(|list| terms.of_list(list))
    }

    /// What so much costs, if that is what the price is for. Where speech is priced by its length, that is
    /// estimated from its characters.
    pub fn of_quantity(&self, quantity: &Quantity, terms: Terms) -> Option<NanoDollars> {
        let Quantity { class, count, form } = quantity;
        let (class, count) = (*class, *count);
        let served = Served::default();
        let by = |class, count: u64| {
            let call = self.rate(Class::Request, &served).unwrap_or_default().times(1);
            Some(terms.of_list(self.rate_of_form(class, form, &served)?.times(count).plus(call)))
        };
        let spoken = class == Class::Character;
        let length = || by(Class::SecondMade, count.div_ceil(CHARACTERS_PER_SECOND)).filter(|_| spoken);
        by(class, count).or_else(length)
    }

    /// What three million tokens in and one out cost: what models are compared by. One that makes no
    /// text is compared by its input alone; nothing where that has no price either.
    pub(crate) fn blend(&self, terms: Terms) -> Option<NanoDollars> {
        let mut consumed = Consumed::default();
        consumed.set(Class::Input, 3 * MILLION);
        consumed.set(Class::Output, MILLION);
        let whole = self.total(&consumed, &Served::default(), terms).ok();
        whole.or_else(|| {
            consumed.set(Class::Output, 0);
            self.total(&consumed, &Served::default(), terms).ok()
        })
    }

    fn lines(
        &self,
        consumed: &Consumed,
        served: &Served,
        mut each: impl FnMut(Line),
    ) -> Result<Exact, Unpriced> {
        if self.origin == super::Origin::OwnServer {
            return Ok(Exact::default());
        }
        let mut rest = consumed.clone();
        let mut sum = Exact::default();
        // Backwards: what costs as another class is counted there before that one's turn.
        for kind in CLASSES.iter().rev() {
            let quantity = rest.get(kind.class);
            if quantity == 0 {
                continue;
            }
            match (self.rate(kind.class, served), kind.costs_as) {
                (Some(price), _) => {
                    let amount = price.times(quantity);
                    sum = sum.plus(amount);
                    each(Line { class: kind.class, quantity, price, amount });
                }
                (None, Some(other)) => rest.move_to(kind.class, other),
                // Most providers ask nothing for the call itself.
                (None, None) if kind.class == Class::Request => {}
                (None, None) => return Err(Unpriced(kind.class)),
            }
        }
        Ok(sum)
    }

    /// The dearest prices of a call into which at most so much goes, for a service; a provider may serve
    /// the usual one instead.
    pub fn dearest(&self, input: Tokens, service: Service) -> Dearest {
        if self.origin == super::Origin::OwnServer {
            return Dearest { input: Ok(Exact::default()), output: Some(PerMillion::default()) };
        }
        let short = Served { service, ..Served::default() };
        let long = Served { prompt: input, ..short };
        let all = [long, Served { service: Service::Standard, ..long }, short];
        // Where nothing replaces the usual prices they are the same in all cases.
        let served = if self.sections.is_empty() { all.get(..1) } else { Some(all.as_slice()) };
        let served = served.unwrap_or_default();
        let region = self.dearest_region();
        let dearest = |of: fn(Class) -> bool| {
            let classes = || self.classes().filter(move |class| of(*class));
            let prices =
                served.iter().flat_map(|served| classes().filter_map(|class| self.rate(class, served)));
            prices.max().map(|price| if region == MILLION { price } else { price.scaled(region) })
        };
        let read = match dearest(Class::is_input) {
            Some(price) => Ok(price.times(input.get())),
            None if input.is_zero() => Ok(Exact::default()),
            None => Err(Unpriced(Class::Input)),
        };
        let call = self.rate(Class::Request, &long).unwrap_or_default().times(1);
        Dearest { input: read.map(|read| read.plus(call)), output: dearest(Class::is_output) }
    }

    /// Of a million: regions are chosen in fields that a bound does not read.
    fn dearest_region(&self) -> u64 {
        let regions = self.times.iter().filter(|times| times.mode != Mode::Fast);
        regions.map(|times| times.parts).fold(MILLION, u64::max)
    }
}
