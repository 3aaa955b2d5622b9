//! Notes and stored state.

use super::*;

fn full() -> Limits {
    Limits {
        rpm: Some(Requests(50)),
        tpm: Some(Tokens(5000)),
        tpm_input: Some(Tokens(4000)),
        tpm_output: Some(Tokens(u64::MAX)),
        concurrency: Some(Requests(9)),
        max_requests: Some(Requests(1000)),
        max_tokens: Some(Tokens(1_000_000)),
        budgets: vec![
            Budget { warn: Some(Percent(80)), ..budget(10, Period::Day) },
            Budget { reset: Reset::Rolling, ..budget(20, Period::Week) },
            Budget { reset: Reset::Calendar(Zone::parse("+05:30").unwrap()), ..budget(30, Period::Never) },
        ],
    }
}

fn notes() -> Vec<Note> {
    let ask = Ask {
        more: Requests(9999),
        input: Estimated(Tokens(300)),
        least_output: Estimated(Tokens(1)),
        most_output: Estimated(Tokens(u64::MAX)),
        cost: Some(AskCost { fixed: NanoDollars(7), output: PerMillion(15_000_000_000) }),
    };
    let mut entry = entry(u128::MAX - 5, &[&scope("key:ci", full())], ask);
    entry.book = Arc::from("acme");
    entry.claims.push(Claim { scope: scope("key:ci/provider:ü", Limits::default()), targets: Targets(5) });
    let id = entry.id;
    vec![
        Note::Reserved { entry: Box::new(entry), output: Tokens(900), closed: Targets(4), at: at(5) },
        Note::Settled { id, settlement: paid(12), at: at(6) },
        Note::Settled { id, settlement: Settlement::Release, at: Time::NEVER },
    ]
}

#[test]
fn a_note_is_read_as_it_was_written() {
    let mut bytes = Vec::new();
    let notes = notes();
    notes.iter().for_each(|note| note.write(&mut bytes));
    let mut rest = bytes.as_slice();
    for note in &notes {
        let read = Note::read(rest).expect("sound").expect("whole");
        assert_eq!(read.note, *note);
        rest = &rest[read.length..];
    }
    assert_eq!(Note::read(rest), Ok(None));
}

#[test]
fn a_note_that_was_torn_is_none_and_one_that_was_changed_is_garbled() {
    for note in notes() {
        let mut bytes = Vec::new();
        note.write(&mut bytes);
        for end in 0..bytes.len() {
            assert_eq!(Note::read(&bytes[..end]), Ok(None), "cut at {end}");
        }
        for at in 4..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            assert!(Note::read(&changed).is_err(), "byte {at} changed");
        }
    }
    assert!(Note::read(&[0; 64]).is_err(), "zeros are no note");
}

#[test]
fn a_note_of_another_version_is_garbled() {
    let mut bytes = Vec::new();
    notes()[1].write(&mut bytes);
    bytes[8] = 99;
    let sum = crc32fast::hash(&bytes[8..]).to_le_bytes();
    bytes[4..8].copy_from_slice(&sum);
    let garbled = Note::read(&bytes).expect_err("another version");
    assert_eq!(garbled.what, "version 99, expected 1");
}

/// A ledger with history, open entries and budgets of every kind.
fn busy() -> Ledger {
    let key = scope("key:ci", full());
    let team = scope("team:search", with_budget(budget(5, Period::Month)));
    let mut ledger = Ledger::default();
    for id in 0..8 {
        let ask = Ask { cost: cents(20).cost, ..tokens(100, 50) };
        let hold = ledger.reserve(entry(id, &[&key, &team], ask), at(id as u64 * 1000)).expect("room");
        if id % 2 == 0 {
            ledger.settle(hold, &spent(90, 20, NanoDollars(DOLLAR / 10)), at(id as u64 * 1000 + 500));
        }
    }
    ledger
}

fn reports(ledger: &Ledger, now: Time) -> Vec<Report> {
    let key = scope("key:ci", full());
    let team = scope("team:search", with_budget(budget(5, Period::Month)));
    vec![ledger.report(&key, now), ledger.report(&team, now)]
}

#[test]
fn what_is_stored_is_taken_up_in_any_order() {
    let mut ledger = busy();
    let changed = ledger.take_changed();
    assert_eq!(changed.stored.len(), 2 + 4);
    for turn in 0..changed.stored.len() {
        let mut next = Ledger::default();
        let mut stored = changed.stored.clone();
        stored.rotate_left(turn);
        stored.iter().for_each(|state| next.restore(state).expect("sound"));
        assert_eq!(reports(&next, at(9_000)), reports(&ledger, at(9_000)));
        assert_eq!(next.account("key:ci"), ledger.account("key:ci"));
        next.sweep(at(400_000));
        assert_eq!(next.account("key:ci").open, Requests::ZERO, "leases go on");
    }
}

#[test]
fn only_what_has_changed_is_given_out_and_what_has_ended_is_named() {
    let mut ledger = busy();
    ledger.take_changed();
    assert_eq!(ledger.take_changed(), Changed::default());
    ledger.sweep(at(400_000));
    let changed = ledger.take_changed();
    assert_eq!(changed.ended, [1, 3, 5, 7].map(RequestId));
    assert_eq!(changed.stored.len(), 2, "both accounts");
}

#[test]
fn k17_state_that_was_changed_is_garbled_and_changes_nothing() {
    let mut ledger = busy();
    let changed = ledger.take_changed();
    for good in &changed.stored {
        let (Stored::Account { state, .. } | Stored::Open { state, .. }) = good;
        for at_byte in 0..state.len() {
            let mut bytes = state.clone();
            bytes[at_byte] ^= 0x11;
            let bad = match good {
                Stored::Account { scope, .. } => Stored::Account { scope: scope.clone(), state: bytes },
                Stored::Open { id, .. } => Stored::Open { id: *id, state: bytes },
            };
            let mut next = Ledger::default();
            assert!(next.restore(&bad).is_err(), "byte {at_byte}");
            assert_eq!(next.account("key:ci"), Account::default());
            assert_eq!(next.take_changed(), Changed::default());
        }
    }
    let mut next = Ledger::default();
    for junk in [&b""[..], b"null", b"{\"spent\":\"****\"}", &[0xff; 40]] {
        assert!(next.restore(&Stored::Account { scope: "key:ci".to_owned(), state: junk.to_vec() }).is_err());
        assert!(next.restore(&Stored::Open { id: RequestId(1), state: junk.to_vec() }).is_err());
    }
}

#[test]
fn k17_an_open_entry_that_cannot_be_read_holds_nothing_for_ever() {
    let mut ledger = busy();
    let changed = ledger.take_changed();
    let mut next = Ledger::default();
    for state in changed.stored.iter().filter(|state| matches!(state, Stored::Account { .. })) {
        next.restore(state).expect("sound");
    }
    let key = scope("key:ci", full());
    assert_eq!(reading(&next, &key, "concurrency", at(9_000)).held, 0);
    assert_eq!(reading(&next, &key, "budget", at(9_000)).held, 0);
    assert_eq!(reading(&next, &key, "budget", at(9_000)).used, 4 * DOLLAR / 10);
}

#[test]
fn a_warning_that_was_told_is_not_told_again_in_the_next_life() {
    let key = scope("key:ci", with_budget(Budget { warn: Some(Percent(50)), ..budget(10, Period::Day) }));
    let mut ledger = Ledger::default();
    let hold = ledger.reserve(entry(1, &[&key], cents(600)), at(0)).expect("room");
    assert_eq!(ledger.settle(hold, &paid(600), at(0)).len(), 1);
    let mut next = Ledger::default();
    ledger.take_changed().stored.iter().for_each(|state| next.restore(state).expect("sound"));
    let hold = next.reserve(entry(2, &[&key], cents(100)), at(1)).expect("room");
    assert_eq!(next.settle(hold, &paid(100), at(1)), []);
}
