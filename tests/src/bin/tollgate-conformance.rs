//! `tollgate-conformance`: plays the conformance cases on a host, and keeps the README's table.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use tollgate_tests::conformance::case::{self, Case};
use tollgate_tests::conformance::host::{Kind, Launcher};
use tollgate_tests::conformance::report::{Played, Results, Verdict, subjects, table, with_table};
use tollgate_tests::conformance::stage::play;

const USAGE: &str = "\
tollgate-conformance: the same cases on every host

Usage: tollgate-conformance play HOST [TEXT]     plays all cases, or those with TEXT in their name
       tollgate-conformance table                compares the README's table with the results; UPDATE=1 rewrites it

HOST is native, workers or spin. Results are kept in the folder CONFORMANCE_RESULTS, if it is set and all
cases were played. TOLLGATE_BIN names the native program.
";

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["play", host] => play_all(host, ""),
        ["play", host, text] => play_all(host, text),
        ["table"] => compare(),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn play_all(host: &str, text: &str) -> Result<(), String> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == host).ok_or(USAGE)?;
    let chosen = |case: &Case| format!("{}/{}", case.area, case.name).contains(text);
    let cases: Vec<_> = case::all()?.into_iter().filter(chosen).collect();
    // What a panic says is told with its case.
    std::panic::set_hook(Box::new(|_| ()));
    let begun = Instant::now();
    let played = play(&Launcher { kind, program: program() }, &cases, &mut tell);
    let results = Results::of(kind, &played);
    if text.is_empty()
        && let Some(folder) = std::env::var_os("CONFORMANCE_RESULTS")
    {
        keep(Path::new(&folder), &results)?;
    }
    println!(
        "{host}: {} passed, {} failed ({:.1} s)",
        results.passed(),
        results.failed(),
        begun.elapsed().as_secs_f64()
    );
    if results.failed() == 0 { Ok(()) } else { Err(format!("not all cases hold on {host}")) }
}

/// The native program: named, or beside this one.
fn program() -> String {
    let beside = || {
        let own = std::env::current_exe().ok()?;
        Some(own.with_file_name("tollgate-under-test").to_string_lossy().into_owned())
    };
    std::env::var("TOLLGATE_BIN").ok().or_else(beside).unwrap_or_default()
}

fn tell(played: &Played) {
    let Played { area, name, verdict, millis } = played;
    match verdict {
        Verdict::Passed => println!("ok      {area}/{name} ({millis} ms)"),
        Verdict::NotHere(why) => println!("not     {area}/{name}: {why}"),
        Verdict::Failed(why) => println!("FAILED  {area}/{name} ({millis} ms)\n    {why}"),
    }
}

fn file(folder: &Path, kind: Kind) -> PathBuf {
    folder.join(format!("{}.json", kind.name()))
}

fn keep(folder: &Path, results: &Results) -> Result<(), String> {
    let text = serde_json::to_string_pretty(results).map_err(|error| error.to_string())?;
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(file(folder, results.host), text))
        .map_err(|error| format!("{}: {error}", folder.display()))
}

fn compare() -> Result<(), String> {
    let folder = std::env::var("CONFORMANCE_RESULTS").map_err(|_| "CONFORMANCE_RESULTS is not set")?;
    let read = |kind: Kind| -> Option<Results> {
        serde_json::from_str(&std::fs::read_to_string(file(Path::new(&folder), kind)).ok()?).ok()
    };
    let results: Vec<_> = Kind::ALL.into_iter().filter_map(read).collect();
    let now = std::fs::read_to_string(README).map_err(|error| format!("README.md: {error}"))?;
    let wanted = with_table(&now, &table(&subjects()?, &results))?;
    if std::env::var_os("UPDATE").is_some() {
        return std::fs::write(README, wanted).map_err(|error| format!("README.md: {error}"));
    }
    if now == wanted {
        Ok(())
    } else {
        Err("the README's table is not what was played: UPDATE=1 rewrites it".into())
    }
}
