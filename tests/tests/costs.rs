//! Bills worked out by hand against what the gateway makes of the same answers: see
//! `tollgate_tests::bill` for the form of a case.

use tollgate_core::price::CLASSES;
use tollgate_tests::bill;

/// Checks these cases; all failures are told at once.
fn check(names: &[String]) {
    let failures: Vec<String> = names.iter().filter_map(|name| bill::check(name).err()).collect();
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), names.len(), failures.join("\n"));
}

/// Checks the cases of a scenario, of which there must be so many or more.
fn check_scenario(id: &str, at_least: usize) {
    let prefix = format!("{id}_");
    let names: Vec<String> = bill::names().into_iter().filter(|name| name.starts_with(&prefix)).collect();
    assert!(names.len() >= at_least, "{id}: {names:?}");
    check(&names);
}

#[test]
fn every_bill_is_the_one_worked_out_by_hand() {
    let names = bill::names();
    assert!(names.len() >= 80, "{} cases", names.len());
    check(&names);
}

#[test]
fn every_kind_of_price_is_in_some_bill() {
    let met = bill::classes_met().unwrap();
    let missing: Vec<&str> =
        CLASSES.iter().map(|kind| kind.word).filter(|word| !met.contains(word)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn a_bill_with_a_wrong_figure_does_not_pass() {
    let text = bill::text("c1_anthropic_cache_writes_are_charged_once").unwrap();
    assert_eq!(bill::check_text(&text), Ok(()));
    for (right, wrong) in [
        // The answer's count, the price with its product and sum, the total alone, the product alone.
        (r#""output_tokens": 550"#, r#""output_tokens": 551"#),
        (r#""cost": "0.054399""#, r#""cost": "0.0913""#),
        ("× $3.75 / 1M = $0.04614", "× $3.75 / 1M = $0.04615"),
        ("12304 cache_write ×", "12304 input ×"),
    ] {
        assert!(text.contains(right), "{right}");
        let failure = bill::check_text(&text.replace(right, wrong));
        assert!(failure.is_err(), "{wrong} passes");
    }
}

#[test]
fn c1_anthropic_cache_writes_are_charged_once() {
    check_scenario("c1", 1);
}

#[test]
fn c2_cache_reads_in_streams_cost_what_cache_reads_do() {
    check_scenario("c2", 1);
}

#[test]
fn c3_cache_writes_of_an_hour_in_streams_cost_what_those_do() {
    check_scenario("c3", 1);
}

#[test]
fn c4_after_a_server_tool_the_totals_of_message_delta_are_priced() {
    check_scenario("c4", 1);
}

#[test]
fn c5_an_own_price_with_a_cache_rate_bills_cached_tokens_once() {
    check_scenario("c5", 3);
}

#[test]
fn c6_thoughts_are_billed_as_output_and_subsets_are_never_added() {
    check_scenario("c6", 4);
}

#[test]
fn c9_a_zero_that_the_provider_reports_stays_zero() {
    check_scenario("c9", 3);
}

#[test]
fn c11_without_a_price_the_call_is_served_and_its_cost_unknown() {
    check_scenario("c11", 2);
}

#[test]
fn c15_service_batch_long_prompt_hour_and_region_have_their_prices() {
    check_scenario("c15", 20);
}
