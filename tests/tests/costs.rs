//! Bills worked out by hand against what the gateway makes of the same answers: see
//! `tollgate_tests::bill` for the form of a case.

use tollgate_tests::bill;

/// Checks these cases; all failures are told at once.
fn check<S: AsRef<str>>(names: &[S]) {
    let failures: Vec<String> = names.iter().filter_map(|name| bill::check(name.as_ref()).err()).collect();
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), names.len(), failures.join("\n"));
}

#[test]
fn every_bill_is_the_one_worked_out_by_hand() {
    let names = bill::names();
    assert!(names.len() >= 60, "{} cases", names.len());
    check(&names);
}
