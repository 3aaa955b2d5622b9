//! Lays `data/prices.tsv` out as `src/catalog/table.rs` searches it. What many rows have in common stands there
//! once, and like stands beside like: uploaded to an edge, where it is gzipped, that is a quarter less.

use std::fmt::Write as _;
use std::path::Path;

type Failed = Box<dyn std::error::Error>;

/// Lines of which the first one's place is noted.
const STEP: usize = 16;

/// A row of the file.
struct Row<'t> {
    name: &'t str,
    vendor: &'t str,
    limits: [u32; 2],
    source: usize,
    prices: &'t str,
}

fn main() -> Result<(), Failed> {
    let file = "data/prices.tsv";
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={file}");
    let text = std::fs::read_to_string(file)?;
    let (comments, lines): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('#'));
    let sources: Vec<Vec<&str>> = comments
        .iter()
        .filter_map(|line| line.strip_prefix("# source "))
        .map(|line| line.split('\t').skip(1).collect())
        .collect();
    let rows = lines.iter().map(|line| row(line)).collect::<Result<Vec<Row<'_>>, Failed>>()?;

    let (vendors, of_vendors) = numbered(rows.iter().map(|row| row.vendor));
    let (limits, of_limits) = numbered(rows.iter().map(|row| row.limits));
    let (prices, of_prices) = numbered(rows.iter().map(|row| row.prices));
    let of_sources = rows.iter().map(|row| row.source).collect();
    let mut bytes = Vec::new();
    for column in [of_vendors, of_limits, of_sources, of_prices] {
        for shift in [0, 8] {
            bytes.extend(column.iter().map(|number| u8::try_from((number >> shift) & 0xff).unwrap_or(0)));
        }
        assert!(column.iter().all(|number| *number < 1 << 16), "{file} has too many different values");
    }

    let folder = std::env::var("OUT_DIR")?;
    let place = |name: &str| Path::new(&folder).join(name);
    std::fs::write(place("columns"), bytes)?;
    let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
    let mut code = format!("const STEP: usize = {STEP};\nconst ROWS: usize = {};\n", rows.len());
    writeln!(code, "const VENDORS: &[&str] = &{vendors:?};")?;
    writeln!(code, "const LIMITS: &[[u32; 2]] = &{limits:?};")?;
    writeln!(code, "const SOURCES: &[[&str; 2]] = &{sources:?};")?;
    for (name, lines) in [("NAMES", names), ("PRICES", prices)] {
        std::fs::write(place(name), lines.join("\n"))?;
        let starts = starts(&lines);
        writeln!(
            code,
            "const {name}: Lines = Lines {{ text: include_str!({:?}), starts: &{starts:?} }};",
            place(name)
        )?;
    }
    writeln!(code, "const COLUMNS: &[u8] = include_bytes!({:?});", place("columns"))?;
    std::fs::write(place("catalog.rs"), code)?;
    Ok(())
}

fn row(line: &str) -> Result<Row<'_>, Failed> {
    match line.split('\t').collect::<Vec<_>>()[..] {
        [name, vendor, window, output, source, prices] => {
            let limits = [window.parse()?, output.parse()?];
            Ok(Row { name, vendor, limits, source: source.parse()?, prices })
        }
        _ => Err(format!("a row of six columns was expected: {line}").into()),
    }
}

/// Different values in order, and the number of each that was given.
fn numbered<T: Ord>(values: impl Iterator<Item = T> + Clone) -> (Vec<T>, Vec<usize>) {
    let mut known: Vec<T> = values.clone().collect();
    known.sort();
    known.dedup();
    let numbers = values.map(|value| known.binary_search(&value).unwrap_or_else(|place| place)).collect();
    (known, numbers)
}

/// Where each `STEP`th line begins.
fn starts(lines: &[&str]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = 0;
    for (number, line) in lines.iter().enumerate() {
        if number % STEP == 0 {
            starts.push(at);
        }
        at += line.len() + 1;
    }
    starts
}
