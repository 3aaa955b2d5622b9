//! The command line.

use crate::contain::log_panics;
use crate::price::{self, Price};
use crate::serve::{self, Plan};
use crate::settings::{Exposure, Overrides, Problems, Source, USUAL_FILE};
use crate::{demo, key, settings, token};
use clap::{Args, Parser, Subcommand};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

const EXAMPLES: &str = "\
Examples:
  OPENAI_API_KEY=sk-... tollgate        every provider whose usual variable is set, on 127.0.0.1:8080
  tollgate demo                         a simulated provider: no account, no network
  tollgate check                        is ./tollgate.toml right, and what does it resolve to
  tollgate serve --config prod.toml --listen 0.0.0.0:8080
  tollgate key new ci --budget 10/day   a virtual key for clients, printed once

  curl http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \\
    -d '{\"model\": \"openai/gpt-4o-mini\", \"messages\": [{\"role\": \"user\", \"content\": \"hello\"}]}'";

/// LLM gateway: one address for every provider, with routing, failover, accounting and limits.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
    /// Write log lines as JSON.
    #[arg(long, global = true)]
    log_json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway; what `tollgate` alone does.
    #[command(after_help = EXAMPLES)]
    Serve(Serve),
    /// Read a config and print every error, or what it resolves to.
    Check {
        /// The config; ./tollgate.toml if it exists, else the environment.
        file: Option<PathBuf>,
    },
    /// What a call would cost, line by line, and where the prices come from.
    Price(Box<Price>),
    /// Make, list, block, rotate and delete virtual keys.
    Key(key::Key),
    /// Sign short-lived keys.
    Token(token::Token),
    /// Run the gateway with a simulated provider: no account, no network.
    Demo {
        /// Address and port to listen on.
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
        listen: String,
    },
}

#[derive(Args, Clone, Debug, Default)]
struct Serve {
    /// The config, TOML or JSON [default: ./tollgate.toml if it exists, else none].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on, over the config's.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Listen where others can reach the gateway although no key is required.
    #[arg(long)]
    open: bool,
    /// Threads that serve requests [default: one for each core].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

impl From<Serve> for Plan {
    fn from(serve: Serve) -> Self {
        let Serve { config, listen, open, workers } = serve;
        let exposure = if open { Exposure::Open } else { Exposure::Guarded };
        let overrides = Overrides { listen, exposure };
        Self { source: Source::choose(config), overrides, workers, greeting: None }
    }
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let Cli { command, serve, log_json } = Cli::parse();
    log(log_json);
    log_panics();
    let done = match command.unwrap_or(Command::Serve(serve)) {
        Command::Serve(serve) => serve::run(serve.into()),
        Command::Check { file } => check(file),
        Command::Price(asked) => price::run(&asked),
        Command::Key(key) => key::run(&key),
        Command::Token(token) => token::run(&token),
        Command::Demo { listen } => demo::run(listen),
    };
    done.unwrap_or_else(|problems| {
        eprintln!("{problems}");
        ExitCode::FAILURE
    })
}

fn check(file: Option<PathBuf>) -> Result<ExitCode, Problems> {
    let source = Source::choose(file);
    let settings = settings::load(&source, &Overrides::default())?;
    match &source {
        Source::File(path) => println!("{}: no errors", path.display()),
        Source::Text { name, .. } => println!("{name}: no errors"),
        Source::Environment => println!("no {USUAL_FILE} here: the environment is used"),
    }
    println!("{}", settings.config.describe().trim_end());
    Ok(ExitCode::SUCCESS)
}

/// `TOLLGATE_LOG`, else `RUST_LOG`, else what happens to the process, and nothing per request.
fn log(json: bool) {
    let wanted = ["TOLLGATE_LOG", "RUST_LOG"].iter().find_map(|name| std::env::var(name).ok());
    let filter = EnvFilter::new(wanted.as_deref().unwrap_or("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // Only a second subscriber fails here, and there is none.
    let _ = if json { subscriber.json().try_init() } else { subscriber.with_target(false).try_init() };
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_serves_with_the_same_options() {
        let bare = Cli::parse_from(["tollgate", "--listen", "127.0.0.1:0", "--workers", "3"]).serve;
        assert_eq!((bare.listen.as_deref(), bare.workers), (Some("127.0.0.1:0"), Some(3)));
        assert!(matches!(Cli::parse_from(["tollgate", "demo"]).command, Some(Command::Demo { .. })));
    }
}
