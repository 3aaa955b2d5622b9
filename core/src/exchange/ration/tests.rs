use super::super::{relay::Relay, relay::Verdict, stage};
use super::*;
use serde_json::Value;

const ASK: &str = r#"{"model":"m-1","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

fn chunk(text: &str) -> String {
    format!(
        "data: {{\"id\":\"c-9\",\"object\":\"chat.completion.chunk\",\"created\":5,\"model\":\"up-1\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
    )
}

/// What the client is given, chunk by chunk, and the last verdict.
struct Played {
    relay: Relay,
    given: String,
    exhausted: bool,
}

fn play(kind: &str, ask: &str, pieces: &[String], paid: Option<u64>) -> Played {
    let mut request = stage::request(kind, "up-1", ask);
    let pieces: Vec<_> = pieces.iter().map(String::as_str).collect();
    let (relay, verdicts) = stage::relay(&mut request, &pieces, paid.map(Tokens));
    let exhausted = matches!(verdicts.last(), Some(Verdict::Exhausted(_)));
    let given = verdicts.into_iter().map(|verdict| match verdict {
        Verdict::More(bytes)
        | Verdict::Complete(bytes)
        | Verdict::Failed(bytes, _)
        | Verdict::Exhausted(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
    });
    let given = given.collect();
    Played { relay, given, exhausted }
}

fn chunks(given: &str) -> Vec<Value> {
    let frames = given.strip_suffix("data: [DONE]\n\n").expect("the end mark").split_terminator("\n\n");
    frames.map(|frame| serde_json::from_str(frame.strip_prefix("data: ").unwrap()).unwrap()).collect()
}

#[test]
fn a_stream_ends_well_when_what_was_paid_is_used_up() {
    let pieces: Vec<_> = (0..200).map(|_| chunk("word ")).collect();
    let played = play("openai", ASK, &pieces, Some(50));
    assert!(played.exhausted);
    let chunks = chunks(&played.given);
    // 50, the slack of 16, the one that shows it, and the end.
    assert_eq!(chunks.len(), 50 + 16 + 1 + 1);
    let last = chunks.last().unwrap();
    assert_eq!((&last["id"], &last["model"]), (&"c-9".into(), &"up-1".into()));
    assert_eq!(last["choices"][0]["finish_reason"], "length");
    assert_eq!(played.relay.heard().text, "word ".repeat(67));
}

#[test]
fn where_a_stream_is_cut_does_not_depend_on_how_it_came() {
    let report = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":200,\"total_tokens\":201}}\n\n";
    let mut pieces: Vec<_> = (0..200).map(|_| chunk("word ")).collect();
    let one_by_one = play("openai", ASK, &pieces, Some(50));
    pieces.push(format!("{report}data: [DONE]\n\n"));
    let at_once = play("openai", ASK, &[pieces.concat()], Some(50));
    assert!(at_once.exhausted && at_once.given == one_by_one.given, "{}", at_once.given);
    // The client does not get the rest; what it says is charged.
    assert_eq!(at_once.relay.usage().map(|usage| usage.output), Some(Tokens(200)));
}

#[test]
fn a_large_frame_counts_by_its_bytes_and_still_goes_out_whole() {
    let pieces = [chunk("a"), chunk(&"long ".repeat(1000)), chunk("b")];
    let played = play("openai", ASK, &pieces, Some(50));
    assert!(played.exhausted && played.given.contains(&pieces[1]) && !played.given.contains(&pieces[2]));
}

#[test]
fn an_answer_within_its_cap_is_not_cut_nor_one_that_has_just_ended() {
    let mut pieces: Vec<_> = (0..50).map(|_| chunk("word ")).collect();
    pieces.push(
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
            .to_owned(),
    );
    let played = play("openai", ASK, &pieces, Some(50));
    assert!(!played.exhausted && played.relay.is_complete());
    assert_eq!(played.given, pieces.concat());
    let unlimited: Vec<_> = (0..5000).map(|_| chunk("word ")).collect();
    assert!(!play("openai", ASK, &unlimited, None).exhausted);
}

#[test]
fn what_the_provider_reports_on_the_way_counts_more_than_a_guess() {
    let report = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":500,\"total_tokens\":501}}\n\n";
    let played = play("openai", ASK, &[chunk("a"), report.to_owned(), chunk("b")], Some(100));
    assert!(played.exhausted && !played.given.contains("\"b\""));
}

#[test]
fn every_answer_that_is_open_is_ended_and_no_other() {
    let ask = ASK.replace("\"stream\"", "\"n\":2,\"stream\"");
    let second = |text: &str| chunk(text).replace("\"index\":0", "\"index\":1");
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n".to_owned();
    let pieces = [chunk("a"), second("b"), end, second(&"long ".repeat(100)), second("c")];
    let played = play("openai", &ask, &pieces, Some(20));
    assert!(played.exhausted);
    let chunks = chunks(&played.given);
    let ended: Vec<_> =
        chunks.iter().filter(|chunk| chunk["choices"][0]["finish_reason"].is_string()).collect();
    assert_eq!((ended.len(), &ended[1]["choices"][0]["index"]), (2, &1.into()));
    assert_eq!(ended[1]["choices"][0]["finish_reason"], "length");
}

#[test]
fn a_translated_stream_ends_in_the_surfaces_own_words() {
    let delta = |text: &str| {
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
        )
    };
    let mut pieces = vec![
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"claude-x\",\"usage\":{\"input_tokens\":9,\"cache_read_input_tokens\":7,\"output_tokens\":1}}}\n\n".to_owned(),
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n".to_owned(),
    ];
    pieces.extend((0..100).map(|_| delta("some words ")));
    let played = play("anthropic", ASK, &pieces, Some(40));
    assert!(played.exhausted);
    let chunks = chunks(&played.given);
    let last = chunks.last().unwrap();
    assert_eq!((&last["id"], &last["choices"][0]["finish_reason"]), (&"msg_1".into(), &"length".into()));
    assert!(played.relay.heard().text.starts_with("some words some words"));
    let usage = played.relay.usage().expect("the input is known from the first frame");
    assert_eq!((usage.fresh_input, usage.cache_read), (Tokens(9), Tokens(7)));
}
