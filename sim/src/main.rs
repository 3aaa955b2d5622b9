//! `tollgate-sim`: the simulated provider as a program.

use std::net::SocketAddr;
use std::process::ExitCode;

use tollgate_sim::{DIRECTIVES, Sim, SimOptions};

const USAGE: &str = "\
tollgate-sim: a provider of language models that does not think, and misbehaves on request

Usage: tollgate-sim [--listen ADDRESS] [--expect-key KEY]

  --listen ADDRESS   where to serve, 127.0.0.1:9100 unless told (port 0 picks a free one)
  --expect-key KEY   refuse every other key
  --help             this text
";

struct Arguments {
    listen: SocketAddr,
    options: SimOptions,
}

enum Parsed {
    Run(Arguments),
    Help,
    Wrong(String),
}

fn parse(mut given: impl Iterator<Item = String>) -> Parsed {
    let mut listen = SocketAddr::from(([127, 0, 0, 1], 9100));
    let mut options = SimOptions::default();
    while let Some(name) = given.next() {
        let value = match name.as_str() {
            "--help" | "-h" => return Parsed::Help,
            "--listen" | "--expect-key" => given.next(),
            other => return Parsed::Wrong(format!("unknown argument '{other}', see --help")),
        };
        let Some(value) = value else { return Parsed::Wrong(format!("{name} needs a value")) };
        if name == "--expect-key" {
            options.expect_key = Some(value);
            continue;
        }
        match value.parse() {
            Ok(address) => listen = address,
            Err(_) => {
                return Parsed::Wrong(format!("--listen {value}: expected an address like 127.0.0.1:9100"));
            }
        }
    }
    Parsed::Run(Arguments { listen, options })
}

fn serve(arguments: Arguments) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let sim = Sim::bind_with(arguments.listen, arguments.options)?;
        println!("tollgate-sim listens on http://{}", sim.local_addr());
        sim.serve().await
    })
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Parsed::Help => println!("{USAGE}\n{DIRECTIVES}"),
        Parsed::Wrong(reason) => {
            eprintln!("tollgate-sim: {reason}");
            return ExitCode::from(2);
        }
        Parsed::Run(arguments) => {
            if let Err(error) = serve(arguments) {
                eprintln!("tollgate-sim: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
