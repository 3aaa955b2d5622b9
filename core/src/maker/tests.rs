use super::*;
use crate::surface::{self, RequestLine, SurfaceId};
use serde_json::{Value, json};

const MAKER: fn() -> Maker = || Maker::of("azure", "a");

fn marks(ids: Ids) -> Marks {
    Marks { maker: MAKER(), ids }
}

fn put(ids: Ids, json: &Value) -> Option<Value> {
    let text = json.to_string();
    let marked = marks(ids).put(&Bytes::from(text.clone()), text.as_bytes())?;
    Some(serde_json::from_slice(&marked).unwrap())
}

#[test]
fn accounts_are_told_apart_and_known_again() {
    let names = [("azure", "a"), ("azure", "b"), ("azur", "ea"), ("openai", "a"), ("openai", "default")];
    let makers = names.map(|(provider, key)| Maker::of(provider, key));
    for (at, maker) in makers.iter().enumerate() {
        assert!(makers.iter().skip(at + 1).all(|other| other != maker), "{makers:?}");
        let content = format!("{}gAAA", maker.mark());
        let (read, length) = Maker::of_content(&content).unwrap();
        assert_eq!((read, content.get(length..)), (*maker, Some("gAAA")));
        let id = format!("resp_1{}", maker.suffix());
        let (read, length) = Maker::of_response(&id).unwrap();
        assert_eq!((read, id.get(..id.len() - length)), (*maker, Some("resp_1")));
    }
    // The name of an account must not change between versions: what it has made bears it.
    assert_eq!(Maker::of("azure", "a").digits().len(), LENGTH);
}

#[test]
fn what_is_no_mark_is_none() {
    for text in
        ["gAAA", "tollgate-", "tollgate-0123456.", "tollgate-0123456l.x", "tollgate-01234567x", "tollgate:"]
    {
        assert_eq!(Maker::of_content(text), None, "{text}");
    }
    for text in ["", "resp_1", "tollgate-01234567", "resp_1-tollgate-0123456", "ä-tollgate-0123456i"] {
        assert_eq!(Maker::of_response(text), None, "{text}");
    }
}

#[test]
fn h11_what_is_encrypted_is_marked_and_nothing_else_moves() {
    let made = |content: &str| {
        json!({"type": "response.output_item.done", "item": {"type": "reasoning", "encrypted_content": content,
            "summary": [{"text": "\"encrypted_content\":\"x\""}]}})
    };
    let marked = format!("{}gAAA", MAKER().mark());
    assert_eq!(put(Ids::Marked, &made("gAAA")), Some(made(&marked)));
    assert_eq!(put(Ids::Marked, &made("")), None);
    assert_eq!(put(Ids::Marked, &json!({"item": {"encrypted_content": null}})), None);
    let raw = Bytes::from_static(b"data: {\"item\": {\"encrypted_content\" : \"g\" ,\"id\":\"rs\"}}\n\n");
    let marked = marks(Ids::Plain).put(&raw, b"").unwrap();
    let expected =
        format!("data: {{\"item\": {{\"encrypted_content\" : \"{}g\" ,\"id\":\"rs\"}}}}\n\n", MAKER().mark());
    assert_eq!(marked, expected);
}

#[test]
fn h11_a_response_is_marked_by_its_own_id_where_it_is_asked_for() {
    let id = format!("resp_1{}", MAKER().suffix());
    let event = |id: &str| json!({"item": {"id": "x"}, "response": {"output": [{"id": "msg_1"}], "id": id}});
    assert_eq!(put(Ids::Marked, &event("resp_1")), Some(event(&id)));
    assert_eq!(put(Ids::Plain, &event("resp_1")), None);
    let whole = |id: &str| json!({"output": [{"id": "msg_1"}], "object": "response", "id": id});
    assert_eq!(put(Ids::Marked, &whole("resp_1")), Some(whole(&id)));
    assert_eq!(put(Ids::Marked, &json!({"type": "x", "id": "msg_1"})), None);
    let frame = format!("event: response.created\ndata: {}\n\n", event("resp_1"));
    let json = event("resp_1").to_string();
    let marked = marks(Ids::Marked).put(&Bytes::from(frame.clone()), json.as_bytes()).unwrap();
    assert_eq!(marked, frame.replace("\"resp_1\"", &format!("{id:?}")));
}

fn call(parts: Vec<Part>) -> Call {
    let body = br#"{"model":"m","messages":[{"role":"assistant","content":""}]}"#;
    let mut call = surface::of(SurfaceId::OpenAiChat).parse(body, &RequestLine::default()).unwrap();
    call.messages[0].parts = parts;
    call
}

fn thought(value: &str) -> Part {
    let signature = Some(Signature { origin: Dialect::OpenAiResponses, value: value.to_owned() });
    Part::Thinking(Thinking { text: "t".to_owned(), signature, sealed: None })
}

#[test]
fn h11_a_translated_proof_bears_its_mark_and_its_maker_alone_gets_it_without() {
    let (own, other) = (MAKER(), Maker::of("azure", "b"));
    let mut event = Event::ThinkingSignature {
        choice: 0,
        signature: Signature { origin: Dialect::OpenAiResponses, value: "rs_1:g".to_owned() },
    };
    marks(Ids::Plain).on_event(&mut event);
    let Event::ThinkingSignature { signature, .. } = event else { panic!("another event") };
    assert_eq!(signature.value, format!("rs_1:{}g", own.mark()));
    assert_eq!(Maker::last_in(format!("\"{}\"", signature.value).as_bytes()), Some(own));
    let parts = vec![thought(&signature.value), thought("rs_2:unmarked")];
    let call = call(parts);
    let proofs = |to| {
        let parts = told(&call, to).unwrap().messages.remove(0).parts;
        let proof =
            |part| if let Part::Thinking(Thinking { signature, .. }) = part { signature } else { None };
        parts.into_iter().map(|part| proof(part).map(|proof| proof.value)).collect::<Vec<_>>()
    };
    assert_eq!(proofs(own), [Some("rs_1:g".to_owned()), Some("rs_2:unmarked".to_owned())]);
    assert_eq!(proofs(other), [None, Some("rs_2:unmarked".to_owned())]);
    assert!(told(&self::call(vec![thought("rs_2:g")]), own).is_none());
}
