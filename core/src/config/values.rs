//! The spellings of durations, sizes, moments, counts and dollars. All arithmetic is on integers:
//! what is written is what is meant, or it is refused.

use crate::float;
use crate::limit::Percent;
use crate::price::{PerMillion, Unit};
use crate::units::{Millis, NanoDollars, Time};

/// A billion dollars in billionths: more is a slip of the pen.
const MAX_BUDGET: u64 = 1_000_000_000 * 1_000_000_000;

/// `500ms`, `60s`, `5m`, `1h`, `1d`.
pub(crate) fn duration(text: &str) -> Result<Millis, String> {
    let Measure { number, unit } = measure(text, "duration")?;
    let factor: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" => return Err("the duration has no unit".to_owned()),
        _ => return Err("the duration's unit is unknown".to_owned()),
    };
    number.checked_mul(factor).map(Millis).ok_or_else(|| "the duration is too long".to_owned())
}

/// `512KiB`, `32MiB`, `1GB`, `100B`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let Measure { number, unit } = measure(text, "size")?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "" => return Err("the size has no unit".to_owned()),
        _ => return Err("the size's unit is unknown".to_owned()),
    };
    match number.checked_mul(factor) {
        Some(0) => Err("the size is zero".to_owned()),
        Some(bytes) => Ok(bytes),
        None => Err("the size is too large".to_owned()),
    }
}

/// A whole number and the letters after it.
struct Measure<'a> {
    number: u64,
    unit: &'a str,
}

fn measure<'a>(text: &'a str, what: &str) -> Result<Measure<'a>, String> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err(format!("the {what} is negative"));
    }
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    if number.is_empty() {
        return Err(format!("the {what} does not begin with a whole number"));
    }
    let number = number.parse().map_err(|_| format!("the {what} is too large"))?;
    Ok(Measure { number, unit: unit.trim_start() })
}

/// A whole number above zero.
pub(crate) fn count(number: &str) -> Result<u64, String> {
    let decimal = Decimal::parse(number)?;
    match decimal.scaled(0) {
        Some(0) => Err("zero would refuse everything".to_owned()),
        Some(count) => Ok(count),
        None => Err("not a whole number in range".to_owned()),
    }
}

/// A number that is not negative, without its fraction.
pub(crate) fn whole(number: &str) -> Result<u64, String> {
    let decimal = Decimal::parse(number)?;
    let cut = || {
        let kept = decimal.exponent.checked_add(i64::try_from(decimal.digits.len()).ok()?)?;
        match usize::try_from(kept) {
            Ok(kept @ 1..) => decimal.digits.get(..kept)?.parse().ok(),
            Ok(0) | Err(_) => Some(0),
        }
    };
    let whole = decimal.scaled(0).or_else(|| if decimal.exponent < 0 { cut() } else { None });
    whole.ok_or_else(|| "not a number in range".to_owned())
}

/// Whole per cent, from 1 to 100.
pub(crate) fn whole_percent(number: &str) -> Result<Percent, String> {
    let percent = Decimal::parse(number)?.scaled(0).and_then(|percent| u8::try_from(percent).ok());
    let percent = percent.filter(|percent| (1..=100).contains(percent)).map(Percent);
    percent.ok_or_else(|| "not a whole number from 1 to 100".to_owned())
}

/// A SHA-256 as 64 hexadecimal digits.
pub(crate) fn sha256(text: &str) -> Result<[u8; 32], String> {
    let mut bytes = [0_u8; 32];
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let wrong = || "not a SHA-256".to_owned();
    if text.len() != 64 {
        return Err(wrong());
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return Err(wrong()) };
        *byte = digit(*high).ok_or_else(wrong)? * 16 + digit(*low).ok_or_else(wrong)?;
    }
    Ok(bytes)
}

/// A SHA-256 as it is written: 64 small hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A positive, finite number.
pub(crate) fn weight(number: &str) -> Result<f64, String> {
    Decimal::parse(number)?;
    match float::parse(&number.replace('_', "")) {
        Some(weight) if weight > 0.0 => Ok(weight),
        Some(0.0) => Err("zero is not above zero".to_owned()),
        Some(_) | None => Err("the number is out of range".to_owned()),
    }
}

/// US dollars from their decimal spelling, exactly.
pub(crate) fn dollars(number: &str) -> Result<NanoDollars, String> {
    let decimal = Decimal::parse(number)?;
    match decimal.scaled(9) {
        Some(0) => Err("zero would refuse everything".to_owned()),
        Some(nanos) if nanos > MAX_BUDGET => Err("more than a billion dollars".to_owned()),
        Some(nanos) => Ok(NanoDollars(nanos)),
        None => Err("the amount is finer than a billionth of a dollar or larger than 18 billion".to_owned()),
    }
}

/// US dollars for a million of something or for one, exactly; zero is a price.
pub(crate) fn price(number: &str, unit: Unit) -> Result<PerMillion, String> {
    let price = Decimal::parse(number)?.scaled(i64::from(unit.decimals()));
    let wrong = "the price is finer than a billionth of a dollar for a million, or absurdly high";
    price.map(PerMillion).ok_or_else(|| wrong.to_owned())
}

/// Per cent in parts of a million.
pub(crate) fn percent(number: &str) -> Result<u64, String> {
    let parts = Decimal::parse(number)?.scaled(4).filter(|parts| *parts <= 1_000_000_000);
    parts.ok_or_else(|| "finer than a ten-thousandth of a per cent, or above 100,000".to_owned())
}

/// A decimal number that is not negative: `digits` times ten to the `exponent`.
struct Decimal {
    /// Without leading or trailing zeros; empty for zero.
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn parse(number: &str) -> Result<Self, String> {
        let number = number.trim().replace('_', "");
        let number = number.strip_prefix('+').unwrap_or(&number);
        if number.starts_with('-') {
            return Err("the number is negative".to_owned());
        }
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("not a finite number".to_owned());
        }
        let exponent: i64 = exponent.parse().map_err(|_| "the exponent is out of range".to_owned())?;
        let fraction = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
        let mut exponent = exponent.saturating_sub(fraction);
        while digits.ends_with('0') {
            digits.pop();
            exponent = exponent.saturating_add(1);
        }
        let digits = digits.trim_start_matches('0').to_owned();
        Ok(Self { digits, exponent })
    }

    /// The number times ten to the `places`, if that is whole and fits.
    fn scaled(&self, places: i64) -> Option<u64> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let zeros = u32::try_from(self.exponent.checked_add(places)?).ok()?;
        let digits: u64 = self.digits.parse().ok()?;
        digits.checked_mul(10_u64.checked_pow(zeros)?)
    }
}

/// An RFC 3339 moment: `2027-01-01T00:00:00Z`, `2027-01-01 01:00:00.5+01:00`.
pub(crate) fn moment(text: &str) -> Result<Time, String> {
    let wrong = || "not a moment".to_owned();
    let (date, rest) = text.trim().split_at_checked(10).ok_or_else(wrong)?;
    let mut fields = date.split('-').map(digits);
    let (year, month, day) = (next(&mut fields)?, next(&mut fields)?, next(&mut fields)?);
    let rest = rest.strip_prefix(['T', 't', ' ']).ok_or_else(wrong)?;
    let (clock, zone) = rest.split_at_checked(8).ok_or_else(wrong)?;
    let mut fields = clock.split(':').map(digits);
    let (hour, minute, second) = (next(&mut fields)?, next(&mut fields)?, next(&mut fields)?);
    if year < 1970 || day < 1 || day > days_in(year, month) || hour > 23 || minute > 59 || second > 60 {
        return Err("the date is out of range".to_owned());
    }
    let (millis, zone) = fraction(zone);
    let secs = days_from_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let utc = secs.checked_sub(offset(zone)?).filter(|secs| *secs >= 0);
    let utc = utc.and_then(|secs| u64::try_from(secs).ok()).ok_or_else(wrong)?;
    Ok(Time(utc.saturating_mul(1000).saturating_add(millis)))
}

fn digits(text: &str) -> Result<i64, String> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if plain { text.parse().ok() } else { None };
    number.ok_or_else(|| "not a moment".to_owned())
}

fn next(fields: &mut impl Iterator<Item = Result<i64, String>>) -> Result<i64, String> {
    fields.next().unwrap_or_else(|| Err("not a moment".to_owned()))
}

/// Milliseconds of `.123456` and what comes after it.
fn fraction(text: &str) -> (u64, &str) {
    let Some(rest) = text.strip_prefix('.') else { return (0, text) };
    let zone = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let mut thousandths: String = rest.chars().take_while(char::is_ascii_digit).take(3).collect();
    while thousandths.len() < 3 {
        thousandths.push('0');
    }
    (thousandths.parse().unwrap_or(0), zone)
}

/// Seconds east of Greenwich.
fn offset(zone: &str) -> Result<i64, String> {
    if zone.eq_ignore_ascii_case("z") {
        return Ok(0);
    }
    let sign = match zone.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        Some(_) => return Err("the zone is not `Z` or `+hh:mm`".to_owned()),
        None => return Err("the moment has no zone".to_owned()),
    };
    let mut fields = zone.trim_start_matches(['+', '-']).split(':').map(digits);
    let (hours, minutes) = (next(&mut fields)?, next(&mut fields)?);
    if hours > 23 || minutes > 59 {
        return Err("the zone is out of range".to_owned());
    }
    Ok(sign * (hours * 3600 + minutes * 60))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 0,
    }
}

/// Days since 1970-01-01 of a date in the Gregorian calendar. Years begin in March here, so that
/// the leap day is a year's last.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

/// A span of time as [`duration`] reads it.
pub(crate) fn written_span(span: Millis) -> String {
    match span.get() {
        whole if whole % 1000 == 0 => format!("{}s", whole / 1000),
        other => format!("{other}ms"),
    }
}

/// A moment as it is written in a config, in UTC, with milliseconds where there are any.
pub(crate) fn written(time: Time) -> String {
    let secs = time.unix_secs();
    let clock = secs % 86_400;
    // The same March years as in `days_from_epoch`, walked the other way.
    let days = secs / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    let fraction = match time.0 % 1000 {
        0 => String::new(),
        millis => format!(".{millis:03}"),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_numbers_with_a_unit() {
        assert_eq!(duration("500ms"), Ok(Millis(500)));
        assert_eq!(duration("1h"), Ok(Millis(3_600_000)));
        for wrong in
            ["", "5", "-5s", "5 parsecs", "1.5s", "s", "99999999999999999999s", "999999999999999999d"]
        {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_know_binary_and_decimal_units() {
        assert_eq!(size("32MiB"), Ok(32 << 20));
        assert_eq!(size("1 GB"), Ok(1_000_000_000));
        assert!(size("32").is_err() && size("0MiB").is_err() && size("32MBit").is_err());
    }

    #[test]
    fn b12_dollars_are_read_exactly_and_negative_or_nan_is_refused() {
        assert_eq!(dollars("0.1"), Ok(NanoDollars(100_000_000)));
        assert_eq!(dollars("1e3"), Ok(NanoDollars(1_000_000_000_000)));
        assert_eq!(dollars("0.000000001"), Ok(NanoDollars(1)));
        assert_eq!(dollars("2.500000000000000"), Ok(NanoDollars(2_500_000_000)));
        for wrong in
            ["-1", "nan", "inf", "+inf", "-nan", "0", "0.0", "0.0000000001", "1e99", "1e-99", "1e", "."]
        {
            assert!(dollars(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_moment_that_is_written_is_read_as_the_same() {
        for day in (0..60_000).step_by(17) {
            let time = Time(day * 86_400_000 + 3_723_000 + day % 1000);
            assert_eq!(moment(&written(time)), Ok(time), "{}", written(time));
        }
        assert_eq!(written(Time(951_865_199_250)), "2000-02-29T22:59:59.250Z");
    }

    #[test]
    fn moments_count_from_the_epoch_in_their_zone() {
        assert_eq!(moment("1970-01-01T00:00:00Z"), Ok(Time(0)));
        assert_eq!(moment("2027-01-01T00:00:00Z"), Ok(Time(1_798_761_600_000)));
        assert_eq!(moment("2000-02-29 23:59:59.25+01:00"), Ok(Time(951_865_199_250)));
        for wrong in
            ["2027-01-01", "2027-01-01T00:00:00", "2027-02-29T00:00:00Z", "2027-13-01T00:00:00Z", "ü", ""]
        {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_digest_is_64_digits_and_is_written_as_it_was_read() {
        let text = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(sha256(text).map(|bytes| hex(&bytes)), Ok(text.to_owned()));
        assert_eq!(sha256(&text.to_uppercase()), sha256(text));
        for wrong in ["", "2c", &text.replace('2', "+"), &format!("{text}00"), &"é".repeat(32)] {
            assert!(sha256(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seconds_of_a_token_may_have_a_fraction() {
        assert_eq!(whole("1700000000.999"), Ok(1_700_000_000));
        assert_eq!(whole("1.7e9"), Ok(1_700_000_000));
        assert_eq!(whole("0.5"), Ok(0));
        assert_eq!(whole("12.05e1"), Ok(120));
        for wrong in ["-1", "nan", "1e99", "", "1e-", "x"] {
            assert!(whole(wrong).is_err(), "{wrong}");
        }
    }
}
