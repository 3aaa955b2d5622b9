//! The conformance cases on the native host. The other hosts play the same ones; see `tests/run`.

use tollgate_tests::conformance::case;
use tollgate_tests::conformance::host::{Kind, Launcher};
use tollgate_tests::conformance::report::{Verdict, subjects};
use tollgate_tests::conformance::stage::play;

#[test]
fn every_case_holds_on_the_native_host() {
    let cases = case::all().expect("cases that can be read");
    let program = env!("CARGO_BIN_EXE_tollgate-under-test").to_owned();
    let mut failed = Vec::new();
    play(&Launcher { kind: Kind::Native, program }, &cases, &mut |played| {
        if let Verdict::Failed(why) = &played.verdict {
            failed.push(format!("{}/{}: {why}", played.area, played.name));
        }
    });
    assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

#[test]
fn every_area_has_a_name_and_a_case() {
    let subjects = subjects().expect("a list of areas").into_iter();
    let named: Vec<_> = subjects.map(|subject| subject.name).collect();
    let cases = case::all().expect("cases that can be read");
    for area in cases.iter().map(|case| &case.area) {
        assert!(named.contains(area), "{area} is not in areas.toml");
    }
    for area in &named {
        assert!(cases.iter().any(|case| case.area == *area), "{area} has no case");
    }
}
