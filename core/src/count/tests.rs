use super::*;
use crate::surface;
use crate::surface::SurfaceId;
use crate::units::Estimated;
use crate::usage::{Exclusive, Inclusive};

fn prompt(body: &'static str) -> Prompt {
    Prompt { surface: surface::of(SurfaceId::OpenAiChat), body: Bytes::from_static(body.as_bytes()) }
}

fn heard(text: &str) -> Heard {
    let mut heard = Heard::default();
    heard.hear(|out| out.push_str(text));
    heard
}

#[test]
fn an_estimate_begins_at_two_bytes_a_token_and_is_never_below_what_was_just_seen() {
    let gauge = Gauge::default();
    let estimate = |bytes| gauge.estimate(Family::O200k, bytes).0;
    assert_eq!(estimate(1000), Tokens(500));
    for _ in 0..1000 {
        gauge.observe(Family::O200k, 4000, Tokens(1000));
    }
    assert!((Tokens(1250)..Tokens(1300)).contains(&estimate(4000)), "{}", estimate(4000));
    gauge.observe(Family::O200k, 4000, Tokens(2000));
    assert!(estimate(4000) >= Tokens(2500), "denser text counts at once");
    assert_eq!(gauge.estimate(Family::Unknown, 1000).0, Tokens(500), "families learn apart");
}

#[test]
fn estimates_stay_between_one_and_six_bytes_a_token_whatever_is_reported() {
    let gauge = Gauge::default();
    for _ in 0..10_000 {
        gauge.observe(Family::Cl100k, 1_000_000, Tokens(1));
    }
    assert_eq!(gauge.estimate(Family::Cl100k, 4096).0, Tokens(682));
    gauge.observe(Family::Cl100k, 1000, Tokens(999));
    assert_eq!(gauge.estimate(Family::Cl100k, 4096).0, Tokens(4096));
    let fresh = Gauge::default();
    for (bytes, tokens) in [(1000, 0), (1000, 1001), (1000, u64::MAX), (100, 90)] {
        fresh.observe(Family::Cl100k, bytes, Tokens(tokens));
    }
    assert_eq!(fresh.estimate(Family::Cl100k, 1000).0, Tokens(500), "that told nothing of text");
    assert_eq!(fresh.estimate(Family::Cl100k, u64::MAX), Estimated(Tokens(u64::MAX / 2 + 1)));
}

#[test]
fn bytes_beyond_ascii_weigh_double() {
    assert_eq!((weight(b""), weight(b"abc"), weight("aé漢".as_bytes())), (0, 3, 6 + 5));
    let long = "é".repeat(1000);
    assert_eq!(weight(long.as_bytes()), 4000);
}

#[test]
fn pictures_and_files_have_upper_figures_of_their_own() {
    let media = Media { images: 2, references: 1, file_bytes: 401, audio_bytes: 6400 };
    assert_eq!(media.tokens(), Tokens(10_000 + 50_000 + 101 + 100));
    assert!(!media.is_none() && Media::default().is_none());
}

#[test]
fn what_was_heard_is_kept_up_to_a_bound_and_never_printed() {
    let mut all = heard(&"é".repeat(2 * 1024 * 1024));
    assert_eq!((all.text.len(), all.bytes_beyond), (4 * 1024 * 1024, 0));
    all.hear(|out| out.push_str("secret"));
    assert_eq!((all.text.len(), all.bytes_beyond), (4 * 1024 * 1024, 6));
    assert_eq!(format!("{all:?}"), "Heard(4194310 bytes)");
    let uncounted = Uncounted::prompt(Family::O200k, prompt(r#"{"messages":"secret"}"#));
    assert!(!format!("{uncounted:?}").contains("secret"));
}

#[test]
fn c7_anthropics_first_word_on_the_input_is_kept_when_the_answer_breaks_off() {
    let first = Usage::from(Exclusive {
        input: Tokens(3),
        cache_read: Tokens(12_304),
        cache_write_1h: Tokens(5),
        output: Tokens(1),
        ..Exclusive::default()
    });
    let missing = Uncounted::missing(Family::Unknown, prompt("{}"), heard("abcdefgh"), Some(&first));
    assert!(missing.prompt.is_none(), "the input is known");
    let usage = Gauge::default().count(&missing).over(Some(&first));
    assert_eq!((usage.fresh_input, usage.cache_read), (Tokens(3), Tokens(12_304)));
    assert_eq!((usage.cache_write_1h, usage.output), (Tokens(5), Tokens(4)));
}

#[test]
fn c7_geminis_running_count_wins_where_it_knows_of_more_than_was_heard() {
    let running =
        Usage::from(Inclusive { prompt: Tokens(9), completion: Tokens(300), ..Inclusive::default() });
    let missing = Uncounted::missing(Family::Unknown, prompt("{}"), heard("ab"), Some(&running));
    let usage = Gauge::default().count(&missing).over(Some(&running));
    assert_eq!((usage.prompt(), usage.output), (Tokens(9), Tokens(300)));
}

#[test]
fn c7_without_any_report_prompt_and_output_are_counted() {
    let body = r#"{"messages":[{"role":"user","content":"0123456789"}]}"#;
    let missing = Uncounted::missing(Family::O200k, prompt(body), heard("abcdef"), None);
    let counted = Gauge::default().count(&missing);
    // Ten bytes and the role's four, three for the message and three for the answer's beginning.
    assert_eq!((counted.input, counted.output), (Some(Tokens(7 + 6)), Some(Tokens(3))));
    assert_eq!(counted.basis, Basis::Estimated);
    assert_eq!(counted.over(None).prompt(), Tokens(13));
    let silent = Usage { reported_cost: Some(crate::units::NanoDollars(5)), ..Usage::default() };
    let usage = counted.over(Some(&silent));
    assert_eq!((usage.prompt(), usage.reported_cost), (Tokens(13), None), "a part's cost is not the whole's");
}
