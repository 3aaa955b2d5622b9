//! Moments as sources write them.

use tollgate_core::units::Time;

/// `2026-11-29T17:00:00Z`, with a fraction of a second or without; offsets are not used by anybody here.
pub(super) fn parse(text: &str) -> Option<Time> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let number = |text: &str| text.parse::<i64>().ok();
    let mut date = date.splitn(3, '-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.split('.').next()?.splitn(3, ':').map(number);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if !(1..=12).contains(&month) || !(1970..=9999).contains(&year) {
        return None;
    }
    // Days since 1970, with years that begin in March: leap days stand at their ends.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    u64::try_from(seconds).ok().map(|seconds| Time(seconds * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:30:15.123Z", 951_827_415),
            ("2026-11-29T16:00:00Z", 1_795_968_000),
            ("2027-01-15T08:00:00Z", 1_800_000_000),
        ] {
            assert_eq!(parse(text), Some(Time(seconds * 1000)), "{text}");
        }
        for text in ["", "2026-11-29", "2026-13-01T00:00:00Z", "2026-11-29T16:00:00+01:00"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
