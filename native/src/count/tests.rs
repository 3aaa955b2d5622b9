use super::*;
use bytes::Bytes;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use tollgate_core::count::Prompt;
use tollgate_core::count::{Basis, Heard};
use tollgate_core::surface::{self, SurfaceId};
use tollgate_core::units::Tokens;

fn heard(text: impl Into<String>) -> Heard {
    Heard { text: text.into(), bytes_beyond: 0 }
}

fn output(family: Family, text: impl Into<String>) -> Uncounted {
    Uncounted { family, prompt: None, output: Some(heard(text)) }
}

fn prompt(body: String) -> Prompt {
    Prompt { surface: surface::of(SurfaceId::OpenAiChat), body: Bytes::from(body) }
}

fn counted(text: Uncounted) -> Counted {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(count(text, &Arc::default()))
}

/// The first poll must return at once and leave the work to others.
fn goes_to_its_own_thread(text: Uncounted) -> Counted {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let gauge = Arc::default();
    let mut counting = pin!(count(text, &gauge));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(counting.as_mut().poll(&mut cx).is_pending(), "counted where it was asked for");
    runtime.block_on(counting)
}

const PROSE: &str =
    "It was the best of times, it was the worst of times; nobody knew which. 1859 was long ago.\n";

#[test]
fn known_texts_have_their_known_counts() {
    // From OpenAI's own tokenizer.
    assert_eq!(counted(output(Family::Cl100k, "tiktoken is great!")).output, Some(Tokens(6)));
    assert_eq!(counted(output(Family::O200k, "tiktoken is great!")).output, Some(Tokens(6)));
    assert_eq!(counted(output(Family::Cl100k, "hello world")).output, Some(Tokens(2)));
    let again = counted(output(Family::Cl100k, "hello world"));
    assert_eq!((again.output, again.input, again.basis), (Some(Tokens(2)), None, Basis::Counted));
    assert_eq!(counted(output(Family::O200k, "")).output, Some(Tokens::ZERO));
}

#[test]
fn a_prompt_is_counted_as_openai_counts_it() {
    // OpenAI's cookbook has 129 prompt tokens for this conversation with gpt-4-0613, 124 with gpt-4o.
    let body = r#"{"model":"m","messages":[
        {"role":"system","content":"You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
        {"role":"system","name":"example_user","content":"New synergies will help drive top-line growth."},
        {"role":"system","name":"example_assistant","content":"Things working well together will increase revenue."},
        {"role":"system","name":"example_user","content":"Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
        {"role":"system","name":"example_assistant","content":"Let's talk later when we're less busy about how to do better."},
        {"role":"user","content":"This late pivot means we don't have time to boil the ocean for the client deliverable."}]}"#;
    let input = |family| counted(Uncounted::prompt(family, prompt(body.to_owned()))).input;
    assert_eq!(input(Family::Cl100k), Some(Tokens(129)));
    assert_eq!(input(Family::O200k), Some(Tokens(124)));
}

#[test]
fn a_model_without_published_tables_is_estimated_and_the_answer_says_so() {
    let short = counted(output(Family::Unknown, "12345678"));
    assert_eq!((short.output, short.basis), (Some(Tokens(4)), Basis::Estimated));
    let image = r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x.test/a"}}]}],"model":"m"}"#;
    let image = counted(Uncounted::prompt(Family::O200k, prompt(image.to_owned())));
    assert_eq!(image.basis, Basis::Estimated, "what a picture counts for is a figure, not a count");
}

#[test]
fn cutting_a_text_into_pieces_does_not_change_its_count() {
    let text = PROSE.repeat(1000);
    load(Family::O200k);
    let whole = loaded(Family::O200k).unwrap().encode_ordinary(&text).len() as u64;
    assert_eq!(counted(output(Family::O200k, text)).output, Some(Tokens(whole)));
}

#[test]
fn g2_four_megabytes_of_prose_delay_nobody() {
    let text = PROSE.repeat(4 * 1024 * 1024 / PROSE.len());
    let begun = Instant::now();
    let Counted { output, basis, .. } = goes_to_its_own_thread(output(Family::O200k, text));
    assert!((Tokens(800_000)..Tokens(1_400_000)).contains(&output.unwrap()), "{output:?}");
    assert_eq!(basis, Basis::Counted);
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn g2_four_megabytes_of_one_letter_or_of_nothing_delay_nobody() {
    for unit in ["a", " ", "\n", "=", "漢", "é", "\u{0301}"] {
        let text = unit.repeat(4 * 1024 * 1024 / unit.len());
        let begun = Instant::now();
        let Counted { output, basis, .. } = goes_to_its_own_thread(output(Family::O200k, text));
        assert!(output.unwrap() > Tokens(1000) && basis == Basis::Counted, "{unit:?}: {output:?}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{unit:?}");
    }
}

#[test]
fn a_large_prompt_is_read_on_the_counting_thread_too() {
    let words = PROSE.trim_end().repeat(10_000);
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{words}"}}]}}"#);
    let counted = goes_to_its_own_thread(Uncounted::prompt(Family::Unknown, prompt(body)));
    assert!(counted.input.unwrap() > Tokens(200_000) && counted.basis == Basis::Estimated);
}

#[test]
fn what_lies_beyond_the_bounds_is_estimated() {
    let beyond = Heard { text: "hello world".to_owned(), bytes_beyond: 100 };
    let uncounted = Uncounted { family: Family::Cl100k, prompt: None, output: Some(beyond) };
    let counted = counted(uncounted);
    assert_eq!((counted.output, counted.basis), (Some(Tokens(2 + 50)), Basis::Estimated));
    let gauge = Arc::default();
    let huge = Uncounted::prompt(Family::O200k, prompt("x".repeat(1000)));
    let refused = hand_over(huge, &gauge, MOST_WAITING + 1);
    assert!(refused.is_none(), "the thread has enough to do");
}
