//! Lists in the documentation are the lists in the code. `UPDATE=1` rewrites them.

use std::fmt::Write;
use std::path::Path;
use tollgate_core::api::routes::ROUTES;
use tollgate_core::fault::Code;
use tollgate_core::mount::{MOUNTS, PLACES};
use tollgate_core::vendor::{VENDORS, Vendor};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../REFERENCE.md");

fn vendors() -> String {
    let mut out = "| `kind` | vendor | dialect | base URL | variables |\n|---|---|---|---|---|\n".to_owned();
    for vendor in VENDORS {
        let base =
            if vendor.base_url.is_empty() { "yours".to_owned() } else { format!("`{}`", vendor.base_url) };
        let variables = vendor.env.iter().chain(vendor.address.env);
        let variables: Vec<_> = variables.map(|name| format!("`{name}`")).collect();
        let variables = if variables.is_empty() { "none".to_owned() } else { variables.join(", ") };
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {base} | {variables} |",
            vendor.name,
            vendor.title,
            dialects(vendor)
        );
    }
    out
}

/// What it speaks at its address.
fn dialects(vendor: &Vendor) -> String {
    let also = vendor.also.map(|also| format!(", {}", also.dialect.name()));
    format!("{}{}", vendor.dialect.name(), also.unwrap_or_default())
}

fn codes() -> String {
    let mut out = "| status | `type` | `code` |\n|---|---|---|\n".to_owned();
    for code in Code::ALL {
        let _ = writeln!(out, "| {} | `{}` | `{}` |", code.status(), code.kind(), code.code());
    }
    out
}

fn places() -> String {
    let mut out = "| method | path |\n|---|---|\n".to_owned();
    for place in PLACES {
        let _ = writeln!(out, "| {} | `{}` |", place.method.name(), place.path);
    }
    let mounts: Vec<_> = MOUNTS
        .iter()
        .filter(|mount| !mount.prefix.is_empty())
        .map(|mount| format!("`{}`", mount.prefix))
        .collect();
    let _ = writeln!(
        out,
        "\nModel calls and lists also under {}, with and without the version. \
         What else is below the name of a provider: [see below](#what-passes-to-a-provider).",
        mounts.join(", ")
    );
    out
}

fn admin() -> String {
    let mut out = "| method | path | who |\n|---|---|---|\n".to_owned();
    for route in ROUTES {
        let _ = writeln!(out, "| {} | `{}` | {} |", route.method.name(), route.path, route.need.words());
    }
    out
}

/// The document with what stands between a list's marks replaced.
fn with(document: &str, name: &str, list: &str) -> String {
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = document.split_once(&open).unwrap_or_else(|| panic!("no mark {open}"));
    let (_, after) = rest.split_once(&close).unwrap_or_else(|| panic!("no mark {close}"));
    format!("{before}{open}{list}{close}{after}")
}

#[test]
fn the_reference_lists_what_the_code_lists() {
    let now = std::fs::read_to_string(DOCUMENT).expect("REFERENCE.md");
    let wanted = with(&with(&with(&now, "vendors", &vendors()), "codes", &codes()), "places", &places());
    let wanted = with(&wanted, "admin", &admin());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(DOCUMENT, &wanted).expect("REFERENCE.md can be written");
    }
    assert!(
        now == wanted || std::env::var_os("UPDATE").is_some(),
        "REFERENCE.md is stale: run with UPDATE=1"
    );
    assert!(Path::new(DOCUMENT).exists());
}
