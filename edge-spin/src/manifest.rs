//! The manifest at the root of the tree, against what the gateway may come to ask for.

use std::collections::BTreeSet;
use tollgate_core::vendor::VENDORS;
use toml::{Table, Value};

/// What the gateway itself looks for, beside vendors' keys.
const OWN: [&str; 7] = [
    "gateway_config",
    "tollgate_ledger",
    "tollgate_patience",
    "tollgate_admin_key",
    "redis_url",
    "tollgate_key",
    "alert_url",
];

fn manifest() -> Table {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../spin.toml");
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn table<'a>(of: &'a Table, path: &[&str]) -> &'a Table {
    path.iter().fold(of, |table, name| table[*name].as_table().unwrap())
}

/// What must be among the allowed hosts. Of an address with a part that a config fills in, what follows it.
fn origin(url: &str) -> String {
    if let Some((_, suffix)) = url.rsplit_once('}') {
        return format!("https://*{}", suffix.split('/').next().unwrap_or_default());
    }
    let uri: http::Uri = url.parse().unwrap();
    format!("{}://{}", uri.scheme_str().unwrap(), uri.authority().unwrap())
}

#[test]
fn every_vendor_may_be_called() {
    let manifest = manifest();
    let hosts = table(&manifest, &["component", "tollgate"])["allowed_outbound_hosts"].as_array().unwrap();
    let hosts: BTreeSet<&str> = hosts.iter().filter_map(Value::as_str).collect();
    let known = VENDORS.iter().filter(|vendor| !vendor.base_url.is_empty());
    let missing: BTreeSet<String> =
        known.map(|vendor| origin(vendor.base_url)).filter(|host| !hosts.contains(host.as_str())).collect();
    assert!(missing.is_empty(), "add to allowed_outbound_hosts in spin.toml: {missing:?}");
}

#[test]
fn every_secret_that_is_looked_for_by_itself_is_a_variable() {
    let manifest = manifest();
    let vendors = VENDORS.iter().flat_map(|vendor| vendor.env.iter().chain(vendor.address.env));
    let expected: BTreeSet<String> =
        vendors.map(|name| crate::variables::variable(name)).chain(OWN.map(str::to_owned)).collect();
    let application = table(&manifest, &["variables"]);
    let component = table(&manifest, &["component", "tollgate", "variables"]);
    let names = |table: &Table| table.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(application), expected, "[variables] of spin.toml");
    assert_eq!(names(component), expected, "[component.tollgate.variables] of spin.toml");
    for name in &expected {
        assert_eq!(component[name].as_str(), Some(format!("{{{{ {name} }}}}").as_str()), "{name}");
        let variable = application[name].as_table().unwrap();
        assert_eq!(variable["default"].as_str(), Some(""), "{name}: not set by itself");
        let is_secret = variable.get("secret").and_then(Value::as_bool) == Some(true);
        let is_plain = ["gateway_config", "tollgate_ledger", "tollgate_patience"].contains(&name.as_str());
        assert_eq!(is_secret, !is_plain, "{name}: secret");
    }
}

#[test]
fn the_component_is_what_the_build_command_makes() {
    let manifest = manifest();
    let component = table(&manifest, &["component", "tollgate"]);
    let command = table(component, &["build"])["command"].as_str().unwrap();
    assert_eq!(command, "cargo build --locked --profile wasm --target wasm32-wasip2 --package tollgate-spin");
    assert_eq!(component["source"].as_str(), Some("target/wasm32-wasip2/wasm/tollgate_spin.wasm"));
}
