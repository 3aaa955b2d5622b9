//! What a price depends on besides the model: how, when and where the call was served.

use crate::units::{Time, Tokens};
use crate::usage::Usage;

/// The urgency a call was served with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Service {
    /// The usual one.
    #[default]
    Standard,
    /// Within a day, at a discount.
    Batch,
    /// When there is room, at a discount.
    Flex,
    /// Before others.
    Priority,
    /// On the fastest machines.
    Ultrafast,
}

impl Service {
    /// Every service that has prices of its own, by its word in the catalogue's file.
    pub const NAMED: [(Self, &'static str); 4] = [
        (Self::Batch, "batch"),
        (Self::Flex, "flex"),
        (Self::Priority, "priority"),
        (Self::Ultrafast, "ultrafast"),
    ];

    /// Its word; providers' words for the usual one (`default`, `auto`, `standard`, `on_demand`) and
    /// words nobody knows are the usual one.
    pub fn of(word: &str) -> Self {
        let named = Self::NAMED.iter().find(|(_, name)| *name == word);
        named.map_or(Self::Standard, |(service, _)| *service)
    }
}

/// What multiplies every token's price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Run in the United States only.
    Us,
    /// Run in the European Union only.
    Eu,
    /// Anthropic's fast mode.
    Fast,
}

impl Mode {
    /// Every mode by its word in the catalogue's file.
    pub const ALL: [(Self, &'static str); 3] = [(Self::Us, "us"), (Self::Eu, "eu"), (Self::Fast, "fast")];

    /// The mode of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == word).map(|(mode, _)| *mode)
    }
}

/// How, when and where a call was served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// With which urgency.
    pub service: Service,
    /// The whole prompt, cached parts included: long ones cost more.
    pub prompt: Tokens,
    /// When; the price of some depends on the hour.
    pub at: Time,
    /// In a region of the client's choice.
    pub region: Option<Mode>,
    /// In a faster mode.
    pub speed: Option<Mode>,
}

impl Served {
    /// What the provider says of it in its usage: OpenAI's and Anthropic's `service_tier`, Gemini's
    /// `serviceTier` and `trafficType`, Anthropic's `inference_geo` and `speed`.
    pub fn of(usage: &Usage, at: Time) -> Self {
        let word = |name: &str| usage.extras.get(name).and_then(|value| value.as_str());
        let service = usage.service_tier.as_deref().or_else(|| word("service_tier"));
        let service = service.or_else(|| word("serviceTier")).map(Service::of);
        let traffic = || match word("trafficType") {
            Some("ON_DEMAND_PRIORITY") => Service::Priority,
            Some("ON_DEMAND_FLEX") => Service::Flex,
            Some(_) | None => Service::Standard,
        };
        Self {
            service: service.unwrap_or_else(traffic),
            prompt: usage.prompt(),
            at,
            region: word("inference_geo").and_then(Mode::of).filter(|mode| *mode != Mode::Fast),
            speed: word("speed").and_then(Mode::of).filter(|mode| *mode == Mode::Fast),
        }
    }
}

/// Hours of the week, UTC, in which a price holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hours(Vec<Span>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    /// From 1, Monday.
    day: u8,
    /// Minutes of the day.
    from: u16,
    to: u16,
}

impl Hours {
    /// Reads `12345/00:00-01:00,10:00-24:00@67/00:00-24:00`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut spans = Vec::new();
        for part in text.split('@') {
            let (days, hours) = part.split_once('/')?;
            for span in hours.split(',') {
                let (from, to) = span.split_once('-')?;
                let (from, to) = (minutes(from)?, minutes(to)?);
                if days.is_empty() || from >= to {
                    return None;
                }
                for day in days.bytes() {
                    let day = day.checked_sub(b'0').filter(|day| (1..=7).contains(day))?;
                    spans.push(Span { day, from, to });
                }
            }
        }
        Some(Self(spans))
    }

    /// Whether the price holds then.
    pub(super) fn hold(&self, at: Time) -> bool {
        let minute = at.unix_secs() / 60;
        // The first day of the epoch was a Thursday.
        let day = (minute / 1440 + 3) % 7 + 1;
        let minute = minute % 1440;
        let within = |span: &Span| u64::from(span.from) <= minute && minute < u64::from(span.to);
        self.0.iter().any(|span| u64::from(span.day) == day && within(span))
    }
}

fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours <= 24 && minutes < 60).then_some(hours * 60 + minutes)
}
