use super::*;
use crate::units::Millis;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Wake;

const MOST: u64 = 1 << 20;

fn key(n: u8) -> CacheKey {
    CacheKey([n; 32])
}

fn lookup(n: u8, id: u128) -> Lookup {
    Lookup { key: key(n), id: RequestId(id), since: Time(0), lease: Time(100_000) }
}

fn kept(n: u8, id: u128, size: usize) -> Kept {
    let bytes = Bytes::from(vec![n; size]);
    Kept { key: key(n), id: RequestId(id), bytes, at: Time(10), expires: Time(60_000) }
}

fn lead(n: u8, id: u128) -> Lead {
    Lead { key: key(n), id: RequestId(id) }
}

fn hit(found: &Found) -> bool {
    matches!(found, Found::Now(Recall::Hit(_)))
}

fn wait(found: Found) -> Ticket {
    match found {
        Found::Wait(ticket) => ticket,
        Found::Now(recall) => panic!("did not wait: {recall:?}"),
    }
}

fn poll(memory: &mut Memory, ticket: &Ticket) -> Poll<Recall> {
    memory.poll(ticket, Waker::noop())
}

/// Keeps an answer that somebody has asked for.
fn fill(memory: &mut Memory, n: u8, size: usize) {
    let found = memory.look(&lookup(n, 1), Time(0));
    assert_eq!(found, Found::Now(Recall::Lead));
    memory.keep(kept(n, 1, size), MOST).wake();
}

#[test]
fn what_was_used_least_recently_goes_first_and_the_bound_is_kept() {
    let mut memory = Memory::default();
    (1..=3).for_each(|n| fill(&mut memory, n, 1000));
    assert!(hit(&memory.look(&lookup(1, 9), Time(20))));
    let most = 3 * (1000 + OVERHEAD as u64);
    memory.keep(kept(4, 1, 1000), most).wake();
    assert_eq!(memory.len(), 3);
    assert!(memory.size() as u64 <= most);
    assert_eq!(memory.look(&lookup(2, 9), Time(20)), Found::Now(Recall::Lead), "2 was used least recently");
    for n in [1, 3, 4] {
        assert!(hit(&memory.look(&lookup(n, 9), Time(20))), "{n}");
    }
    memory.keep(kept(5, 1, 5000), most).wake();
    assert!(memory.is_empty(), "what is larger than the bound takes all others with it");
    assert_eq!(memory.size(), 0);
}

#[test]
fn an_answer_that_takes_the_place_of_another_is_counted_once() {
    let mut memory = Memory::default();
    fill(&mut memory, 1, 1000);
    memory.keep(kept(1, 2, 10), MOST).wake();
    assert_eq!((memory.len(), memory.size()), (1, 10 + OVERHEAD));
    assert_eq!(memory.used.len(), 1);
}

#[test]
fn nothing_is_found_when_its_time_is_over_or_when_it_is_too_old_for_the_request() {
    let mut memory = Memory::default();
    fill(&mut memory, 1, 10);
    assert!(hit(&memory.look(&lookup(1, 2), Time(59_999))));
    let young = Lookup { since: Time(11), ..lookup(1, 3) };
    assert_eq!(memory.look(&young, Time(20)), Found::Now(Recall::Lead));
    assert!(hit(&memory.look(&lookup(1, 4), Time(20))), "it stays for those that it is young enough for");
    memory.resign(lead(1, 3), Parting::Unanswered).wake();
    assert_eq!(memory.look(&lookup(1, 5), Time(60_000)), Found::Now(Recall::Lead));
    assert_eq!((memory.len(), memory.size()), (0, 0));
}

#[test]
fn k13_all_that_wait_are_given_what_the_leader_keeps() {
    let mut memory = Memory::default();
    assert_eq!(memory.look(&lookup(1, 1), Time(0)), Found::Now(Recall::Lead));
    let tickets: Vec<_> = (2..50).map(|id| wait(memory.look(&lookup(1, id), Time(0)))).collect();
    assert_eq!(memory.look(&lookup(2, 99), Time(0)), Found::Now(Recall::Lead), "another key");
    assert!(tickets.iter().all(|ticket| poll(&mut memory, ticket).is_pending()));
    memory.keep(kept(1, 1, 10), MOST).wake();
    for ticket in &tickets {
        assert_eq!(poll(&mut memory, ticket), Poll::Ready(Recall::Hit(kept(1, 1, 10).bytes)));
    }
    assert!(memory.told.is_empty());
}

#[test]
fn a_leader_that_leaves_is_followed_by_the_first_in_line() {
    let mut memory = Memory::default();
    let _ = memory.look(&lookup(1, 1), Time(0));
    let [second, third, fourth] = [2, 3, 4].map(|id| wait(memory.look(&lookup(1, id), Time(0))));
    memory.resign(lead(1, 1), Parting::Unanswered).wake();
    assert!(poll(&mut memory, &third).is_pending());
    assert_eq!(poll(&mut memory, &second), Poll::Ready(Recall::Lead));
    memory.resign(lead(1, 1), Parting::Unfit).wake();
    assert!(poll(&mut memory, &third).is_pending(), "who does not lead cannot resign");
    memory.resign(lead(1, 2), Parting::Unanswered).wake();
    // The third was given the lead and has left before it looked: it goes on to the fourth.
    memory.leave(&third).wake();
    assert_eq!(poll(&mut memory, &fourth), Poll::Ready(Recall::Lead));
    memory.resign(lead(1, 4), Parting::Unanswered).wake();
    assert!(memory.flights.is_empty() && memory.told.is_empty());
}

#[test]
fn an_answer_that_cannot_be_kept_lets_everyone_go() {
    let mut memory = Memory::default();
    let _ = memory.look(&lookup(1, 1), Time(0));
    let tickets = [2, 3, 4].map(|id| wait(memory.look(&lookup(1, id), Time(0))));
    memory.resign(lead(1, 1), Parting::Unfit).wake();
    assert!(tickets.iter().all(|ticket| poll(&mut memory, ticket) == Poll::Ready(Recall::Miss)));
    assert!(memory.flights.is_empty() && memory.told.is_empty());
}

#[test]
fn who_leaves_the_line_takes_nothing_from_the_others() {
    let mut memory = Memory::default();
    let _ = memory.look(&lookup(1, 1), Time(0));
    let [second, third] = [2, 3].map(|id| wait(memory.look(&lookup(1, id), Time(0))));
    memory.leave(&second).wake();
    memory.resign(lead(1, 1), Parting::Unanswered).wake();
    assert_eq!(poll(&mut memory, &third), Poll::Ready(Recall::Lead));
    memory.keep(kept(1, 3, 10), MOST).wake();
    let late = wait_for_told(&mut memory);
    assert!(late.is_empty(), "nothing is kept for those that have left");
}

fn wait_for_told(memory: &mut Memory) -> Vec<u64> {
    memory.told.keys().copied().collect()
}

#[test]
fn a_lease_that_is_over_makes_room_for_another_leader() {
    let mut memory = Memory::default();
    let first = Lookup { lease: Time(1000), ..lookup(1, 1) };
    let _ = memory.look(&first, Time(0));
    let second = wait(memory.look(&lookup(1, 2), Time(999)));
    assert_eq!(memory.look(&lookup(1, 3), Time(1000)), Found::Now(Recall::Lead));
    memory.resign(lead(1, 1), Parting::Unfit).wake();
    assert!(poll(&mut memory, &second).is_pending(), "who has lost the lead cannot end another's");
    memory.keep(kept(1, 3, 10), MOST).wake();
    assert!(matches!(poll(&mut memory, &second), Poll::Ready(Recall::Hit(_))));
}

#[derive(Default)]
struct Counting(AtomicU32);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn whoever_is_told_is_woken_and_nobody_else() {
    let mut memory = Memory::default();
    let _ = memory.look(&lookup(1, 1), Time(0));
    let line: Vec<_> = (2..5)
        .map(|id| {
            let ticket = wait(memory.look(&lookup(1, id), Time(0)));
            let woken = Arc::new(Counting::default());
            assert!(memory.poll(&ticket, &Waker::from(Arc::clone(&woken))).is_pending());
            (ticket, woken)
        })
        .collect();
    let counts = || line.iter().map(|(_, woken)| woken.0.load(Ordering::Relaxed)).collect::<Vec<_>>();
    memory.resign(lead(1, 1), Parting::Unanswered).wake();
    assert_eq!(counts(), [1, 0, 0]);
    memory.resign(lead(1, 2), Parting::Unfit).wake();
    assert_eq!(counts(), [1, 1, 1]);
}

/// Random orders of everything that can happen: whoever waits is told in the end, and of each key one
/// leads.
#[test]
fn any_order_of_events_leaves_nobody_behind() {
    let mut state = 7_u64;
    let mut roll = move |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let mut memory = Memory::default();
    let mut leading: Vec<Lead> = Vec::new();
    let mut waiting: Vec<Ticket> = Vec::new();
    let mut now = Time(0);
    for id in 0..20_000 {
        now = now + Millis(roll(5));
        let n = u8::try_from(roll(4)).unwrap();
        match roll(8) {
            0..=3 => match memory.look(&Lookup { lease: Time::NEVER, ..lookup(n, id) }, now) {
                Found::Wait(ticket) => waiting.push(ticket),
                Found::Now(Recall::Lead) => leading.push(lead(n, id)),
                Found::Now(Recall::Hit(_) | Recall::Miss) => {}
            },
            4 if !leading.is_empty() => {
                let Lead { key, id } =
                    leading.swap_remove(usize::try_from(roll(leading.len() as u64)).unwrap());
                let bytes = Bytes::from_static(b"answer");
                let kept = Kept { key, id, bytes, at: now, expires: now + Millis(roll(20)) };
                memory.keep(kept, 2 * (6 + OVERHEAD as u64)).wake();
            }
            5 if !leading.is_empty() => {
                let lead = leading.swap_remove(usize::try_from(roll(leading.len() as u64)).unwrap());
                let parting = if roll(2) == 0 { Parting::Unfit } else { Parting::Unanswered };
                memory.resign(lead, parting).wake();
            }
            6 if !waiting.is_empty() => {
                let ticket = waiting.swap_remove(usize::try_from(roll(waiting.len() as u64)).unwrap());
                memory.leave(&ticket).wake();
            }
            _ => waiting.retain(|ticket| match poll(&mut memory, ticket) {
                Poll::Pending => true,
                Poll::Ready(Recall::Lead) => {
                    leading.push(Lead { key: ticket.key, id: ticket.id });
                    false
                }
                Poll::Ready(Recall::Hit(_) | Recall::Miss) => false,
            }),
        }
        let mut keys: Vec<_> = leading.iter().map(|lead| lead.key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), leading.len(), "two lead one key");
        assert!(memory.len() <= 2 && memory.used.len() == memory.len());
    }
    for lead in leading {
        memory.resign(lead, Parting::Unfit).wake();
    }
    while let Some(ticket) = waiting.pop() {
        match poll(&mut memory, &ticket) {
            Poll::Ready(Recall::Lead) => {
                memory.resign(Lead { key: ticket.key, id: ticket.id }, Parting::Unfit).wake();
            }
            Poll::Ready(_) => {}
            Poll::Pending => panic!("left waiting"),
        }
    }
    assert!(memory.flights.is_empty() && memory.told.is_empty());
}
