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

/// What the reference of version 2 of the manifest has in each table (spinframework.dev/manifest-reference).
const KNOWN: [(&str, &[&str]); 7] = [
    ("", &["spin_manifest_version", "application", "variables", "trigger", "component"]),
    ("application", &["name", "version", "description", "authors", "trigger"]),
    ("variables.*", &["description", "required", "default", "secret"]),
    ("trigger.http.*", &["route", "component", "executor"]),
    ("component.tollgate", &COMPONENT),
    ("component.tollgate.build", &["command", "workdir", "watch"]),
    ("component.tollgate.variables", &[]),
];

const COMPONENT: [&str; 12] = [
    "description",
    "source",
    "files",
    "exclude_files",
    "allowed_outbound_hosts",
    "key_value_stores",
    "environment",
    "build",
    "variables",
    "sqlite_databases",
    "ai_models",
    "dependencies",
];

/// The tables at a path, `*` standing for all of a table or a list.
fn tables<'a>(of: &'a Value, path: &str) -> Vec<&'a Table> {
    let parts = path.split('.').filter(|part| !part.is_empty());
    let found = parts.fold(vec![of], |found, part| {
        let below = |value: &'a Value| -> Vec<&'a Value> {
            match (part, value.as_table(), value.as_array()) {
                ("*", Some(table), _) => table.values().collect(),
                ("*", _, Some(list)) => list.iter().collect(),
                _ => value.get(part).into_iter().collect(),
            }
        };
        found.into_iter().flat_map(below).collect()
    });
    found.into_iter().map(|value| value.as_table().unwrap()).collect()
}

#[test]
fn only_what_spin_knows_is_said_and_in_its_forms() {
    let manifest = Value::Table(manifest());
    for (path, known) in KNOWN {
        let tables = tables(&manifest, path);
        assert!(!tables.is_empty(), "{path} is there");
        for name in tables.into_iter().flat_map(Table::keys).filter(|_| !known.is_empty()) {
            assert!(known.contains(&name.as_str()), "{path}: {name}");
        }
    }
    let at = |path: &str| path.split('.').fold(&manifest, |value, name| &value[name]);
    assert_eq!(at("spin_manifest_version").as_integer(), Some(2));
    assert_eq!(at("application.version").as_str().unwrap().split('.').count(), 3);
    let trigger = &at("trigger.http").as_array().unwrap()[0];
    assert!(
        at("component").get(trigger["component"].as_str().unwrap()).is_some(),
        "who is triggered is there"
    );
    assert!(trigger["route"].as_str().unwrap().starts_with('/'));

    let letters = |text: &str, other: char| {
        text.starts_with(|first: char| first.is_ascii_lowercase())
            && text
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == other)
    };
    for name in at("component").as_table().unwrap().keys() {
        assert!(letters(name, '-'), "a component's name: {name}");
    }
    for name in at("variables").as_table().unwrap().keys() {
        let is_plain = letters(name, '_') && !name.contains("__") && !name.ends_with('_');
        assert!(is_plain, "a variable's name: {name}");
    }
    for host in at("component.tollgate.allowed_outbound_hosts").as_array().unwrap() {
        let host = host.as_str().unwrap();
        let (scheme, rest) = host.split_once("://").unwrap_or_else(|| panic!("{host} has a scheme"));
        let (name, port) = rest.rsplit_once(':').unwrap_or((rest, "*"));
        assert!(letters(scheme, '*') && !rest.contains('/'), "{host} is a scheme, a host and a port");
        assert!(
            !name.is_empty() && !name.trim_start_matches("*").contains('*'),
            "{host}: * stands first or alone"
        );
        assert!(port == "*" || port.parse::<u16>().is_ok(), "{host}: its port");
    }
    for list in ["key_value_stores", "sqlite_databases"] {
        let all = at("component.tollgate").get(list).and_then(Value::as_array).unwrap();
        assert!(all.iter().all(Value::is_str), "{list}: labels");
    }
}
