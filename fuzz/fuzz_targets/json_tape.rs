//! The tape against `serde_json`: it never panics, reads what both accept as the same value, and is
//! stricter in the ways it says it is and in no other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value as Serde;
use tollgate_core::json::{Kind, Tape, Value};

fuzz_target!(|text: &[u8]| {
    // What `serde_json` keeps numbers and raw values under, and misreads when a text says it.
    if text.windows(10).any(|part| part == b"serde_json") {
        return;
    }
    match (Tape::parse(text), serde_json::from_slice::<Serde>(text)) {
        (Ok(tape), Ok(value)) => {
            same(tape.root(), &value);
            cuts(text, tape.root());
        }
        (Err(error), Ok(_)) => assert!(error.what.starts_with("repeated key"), "{error}"),
        (Ok(_), Err(error)) => assert!(error.to_string().starts_with("recursion limit"), "{error}"),
        (Err(error), Err(_)) => assert!(error.offset <= text.len()),
    }
});

fn same(ours: Value<'_>, serde: &Serde) {
    match (ours.kind(), serde) {
        (Kind::Null, Serde::Null) => {}
        (Kind::Bool, Serde::Bool(value)) => assert_eq!(ours.as_bool(), Some(*value)),
        (Kind::Number, Serde::Number(value)) => {
            if let Some(whole) = value.as_u64() {
                assert_eq!(ours.as_u64(), Some(whole));
            }
            alike(ours.as_f64(), value.as_f64().filter(|number| number.is_finite()));
        }
        (Kind::String, Serde::String(value)) => assert_eq!(ours.as_str().as_deref(), Some(value.as_str())),
        (Kind::Array, Serde::Array(values)) => {
            assert_eq!(ours.elements().count(), values.len());
            ours.elements().zip(values).for_each(|(ours, value)| same(ours, value));
        }
        (Kind::Object, Serde::Object(members)) => {
            assert_eq!(ours.members().count(), members.len());
            for ((key, ours), (name, value)) in ours.members().zip(members) {
                assert!(key.is_text(name));
                same(ours, value);
            }
        }
        (kind, _) => panic!("the tape has {kind}"),
    }
}

/// Floats are read to the last bits; those next to the largest may be too large, those next to zero zero.
fn alike(ours: Option<f64>, exact: Option<f64>) {
    let (found, wanted) = (ours.unwrap_or(f64::MAX), exact.unwrap_or(f64::MAX));
    let near = (found.abs() - wanted.abs()).abs() <= wanted.abs() * 8.0 * f64::EPSILON + 1e-300;
    let sides = ours.zip(exact).is_none_or(|(ours, exact)| ours == 0.0 || (ours < 0.0) == (exact < 0.0));
    assert!(near && sides, "{ours:?} instead of {exact:?}");
}

/// Whatever members are cut out, what is left is the object without them.
fn cuts(text: &[u8], root: Value<'_>) {
    let keys: Vec<_> = root.members().step_by(2).filter_map(|(key, _)| key.as_str()).collect();
    let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
    let mut left = text.to_vec();
    for cut in root.member_cuts(&keys).into_iter().rev() {
        left.drain(cut);
    }
    let tape = Tape::parse(&left).expect("what is left after a cut is valid");
    assert_eq!(tape.root().members().count(), root.members().count() - keys.len());
    assert!(keys.iter().all(|key| tape.root().get(key).is_none()));
}
