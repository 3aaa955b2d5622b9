use super::super::{Input, RequestId};
use super::*;
use crate::admit::{Admission, Desk, admit};
use crate::config;
use crate::count::Counted;
use crate::directory::Directory;
use crate::exchange::Record;
use crate::fleet::Choice;
use crate::host::Head;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

/// A stream that is asked of one of a provider's two keys; nothing has come of it.
fn asked() -> Box<Exchange> {
    let text = "[providers.up]\nkind = \"openai\"\nbase_url = \"http://up.test/v1\"\nbills_unheard = true\nkeys = [\"a\", \"b\"]\n";
    let config = Arc::new(config::load(text.as_bytes(), &|_| Err("none".to_owned())).unwrap());
    let (directory, gauge) = (Directory::of(&config), Arc::default());
    let desk = Desk { config: &config, directory: &directory, gauge: &gauge, peer: None };
    let (head, ()) = http::Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .body(())
        .unwrap()
        .into_parts();
    let Admission::Wanted(admitted) = admit(&head, &desk, RequestId(7), Time(0)) else { panic!("refused") };
    let body = r#"{"model":"up/m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let mut exchange = Exchange::new(admitted, Bytes::from_static(body.as_bytes()), Time(0));
    assert!(matches!(exchange.next_step(), Some(Step::Choose)));
    let provider = exchange.route().targets[0].provider;
    exchange.on(Input::Chosen(Choice::Send(Lane { target: 0, provider, credential: 0 })), Time(0));
    assert!(matches!(exchange.next_step(), Some(Step::Fetch(_))));
    exchange
}

/// What it wants after this.
fn steps(exchange: &mut Exchange, input: Input, now: Time) -> Vec<Step> {
    exchange.on(input, now);
    let mut steps = Vec::new();
    while let Some(step) = exchange.next_step() {
        if matches!(step, Step::Count(_)) {
            exchange.on(Input::Counted(Counted::default()), now);
        }
        steps.push(step);
    }
    steps
}

/// Its client leaves, and there is room to read on.
fn left(exchange: &mut Exchange) {
    assert!(matches!(steps(exchange, Input::ClientLeft, Time(1))[..], [Step::ReadOn]));
    assert!(steps(exchange, Input::ReadOn(true), Time(1)).is_empty());
    assert!(steps(exchange, Input::ClientLeft, Time(2)).is_empty(), "it leaves once");
}

/// The record, with which everything ends; nobody is asked again, and nothing is given out.
fn record(steps: &[Step]) -> &Record {
    let over = steps.iter().any(|step| matches!(step, Step::HeardOut));
    assert!(over && !steps.iter().any(|step| matches!(step, Step::Choose | Step::Fetch(_) | Step::Emit(_))));
    steps
        .iter()
        .find_map(|step| if let Step::End(record, _) = step { Some(&**record) } else { None })
        .unwrap()
}

#[test]
fn c8_after_a_refusal_nobody_else_is_asked_for_a_client_that_left() {
    let mut exchange = asked();
    left(&mut exchange);
    let head = Head { status: StatusCode::SERVICE_UNAVAILABLE, headers: HeaderMap::new() };
    assert!(steps(&mut exchange, Input::Head(head), Time(3)).is_empty());
    assert!(steps(&mut exchange, Input::Chunk(Bytes::from_static(b"{}")), Time(4)).is_empty());
    let steps = steps(&mut exchange, Input::End, Time(5));
    let record = record(&steps);
    assert_eq!((record.status, record.ending, record.attempts), (499, Ending::ClientLeft, 1));
}

#[test]
fn c8_silence_ends_it() {
    let mut exchange = asked();
    left(&mut exchange);
    assert_eq!(exchange.wake_at(), Time(1) + SILENCE);
    let at = exchange.wake_at();
    let steps = steps(&mut exchange, Input::Tick, at);
    assert!(matches!(steps[0], Step::Abort));
    assert_eq!(record(&steps).ending, Ending::ClientLeft);
}

#[test]
fn c8_without_room_it_is_cancelled() {
    let mut exchange = asked();
    assert!(matches!(steps(&mut exchange, Input::ClientLeft, Time(1))[..], [Step::ReadOn]));
    let steps = steps(&mut exchange, Input::ReadOn(false), Time(1));
    assert!(matches!(steps[0], Step::Abort));
    assert!(!steps.iter().any(|step| matches!(step, Step::HeardOut)), "there was nothing to be over");
}
