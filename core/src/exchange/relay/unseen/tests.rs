use super::super::Verdict;
use super::*;
use crate::count::Heard;
use crate::exchange::stage;
use crate::host::{Leave, Passed, Shelf};
use crate::units::{Time, Tokens};
use bytes::Bytes;
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

const ASK: &str = r#"{"model":"m-1","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

fn shown(raw: &str, said: usize) -> Option<String> {
    let form = form(raw.as_bytes(), said)?;
    let hole = |byte: &u8| match *byte {
        hole::WORDS => "<words>".to_owned(),
        hole::TEXT => "<text>".to_owned(),
        hole::DIGITS => "<digits>".to_owned(),
        other => char::from(other).to_string(),
    };
    Some(form.iter().map(hole).collect())
}

#[test]
fn a_form_has_holes_for_words_noise_and_numbers_that_count_frames() {
    let openai = "data: {\"id\":\"c\",\"created\":17,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\\\"b\"},\"finish_reason\":null}],\"obfuscation\":\"xyz\"}\n\n";
    assert_eq!(
        shown(openai, 3).unwrap(),
        "data: {\"id\":\"c\",\"created\":<digits>,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"<words>\"},\"finish_reason\":null}],\"obfuscation\":\"<text>\"}\n\n"
    );
    let anthropic = "event: content_block_delta\r\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\": {\"type\":\"text_delta\", \"text\" : \"hi\"}}\r\n\r\n";
    assert_eq!(shown(anthropic, 2).unwrap(), anthropic.replace("\"hi\"", "\"<words>\""));
    let responses = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":7,\"item_id\":\"m\",\"delta\":\"\"}\n\n";
    let expected = responses.replace(":7,", ":<digits>,").replace("\"delta\":\"\"", "\"delta\":\"<words>\"");
    assert_eq!(shown(responses, 0).unwrap(), expected);
}

#[test]
fn a_frame_without_words_or_with_words_elsewhere_or_without_its_end_has_no_form() {
    assert_eq!(shown("data: {\"type\":\"ping\"}\n\n", 0), None);
    assert_eq!(shown(": comment\n\n", 0), None);
    assert_eq!(shown("data: {\"name\":\"f\",\"arguments\":\"\"}\n\n", 1), None, "a tool's name counts too");
    assert_eq!(shown("data: {\"content\":null}\n\n", 0), None);
    assert_eq!(shown("data: {\"content\":\"a\"}\n", 1), None);
    assert_eq!(shown("data: {\"content\":\"a", 1), None);
}

/// What a host does: the bytes of words of a frame that fits.
fn fitting(form: &[u8], frame: &[u8]) -> Option<u64> {
    let (mut at, mut words) = (0, 0);
    for expected in form {
        let from = at;
        match *expected {
            hole::DIGITS => at += frame.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count(),
            hole::WORDS | hole::TEXT => {
                while *frame.get(at)? != b'"' {
                    at += if frame.get(at) == Some(&b'\\') { 2 } else { 1 };
                }
                words += if *expected == hole::WORDS { at - from } else { 0 };
            }
            other => {
                (frame.get(at) == Some(&other)).then_some(())?;
                at += 1;
            }
        }
    }
    (at == frame.len()).then_some(words as u64)
}

/// How a stream went.
#[derive(Debug, PartialEq)]
struct Course {
    given: String,
    end: String,
    heard: Heard,
}

/// Plays a stream, by a host that lets pass what it may, or by one that shows everything. Says how many frames
/// passed unseen.
fn played(kind: &str, frames: &[String], paid: Option<Tokens>, passes: bool) -> (Course, usize) {
    let mut request = stage::request(kind, "m-2", ASK);
    let first = frames.first().map(String::as_str).unwrap_or_default();
    let (mut relay, verdicts) = stage::relay(&mut request, &[first], paid);
    let (mut given, mut end, mut unseen) = (Vec::new(), "open", 0);
    let mut take = |verdict: Verdict| match verdict {
        Verdict::More(bytes) => (given.extend_from_slice(&bytes), None).1,
        Verdict::Complete(bytes) => (given.extend_from_slice(&bytes), Some("complete")).1,
        Verdict::Failed(bytes, _) => (given.extend_from_slice(&bytes), Some("failed")).1,
        Verdict::Exhausted(bytes) => (given.extend_from_slice(&bytes), Some("exhausted")).1,
    };
    let mut ended = verdicts.into_iter().find_map(&mut take);
    let mut frames = frames.iter().skip(1).peekable();
    let kept = Arc::new(Mutex::new(Vec::new()));
    while ended.is_none() && frames.peek().is_some() {
        let mut shelf = Vec::new();
        let (mut count, mut words) = (0, 0);
        if let Some(Leave { form, words: most_words, frames: most }) = relay.leave().filter(|_| passes) {
            while let Some(frame) = frames.peek() {
                let Some(said) = fitting(&form, frame.as_bytes()) else { break };
                if count == most || words + said > most_words {
                    break;
                }
                (count, words) = (count + 1, words + said);
                shelf.extend_from_slice(frame.as_bytes());
                frames.next();
            }
        }
        if count > 0 {
            unseen += usize::try_from(count).unwrap();
            take(Verdict::More(Bytes::from(shelf.clone())));
            kept.lock().unwrap().extend_from_slice(&shelf);
            let kept = Arc::clone(&kept);
            let shelf = Shelf(Box::new(move || Bytes::from(std::mem::take(&mut *kept.lock().unwrap()))));
            relay.on_passed(Passed { frames: count, words, at: Time(1), shelf });
        }
        let Some(frame) = frames.next() else { break };
        ended = take(relay.on_chunk(Bytes::from(frame.clone()), Time(1)));
    }
    ended = ended.or_else(|| take(relay.on_end()));
    end = ended.unwrap_or(end);
    let course =
        Course { given: String::from_utf8(given).unwrap(), end: end.to_owned(), heard: relay.take_heard() };
    (course, unseen)
}

fn content(text: &str) -> String {
    let text = serde_json::to_string(text).unwrap();
    format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}},\"finish_reason\":null}}]}}\n\n"
    )
}

const FINISH: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

#[test]
fn frames_in_the_middle_pass_unseen_and_are_heard_all_the_same() {
    let mut frames = vec![content("a"), content("so \"it\" goes\n"), content(""), content("ü")];
    frames.extend([FINISH.to_owned(), "data: [DONE]\n\n".to_owned()]);
    let (course, unseen) = played("openai", &frames, None, true);
    assert_eq!((unseen, course.end.as_str(), course.given), (3, "complete", frames.concat()));
    assert_eq!(course.heard.text, "aso \"it\" goes\nü");
}

#[test]
fn an_error_among_them_is_seen() {
    let error = "data: {\"error\":{\"message\":\"no\"}}\n\n".to_owned();
    let frames = [content("a"), content("b"), error, content("c")];
    let (course, unseen) = played("openai", &frames, None, true);
    assert_eq!((unseen, course.end.as_str()), (1, "failed"));
    assert_eq!(course.given, [content("a"), content("b")].concat());
}

proptest! {
    /// Whatever passes unseen, the client is given the same, and the same is heard: also where what was paid for is
    /// used up in the middle.
    #[test]
    fn what_passes_unseen_changes_nothing(
        pieces in proptest::collection::vec(
            prop_oneof![
                12 => "[a-z \"\\\\\n\u{e9}]{0,12}".prop_map(|text| content(&text)),
                1 => Just(": ping\n\n".to_owned()),
                1 => Just("data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n".to_owned()),
                1 => Just(FINISH.to_owned()),
            ],
            1..90,
        ),
        paid in proptest::option::of(1_u64..60),
    ) {
        let frames: Vec<String> = std::iter::once(content("x")).chain(pieces).collect();
        let paid = paid.map(Tokens);
        let (expected, none) = played("openai", &frames, paid, false);
        let (course, _) = played("openai", &frames, paid, true);
        prop_assert_eq!(none, 0);
        // Of what came after frames that had passed, some is heard before them.
        let sorted = |heard: &Heard| { let mut all: Vec<char> = heard.text.chars().collect(); all.sort_unstable(); all };
        prop_assert_eq!(sorted(&course.heard), sorted(&expected.heard));
        prop_assert_eq!(course.given, expected.given);
        prop_assert_eq!(course.end, expected.end);
    }
}
