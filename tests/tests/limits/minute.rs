//! What happens when a window ends. The only test that waits for one: all keys at once.

use crate::setting::{Setting, assert_limited, capped, chat, key, retry_after, tenth};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// So long before and after a window's end nothing is asked, on a machine that does other work.
const EDGE: Duration = Duration::from_secs(3);

#[test]
fn a2_a12_b14_windows_slide_and_what_left_them_can_be_used_again() {
    let config = [
        key("slides", "rpm = 4"),
        key("both", "rpm = 4\ntpm = 2500"),
        key("minute", "budget = [{ usd = 0.25, per = \"minute\", reset = \"rolling\" }]"),
        key("calendar", "budget = [{ usd = 0.25, per = \"minute\" }]"),
        key(
            "several",
            "budget = [{ usd = 0.25, per = \"minute\", reset = \"rolling\" }, { usd = 0.35, per = \"day\" }]",
        ),
    ];
    let setting = Setting::new(&config.concat());
    let ok = |name: &str, request: &tollgate_tests::http::Request| {
        let answer = setting.ask(name, request);
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    };
    let thousand = capped("sim/m+chars=4000", 1000);
    // A minute of the calendar may end here.
    let calendar = || (0..4).filter(|_| setting.ask("calendar", &tenth("")).status == 200).count();
    let first = calendar();
    assert!((2..=4).contains(&first), "{first}");
    let start = Instant::now();
    for _ in 0..2 {
        ok("slides", &chat("sim/m"));
        ok("both", &thousand);
        ok("minute", &tenth(""));
        ok("several", &tenth(""));
    }
    let begun = start.elapsed();
    assert!(begun < EDGE, "this machine is too slow to tell windows apart: {begun:?}");
    assert_limited(&setting.ask("both", &thousand), "tpm_exceeded", "key:both");
    let refused = setting.ask("minute", &tenth(""));
    assert_limited(&refused, "budget_exceeded", "key:minute");
    assert!(retry_after(&refused).is_none_or(|wait| wait <= 62), "{refused:?}");
    sleep(Duration::from_secs(30).saturating_sub(start.elapsed()));
    ok("slides", &chat("sim/m"));
    ok("slides", &chat("sim/m"));
    let limited = setting.ask("slides", &chat("sim/m"));
    assert_limited(&limited, "rpm_exceeded", "key:slides");
    // The first two leave their window in half a minute.
    assert!(retry_after(&limited).is_some_and(|wait| (20..=30).contains(&wait)), "{limited:?}");
    assert_limited(&setting.ask("both", &thousand), "tpm_exceeded", "key:both");
    sleep((Duration::from_secs(60) - EDGE).saturating_sub(start.elapsed()));
    if start.elapsed() < Duration::from_secs(60) {
        // The boundary has not come: nothing is open a moment early.
        let early = setting.ask("slides", &chat("sim/m"));
        assert!(early.status == 429 || start.elapsed() >= Duration::from_secs(60), "a12: {early:?}");
    }
    sleep((Duration::from_secs(60) + EDGE).saturating_sub(start.elapsed()));
    // Two have left, two are in the window still: a boundary never gives twice the limit.
    let again: Vec<_> = (0..4).map(|_| setting.ask("slides", &chat("sim/m")).status).collect();
    assert_eq!(again, [200, 200, 429, 429], "a12");
    // Both windows have moved on, and neither has kept the other from it.
    ok("both", &thousand);
    ok("both", &thousand);
    assert_limited(&setting.ask("both", &thousand), "tpm_exceeded", "key:both");
    ok("minute", &tenth(""));
    ok("minute", &tenth(""));
    assert_limited(&setting.ask("minute", &tenth("")), "budget_exceeded", "key:minute");
    // The minute is free again, the day is not.
    ok("several", &tenth(""));
    assert_limited(&setting.ask("several", &tenth("")), "budget_exceeded", "day");
    let second = calendar();
    assert!((2..=4).contains(&second), "{second}");
}
