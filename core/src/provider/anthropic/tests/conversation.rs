use super::*;
use crate::call::{
    Audio, Document, DocumentBody, Effort, Image, MediaSource, Reasoning, Signature, Thinking, Video,
};
use crate::fault::Code;

fn inline(media_type: &str, data: &str) -> MediaSource {
    MediaSource::Inline { media_type: media_type.to_owned(), data: data.to_owned() }
}

fn image(source: MediaSource) -> Part {
    Part::Image(Image { source, detail: None, cache: None })
}

fn file(media_type: &str, data: &str) -> Part {
    let body = DocumentBody::Media(inline(media_type, data));
    let title = Some("a.txt".to_owned());
    Part::Document(Document { body, title, about: None, citations: None, cache: None })
}

fn thought(text: &str, signature: Option<(Dialect, &str)>) -> Part {
    let signature = signature.map(|(origin, value)| Signature { origin, value: value.to_owned() });
    Part::Thinking(Thinking { text: text.to_owned(), signature, sealed: None })
}

fn roles(sent: &Sent) -> Vec<String> {
    let messages = sent.at("/messages");
    messages.as_array().unwrap().iter().map(|turn| turn["role"].as_str().unwrap().to_owned()).collect()
}

fn param(messages: Vec<Message>) -> (Code, String) {
    let fault = try_encode(&call(messages), OLD).unwrap_err();
    (fault.code, fault.into_parts().param.unwrap())
}

#[test]
fn leading_instructions_are_system_blocks_one_for_each() {
    let developer = message(Role::Developer, vec![text("Second.")]);
    let sent = encode(&call(vec![system("First."), developer, system(" "), user("Hi")]), OLD);
    assert_eq!(
        sent.at("/system"),
        json!([{"type": "text", "text": "First."}, {"type": "text", "text": "Second."}])
    );
    assert_eq!(roles(&sent), ["user"]);
    assert!(sent.lost.is_empty());
}

#[test]
fn later_instructions_stay_where_they_stood_on_new_models() {
    let before = vec![user("Hi"), system("Be brief."), system("Be kind.")];
    let sent = encode(&call(before.clone()), OPUS_48);
    assert_eq!(roles(&sent), ["user", "system"]);
    assert_eq!(sent.at("/messages/1/content/1/text"), json!("Be kind."));
    assert!(sent.lost.is_empty());
    let more = [before, vec![assistant("Hello"), user("Bye")]].concat();
    let sent = encode(&call(more), OPUS_48);
    assert_eq!(roles(&sent), ["user", "system", "assistant", "user"]);
}

#[test]
fn later_instructions_are_tagged_in_the_users_turn_elsewhere() {
    let messages = vec![user("Hi"), assistant("Hello"), system("Be brief."), user("Bye")];
    for model in [OLD, OPUS_48] {
        let sent = encode(&call(messages.clone()), model);
        assert_eq!(roles(&sent), ["user", "assistant", "user"]);
        assert_eq!(sent.at("/messages/2/content/0/text"), json!("<system>\nBe brief.\n</system>"));
        assert_eq!(sent.at("/messages/2/content/1/text"), json!("Bye"));
        assert_eq!(sent.at("/system"), Value::Null, "never hoisted");
        assert_eq!(sent.lost, ["messages[2].role"]);
    }
}

#[test]
fn instructions_alone_are_spoken_by_the_user() {
    let sent = encode(&call(vec![system("Rules."), system("Write a poem.")]), OLD);
    assert_eq!(sent.at("/system/0/text"), json!("Rules."));
    assert_eq!(sent.at("/messages/0/content/0/text"), json!("Write a poem."));
    assert_eq!(sent.lost, ["messages[1].role"]);
    assert_eq!(param(vec![user("  ")]).1, "messages");
}

#[test]
fn a_conversation_begun_by_the_model_gets_a_users_turn() {
    let sent = encode(&call(vec![assistant("Welcome!"), user("Hi")]), OLD);
    assert_eq!(roles(&sent), ["user", "assistant", "user"]);
}

#[test]
fn results_of_parallel_tools_and_what_follows_are_one_turn_results_first() {
    let sent = encode(
        &call(vec![
            user("Look."),
            message(
                Role::Assistant,
                vec![text("I look."), tool_call("a", r#"{"z":1,"b":2}"#), tool_call("b", "")],
            ),
            result("a", "one"),
            user("And then?"),
            result("b", "two"),
        ]),
        OLD,
    );
    assert_eq!(roles(&sent), ["user", "assistant", "user"]);
    assert_eq!(sent.at("/messages/1/content/1/input").to_string(), r#"{"z":1,"b":2}"#, "key order is kept");
    assert_eq!(sent.at("/messages/1/content/2/input"), json!({}));
    assert_eq!(
        sent.at("/messages/2/content"),
        json!([
            {"type": "tool_result", "tool_use_id": "a", "content": "one"},
            {"type": "tool_result", "tool_use_id": "b", "content": "two"},
            {"type": "text", "text": "And then?"},
        ])
    );
}

#[test]
fn tool_results_carry_blocks_failures_and_nothing() {
    let with = |parts: Vec<Part>, failed| {
        let result = ToolResult { failed, ..tool_result("a", parts) };
        let messages = vec![
            user("x"),
            message(Role::Assistant, vec![tool_call("a", "{}")]),
            message(Role::Tool, vec![Part::ToolResult(result)]),
        ];
        encode(&call(messages), OLD).at("/messages/2/content/0")
    };
    assert_eq!(
        with(vec![], Some(true)),
        json!({"type": "tool_result", "tool_use_id": "a", "is_error": true})
    );
    let url = MediaSource::Url { url: "https://x/y.png".to_owned(), media_type: None };
    assert_eq!(
        with(vec![text("see"), image(url)], None)["content"],
        json!([{"type": "text", "text": "see"}, {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}])
    );
    assert_eq!(with(vec![text("")], None).get("content"), None, "an empty text is refused");
}

#[test]
fn a_tool_call_left_open_gets_a_failed_result() {
    let calls = message(Role::Assistant, vec![tool_call("a", "{}"), tool_call("b", "{}")]);
    let sent =
        encode(&call(vec![user("x"), calls.clone(), result("b", "two"), assistant("done"), user("y")]), OLD);
    assert_eq!(sent.at("/messages/2/content/0/tool_use_id"), json!("b"));
    assert_eq!(sent.at("/messages/2/content/1/tool_use_id"), json!("a"));
    assert_eq!(sent.at("/messages/2/content/1/is_error"), json!(true));
    let sent = encode(&call(vec![user("x"), calls]), OLD);
    assert_eq!(roles(&sent), ["user", "assistant", "user"]);
    assert_eq!(sent.at("/messages/2/content").as_array().unwrap().len(), 2);
}

#[test]
fn a_tool_result_without_its_call_is_refused_by_field() {
    let (code, param) = param(vec![user("x"), assistant("y"), result("nobody", "z")]);
    assert_eq!((code, param.as_str()), (Code::BadField, "messages[2].tool_call_id"));
}

#[test]
fn ids_are_mapped_alike_in_call_and_result_and_told_apart_when_repeated() {
    let turn =
        || vec![message(Role::Assistant, vec![tool_call("fn.look:0", "{}")]), result("fn.look:0", "ok")];
    let sent = encode(&call([vec![user("x")], turn(), turn()].concat()), OLD);
    for (turn, id) in [(1, "tgx_fn_2elook_3a0"), (3, "tgx_fn_2elook_3a0-2")] {
        assert_eq!(sent.at(&format!("/messages/{turn}/content/0/id")), json!(id));
        assert_eq!(sent.at(&format!("/messages/{}/content/0/tool_use_id", turn + 1)), json!(id));
    }
}

#[test]
fn arguments_that_are_no_object_are_wrapped_and_told() {
    let messages =
        vec![user("x"), message(Role::Assistant, vec![tool_call("a", "not json")]), result("a", "ok")];
    let sent = encode(&call(messages), OLD);
    assert_eq!(sent.at("/messages/1/content/0/input"), json!({"arguments": "not json"}));
    assert_eq!(sent.lost, ["messages[1].tool_calls"]);
}

#[test]
fn thinking_goes_back_with_our_proof_only_and_in_its_place() {
    let ours = Some((Dialect::Anthropic, "sig"));
    let sealed = Signature { origin: Dialect::Anthropic, value: "opaque".to_owned() };
    let parts = vec![
        thought("", ours),
        Part::Thinking(Thinking { sealed: Some(sealed), ..Thinking::default() }),
        text("I look."),
        tool_call("a", "{}"),
    ];
    let sent = encode(&call(vec![user("x"), message(Role::Assistant, parts), result("a", "ok")]), OLD);
    assert_eq!(
        sent.at("/messages/1/content"),
        json!([
            {"type": "thinking", "thinking": "", "signature": "sig"},
            {"type": "redacted_thinking", "data": "opaque"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "a", "name": "look", "input": {}},
        ])
    );
    assert!(sent.lost.is_empty());
    for foreign in [None, Some((Dialect::Gemini, "sig"))] {
        let parts = vec![thought("hm", foreign), text("Yes.")];
        let sent = encode(&call(vec![user("x"), message(Role::Assistant, parts), user("y")]), OLD);
        assert_eq!(sent.at("/messages/1/content").as_array().unwrap().len(), 1);
        assert_eq!(sent.lost, ["messages[1].reasoning_content"]);
    }
}

#[test]
fn calls_made_without_thinking_are_followed_up_without_a_budget() {
    let mut call =
        call(vec![user("x"), message(Role::Assistant, vec![tool_call("a", "{}")]), result("a", "ok")]);
    call.reasoning = Some(Reasoning { effort: Some(Effort::High), ..Reasoning::default() });
    let sent = encode(&call, SONNET_45);
    assert_eq!((sent.at("/thinking"), sent.lost), (Value::Null, vec!["reasoning_effort".to_owned()]));
    assert_eq!(encode(&call, OPUS_48).at("/thinking/type"), json!("adaptive"));
}

#[test]
fn a_prefill_is_kept_without_its_trailing_white_space() {
    let sent = encode(&call(vec![user("x"), assistant("```python \n")]), OLD);
    assert_eq!(sent.at("/messages/1/content/0/text"), json!("```python"));
    let sent = encode(&call(vec![user("x"), assistant("kept \n"), user("y")]), OLD);
    assert_eq!(sent.at("/messages/1/content/0/text"), json!("kept \n"), "only at the end");
}

#[test]
fn a_growing_conversation_keeps_the_bytes_of_its_earlier_turns() {
    let whole = [
        system("Rules."),
        user("one"),
        message(Role::Assistant, vec![tool_call("c.1", r#"{"a":1.0}"#)]),
        result("c.1", "ok"),
        assistant("two "),
        user("three"),
    ];
    let turns = |count: usize| encode(&call(whole[..count].to_vec()), OLD).at("/messages");
    let all = turns(whole.len());
    for count in [2, 4] {
        for (turn, (short, long)) in
            turns(count).as_array().unwrap().iter().zip(all.as_array().unwrap()).enumerate()
        {
            assert_eq!(short.to_string(), long.to_string(), "turn {turn} of {count} messages");
        }
    }
}

#[test]
fn pictures_are_labelled_by_their_bytes() {
    let png = "iVBORw0KGgoAAAANSUhEUg==";
    let webp = "UklGRiQAAABXRUJQVlA4IA==";
    for (label, data, sent_as) in [
        ("image/jpeg", png, "image/png"),
        ("image/png", "/9j/4AAQSkZJRgABAQ==", "image/jpeg"),
        ("application/octet-stream", "R0lGODlhAQABAIAAAA==", "image/gif"),
        ("image/jpeg", webp, "image/webp"),
        ("image/jpg", "AAAA", "image/jpeg"),
    ] {
        let sent = encode(&call(vec![message(Role::User, vec![image(inline(label, data))])]), OLD);
        let source = sent.at("/messages/0/content/0/source");
        assert_eq!(source, json!({"type": "base64", "media_type": sent_as, "data": data}));
    }
}

#[test]
fn what_cannot_be_sent_is_refused_by_field() {
    let audio =
        Audio { source: Some(inline("audio/wav", "AAAA")), id: None, transcript: None, expires_at: None };
    let elsewhere = MediaSource::File { id: "file-1".to_owned(), media_type: None, origin: Dialect::OpenAi };
    for part in [
        Part::Audio(audio),
        Part::Video(Video { source: inline("video/mp4", "AAAA") }),
        image(inline("image/svg+xml", "AAAA")),
        image(elsewhere),
        file("application/zip", "AAAA"),
    ] {
        let (code, param) = param(vec![message(Role::User, vec![text("x"), part])]);
        assert_eq!((code, param.as_str()), (Code::Unsupported, "messages[0].content[1]"));
    }
    assert_eq!(param(vec![message(Role::User, vec![file("text/plain", "?")])]).0, Code::BadField);
}

#[test]
fn documents_are_pdf_text_or_kept_by_the_provider() {
    let kept = MediaSource::File { id: "file_1".to_owned(), media_type: None, origin: Dialect::Anthropic };
    let kept = DocumentBody::Media(kept);
    let kept = Document {
        body: kept,
        title: None,
        about: None,
        citations: Some(json!({"enabled": true})),
        cache: None,
    };
    let parts = vec![file("application/pdf", "JVBERi0="), file("text/csv", "YSxi"), Part::Document(kept)];
    let sent = encode(&call(vec![message(Role::User, parts)]), OLD);
    assert_eq!(
        sent.at("/messages/0/content"),
        json!([
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}, "title": "a.txt"},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}, "title": "a.txt"},
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}, "citations": {"enabled": true}},
        ])
    );
}

#[test]
fn opaque_parts_names_and_message_extras_go_home_or_are_told() {
    let block = json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}});
    let mut said =
        message(Role::Assistant, vec![Part::Opaque(opaque(Dialect::Anthropic, block.clone())), text("ok")]);
    said.extras.insert("annotations".to_owned(), json!([]));
    let mut asked = user("x");
    asked.name = Some("ann".to_owned());
    let foreign = message(Role::User, vec![text("y"), Part::Opaque(opaque(Dialect::Gemini, json!({})))]);
    let sent = encode(&call(vec![asked, said, foreign]), OLD);
    assert_eq!(sent.at("/messages/1/content/0"), block);
    assert_eq!(sent.lost, ["messages[0].name", "messages[1].annotations", "messages[2].content[1]"]);
}
