//! When an upstream wants to be asked again, as far as its headers say it alike in every dialect.

use super::openai::fault::duration;
use crate::units::{Millis, Time};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::time::UNIX_EPOCH;

const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");

/// Puts seconds in place of a date in `retry-after`, so that providers need no clock to read it. They
/// count from the answer's own `date`, which is by the clock that wrote the other one, else from now.
/// A date that has passed says nothing, and is taken out.
pub(crate) fn dates_to_seconds(headers: &mut HeaderMap, now: Time) {
    let Some(until) = headers.get(header::RETRY_AFTER).and_then(date) else { return };
    let from = headers.get(header::DATE).and_then(date).unwrap_or(now);
    match until.since(from).ceil_secs() {
        0 => headers.remove(header::RETRY_AFTER),
        seconds => headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds)),
    };
}

/// How long until requests are admitted again, where an answer says that none is left.
pub(crate) fn used_up(headers: &HeaderMap) -> Option<Millis> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let none_left = text(REMAINING)?.parse::<u64>().ok()? == 0;
    duration(text(RESET)?).filter(|span| none_left && !span.is_zero())
}

/// A date as HTTP writes it: `Wed, 21 Oct 2026 07:28:00 GMT`, and the two obsolete forms.
fn date(value: &HeaderValue) -> Option<Time> {
    let date = httpdate::parse_http_date(value.to_str().ok()?.trim()).ok()?;
    let since = date.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok().map(Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 07:27:30 on the day of the dates below.
    const NOW: Time = Time(1_792_567_650_000);

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    fn seconds(list: &[(&'static str, &'static str)]) -> Option<String> {
        let mut headers = headers(list);
        dates_to_seconds(&mut headers, NOW);
        headers.get("retry-after").map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn k4_a_date_becomes_seconds_from_now_in_each_of_its_three_forms() {
        for date in
            ["Wed, 21 Oct 2026 07:28:00 GMT", "Wednesday, 21-Oct-26 07:28:00 GMT", "Wed Oct 21 07:28:00 2026"]
        {
            assert_eq!(seconds(&[("retry-after", date)]).as_deref(), Some("30"), "{date}");
        }
    }

    #[test]
    fn a_date_counts_from_the_answers_own_clock_where_that_is_told() {
        let until = ("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT");
        let an_hour_behind = ("date", "Wed, 21 Oct 2026 06:27:50 GMT");
        assert_eq!(seconds(&[until, an_hour_behind]).as_deref(), Some("3610"));
        assert_eq!(seconds(&[until, ("date", "yesterday")]).as_deref(), Some("30"));
    }

    #[test]
    fn a_date_that_has_passed_is_taken_out_and_what_is_no_date_stays() {
        assert_eq!(seconds(&[("retry-after", "Wed, 21 Oct 2026 07:27:30 GMT")]), None);
        assert_eq!(
            seconds(&[("retry-after", "Mon, 01 Jan 1601 00:00:00 GMT")]).as_deref(),
            Some("Mon, 01 Jan 1601 00:00:00 GMT")
        );
        for plain in ["7", "0.5", "soon", "Wed, 41 Oct 2026 07:28:00 GMT", ""] {
            assert_eq!(seconds(&[("retry-after", plain)]).as_deref(), Some(plain));
        }
        assert_eq!(seconds(&[]), None);
    }

    #[test]
    fn an_answer_says_that_it_was_the_last_for_now() {
        let told = |left, reset| {
            used_up(&headers(&[
                ("x-ratelimit-remaining-requests", left),
                ("x-ratelimit-reset-requests", reset),
            ]))
        };
        assert_eq!(told("0", "2.5s"), Some(Millis(2500)));
        assert_eq!(told("0", "6m0s"), Some(Millis(360_000)));
        assert_eq!(told("1", "2.5s"), None);
        assert_eq!(told("0", "0s"), None);
        assert_eq!(told("none", "1s"), None);
        assert_eq!(used_up(&headers(&[("x-ratelimit-remaining-requests", "0")])), None);
    }
}
