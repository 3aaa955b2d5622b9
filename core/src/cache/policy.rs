//! Whether an answer is kept, for whom and how long.
//!
//! The cache is off unless a route, a key or the request asks for it. Whoever says never is obeyed:
//! the request with `x-tollgate-cache: off` or `cache-control: no-store`, a route or a key with
//! `cache = false`.

use crate::fault::Fault;
use crate::units::Millis;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};

/// Asks for the cache, or forbids it.
const CACHE: &str = "x-tollgate-cache";
/// Asks for the cache, and says how long an answer is to be kept.
const TTL: &str = "x-tollgate-cache-ttl";

/// Who may be given an answer that somebody else has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Share {
    /// Nobody but the same key with the same end user.
    #[default]
    Key,
    /// The key's team; without one, as for a key.
    Team,
    /// The key's organisation; without one, as for a key.
    Organisation,
    /// Everybody.
    All,
}

impl Share {
    /// Every one, each wider than the one before.
    pub const ALL: [Self; 4] = [Self::Key, Self::Team, Self::Organisation, Self::All];

    /// Its word in the config.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Team => "team",
            Self::Organisation => "organisation",
            Self::All => "all",
        }
    }
}

/// What a route or a key says of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// Its requests are never answered from it, whoever asks.
    Never,
    /// They are.
    Use(Terms),
}

/// How a route or a key uses the cache; what is absent is told by somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How long an answer is kept.
    pub ttl: Option<Millis>,
    /// For whom.
    pub share: Option<Share>,
}

/// `[cache]`: what holds for every use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long an answer is kept where nobody says.
    pub ttl: Millis,
    /// The longest anyone may ask for.
    pub max_ttl: Millis,
    /// Bytes of one answer's body; a larger one is not kept.
    pub max_entry: u64,
    /// Bytes of all answers in the memory of a process.
    pub max_size: u64,
    /// Who gets whose answers where no route and no key says.
    pub share: Share,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            ttl: Millis::from_secs(300),
            max_ttl: Millis::from_secs(24 * 60 * 60),
            max_entry: 1 << 20,
            max_size: 64 << 20,
            share: Share::default(),
        }
    }
}

/// What a request's head says of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Whether it is wanted.
    pub asked: Asked,
    /// How long an answer is to be kept.
    pub ttl: Option<Millis>,
    /// How old an answer may be; none at all: it must be new.
    pub max_age: Option<Millis>,
}

/// Whether a request wants the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// It does not say.
    #[default]
    Nothing,
    /// It does.
    Use,
    /// It forbids it.
    Never,
}

impl Wish {
    /// Reads `x-tollgate-cache`, `x-tollgate-cache-ttl` and `cache-control`. A value of our own headers
    /// that is not known is a fault; directives that are not known are none. (hot)
    pub fn read(headers: &HeaderMap, bounds: &Bounds) -> Result<Self, Fault> {
        let mut wish = Self::default();
        if let Some(ttl) = headers.get(TTL) {
            wish.ttl = Some(read_ttl(ttl, bounds)?);
            wish.asked = Asked::Use;
        }
        for value in headers.get_all(CACHE) {
            wish.take(value)?;
        }
        for line in headers.get_all(CACHE_CONTROL) {
            let directives = line.to_str().unwrap_or_default().split(',').map(str::trim);
            directives.for_each(|directive| wish.obey(directive));
        }
        Ok(wish)
    }

    /// Whoever says never wins.
    fn ask(&mut self, asked: Asked) {
        if self.asked != Asked::Never {
            self.asked = asked;
        }
    }

    fn no_older_than(&mut self, age: Millis) {
        self.max_age = Some(self.max_age.map_or(age, |earlier| earlier.min(age)));
    }

    fn take(&mut self, value: &HeaderValue) -> Result<(), Fault> {
        let word = value.to_str().unwrap_or_default().trim().to_ascii_lowercase();
        match word.as_str() {
            "use" | "true" | "on" => self.ask(Asked::Use),
            "off" | "false" | "no-store" => self.ask(Asked::Never),
            "no-cache" => {
                self.ask(Asked::Use);
                self.no_older_than(Millis::ZERO);
            }
            _ => return Err(Fault::bad_field(CACHE, "use, off, no-store or no-cache", shown(value))),
        }
        Ok(())
    }

    /// One directive of `cache-control`.
    fn obey(&mut self, directive: &str) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" => self.ask(Asked::Never),
            "no-cache" => self.no_older_than(Millis::ZERO),
            "max-age" => {
                let age = value.trim().trim_matches('"').parse().ok().map(Millis::from_secs);
                age.into_iter().for_each(|age| self.no_older_than(age));
            }
            _ => {}
        }
    }
}

fn read_ttl(value: &HeaderValue, bounds: &Bounds) -> Result<Millis, Fault> {
    let most = bounds.max_ttl;
    let seconds = value.to_str().ok().filter(|text| text.bytes().all(|digit| digit.is_ascii_digit()));
    let ttl = seconds.and_then(|text| text.parse().ok()).map(Millis::from_secs);
    ttl.filter(|ttl| !ttl.is_zero() && *ttl <= most).ok_or_else(|| {
        let expected = format!("whole seconds from 1 to {}", most.get() / 1000);
        Fault::bad_field(TTL, expected, shown(value))
    })
}

/// A header's value in an error, where it is one that a person would have written.
fn shown(value: &HeaderValue) -> String {
    match value.to_str() {
        Ok("") => "nothing".to_owned(),
        Ok(text) if text.len() <= 40 => format!("`{text}`"),
        Ok(_) | Err(_) => "something else".to_owned(),
    }
}

/// What was decided: the cache is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decided {
    /// How long the answer is kept.
    pub(crate) ttl: Millis,
    /// How old a kept one may be.
    pub(crate) max_age: Millis,
    /// Whose answers may be given.
    pub(crate) share: Share,
}

/// Whether the cache is used for a request, and how. Of how long, the request's word comes before the
/// key's and the key's before the route's; for whom is not the request's to say. (hot)
pub(crate) fn decide(
    wish: &Wish,
    key: Option<Caching>,
    route: Option<Caching>,
    bounds: &Bounds,
) -> Option<Decided> {
    let Wish { asked, ttl, max_age } = *wish;
    let forbidden = asked == Asked::Never || [key, route].contains(&Some(Caching::Never));
    if forbidden || (asked == Asked::Nothing && key.is_none() && route.is_none()) {
        return None;
    }
    let terms = |caching: Option<Caching>| match caching {
        Some(Caching::Use(terms)) => terms,
        Some(Caching::Never) | None => Terms::default(),
    };
    let (key, route) = (terms(key), terms(route));
    let ttl = ttl.or(key.ttl).or(route.ttl).unwrap_or(bounds.ttl).min(bounds.max_ttl);
    Some(Decided {
        ttl,
        max_age: max_age.unwrap_or(ttl).min(ttl),
        share: key.share.or(route.share).unwrap_or(bounds.share),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderName;

    const BOUNDS: Bounds = Bounds {
        ttl: Millis::from_secs(300),
        max_ttl: Millis::from_secs(3600),
        max_entry: 1000,
        max_size: 10_000,
        share: Share::Key,
    };

    fn wish(lines: &[(&'static str, &str)]) -> Result<Wish, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        Wish::read(&headers, &BOUNDS).map_err(|fault| fault.into_parts().message)
    }

    fn decided(
        lines: &[(&'static str, &str)],
        key: Option<Caching>,
        route: Option<Caching>,
    ) -> Option<Decided> {
        decide(&wish(lines).unwrap(), key, route, &BOUNDS)
    }

    fn seconds(ttl: u64) -> Option<Caching> {
        Some(Caching::Use(Terms { ttl: Some(Millis::from_secs(ttl)), share: None }))
    }

    #[test]
    fn the_cache_is_off_unless_somebody_asks_for_it() {
        assert_eq!(decided(&[], None, None), None);
        assert_eq!(decided(&[("cache-control", "no-cache")], None, None), None);
        assert!(decided(&[], seconds(1), None).is_some());
        assert!(decided(&[], None, seconds(1)).is_some());
        assert!(decided(&[("x-tollgate-cache", "use")], None, None).is_some());
        assert!(decided(&[("x-tollgate-cache-ttl", "5")], None, None).is_some());
    }

    #[test]
    fn k12_a_flags_false_is_false() {
        for off in ["off", "false", "FALSE", "no-store", "Off"] {
            assert_eq!(decided(&[("x-tollgate-cache", off)], seconds(1), seconds(1)), None, "{off}");
        }
        for on in ["use", "true", "TRUE", "on"] {
            assert!(decided(&[("x-tollgate-cache", on)], None, None).is_some(), "{on}");
        }
    }

    #[test]
    fn whoever_says_never_wins() {
        let both = [("x-tollgate-cache", "off"), ("x-tollgate-cache", "use")];
        assert_eq!(decided(&both, None, None), None);
        let no_store = [("x-tollgate-cache", "use"), ("cache-control", "max-age=5, No-Store")];
        assert_eq!(decided(&no_store, None, None), None);
        let asks = [("x-tollgate-cache", "use")];
        assert_eq!(decided(&asks, Some(Caching::Never), seconds(1)), None);
        assert_eq!(decided(&asks, seconds(1), Some(Caching::Never)), None);
        assert_eq!(decided(&[("x-tollgate-cache", "off"), ("x-tollgate-cache-ttl", "5")], None, None), None);
    }

    #[test]
    fn the_closest_word_on_how_long_holds_and_nobody_goes_past_the_bound() {
        let ttl =
            |lines: &[_], key, route| decided(lines, key, route).map(|decided| decided.ttl.get() / 1000);
        let asks = ("x-tollgate-cache", "use");
        assert_eq!(ttl(&[asks], None, None), Some(300));
        assert_eq!(ttl(&[asks], None, seconds(60)), Some(60));
        assert_eq!(ttl(&[asks], seconds(30), seconds(60)), Some(30));
        assert_eq!(ttl(&[("x-tollgate-cache-ttl", "90")], seconds(30), seconds(60)), Some(90));
        assert_eq!(ttl(&[], seconds(1_000_000), None), Some(3600));
    }

    #[test]
    fn no_cache_is_not_read_but_stored_and_max_age_is_honoured() {
        let age = |value| decided(&[("cache-control", value)], seconds(60), None).unwrap().max_age;
        assert_eq!(age("no-cache"), Millis::ZERO);
        assert_eq!(age("max-age=0"), Millis::ZERO);
        assert_eq!(age("max-age=20, must-revalidate"), Millis::from_secs(20));
        assert_eq!(age("max-age=900"), Millis::from_secs(60));
        assert_eq!(age("max-age=x, something-else"), Millis::from_secs(60));
        let asked = decided(&[("x-tollgate-cache", "no-cache")], None, None).unwrap();
        assert_eq!((asked.max_age, asked.ttl), (Millis::ZERO, Millis::from_secs(300)));
    }

    #[test]
    fn who_shares_is_not_the_requests_to_say() {
        let share = |share| Some(Caching::Use(Terms { ttl: None, share: Some(share) }));
        let of = |key, route| decided(&[("x-tollgate-cache", "use")], key, route).unwrap().share;
        assert_eq!(of(None, None), Share::Key);
        assert_eq!(of(None, share(Share::All)), Share::All);
        assert_eq!(of(share(Share::Team), share(Share::All)), Share::Team);
    }

    #[test]
    fn values_that_are_not_known_are_named_with_their_header() {
        for value in ["yes please", "", "0"] {
            let fault = wish(&[("x-tollgate-cache", value)]).unwrap_err();
            assert!(fault.starts_with("x-tollgate-cache: expected use, off"), "{fault}");
        }
        for value in ["5m", "-1", "0", "", "3601", "99999999999999999999", "1.5", "+5"] {
            let fault = wish(&[("x-tollgate-cache-ttl", value)]).unwrap_err();
            assert!(
                fault.starts_with("x-tollgate-cache-ttl: expected whole seconds from 1 to 3600"),
                "{fault}"
            );
        }
    }
}
