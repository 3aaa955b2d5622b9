use super::super::stage;
use super::*;

const ASK: &str = r#"{"model":"m-1","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

fn heard(kind: &str, pieces: &[String]) -> Heard {
    let mut request = stage::request(kind, "m-2", ASK);
    let pieces: Vec<_> = pieces.iter().map(String::as_str).collect();
    let (mut relay, _) = stage::relay(&mut request, &pieces, None);
    let heard = relay.take_heard();
    assert_eq!(format!("{heard:?}"), format!("Heard({} bytes)", heard.bytes()));
    heard
}

#[test]
fn k11_each_of_806_deltas_is_heard_whoever_leaves_after_them() {
    let chunk = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ten bytes.\"}}]}\n\n".to_owned();
    assert_eq!(heard("openai", &vec![chunk.clone(); 806]).text, "ten bytes.".repeat(806));
    assert_eq!(heard("openai", &[chunk.repeat(806)]).bytes(), 8060, "all in one piece");
    let frame = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"ten bytes.\"}}\n\n".to_owned();
    assert_eq!(heard("anthropic", &vec![frame; 806]).bytes(), 8060);
    let frame = "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"ten bytes.\"}]}}]}\n\n".to_owned();
    assert_eq!(heard("gemini", &vec![frame; 806]).bytes(), 8060);
}

#[test]
fn reasoning_refusals_and_calls_are_heard_like_content() {
    let deltas = [
        r#"{"reasoning_content":"hm "}"#,
        r#"{"content":"so "}"#,
        r#"{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":1}"}}]}"#,
        r#"{"refusal":" no"}"#,
    ];
    let pieces = deltas.map(|delta| format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n"));
    assert_eq!(heard("openai", &pieces).text, r#"hm so f{"a":1} no"#);
}

#[test]
fn c7_an_answer_that_breaks_off_keeps_what_was_reported_of_it() {
    let mut request = stage::request("gemini", "gemini-2.5-flash", ASK);
    let frame = |tokens: u64| {
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"role\":\"model\",\"parts\":[{{\"text\":\"a \"}}]}}}}],\"usageMetadata\":{{\"promptTokenCount\":5,\"cachedContentTokenCount\":3,\"candidatesTokenCount\":{tokens},\"totalTokenCount\":9}}}}\n\n"
        )
    };
    let (mut relay, _) = stage::relay(&mut request, &[&frame(1), &frame(4)], None);
    let usage = relay.usage().unwrap();
    assert_eq!((usage.cache_read, usage.fresh_input, usage.output), (Tokens(3), Tokens(2), Tokens(4)));
    assert_eq!(relay.take_heard().text, "a a ");
}
