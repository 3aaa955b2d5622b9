use super::*;
use http_body_util::BodyExt;
use std::future::poll_fn;
use tokio::task::LocalSet;

fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

fn head(body: Option<&'static str>) -> Out {
    Out::Head(Response::new(body.map(|body| Bytes::from_static(body.as_bytes()))))
}

async fn say(slot: &Slot, out: Out) {
    slot.send(out);
    poll_fn(|cx| slot.poll_flushed(cx)).await;
}

async fn until_left(slot: &Slot) {
    let mut beat = tokio::time::interval(std::time::Duration::from_millis(1));
    while poll_fn(|cx| Poll::Ready(slot.poll_left(cx).is_pending())).await {
        beat.tick().await;
    }
}

async fn landed(aloft: &Aloft) {
    while aloft.count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn chunks_come_out_one_by_one_and_the_end_ends_the_body() {
    run(async {
        let aloft = Aloft::default();
        let flight = Flight::new(&aloft, |slot| async move {
            say(&slot, head(None)).await;
            say(&slot, Out::Chunk(Bytes::from_static(b"one"))).await;
            say(&slot, Out::Chunk(Bytes::from_static(b"two"))).await;
            say(&slot, Out::End).await;
        });
        let mut body = Answer::of(flight).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "two");
        assert!(body.frame().await.is_none());
        landed(&aloft).await;
    });
}

#[test]
fn a_whole_body_is_answered_with_its_length_while_the_settlement_goes_on() {
    run(async {
        let aloft = Aloft::default();
        let settled = Rc::new(Cell::new(false));
        let seen = Rc::clone(&settled);
        let flight = Flight::new(&aloft, |slot| async move {
            say(&slot, head(Some("all"))).await;
            tokio::task::yield_now().await;
            say(&slot, Out::End).await;
            assert!(poll_fn(|cx| Poll::Ready(slot.poll_left(cx))).await.is_pending());
            seen.set(true);
        });
        let answer = Answer::of(flight).await.unwrap();
        assert_eq!(answer.body().size_hint().exact(), Some(3));
        assert_eq!(aloft.count(), 1);
        drop(answer);
        landed(&aloft).await;
        assert!(settled.get());
    });
}

#[test]
fn c7_a_client_that_leaves_in_mid_stream_does_not_end_the_drive() {
    run(async {
        let aloft = Aloft::default();
        let settled = Rc::new(Cell::new(false));
        let seen = Rc::clone(&settled);
        let flight = Flight::new(&aloft, |slot| async move {
            say(&slot, head(None)).await;
            slot.send(Out::Chunk(Bytes::from_static(b"never read")));
            until_left(&slot).await;
            poll_fn(|cx| slot.poll_flushed(cx)).await;
            say(&slot, Out::End).await;
            seen.set(true);
        });
        drop(Answer::of(flight).await.unwrap());
        landed(&aloft).await;
        assert!(settled.get());
    });
}

#[test]
fn c7_a_client_that_leaves_before_the_head_does_not_end_the_drive() {
    run(async {
        let aloft = Aloft::default();
        let mut flight = Flight::new(&aloft, |slot| async move { until_left(&slot).await });
        poll_fn(|cx| Poll::Ready(flight.poll_head(cx).is_pending())).await;
        drop(flight);
        assert_eq!(aloft.count(), 1);
        landed(&aloft).await;
    });
}

#[test]
fn k15_a_stream_without_an_end_is_cut() {
    run(async {
        let flight = Flight::new(&Aloft::default(), |slot| async move {
            say(&slot, head(None)).await;
            say(&slot, Out::Chunk(Bytes::from_static(b"half"))).await;
        });
        let mut body = Answer::of(flight).await.unwrap().into_body();
        assert!(body.frame().await.unwrap().is_ok());
        assert!(body.frame().await.unwrap().is_err());
    });
}

#[test]
fn a_flight_that_panics_is_not_polled_again_and_no_longer_counts() {
    run(async {
        let aloft = Aloft::default();
        let mut flight = Flight::new(&aloft, |_| async { panic!("as it must") });
        let head = crate::contain::contained(poll_fn(|cx| flight.poll_head(cx))).await;
        assert!(head.is_err());
        assert!(poll_fn(|cx| flight.poll_head(cx)).await.is_err());
        drop(flight);
        assert_eq!(aloft.count(), 0);
    });
}
