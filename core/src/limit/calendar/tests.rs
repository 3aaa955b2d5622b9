use super::*;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// The span of a moment as it is written.
fn spanned(period: Period, zone: &str, now: &str) -> [String; 2] {
    let zone = Zone::parse(zone).expect("a zone");
    let Span { from, to } = span(period, &zone, read(now));
    [written(from), written(to)]
}

/// Finds a moment by its spelling.
fn read(text: &str) -> Time {
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().expect("a number");
    let date = Date { year: number(0..4), month: number(5..7), day: number(8..10) };
    let seconds = date.days() * SECONDS_A_DAY + number(11..13) * 3600 + number(14..16) * 60 + number(17..19);
    Time(u64::try_from(seconds).expect("after the epoch") * 1000)
}

#[test]
fn every_period_of_the_calendar_begins_where_people_say_it_does() {
    let now = "2028-02-29T13:14:15Z";
    let cases = [
        (Period::Minute, ["2028-02-29T13:14:00Z", "2028-02-29T13:15:00Z"]),
        (Period::Hour, ["2028-02-29T13:00:00Z", "2028-02-29T14:00:00Z"]),
        (Period::Day, ["2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"]),
        (Period::Week, ["2028-02-28T00:00:00Z", "2028-03-06T00:00:00Z"]),
        (Period::Month, ["2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"]),
        (Period::Year, ["2028-01-01T00:00:00Z", "2029-01-01T00:00:00Z"]),
    ];
    for (period, expected) in cases {
        assert_eq!(spanned(period, "UTC", now), expected, "{period:?}");
    }
    assert_eq!(span(Period::Never, &Zone::default(), read(now)), Span::EVER);
}

#[test]
fn b15_a_calendar_month_that_is_joined_on_its_last_day_ends_with_it() {
    assert_eq!(
        spanned(Period::Month, "UTC", "2026-10-31T23:59:59Z"),
        ["2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"]
    );
    assert_eq!(
        spanned(Period::Month, "UTC", "2026-12-31T23:59:59Z"),
        ["2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"]
    );
}

#[test]
fn fixed_offsets_move_the_day() {
    assert_eq!(
        spanned(Period::Day, "+02:00", "2026-05-05T23:00:00Z"),
        ["2026-05-05T22:00:00Z", "2026-05-06T22:00:00Z"]
    );
    assert_eq!(
        spanned(Period::Day, "-05:30", "2026-05-05T03:00:00Z"),
        ["2026-05-04T05:30:00Z", "2026-05-05T05:30:00Z"]
    );
    assert_eq!(
        spanned(Period::Hour, "-05:30", "2026-05-05T03:10:00Z"),
        ["2026-05-05T02:30:00Z", "2026-05-05T03:30:00Z"]
    );
}

#[test]
fn a_zone_that_is_not_known_is_none() {
    for wrong in ["", "utc+2", "+2", "+2:00", "+24:00", "-01:60", "+02:0x", "Mars/Olympus", "ü", "+ü", "-"]
    {
        assert_eq!(Zone::parse(wrong), None, "{wrong}");
    }
    assert_eq!(Zone::parse("UTC"), Some(Zone::default()));
    assert_eq!(Zone::default().name(), "UTC");
    assert_eq!(Zone::parse("+02:00").map(|zone| zone.name().to_owned()).as_deref(), Some("+02:00"));
}

#[cfg(feature = "zones")]
mod named {
    use super::*;

    #[test]
    fn days_of_a_clock_change_are_an_hour_shorter_or_longer() {
        let berlin = |now| spanned(Period::Day, "Europe/Berlin", now);
        assert_eq!(berlin("2026-03-29T12:00:00Z"), ["2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"]);
        assert_eq!(berlin("2026-10-25T12:00:00Z"), ["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"]);
        let months = spanned(Period::Month, "America/New_York", "2026-03-20T00:00:00Z");
        assert_eq!(months, ["2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"]);
    }

    #[test]
    fn a_day_whose_midnight_is_skipped_begins_after_the_gap() {
        // Clocks went from 00:00 to 01:00 at the beginning of this day.
        let beirut = spanned(Period::Day, "Asia/Beirut", "2022-03-27T12:00:00Z");
        assert_eq!(beirut, ["2022-03-26T22:00:00Z", "2022-03-27T21:00:00Z"]);
    }

    #[test]
    fn an_hour_that_comes_twice_is_two() {
        let berlin = |now| spanned(Period::Hour, "Europe/Berlin", now);
        assert_eq!(berlin("2026-10-25T00:30:00Z"), ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"]);
        assert_eq!(berlin("2026-10-25T01:30:00Z"), ["2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]);
    }

    #[test]
    fn one_place_is_one_zone_however_it_is_spelled() {
        assert_eq!(Zone::parse("europe/berlin"), Zone::parse("Europe/Berlin"));
        assert_eq!(
            Zone::parse("Europe/Berlin").map(|zone| zone.name().to_owned()).as_deref(),
            Some("Europe/Berlin")
        );
    }
}

#[cfg(not(feature = "zones"))]
#[test]
fn named_zones_are_unknown_where_their_rules_are_not_built_in() {
    assert_eq!(Zone::parse("Europe/Berlin"), None);
}

fn zones() -> impl Strategy<Value = Zone> {
    let names = ["UTC", "+14:00", "-11:30", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana"];
    let known: Vec<Zone> = names.into_iter().filter_map(Zone::parse).collect();
    prop::sample::select(known)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, rng_seed: RngSeed::Fixed(31), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_moment_is_in_its_span_and_the_end_is_in_the_next(
        now in prop_oneof![any::<u64>(), 0..5_000_000_000_000_u64, u64::MAX - 100_000..=u64::MAX],
        zone in zones(),
        period in prop::sample::select(Period::ALL.to_vec()),
    ) {
        let this = span(period, &zone, Time(now));
        prop_assert!(this.holds(Time(now)), "{this:?} does not hold {now}");
        prop_assert!(!written(Time(now)).is_empty());
        if this.to != Time::NEVER {
            let next = span(period, &zone, this.to);
            prop_assert!(next.holds(this.to) && next.to > this.to, "{next:?} after {this:?}");
        }
    }
}
